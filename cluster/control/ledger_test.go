package control

import (
	"slices"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// The ledger and the node's side of the lease take their time as an argument: here it is made of seconds.
func at(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }

const (
	sec   = time.Second
	lease = 6 * sec // margin 650ms
)

func mapOf(ids ...cluster.NodeID) *cluster.Map {
	m := &cluster.Map{Nodes: map[cluster.NodeID]*cluster.Node{}}
	for _, id := range ids {
		m.Nodes[id] = &cluster.Node{ID: id, Role: cluster.RoleTarget, State: cluster.Online, Alive: true, IntraAddr: string(id) + ":1", PublicURL: "http://" + string(id)}
	}
	return m
}

func beatOf(id cluster.NodeID, view uint64) heartbeat {
	return heartbeat{Node: cluster.Node{ID: id, IntraAddr: string(id) + ":1", PublicURL: "http://" + string(id)}, View: view, Boot: "b1"}
}

func TestLedgerJudges(t *testing.T) {
	m := mapOf("a", "b", "c")
	l := newLedger(at(0), lease)
	l.hear(beatOf("a", 1), at(1))
	l.hear(beatOf("b", 1), at(5))
	for _, c := range []struct {
		now  float64
		lost []cluster.NodeID
	}{
		{6.5, nil},                        // c was never heard, but the reign has just begun
		{6.7, []cluster.NodeID{"c"}},      // a lease and a margin after the beginning
		{7.6, []cluster.NodeID{"c"}},      // a's lease is over, the margin not
		{7.7, []cluster.NodeID{"a", "c"}}, // both
	} {
		if lost, back := l.judge(m, lease, at(c.now)); !slices.Equal(lost, c.lost) || back != nil {
			t.Errorf("at %v: lost %v, back %v; want lost %v", c.now, lost, back, c.lost)
		}
	}
	m.Nodes["a"].Alive, m.Nodes["c"].Alive = false, false
	l.hear(beatOf("a", 1), at(8))
	lost, back := l.judge(m, lease, at(9))
	if lost != nil || !slices.Equal(back, []cluster.NodeID{"a"}) {
		t.Errorf("lost %v, back %v; want a back", lost, back)
	}
	// This process stood still: nobody is lost for that, and nobody comes back by it.
	l.woke(at(100))
	if lost, back := l.judge(m, lease, at(101)); lost != nil || back != nil {
		t.Errorf("after a pause: lost %v, back %v", lost, back)
	}
}

// TestLeaseEndsBeforeItIsCountedOut grants and loses leases in every order of delays and checks the one rule
// that all safety rests on: when the primary counts a lease as over, it is over on the node.
func TestLeaseEndsBeforeItIsCountedOut(t *testing.T) {
	m := mapOf("n")
	for _, d := range []struct{ out, in float64 }{{0, 0}, {0.5, 0}, {0, 0.5}, {3, 3}, {0, 20}, {20, 0}} {
		l := newLedger(at(0), 0)
		node := &leaseBox{base: at(-1)}
		for i := range 3 {
			sent := float64(i)
			l.hear(beatOf("n", 1), at(sent+d.out))
			if l.grant(beatOf("n", 1), at(sent+d.out), lease, sec) {
				node.renew(at(sent), lease) // whenever the answer arrives, at sent+out+in
			}
		}
		for now := 0.0; now < 60; now += 0.1 {
			node.clock = func() time.Time { return at(now) }
			if who, _, _ := l.behind(2, m, "", 0, at(now)); len(who) == 0 && node.left() > 0 && now > 2+d.out {
				t.Fatalf("delays %v: at %v the primary counts the lease as over, the node has %v left", d, now, node.left())
			}
		}
	}
}

func TestLedgerWaitsForWhoMayServe(t *testing.T) {
	m := mapOf("a", "b", "c", "dead")
	m.Nodes["dead"].Alive = false
	l := newLedger(at(0), lease)
	l.hear(beatOf("a", 5), at(1))
	l.hear(beatOf("b", 4), at(1))
	l.grant(beatOf("b", 4), at(1), lease, sec)
	who, until, _ := l.behind(5, m, "c", 0, at(2))
	if !slices.Equal(who, []cluster.NodeID{"b"}) || !until.Equal(at(7.65)) {
		t.Errorf("behind: %v until %v; want b until 7.65", who, until.Sub(at(0)))
	}
	// c has not spoken to this primary; an earlier one may have granted it a lease just before.
	who, until, _ = l.behind(5, m, "b", 0, at(2))
	if !slices.Equal(who, []cluster.NodeID{"c"}) || !until.Equal(at(6.65)) {
		t.Errorf("behind: %v until %v; want c until 6.65", who, until.Sub(at(0)))
	}
	l.hear(beatOf("b", 5), at(3))
	if who, _, _ := l.behind(5, m, "", 0, at(6.7)); who != nil {
		t.Errorf("behind at the end: %v", who)
	}
	// With a patience of a second: who has never spoken is given half of it, who has, all of it since.
	l.hear(beatOf("b", 5), at(2))
	for now, want := range map[float64][]cluster.NodeID{0.4: {"a", "b", "c"}, 0.6: {"a", "b"}, 1.9: {"a", "b"}, 2.9: {"b"}, 3.1: nil} {
		who, _, _ := l.behind(9, m, "", sec, at(now))
		if slices.Sort(who); !slices.Equal(who, want) {
			t.Errorf("behind at %v: %v, want %v", now, who, want)
		}
	}
}

// A node that does not take up a view loses its lease, so that a change waits for it a bounded time.
func TestLedgerRefusesWhoLags(t *testing.T) {
	l := newLedger(at(0), 0)
	l.hear(beatOf("a", 1), at(0))
	l.committed(2, at(1))
	l.committed(3, at(5))
	l.committed(3, at(6)) // said twice
	for _, c := range []struct {
		view uint64
		now  float64
		ok   bool
	}{{1, 1.5, true}, {1, 2.1, false}, {2, 5.5, true}, {2, 6.1, false}, {3, 7, true}} {
		if got := l.grant(beatOf("a", c.view), at(c.now), lease, sec); got != c.ok {
			t.Errorf("view %d at %v: granted %v", c.view, c.now, got)
		}
	}
	if l.grant(beatOf("stranger", 9), at(8), lease, sec) {
		t.Error("a lease for a node that was not heard")
	}
	for i := range 5000 {
		l.committed(uint64(10+i), at(10))
	}
	if len(l.commits) > 1024 || l.grant(beatOf("a", 5008), at(20), lease, sec) || !l.grant(beatOf("a", 5009), at(20), lease, sec) {
		t.Errorf("after many commits: %d are kept, or a wrong one counts", len(l.commits))
	}
}

func TestLedgerNoticesAnnouncements(t *testing.T) {
	v := &cluster.View{Map: mapOf("a", "b", "c"), Buckets: &cluster.BucketMap{}}
	v.Map.Nodes["a"].Weight = 100
	l := newLedger(at(0), 0)
	hb := beatOf("a", 1)
	hb.Node.Weight = 100
	l.hear(hb, at(1))
	l.hear(beatOf("gone", 1), at(1))
	if got := l.announced(v); got != nil {
		t.Errorf("nothing is new, and %v", got)
	}
	hb.Node.Weight = 50
	l.hear(hb, at(2))
	moved := beatOf("b", 1)
	moved.Node.IntraAddr = "elsewhere:1"
	l.hear(moved, at(2))
	if got := l.announced(v); len(got) != 2 || got[0].Weight != 50 || got[1].IntraAddr != "elsewhere:1" {
		t.Errorf("announced: %+v", got)
	}
	v.Buckets.Buckets = map[string]*cluster.Bucket{"#/x": {}}
	if got := l.announced(v); len(got) != 1 || got[0].ID != "b" {
		t.Errorf("with a bucket a weight is not news: %+v", got)
	}
}

func TestLostLog(t *testing.T) {
	l := newLedger(at(0), 0)
	hb := beatOf("a", 1)
	l.hasLog("a.1", "b1")
	if l.hear(hb, at(1)); l.lostLog("a.1") {
		t.Error("a heartbeat from before the log was made takes it away")
	}
	hb.LogID = "a.1"
	if l.hear(hb, at(2)); l.lostLog("a.1") || l.lostLog("b.1") {
		t.Error("nothing is lost")
	}
	hb.Boot, hb.LogID = "b2", ""
	if l.hear(hb, at(3)); !l.lostLog("a.1") {
		t.Error("a new process without the log has lost it")
	}
}

func TestLease(t *testing.T) {
	now := at(0)
	l := &leaseBox{base: at(0), clock: func() time.Time { return now }}
	v := &cluster.View{Index: 5}
	refused := func(what string) {
		t.Helper()
		if err := l.check(v); !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("before the first heartbeat")
	now = at(2)
	l.meet(7)
	l.renew(at(1), lease)
	refused("with an older view than the primary had at the first heartbeat")
	v = &cluster.View{Index: 7}
	l.meet(9) // a lease that goes on asks for nothing
	if err := l.check(v); err != nil || l.left() != 5*sec {
		t.Errorf("%v, %v left", err, l.left())
	}
	l.renew(at(0), lease) // an answer that comes late takes nothing away
	if l.left() != 5*sec {
		t.Errorf("%v left", l.left())
	}
	l.refuse("decommissioned")
	refused("when told not to")
	l.refuse("")
	now = at(7)
	refused("at its end")
	now = at(60)
	refused("after a pause")
	l.meet(8)
	l.renew(at(59), lease)
	refused("with an older view than the primary had when the lease began anew")
	v = &cluster.View{Index: 8}
	if err := l.check(v); err != nil {
		t.Error(err)
	}
}

// TestLeaseKnowsOfSleep lets the wall clock go on alone, as over a suspended machine.
func TestLeaseKnowsOfSleep(t *testing.T) {
	base := time.Now()
	now := base
	l := &leaseBox{base: base, clock: func() time.Time { return now }}
	l.meet(1)
	l.renew(base, lease)
	v := &cluster.View{Index: 1}
	now = base.Add(sec)
	if err := l.check(v); err != nil {
		t.Error(err)
	}
	l.until.Store(int64(time.Hour)) // the monotonic clock stood still
	now = base.Add(10 * sec)
	if err := l.check(v); !errs.Is(err, errs.Unavailable) {
		t.Error("after ten seconds of sleep:", err)
	}
}

func BenchmarkLease(b *testing.B) {
	l := &leaseBox{base: time.Now(), clock: time.Now}
	l.meet(1)
	l.renew(time.Now(), time.Hour)
	v := &cluster.View{Index: 1}
	for b.Loop() {
		if l.check(v) != nil {
			b.Fatal("refused")
		}
	}
}

func TestLedgerKnowsTwins(t *testing.T) {
	l := newLedger(at(0), 0)
	l.hear(beatOf("a", 1), at(1))
	l.grant(beatOf("a", 1), at(1), lease, sec)
	twin := beatOf("a", 1).Node
	twin.IntraAddr = "copy:1"
	for _, c := range []struct {
		n    cluster.Node
		now  float64
		want string
	}{
		{beatOf("a", 1).Node, 2, ""}, // itself, or its successor at the same address
		{twin, 2, "a:1"},
		{twin, 7.6, "a:1"}, // lease and margin
		{twin, 7.7, ""},    // moved
	} {
		if got := l.occupied(c.n, "a:1", at(c.now)); got != c.want {
			t.Errorf("%s at %v s: %q, want %q", c.n.IntraAddr, c.now, got, c.want)
		}
	}
	l = newLedger(at(10), lease) // a new primary knows only the map until who may have a lease has spoken
	if got := l.occupied(twin, "a:1", at(11)); got != "a:1" {
		t.Errorf("a new primary takes the copy for the node: %q", got)
	}
	if got := l.occupied(twin, "a:1", at(17)); got != "" {
		t.Errorf("a node that moved is not let in: %q", got)
	}
}
