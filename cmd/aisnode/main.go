// Command aisnode runs one node of a cluster: a gateway, a target, or both in one process.
//
// Without arguments it is a whole store on http://127.0.0.1:8080 that keeps everything in ./data.
// Exit codes: 0 stopped by SIGTERM or SIGINT after the drain, or by itself when it was shut down or decommissioned, 1 failed, 2 wrong configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"aistore/cmd/aisnode/app"
	"aistore/config"
	"aistore/errs"
	"aistore/internal/slack"
)

// version is set by the linker.
var version = "unknown"

// Exit codes.
const (
	exitFailed = 1
	exitConfig = 2
)

func main() {
	slack.Coarse()
	limitMemory(os.Stderr)
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// memoryShare is what Go may have of the memory of a container; the kernel's buffers and the page cache have the rest.
const memoryShare = 0.75

// limitMemory has Go collect more often as it comes near to what a container may have, instead of being killed for it. GOMEMLIMIT, if it
// is set, and AUTOMEMLIMIT, a share or "off", come first.
func limitMemory(stderr io.Writer) {
	_, err := memlimit.Set(memlimit.WithRatio(memoryShare))
	if err != nil && !errors.Is(err, memlimit.ErrNoCgroup) && !errors.Is(err, memlimit.ErrCgroupsNotSupported) {
		fmt.Fprintf(stderr, "aisnode: memory is not limited: %v\n", err)
	}
}

func run(args, environ []string, stdout, stderr io.Writer) int {
	if slices.Contains(args, "--version") || slices.Contains(args, "-version") {
		fmt.Fprintln(stdout, "aisnode", version)
		return 0
	}
	cfg, err := config.Load(args, environ)
	switch {
	case errors.Is(err, flag.ErrHelp):
		if err := config.Usage(stdout); err != nil {
			return exitFailed
		}
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "aisnode: %s\n", errs.Plain(err))
		fmt.Fprintln(stderr, "aisnode --help lists every setting.")
		return exitConfig
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	o := app.Options{Version: version, Log: stderr}
	for {
		err := serve(ctx, cfg, &o, stdout)
		if errors.Is(err, app.ErrReopen) && ctx.Err() == nil {
			continue
		}
		if err != nil && !errors.Is(err, app.ErrReopen) {
			fmt.Fprintf(stderr, "aisnode: %s\n", errs.Plain(err))
			return exitFailed
		}
		return 0
	}
}

// serve runs the node until ctx ends or it ends by itself; o is then what it is to be opened with again.
func serve(ctx context.Context, cfg config.Node, o *app.Options, stdout io.Writer) error {
	a, err := app.Open(ctx, cfg, *o)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintf(o.Log, "aisnode: stopped before it was open: %s\n", errs.Plain(err))
		return nil
	}
	if err != nil {
		return errs.E("aisnode.serve", "cannot start", err)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	var greeting sync.WaitGroup
	if cfg.HasGateway() {
		greeting.Go(func() { greet(ctx, a, cfg, stdout) })
	}
	err = a.Run(ctx)
	end()
	greeting.Wait()
	o.Was = a.Was()
	return err
}

// greet prints how to use the node once it is ready.
func greet(ctx context.Context, a *app.App, cfg config.Node, w io.Writer) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for a.Ready() != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	fmt.Fprintf(w, `ready: %[1]s  (node %[2]s, role %[3]s, data in %[4]s)
%[6]s
try:
  export AIS_ENDPOINT=%[1]s
  %[5]s create ais://demo && %[5]s put README.md ais://demo
  curl -L %[1]s/ais/demo/README.md
`, a.URL(), a.ID(), cfg.Role, cfg.Dir, cli(), s3Line(a))
}

// s3Line says how S3 clients get in. A secret that somebody chose is not printed.
func s3Line(a *app.App) string {
	line := "S3:    " + a.URL()
	if u := a.TLSURL(); u != "" {
		line += " and " + u
	}
	switch access, secret := a.RootKey(); {
	case secret != "":
		return line + "  (access key " + access + ", secret key " + secret + ": the default, for trying things out)"
	case access != "":
		return line + "  (access key " + access + ")"
	}
	return line + "  (keys: " + cli() + " auth show)"
}

// cli is how the user calls ais here: by its name if that is in PATH, else as the file beside this binary.
func cli() string {
	if _, err := exec.LookPath("ais"); err == nil {
		return "ais"
	}
	self, err := os.Executable()
	if err != nil {
		return "ais"
	}
	beside := filepath.Join(filepath.Dir(self), "ais")
	if _, err := os.Stat(beside); err != nil {
		return "ais"
	}
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, beside); err == nil && !strings.HasPrefix(rel, "..") {
			return rel
		}
	}
	return beside
}
