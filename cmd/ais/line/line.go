// Package line takes a command line apart: which command its words lead to, and which of them are options or arguments.
//
// It runs nothing. Start at Reorder and Find.
package line

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Reorder moves the options of a command line before its arguments, where package flag wants them, and takes
// apart -ry into -r -y. So `ais put DIR ais://b/ -r -y` means what it says. Behind "--" everything is an argument.
// Who asks for help is given it, whatever else is on the line.
func Reorder(root *cli.App, line []string) []string {
	if len(line) == 0 {
		return line
	}
	at := Find(root, line[1:])
	out := append([]string{line[0]}, at.Path...)
	switch leaf := at.Command != nil && len(at.Command.Subcommands) == 0; {
	case leaf && at.help:
		return append(out, "--help") // package cli takes an argument beside it for the name of a command
	case at.Pending != nil: // what followed would be its value, be it "--"
		return append(out, at.Options...)
	case leaf:
		out = append(out, at.Options...)
	case len(at.Arguments) == 0 && at.common: // of a command that others are below: it has no options of its own
		out = slices.Concat([]string{line[0]}, at.Options, at.Path)
	case at.stray != "":
		return append(out, at.stray)
	case len(at.Arguments) == 0: // else they belong to a command that there is not, which is the fault to tell of
		out = append(out, at.Options...)
	}
	if len(at.Arguments) > 0 {
		out = append(append(out, "--"), at.Arguments...)
	}
	return out
}

// Located is a command line taken apart.
type Located struct {
	Command   *cli.Command // nil = the root
	Path      []string     // words that lead to the command
	Options   []string     // with their values
	Arguments []string
	Pending   cli.Flag // the line ends with this option, whose value is still missing
	Literal   bool     // a "--" was seen
	common    bool     // there are options, and all of them the root has
	help      bool     // one of the options asks for help
	stray     string   // an option before all arguments that nothing on the way to the command has
}

// Find takes a command line (without the program's name) apart.
func Find(root *cli.App, line []string) Located {
	var at Located
	commands, flags := root.Commands, root.Flags
	others := false
	for i := 0; i < len(line); i++ {
		word := line[i]
		switch {
		case at.Literal || word == "-" || !strings.HasPrefix(word, "-"):
			if sub := named(commands, word); sub != nil && len(at.Arguments) == 0 && !at.Literal {
				at.Command, at.Path = sub, append(at.Path, word)
				commands, flags = sub.Subcommands, append(slices.Clone(flags), sub.Flags...)
				continue
			}
			at.Arguments = append(at.Arguments, word)
		case word == "--":
			at.Literal = true
		default:
			for _, option := range split(flags, word) {
				at.Options = append(at.Options, option)
				help := slices.Contains([]string{"--help", "-help", "-h"}, option)
				at.help = at.help || help
				f := optionOf(flags, option)
				if f == nil && !help && at.stray == "" && len(at.Arguments) == 0 {
					at.stray = option
				}
				others = others || help || optionOf(root.Flags, option) == nil
				if f == nil || !takesValue(f) || strings.Contains(option, "=") {
					continue
				}
				if i+1 == len(line) {
					at.Pending = f
					continue
				}
				i++
				at.Options = append(at.Options, line[i])
			}
		}
	}
	at.common = len(at.Options) > 0 && !others
	return at
}

func named(cs []*cli.Command, name string) *cli.Command {
	for _, c := range cs {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// optionOf returns the flag that a word such as "--prefix=x" or "-y" sets, nil if there is none.
func optionOf(flags []cli.Flag, word string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// split makes -r -y of -ry, if each letter is an option without a value.
func split(flags []cli.Flag, word string) []string {
	if strings.HasPrefix(word, "--") || len(word) < 3 || strings.Contains(word, "=") || optionOf(flags, word) != nil {
		return []string{word}
	}
	var parts []string
	for _, letter := range word[1:] {
		f := optionOf(flags, string(letter))
		if f == nil || takesValue(f) {
			return []string{word}
		}
		parts = append(parts, "-"+string(letter))
	}
	return parts
}
