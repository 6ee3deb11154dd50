// Package command holds the verbs of the CLI: what they are called, what they take, and what they do with the SDK.
//
// A verb parses its arguments, calls package api/client, and writes through package term. It keeps no state between
// runs; the cluster it talks to is named by AIS_ENDPOINT or --endpoint.
//
// Start at Main and at (*app).commands; put.go and get.go hold the transfers.
package command

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"aistore/api/client"
	"aistore/cluster"
	"aistore/cmd/ais/line"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

// Process is what a run of the CLI gets from the operating system.
type Process struct {
	Args    []string
	Getenv  func(string) string
	Version string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// app is one run of the CLI.
type app struct {
	proc  Process
	out   *term.Out
	root  *cli.App
	takes map[*cli.Command][]argument // what the arguments of a verb are, for completion; the last one repeats

	endpoint string // --endpoint
	sdk      *client.Client
	view     *cluster.View // as connect found it
}

// Main runs one command line and returns the exit code of the process.
func Main(ctx context.Context, p Process) int {
	a := newApp(p) //nolint:contextcheck // the commands get ctx from RunContext below
	if len(p.Args) > 1 && p.Args[1] == completeVerb {
		completer{a}.complete(ctx, p.Args[2:])
		return exitOK
	}
	err := a.root.RunContext(ctx, line.Reorder(a.root, p.Args))
	if len(p.Args) > 1 && slices.Contains(line.Find(a.root, p.Args[1:]).Options, "--json") { // what is wrong may have been met before it
		a.out.JSON = true
	}
	if a.sdk != nil {
		a.sdk.Close()
	}
	if err == nil {
		return exitOK
	}
	return a.report(ctx, err)
}

func newApp(p Process) *app {
	a := &app{
		proc: p, takes: map[*cli.Command][]argument{},
		out: term.New(p.Stdin, p.Stdout, p.Stderr, p.Getenv),
	}
	a.root = &cli.App{
		Name: "ais", Usage: "work with an aistore cluster", Version: a.proc.Version,
		Description: "The cluster is the one that AIS_ENDPOINT names, http://127.0.0.1:8080 unless set.\n" +
			"Buckets are written ais://BUCKET and objects ais://BUCKET/OBJECT. Options may stand anywhere on the line.\n" +
			"Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 some of several objects failed,\n" +
			"5 cluster unreachable or not ready, 6 conflict, 7 denied, 8 damaged data, 130 interrupted.",
		Writer: a.proc.Stdout, ErrWriter: a.proc.Stderr, Reader: a.proc.Stdin,
		Commands: a.commands(), Flags: append(a.commonFlags(), cli.HelpFlag), // package cli adds it where it adds its own help command
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // Main reports
	}
	a.root.Action, a.root.OnUsageError = unknownVerb, wrongUsage
	a.root.HideHelpCommand = true
	a.root.Commands = append(a.root.Commands, a.helpCommand(a.root.Name))
	a.finish(a.root.Commands, a.root.Name)
	return a
}

// commands is the whole CLI.
func (a *app) commands() []*cli.Command {
	return slices.Concat(
		inCategory("OBJECTS", objectVerbs{a}.commands()),
		inCategory("OBJECTS", []*cli.Command{{Name: "object", Usage: "the same verbs again", Subcommands: append(objectVerbs{a}.commands(), objectVerbs{a}.showObjectCommand("show"))}}),
		inCategory("BUCKETS", []*cli.Command{bucketVerbs{a}.command(), bucketVerbs{a}.createCommand("create")}),
		inCategory("CLUSTER", []*cli.Command{clusterVerbs{a}.showCommand(), clusterVerbs{a}.clusterCommand(), clusterVerbs{a}.configCommand(), storageVerbs{a}.command(), authVerbs{a}.command(), jobVerbs{a}.command()}),
		inCategory("CLUSTER", rebalanceVerbs{a}.commands()),
		inCategory("OPERATION", []*cli.Command{devVerbs{a}.command(), advancedVerbs{a}.command(), completer{a}.command()}),
	)
}

func inCategory(name string, cs []*cli.Command) []*cli.Command {
	for _, c := range cs {
		c.Category = name
	}
	return cs
}

// verb notes what a command takes and gives it the options that all have.
func (a *app) verb(c *cli.Command, args ...argument) *cli.Command {
	a.takes[c] = args
	c.Flags = append(c.Flags, a.commonFlags()...)
	return c
}

// localVerb is verb for what asks no cluster that is named: --endpoint may stand there as anywhere, but means nothing, and is not shown.
func (a *app) localVerb(c *cli.Command, args ...argument) *cli.Command {
	for _, f := range a.verb(c, args...).Flags {
		if s, ok := f.(*cli.StringFlag); ok && s.Name == "endpoint" {
			s.Hidden = true
		}
	}
	return c
}

// commonFlags are the options that all verbs have. They may stand before the verb, too: package line puts them behind it.
func (a *app) commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "print the result as JSON", Destination: &a.out.JSON, DisableDefaultText: true},
		&cli.StringFlag{Name: "endpoint", Usage: "`URL` of any node of the cluster, instead of AIS_ENDPOINT", Destination: &a.endpoint},
	}
}

// finish sets what urfave/cli has no default for. path leads to the commands.
func (a *app) finish(cs []*cli.Command, path ...string) {
	for _, c := range cs {
		c.OnUsageError, c.HideHelpCommand = wrongUsage, true // of a verb, a file may be called "help"
		if len(c.Subcommands) == 0 {
			continue
		}
		if c.Action == nil {
			c.Action = unknownVerb
		}
		own := slices.Concat(path, []string{c.Name})
		c.Subcommands = append(c.Subcommands, a.helpCommand(own...))
		a.finish(c.Subcommands, own...)
	}
}

// usageError is a wrong command line.
func usageError(format string, args ...any) error {
	return errs.F("", nil, errs.Invalid, format, args...)
}

func wrongUsage(c *cli.Context, err error, _ bool) error {
	const unknown = "flag provided but not defined: "
	text := err.Error()
	if name, ok := strings.CutPrefix(text, unknown); ok {
		name, _, _ = strings.Cut(strings.TrimLeft(name, "-"), "=")
		text = "has no option " + dashed(name)
		if near := nearestOption(name, c); near != "" {
			text += ": did you mean " + dashed(near) + "?"
		}
		return usageError("%s %s (see `%s --help`)", fullName(c), text, fullName(c))
	}
	if m := badValue.FindStringSubmatch(text); m != nil {
		text = dashed(m[2]) + " " + m[1] + ": is no value of it"
		if how := howWritten(c, m[2]); how != "" {
			text += ": " + how
		} else if m[3] != "parse error" {
			text += " (" + m[3] + ")"
		}
	} else if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		text = dashed(name) + " needs a value"
	}
	return usageError("%s: %s (see `%s --help`)", fullName(c), text, fullName(c))
}

// badValue is how package flag says that a value does not fit.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-(\S+): (.*)$`)

// howWritten says what the value of an option looks like, "" where the kind of the option does not tell.
func howWritten(c *cli.Context, name string) string {
	if c.Command == nil {
		return ""
	}
	for _, f := range c.Command.Flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		switch f.(type) {
		case *cli.DurationFlag:
			return "write a time with its unit, as 30s or 5m"
		case *cli.IntFlag:
			return "write a whole number"
		case *cli.GenericFlag: // --refresh
			return "write a time, as 2s, or a number of seconds"
		}
	}
	return ""
}

// dashed is an option as it is typed.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// nearestOption is nearest for the options of the command that failed to parse.
func nearestOption(s string, c *cli.Context) string {
	flags := c.App.Flags
	if c.Command != nil && len(c.Command.Flags) > 0 {
		flags = c.Command.Flags
	}
	var names []string
	for _, f := range flags {
		names = append(names, f.Names()...)
	}
	return nearestOf(s, names)
}

// unknownVerb is the action of a command that has others below it.
func unknownVerb(c *cli.Context) error {
	if c.NArg() == 0 {
		if fullName(c) == c.App.Name {
			return cli.ShowAppHelp(c)
		}
		if !c.Bool("json") {
			if err := cli.ShowSubcommandHelp(c); err != nil {
				return err
			}
		}
		return usageError("%s needs one of its commands", fullName(c))
	}
	return noCommand(c.App, strings.Fields(fullName(c)), c.Command.Subcommands, c.Args().First())
}

// noCommand is the error of a name that none of the commands within a group has; path leads to the group.
func noCommand(root *cli.App, path []string, within []*cli.Command, name string) error {
	group, hint := strings.Join(path, " "), ""
	if meant := meant(root, group, within, name); meant != "" {
		hint = ": did you mean " + meant + "?"
	} else if names := shown(within); len(names) <= shownElsewhere {
		hint = ": it has " + strings.Join(names, ", ")
	}
	return usageError("%s has no command %q%s (see `%s --help`)", group, name, hint, group)
}

// shown returns the names of commands, without help.
func shown(cs []*cli.Command) []string {
	var names []string
	for _, c := range cs {
		if !c.Hidden && c.Name != "help" {
			names = append(names, c.Name)
		}
	}
	return names
}

// fullName is the command as it is typed: "ais dev up".
func fullName(c *cli.Context) string {
	if c.Command != nil && c.Command.HelpName != "" {
		return c.Command.HelpName
	}
	return c.App.Name
}

// count checks the number of arguments.
func count(c *cli.Context, least, most int) error {
	n := c.NArg()
	if n >= least && (n <= most || most < 0) {
		if slices.Contains(c.Args().Slice(), "") { // of a variable that was not set, and seldom what was meant
			return usageError("%s is given an argument that is empty", fullName(c))
		}
		return nil
	}
	problem := "is missing an argument"
	if n > least {
		problem = "has an argument too many: " + c.Args().Get(most)
	}
	return usageError("%s %s\nUsage: %s", fullName(c), problem, strings.TrimSpace(fullName(c)+" "+c.Command.ArgsUsage))
}
