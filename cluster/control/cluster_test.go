package control

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
)

// grow makes a cluster of one gateway g1 and targets t1.. and waits until it has the voters it wants.
func grow(t *testing.T, nodes int) (*testCluster, []*testNode) {
	t.Helper()
	tc := newCluster(t)
	all := []*testNode{tc.found("g1", cluster.RoleProxy)}
	for i := 1; i < nodes; i++ {
		all = append(all, tc.join(cluster.NodeID(fmt.Sprintf("t%d", i)), cluster.RoleTarget, all[0]))
	}
	for _, n := range all {
		n.until("all voters", hasVoters(wanted(nodes)))
	}
	return tc, all
}

func TestFollowersAreNoMembers(t *testing.T) {
	_, all := grow(t, 4)
	voters := 0
	for _, n := range all {
		self := n.View().Map.Nodes[n.cfg.Self.ID]
		_, err := os.Stat(n.raftDir())
		if self.Voter != (n.member.Load() != nil) || self.Voter != (err == nil) {
			t.Errorf("%s: voter %v, raft %s, directory: %v", n.cfg.Self.ID, self.Voter, n.Stats().Raft, err)
		}
		if self.Voter {
			voters++
		}
	}
	if voters != 3 {
		t.Errorf("%d voters of 4 nodes", voters)
	}
}

func TestGatewaysVoteFirst(t *testing.T) {
	tc, all := grow(t, 3) // g1, t1, t2 vote
	g2 := tc.join("g2", cluster.RoleProxy, all[1])
	g2.until("g2 in place of a target", func(v *cluster.View) bool {
		return v.Map.Nodes["g2"].Voter && len(v.Map.Voters()) == 3
	})
	for _, n := range all {
		n.until("the same", func(v *cluster.View) bool {
			return v.Map.Nodes["g2"] != nil && v.Map.Nodes["g2"].Voter && len(v.Map.Voters()) == 3
		})
	}
	eventually(t, "the target's log to go", func() bool {
		gone := 0
		for _, n := range all {
			if there, _ := durable.Exists(n.raftDir()); !there {
				gone++
			}
		}
		return gone == 1
	})
}

func TestFailOver(t *testing.T) {
	tc, all := grow(t, 3)
	tc.kill("g1")
	began := time.Now()
	all[1].create("after-the-primary")
	t.Logf("changes resumed after %v", time.Since(began))
	v := all[2].until("the change", hasBucket("after-the-primary"))
	if v.Map.Primary == "g1" {
		t.Errorf("the dead node is the primary")
	}
	all[1].until("g1 to be marked dead", func(v *cluster.View) bool { return !v.Map.Nodes["g1"].Alive })
	g1 := tc.restart(all[0])
	g1.waitReady()
	g1.until("itself alive again", func(v *cluster.View) bool { return v.Map.Nodes["g1"].Alive && hasBucket("after-the-primary")(v) })
}

// TestSoleFollowerSurvives loses the only voter of two nodes: nothing can be changed, the view stays.
func TestSoleFollowerSurvives(t *testing.T) {
	tc, all := grow(t, 2)
	all[0].create("before")
	tc.kill("g1")
	t1 := all[1]
	ctx, cancel := context.WithTimeout(soon(t), time.Second)
	defer cancel()
	_, err := t1.Propose(ctx, cluster.CreateBucket{Name: "never"})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "0 of 1 voters answer") || !strings.Contains(err.Error(), "not g1") {
		t.Errorf("a change without a majority: %v", err)
	}
	if !hasBucket("before")(t1.View()) {
		t.Error("the view is lost")
	}
	eventually(t, "the lease to run out", func() bool { return t1.Lease() != nil })
	tc.restart(all[0])
	t1.create("again")
}

func TestEverybodyRestarts(t *testing.T) {
	tc, all := grow(t, 5)
	all[3].create("kept")
	uuid := all[0].View().Map.UUID
	for _, n := range all {
		tc.net.isolate(n.cfg.Self.ID) // nobody can say goodbye
	}
	for _, n := range all {
		tc.stop(n.cfg.Self.ID)
	}
	for i, n := range all {
		tc.net.heal(n.cfg.Self.ID)
		all[i] = tc.restart(n)
	}
	for _, n := range all {
		n.waitReady()
		if v := n.View(); v.Map.UUID != uuid || !hasBucket("kept")(v) {
			t.Errorf("%s: %s", n.cfg.Self.ID, describe(v))
		}
	}
	all[4].create("and-goes-on")
}

// TestEverybodyMoves restarts all nodes at other addresses; only a join URL tells where one of them is now.
func TestEverybodyMoves(t *testing.T) {
	tc, all := grow(t, 3)
	for _, n := range all {
		tc.kill(n.cfg.Self.ID)
	}
	moved := []*testNode{tc.start("g1", cluster.RoleProxy, nil)}
	for _, id := range []cluster.NodeID{"t1", "t2"} {
		moved = append(moved, tc.start(id, cluster.RoleTarget, func(c *Config) { c.Join = []string{moved[0].cfg.Self.PublicURL} }))
	}
	for _, n := range moved {
		n.waitReady()
	}
	for _, n := range moved {
		n.until("all new addresses", func(v *cluster.View) bool {
			for _, m := range moved {
				if v.Map.Nodes[m.cfg.Self.ID].IntraAddr != m.cfg.Self.IntraAddr || v.Map.Nodes[m.cfg.Self.ID].PublicURL != m.cfg.Self.PublicURL {
					return false
				}
			}
			return true
		})
	}
	moved[2].create("elsewhere")
}

func TestPartitionOfThePrimary(t *testing.T) {
	tc, all := grow(t, 3)
	g1 := all[0]
	tc.net.isolate("g1")
	all[1].create("by-the-majority")
	ctx, cancel := context.WithTimeout(soon(t), 500*time.Millisecond)
	defer cancel()
	if _, err := g1.Propose(ctx, cluster.CreateBucket{Name: "by-the-minority"}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "1 of 3 voters answer (g1)") {
		t.Errorf("the minority's change: %v", err)
	}
	if _, err := g1.Latest(ctx); !errs.Is(err, errs.Unavailable) {
		t.Errorf("the minority says what is latest: %v", err)
	}
	eventually(t, "the lease of the former primary to run out", func() bool { return g1.Lease() != nil })
	all[1].until("g1 to be marked dead", func(v *cluster.View) bool { return !v.Map.Nodes["g1"].Alive })
	tc.net.heal("g1")
	v := g1.until("the majority's change, and itself alive", func(v *cluster.View) bool {
		return hasBucket("by-the-majority")(v) && v.Map.Nodes["g1"].Alive
	})
	if hasBucket("by-the-minority")(v) {
		t.Error("a change of the minority took effect")
	}
	eventually(t, "a lease again", func() bool { return g1.Lease() == nil })
}

func TestLostAndBack(t *testing.T) {
	tc, all := grow(t, 4)
	lost := all[3]
	tc.net.isolate(lost.cfg.Self.ID)
	id := lost.cfg.Self.ID
	all[0].until("the node to be marked dead", func(v *cluster.View) bool { return !v.Map.Nodes[id].Alive })
	if lost.Lease() == nil {
		t.Error("a node serves that others count as dead")
	}
	if !lost.Ready() || lost.View() == nil {
		t.Error("a node that was cut off forgot its view")
	}
	tc.net.heal(id)
	all[0].until("the node to be back", func(v *cluster.View) bool { return v.Map.Nodes[id].Alive })
	eventually(t, "its lease", func() bool { return lost.Lease() == nil })
}

// TestFencedChange destroys a bucket while a target that may still serve is cut off.
func TestFencedChange(t *testing.T) {
	tc, all := grow(t, 4)
	all[0].create("doomed")
	cut := all[3]
	cut.until("the bucket", hasBucket("doomed"))
	tc.cutOff(cut)
	if _, err := all[1].Propose(soon(t), cluster.DestroyBucket{Name: "doomed"}); err != nil {
		t.Fatal(err)
	}
	if cut.Lease() == nil {
		t.Error("the bucket is gone, and a target that does not know may serve it")
	}
	if !hasBucket("doomed")(cut.View()) {
		t.Error("the cut-off target heard of it: the test shows nothing")
	}
}

// TestPause lets a node's clock jump as it does for a process that was stopped.
func TestPause(t *testing.T) {
	tc, all := grow(t, 3)
	for _, n := range all {
		eventually(t, "a lease of "+string(n.cfg.Self.ID), func() bool { return n.Lease() == nil })
	}
	paused := all[2]
	tc.cutOff(paused) // no heartbeat may slip in between jump and look
	paused.skew.jump(10 * time.Second)
	if err := paused.Lease(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a node that slept for 10s serves: %v", err)
	}
	tc.net.heal(paused.cfg.Self.ID)
	eventually(t, "a new lease", func() bool { return paused.Lease() == nil })
}

func TestSetPrimary(t *testing.T) {
	_, all := grow(t, 4)
	spare := all[1].View().Map
	var follower cluster.NodeID
	for id, n := range spare.Nodes {
		if !n.Voter {
			follower = id
		}
	}
	for _, to := range []cluster.NodeID{"t1", follower, "g1", "g1"} {
		if _, err := all[2].Propose(soon(t), cluster.SetPrimary{ID: to}); err != nil {
			t.Fatalf("set-primary %s: %v", to, err)
		}
		if p := all[2].View().Map.Primary; p != to {
			t.Errorf("asked for %s, got %s", to, p)
		}
		all[3].until("three voters", hasVoters(3))
	}
	if _, err := all[2].Propose(soon(t), cluster.SetPrimary{ID: "nobody"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("set-primary nobody: %v", err)
	}
}

// TestConfirm asks whether a reign holds: while it does, when nobody can be asked, and when it is past.
func TestConfirm(t *testing.T) {
	tc, all := grow(t, 3)
	r := all[0].reigning()
	if err := r.confirm(soon(t)); err != nil {
		t.Error(err)
	}
	tc.net.isolate("t1")
	if err := r.confirm(soon(t)); err != nil {
		t.Error("with one of two others:", err)
	}
	tc.net.isolate("t2")
	if err := r.confirm(soon(t)); !errs.Is(err, errs.NotPrimary) {
		t.Error("with none:", err)
	}
	tc.net.heal("t1")
	tc.net.heal("t2")
	if _, err := all[1].Propose(soon(t), cluster.SetPrimary{ID: "t1"}); err != nil {
		t.Fatal(err)
	}
	for _, n := range all[1:] { // each of them moves to a later term, if not before the other has won, and says so whoever asks
		eventually(t, string(n.cfg.Self.ID)+" not to confirm a reign that is past", func() bool {
			url := "http://" + n.cfg.Self.IntraAddr + pathConfirm + "?id=" + string(n.member.Load().id) + "&term=" + uitoa(r.term)
			return errs.Is(n.call(soon(t), patience, "GET", url, nil, nil), errs.NotPrimary)
		})
	}
	if err := r.confirm(soon(t)); !errs.Is(err, errs.NotPrimary) {
		t.Error("afterwards:", err)
	}
}

func TestDeadVoterIsReplaced(t *testing.T) {
	tc, all := grow(t, 4)
	var dead *testNode
	for _, n := range all[1:] {
		if n.member.Load() != nil {
			dead = n
		}
	}
	id := dead.cfg.Self.ID
	tc.net.isolate(id)
	replaced := func(v *cluster.View) bool { return !v.Map.Nodes[id].Voter && len(v.Map.Voters()) == 3 }
	all[0].until("another voter", replaced)
	tc.net.heal(id)
	dead.until("to be told", replaced)
	eventually(t, "its log to go", func() bool {
		there, _ := durable.Exists(dead.raftDir())
		return !there && dead.Stats().Raft == "none"
	})
	dead.create("still-a-node")
}

// TestAcknowledgedIsVisible makes and destroys buckets from every node while the primary changes: nothing
// happens twice, and what was acknowledged anywhere is seen everywhere by who asks.
func TestAcknowledgedIsVisible(t *testing.T) {
	tc, all := grow(t, 3)
	ctx := soon(t)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 8 {
				name := fmt.Sprintf("bucket-%d-%d", w, i)
				by, other := all[1+(w+i)%2], all[1+(w+i+1)%2]
				if _, err := by.Propose(ctx, cluster.CreateBucket{Name: name}); err != nil {
					t.Errorf("create %s: %v", name, err)
					return
				}
				v, err := other.Latest(ctx)
				if err != nil || !hasBucket(name)(v) {
					t.Errorf("%s was acknowledged by %s and is unknown to %s: %v", name, by.cfg.Self.ID, other.cfg.Self.ID, err)
				}
				if i == 3 && w == 0 {
					tc.kill("g1")
				}
			}
		})
	}
	wg.Wait()
	if v, err := all[1].Latest(ctx); err != nil || len(v.Buckets.Buckets) != 32 || v.Map.Primary == "g1" {
		t.Errorf("at the end: %v, %v", describe(v), err)
	}
}

func TestEmptyNodeNeverFounds(t *testing.T) {
	tc := newCluster(t)
	g1 := tc.found("g1", cluster.RoleProxy)
	uuid := g1.View().Map.UUID

	both := tc.start("t1", cluster.RoleTarget, func(c *Config) { c.Join, c.Bootstrap = []string{g1.cfg.Self.PublicURL}, true })
	both.waitReady()
	if both.View().Map.UUID != uuid {
		t.Error("a node founded although a join URL answered")
	}
	lost := tc.start("t2", cluster.RoleTarget, func(c *Config) { c.Bootstrap, c.Cluster = true, uuid }) // its mountpaths remember
	outside := Config{Self: cluster.Node{ID: "t3", Role: cluster.RoleTarget}, Dir: t.TempDir()}
	for range 2 { // an id alone is no cluster
		if _, err := Open(outside); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "--join") || !strings.Contains(err.Error(), "--bootstrap") {
			t.Errorf("a node without a cluster and without a way into one: %v", err)
		}
	}
	outside.Cluster = uuid // its mountpaths remember
	if _, err := Open(outside); err != nil {
		t.Errorf("a member that lost its directory: %v", err)
	}
	tc.join("t4", cluster.RoleTarget, both)
	if lost.View() != nil {
		t.Error("a node without join URLs found a cluster")
	}
	ctx, cancel := context.WithTimeout(soon(t), 200*time.Millisecond)
	defer cancel()
	if _, err := lost.Propose(ctx, cluster.CreateBucket{Name: "nowhere"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a change without a cluster: %v", err)
	}
	if err := lost.Lease(); !errs.Is(err, errs.Unavailable) || lost.Ready() {
		t.Errorf("a node without a cluster may serve: %v", err)
	}
	foreign := tc.start("t5", cluster.RoleTarget, func(c *Config) { c.Join, c.Cluster = []string{g1.cfg.Self.PublicURL}, "another" })
	<-foreign.done
	if !errs.Is(foreign.err, errs.Forbidden) {
		t.Errorf("a node of another cluster: %v", foreign.err)
	}
	foreign.err = nil
}

func TestDecommissionedIsRefused(t *testing.T) {
	tc, all := grow(t, 2)
	gone := all[1]
	for _, cmd := range []cluster.Command{cluster.MoveNodes{IDs: []cluster.NodeID{"t1"}, Step: cluster.DecommissionNode}, cluster.ReportSource{ID: "t1", Stage: cluster.Wiped}} {
		if _, err := all[0].Propose(soon(t), cmd); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "its lease to end", func() bool { return gone.Lease() != nil && strings.Contains(gone.Lease().Error(), "decommissioned") })
	tc.kill("t1")
	if err := os.RemoveAll(gone.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	again := tc.start("t1", cluster.RoleTarget, func(c *Config) { c.Join = []string{all[0].cfg.Self.PublicURL} })
	<-again.done
	if !errs.Is(again.err, errs.Forbidden) {
		t.Errorf("a decommissioned id came back: %v", again.err)
	}
	again.err = nil
}

// TestLostDirectory brings a voter back with nothing but its id: it gets a new log, and the old one's vote
// goes to nobody.
func TestLostDirectory(t *testing.T) {
	tc, all := grow(t, 3)
	old := all[0].View().Map.Nodes["t2"].RaftID
	tc.kill("t2")
	if err := os.RemoveAll(all[2].cfg.Dir); err != nil {
		t.Fatal(err)
	}
	tc.startAt("t2", cluster.RoleTarget, all[2].cfg.Self.IntraAddr, func(c *Config) { c.Join = []string{all[1].cfg.Self.PublicURL} }).waitReady()
	all[0].create("with-two-of-three")
	all[0].until("the new log to vote", func(v *cluster.View) bool {
		n := v.Map.Nodes["t2"]
		return n.Voter && n.RaftID != old
	})
}

func TestViewOnDisk(t *testing.T) {
	tc, all := grow(t, 2)
	all[0].create("known")
	all[1].until("the bucket", hasBucket("known"))
	tc.kill("t1")
	tc.kill("g1")
	t1 := tc.restart(all[1])
	if v := t1.View(); v == nil || !hasBucket("known")(v) {
		t.Fatalf("a restarted follower has the view: %s", describe(v))
	}
	if t1.Ready() || t1.Lease() == nil {
		t.Error("a restarted follower serves before the primary has spoken")
	}
	if err := os.WriteFile(t1.cfg.Dir+"/view.json.broken", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tc.stop("t1")
	if err := os.WriteFile(t1.cfg.Dir+"/view.json", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	tc.restart(all[0])
	again := tc.startAt("t1", cluster.RoleTarget, all[1].cfg.Self.IntraAddr, func(c *Config) { c.Join = []string{tc.nodes["g1"].cfg.Self.PublicURL} })
	again.waitReady()
	if !hasBucket("known")(again.View()) {
		t.Error("a node with a damaged view did not get a new one")
	}
}

func TestHealth(t *testing.T) {
	_, all := grow(t, 2)
	for _, n := range all {
		eventually(t, "a lease of "+string(n.cfg.Self.ID), func() bool { return n.Lease() == nil })
		hs, err := n.Health(soon(t))
		if err != nil || len(hs) != 2 {
			t.Fatalf("%v, %v", hs, err)
		}
		for _, h := range hs {
			if h.Version != "test" || h.Heard < 0 || h.Heard.D() > 10*time.Second || h.Lease <= 0 || h.Uptime <= 0 {
				t.Errorf("%s says of %s: %+v", n.cfg.Self.ID, h.ID, h)
			}
		}
	}
	all[0].reigning()
	s := all[0].Stats()
	if s.Raft != "leader" || s.Term == 0 || s.CommitIndex == 0 || s.Heartbeats == 0 || s.ViewIndex == 0 {
		t.Errorf("%+v", s)
	}
}

// TestTwin starts a second process with the identity of one that lives, as a copied disk would: it never
// serves beside the first, and may follow it.
func TestTwin(t *testing.T) {
	tc, all := grow(t, 2)
	first := all[1]
	addr := first.cfg.Self.IntraAddr
	copied := first.cfg.Self
	copied.IntraAddr = "127.0.0.1:1"
	if _, err := all[0].Propose(soon(t), cluster.Join{Node: copied}); !errs.Is(err, errs.Conflict) {
		t.Fatalf("a second process with the id of a live one may join: %v", err)
	}
	twin := tc.start("t1", cluster.RoleTarget, func(c *Config) {
		c.Dir, c.Join = t.TempDir(), []string{all[0].cfg.Self.PublicURL}
	})
	tc.nodes["t1"], tc.nodes["twin"] = first, twin
	all[0].create("while-there-are-two")
	if twin.Lease() == nil {
		t.Fatal("two processes serve under one id")
	}
	if got := all[0].View().Map.Nodes["t1"].IntraAddr; got != addr {
		t.Errorf("the map has the copy's address %s, not %s", got, addr)
	}
	eventually(t, "the first to have its lease", func() bool { return first.Lease() == nil })
	tc.kill("t1")
	twin.waitReady()
	if got := twin.View().Map.Nodes["t1"].IntraAddr; got == addr {
		t.Errorf("the map still has the address of the process that is gone")
	}
}
