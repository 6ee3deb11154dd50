// Command rebalance measures how fast keys move when a target joins and when one leaves, beside `cp -r` of as many files and bytes on the
// same disk in the same run, what clients notice of it, and how fast an index is walked in which nothing has to move.
// `make bench-rebalance` runs it; docs/benchmarks.md explains the figures.
//
// It starts a cluster of 1 gateway and 5 targets (package deploy/local), of which one stays outside until there are objects, fills it
// with bin/aisloader, and removes everything afterwards. Caches are as the work before leaves them; both sides end with everything
// synced.
//
// Start at main; one size is measured by (*bench).size.
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/test/bench/idle"
)

type options struct {
	dir, bin    string
	port        int
	sizes       string
	disks       int
	concurrency int
	idle        time.Duration
	asJSON      bool
	profile     string
	keep        bool
	weight      int
	paused      time.Duration
	memory      int
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", filepath.Join("data", "bench-rebalance"), "`directory` for the cluster and the copies; made, and removed at the end. It must be on a real disk")
	flag.StringVar(&o.bin, "bin", "bin", "`directory` of aisnode and aisloader")
	flag.IntVar(&o.port, "port", 9580, "first `port`")
	flag.StringVar(&o.sizes, "sizes", "4KiB:60000,16MiB:128", "`SIZE:OBJECTS,...` in the whole cluster")
	flag.IntVar(&o.disks, "mountpaths", 1, "`number` of mountpaths per target")
	flag.IntVar(&o.concurrency, "concurrency", 4, "`connections` of clients that read meanwhile")
	flag.DurationVar(&o.idle, "idle", 3*time.Second, "`time` of reading before, to compare with")
	flag.BoolVar(&o.asJSON, "json", false, "print JSON")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of the targets during each move to this `directory`")
	flag.IntVar(&o.weight, "weight", 0, "rebalance.weight while there are clients; 0 = the default")
	flag.DurationVar(&o.paused, "paused", 0, "let clients read for this `time` while names have new owners and nothing moves, instead of moving: what asking former owners costs")
	flag.IntVar(&o.memory, "memory", 2048, "`MiB` that are taken and given back before each move and each cp, so that both find memory that the machine's host has handed out already")
	flag.BoolVar(&o.keep, "keep", false, "leave the directory, logs among it, as it is at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-rebalance:", err)
		os.Exit(1)
	}
}

// Move is one row: a rebalance, and `cp -r` of what it moved.
type Move struct {
	Size      string  `json:"size"`
	Event     string  `json:"event"`
	Objects   int64   `json:"objects"`
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`    // from the command until the map says that all is done
	CPSeconds float64 `json:"cp_seconds"` // cp -r, and sync
	Ratio     float64 `json:"ratio_to_cp"`
	CPU       float64 `json:"cpu_us_per_object"` // of all nodes together
	CPCPU     float64 `json:"cp_cpu_us_per_file"`
}

// Clients is what they notice. Times are microseconds.
type Clients struct {
	Size     string  `json:"size"`
	IdleP50  float64 `json:"idle_p50_us"`
	IdleP99  float64 `json:"idle_p99_us"`
	MovesP50 float64 `json:"moves_p50_us"`
	MovesP99 float64 `json:"moves_p99_us"`
	Ratio    float64 `json:"ratio_of_p99"`
	IdleRate float64 `json:"idle_per_second"`
	Rate     float64 `json:"moves_per_second"`
	Seconds  float64 `json:"seconds"` // that the rebalance took beside them
}

// Walk is an index in which nothing has to move.
type Walk struct {
	Names   int64   `json:"names"` // of the whole cluster
	Seconds float64 `json:"seconds"`
}

// Result is what a run found.
type Result struct {
	Moves   []Move    `json:"moves"`
	Clients []Clients `json:"clients"`
	Walks   []Walk    `json:"walks"`
}

type bench struct {
	o       options
	dir     string
	cluster *local.Cluster
	client  *client.Client
	res     Result
}

func run(ctx context.Context, o options) (err error) {
	b := &bench{o: o}
	if b.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if b.o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	if _, err := os.Stat(b.dir); err == nil {
		return fmt.Errorf("%s exists: remove it or give another --dir", b.dir)
	}
	if !o.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	for spec := range strings.SplitSeq(o.sizes, ",") {
		size, count, _ := strings.Cut(spec, ":")
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 {
			return fmt.Errorf("--sizes: %q is not SIZE:OBJECTS", spec)
		}
		if err := b.size(ctx, size, n); err != nil {
			return err
		}
	}
	return b.print()
}

// size measures one size in a cluster of its own.
func (b *bench) size(ctx context.Context, size string, objects int64) (err error) {
	dir := filepath.Join(b.dir, "cluster-"+size)
	b.cluster, err = local.Up(ctx, local.Options{
		Dir: dir, Gateways: 1, Targets: 5, Mountpaths: b.o.disks, Port: b.o.port, Binary: filepath.Join(b.o.bin, "aisnode"),
	})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, b.cluster.Down(context.WithoutCancel(ctx)))
		if !b.o.keep {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if b.client, err = client.New(client.Options{Endpoints: []string{b.cluster.Endpoint()}}); err != nil {
		return err
	}
	defer b.client.Close()
	if _, err := b.client.Life().StartMaintenance(ctx, nodes("t5")); err != nil { // outside, until there is something
		return err
	}
	load := []string{"--endpoint", b.cluster.Endpoint(), "--direct", "--bucket", "moving", "--create-bucket", "--size", size, "--objects", strconv.FormatInt(objects, 10)}
	conc := "32"
	if strings.Contains(size, "MiB") {
		conc = "4"
	}
	if _, err := b.loader(ctx, append(load, "--op", "get", "--fill", "--ops", "1", "--concurrency", conc)...); err != nil {
		return err
	}
	join := func() error { _, err := b.client.Life().StopMaintenance(ctx, nodes("t5")); return err }
	if err := b.move(ctx, size, "join", join); err != nil {
		return err
	}
	leave := func() error { _, err := b.client.Life().StartMaintenance(ctx, nodes("t2")); return err }
	if err := b.move(ctx, size, "leave", leave); err != nil {
		return err
	}
	if err := b.walk(ctx, objects); err != nil {
		return err
	}
	return b.clients(ctx, size, load)
}

func nodes(ids ...string) api.NodesMsg { return api.NodesMsg{Nodes: ids} }

// move measures one rebalance and the copy of as many files and bytes.
func (b *bench) move(ctx context.Context, size, event string, begin func() error) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	if err := idle.Memory(b.o.memory << 20); err != nil {
		return err
	}
	stop := b.profiles(ctx, size+"-"+event)
	cpu := b.cpu()
	began := time.Now()
	if err := begin(); err != nil {
		return err
	}
	reb, err := b.settled(ctx)
	if err != nil {
		return err
	}
	m := Move{Size: size, Event: event, Objects: reb.Objects, Bytes: reb.Bytes, Seconds: time.Since(began).Seconds()}
	cpu = b.cpu() - cpu
	stop()
	if m.Objects == 0 {
		return fmt.Errorf("%s of %s: nothing moved", event, size)
	}
	m.CPU = float64(cpu.Microseconds()) / float64(m.Objects)
	if err := b.freed(ctx); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	if m.CPSeconds, m.CPCPU, err = b.copy(ctx, m.Objects, m.Bytes); err != nil {
		return err
	}
	m.Ratio = m.CPSeconds / m.Seconds
	b.res.Moves = append(b.res.Moves, m)
	fmt.Fprintf(os.Stderr, "%s %s: %d objects, %d bytes in %.2f s, %.0f MB/s; cp -r %.2f s: %.2fx; CPU %.0f us each, cp %.0f\n", size, event, m.Objects, m.Bytes, m.Seconds,
		float64(m.Bytes)/m.Seconds/1e6, m.CPSeconds, m.Ratio, m.CPU, m.CPCPU)
	return nil
}

// settle waits until the nodes rest and dirty pages are on the disk, so that neither side is charged with what came before: objects that
// were just put, compactions.
func (b *bench) settle(ctx context.Context) error { return idle.Await(ctx, b.pids()) }

// cpu is the processor time of all nodes.
func (b *bench) cpu() time.Duration { return idle.CPU(b.pids()) }

func (b *bench) pids() (pids []int) {
	for _, n := range b.cluster.Status() {
		pids = append(pids, n.PID)
	}
	return pids
}

// settled waits for the end of the rebalance, and returns what was done.
func (b *bench) settled(ctx context.Context) (*api.Rebalance, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := b.client.Life().Rebalance(ctx)
		if err != nil {
			return nil, err
		}
		if !r.Running {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// freed waits until the nodes remove no more files of what has moved: they do so afterwards, and cp is not to wait for it.
func (b *bench) freed(ctx context.Context) error {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for last := -1; ; {
		n := 0
		err := filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.Contains(path, "/blobs/") {
				n++
			}
			return nil // it may go while it is looked at
		})
		if err != nil || n == last {
			return err
		}
		last = n
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// copy is the time of `cp -r` of as many files and bytes, and sync.
func (b *bench) copy(ctx context.Context, files, bytes int64) (seconds, cpu float64, err error) {
	from, to := filepath.Join(b.dir, "from"), filepath.Join(b.dir, "to")
	defer func() { err = errors.Join(err, os.RemoveAll(from), os.RemoveAll(to)) }()
	buf := make([]byte, bytes/files)
	for i := range buf {
		buf[i] = byte(i * 7 >> 3)
	}
	for i := range files {
		dir := filepath.Join(from, strconv.FormatInt(i/1000, 10))
		if i%1000 == 0 {
			if err := os.MkdirAll(dir, 0o750); err != nil {
				return 0, 0, err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, strconv.FormatInt(i, 10)), buf, 0o600); err != nil {
			return 0, 0, err
		}
	}
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return 0, 0, err
	}
	if err := idle.Memory(b.o.memory << 20); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	for _, args := range [][]string{{"cp", "-r", from, to}, {"sync"}} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, 0, fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
		cpu += float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / float64(files)
	}
	return time.Since(began).Seconds(), cpu, nil
}

// walk lets every target look through all it has, when nothing has to move.
func (b *bench) walk(ctx context.Context, objects int64) error {
	began := time.Now()
	if _, err := b.client.Life().StartRebalance(ctx); err != nil {
		return err
	}
	if _, err := b.settled(ctx); err != nil {
		return err
	}
	w := Walk{Names: objects, Seconds: time.Since(began).Seconds()}
	b.res.Walks = append(b.res.Walks, w)
	fmt.Fprintf(os.Stderr, "nothing to move among %d names: %.2f s\n", w.Names, w.Seconds)
	return nil
}

// clients measures what those notice who read while a target leaves.
func (b *bench) clients(ctx context.Context, size string, load []string) error {
	read := append(load, "--op", "get", "--concurrency", strconv.Itoa(b.o.concurrency), "--warmup", "500ms")
	idle, err := b.loader(ctx, append(read, "--duration", b.o.idle.String())...)
	if err != nil {
		return err
	}
	if b.o.weight > 0 {
		if err := b.client.SetConfig(ctx, map[string]string{"rebalance.weight": strconv.Itoa(b.o.weight)}); err != nil {
			return err
		}
	}
	profiled := b.profiles(ctx, size+"-read")
	began := time.Now()
	done := make(chan error, 1)
	moving, stop := context.WithCancel(ctx)
	defer stop()
	var during *report
	go func() {
		var err error
		during, err = b.loader(moving, append(read, "--duration", "10m")...)
		done <- err
	}()
	if _, err := b.client.Life().StartMaintenance(ctx, nodes("t3")); err != nil {
		return err
	}
	if b.o.paused > 0 {
		err = b.pause(ctx)
	} else {
		_, err = b.settled(ctx)
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	stop()
	if err := <-done; err != nil {
		return err
	}
	profiled()
	c := Clients{
		Size: size, IdleP50: idle.Total.P50, IdleP99: idle.Total.P99, MovesP50: during.Total.P50, MovesP99: during.Total.P99,
		Ratio: during.Total.P99 / idle.Total.P99, IdleRate: idle.Total.PerSecond, Rate: during.Total.PerSecond, Seconds: took.Seconds(),
	}
	b.res.Clients = append(b.res.Clients, c)
	fmt.Fprintf(os.Stderr, "%s: GET p99 idle %.0f us, moving %.0f us: %.1fx; %.0f/s and %.0f/s; the rebalance took %.2f s\n", size, c.IdleP99, c.MovesP99, c.Ratio, c.IdleRate, c.Rate, c.Seconds)
	return nil
}

// pause stops the rebalance, for as long as is to be measured.
func (b *bench) pause(ctx context.Context) error {
	if err := b.client.Life().StopRebalance(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(b.o.paused):
		return nil
	}
}

// report is the part of aisloader's report that is used here.
type report struct {
	Total struct {
		PerSecond float64 `json:"per_second"`
		P50       float64 `json:"p50_us"`
		P99       float64 `json:"p99_us"`
	} `json:"total"`
	Samples []string `json:"error_samples"`
}

// loader runs aisloader; when ctx ends it stops and reports what there was.
func (b *bench) loader(ctx context.Context, args ...string) (*report, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.o.bin, "aisloader"), append(args, "--json")...)
	var text strings.Builder
	cmd.Stderr = &text
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.Output()
	var r report
	if jerr := json.Unmarshal(out, &r); jerr != nil {
		return nil, fmt.Errorf("aisloader %s: %w: %s", strings.Join(args, " "), errors.Join(err, jerr), text.String())
	}
	if len(r.Samples) > 0 {
		return nil, fmt.Errorf("aisloader %s: %q", strings.Join(args, " "), r.Samples)
	}
	return &r, nil
}

// profiles takes CPU profiles of all targets, if they are wanted; the returned function waits for them.
func (b *bench) profiles(ctx context.Context, name string) (wait func()) {
	if b.o.profile == "" {
		return func() {}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var all []*exec.Cmd
		for _, n := range b.cluster.Nodes() {
			if n.Role == local.RoleProxy {
				continue
			}
			url := "http://127.0.0.1:" + strconv.Itoa(n.IntraPort) + "/debug/pprof/profile?seconds=2"
			cmd := exec.CommandContext(ctx, "curl", "-s", "-o", filepath.Join(b.o.profile, name+"-"+n.ID+".pprof"), url)
			if cmd.Start() == nil {
				all = append(all, cmd)
			}
		}
		for _, cmd := range all {
			_ = cmd.Wait() // a profile that is missing is seen
		}
	}()
	return func() { <-ended }
}

func (b *bench) print() error {
	if b.o.asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(b.res)
	}
	fmt.Printf("%-8s %-6s %9s %9s %9s %9s %9s %9s %9s %9s\n", "size", "event", "objects", "seconds", "MB/s", "obj/s", "cp -r s", "x cp", "CPU us", "cp CPU us")
	for _, m := range b.res.Moves {
		fmt.Printf("%-8s %-6s %9d %9.2f %9.0f %9.0f %9.2f %9.2f %9.0f %9.0f\n", m.Size, m.Event, m.Objects, m.Seconds, float64(m.Bytes)/m.Seconds/1e6, float64(m.Objects)/m.Seconds, m.CPSeconds, m.Ratio, m.CPU, m.CPCPU)
	}
	fmt.Printf("\n%-8s %12s %12s %12s %12s %8s %10s %10s\n", "GET", "idle p50 us", "idle p99 us", "move p50 us", "move p99 us", "x p99", "idle /s", "moving /s")
	for _, c := range b.res.Clients {
		fmt.Printf("%-8s %12.0f %12.0f %12.0f %12.0f %8.1f %10.0f %10.0f\n", c.Size, c.IdleP50, c.IdleP99, c.MovesP50, c.MovesP99, c.Ratio, c.IdleRate, c.Rate)
	}
	for _, w := range b.res.Walks {
		fmt.Printf("nothing to move among %d names: %.2f s\n", w.Names, w.Seconds)
	}
	return nil
}
