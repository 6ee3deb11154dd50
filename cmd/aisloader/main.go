// Command aisloader puts a bounded load of puts, gets, heads, deletes or listings on an aistore cluster (native API), an S3
// server or a plain HTTP server, checks what it reads, and reports operations per second, latency percentiles and the
// servers' CPU time per operation. docs/aisloader.md explains its use.
//
// It exits with 0, with 1 when operations failed or bytes differed, with 2 for wrong flags.
//
// Start at main; the engine is package load.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"aistore/cmd/aisloader/load"
	"aistore/internal/slack"
)

// version is set by the build.
var version = "unknown"

func main() {
	slack.Coarse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once, also while it cleans up
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with everything passed in; it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, asJSON, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errVersion):
		fmt.Fprintln(stdout, "aisloader", version)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "aisloader: %v\n", err)
		return 2
	}
	rep, err := load.Run(ctx, cfg)
	if rep != nil {
		if perr := print(rep, asJSON, stdout); perr != nil {
			err = errors.Join(err, perr)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "aisloader: %v\n", err)
		return 1
	}
	if rep.Errors > 0 {
		return 1
	}
	return 0
}

func print(rep *load.Report, asJSON bool, w io.Writer) error {
	if !asJSON {
		return rep.Print(w)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rep)
}

var errVersion = errors.New("version asked for")

// text are the flags that need more than package flag's parsing.
type text struct {
	endpoint, api, op, mix, size, pids, order string
	asJSON, version, mixGiven                 bool
}

// span is a flag of a time, whose error says how one is written.
type span time.Duration

// Set implements flag.Value.
func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("write it with its unit, as 10s or 1m30s")
	}
	*s = span(d)
	return nil
}

func (s *span) String() string { return time.Duration(*s).String() }

func parse(args []string, help io.Writer) (load.Config, bool, error) {
	var c load.Config
	var t text
	fs := flag.NewFlagSet("aisloader", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&t.endpoint, "endpoint", envOr("AIS_ENDPOINT", "http://127.0.0.1:8080"), "`URLs` of servers, comma separated (AIS_ENDPOINT)")
	fs.StringVar(&t.api, "api", "native", "`dialect`: native, s3, or http (plain files, as nginx serves them)")
	fs.BoolVar(&c.Direct, "direct", false, "native: straight to the owners by the cluster map, as the SDK does, instead of through redirects")
	fs.StringVar(&c.Bucket, "bucket", "", "`name`; with --api http the directory, may be empty")
	fs.StringVar(&c.Prefix, "prefix", "load/", "`text` before every key")
	fs.StringVar(&t.op, "op", "", "`operation`: put, get, head, delete, list (one operation is one whole listing), mixed (see --mix)")
	fs.StringVar(&t.mix, "mix", "get=80,put=20", "`shares` of --op mixed")
	fs.StringVar(&t.size, "size", "4KiB", "`bytes` of an object: 4KiB, or a list 4KiB,1MiB, or a range 1KiB-1MiB; a key keeps its size")
	fs.Int64Var(&c.Objects, "objects", 0, "`number` of names; 0 = every put has a new one")
	fs.Uint64Var(&c.Seed, "seed", 1, "`number` that contents and sizes are derived from")
	fs.StringVar(&t.order, "order", "random", "`how` get and head choose names: random or seq")
	fs.IntVar(&c.Concurrency, "concurrency", 8, "`connections` that work at the same time")
	fs.Var((*span)(&c.Duration), "duration", "`time` of the measured part")
	fs.Int64Var(&c.Ops, "ops", 0, "`operations` of the measured part; with --duration whichever ends first")
	fs.Var((*span)(&c.Warmup), "warmup", "`time` of the same load before, not counted")
	fs.BoolVar(&c.Fill, "fill", false, "first put all --objects, not counted")
	fs.BoolVar(&c.Create, "create-bucket", false, "first create the bucket if it is not there")
	fs.BoolVar(&c.Cleanup, "cleanup", false, "afterwards delete what was put, and the bucket if this run created it")
	fs.BoolVar(&c.Verify, "verify", false, "compare every byte read with what was put")
	fs.IntVar(&c.PageSize, "page-size", 1000, "`names` per list page")
	c.Timeout = 60 * time.Second
	fs.Var((*span)(&c.Timeout), "timeout", "`time` for one request")
	fs.Int64Var(&c.MaxErrors, "max-errors", 100, "give up after this `number` of errors")
	fs.StringVar(&c.Credentials.AccessKey, "s3-access-key", os.Getenv("AWS_ACCESS_KEY_ID"), "`key` id (AWS_ACCESS_KEY_ID)")
	fs.StringVar(&c.Credentials.SecretKey, "s3-secret-key", "", "secret `key` (AWS_SECRET_ACCESS_KEY)")
	fs.StringVar(&c.Credentials.Region, "s3-region", envOr("AWS_REGION", "us-east-1"), "`region` to sign for (AWS_REGION)")
	fs.StringVar(&t.pids, "server-pids", "", "`pids` of the servers, comma separated: report their CPU time per operation and memory")
	fs.BoolVar(&t.asJSON, "json", false, "print the report as JSON")
	fs.BoolVar(&t.version, "version", false, "print the version")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(help)
		fmt.Fprintf(help, "usage: aisloader --op OPERATION --bucket NAME --duration TIME [flags]\n\n")
		fs.PrintDefaults()
		return c, false, err
	case err != nil:
		return c, false, err
	case t.version:
		return c, false, errVersion
	case fs.NArg() > 0:
		return c, false, fmt.Errorf("%q is not a flag", fs.Arg(0))
	}
	if c.Credentials.SecretKey == "" {
		c.Credentials.SecretKey = os.Getenv("AWS_SECRET_ACCESS_KEY")
	}
	if err := t.into(&c); err != nil {
		return c, false, err
	}
	fs.Visit(func(f *flag.Flag) { t.mixGiven = t.mixGiven || f.Name == "mix" })
	if t.mixGiven && t.op != "mixed" {
		return c, false, fmt.Errorf("--mix: counts with --op mixed only, not with --op %s", t.op)
	}
	return c, t.asJSON, c.Validate()
}

func envOr(name, or string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return or
}

// into parses the texts.
func (t *text) into(c *load.Config) error {
	for e := range strings.SplitSeq(t.endpoint, ",") {
		if e = strings.TrimSuffix(strings.TrimSpace(e), "/"); e == "" {
			continue
		}
		if !strings.Contains(e, "://") {
			e = "http://" + e
		}
		c.Endpoints = append(c.Endpoints, e)
	}
	c.API = load.API(t.api)
	if c.API != load.HTTP { // as the CLI and S3 clients write it
		for _, scheme := range []string{"ais://", "s3://"} {
			if name, ok := strings.CutPrefix(c.Bucket, scheme); ok {
				c.Bucket = strings.TrimSuffix(name, "/")
			}
		}
	}
	var err error
	switch t.op {
	case "":
		return errors.New("--op: none given: use put, get, head, delete, list or mixed")
	case "mixed":
		if c.Mix, err = load.ParseMix(t.mix); err != nil {
			return fmt.Errorf("--mix: %w", err)
		}
	default:
		op, err := load.ParseOp(t.op)
		if err != nil {
			return fmt.Errorf("--op: %w", err)
		}
		c.Mix[op] = 1
	}
	if c.Sizes, err = load.ParseSizes(t.size); err != nil {
		return fmt.Errorf("--size: %w", err)
	}
	switch t.order {
	case "random":
		c.Random = c.Mix[load.Put] == 0 && c.Mix[load.Delete] == 0
	case "seq":
	default:
		return fmt.Errorf("--order: %q is unknown: use random or seq", t.order)
	}
	for p := range strings.SplitSeq(t.pids, ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		n, err := strconv.Atoi(p)
		if err != nil || n <= 0 {
			return fmt.Errorf("--server-pids: %q is not a process id", p)
		}
		c.ServerPIDs = append(c.ServerPIDs, n)
	}
	return nil
}
