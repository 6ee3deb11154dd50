// Command ais works with a cluster: buckets, objects, jobs, configuration, and local clusters to try it all on.
//
// All verbs are in package command; this is only where the process begins and ends.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"aistore/cmd/ais/command"
)

// version is set by the linker.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	code := command.Main(ctx, command.Process{
		Args: os.Args, Getenv: os.Getenv, Version: version,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	stop()
	os.Exit(code)
}
