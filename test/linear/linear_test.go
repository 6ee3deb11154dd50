package linear_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"aistore/test/cluster"
	"aistore/test/linear"
	"aistore/test/procs"
)

// TestLinearizable lets 20 goroutines write, overwrite, delete and read the same 100 names through every node of a
// cluster while one more lists them, and finds an order for what they saw.
func TestLinearizable(t *testing.T) {
	ctx := context.Background()
	ops := 250
	if os.Getenv("AIS_LONG") != "" {
		ops = 5000
	}
	for name, spec := range map[string]cluster.Spec{
		"3 gateways, 3 targets": {Gateways: 3, Targets: 3, Mountpaths: 2},
		"one process":           {All: true},
	} {
		t.Run(name, func(t *testing.T) {
			seed, dir := procs.Seed(t), procs.Dir(t)
			c := cluster.Start(t, spec)
			cs := c.Clients()
			must(t, cs[0].CreateBucket(ctx, "linear"))
			l := &linear.Load{Clients: linear.Plain(cs...), Listers: linear.Plain(c.Gateways()...), Bucket: "linear", Names: linear.Names(100), Workers: 20, Ops: ops, Lists: true, Seed: seed}
			h := l.Run(ctx)
			must(t, l.Audit(ctx))
			n := h.Count()
			t.Logf("%v", n)
			if n[linear.Unknown]+n[linear.Nothing] > 0 {
				t.Error("requests failed though nobody hurt the cluster")
			}
			if err := h.Check(); err != nil || t.Failed() {
				path := filepath.Join(dir, "history.jsonl")
				t.Errorf("history %s (%v): %.8000v", path, h.Save(path), err)
			}
			for _, o := range failures(h) {
				t.Errorf("failed: %v", o)
			}
		})
	}
}

func failures(h *linear.History) []*linear.Op {
	var bad []*linear.Op
	for _, o := range h.Ops() {
		if (o.Result == linear.Unknown || o.Result == linear.Nothing) && len(bad) < 10 {
			bad = append(bad, o)
		}
	}
	return bad
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
