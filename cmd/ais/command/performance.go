package command

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

func (a clusterVerbs) performanceCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "performance", Usage: "show throughput and latency by node and operation, and by disk", ArgsUsage: "[NODE]",
		Description: "Two samples of the nodes' counters are taken, --interval apart. Rates and latencies are of that time;\n" +
			"where nothing happened in it, P50 and P99 are in brackets, and of everything since the node was started.\n" +
			"Operations that never happened are left out, and so are those by which the nodes talk to each other, unless\n" +
			"--all is given.",
		Flags: append(refreshFlags(),
			&cli.BoolFlag{Name: "all", Usage: "also the traffic between nodes", DisableDefaultText: true},
			&cli.DurationFlag{Name: "interval", Usage: "`DURATION` between the two samples, such as 500ms or 5s", Value: time.Second},
			a.headersFlag(), a.unitsFlag(),
		),
		Action: a.performance,
	}, argNode)
}

// performanceJSON is what --json prints; latencies are in microseconds.
type performanceJSON struct {
	Seconds float64           `json:"seconds"`
	Ops     []opJSON          `json:"operations"`
	Disks   []diskJSON        `json:"disks"`
	Missing map[string]string `json:"missing,omitempty"`
}

type opJSON struct {
	Node    string  `json:"node"`
	Op      string  `json:"operation"`
	Rate    float64 `json:"ops_per_second"`
	Bytes   float64 `json:"bytes_per_second"`
	Errors  float64 `json:"errors_per_second"`
	Latency float64 `json:"mean_us"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	AllP50  float64 `json:"since_start_p50_us"`
	AllP99  float64 `json:"since_start_p99_us"`
	Count   uint64  `json:"count"` // since the node was started
}

type diskJSON struct {
	Node     string  `json:"node"`
	Path     string  `json:"mountpath"`
	State    string  `json:"state"`
	Reads    float64 `json:"reads_per_second"`
	ReadB    float64 `json:"read_bytes_per_second"`
	Writes   float64 `json:"writes_per_second"`
	WriteB   float64 `json:"write_bytes_per_second"`
	Syncs    float64 `json:"syncs_per_second"`
	Busy     float64 `json:"busy"` // share of the time, 1 = one call always under way
	Used     uint64  `json:"used"`
	Capacity uint64  `json:"capacity"`
}

func (a clusterVerbs) performance(c *cli.Context) error {
	if err := count(c, 0, 1); err != nil {
		return err
	}
	if d := c.Duration("interval"); d < 10*time.Millisecond || d > time.Hour {
		return usageError("--interval %v is outside 10ms..1h", d)
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	node := c.Args().First()
	if node != "" {
		n, err := client.FindNode(a.view, node)
		if err != nil {
			return errs.F("", node, errs.NotFound, "no such node: `ais show cluster` lists them")
		}
		node = string(n.ID)
	}
	return a.refreshed(c, func(ctx context.Context) error {
		before, err := sdk.Stats(ctx)
		if err != nil {
			return err
		}
		select {
		case <-time.After(c.Duration("interval")):
		case <-ctx.Done():
			return ctx.Err()
		}
		after, err := sdk.Stats(ctx)
		if err != nil {
			return err
		}
		p := compare(before, after, node)
		if !c.Bool("all") {
			p.Ops = slices.DeleteFunc(p.Ops, func(o opJSON) bool { return o.Count == 0 || strings.HasPrefix(o.Op, "intra-") })
		}
		return a.printPerformance(p)
	})
}

// compare takes the differences of two samples.
func compare(before, after *api.ClusterStats, node string) performanceJSON {
	diff := client.Compare(before, after)
	p := performanceJSON{Seconds: diff.Over.Seconds(), Ops: []opJSON{}, Disks: []diskJSON{}, Missing: after.Missing}
	for _, part := range []map[string]*api.NodeStats{after.Proxies, after.Targets} {
		for id, now := range part {
			if now == nil || node != "" && node != id || p.has(id) {
				continue
			}
			p.addNode(id, now, older(before, id), diff)
		}
	}
	slices.SortFunc(p.Ops, func(a, b opJSON) int { return cmp.Or(term.Naturally(a.Node, b.Node), cmp.Compare(a.Op, b.Op)) })
	slices.SortFunc(p.Disks, func(a, b diskJSON) int { return cmp.Or(term.Naturally(a.Node, b.Node), term.Naturally(a.Path, b.Path)) })
	return p
}

// has reports whether a node in both roles is there already.
func (p *performanceJSON) has(id string) bool {
	for _, o := range p.Ops {
		if o.Node == id {
			return true
		}
	}
	return false
}

func older(s *api.ClusterStats, id string) *api.NodeStats {
	if n := s.Targets[id]; n != nil {
		return n
	}
	return s.Proxies[id]
}

func (p *performanceJSON) addNode(id string, now, was *api.NodeStats, diff *client.Performance) {
	for op, s := range now.Ops {
		r := diff.Nodes[id][op]
		p.Ops = append(p.Ops, opJSON{
			Node: id, Op: op, Rate: r.Ops, Bytes: r.Bytes, Errors: r.Errors, Latency: micros(r.Latency),
			P50: micros(r.P50), P99: micros(r.P99), AllP50: float64(s.P50NS) / 1e3, AllP99: float64(s.P99NS) / 1e3, Count: s.Count,
		})
	}
	if was == nil || now.TimeNS <= was.TimeNS {
		return
	}
	old := map[string]api.Mountpath{}
	for _, d := range was.Disks {
		old[d.Path] = d
	}
	seconds := float64(now.TimeNS-was.TimeNS) / 1e9
	per := func(was, now uint64) float64 {
		if now < was { // started again in between
			was = 0
		}
		return float64(now-was) / seconds
	}
	for _, d := range now.Disks {
		w := old[d.Path]
		p.Disks = append(p.Disks, diskJSON{
			Node: id, Path: d.Path, State: d.State, Reads: per(w.ReadOps, d.ReadOps), ReadB: per(w.ReadB, d.ReadB),
			Writes: per(w.WriteOps, d.WriteOps), WriteB: per(w.WriteB, d.WriteB), Syncs: per(w.Syncs, d.Syncs),
			Busy: per(w.BusyNS, d.BusyNS) / 1e9, Used: d.Used, Capacity: d.Total,
		})
	}
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

func (a clusterVerbs) printPerformance(p performanceJSON) error {
	if a.out.JSON {
		return a.out.Value(p)
	}
	number := func(f float64) string { return term.Count(int64(f + 0.5)) }
	size := func(f float64) string { return a.out.Units.Bytes(int64(f)) + "/s" }
	latency := func(us float64) string { return term.Latency(time.Duration(us * 1e3)) }
	quantile := func(us, sinceStart float64) string {
		if us == 0 && sinceStart > 0 {
			return "(" + latency(sinceStart) + ")"
		}
		return latency(us)
	}
	t := a.out.NewTable(term.Columns("NODE", "OPERATION", "OPS/S>", "THROUGHPUT>", "ERRORS/S>", "MEAN>", "P50>", "P99>", "TOTAL>")...)
	for _, o := range p.Ops {
		style := term.Plain
		if o.Errors > 0 {
			style = term.Amber
		}
		if err := t.AddCells(term.Cell{Text: o.Node}, term.Cell{Text: o.Op}, term.Cell{Text: number(o.Rate)}, term.Cell{Text: size(o.Bytes)},
			term.Cell{Text: number(o.Errors), Style: style}, term.Cell{Text: latency(o.Latency)},
			term.Cell{Text: quantile(o.P50, o.AllP50)}, term.Cell{Text: quantile(o.P99, o.AllP99)}, term.Cell{Text: term.Count(int64(o.Count))}); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(p.Disks) > 0 {
		a.out.Printf("")
		t = a.out.NewTable(term.Columns("NODE", "MOUNTPATH", "READS/S>", "READ>", "WRITES/S>", "WRITTEN>", "SYNCS/S>", "BUSY>", "USED>", "CAPACITY>")...)
	}
	for _, d := range p.Disks {
		if err := t.Add(d.Node, d.Path, number(d.Reads), size(d.ReadB), number(d.Writes), size(d.WriteB), number(d.Syncs),
			fmt.Sprintf("%.0f%%", 100*d.Busy), a.out.Units.Bytes(int64(d.Used)), a.out.Units.Bytes(int64(d.Capacity))); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range prefixed("", p.Missing) {
		a.out.Notef("%s %s does not answer: %s", a.out.PaintErr(term.Amber, "note:"), r[0], r[1])
	}
	return nil
}
