package command

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

// storageVerbs show and change the disks of targets.
type storageVerbs struct{ *app }

// command is `ais storage`.
func (a storageVerbs) command() *cli.Command {
	return &cli.Command{
		Name: "storage", Usage: "show and change the disks of targets",
		Subcommands: []*cli.Command{
			{
				Name: "mountpath", Usage: "show, attach, detach, disable and enable mountpaths",
				Subcommands: []*cli.Command{
					a.showMountpaths("show"),
					a.change(change{
						name: "attach", action: api.ActMountpathAttach, usage: "take directories, one per disk, into service",
						help: "An empty directory becomes a new mountpath; it must be there, and lost+found may be in it. One with the node's marker joins with\n" +
							"what it has. At the path of a disk that is missing, an empty directory is the disk that replaces it: what was only on the old\n" +
							"one is then lost.",
						done: "attached", ask: "Attach %s? Names move to it.", next: "Names move to it in the background: `ais storage mountpath show %s` tells how far.",
					}),
					a.change(change{
						name: "detach", action: api.ActMountpathDetach, usage: "move what mountpaths have to the others, then release them", force: true,
						done: "being detached", ask: "Detach %s? What is there moves to the other mountpaths.", next: "It is released when `ais storage mountpath show %s` does not list it any more; enable takes it back until then.",
					}),
					a.change(change{
						name: "enable", action: api.ActMountpathEnable, usage: "take mountpaths back into service",
						done: "enabled", ask: "Enable %s? Names move back to it.", next: "What was changed meanwhile holds, and moves to it in the background: `ais storage mountpath show %s` tells how far.",
					}),
					a.change(change{
						name: "disable", action: api.ActMountpathDisable, usage: "take mountpaths out of service now; what is there stays there",
						done: "disabled", ask: "Disable %s? What is only there cannot be read until it is enabled.", next: "Enable it again with `ais storage mountpath enable`; `ais storage mountpath show %s` shows it.",
					}),
					a.verb(&cli.Command{
						Name: "rescan", Usage: "look at the disks of targets again: those that were missing come back if they can", ArgsUsage: "[NODE[=PATH] ...]",
						Action: a.rescan,
					}, argTarget),
				},
			},
		},
	}
}

// change is one of the verbs that take NODE=PATH.
type change struct {
	name, action, usage, help string
	done, ask, next           string
	force                     bool
}

func (a storageVerbs) change(v change) *cli.Command {
	flags := []cli.Flag{a.yesFlag()}
	if v.force {
		flags = append(flags, &cli.BoolFlag{Name: "force", Usage: "give up what is only there, of a disk that cannot be read", DisableDefaultText: true})
	}
	return a.verb(&cli.Command{
		Name: v.name, Usage: v.usage, Description: v.help, ArgsUsage: "NODE=PATH ...", Flags: flags,
		Action: func(c *cli.Context) error { return a.run(c, v) },
	}, argMountpath)
}

// nodePath is one argument.
type nodePath struct{ node, path string }

func (p nodePath) String() string { return p.node + "=" + p.path }

// parseNodePath parses NODE=PATH. The node may be written as t[NODE].
func parseNodePath(arg string) (nodePath, error) {
	node, path, ok := strings.Cut(arg, "=")
	if !ok || node == "" || !strings.HasPrefix(path, "/") {
		return nodePath{}, usageError("%q is not NODE=PATH with an absolute path, such as t1=/mnt/disk3", arg)
	}
	return nodePath{bareNode(node), path}, nil
}

// bareNode takes t[NODE] and p[NODE] as well as NODE.
func bareNode(s string) string {
	if len(s) > 3 && (s[:2] == "t[" || s[:2] == "p[") && strings.HasSuffix(s, "]") {
		return s[2 : len(s)-1]
	}
	return s
}

func (a storageVerbs) run(c *cli.Context, v change) error {
	if err := count(c, 1, -1); err != nil {
		return err
	}
	var all []nodePath
	for _, arg := range c.Args().Slice() {
		p, err := parseNodePath(arg)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	for _, p := range all {
		if err := a.isTarget(p.node); err != nil {
			return err
		}
	}
	ask := v.ask
	if c.Bool("force") {
		ask = "Give up %s? What is only there is lost."
	}
	if err := a.out.Confirm(c.Context, ask, joined(all)); err != nil {
		return err
	}
	results := map[string]*api.Mountpaths{}
	for _, p := range all {
		ms, err := sdk.ChangeMountpath(c.Context, p.node, v.action, p.path, client.MountpathOptions{Force: c.Bool("force")})
		if errs.Is(err, errs.Mountpath) { // it is the path that does not serve, and no mountpath yet
			return errs.E("", p.node, errs.Other, err)
		}
		if err != nil {
			if c.Context.Err() != nil && !a.out.JSON {
				a.out.Notef("%s of %s may still take effect: `ais storage mountpath show %s` tells.", v.name, p, p.node)
			}
			return err
		}
		results[p.node] = ms
		if !a.out.JSON {
			a.out.Printf("%s: %s", v.done, p)
			a.out.Printf(v.next, p.node)
		}
	}
	if a.out.JSON {
		return a.out.Value(results)
	}
	return nil
}

func joined(ps []nodePath) string {
	words := make([]string, len(ps))
	for i := range ps {
		words[i] = ps[i].String()
	}
	return strings.Join(words, ", ")
}

func (a storageVerbs) isTarget(id string) error {
	n := a.view.Map.Nodes[cluster.NodeID(id)]
	if n == nil {
		return errs.F("", id, errs.NotFound, "no such node: `ais show cluster` lists them")
	}
	if !n.Role.Target() {
		return errs.F("", id, errs.Invalid, "is a gateway and has no mountpaths")
	}
	return nil
}

// rescan asks the nodes named, or all targets.
func (a storageVerbs) rescan(c *cli.Context) error {
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	nodes := a.targets(c.Args().Slice())
	for _, id := range nodes {
		if err := a.isTarget(id); err != nil {
			return err
		}
	}
	results, missing := map[string]*api.Mountpaths{}, []string(nil)
	for _, id := range nodes {
		ms, err := a.rescanOne(c.Context, sdk, id)
		if err != nil && c.Context.Err() != nil {
			return err
		}
		if err != nil { // the others are looked at all the same
			missing = append(missing, id+": "+strings.TrimPrefix(message(err), id+": "))
			continue
		}
		results[id] = ms
		if a.out.JSON {
			continue
		}
		a.out.Printf("rescanned: %s, %s in service", id, term.Plural(int64(inService(ms)), "mountpath"))
		for _, path := range sortedKeys(ms.Unused) {
			a.out.Printf("  %s stays out: %s", path, ms.Unused[path])
		}
	}
	if a.out.JSON {
		return cmp.Or(a.out.Value(results), noAnswer(len(missing)))
	}
	a.noteMissing(missing)
	return noAnswer(len(missing))
}

// off says that a node is known to be off, and would be asked in vain.
func off(v *cluster.View, id string) error {
	if n := v.Map.Nodes[cluster.NodeID(id)]; n == nil || n.Alive {
		return nil
	}
	return errs.E("", id, errs.Unavailable, "is offline")
}

func (a storageVerbs) rescanOne(ctx context.Context, sdk *client.Client, id string) (*api.Mountpaths, error) {
	if err := off(a.view, id); err != nil {
		return nil, err
	}
	return sdk.ChangeMountpath(ctx, id, api.ActMountpathRescan, "", client.MountpathOptions{})
}

func sortMountpaths(ms []api.Mountpath) {
	slices.SortFunc(ms, func(a, b api.Mountpath) int { return term.Naturally(a.Path, b.Path) })
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func inService(ms *api.Mountpaths) (n int) {
	for i := range ms.Details {
		if ms.Details[i].Standing == "" && ms.Details[i].State == api.StateEnabled {
			n++
		}
	}
	return n
}

// targets are the nodes named, without repetition, or all targets.
func (a storageVerbs) targets(args []string) (ids []string) {
	seen := map[string]bool{}
	for _, arg := range args {
		id, _, _ := strings.Cut(arg, "=")
		if id = bareNode(id); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if len(args) > 0 {
		return ids
	}
	for _, n := range inOrder(a.view.Map) {
		if n.Role.Target() {
			ids = append(ids, string(n.ID))
		}
	}
	return ids
}

// showMountpaths is `ais storage mountpath show` and `ais show storage`.
func (a storageVerbs) showMountpaths(name string) *cli.Command {
	return a.shows(name, "show the mountpaths of targets, and how far names have moved between them", a.show)
}

// shows is a verb that shows something of one target or of all, again and again if asked.
// Targets that do not answer are named, and make it fail in the end.
func (a storageVerbs) shows(name, usage string, show func(ctx context.Context, sdk *client.Client, ids []string) (silent int, err error)) *cli.Command {
	return a.verb(&cli.Command{
		Name: name, Usage: usage, ArgsUsage: "[NODE]",
		Flags: append(refreshFlags(), a.headersFlag(), a.unitsFlag()),
		Action: func(c *cli.Context) error {
			if err := count(c, 0, 1); err != nil {
				return err
			}
			sdk, err := a.connect(c.Context)
			if err != nil {
				return err
			}
			ids := a.targets(c.Args().Slice())
			for _, id := range ids {
				if err := a.isTarget(id); err != nil {
					return err
				}
			}
			silent := 0
			if err := a.refreshed(c, func(ctx context.Context) (err error) {
				silent, err = show(ctx, sdk, ids)
				return err
			}); err != nil {
				return err
			}
			return noAnswer(silent)
		},
	}, argTarget)
}

// noAnswer is the error of a question that so many targets did not answer.
func noAnswer(targets int) error {
	if targets == 0 {
		return nil
	}
	return errs.F("", "", errs.Unavailable, "%s did not answer", term.Plural(int64(targets), "target"))
}

func (a storageVerbs) show(ctx context.Context, sdk *client.Client, ids []string) (silent int, err error) {
	all, missing := a.ask(ctx, sdk, ids)
	if a.out.JSON {
		return len(missing), a.out.Value(all)
	}
	t := a.out.NewTable(term.Columns("NODE", "MOUNTPATH", "STATE", "WEIGHT>", "USED>", "CAPACITY>", "ERRORS>", "REMARKS")...)
	for _, id := range ids {
		if all[id] == nil {
			continue
		}
		sortMountpaths(all[id].Details)
		for i := range all[id].Details {
			m := &all[id].Details[i]
			if err := t.AddCells(append([]term.Cell{{Text: id, Style: term.Bold}}, a.mountpathCells(m)...)...); err != nil {
				return 0, err
			}
		}
	}
	if err := t.Flush(); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if all[id] != nil && all[id].Resilver != nil {
			a.out.Printf("\n%s: %s", id, a.resilverLine(all[id].Resilver))
		}
	}
	a.noteMissing(missing)
	return len(missing), nil
}

// ask asks nodes for their mountpaths, and says why those that are missing do not answer.
func (a storageVerbs) ask(ctx context.Context, sdk *client.Client, ids []string) (all map[string]*api.Mountpaths, missing []string) {
	all = map[string]*api.Mountpaths{}
	view, err := sdk.View(ctx)
	if err != nil {
		view = a.view
	}
	for _, id := range ids {
		var s *api.NodeStatus
		if err := off(view, id); err != nil {
			missing = append(missing, message(err))
		} else if s, err = sdk.NodeStatus(ctx, id); err != nil {
			missing = append(missing, id+": "+message(err))
		} else if s.Mountpaths != nil {
			all[id] = s.Mountpaths
		}
	}
	return all, missing
}

func (a storageVerbs) noteMissing(missing []string) {
	for _, m := range missing {
		a.out.Notef("%s %s", a.out.PaintErr(term.Red, "no answer from"), m)
	}
}

func (a storageVerbs) mountpathCells(m *api.Mountpath) []term.Cell {
	style := term.Green
	switch m.State {
	case api.StateDetaching:
		style = term.Amber
	case api.StateDisabled:
		style = term.Red
	}
	remarks := api.MountpathAlerts([]api.Mountpath{*m})
	for i := range remarks {
		remarks[i] = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(remarks[i], m.Path), " "), "disabled: ")
	}
	return []term.Cell{
		{Text: m.Path},
		{Text: m.State, Style: style}, {Text: strconv.FormatUint(uint64(m.Weight), 10)},
		{Text: a.out.Units.Bytes(int64(m.Used))}, {Text: a.out.Units.Bytes(int64(m.Total))}, {Text: term.Count(int64(m.Errors))}, {Text: strings.Join(remarks, "; ")},
	}
}

// complete offers targets, or behind NODE= its mountpaths.
func (a storageVerbs) complete(ctx context.Context, sdk *client.Client, kind argument, word string) (cs []candidate) {
	if node, _, ok := strings.Cut(word, "="); ok && kind&argMountpath != 0 {
		s, err := sdk.NodeStatus(ctx, bareNode(node))
		if err != nil || s.Mountpaths == nil {
			return nil
		}
		for _, m := range s.Mountpaths.Details {
			cs = append(cs, candidate{text: node + "=" + m.Path, help: m.State})
		}
		return cs
	}
	for _, n := range a.view.Map.All() {
		c := candidate{text: string(n.ID), help: string(n.State)}
		if kind&argMountpath != 0 {
			c.text, c.open = c.text+"=", true
		}
		if n.Role.Target() {
			cs = append(cs, c)
		}
	}
	return cs
}
