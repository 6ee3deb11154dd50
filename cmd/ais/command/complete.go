package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/cmd/ais/line"
	"aistore/cmd/ais/shell"
	"aistore/cmd/ais/uri"
	"aistore/errs"
)

// completeVerb is the hidden command that the shells' scripts call: `ais __complete bash LINE`, or
// `ais __complete zsh|fish WORD...` where the last word is the one under the cursor.
const completeVerb = "__complete"

// argument says what may stand in the place of an argument; several may be joined with |.
type argument uint

const (
	argBucket argument = 1 << iota
	argObject          // also a bucket, as the beginning of an object's name
	argPath
	argNode
	argLiveNode    // as t[ID] and p[ID]
	argAwayNode    // of these, those that stop-maintenance brings back
	argStandbyNode // and those that join takes in
	argDevNode
	argConfig
	argProp     // as PROPERTY=VALUE
	argPropName // which of them
	argJob
	argShell
	argUser
	argKey
	argView                   // what show cluster shows besides nodes
	argRebalance              // ids of rebalances
	argTarget                 // a target
	argMountpath              // NODE=PATH, an existing mountpath or the beginning of one
	argAny       argument = 0 // nothing is known of it
)

// candidate is one possible word. Unless open, it is complete and a space follows.
type candidate struct {
	text, help string
	open       bool
}

// completeWithin bounds the questions to the cluster: a shell must not hang on a key press.
const completeWithin = 2 * time.Second

// completer answers the shells' scripts.
type completer struct{ *app }

// complete prints candidates, one a line, and is silent about everything that goes wrong.
func (a completer) complete(ctx context.Context, args []string) {
	if len(args) < 2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	name, words := args[0], args[1:]
	raw := ""
	if name == "bash" {
		words, raw = shell.Split(args[1])
	}
	if len(words) < 2 {
		return
	}
	word := words[len(words)-1]
	cs := a.candidates(ctx, words[1:len(words)-1], word)
	sort.Slice(cs, func(i, j int) bool { return cs[i].text < cs[j].text })
	for _, c := range cs {
		if strings.ContainsAny(c.text, "\n\t\r") || !strings.HasPrefix(c.text, word) {
			continue // no shell could insert it
		}
		switch name {
		case "bash":
			fmt.Fprintln(a.out.Stdout(), shell.BashReply(shell.Word{Text: c.text, Open: c.open}, raw))
		default:
			end := "\t"
			if c.open {
				end = "\t\x01" // our mark for "no space behind it"
			}
			fmt.Fprintln(a.out.Stdout(), c.text+end+c.help)
		}
	}
}

// candidates finds what may replace word behind the words before it.
func (a completer) candidates(ctx context.Context, before []string, word string) []candidate {
	at := line.Find(a.root, before)
	a.endpointFrom(at.Options)
	flags, verbs := a.root.Flags, a.root.Commands
	if at.Command != nil {
		flags, verbs = at.Command.Flags, at.Command.Subcommands
	}
	if at.Command != nil && at.Command.Name == "help" { // its arguments lead to a command
		under := line.Find(a.root, slices.Concat(at.Path[:len(at.Path)-1], at.Arguments))
		if verbs = a.root.Commands; under.Command != nil {
			verbs = under.Command.Subcommands
		}
		at.Arguments = under.Arguments
	}
	switch {
	case at.Pending != nil:
		return optionValues(at.Command, at.Pending.Names()[0], word)
	case strings.HasPrefix(word, "-") && !at.Literal:
		return optionNames(flags, at.Options)
	case len(verbs) > 0 && len(at.Arguments) > 0:
		return nil
	case len(verbs) > 0:
		var cs []candidate
		for _, v := range verbs {
			if !v.Hidden && v.Name != "help" {
				cs = append(cs, candidate{text: v.Name, help: v.Usage})
			}
		}
		return cs
	}
	takes := a.takes[at.Command]
	if len(takes) == 0 {
		return nil
	}
	return a.argumentValues(ctx, takes[min(len(at.Arguments), len(takes)-1)], word, at)
}

// endpointFrom honours --endpoint in the line being written.
func (a completer) endpointFrom(options []string) {
	for i, o := range options {
		if v, ok := strings.CutPrefix(o, "--endpoint="); ok {
			a.endpoint = v
		} else if o == "--endpoint" && i+1 < len(options) {
			a.endpoint = options[i+1]
		}
	}
}

func optionNames(flags []cli.Flag, given []string) []candidate {
	used := map[string]bool{}
	for _, g := range given {
		name, _, _ := strings.Cut(strings.TrimLeft(g, "-"), "=")
		used[name] = true
	}
	var cs []candidate
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok || used[f.Names()[0]] {
			continue
		}
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		help, _, _ := strings.Cut(strings.ReplaceAll(d.GetUsage(), "`", ""), "\n")
		cs = append(cs, candidate{text: "--" + f.Names()[0], help: help})
	}
	return append(cs, candidate{text: "--help", help: "show help"})
}

func words(ws ...string) []candidate {
	cs := make([]candidate, len(ws))
	for i, w := range ws {
		cs[i].text = w
	}
	return cs
}

func optionValues(of *cli.Command, option, word string) []candidate {
	switch option {
	case "props":
		if of != nil && of.Name == "ls" {
			return listed(listable(), word)
		}
		return propPairCandidates(word)
	case "dir", "mountpath":
		return paths(word)
	case "units":
		return words("iec", "si", "raw")
	case "role":
		return words("admin", "user", "readonly")
	case "log-level":
		return words("debug", "info", "warn", "error")
	}
	return nil
}

// listed completes the last of several words that commas separate.
func listed(all []string, word string) []candidate {
	before := word[:strings.LastIndexByte(word, ',')+1]
	var cs []candidate
	for _, w := range all {
		if !slices.Contains(strings.Split(before, ","), w) {
			cs = append(cs, candidate{text: before + w, open: true})
		}
	}
	return cs
}

// propPairCandidates completes PROPERTY=VALUE: first the property, behind the equals sign what it takes.
func propPairCandidates(word string) []candidate {
	var cs []candidate
	for _, p := range api.PropNames() {
		if !strings.HasPrefix(word, p.Name+"=") {
			cs = append(cs, candidate{text: p.Name + "=", help: p.Help, open: true})
			continue
		}
		for _, v := range p.Values {
			cs = append(cs, candidate{text: p.Name + "=" + v})
		}
	}
	return cs
}

func (a completer) argumentValues(ctx context.Context, kind argument, word string, at line.Located) []candidate {
	var cs []candidate
	if kind&argShell != 0 {
		cs = append(cs, words("bash", "zsh", "fish")...)
	}
	if kind&argView != 0 {
		cs = append(cs, words("smap", "bmd", "config")...)
	}
	if kind&argDevNode != 0 {
		cs = append(cs, devNodes(at.Options)...)
	}
	if kind&argPath != 0 && !strings.HasPrefix(word, "ais://") {
		cs = append(cs, paths(word)...)
	}
	if kind&argProp != 0 {
		cs = append(cs, propPairCandidates(word)...)
	}
	if kind&argPropName != 0 {
		for _, p := range api.PropNames() {
			cs = append(cs, candidate{text: p.Name, help: p.Help})
		}
	}
	if kind&^(argShell|argView|argDevNode|argPath|argProp|argPropName) == 0 {
		return cs
	}
	live, err := a.liveValues(ctx, kind, word)
	if err != nil {
		return cs
	}
	return append(cs, live...)
}

// paths lists files that begin with word, which may begin with "~/".
func paths(word string) []candidate {
	dir, base := filepath.Split(word)
	real := dir
	if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			real = filepath.Join(home, rest)
		}
	}
	if real == "" {
		real = "."
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return nil
	}
	var cs []candidate
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base) || base == "" && strings.HasPrefix(e.Name(), ".") {
			continue
		}
		c := candidate{text: dir + e.Name()}
		if st, err := os.Stat(filepath.Join(real, e.Name())); err == nil && st.IsDir() {
			c.text, c.open = c.text+"/", true
		}
		cs = append(cs, c)
	}
	return cs
}

func devNodes(options []string) []candidate {
	dir := defaultDevDir
	for i, o := range options {
		if v, ok := strings.CutPrefix(o, "--dir="); ok {
			dir = v
		} else if o == "--dir" && i+1 < len(options) {
			dir = options[i+1]
		}
	}
	var cs []candidate
	for _, n := range devStatusOf(dir) {
		cs = append(cs, candidate{text: n.ID, help: string(n.Role) + ", " + string(n.State)})
	}
	return cs
}

// completionCommand is `ais completion`.
func (a completer) command() *cli.Command {
	return a.localVerb(&cli.Command{
		Name: "completion", Usage: "print the completion script of a shell", ArgsUsage: "bash|zsh|fish",
		Description: "bash:  source <(ais completion bash)          in ~/.bashrc\n" +
			"zsh:   source <(ais completion zsh)           in ~/.zshrc, behind compinit\n" +
			"fish:  ais completion fish | source           in ~/.config/fish/config.fish\n" +
			"Buckets, objects and nodes are completed with those of the cluster that AIS_ENDPOINT names.",
		Action: func(c *cli.Context) error {
			if err := count(c, 1, 1); err != nil {
				return err
			}
			script, ok := shell.Scripts(completeVerb)[c.Args().First()]
			if !ok {
				return errs.F("", c.Args().First(), errs.Invalid, "is no shell with a completion script: use bash, zsh or fish")
			}
			_, err := fmt.Fprint(a.out.Stdout(), script)
			return err
		},
	}, argShell)
}

// liveValues asks the cluster.
func (a completer) liveValues(ctx context.Context, kind argument, word string) ([]candidate, error) {
	sdk, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	var cs []candidate
	if kind&(argBucket|argObject) != 0 {
		found, err := a.uris(ctx, sdk, kind, word)
		if err != nil {
			return nil, err
		}
		cs = append(cs, found...)
	}
	if kind&argNode != 0 {
		for _, n := range a.view.Map.All() {
			cs = append(cs, candidate{text: string(n.ID), help: string(n.Role) + ", " + string(n.State)})
		}
	}
	if kind&(argLiveNode|argAwayNode|argStandbyNode) != 0 {
		for _, n := range a.view.Map.All() {
			if n.Alive && fits(kind, n) {
				cs = append(cs, candidate{text: api.NodeName(n), help: string(n.Role) + ", " + n.Describe()})
			}
		}
	}
	if kind&(argTarget|argMountpath) != 0 {
		cs = append(cs, storageVerbs{a.app}.complete(ctx, sdk, kind, word)...)
	}
	if kind&argConfig != 0 {
		for _, k := range settable(a.view.Config) {
			cs = append(cs, candidate{text: k, open: true})
		}
	}
	if kind&(argUser|argKey) != 0 {
		found, err := userCandidates(ctx, sdk, kind)
		if err != nil {
			return nil, err
		}
		cs = append(cs, found...)
	}
	if kind&argRebalance != 0 {
		cs = append(cs, rebalanceVerbs{a.app}.recent(ctx, sdk)...)
	}
	if kind&argJob != 0 {
		byTarget, err := sdk.Jobs(ctx, api.JobQuery{})
		if err != nil {
			return nil, err
		}
		for _, r := range jobRows(byTarget) {
			cs = append(cs, candidate{text: r.ID, help: r.Kind + " " + r.Bucket + ", " + r.State})
		}
	}
	return cs, nil
}

// fits reports whether the verb that takes this kind of node would do something for n.
func fits(kind argument, n *cluster.Node) bool {
	switch {
	case kind&argAwayNode != 0:
		return slices.Contains(n.Steps(), string(cluster.StopMaintenance))
	case kind&argStandbyNode != 0:
		return slices.Contains(n.Steps(), cluster.JoinNode.Verb())
	}
	return true
}

// shownNames bounds how many names of objects are offered.
const shownNames = 200

// uris completes ais://BUCKET, and where an object may stand its name up to the next slash.
func (a completer) uris(ctx context.Context, sdk *client.Client, kind argument, word string) ([]candidate, error) {
	if u, err := uri.Parse(word); err == nil && strings.HasPrefix(word, u.Bck.String()+"/") && kind&argObject != 0 {
		page, err := sdk.BucketOf(u.Bck).ListPage(ctx, client.ListOptions{Prefix: u.Key, Delimiter: "/", PageSize: shownNames}, "")
		if err != nil {
			return nil, err
		}
		var cs []candidate
		for i := range page.Entries {
			e := &page.Entries[i]
			c := candidate{text: u.Bck.String() + "/" + e.Name, open: e.IsDir()}
			if !e.IsDir() {
				c.help = a.out.Units.Bytes(e.Size)
			}
			cs = append(cs, c)
		}
		return cs, nil
	}
	var cs []candidate
	for _, b := range a.view.Buckets.List() {
		c := candidate{text: b.String()}
		if kind&argObject != 0 {
			c.text, c.open = c.text+"/", true
		}
		cs = append(cs, c)
	}
	return cs, nil
}
