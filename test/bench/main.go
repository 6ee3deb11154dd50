// Command bench measures aistore beside nginx on this machine, in one run and as ratios: durable PUT, GET, HEAD and DELETE,
// straight to the owners and through the gateway, at several concurrencies; a listing of many names; and the time from
// start to ready. `make bench` runs it; docs/benchmarks.md explains the figures.
//
// With -s3 (`make bench-s3`) the same is measured in the S3 dialect, signed and through the gateway, beside nginx and, where it is
// in PATH, MinIO; and whole uploads and downloads by the aws command line.
//
// It starts a cluster of 1 gateway and 3 targets with 2 mountpaths each (package deploy/local), loads it with bin/aisloader,
// gives nginx the very same objects as files, and removes everything afterwards. It draws no
// conclusions: the table is the result.
//
// Start at main; what is measured stands in plan.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"aistore/deploy/local"
)

// options are the flags.
type options struct {
	dir, bin       string
	port           int
	seconds        time.Duration
	rounds         int
	sizes          string
	concurrency    string
	ops            string
	names          int64
	starts         int
	targets, disks int
	noNginx        bool
	s3             bool
	asJSON         bool
	env            string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", filepath.Join("data", "bench"), "`directory` for the cluster and nginx; made, and removed at the end. It must be on a real disk: PUTs are synced")
	flag.StringVar(&o.bin, "bin", "bin", "`directory` of aisnode and aisloader")
	flag.IntVar(&o.port, "port", 9480, "first `port`; the cluster takes the next ones, nginx and single nodes those from 20 on, the cluster of one disk those from 60 on")
	flag.DurationVar(&o.seconds, "time", time.Second, "`time` per cell and round")
	flag.IntVar(&o.rounds, "rounds", 3, "`times` to measure every cell; the figures are medians")
	flag.StringVar(&o.sizes, "sizes", "4KiB,64KiB,1MiB", "object `sizes`")
	flag.StringVar(&o.concurrency, "concurrency", "1,8,32", "`connections`")
	flag.StringVar(&o.ops, "ops", "put,get,head,delete,list,start", "`what` to measure; with -s3 also multipart")
	flag.Int64Var(&o.names, "names", 100_000, "`number` of objects to list")
	flag.IntVar(&o.starts, "starts", 5, "`times` to start a single node")
	flag.IntVar(&o.targets, "targets", 3, "`number` of targets")
	flag.IntVar(&o.disks, "mountpaths", 2, "`number` of mountpaths per target")
	flag.BoolVar(&o.noNginx, "no-nginx", false, "leave nginx out")
	flag.BoolVar(&o.s3, "s3", false, "measure the S3 dialect through the gateway, beside MinIO where it is in PATH")
	flag.BoolVar(&o.asJSON, "json", false, "print JSON")
	flag.StringVar(&o.env, "node-env", "", "`K=V,...` for the nodes' environment")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	o       options
	dir     string
	cluster servers // the one that is measured
	lone    servers // one of one disk, for what depends on how many logs share it; nil when that is asked for
	nginx   *nginx
	minio   *minio
	res     Result
}

// servers are a cluster and its processes.
type servers struct {
	*local.Cluster
	pids []int
}

// Result is what a run found; its JSON is what --json prints.
type Result struct {
	Machine string        `json:"machine"`
	Began   time.Time     `json:"began"`
	Notes   []string      `json:"notes,omitempty"`
	Cells   []Cell        `json:"cells"`
	Starts  []StartResult `json:"starts,omitempty"`
}

func run(ctx context.Context, o options) (err error) {
	b := &bench{o: o, res: Result{Machine: machine(), Began: time.Now()}}
	if b.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if b.o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	if _, err := os.Stat(b.dir); err == nil {
		return fmt.Errorf("%s exists: remove it or give another --dir", b.dir)
	}
	if o.rounds < 1 {
		return fmt.Errorf("--rounds: %d is no number of rounds: use 1 or more", o.rounds)
	}
	plan, err := newPlan(o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o750); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	b.res.Machine += ", " + fsName(b.dir)
	if len(plan) > 0 {
		err = b.measure(ctx, plan)
	}
	if err == nil && strings.Contains(o.ops, "start") {
		err = b.starts(ctx)
	}
	return errors.Join(err, b.res.print(os.Stdout, o.asJSON)) // what there is, also when something failed
}

// measure runs the plan against a fresh cluster, and nginx where there is one.
func (b *bench) measure(ctx context.Context, plan []group) (err error) {
	defer func() { err = errors.Join(err, b.down(context.WithoutCancel(ctx))) }()
	if b.cluster, err = b.up(ctx, "cluster", b.o.targets, b.o.disks, b.o.port); err != nil {
		return err
	}
	if b.o.targets*b.o.disks > 1 && slices.ContainsFunc(plan, func(g group) bool { return g.op == "put" || g.op == "delete" }) {
		if b.lone, err = b.up(ctx, "lone", 1, 1, b.o.port+60); err != nil {
			return err
		}
	}
	switch {
	case b.o.noNginx:
	default:
		if b.nginx, err = startNginx(ctx, filepath.Join(b.dir, "nginx"), b.o.port+20); errors.Is(err, exec.ErrNotFound) {
			b.note("nginx is not in PATH: its rows are left out")
			b.nginx = nil
		} else if err != nil {
			return err
		}
	}
	if b.nginx != nil {
		defer b.nginx.stop()
		b.note("%s, sendfile, same objects as files; its PUTs are not synced", b.nginx.version)
	}
	if b.o.s3 {
		if b.minio, err = startMinio(ctx, filepath.Join(b.dir, "minio"), b.o.port+40); errors.Is(err, exec.ErrNotFound) {
			b.note("minio is not in PATH: its rows are left out")
		} else if err != nil {
			return err
		} else {
			defer b.minio.stop()
			b.note("%s, one drive", b.minio.version)
		}
	}
	for _, g := range plan {
		if err := b.group(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// up starts a cluster of 1 gateway.
func (b *bench) up(ctx context.Context, name string, targets, disks, port int) (servers, error) {
	began := time.Now()
	var env []string
	if b.o.env != "" {
		env = strings.Split(b.o.env, ",")
	}
	c, err := local.Up(ctx, local.Options{
		Dir: filepath.Join(b.dir, name), Gateways: 1, Targets: targets, Mountpaths: disks, Port: port,
		Binary: filepath.Join(b.o.bin, "aisnode"), Env: append(env, "AIS_ROOT_ACCESS_KEY="+accessKey, "AIS_ROOT_SECRET_KEY="+secretKey),
	})
	if err != nil {
		return servers{}, err
	}
	s := servers{Cluster: c}
	for _, n := range c.Status() {
		s.pids = append(s.pids, n.PID)
	}
	b.note("cluster of 1 gateway and %d targets x %d mountpaths: up in %.2f s", targets, disks, time.Since(began).Seconds())
	return s, nil
}

// down stops what was started.
func (b *bench) down(ctx context.Context) error {
	var all []error
	for _, s := range []servers{b.cluster, b.lone} {
		if s.Cluster != nil {
			all = append(all, s.Down(ctx))
		}
	}
	return errors.Join(all...)
}

func (b *bench) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.res.Notes = append(b.res.Notes, text)
	fmt.Fprintln(os.Stderr, text)
}

func join(ns []int) string {
	var s []string
	for _, n := range ns {
		s = append(s, strconv.Itoa(n))
	}
	return strings.Join(s, ",")
}

// loader runs aisloader and returns its report; an error of an operation is an error of the run.
func (b *bench) loader(ctx context.Context, args ...string) (*report, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.o.bin, "aisloader"), append(args, "--json")...)
	var text strings.Builder
	cmd.Stderr = &text
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.Output()
	var r report
	if jerr := json.Unmarshal(out, &r); jerr != nil && err == nil {
		err = jerr
	}
	if err != nil {
		return nil, fmt.Errorf("aisloader %s: %w: %s %q", strings.Join(args, " "), err, text.String(), r.Samples)
	}
	return &r, nil
}

// report is the part of aisloader's report that is used here.
type report struct {
	Total struct {
		PerSecond float64 `json:"per_second"`
		MiBPerSec float64 `json:"mib_per_second"`
		Mean      float64 `json:"mean_us"`
		P50       float64 `json:"p50_us"`
		P99       float64 `json:"p99_us"`
	} `json:"total"`
	Durability string   `json:"durability"`
	Names      int64    `json:"names"`
	Samples    []string `json:"error_samples"`
	ClientCPU  float64  `json:"client_cpu_us_per_op"`
	ServerCPU  float64  `json:"server_cpu_us_per_op"`
	ServerRSS  int64    `json:"server_rss_bytes"`
}
