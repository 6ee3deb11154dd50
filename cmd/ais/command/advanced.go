package command

import "github.com/urfave/cli/v2"

// advancedVerbs are `ais advanced`.
type advancedVerbs struct{ *app }

func (a advancedVerbs) command() *cli.Command {
	tools := []*cli.Command{lifeVerbs{a.app}.removeCommand(), a.recoverCommand()}
	return &cli.Command{Name: "advanced", Usage: "tools for emergencies", Subcommands: append(tools, offlineCommands(a.app)...)}
}
