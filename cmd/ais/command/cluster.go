package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

// clusterVerbs show the cluster and change its configuration.
type clusterVerbs struct{ *app }

// showCommand is `ais show`.
func (a clusterVerbs) showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show objects, buckets, the cluster, its performance, jobs and configuration",
		Subcommands: []*cli.Command{
			objectVerbs{a.app}.showObjectCommand("object"),
			a.verb(&cli.Command{Name: "bucket", Usage: "show a bucket's properties, or all buckets", ArgsUsage: "[ais://BUCKET [PROPERTY]]",
				Flags: []cli.Flag{a.headersFlag()}, Action: func(c *cli.Context) error {
					if c.NArg() == 0 {
						return bucketVerbs{a.app}.listBuckets(c)
					}
					return bucketVerbs{a.app}.showProps(c)
				}}, argBucket, argPropName),
			a.showClusterCommand("cluster"),
			a.performanceCommand(),
			jobVerbs{a.app}.showJobs("job"),
			rebalanceVerbs{a.app}.showCommand(),
			storageVerbs{a.app}.showMountpaths("storage"),
			storageVerbs{a.app}.showResilver(),
			a.verb(&cli.Command{Name: "config", Usage: "show the cluster's configuration", ArgsUsage: "[KEY]",
				Flags: []cli.Flag{a.headersFlag()}, Action: a.showConfig}, argConfig),
		},
	}
}

func (a clusterVerbs) clusterCommand() *cli.Command {
	return &cli.Command{
		Name: "cluster", Usage: "show the cluster, bring nodes in and take them out, check it, stop it",
		Subcommands: []*cli.Command{
			a.showClusterCommand("show"),
			a.verb(&cli.Command{Name: "set-primary", Usage: "hand the primary's part to another voter", ArgsUsage: "NODE", Action: a.setPrimary}, argNode),
			lifeVerbs{a.app}.membersCommand(),
			rebalanceVerbs{a.app}.checkCommand(),
			lifeVerbs{a.app}.shutdownCommand(),
			lifeVerbs{a.app}.decommissionCommand(),
		},
	}
}

func (a clusterVerbs) setPrimary(c *cli.Context) error {
	if err := count(c, 1, 1); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	n, err := client.FindNode(a.view, c.Args().First())
	if err != nil {
		return errs.F("", c.Args().First(), errs.NotFound, "no such node: `ais show cluster` lists them")
	}
	id := string(n.ID)
	if err := sdk.SetPrimary(c.Context, id); err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]string{"primary": id})
	}
	a.out.Printf("set-primary: %s", id)
	return nil
}

// refreshFlags let a view be shown again and again.
func refreshFlags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "refresh", Usage: "show it again every `DURATION` (a plain number: seconds), until interrupted", Value: new(interval), DefaultText: "once"},
		&cli.IntFlag{Name: "count", Usage: "with --refresh: stop after `N` times", DefaultText: "never"},
	}
}

// interval is a duration that may be written as a plain number of seconds.
type interval time.Duration

// Set implements flag.Value.
func (i *interval) Set(s string) error {
	if sec, err := strconv.ParseFloat(s, 64); err == nil {
		*i = interval(sec * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(s)
	*i = interval(d)
	return err
}

func (i *interval) String() string {
	if i == nil || *i == 0 {
		return ""
	}
	return time.Duration(*i).String()
}

// refreshed shows something once, or with --refresh until the user has seen enough; a failure on the way is shown
// and the next attempt made.
func (a *app) refreshed(c *cli.Context, show func(context.Context) error) error {
	given, ok := c.Generic("refresh").(*interval)
	switch {
	case c.IsSet("count") && !c.IsSet("refresh"):
		return usageError("%s: --count says how often --refresh shows it: add --refresh 2s", fullName(c))
	case !ok || !c.IsSet("refresh"):
		return show(c.Context)
	}
	every := time.Duration(*given)
	if every < 100*time.Millisecond {
		return usageError("--refresh %v is below 100ms", every)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		if err := a.out.Frame(func() error { return show(c.Context) }); err != nil && c.Context.Err() == nil {
			if n == 1 {
				return err
			}
			if a.out.JSON {
				a.out.Notef("%s", jsonError(err, exitCode(err)))
			} else {
				a.out.Notef("%s %s", a.out.PaintErr(term.Red, "ais:"), term.PrintableLines(message(err)))
			}
		}
		if n == c.Int("count") {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.Context.Done():
			return nil // the way to end it
		}
	}
}

func (a clusterVerbs) showClusterCommand(name string) *cli.Command {
	return a.verb(&cli.Command{
		Name: name, Usage: "show the nodes of the cluster, or one of the maps", ArgsUsage: "[smap|bmd|config|NODE]",
		Flags:  append(refreshFlags(), a.headersFlag(), a.unitsFlag()),
		Action: a.showCluster,
	}, argNode|argView)
}

func (a clusterVerbs) showCluster(c *cli.Context) error {
	if err := count(c, 0, 1); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	what := c.Args().First()
	if n, err := client.FindNode(a.view, what); err == nil {
		what = string(n.ID)
	}
	return a.refreshed(c, func(ctx context.Context) error {
		switch what {
		case "":
			return a.showNodes(ctx, sdk)
		case "smap":
			return a.showSmap(ctx, sdk)
		case "bmd":
			return a.showBMD(ctx, sdk)
		case "config":
			return a.printConfig(ctx, sdk, "")
		}
		return a.showNode(ctx, sdk, what)
	})
}

// clusterJSON is what `ais show cluster --json` prints.
type clusterJSON struct {
	UUID    string         `json:"uuid"`
	Primary string         `json:"primary"`
	Version uint64         `json:"map_version"`
	Epoch   uint64         `json:"epoch"`
	Buckets int            `json:"buckets"`
	Nodes   []api.NodeInfo `json:"nodes"`
}

func (a clusterVerbs) showNodes(ctx context.Context, sdk *client.Client) error {
	nodes, err := sdk.Nodes(ctx)
	if err != nil {
		return err
	}
	view, err := sdk.View(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(nodes, func(a, b api.NodeInfo) int { return term.Naturally(a.ID, b.ID) })
	var blind error
	if slices.ContainsFunc(nodes, func(n api.NodeInfo) bool { return strings.HasSuffix(n.Health, api.HealthUnknown) }) {
		blind = errs.F("", "", errs.Unavailable, "no primary within reach: what is shown is what a gateway knew last (map version %d)", view.Map.Version)
	}
	if a.out.JSON {
		return cmp.Or(a.out.Value(clusterJSON{view.Map.UUID, string(view.Map.Primary), view.Map.Version, view.Map.Epoch, len(view.Buckets.Buckets), nodes}), blind)
	}
	t := a.out.NewTable(term.Columns("NODE", "ROLE", "STATE", "VERSION", "UPTIME>", "USED>", "CAPACITY>", "URL", "REMARKS", "ALERTS")...)
	for i := range nodes {
		if err := t.AddCells(a.nodeCells(&nodes[i])...); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	a.out.Printf("\n%s", summaryLine(view, nodes))
	return blind
}

// inOrder returns all nodes as people order their ids.
func inOrder(m *cluster.Map) []*cluster.Node {
	nodes := m.All()
	slices.SortFunc(nodes, func(a, b *cluster.Node) int { return term.Naturally(a.ID, b.ID) })
	return nodes
}

func (a clusterVerbs) nodeCells(n *api.NodeInfo) []term.Cell {
	style := term.Plain // out of service, as was asked for
	switch {
	case n.Health == string(cluster.Online):
		style = term.Green
	case n.Phase == cluster.Drained, n.State == cluster.Standby && n.Phase == "" && !n.Alive: // it may be powered off
	case !n.Alive, n.Phase == cluster.Migrating, n.Phase == cluster.Wiping:
		style = term.Red // what only it holds is not elsewhere yet: it must not be powered off
	case n.Phase == cluster.Joining, n.State == cluster.Standby:
		style = term.Amber
	}
	used, total, uptime := "-", "-", "-"
	if n.Role.Target() && n.Total > 0 {
		used, total = a.out.Units.Bytes(int64(n.Used)), a.out.Units.Bytes(int64(n.Total))
	}
	if n.UptimeNS > 0 {
		uptime = term.Uptime(time.Duration(n.UptimeNS))
	}
	var marks []string
	if n.Primary {
		marks = append(marks, "primary")
	}
	if n.Voter && !n.Primary {
		marks = append(marks, "voter")
	}
	if n.Zone != "" {
		marks = append(marks, "zone "+n.Zone)
	}
	return []term.Cell{
		{Text: string(n.ID), Style: term.Bold}, {Text: string(n.Role)}, {Text: n.Health, Style: style}, {Text: n.Version}, {Text: uptime},
		{Text: used}, {Text: total}, {Text: n.PublicURL}, {Text: strings.Join(marks, ", ")},
		{Text: strings.Join(n.Alerts, "; "), Style: term.Red},
	}
}

func summaryLine(view *cluster.View, nodes []api.NodeInfo) string {
	online, targets := 0, 0
	for i := range nodes {
		if nodes[i].Alive && nodes[i].State == cluster.Online {
			online++
		}
		if nodes[i].Role.Target() {
			targets++
		}
	}
	return fmt.Sprintf("Cluster %s: %d of %s online, %s, %s, map version %d, epoch %d",
		view.Map.UUID, online, term.Plural(int64(len(nodes)), "node"), term.Plural(int64(targets), "target"),
		term.Plural(int64(len(view.Buckets.Buckets)), "bucket"), view.Map.Version, view.Map.Epoch)
}

func (a clusterVerbs) showSmap(ctx context.Context, sdk *client.Client) error {
	if a.out.JSON {
		m, err := sdk.Smap(ctx)
		if err != nil {
			return err
		}
		return a.out.Value(m)
	}
	view, err := sdk.View(ctx)
	if err != nil {
		return err
	}
	t := a.out.NewTable(term.Columns("NODE", "ROLE", "STATE", "ALIVE", "WEIGHT>", "ZONE", "VOTER", "PUBLIC URL", "INTRA-CLUSTER", "JOINED")...)
	for _, n := range inOrder(view.Map) {
		if err := t.Add(string(n.ID), string(n.Role), n.Describe(), yesNo(n.Alive), strconv.FormatUint(uint64(n.Weight), 10), n.Zone, yesNo(n.Voter),
			n.PublicURL, n.IntraAddr, stamp(n.Joined)); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	a.out.Printf("\nVersion %d, epoch %d, primary %s, cluster %s, created %s", view.Map.Version, view.Map.Epoch, view.Map.Primary, view.Map.UUID, stamp(view.Map.Created))
	return nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a clusterVerbs) showBMD(ctx context.Context, sdk *client.Client) error {
	if a.out.JSON {
		m, err := sdk.BMD(ctx)
		if err != nil {
			return err
		}
		return a.out.Value(m)
	}
	view, err := sdk.View(ctx)
	if err != nil {
		return err
	}
	t := a.out.NewTable(term.Columns("BUCKET", "ID>", "CHECKSUM", "DURABILITY", "CREATED", "CHANGED IN>")...)
	for _, b := range view.Buckets.List() {
		if err := t.Add(b.String(), "b"+strconv.FormatUint(b.ID, 10), b.Props.Checksum.String(), string(b.Props.Durability), stamp(b.Created),
			"v"+strconv.FormatUint(b.Version, 10)); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	a.out.Printf("\nVersion %d", view.Buckets.Version)
	return nil
}

func (a clusterVerbs) showNode(ctx context.Context, sdk *client.Client, id string) error {
	if a.view.Map.Nodes[cluster.NodeID(id)] == nil {
		return errs.F("", id, errs.NotFound, "no such node, and none of smap, bmd, config: `ais show cluster` lists the nodes")
	}
	view, err := sdk.View(ctx)
	if err != nil {
		return err
	}
	if n := view.Map.Nodes[cluster.NodeID(id)]; n != nil && !n.Alive { // asking would be to wait for nothing
		return errs.F("", id, errs.Unavailable, "is offline: %s by the cluster map", n.Describe())
	}
	s, err := sdk.NodeStatus(ctx, id)
	if err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(s)
	}
	rows := [][2]string{
		{"id", id}, {"status", s.Status}, {"version", s.Version}, {"build", s.BuildTime}, {"uptime", term.Uptime(time.Duration(s.UptimeNS))},
		{"pid", strconv.Itoa(s.PID)}, {"map version", strconv.FormatUint(s.SmapVersion, 10)},
	}
	if s.Snode != nil {
		rows = append(rows, [2]string{"url", s.Snode.PublicNet.URL}, [2]string{"intra-cluster url", s.Snode.ControlNet.URL})
	}
	if s.Stats != nil {
		sys := s.Stats.Sys
		rows = append(rows, [2]string{"memory (RSS)", a.out.Units.Bytes(int64(sys.RSS))}, [2]string{"CPU time", time.Duration(sys.CPUNS).Round(time.Millisecond).String()},
			[2]string{"goroutines", strconv.Itoa(sys.Goroutines)}, [2]string{"open files", strconv.Itoa(sys.OpenFiles)})
	}
	if err := a.properties(rows); err != nil || s.Mountpaths == nil {
		return err
	}
	a.out.Printf("")
	t := a.out.NewTable(term.Columns("MOUNTPATH", "STATE", "USED>", "CAPACITY>", "ERRORS>", "REASON")...)
	sortMountpaths(s.Mountpaths.Details)
	for _, m := range s.Mountpaths.Details {
		style := term.Green
		if m.State != "enabled" {
			style = term.Red
		}
		if err := t.AddCells(term.Cell{Text: m.Path}, term.Cell{Text: m.State, Style: style},
			term.Cell{Text: a.out.Units.Bytes(int64(m.Used))}, term.Cell{Text: a.out.Units.Bytes(int64(m.Total))},
			term.Cell{Text: term.Count(int64(m.Errors))}, term.Cell{Text: m.Reason}); err != nil {
			return err
		}
	}
	return t.Flush()
}

func (a clusterVerbs) configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "show and change the configuration",
		Subcommands: []*cli.Command{
			a.verb(&cli.Command{
				Name: "cluster", Usage: "show the cluster's configuration, one setting of it, or change settings", ArgsUsage: "[KEY | KEY=VALUE ... | --reset [KEY ...]]",
				Description: "Counts of bytes may be written as 64MiB or 1.5GB. A key may also be the first part of several: list, rebalance.",
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "reset", Usage: "give the settings named, or all, their defaults", DisableDefaultText: true}, a.headersFlag(),
				},
				Action: a.configCluster,
			}, argConfig),
		},
	}
}

func (a clusterVerbs) configCluster(c *cli.Context) error {
	if c.Bool("reset") && c.NArg() > 0 {
		settings, err := defaults(c.Args().Slice())
		if err != nil {
			return err
		}
		return a.configure(c.Context, settings)
	}
	if c.Bool("reset") {
		sdk, err := a.connect(c.Context)
		if err != nil {
			return err
		}
		if err := sdk.ResetConfig(c.Context); err != nil {
			return err
		}
		return a.printConfig(c.Context, sdk, "")
	}
	if !strings.Contains(c.Args().First(), "=") {
		return a.showConfig(c)
	}
	settings, err := pairs(fullName(c), c.Args().Slice())
	if err != nil {
		return err
	}
	return a.configure(c.Context, settings)
}

// defaults returns the default of each setting that is named, or that is below a name.
func defaults(names []string) (map[string]string, error) {
	settings := map[string]string{}
	for _, name := range names {
		if strings.Contains(name, "=") {
			return nil, usageError("%s: --reset takes the names of settings, without values", name)
		}
		found := false
		for key, value := range cluster.DefaultConfig().Keys() {
			if key == name || strings.HasPrefix(key, name+".") {
				settings[key], found = value, true
			}
		}
		if !found {
			return nil, noSetting(name)
		}
	}
	return settings, nil
}

func (a clusterVerbs) configure(ctx context.Context, settings map[string]string) error {
	sdk, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if err := sdk.SetConfig(ctx, settings); err != nil {
		if errs.Is(err, errs.Invalid) {
			return a.refusedSettings(settings, err)
		}
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]any{"set": settings})
	}
	for _, r := range prefixed("", settings) {
		a.out.Printf("config: %s=%s", r[0], r[1])
	}
	return nil
}

// refusedSettings is what the cluster has said of settings, and for each name that it does not know which may be meant.
func (a clusterVerbs) refusedSettings(settings map[string]string, err error) error {
	known, left := settable(a.view.Config), maps.Clone(settings)
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(known, key) {
			faults = append(faults, noSetting(key))
			delete(left, key)
		}
	}
	if len(faults) == 0 {
		return err
	}
	if _, err := a.view.Config.With(left); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (a clusterVerbs) showConfig(c *cli.Context) error {
	if c.NArg() > 1 && c.Args().First() != "" {
		return usageError("%s shows one setting, or those below one name: to change it write %s=VALUE, without blanks", fullName(c), c.Args().First())
	}
	if err := count(c, 0, 1); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	return a.printConfig(c.Context, sdk, c.Args().First())
}

// printConfig prints the configuration, or only the key, or the keys below it.
func (a clusterVerbs) printConfig(ctx context.Context, sdk *client.Client, key string) error {
	conf, err := sdk.Config(ctx)
	if err != nil {
		return err
	}
	if a.out.JSON && key == "" {
		return a.out.Value(conf)
	}
	flat, err := flatten(conf)
	if err != nil {
		return err
	}
	if v, ok := flat[key]; ok {
		if a.out.JSON {
			return a.out.Value(v)
		}
		a.out.Printf("%v", v)
		return nil
	}
	below := map[string]string{}
	for k, v := range flat {
		if key == "" || strings.HasPrefix(k, key+".") {
			below[k] = fmt.Sprint(v)
		}
	}
	if len(below) == 0 {
		return noSetting(key)
	}
	if a.out.JSON {
		return a.out.Value(below)
	}
	return a.properties(prefixed("", below))
}

// flatten gives every leaf of v's JSON form its dotted name.
func flatten(v any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var tree map[string]any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	flat := map[string]any{}
	var walk func(prefix string, t map[string]any)
	walk = func(prefix string, t map[string]any) {
		for k, v := range t {
			if sub, ok := v.(map[string]any); ok {
				walk(prefix+k+".", sub)
				continue
			}
			flat[prefix+k] = v
		}
	}
	walk("", tree)
	return flat, nil
}

// noSetting refuses the name of a setting, and tells which may be meant.
func noSetting(name string) error {
	if near := nearestOf(name, settable(cluster.DefaultConfig())); near != "" {
		return usageError("%s: no such setting: did you mean %s? (`ais config cluster` lists them)", name, near)
	}
	return usageError("%s: no such setting: `ais config cluster` lists them", name)
}

// settable lists the dotted names of a configuration, in order.
func settable(conf *cluster.Config) []string {
	flat, err := flatten(conf)
	if err != nil {
		return nil
	}
	var names []string
	for k := range flat {
		if k != "version" {
			names = append(names, k)
		}
	}
	sort.Strings(names)
	return names
}
