package ownership

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/object"
)

// world is a cluster of targets t1..tn with one bucket.
type world struct {
	t *testing.T
	m *cluster.Machine
}

func newWorld(t *testing.T, targets int) *world {
	w := &world{t, cluster.NewMachine()}
	w.apply(cluster.Found{UUID: "u", Secret: []byte(strings.Repeat("s", 32)), Node: node("g", cluster.RoleProxy)})
	for i := range targets {
		w.apply(cluster.Join{Node: node(fmt.Sprintf("t%d", i+1), cluster.RoleTarget)})
	}
	w.apply(cluster.CreateBucket{Name: "bucket"})
	return w
}

func node(id string, role cluster.Role) cluster.Node {
	return cluster.Node{ID: cluster.NodeID(id), Role: role, IntraAddr: id + ":1", PublicURL: "http://" + id + ":2"}
}

func (w *world) apply(c cluster.Command) {
	w.t.Helper()
	if _, err := w.m.Apply(w.m.Index+1, cluster.Entry{Time: time.Unix(1, 0), Command: c}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) move(step cluster.Transition, ids ...cluster.NodeID) {
	w.t.Helper()
	w.apply(cluster.MoveNodes{IDs: ids, Step: step})
}

func (w *world) report(id cluster.NodeID, s cluster.Stage) {
	w.t.Helper()
	w.apply(cluster.ReportSource{ID: id, Epoch: w.m.Map.Epoch, Stage: s})
}

func (w *world) view() (*cluster.View, *cluster.Bucket) {
	v := w.m.View()
	return v, v.Buckets.Get("", "bucket")
}

func TestCompare(t *testing.T) {
	v := func(e, c uint64) object.Version { return object.Version{Epoch: e, Counter: c} }
	order := []State{ // older to newer, with marks up to 4 settled
		{},
		{Present: true},
		{Mark: 4, Version: v(1, 9), Present: true},
		{Mark: 2, Version: v(2, 1), Present: true},
		{Mark: 5},
		{Mark: 5, Version: v(1, 1), Present: true},
		{Mark: 6},
	}
	for i, a := range order {
		for j, b := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b, 4); got != want {
				t.Errorf("%+v against %+v: %d, want %d", a, b, got, want)
			}
		}
	}
}

// TestJoin follows every name through a join: the new owner asks the former one until that has moved.
func TestJoin(t *testing.T) {
	w := newWorld(t, 2)
	before, b := w.view()
	w.apply(cluster.Join{Node: node("t3", cluster.RoleTarget)})
	w.move(cluster.JoinNode, "t3")
	v, _ := w.view()
	moved := 0
	for i := range 1000 {
		key := fmt.Sprint(i)
		was, is := before.Owner(b, key), v.Owner(b, key)
		verdict, holders := Admit(nil, v, is.ID, b, key, 0)
		if was.ID == is.ID {
			if verdict != Serve {
				t.Fatalf("%s stays at %s: %v", key, is.ID, verdict)
			}
			if !Commit(before, v, is.ID, b, key, 0) {
				t.Fatalf("%s: the owner of both epochs may commit", key)
			}
			continue
		}
		moved++
		if is.ID != "t3" || verdict != Ask || len(holders) != 1 || holders[0].ID != was.ID {
			t.Fatalf("%s went from %s to %s: %v %v", key, was.ID, is.ID, verdict, holders)
		}
		if verdict, _ := Admit(nil, v, was.ID, b, key, 0); verdict != Elsewhere || Commit(before, v, was.ID, b, key, v.Map.Epoch) {
			t.Fatalf("%s: the former owner serves", key)
		}
		if verdict, _ := Admit(nil, v, is.ID, b, key, v.Map.Epoch); verdict != Serve {
			t.Fatalf("%s: touched, and %v", key, verdict)
		}
		e := v.Map.Epoch
		if !Accepts(v, is.ID, was.ID, b, key, e) || Accepts(v, is.ID, was.ID, b, key, e-1) || Accepts(v, was.ID, is.ID, b, key, e) || Accepts(v, is.ID, is.ID, b, key, e) {
			t.Fatalf("%s: who takes proposals", key)
		}
		if !Pulls(v, is.ID, was.ID, b, key, 0) || Pulls(v, is.ID, was.ID, b, key, e) || Pulls(v, was.ID, is.ID, b, key, 0) {
			t.Fatalf("%s: who may be pulled from", key)
		}
	}
	if moved < 250 || moved > 420 {
		t.Errorf("%d of 1000 names moved to the third target", moved)
	}
	if d := DutyOf(v, "t1"); d != Move {
		t.Errorf("t1 has duty %v", d)
	}
	if d := DutyOf(v, "t3"); d != Idle {
		t.Errorf("t3 has duty %v", d)
	}
	w.report("t1", cluster.Moved)
	v, _ = w.view()
	if d := DutyOf(v, "t1"); d != Sweep {
		t.Errorf("t1 has duty %v", d)
	}
	for i := range 1000 {
		if _, holders := Admit(nil, v, "t3", b, fmt.Sprint(i), 0); len(holders) > 0 && holders[0].ID != "t2" {
			t.Fatalf("%d: %v is asked although it has moved", i, holders[0].ID)
		}
	}
	w.report("t2", cluster.Moved)
	w.report("t1", cluster.Swept)
	if v, _ = w.view(); Mark(v) != v.Map.Epoch {
		t.Error("no marks before all have swept")
	}
	w.report("t2", cluster.Swept)
	if v, _ = w.view(); Mark(v) != 0 || v.Map.Settled != v.Map.Epoch || v.Map.Nodes["t3"].State != cluster.Online {
		t.Errorf("not settled: %+v", v.Map)
	}
}

// TestAway takes a target out and back: the others ask it while it has something, and it asks them when it is back.
func TestAway(t *testing.T) {
	w := newWorld(t, 3)
	w.move(cluster.StartMaintenance, "t2")
	v, b := w.view()
	if len(Listed(v)) != 3 || v.Map.Asked()[0].ID != "t2" {
		t.Errorf("asked for lists: %v", Listed(v))
	}
	for _, id := range []cluster.NodeID{"t1", "t2", "t3"} {
		w.report(id, cluster.Moved)
	}
	w.report("t1", cluster.Swept)
	w.report("t3", cluster.Swept)
	v, _ = w.view()
	if DutyOf(v, "t2") != Idle || Mark(v) == 0 || len(Listed(v)) != 2 {
		t.Errorf("t2 keeps: duty %v, mark %d, %d listed", DutyOf(v, "t2"), Mark(v), len(Listed(v)))
	}
	for i := range 100 {
		if verdict, _ := Admit(nil, v, v.Owner(b, fmt.Sprint(i)).ID, b, fmt.Sprint(i), 0); verdict != Serve {
			t.Fatalf("%d: %v although all have moved", i, verdict)
		}
	}
	away := v
	w.move(cluster.StopMaintenance, "t2")
	v, _ = w.view()
	for i := range 300 {
		key := fmt.Sprint(i)
		if v.Owner(b, key).ID != "t2" {
			continue
		}
		verdict, holders := Admit(nil, v, "t2", b, key, 0)
		if verdict != Ask || len(holders) != 1 || holders[0].ID != away.Owner(b, key).ID {
			t.Fatalf("%s: %v %v, want to ask %s", key, verdict, holders, away.Owner(b, key).ID)
		}
	}
	if Removable(v, "t1", b, "x", v.Map.Epoch) {
		t.Error("t1 may remove before it has moved")
	}
}
