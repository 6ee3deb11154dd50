package xact

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// see changes the cluster map that all targets have.
func (c *testCluster) see(change func(*cluster.Map)) {
	m := *c.view.Map
	m.Nodes = map[cluster.NodeID]*cluster.Node{}
	for id, n := range c.view.Map.Nodes {
		same := *n
		m.Nodes[id] = &same
	}
	change(&m)
	c.view = (&cluster.View{Map: &m, Config: c.view.Config, Buckets: c.view.Buckets}).Freeze()
	c.now.Store(c.view)
}

// lose ends a target, and says so in the map.
func (c *testCluster) lose(n *node) {
	n.stop()
	n.down.Store(true)
	c.see(func(m *cluster.Map) { m.Nodes[n.id].Alive = false })
}

// begin starts a job that deletes everything and of which every target has done five names and waits in the sixth, and tells how many names there are.
func begin(t *testing.T, c *testCluster) (id string, total int) {
	t.Helper()
	c.moved.Store(true)
	for i := range 120 {
		c.put(c.from, fmt.Sprintf("k%03d", i), 2)
		total++
	}
	for _, n := range c.nodes {
		n.gate = make(chan struct{}, 5)
		for range 5 {
			n.gate <- struct{}{}
		}
	}
	id, err := c.jobs.Start(t.Context(), c.view, Spec{Kind: DeleteObjects, Bucket: 1, Message: json.RawMessage(`{"all":true}`)})
	if err != nil {
		t.Fatal(err)
	}
	elapse(begunBy) // whatever is not there now does not come
	return id, total
}

// elapse lets the time of the test's bubble go on, and all that is due by then be done.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// status is what a gateway says.
func (c *testCluster) status(t *testing.T, id string) *Job {
	t.Helper()
	j, err := c.jobs.Status(t.Context(), c.view, id)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestTargetsGo: whatever target goes in the middle of a job, and however it goes, the others go on with what it had left; nothing is counted
// twice or forgotten, and all of them know the result afterwards.
func TestTargetsGo(t *testing.T) {
	ways := map[string]func(c *testCluster, n *node){
		"in good order": func(c *testCluster, n *node) {
			for range 10 { // what is under way ends
				n.gate <- struct{}{}
			}
			n.rt.Leave(context.Background())
			n.stop()
			n.down.Store(true)
			c.see(func(m *cluster.Map) { delete(m.Nodes, n.id) })
			n.mu.Lock()
			defer n.mu.Unlock()
			for k, size := range n.objs[1] { // they had been moved before
				c.put(c.from, k, size)
			}
			clear(n.objs[1])
		},
		"for good": func(c *testCluster, n *node) {
			n.stop()
			n.down.Store(true)
			c.see(func(m *cluster.Map) { m.Nodes[n.id].Alive = false })
		},
		"and comes back": func(_ *testCluster, n *node) {
			n.stop()
			n.start()
		},
		"without its lease": func(_ *testCluster, n *node) {
			n.lost.Store(true)
			elapse(3 * guardEvery)
			n.lost.Store(false)
		},
	}
	for _, victim := range []cluster.NodeID{"t0", "t1", "t2"} {
		for way, leave := range ways {
			t.Run(fmt.Sprintf("%s %s", victim, way), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, 3)
					id, total := begin(t, c)
					leave(c, c.nodes[victim])
					elapse(3 * guardEvery)
					if j := c.status(t, id); j.EndTime != 0 || j.Aborted {
						t.Errorf("while others work: %+v", j)
					}
					for _, n := range c.nodes {
						close(n.gate)
					}
					elapse(5 * guardEvery)
					j := c.status(t, id)
					few := int64(2 * perLane) // that were deleted behind the mark, which is where others began
					if left := c.keys(c.from); left != "" || j.EndTime == 0 || j.Aborted || j.Err != "" || j.Objects > int64(total) || j.Objects < int64(total)-few || j.Bytes != 2*j.Objects {
						t.Errorf("left %q: %+v", left, j)
					}
					snaps, err := c.jobs.Snaps(t.Context(), c.view, &api.JobQuery{ID: id})
					if err != nil {
						t.Fatal(err)
					}
					sum := int64(0)
					for _, of := range snaps {
						for _, s := range of {
							sum += s.Stats.Objects
						}
					}
					if sum != j.Objects {
						t.Errorf("the shares have %d objects of %d", sum, j.Objects)
					}
					for _, n := range c.nodes { // one after another is exchanged for one that knows nothing
						if n.id == "t1" && victim == "t2" || n.id == "t2" && victim != "t2" || n.down.Load() { // one knows
							continue
						}
						n.stop()
						n.start()
						if again := c.status(t, id); *again != *j && (again.Objects != j.Objects || again.Aborted || again.EndTime != j.EndTime) {
							t.Errorf("afterwards %+v, before %+v", again, j)
						}
					}
				})
			})
		}
	}
}

// TestStopStays: nobody goes on with a job that was told to stop, whatever is missing of it.
func TestStopStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		id, total := begin(t, c)
		gone := c.nodes["t2"]
		c.lose(gone)
		if _, err := c.jobs.Stop(t.Context(), c.view, &api.JobQuery{ID: id}); err != nil {
			t.Fatal(err)
		}
		for _, n := range c.nodes {
			close(n.gate)
		}
		elapse(5 * guardEvery)
		if n := len(strings.Fields(c.keys(c.from))); n < total-3*(5+2*perLane) || n == 0 {
			t.Errorf("%d of %d are left", n, total)
		}
		if j := c.status(t, id); !j.Aborted || j.EndTime == 0 || !strings.Contains(j.Err, "stopped on request") {
			t.Errorf("%+v", j)
		}
	})
}

// slow is targets of which t0 refuses connections, and the others take a while to be told that a job is to stop.
type slow struct{ *testCluster }

func (s slow) Stop(ctx context.Context, n *cluster.Node, q *api.JobQuery) (int, error) {
	if n.ID == "t0" {
		return 0, errs.E("test", string(n.ID), errs.Unavailable)
	}
	select {
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return s.testCluster.Stop(ctx, n, q)
}

// TestStopTellsAll: a target that has just been killed keeps no other from being told to stop.
func TestStopTellsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		id, _ := begin(t, c)
		if n, err := NewJobs(slow{c}).Stop(t.Context(), c.view, &api.JobQuery{ID: id}); n != 2 || !errs.Is(err, errs.Unavailable) {
			t.Errorf("%d, %v", n, err)
		}
		elapse(2 * guardEvery) // t0 hears it of the others
		left := c.keys(c.from)
		for _, n := range c.nodes {
			close(n.gate)
		}
		elapse(2 * guardEvery)
		if now := c.keys(c.from); now != left {
			t.Errorf("left %q, and later %q", left, now)
		}
		if j := c.status(t, id); !j.Aborted || j.EndTime == 0 {
			t.Errorf("%+v", j)
		}
	})
}

// TestAbortedWithTheEnd: a share that cannot go on does not make the others look aborted, which clients take for the end of the job.
func TestAbortedWithTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		id, _ := begin(t, c)
		full := c.nodes["t1"]
		full.mu.Lock()
		for k := range full.objs[1] {
			full.bad[k] = errs.E("test", k, errs.Full)
		}
		full.mu.Unlock()
		close(full.gate)
		elapse(2 * guardEvery)
		aborted := func() (n int) {
			snaps, err := c.jobs.Snaps(t.Context(), c.view, &api.JobQuery{ID: id})
			if err != nil {
				t.Fatal(err)
			}
			for _, of := range snaps {
				for _, s := range of {
					if s.Aborted {
						n++
					}
				}
			}
			return n
		}
		if j := c.status(t, id); aborted() != 0 || j.Aborted || j.EndTime != 0 || !strings.Contains(j.Err, "full") {
			t.Errorf("while two shares go on: %d aborted, %+v", aborted(), j)
		}
		close(c.nodes["t0"].gate)
		close(c.nodes["t2"].gate)
		elapse(2 * guardEvery)
		if j := c.status(t, id); aborted() != 1 || !j.Aborted || j.EndTime == 0 {
			t.Errorf("in the end: %d aborted, %+v", aborted(), j)
		}
	})
}

// TestBucketGoes: a job whose bucket was destroyed ends, also where the share of a target that is lost, or that leaves, has to be taken over.
func TestBucketGoes(t *testing.T) {
	for name, leaves := range map[string]bool{"lost": false, "left": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				id, _ := begin(t, c)
				c.view = (&cluster.View{
					Map: c.view.Map, Config: c.view.Config, Buckets: &cluster.BucketMap{Buckets: map[string]*cluster.Bucket{c.to.Key(): c.to}},
				}).Freeze()
				c.now.Store(c.view)
				gone := c.nodes["t2"]
				if leaves {
					gone.rt.Leave(t.Context())
				}
				c.lose(gone)
				for _, n := range c.nodes {
					n.bad = map[string]error{}
					for k := range n.objs[1] {
						n.bad[k] = errs.E("test", k, errs.NoBucket)
					}
					close(n.gate)
				}
				elapse(5 * guardEvery)
				j := c.status(t, id)
				if !j.Aborted || j.EndTime == 0 || !strings.Contains(j.Err, "target t2: ") || j.Bck.Name != "src" || j.Objects < 10 {
					t.Errorf("%+v of %+v", j, j.Bck)
				}
			})
		})
	}
}

// TestLateStart: a target that has not begun its share yet is waited for.
func TestLateStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		for i := range 20 {
			c.put(c.from, fmt.Sprint(i), 1)
		}
		s := Spec{ID: "j", Kind: DeleteObjects, Bucket: 1, Targets: []cluster.NodeID{"t0", "t1"}, Message: json.RawMessage(`{"all":true}`)}
		for _, n := range c.view.Map.Targets() {
			s.Placement = append(s.Placement, cluster.Placed{ID: n.ID, Weight: n.Weight})
		}
		if err := c.nodes["t0"].rt.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		elapse(5 * guardEvery)
		if left := c.keys(c.from); left == "" {
			t.Error("nothing is left for the target that had not begun") // and the cluster tells of names worked on by others
		}
		if j := c.status(t, "j"); j.EndTime != 0 {
			t.Errorf("%+v", j)
		}
		if err := c.nodes["t1"].rt.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		elapse(2 * guardEvery)
		if j := c.status(t, "j"); j.EndTime == 0 || j.Aborted || j.Objects != 20 {
			t.Errorf("%+v", j)
		}
	})
}

// TestSeal: a job has ended for a gateway only when every target knows it, and what two targets did is ended and counted once.
func TestSeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		id, _ := begin(t, c)
		twice := c.nodes["t1"].rt.watches[id].spec
		twice.Of = "t0"
		if err := c.nodes["t1"].rt.Start(t.Context(), twice); err != nil { // both work on the share of t0
			t.Fatal(err)
		}
		close(c.nodes["t0"].gate)
		for range 200 { // enough for its own, and not for the other's
			select {
			case c.nodes["t1"].gate <- struct{}{}:
			case <-time.After(guardEvery / 1000):
			}
			if c.keys(c.from) == "" {
				break
			}
		}
		c.nodes["t0"].down.Store(true)
		if j := c.status1(t, id); j != nil && j.EndTime != 0 {
			t.Errorf("one target does not know, and yet %+v", j)
		}
		c.nodes["t0"].down.Store(false)
		elapse(3 * guardEvery)
		j := c.status(t, id)
		if j.EndTime == 0 || j.Aborted || j.Objects < 120-2*perLane {
			t.Errorf("%+v", j)
		}
		for _, n := range c.nodes {
			for _, r := range n.rt.all() {
				if r.running() {
					t.Errorf("%s still works on the share of %s", n.id, r.of)
				}
				if len(r.spec.Message) > 0 || len(n.rt.watches[id].spec.Message) > 0 {
					t.Error("the message is kept")
				}
			}
		}
	})
}

// status1 is status, nil when a target does not answer.
func (c *testCluster) status1(t *testing.T, id string) *Job {
	t.Helper()
	j, err := c.jobs.Status(t.Context(), c.view, id)
	if err != nil && !errs.Is(err, errs.Unavailable) {
		t.Fatal(err)
	}
	return j
}

// TestAlone: a target that has no other to give its share to goes on with it, and with nothing but what was selected.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		for _, k := range strings.Fields("a1 a2 a3 b1") {
			c.put(c.from, k, 1)
		}
		n := c.nodes["t0"]
		n.gate = make(chan struct{}, 1)
		n.gate <- struct{}{}
		id, err := c.jobs.Start(t.Context(), c.view, Spec{Kind: DeleteObjects, Bucket: 1, Message: json.RawMessage(`{"template":"a"}`)})
		if err != nil {
			t.Fatal(err)
		}
		elapse(begunBy)
		n.lost.Store(true)
		elapse(2 * guardEvery)
		n.lost.Store(false)
		close(n.gate)
		elapse(5 * guardEvery)
		if j := c.status(t, id); j.EndTime == 0 || j.Aborted || c.keys(c.from) != "b1" {
			t.Errorf("left %q: %+v", c.keys(c.from), j)
		}
		without := Spec{ID: "none", Kind: DeleteObjects, Bucket: 1, Targets: []cluster.NodeID{"t0"}, Placement: []cluster.Placed{{ID: "t0", Weight: 100}}}
		if err := n.rt.Start(t.Context(), without); err != nil {
			t.Fatal(err)
		}
		elapse(2 * guardEvery)
		if j := c.status(t, "none"); !j.Aborted || c.keys(c.from) != "b1" {
			t.Errorf("without a message: left %q, %+v", c.keys(c.from), j)
		}
	})
}

// TestOver: of a job that has ended nothing is active, a stop changes nothing of it, and nothing begins any more, also where it was not known.
func TestOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		id, _ := begin(t, c)
		spec := c.nodes["t0"].rt.watches[id].spec
		for _, n := range c.nodes {
			close(n.gate)
		}
		elapse(time.Millisecond)
		if _, err := c.jobs.Stop(t.Context(), c.view, &api.JobQuery{ID: id}); err != nil { // all is done, and not yet sealed
			t.Fatal(err)
		}
		if j := c.status(t, id); j.EndTime == 0 || j.Aborted || j.Err != "" || j.Objects != 120 {
			t.Errorf("stopped after its last name: %+v", j)
		}
		id = "known"
		spec.ID, spec.Of = id, ""
		for _, n := range c.nodes {
			if err := n.rt.Start(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
		}
		elapse(3 * guardEvery)
		yes := true
		for _, n := range c.nodes {
			if snaps := n.rt.Query(&api.JobQuery{Active: &yes, ID: id}); len(snaps) > 0 {
				t.Errorf("%s: active %+v", n.id, snaps)
			}
			if snaps := n.rt.Query(&api.JobQuery{ID: id}); len(snaps) == 0 || snaps[0].Final == nil {
				t.Errorf("%s: %+v", n.id, snaps)
			}
		}
		rt := c.nodes["t1"].rt
		if err := rt.Seal(t.Context(), "late", Final{}); err != nil {
			t.Fatal(err)
		}
		c.put(c.from, "new", 1)
		spec.ID, spec.Of = "late", "t0"
		if err := rt.Start(t.Context(), spec); !errs.Is(err, errs.Canceled) {
			t.Errorf("begun after its end: %v", err)
		}
		elapse(3 * guardEvery)
		if c.keys(c.from) != "new" {
			t.Errorf("left %q", c.keys(c.from))
		}
	})
}

// TestStoppedAndLost: a job that was stopped while a target was lost says so.
func TestStoppedAndLost(t *testing.T) {
	s := Snap{Of: "t0", Targets: []cluster.NodeID{"t0", "t1"}, Stopped: true}
	s.ID, s.Start, s.End = "j", time.Now().Add(-time.Minute), time.Now()
	if j := sum([]Snap{s}, false); !j.Aborted || j.EndTime == 0 || j.Err != "stopped on request" {
		t.Errorf("%+v", j)
	}
}

// TestKept: what a target that leaves had ended is kept by a target that takes no part in the job.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		rt := c.nodes["t1"].rt
		ended := Snap{Targets: []cluster.NodeID{"t0"}, Of: "t0"}
		ended.ID, ended.End, ended.Stats.Objects = "j", time.Now(), 7
		s := Spec{ID: "j", Kind: DeleteObjects, Bucket: 1, Targets: ended.Targets, Of: "t0", Ended: &ended}
		if err := rt.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if j := c.status(t, "j"); j.EndTime == 0 || j.Objects != 7 {
			t.Errorf("%+v", j)
		}
	})
}

// TestFence: a target that may have been counted as lost begins nothing more of its share, also when it has its lease again before anybody has looked.
func TestFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		n := c.nodes["t0"]
		elapse(guardEvery)
		if err := n.rt.fenced(); err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-c.view.Config.Timeout.Lease.D())
		n.rt.alive.Store(&long) // as if the process had stood still
		if n.rt.fenced() == nil {
			t.Error("goes on")
		}
		elapse(2 * guardEvery)
		if err := n.rt.fenced(); err != nil {
			t.Errorf("stays fenced: %v", err)
		}
		n.lost.Store(true)
		if n.rt.fenced() == nil {
			t.Error("goes on without a lease")
		}
	})
}

// TestTrail: the mark moves over what has ended, in the order of the share, and counts nothing else.
func TestTrail(t *testing.T) {
	var tr trail
	tr.mark = Mark{Names: 10, Objects: 4, Bytes: 40, Sizes: Sizes{5, 15}}
	a, b, c, d := tr.begin("a"), tr.begin("b"), tr.begin("c"), tr.begin("d")
	tr.end(c, outcome{done: true, bytes: 3})
	tr.end(b, outcome{fault: "b is bad"})
	if m := tr.at(); m.After != "" || m.Names != 10 {
		t.Errorf("%+v", m)
	}
	tr.end(a, outcome{})
	want := Mark{After: "c", Names: 13, Objects: 5, Bytes: 43, Errors: 1, Faults: []string{"b is bad"}, Sizes: Sizes{3, 15}}
	if m := tr.at(); fmt.Sprint(m) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", m, want)
	}
	tr.end(d, outcome{done: true, bytes: -1})
	if m := tr.at(); m.After != "d" || m.Objects != 6 || m.Bytes != 43 || m.Sizes != want.Sizes || len(tr.open) != 0 {
		t.Errorf("%+v, %d open", m, len(tr.open))
	}
}

// TestResumed: names that are given, and names of a walk, are gone on with behind the mark.
func TestResumed(t *testing.T) {
	for _, message := range []string{`{"objnames":["1","2","3","4","5","6"]}`, `{"template":"{1..6}"}`, `{"all":true}`} {
		c := newCluster(t, 1)
		for _, k := range strings.Fields("1 2 3 4 5 6") {
			c.put(c.from, k, 1)
		}
		s := Spec{
			ID: "j", Kind: DeleteObjects, Bucket: 1, Targets: []cluster.NodeID{"t0"}, Placement: []cluster.Placed{{ID: "t0", Weight: 100}},
			Message: json.RawMessage(message), From: Mark{After: "3", Names: 3, Objects: 3, Errors: 1, Faults: []string{"x failed"}},
		}
		rt := c.nodes["t0"].rt
		if err := rt.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		rt.active.Wait()
		snap := rt.Query(&api.JobQuery{})[0]
		if left := c.keys(c.from); left != "1 2 3" || snap.Stats.Objects != 6 || snap.Errors != 1 || !strings.Contains(snap.Err, "x failed") {
			t.Errorf("%s: left %q, %+v", message, left, snap)
		}
	}
}

// TestPageWaits: a walk waits for a target that does not list its names, for a while.
func TestPageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var mu sync.Mutex
		asked, fails := 0, 5
		rt := c.nodes["t0"].rt
		rt.cfg.Pages = func(context.Context, uint64, string, string) ([]Found, string, error) {
			mu.Lock()
			defer mu.Unlock()
			if asked++; asked <= fails {
				return nil, "", errs.E("test", "t9", errs.Unavailable)
			}
			return []Found{{"k", 1}}, "", nil
		}
		j := &run{rt: rt, from: c.from}
		if some, _, err := j.page(t.Context(), "", ""); err != nil || len(some) != 1 {
			t.Errorf("%v %v", some, err)
		}
		fails = 1 << 20
		began := time.Now()
		if _, _, err := j.page(t.Context(), "", ""); !errs.Is(err, errs.Unavailable) || time.Since(began) < listPatience {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestKeptForOthers: what a target was told of the ended share of another, of a job in which it has no part, it knows as long as the job is not over,
// whatever begins meanwhile.
func TestKeptForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		rt := c.nodes["t1"].rt
		s := Spec{ID: "j", Kind: DeleteObjects, Bucket: 1, Targets: []cluster.NodeID{"t0", "t9"}, Of: "t0", Message: json.RawMessage(`{"all":true}`)}
		s.Ended = &Snap{JobSnap: api.JobSnap{ID: "j", Kind: DeleteObjects, End: time.Now()}, Of: "t0"}
		if err := rt.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		told := func() int { return len(rt.Query(&api.JobQuery{ID: "j"})) }
		c.run(t, SummaryBucket, 0, nil)
		if n := told(); n != 1 {
			t.Errorf("%d shares are known", n)
		}
		if err := rt.Seal(t.Context(), "j", Final{}); err != nil {
			t.Fatal(err)
		}
		c.run(t, SummaryBucket, 0, nil)
		if n := told(); n != 0 {
			t.Errorf("%d shares are known of a job that is over", n)
		}
	})
}
