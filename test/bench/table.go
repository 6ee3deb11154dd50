package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func (r *Result) print(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	fmt.Fprintf(w, "%s, %s\n", r.Began.Format("2006-01-02 15:04"), r.Machine)
	for _, n := range r.Notes {
		fmt.Fprintln(w, n)
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "op\tsize\tconc\troute\tdurability\tops/s\tMiB/s\tp50 us\tp99 us\tserver us/op\tops/s : nginx\tCPU : nginx\t"+peerHead(r.Cells))
	for _, c := range r.Cells {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%.1f\t%s\t%s\t%s\n", c.Op, c.Size, c.Concurrency, c.Route,
			or(c.Durability, "-"), rate(c.PerSecond), c.MiBPerSec, c.P50, c.P99, c.ServerCPU, ratio(c.Ratio), ratio(c.CPURatio), c.peer(r.Cells))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, r.startLines())
	return err
}

// hasPeer reports whether MinIO was measured.
func hasPeer(cells []Cell) bool {
	return slices.ContainsFunc(cells, func(c Cell) bool { return c.Route == viaPeer })
}

func peerHead(cells []Cell) string {
	if !hasPeer(cells) {
		return ""
	}
	return "ops/s : minio\tCPU : minio\t"
}

func (c *Cell) peer(cells []Cell) string {
	if !hasPeer(cells) {
		return ""
	}
	return ratio(c.Peer) + "\t" + ratio(c.PeerCPU) + "\t"
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func rate(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func ratio(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

// startLines sums up the starts of single nodes.
func (r *Result) startLines() string {
	var b strings.Builder
	for _, what := range []string{"empty", "restart"} {
		var times []time.Duration
		var rss int64
		for _, s := range r.Starts {
			if s.What == what {
				times = append(times, s.Ready)
				rss = max(rss, s.RSS)
			}
		}
		if len(times) == 0 {
			continue
		}
		slices.Sort(times)
		fmt.Fprintf(&b, "\naisnode (all), %s directory: ready in %.2f s (median of %d, longest %.2f s), RSS then at most %d MiB",
			what, times[len(times)/2].Seconds(), len(times), times[len(times)-1].Seconds(), rss>>20)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

// machine describes what the figures were taken on.
func machine() string {
	model := "unknown CPU"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	kernel := "Linux"
	if raw, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel += " " + strings.TrimSpace(string(raw))
	}
	congestion := "TCP unknown"
	if raw, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control"); err == nil { // paces or not, which large replies feel
		congestion = "TCP " + strings.TrimSpace(string(raw))
	}
	return fmt.Sprintf("%d x %s, %s, %s, %s", runtime.NumCPU(), model, kernel, congestion, runtime.Version())
}

// fsName names the file system below dir: on tmpfs a sync is for nothing.
func fsName(dir string) string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "unknown file system"
	}
	names := map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs (nothing is durable)", 0x794c7630: "overlayfs", 0x2fc12fc1: "zfs"}
	if n, ok := names[int64(st.Type)]; ok { //nolint:unconvert // its type differs by architecture
		return n
	}
	return fmt.Sprintf("file system %#x", st.Type)
}
