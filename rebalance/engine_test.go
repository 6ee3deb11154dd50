package rebalance

import (
	"slices"
	"testing"

	"aistore/cluster"
	"aistore/errs"
)

// TestJoinLeaveReturn takes a target in, out, and back: every key is where it belongs each time, and on return nothing is sent twice.
func TestJoinLeaveReturn(t *testing.T) {
	w := newWorld(t, 3, 2)
	w.fill(1500)
	w.add("t4")
	w.step(cluster.JoinNode, "t4")
	w.settled()
	w.check()
	if n := len(w.hosts["t4"].names()); n < 250 {
		t.Errorf("t4 has %d keys", n)
	}

	w.step(cluster.StartMaintenance, "t2")
	w.settled()
	w.check()
	kept := len(w.hosts["t2"].names())
	if kept < 250 {
		t.Errorf("t2 keeps %d keys", kept)
	}
	if w.view().Map.Nodes["t2"].Phase != cluster.Drained {
		t.Errorf("t2 is %+v", w.view().Map.Nodes["t2"])
	}

	w.step(cluster.StopMaintenance, "t2")
	w.settled()
	w.check()
	if g := w.hosts["t2"].engine.book.newest(); g.received.Load() > 0 {
		t.Errorf("t2 was sent %d keys that it had", g.received.Load())
	}
	moved, present := w.counts()
	if moved != 0 || present < int64(kept)/2 {
		t.Errorf("%d keys are said to have moved, %d to have been there: t2 kept %d", moved, present, kept)
	}
}

// counts sums up what nodes say of the present epoch: keys that have moved, and that were there.
func (w *world) counts() (moved, present int64) {
	w.t.Helper()
	for _, h := range w.hosts {
		s, err := h.engine.Status("")
		if err != nil {
			w.t.Fatal(err)
		}
		if s.Epoch == w.view().Map.Epoch {
			moved += s.Objects
			present += s.PresentObjects
		}
	}
	return moved, present
}

// taken counts what a node was sent, and took, in the present epoch.
func (w *world) taken(id cluster.NodeID) int64 {
	return w.hosts[id].engine.book.of(w.view().Map.Epoch).received.Load()
}

// config changes a setting of the cluster.
func (w *world) config(key, value string) {
	w.t.Helper()
	w.apply(cluster.SetConfig{Set: map[string]string{key: value}})
}

// begun waits until a node has moved a few keys.
func (w *world) begun(id cluster.NodeID) {
	w.t.Helper()
	w.await(string(id)+" moves something", func() bool {
		g := w.hosts[id].engine.book.newest()
		return g != nil && g.epoch == w.view().Map.Epoch && g.objects.Load()+g.presentObjects() > 0
	})
}

// someMoved is begun, and the node must not be through.
func (w *world) someMoved(id cluster.NodeID) {
	w.t.Helper()
	w.begun(id)
	if s := w.view().Map.Sources[id].Stage; s != cluster.Moving {
		w.t.Logf("%s is %s already: this step shows little", id, s)
	}
}

// TestTraffic moves keys while others are written, overwritten and deleted at their owners.
func TestTraffic(t *testing.T) {
	const keys = 1200
	w := newWorld(t, 3, 2)
	w.fill(keys)
	w.config("rebalance.bandwidth", "3000000") // so that changes fall in between
	stop := w.traffic(1, keys)
	defer func() { stop() }()
	w.add("t4")
	w.step(cluster.JoinNode, "t4")
	w.settled()
	w.step(cluster.StartMaintenance, "t2")
	w.settled()
	w.step(cluster.StopMaintenance, "t2")
	w.settled()
	w.step(cluster.DecommissionNode, "t1")
	w.until("t1 is gone", func(m *cluster.Map) bool { return m.Nodes["t1"] == nil })
	w.settled()
	n := stop()
	stop = func() int { return 0 }
	if n < 100 {
		t.Errorf("only %d changes fell into it", n)
	}
	w.hosts["t1"].down()
	w.check()
}

// TestOverlap changes owners again and again before anything has settled.
func TestOverlap(t *testing.T) {
	const keys = 1000
	w := newWorld(t, 3, 1)
	w.fill(keys)
	w.config("rebalance.bandwidth", "400000")
	stop := w.traffic(2, keys)
	w.add("t4")
	w.step(cluster.JoinNode, "t4")
	w.begun("t1")
	w.step(cluster.StartMaintenance, "t1")
	w.begun("t1")
	w.add("t5")
	w.step(cluster.JoinNode, "t5")
	w.begun("t1")
	w.step(cluster.DecommissionNode, "t3")
	w.begun("t3")
	w.step(cluster.StopMaintenance, "t1")
	w.begun("t3")
	w.apply(cluster.SetNode{ID: "t2", Weight: 300})
	w.begun("t3")
	if n := len(w.view().Map.Former); n < 3 {
		t.Errorf("only %d former placements: the epochs did not overlap", n)
	}
	w.config("rebalance.bandwidth", "0")
	w.until("t3 is gone", func(m *cluster.Map) bool { return m.Nodes["t3"] == nil })
	w.settled()
	stop()
	w.hosts["t3"].down()
	w.check()
}

// TestDeadDestination has keys of a node that does not answer wait, and no others.
func TestDeadDestination(t *testing.T) {
	w := newWorld(t, 3, 2)
	w.fill(800)
	a, b := w.add("t4"), w.add("t5")
	for _, h := range []*host{a, b} {
		h.down()
		h.plane.isolate()
	}
	w.step(cluster.JoinNode, "t4", "t5")
	w.await("t1 gives both up", func() bool {
		s, err := w.hosts["t1"].engine.Status("")
		return err == nil && len(s.Waiting) == 2 && s.Errors > 0
	})
	a.up(nil)
	w.await("all of t4 is there", func() bool {
		for _, id := range []cluster.NodeID{"t1", "t2", "t3"} {
			s, err := w.hosts[id].engine.Status("")
			if err != nil || len(s.Waiting) != 1 || s.Waiting[0] != "t5" {
				return false
			}
		}
		return true
	})
	if n := len(a.names()); n < 100 {
		t.Errorf("t4 has %d keys", n)
	}
	w.apply(cluster.SetAlive{Lost: []cluster.NodeID{"t5"}})
	if m := w.view().Map; m.Sources["t1"].Stage != cluster.Moving {
		t.Errorf("t1 is %v although t5 has nothing", m.Sources["t1"])
	}
	b.up(nil)
	w.apply(cluster.SetAlive{Back: []cluster.NodeID{"t5"}})
	w.settled()
	w.check()
}

// TestOwnMountpathOut: a source that cannot read one of its own mountpaths waits for that, and not for owners who would take everything.
func TestOwnMountpathOut(t *testing.T) {
	w := newWorld(t, 2, 2)
	w.fill(400)
	t1 := w.hosts["t1"]
	path := t1.store.Mountpaths()[0].Path
	if err := t1.store.Disable(path); err != nil {
		t.Fatal(err)
	}
	dead := w.add("t4")
	w.add("t3")
	w.step(cluster.JoinNode, "t3")
	mine := "mountpath " + path + " of t1"
	waits := func(want ...string) func() bool {
		return func() bool {
			s, err := t1.engine.Status("")
			return err == nil && slices.Equal(s.Waiting, want)
		}
	}
	w.await("t1 waits for its mountpath", waits(mine))
	dead.down()
	dead.plane.isolate()
	w.step(cluster.JoinNode, "t4")
	w.await("t1 waits for t4, too", waits("t4", mine))
	if _, err := t1.store.Enable(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	w.await("t1 waits for t4 alone", waits("t4"))
	dead.up(nil)
	w.settled()
	w.check()
}

// TestSweepWaits: a source that cannot remove what it does not own, since a mountpath is out, says so.
func TestSweepWaits(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.fill(50)
	t1 := w.hosts["t1"]
	path := t1.store.Mountpaths()[0].Path
	if err := t1.store.Disable(path); err != nil {
		t.Fatal(err)
	}
	w.add("t2")
	w.step(cluster.JoinNode, "t2")
	w.apply(cluster.ReportSource{ID: "t1", Epoch: w.view().Map.Epoch, Stage: cluster.Moved}) // the mountpath may have gone right after that
	want := []string{"mountpath " + path + " of t1"}
	w.await("t1 waits for its mountpath", func() bool {
		s, err := t1.engine.Status("")
		return err == nil && s.Stage == cluster.Moved && slices.Equal(s.Waiting, want)
	})
	if _, err := t1.store.Enable(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	w.settled()
}

// TestSilentDestination has a pass end although a node swallows what it is sent and never answers, as a machine does whose power is
// gone: once it counts as lost nothing waits for its answers.
func TestSilentDestination(t *testing.T) {
	w := newWorld(t, 3, 2)
	w.fill(200)
	h := w.add("t4")
	h.down()
	h.plane.isolate()
	silent := h.listen() // the kernel takes connections, and nobody reads
	w.step(cluster.JoinNode, "t4")
	w.await("all wait for an answer", func() bool {
		for _, id := range []cluster.NodeID{"t1", "t2", "t3"} {
			if w.hosts[id].engine.flights.count() == 0 {
				return false
			}
		}
		return true
	})
	w.apply(cluster.SetAlive{Lost: []cluster.NodeID{"t4"}})
	w.await("t4 is given up", func() bool {
		for _, id := range []cluster.NodeID{"t1", "t2", "t3"} {
			s, err := w.hosts[id].engine.Status("")
			if err != nil || len(s.Waiting) != 1 || s.Errors == 0 || w.hosts[id].engine.flights.count() > 0 {
				return false
			}
		}
		return true
	})
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	h.up(nil)
	w.apply(cluster.SetAlive{Back: []cluster.NodeID{"t4"}})
	w.settled()
	w.check()
}

// TestPaused stops a rebalance and goes on with it.
func TestPaused(t *testing.T) {
	w := newWorld(t, 2, 1)
	w.fill(600)
	w.config("rebalance.bandwidth", "200000")
	w.add("t3")
	w.step(cluster.JoinNode, "t3")
	w.someMoved("t1")
	w.apply(cluster.SetRebalance{Run: false})
	for _, id := range []cluster.NodeID{"t1", "t2"} { // what was under way has ended when a newer duty has begun
		w.await(string(id)+" stops", func() bool { s, err := w.hosts[id].engine.Status(""); return err == nil && s.Paused && !s.Running })
	}
	w.config("rebalance.bandwidth", "0")
	if !w.view().Map.Rebalancing() || !w.view().Map.Paused {
		t.Fatal("it is not paused")
	}
	w.apply(cluster.SetRebalance{Run: true})
	w.settled()
	w.check()
	if moved, present := w.counts(); moved+present != int64(len(w.hosts["t3"].names())) {
		t.Errorf("%d keys moved and %d were there, t3 has %d", moved, present, len(w.hosts["t3"].names()))
	}
}

// TestRestart stops every node in the middle; they go on where they were. What had moved before is recognised and does not move again.
func TestRestart(t *testing.T) {
	w := newWorld(t, 3, 2)
	w.fill(1500)
	w.add("t4")
	w.config("rebalance.bandwidth", "300000")
	w.step(cluster.JoinNode, "t4")
	w.someMoved("t1")
	for _, id := range w.ids() {
		w.hosts[id].down()
	}
	before := w.taken("t4")
	w.config("rebalance.bandwidth", "0")
	for _, id := range w.ids() {
		w.hosts[id].up(nil)
	}
	w.settled()
	w.check()
	all := int64(len(w.hosts["t4"].names()))
	if again, present := w.counts(); present < before || again+present != all {
		t.Errorf("of %d keys %d had moved before; then %d are said to have moved, %d to have been there", all, before, again, present)
	}
}

// TestDecommission empties a node once everything is elsewhere, unless its data is to stay.
func TestDecommission(t *testing.T) {
	w := newWorld(t, 4, 2)
	w.fill(800)
	kept := len(w.hosts["t3"].names())
	w.apply(cluster.MoveNodes{IDs: []cluster.NodeID{"t3"}, Step: cluster.DecommissionNode, KeepData: true})
	w.step(cluster.DecommissionNode, "t4")
	w.until("both are gone", func(m *cluster.Map) bool { return m.Nodes["t3"] == nil && m.Nodes["t4"] == nil })
	w.settled()
	if n := len(w.hosts["t3"].names()); n != kept {
		t.Errorf("t3 had %d keys and has %d", kept, n)
	}
	if n := len(w.hosts["t4"].names()); n != 0 {
		t.Errorf("t4 has %d keys left", n)
	}
	w.hosts["t3"].down()
	w.hosts["t4"].down()
	w.check()
}

// TestStartNotAccepted: a node whose start is not accepted does nothing and answers nothing, whatever the view says that it has found.
func TestStartNotAccepted(t *testing.T) {
	w := newWorld(t, 3, 2)
	w.fill(600)
	t1 := w.hosts["t1"]
	t1.down()
	w.add("t4")
	w.step(cluster.JoinNode, "t4")
	t1.late = true
	t1.up(nil)
	w.until("the others have moved", func(m *cluster.Map) bool {
		t2, t3 := m.Sources["t2"].Stage, m.Sources["t3"].Stage
		return m.Epoch > 3 && t2 != cluster.Moving && t3 != cluster.Moving
	})
	if g := t1.engine.book.newest(); g != nil && g.walked.Load() > 0 || w.view().Map.Sources["t1"].Stage != cluster.Moving {
		t.Errorf("t1 has begun: %+v", w.view().Map.Sources["t1"])
	}
	if _, err := t1.engine.fence(t.Context(), w.view().Map.Epoch); !errs.Is(err, errs.Unavailable) {
		t.Errorf("it takes what others send: %v", err)
	}
	close(t1.plane.start)
	w.settled()
	w.check()
}
