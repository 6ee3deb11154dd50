package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"aistore/api/client"
	"aistore/test/bench/idle"
)

// Routes of a cell.
const (
	direct  = "direct"  // to the owners by the cluster map, as the SDKs do
	gateway = "gateway" // through the gateway's redirect, as curl does
	viaWWW  = "nginx"
	viaS3   = "s3"    // signed, to the gateway, which relays
	viaPeer = "minio" // likewise

	oneDisk = " 1x1" // behind a route: to a cluster of 1 gateway and 1 target with 1 mountpath, whose log has the disk to itself
)

// Cell is one row of the table. Times are microseconds.
type Cell struct {
	Op          string  `json:"op"`
	Size        string  `json:"size"`
	Concurrency int     `json:"concurrency"`
	Route       string  `json:"route"`
	Durability  string  `json:"durability,omitempty"` // of PUT and DELETE
	PerSecond   float64 `json:"per_second"`
	MiBPerSec   float64 `json:"mib_per_second"`
	P50         float64 `json:"p50_us"`
	P99         float64 `json:"p99_us"`
	ServerCPU   float64 `json:"server_cpu_us_per_op"`
	ClientCPU   float64 `json:"client_cpu_us_per_op"`
	Ratio       float64 `json:"ratio_to_nginx,omitempty"`     // of operations per second; above 1 is faster
	CPURatio    float64 `json:"cpu_ratio_to_nginx,omitempty"` // of server CPU per operation; below 1 is cheaper
	Peer        float64 `json:"ratio_to_minio,omitempty"`
	PeerCPU     float64 `json:"cpu_ratio_to_minio,omitempty"`
}

// group is the cells that share objects.
type group struct {
	op, size string
	conc     []int
	objects  int64
}

// newPlan lists the groups in the order of the table.
func newPlan(o options) ([]group, error) {
	var conc []int
	for s := range strings.SplitSeq(o.concurrency, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("--concurrency: %q is no number of connections", s)
		}
		conc = append(conc, n)
	}
	known := []string{"put", "get", "head", "delete", "list", "multipart", "start"}
	ops := strings.Split(o.ops, ",")
	for _, op := range ops {
		if !slices.Contains(known, op) {
			return nil, fmt.Errorf("--ops: %q is unknown: use %s", op, strings.Join(known, ","))
		}
	}
	sizes := strings.Split(o.sizes, ",")
	var plan []group
	for _, op := range known {
		if !slices.Contains(ops, op) {
			continue
		}
		of := sizes
		switch op {
		case "head", "delete":
			of = sizes[:1]
		case "list":
			plan = append(plan, group{op: op, size: "100", conc: []int{1}, objects: o.names})
			of = nil
		case "multipart":
			plan = append(plan, group{op: op, size: "256MiB", conc: []int{1}})
			of = nil
		case "start":
			of = nil
		}
		for _, s := range of {
			n, err := objectsOf(s)
			if err != nil {
				return nil, err
			}
			plan = append(plan, group{op: op, size: s, conc: conc, objects: n})
		}
	}
	return plan, nil
}

// objectsOf is how many objects of a size are read: enough to spread over all disks, few enough to stay in memory.
func objectsOf(size string) (int64, error) {
	text, unit := size, int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if rest, ok := strings.CutSuffix(size, suffix); ok {
			text, unit = rest, n
		}
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("--sizes: %q is no size such as 4KiB", size)
	}
	return min(max(200<<20/(n*unit), 50), 10_000), nil
}

// group measures every cell of g.
func (b *bench) group(ctx context.Context, g group) error {
	fmt.Fprintf(os.Stderr, "%s %s ...\n", g.op, g.size)
	switch g.op {
	case "put":
		return b.each(ctx, g, func(c *Cell, to []string) (*report, error) {
			return b.loader(ctx, append(to, "--op", "put", "--size", g.size, "--concurrency", strconv.Itoa(c.Concurrency),
				"--duration", b.o.seconds.String(), "--warmup", b.warmup(), "--cleanup")...)
		})
	case "delete":
		return b.each(ctx, g, func(c *Cell, to []string) (*report, error) {
			n := strconv.FormatInt(g.objects*int64(min(c.Concurrency, 4)), 10)
			return b.loader(ctx, append(to, "--op", "delete", "--size", g.size, "--concurrency", strconv.Itoa(c.Concurrency),
				"--objects", n, "--fill", "--cleanup")...)
		})
	case "list":
		return b.list(ctx, g)
	case "multipart":
		return b.multipart(ctx, g)
	}
	return b.reads(ctx, g)
}

func (b *bench) warmup() string { return (b.o.seconds / 4).String() }

// each runs the routes of every concurrency side by side, so that a disturbance of the machine meets all of them, and that
// several times, so that one that lasts seconds does not decide: the rows are medians.
func (b *bench) each(ctx context.Context, g group, one func(c *Cell, to []string) (*report, error)) error {
	for _, conc := range g.conc {
		var cells []Cell
		taken := map[string][]*report{}
		for _, route := range b.inTurn(g.op) {
			to := b.target(route)
			if to == nil {
				continue
			}
			if err := b.settle(ctx); err != nil {
				return err
			}
			c := Cell{Op: g.op, Size: g.size, Concurrency: conc, Route: route}
			rep, err := one(&c, to)
			if err != nil {
				return err
			}
			if taken[route] == nil {
				cells = append(cells, c)
			}
			taken[route] = append(taken[route], rep)
		}
		for i := range cells {
			c := &cells[i]
			c.take(taken[c.Route]...)
			switch {
			case g.op != "put" && g.op != "delete":
				c.Durability = ""
			case c.Route == viaWWW:
				c.Durability = "none"
			}
		}
		compare(cells)
		b.res.Cells = append(b.res.Cells, cells...)
	}
	return nil
}

// take fills in the median of every figure of reports of the same cell.
func (c *Cell) take(reports ...*report) {
	median := func(of func(*report) float64) float64 {
		var all []float64
		for _, r := range reports {
			all = append(all, of(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	c.Durability = reports[0].Durability
	c.PerSecond = median(func(r *report) float64 { return r.Total.PerSecond })
	c.MiBPerSec = median(func(r *report) float64 { return r.Total.MiBPerSec })
	c.P50 = median(func(r *report) float64 { return r.Total.P50 })
	c.P99 = median(func(r *report) float64 { return r.Total.P99 })
	c.ServerCPU = median(func(r *report) float64 { return r.ServerCPU })
	c.ClientCPU = median(func(r *report) float64 { return r.ClientCPU })
}

// compare fills in the ratios to the rows of nginx and MinIO of the same cells.
func compare(cells []Cell) {
	for i, c := range cells {
		if www := slices.IndexFunc(cells, func(c Cell) bool { return c.Route == viaWWW }); www >= 0 && i != www {
			cells[i].Ratio, cells[i].CPURatio = over(c.PerSecond, cells[www].PerSecond), over(c.ServerCPU, cells[www].ServerCPU)
		}
		if peer := slices.IndexFunc(cells, func(c Cell) bool { return c.Route == viaPeer }); peer >= 0 && strings.HasPrefix(c.Route, viaS3) {
			cells[i].Peer, cells[i].PeerCPU = over(c.PerSecond, cells[peer].PerSecond), over(c.ServerCPU, cells[peer].ServerCPU)
		}
	}
}

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// inTurn are the routes that make the rows of every cell of op, each as often as there are rounds, in the order in which they are
// measured.
func (b *bench) inTurn(op string) []string {
	routes, peers := []string{direct, gateway}, []string{viaWWW, viaPeer}
	if b.o.s3 {
		routes = []string{viaS3}
	}
	if op != "put" && op != "delete" {
		return slices.Repeat(slices.Concat(peers, routes), b.o.rounds)
	}
	if b.lone.Cluster != nil {
		for _, r := range slices.Clone(routes) {
			routes = append(routes, r+oneDisk)
		}
	}
	// The peers leave thousands of files to be removed, which keeps the file system and the disk busy for long.
	return slices.Concat(slices.Repeat(routes, b.o.rounds), slices.Repeat(peers, b.o.rounds))
}

// settle waits until what earlier cells left behind is done and not charged to the next: dirty pages, objects of buckets that are gone,
// compactions.
func (b *bench) settle(ctx context.Context) error {
	return idle.Await(ctx, slices.Concat(b.cluster.pids, b.lone.pids))
}

// target returns the flags that say where a route leads; nil if it leads nowhere.
func (b *bench) target(route string) []string {
	if route == viaWWW {
		if b.nginx == nil {
			return nil
		}
		return []string{"--api", "http", "--endpoint", b.nginx.url, "--bucket", "bench", "--server-pids", join(b.nginx.workers)}
	}
	on := b.cluster
	route, alone := strings.CutSuffix(route, oneDisk)
	if alone {
		on = b.lone
	}
	signed := []string{"--api", "s3", "--s3-access-key", accessKey, "--s3-secret-key", secretKey, "--bucket", "bench", "--create-bucket"}
	switch route {
	case viaPeer:
		if b.minio == nil {
			return nil
		}
		return append(signed, "--endpoint", b.minio.url, "--server-pids", strconv.Itoa(b.minio.cmd.Process.Pid))
	case viaS3:
		return append(signed, "--endpoint", on.Endpoint(), "--server-pids", join(on.pids))
	}
	to := []string{"--endpoint", on.Endpoint(), "--bucket", "bench", "--create-bucket", "--server-pids", join(on.pids)}
	if route == direct {
		to = append(to, "--direct")
	}
	return to
}

// reads measures GET or HEAD of objects that are put once, checked once, and copied to nginx as files.
func (b *bench) reads(ctx context.Context, g group) error {
	n := strconv.FormatInt(g.objects, 10)
	same := []string{"--size", g.size, "--objects", n}
	for _, to := range b.stores() {
		fill := append(to, same...)
		if _, err := b.loader(ctx, append(fill, "--op", "get", "--fill", "--ops", n, "--order", "seq", "--verify", "--concurrency", "32")...); err != nil {
			return err
		}
	}
	if b.nginx != nil {
		if err := b.copyOut(ctx); err != nil {
			return err
		}
		check := append(b.target(viaWWW), same...)
		if _, err := b.loader(ctx, append(check, "--op", "get", "--ops", n, "--order", "seq", "--verify")...); err != nil {
			return err
		}
	}
	err := b.each(ctx, g, func(c *Cell, to []string) (*report, error) {
		to = append(to, same...)
		return b.loader(ctx, append(to, "--op", g.op, "--concurrency", strconv.Itoa(c.Concurrency),
			"--duration", b.o.seconds.String(), "--warmup", b.warmup())...)
	})
	if err != nil {
		return err
	}
	return b.empty(ctx)
}

// stores are the servers that objects are put into, as flags.
func (b *bench) stores() [][]string {
	if !b.o.s3 {
		return [][]string{b.target(direct)}
	}
	if b.minio == nil {
		return [][]string{b.target(viaS3)}
	}
	return [][]string{b.target(viaS3), b.target(viaPeer)}
}

// sdk returns a client of the cluster.
func (b *bench) sdk() (*client.Client, error) {
	return client.New(client.Options{Endpoints: []string{b.cluster.Endpoint()}})
}

// copyOut writes every object of the bucket to nginx's directory.
func (b *bench) copyOut(ctx context.Context) error {
	c, err := b.sdk()
	if err != nil {
		return err
	}
	defer c.Close()
	bck := c.Bucket("bench")
	for e, err := range bck.List(ctx, client.ListOptions{NameOnly: true}) {
		if err != nil {
			return err
		}
		data, _, err := bck.GetBytes(ctx, e.Name, client.GetOptions{})
		if err != nil {
			return err
		}
		path := filepath.Join(b.nginx.root, "bench", filepath.FromSlash(e.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // nginx's workers are another user
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
	}
	return nil
}

// empty removes the bucket and nginx's files.
func (b *bench) empty(ctx context.Context) error {
	if b.nginx != nil {
		if err := os.RemoveAll(filepath.Join(b.nginx.root, "bench")); err != nil {
			return err
		}
	}
	c, err := b.sdk()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Bucket("bench").Destroy(ctx)
}

// list measures whole listings in pages of 1,000; one operation is one listing.
func (b *bench) list(ctx context.Context, g group) error {
	n := strconv.FormatInt(g.objects, 10)
	for _, to := range b.stores() {
		if _, err := b.loader(ctx, append(to, "--size", g.size, "--objects", n, "--op", "head", "--fill", "--ops", "1", "--concurrency", "32")...); err != nil {
			return err
		}
	}
	routes := []string{gateway}
	if b.o.s3 {
		routes = []string{viaPeer, viaS3}
	}
	base := len(b.res.Cells)
	for _, route := range routes {
		to := b.target(route)
		if to == nil {
			continue
		}
		if err := b.settle(ctx); err != nil {
			return err
		}
		rep, err := b.loader(ctx, append(to, "--op", "list", "--ops", "10", "--warmup", time.Second.String(), "--concurrency", "1")...)
		if err != nil {
			return err
		}
		if rep.Names != 10*g.objects {
			return fmt.Errorf("10 listings yielded %d names, not %d", rep.Names, 10*g.objects)
		}
		c := Cell{Op: "list", Size: n + " names", Concurrency: 1, Route: route}
		c.take(rep)
		b.res.Cells = append(b.res.Cells, c)
	}
	compare(b.res.Cells[base:])
	return b.empty(ctx)
}
