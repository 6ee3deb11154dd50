package load

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"aistore/cmd/aisloader/hist"
	"aistore/cmd/aisloader/procstat"
)

// Report is the outcome of a run; its JSON is what --json prints. Times are microseconds.
type Report struct {
	Endpoints   []string            `json:"endpoints"`
	API         API                 `json:"api"`
	Route       string              `json:"route"` // direct (to the owners by the cluster map) or endpoint
	Bucket      string              `json:"bucket"`
	Sizes       string              `json:"sizes"`
	Concurrency int                 `json:"concurrency"`
	Verify      bool                `json:"verify"`
	Seconds     float64             `json:"seconds"`
	Total       OpReport            `json:"total"`
	Ops         map[string]OpReport `json:"ops"`
	Durability  string              `json:"durability,omitempty"` // class that the servers acknowledged PUTs with, those of the fill included
	Names       int64               `json:"names,omitempty"`      // listed
	Pages       int64               `json:"pages,omitempty"`
	Errors      int64               `json:"errors"`
	Mismatches  int64               `json:"mismatches"` // reads of other bytes than were put; among Errors
	Samples     []string            `json:"error_samples,omitempty"`
	Redirects   int64               `json:"redirects"`
	Reconnects  int64               `json:"reconnects"` // kept connections that the servers had closed
	MapFetches  int64               `json:"map_fetches,omitempty"`
	ClientCPU   float64             `json:"client_cpu_us_per_op"`
	ServerCPU   float64             `json:"server_cpu_us_per_op,omitempty"` // sum over all server processes
	ServerRSS   int64               `json:"server_rss_bytes,omitempty"`     // sum at the end
	Servers     []ServerReport      `json:"servers,omitempty"`
}

// OpReport is one kind of operation.
type OpReport struct {
	Count     uint64  `json:"count"`
	PerSecond float64 `json:"per_second"`
	MiBPerSec float64 `json:"mib_per_second"`
	Mean      float64 `json:"mean_us"`
	P50       float64 `json:"p50_us"`
	P90       float64 `json:"p90_us"`
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p999_us"`
	Max       float64 `json:"max_us"`
	Errors    int64   `json:"errors"`
}

// ServerReport is one server process.
type ServerReport struct {
	PID      int     `json:"pid"`
	Name     string  `json:"name"`
	CPU      float64 `json:"cpu_us"` // during the measured part
	CPUPerOp float64 `json:"cpu_us_per_op"`
	RSS      int64   `json:"rss_bytes"`
	PeakRSS  int64   `json:"peak_rss_bytes"`
}

func micro(d time.Duration) float64 { return float64(d) / 1e3 }

func newReport(cfg *Config, t *tally, elapsed, cpu time.Duration) *Report {
	r := &Report{
		Endpoints: cfg.Endpoints, API: cfg.API, Route: "endpoint", Bucket: cfg.Bucket, Sizes: cfg.Sizes.String(),
		Concurrency: cfg.Concurrency, Verify: cfg.Verify, Seconds: elapsed.Seconds(), Ops: map[string]OpReport{},
		Durability: t.durability, Names: t.names, Pages: t.pages, Mismatches: t.mismatches, Samples: t.samples,
		Redirects: t.redirects, Reconnects: t.reconnects,
	}
	if cfg.Direct {
		r.Route = "direct"
	}
	var all hist.Histogram
	var bytes int64
	for op := range opCount {
		if t.lat[op].Count() == 0 && t.errors[op] == 0 {
			continue
		}
		r.Ops[op.String()] = opReport(&t.lat[op], t.bytes[op], t.errors[op], elapsed)
		all.Merge(&t.lat[op])
		bytes += t.bytes[op]
		r.Errors += t.errors[op]
	}
	r.Total = opReport(&all, bytes, r.Errors, elapsed)
	if n := all.Count(); n > 0 {
		r.ClientCPU = micro(cpu) / float64(n)
	}
	return r
}

func opReport(h *hist.Histogram, bytes, failed int64, elapsed time.Duration) OpReport {
	return OpReport{
		Count: h.Count(), PerSecond: float64(h.Count()) / elapsed.Seconds(), MiBPerSec: float64(bytes) / (1 << 20) / elapsed.Seconds(),
		Mean: micro(h.Mean()), P50: micro(h.Quantile(0.5)), P90: micro(h.Quantile(0.9)), P99: micro(h.Quantile(0.99)),
		P999: micro(h.Quantile(0.999)), Max: micro(h.Max()), Errors: failed,
	}
}

func (r *Report) addServers(before, after []procstat.Usage) {
	n := max(float64(r.Total.Count), 1)
	for i, u := range after {
		used := micro(u.CPU - before[i].CPU)
		r.Servers = append(r.Servers, ServerReport{PID: u.PID, Name: u.Name, CPU: used, CPUPerOp: used / n, RSS: u.RSS, PeakRSS: u.PeakRSS})
		r.ServerCPU += used / n
		r.ServerRSS += u.RSS
	}
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "op\tcount\tops/s\tMiB/s\tmean us\tp50\tp90\tp99\tp99.9\tmax\terrors\t\n")
	line := func(name string, o OpReport) {
		fmt.Fprintf(tw, "%s\t%d\t%.0f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t\n",
			name, o.Count, o.PerSecond, o.MiBPerSec, o.Mean, o.P50, o.P90, o.P99, o.P999, o.Max, o.Errors)
	}
	for op := range opCount {
		if o, ok := r.Ops[op.String()]; ok {
			line(op.String(), o)
		}
	}
	if len(r.Ops) > 1 {
		line("total", r.Total)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, r.notes())
	return err
}

func (r *Report) notes() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s %s, sizes %s, concurrency %d, %.1f s; client CPU %.1f us/op", r.API, r.Route, r.Sizes, r.Concurrency, r.Seconds, r.ClientCPU)
	if len(r.Servers) > 0 {
		fmt.Fprintf(&b, "; server CPU %.1f us/op, RSS %d MiB in %d processes", r.ServerCPU, r.ServerRSS>>20, len(r.Servers))
	}
	if r.Durability != "" {
		fmt.Fprintf(&b, "; durability %s", r.Durability)
	}
	if r.Pages > 0 {
		fmt.Fprintf(&b, "; %d names in %d pages, %.0f names/s", r.Names, r.Pages, float64(r.Names)/r.Seconds)
	}
	if r.Redirects+r.Reconnects > 0 {
		fmt.Fprintf(&b, "; %d redirects, %d reconnects", r.Redirects, r.Reconnects)
	}
	b.WriteByte('\n')
	for _, s := range r.Samples {
		fmt.Fprintf(&b, "error: %s\n", s)
	}
	if r.Mismatches > 0 {
		fmt.Fprintf(&b, "%d MISMATCHES: the servers returned other bytes than were put\n", r.Mismatches)
	}
	return b.String()
}
