package client

import (
	"testing"
	"time"

	"aistore/api"
)

// What went wrong in the last second must not hide behind what went well since the start.
func TestLatenciesBetweenSamples(t *testing.T) {
	ms := uint64(time.Millisecond)
	sample := func(at int64, op api.OpStats) *api.ClusterStats {
		return &api.ClusterStats{Targets: map[string]*api.NodeStats{"t1": {TimeNS: at, Ops: map[string]api.OpStats{"get": op}}}}
	}
	fast, slow := api.LatencyBucket{0, ms, 1_000_000}, api.LatencyBucket{80 * ms, 100 * ms, 5}
	before := api.OpStats{Count: 1_000_005, P99NS: ms, Latencies: []api.LatencyBucket{fast, slow}}
	for _, c := range []struct {
		name     string
		now      api.OpStats
		p50, p99 time.Duration
	}{
		{"a slow second", api.OpStats{Count: 1_000_105, P99NS: ms, Latencies: []api.LatencyBucket{{0, ms, 1_000_060}, {80 * ms, 100 * ms, 45}}},
			833_333 * time.Nanosecond, 99_500 * time.Microsecond},
		{"a new bucket", api.OpStats{Count: 1_000_006, P99NS: ms, Latencies: []api.LatencyBucket{fast, {10 * ms, 20 * ms, 1}, slow}},
			20 * time.Millisecond, 20 * time.Millisecond},
		{"nothing", before, 0, 0},
		{"started again", api.OpStats{Count: 2, P99NS: ms, Latencies: []api.LatencyBucket{{0, ms, 2}}}, ms500, time.Millisecond},
		{"started again, with more than before", api.OpStats{Count: 2_000_000, P99NS: ms, Latencies: []api.LatencyBucket{{0, ms, 2_000_000}}}, ms500, 990 * time.Microsecond},
		{"a node that does not tell", api.OpStats{Count: 1_000_105, P99NS: ms}, 0, 0},
	} {
		r := Compare(sample(0, before), sample(int64(time.Second), c.now)).Nodes["t1"]["get"]
		if near := func(a, b time.Duration) bool { return (a - b).Abs() < time.Microsecond }; !near(r.P50, c.p50) || !near(r.P99, c.p99) {
			t.Errorf("%s: p50 %v, p99 %v; want %v, %v", c.name, r.P50, r.P99, c.p50, c.p99)
		}
	}
}

const ms500 = 500 * time.Microsecond
