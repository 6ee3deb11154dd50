package command

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder moves the options of a command line before its arguments, where package flag wants them, and takes
// apart -ry into -r -y. So `ais put DIR ais://b/ -r -y` means what it says. Behind "--" everything is an argument.
func reorder(root *cli.App, line []string) []string {
	if len(line) == 0 {
		return line
	}
	at := find(root, line[1:])
	out := append([]string{line[0]}, at.path...)
	out = append(out, at.options...)
	if len(at.arguments) > 0 {
		out = append(append(out, "--"), at.arguments...)
	}
	return out
}

// located is a command line taken apart.
type located struct {
	command   *cli.Command // nil = the root
	path      []string     // words that lead to the command
	options   []string     // with their values
	arguments []string
	pending   cli.Flag // the line ends with this option, whose value is still missing
	literal   bool     // a "--" was seen
}

// find takes a command line (without the program's name) apart.
func find(root *cli.App, line []string) located {
	var at located
	commands, flags := root.Commands, root.Flags
	for i := 0; i < len(line); i++ {
		word := line[i]
		switch {
		case at.literal || word == "-" || !strings.HasPrefix(word, "-"):
			if sub := named(commands, word); sub != nil && len(at.arguments) == 0 && !at.literal {
				at.command, at.path = sub, append(at.path, word)
				commands, flags = sub.Subcommands, append(slices.Clone(flags), sub.Flags...)
				continue
			}
			at.arguments = append(at.arguments, word)
		case word == "--":
			at.literal = true
		default:
			for _, option := range split(flags, word) {
				at.options = append(at.options, option)
				f := optionOf(flags, option)
				if f == nil || !takesValue(f) || strings.Contains(option, "=") {
					continue
				}
				if i+1 == len(line) {
					at.pending = f
					continue
				}
				i++
				at.options = append(at.options, line[i])
			}
		}
	}
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
