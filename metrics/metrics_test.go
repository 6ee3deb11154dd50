package metrics

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func text(t *testing.T, r *Registry) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// has fails unless every line stands in the exposition.
func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	all := strings.Split(text, "\n")
	for _, l := range lines {
		if !slices.Contains(all, l) {
			t.Errorf("no line %q in\n%s", l, text)
		}
	}
}

func TestExposition(t *testing.T) {
	r := New(Labels{"node": "t1", "version": "v1"})
	get := r.Op("get-object")
	get.Observe(200, 0, 4096, 40*time.Microsecond)
	get.Observe(206, 0, 100, 2*time.Millisecond)
	get.Observe(404, 0, 0, time.Millisecond)
	get.Observe(0, 10, 0, time.Hour)
	r.Op("put-object").Observe(200, 1<<20, 0, time.Second)
	r.Op("never-called")
	c := r.Counter("ais_orphans_removed_total", "Orphan blobs removed.", Labels{"why": "crash"})
	c.Inc()
	c.Add(2)
	r.Gauge("ais_jobs_running", "Jobs.", nil, func() float64 { return 7 })
	h := r.Histogram("ais_commit_seconds", "Commits.", nil)
	h.Observe(50 * time.Microsecond)

	out := text(t, r)
	has(t, out,
		`ais_node_info{node="t1",version="v1"} 1`,
		`ais_requests_total{class="2xx",op="get-object"} 2`,
		`ais_requests_total{class="4xx",op="get-object"} 1`,
		`ais_requests_total{class="none",op="get-object"} 1`,
		`ais_sent_bytes_total{class="2xx",op="get-object"} 4196`,
		`ais_received_bytes_total{class="2xx",op="put-object"} 1.048576e+06`,
		`# TYPE ais_request_seconds histogram`,
		`ais_request_seconds_bucket{class="2xx",op="get-object",le="3.2768e-05"} 0`,
		`ais_request_seconds_bucket{class="2xx",op="get-object",le="6.5536e-05"} 1`,
		`ais_request_seconds_bucket{class="2xx",op="get-object",le="0.002097152"} 2`,
		`ais_request_seconds_bucket{class="none",op="get-object",le="34.359738368"} 0`,
		`ais_request_seconds_bucket{class="none",op="get-object",le="+Inf"} 1`,
		`ais_request_seconds_sum{class="2xx",op="get-object"} 0.00204`,
		`ais_request_seconds_count{class="2xx",op="get-object"} 2`,
		`ais_orphans_removed_total{why="crash"} 3`,
		`ais_jobs_running 7`,
		`ais_commit_seconds_bucket{le="6.5536e-05"} 1`,
		`ais_commit_seconds_count 1`,
	)
	for _, s := range []string{"go_goroutines ", "process_resident_memory_bytes ", "process_open_fds "} {
		if !strings.Contains(out, "\n"+s) {
			t.Errorf("no %s", s)
		}
	}
	if strings.Contains(out, "never-called") {
		t.Error("an operation that never occurred is shown")
	}
}

func TestDisksAndControlPlane(t *testing.T) {
	r := New(nil)
	disks := []Disk{{Mountpath: "/mnt/a", Enabled: true, Total: 100, Used: 40, Avail: 60, Writes: 3, WriteBytes: 9, SyncTime: time.Second}, {Mountpath: "/mnt/b", Full: true}}
	r.Disks(func() []Disk { return disks })
	r.ControlPlane(func() ControlPlane {
		return ControlPlane{State: "leader", Term: 3, MapVersion: 12, LeaseLeft: 1500 * time.Millisecond, Elections: 1}
	})
	out := text(t, r)
	has(t, out,
		`ais_mountpath_enabled{mountpath="/mnt/a"} 1`, `ais_mountpath_enabled{mountpath="/mnt/b"} 0`,
		`ais_mountpath_full{mountpath="/mnt/b"} 1`, `ais_mountpath_size_bytes{mountpath="/mnt/a"} 100`,
		`ais_mountpath_used_bytes{mountpath="/mnt/a"} 40`, `ais_mountpath_avail_bytes{mountpath="/mnt/a"} 60`,
		`ais_mountpath_writes_total{mountpath="/mnt/a"} 3`, `ais_mountpath_written_bytes_total{mountpath="/mnt/a"} 9`,
		`ais_mountpath_sync_seconds_total{mountpath="/mnt/a"} 1`,
		`ais_raft_state{state="leader"} 1`, `ais_raft_state{state="follower"} 0`, `ais_raft_term 3`,
		`ais_cluster_map_version 12`, `ais_lease_left_seconds 1.5`, `ais_elections_won_total 1`,
	)
	disks = disks[1:] // a mountpath was detached
	if out := text(t, r); strings.Contains(out, "/mnt/a") {
		t.Error("a mountpath that is gone is still shown")
	}
}

func TestBadNumbersAreReported(t *testing.T) {
	r := New(nil)
	r.Families([]Family{{Name: "ais_things", Labels: []string{"kind"}}}, func(emit Emit) {
		emit("ais_things", 1, "good")
		emit("ais_things", 1)
		emit("ais_others", 1)
	})
	var b bytes.Buffer
	if err := r.WriteText(&b); err == nil || !strings.Contains(err.Error(), "ais_others") {
		t.Errorf("error is %v", err)
	}
	has(t, b.String(), `ais_things{kind="good"} 1`)

	if err := New(nil).WriteText(failing{}); err == nil {
		t.Error("a writer's error is lost")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestNames(t *testing.T) {
	r := New(nil)
	one := func() float64 { return 1 }
	r.Gauge("ais_once", "", nil, one)
	for name, f := range map[string]func(){
		"foreign":          func() { r.Gauge("things", "", nil, one) },
		"spelling":         func() { r.Gauge("ais_Things", "", nil, one) },
		"counter":          func() { r.Counter("ais_things", "", nil) },
		"gauge":            func() { r.Gauge("ais_things_total", "", nil, one) },
		"family":           func() { r.Families([]Family{{Name: "ais_things", Kind: Count}}, nil) },
		"twice":            func() { r.Gauge("ais_once", "", nil, one) },
		"histogram":        func() { r.Histogram("ais_things_total", "", nil) },
		"twice, in family": func() { r.Families([]Family{{Name: "ais_once"}}, nil) },
	} {
		func() {
			defer func() {
				if v, _ := recover().(string); !strings.HasPrefix(v, "BUG: metric ") {
					t.Errorf("%s: panicked with %q", name, v)
				}
			}()
			f()
		}()
	}
}

// TestBuckets walks all buckets: their bounds meet, and a bucket's own bounds fall into it.
func TestBuckets(t *testing.T) {
	for i := range nBuckets - 1 {
		floor, next := floorOf(i), floorOf(i+1)
		if next <= floor || bucketOf(floor) != i || bucketOf(next-1) != i {
			t.Fatalf("bucket %d: from %d to %d; they fall into %d and %d", i, floor, next, bucketOf(floor), bucketOf(next-1))
		}
		if i > 0 && float64(next-floor) > float64(floor)/8 {
			t.Fatalf("bucket %d is too wide: from %d to %d", i, floor, next)
		}
	}
	if bucketOf(1<<63) != nBuckets-1 || bucketOf(1<<maxExp) != nBuckets-1 || bucketOf(0) != 0 {
		t.Error("the ends are wrong")
	}
}

func TestQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"uniform":     func() float64 { return 1e6 * rng.Float64() },
		"exponential": func() float64 { return 50e3 * rng.ExpFloat64() },
		"constant":    func() float64 { return 123456 },
		"two hills":   func() float64 { return []float64{20e3, 20e6}[rng.IntN(2)] * (1 + rng.Float64()/10) },
	} {
		op := New(nil).Op("x")
		ns := make([]float64, 20000)
		for i := range ns {
			ns[i] = draw()
			op.Observe(200, 0, 0, time.Duration(ns[i]))
		}
		slices.Sort(ns)
		s := op.stats()
		for _, c := range []struct {
			q   float64
			got time.Duration
		}{{0.5, s.P50}, {0.9, s.P90}, {0.99, s.P99}} {
			lo, hi := ns[int(c.q*float64(len(ns)))-100]*0.93, ns[int(c.q*float64(len(ns)))+100]*1.07
			if got := float64(c.got); got < lo-1024 || got > hi+1024 {
				t.Errorf("%s: quantile %v is %v, want %v to %v", name, c.q, got, lo, hi)
			}
		}
		if s.Max != time.Duration(ns[len(ns)-1]) {
			t.Errorf("%s: max is %v", name, s.Max)
		}
	}
}

func TestSnapshot(t *testing.T) {
	r := New(nil)
	r.Op("never")
	put := r.Op("put")
	put.Observe(200, 100, 1, 10*time.Microsecond)
	put.Observe(507, 50, 2, 30*time.Microsecond)
	put.Observe(-5, 0, -1, -time.Second)
	r.Op("get").Observe(304, 0, 0, time.Microsecond)
	got := r.Snapshot()
	if len(got) != 2 || got[0].Op != "get" || got[1].Op != "put" {
		t.Fatalf("%+v", got)
	}
	p := got[1]
	if p.Count != 3 || p.Errors != 2 || p.BytesIn != 150 || p.BytesOut != 3 || p.Latency != 40*time.Microsecond ||
		p.Mean != 40*time.Microsecond/3 || p.Max != 30*time.Microsecond {
		t.Errorf("%+v", p)
	}
	if got[0].Errors != 0 {
		t.Errorf("%+v", got[0])
	}
	want := []Bucket{{0, 1024, 1}, {9216, 10240, 1}, {28672, 30720, 1}} // ns; less than none counts as none
	if !slices.Equal(p.Buckets, want) {
		t.Errorf("buckets %v, want %v", p.Buckets, want)
	}
	if r.Op("put") != put {
		t.Error("the same name gave another Op")
	}
}

// TestConcurrent loses no count, and readers see no impossible state meanwhile.
func TestConcurrent(t *testing.T) {
	r := New(nil)
	r.shards = 4
	const writers, each = 8, 5000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			op := r.Op("x")
			for i := range each {
				op.Observe(200, 1, 2, time.Duration(i)*time.Microsecond)
			}
		})
	}
	var last uint64
	for last < writers*each {
		for _, s := range r.Snapshot() {
			if s.Count < last || s.P50 > s.P90 || s.P90 > s.P99 {
				t.Fatalf("%+v after %d", s, last)
			}
			last = s.Count
		}
	}
	wg.Wait()
	if s := r.Snapshot()[0]; s.Count != writers*each || s.BytesIn != writers*each || s.BytesOut != 2*writers*each {
		t.Errorf("%+v", s)
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	op := New(nil).Op("x")
	op.Observe(200, 1, 1, 1)
	if n := testing.AllocsPerRun(1000, func() { op.Observe(200, 10, 10, time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestShards(t *testing.T) {
	for cores, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 4, 4: 4, 6: 8, 8: 8, 128: 8} {
		if got := shardsFor(cores); got != want {
			t.Errorf("%d cores: %d shards, want %d", cores, got, want)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	op := New(nil).Op("x")
	b.ReportAllocs()
	for b.Loop() {
		op.Observe(200, 0, 4096, 40*time.Microsecond)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	op := New(nil).Op("x")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			op.Observe(200, 0, 4096, 40*time.Microsecond)
		}
	})
}

func BenchmarkWriteText(b *testing.B) {
	r := New(nil)
	for _, op := range strings.Fields("get put head delete list create destroy append rename copy") {
		r.Op(op).Observe(200, 1, 1, time.Millisecond)
		r.Op(op).Observe(404, 1, 1, time.Millisecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		var buf bytes.Buffer
		if err := r.WriteText(&buf); err != nil {
			b.Fatal(err)
		}
	}
}
