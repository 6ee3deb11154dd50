package cluster

import (
	"slices"
	"testing"
	"time"
)

// TestResumeForgetsNode: a target that joined after the state was written that a cluster goes on with is unknown to it, and may have the newest copy of
// any object: it joins with what it has, and looks through it although it owns nothing.
func TestResumeForgetsNode(t *testing.T) {
	m, uuid := NewMachine(), "0a473536-62b5-4a10-9f34-80653fd7cc0c"
	must := func(cmds ...Command) {
		t.Helper()
		for _, c := range cmds {
			if _, err := m.Apply(m.Index+1, Entry{Command: c, Time: time.Unix(1, 0), By: "g1"}); err != nil {
				t.Fatalf("%s: %v", c.Op(), err)
			}
			if err := m.Check(); err != nil {
				t.Fatalf("after %s: %v", c.Op(), err)
			}
		}
	}
	must(Found{UUID: uuid, Secret: make([]byte, 32), Node: testNode("g1", map[string]string{"role": "proxy"})},
		Join{Node: testNode("t1", map[string]string{"role": "target"})}, CreateBucket{Name: "pictures"})
	resumed, err := m.Resume("g1", "g1.log", time.Unix(2, 0))
	if err != nil {
		t.Fatal(err)
	}
	m = resumed
	must(ReportSource{ID: "t1", Epoch: m.Map.Epoch, Stage: Moved}, ReportSource{ID: "t1", Epoch: m.Map.Epoch, Stage: Swept})
	if m.Map.Rebalancing() {
		t.Fatal("it does not end: ", m.Map.Sources)
	}
	must(Join{Node: testNode("new", map[string]string{"role": "target"})})
	if m.Map.Rebalancing() {
		t.Error("a target that has nothing moves something")
	}
	epoch := m.Map.Epoch
	must(Join{UUID: uuid, Node: testNode("t2", map[string]string{"role": "target"})})
	if s := m.Map.Sources["t2"].Stage; s != Moving || m.Map.Epoch == epoch {
		t.Errorf("it is %q as a source, the epoch is %d", string(s), m.Map.Epoch)
	}
	must(ForgetNode{ID: "t2"}, Join{UUID: uuid, Node: testNode("t2", map[string]string{"role": "target"})})
	if n := m.Map.Nodes["t2"]; n.Era == 0 || m.Map.Sources["t2"].Stage != "" {
		t.Errorf("removed, and joined again: era %d, source %v", n.Era, m.Map.Sources["t2"])
	}
	if slices.ContainsFunc(m.Map.Targets(), func(n *Node) bool { return n.ID == "t2" }) {
		t.Error("it owns something")
	}
}
