package command

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// helpCommand is `help [COMMAND ...]` of the commands that path leads to, in place of package cli's own: that one shows a group without what is
// in it, does not look past the first word, and ends with its own exit code.
func (a *app) helpCommand(path ...string) *cli.Command {
	return a.verb(&cli.Command{
		Name: "help", Aliases: []string{"h"}, Usage: "show the commands, or the help of one", ArgsUsage: "[COMMAND ...]",
		Action: func(c *cli.Context) error {
			at, within := slices.Clone(path), a.below(path)
			for _, word := range c.Args().Slice() {
				i := slices.IndexFunc(within, func(sub *cli.Command) bool { return sub.HasName(word) })
				if i < 0 {
					return noCommand(c.App, at, within, word)
				}
				at, within = append(at, within[i].Name), within[i].Subcommands
			}
			return c.App.RunContext(c.Context, append(at, "--help"))
		},
	})
}

// below returns the commands of a group, named by its path from the root.
func (a *app) below(path []string) []*cli.Command {
	within := a.root.Commands
	for _, word := range path[1:] {
		i := slices.IndexFunc(within, func(sub *cli.Command) bool { return sub.Name == word })
		within = within[i].Subcommands
	}
	return within
}
