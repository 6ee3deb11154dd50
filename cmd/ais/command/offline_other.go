//go:build !linux

package command

import "github.com/urfave/cli/v2"

// offlineCommands are none: nodes, and with them mountpaths, are of Linux alone.
func offlineCommands(*app) []*cli.Command { return nil }
