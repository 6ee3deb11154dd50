package control

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster"
)

// gate is a disk whose writes hang while it is shut.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // nil = open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open != nil {
		<-open
	}
}

// gated starts nodes, g1 first, each with a gate before its log.
func gated(t *testing.T, ids ...cluster.NodeID) (*testCluster, map[cluster.NodeID]*gate) {
	t.Helper()
	tc := newCluster(t)
	gates := map[cluster.NodeID]*gate{}
	t.Cleanup(func() { // before the nodes are waited for
		for _, g := range gates {
			g.release()
		}
	})
	for i, id := range ids {
		g := &gate{}
		gates[id] = g
		n := tc.start(id, cluster.RoleProxy, func(c *Config) {
			c.stall, c.Timing.Hang = g.pass, 600*time.Millisecond
			if c.Bootstrap = i == 0; i > 0 {
				c.Join = []string{tc.nodes[ids[0]].cfg.Self.PublicURL}
			}
		})
		n.waitReady()
	}
	for _, n := range tc.nodes {
		n.until("all voters", hasVoters(wanted(len(ids))))
	}
	return tc, gates
}

// tells waits until the primary, as n knows it, has an alert of id with text in it, or none if text is "".
func (n *testNode) tells(id cluster.NodeID, text string) {
	n.tc.t.Helper()
	eventually(n.tc.t, "an alert of "+string(id)+": "+text, func() bool {
		hs, err := n.Health(soon(n.tc.t))
		if err != nil {
			return false
		}
		for _, h := range hs {
			if h.ID == id && h.Heard >= 0 {
				all := strings.Join(h.Alerts, "; ")
				return text == "" && all == "" || text != "" && strings.Contains(all, text)
			}
		}
		return false
	})
}

// TestPrimaryWhoseLogHangs lets a write of the primary's log not return. Another takes over, the change under way is made once, and when the
// disk answers the node votes again.
func TestPrimaryWhoseLogHangs(t *testing.T) {
	tc, gates := gated(t, "g1", "g2", "g3")
	g1, g2 := tc.nodes["g1"], tc.nodes["g2"]
	g1.reigning()
	gates["g1"].shut()
	answer := make(chan error, 1)
	ctx := soon(t)
	go func() {
		_, err := g1.Propose(ctx, cluster.CreateBucket{Name: "under-way"})
		answer <- err
	}()
	v := g2.until("another primary", func(v *cluster.View) bool { return v.Map.Primary != "g1" })
	if err := <-answer; err != nil {
		t.Errorf("the change under way: %v", err)
	}
	g2.create("meanwhile")
	g1.create("meanwhile-there")
	g2.tells("g1", "votes again, by itself")
	if n := v.Map.Nodes["g1"]; !n.Alive || g1.member.Load() != nil || g1.reign.Load() != nil {
		t.Errorf("the node whose log hangs: alive %v, raft %s", n.Alive, g1.Stats().Raft)
	}
	eventually(t, "a lease of who only lost its log", func() bool { return g1.Lease() == nil })
	gates["g1"].release()
	eventually(t, "g1 to vote again", func() bool { return g1.Stats().Raft == "follower" })
	g2.tells("g1", "")
	tc.stop(primaryOf(t, g1)) // of the two others: g1's vote is needed
	for _, name := range []string{"under-way", "meanwhile", "meanwhile-there"} {
		g1.until(name, hasBucket(name))
	}
	g1.create("with-its-vote")
}

// primaryOf returns the primary, which is not n.
func primaryOf(t *testing.T, n *testNode) cluster.NodeID {
	t.Helper()
	id := n.View().Map.Primary
	if id == n.cfg.Self.ID {
		t.Fatalf("%s is the primary", id)
	}
	return id
}

// TestEndWhileLogHangs ends nodes whose logs hang: the one that has left, and one that does not lead.
func TestEndWhileLogHangs(t *testing.T) {
	tc, gates := gated(t, "g1", "g2", "g3")
	g1 := tc.nodes["g1"]
	g1.reigning()
	gates["g1"].shut()
	tc.nodes["g2"].create("one")
	eventually(t, "g1 to leave", func() bool { return g1.member.Load() == nil })
	tc.stop("g1") // returns
	if g1.err != nil {
		t.Errorf("the end of the node that left: %v", g1.err)
	}
	last := tc.nodes["g2"]
	if last.View().Map.Primary == "g2" {
		last = tc.nodes["g3"]
	}
	id := last.cfg.Self.ID
	m := last.member.Load()
	gates[id].shut()
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = last.Propose(ctx, cluster.CreateBucket{Name: "two"}) // it has no majority
	}()
	eventually(t, "a write to hang", func() bool { return m.store.Writing() != 0 })
	cancel()
	<-asked
	tc.stop(id)
	if last.err == nil {
		t.Error("a node whose log still hangs ended without saying so")
	}
}

// TestHeartbeatAtTheEnd: the log of a member that ends is closed only when a heartbeat that tells of a later term has been noted. The library would end the
// process otherwise.
func TestHeartbeatAtTheEnd(t *testing.T) {
	tc, gates := gated(t, "g1")
	g1 := tc.nodes["g1"]
	m := g1.member.Load()
	other := raft.NewNetworkTransport((&door{addr: "other:1", dial: tc.net.dialer("g1")}).open(soon(t)), 1, patience, io.Discard)
	defer other.Close()
	gates["g1"].shut()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		beat := raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("other"), Addr: []byte("other:1")}, Term: 100}
		_ = other.AppendEntries("g1", raft.ServerAddress(g1.cfg.Self.IntraAddr), &beat, &raft.AppendEntriesResponse{}) // the answer may be cut off
	}()
	eventually(t, "the heartbeat to be noted", func() bool { return m.store.Writing() != 0 })
	m.leave()
	select {
	case <-m.closed:
		t.Error("the log is closed while the heartbeat is noted")
	case <-time.After(200 * time.Millisecond):
	}
	gates["g1"].release()
	<-m.closed
	<-sent
}

// TestFollowerWhoseLogHangs lets the log of one hang that does not lead: it tells, nothing else changes, and it goes on by itself.
func TestFollowerWhoseLogHangs(t *testing.T) {
	tc, gates := gated(t, "g1", "g2", "g3")
	g1, g2 := tc.nodes["g1"], tc.nodes["g2"]
	term := g1.reigning().term
	gates["g2"].shut()
	g1.create("one")
	g2.create("two")
	g1.tells("g2", "does not count as a voter")
	gates["g2"].release()
	g1.tells("g2", "")
	eventually(t, "the log of g2 to be complete", func() bool {
		m := g2.member.Load()
		return m != nil && m.raft.AppliedIndex() >= g1.Stats().Applied
	})
	if r := g1.reign.Load(); r == nil || r.term != term {
		t.Error("the primary changed")
	}
}

// TestNobodyElseCanLead lets the log of a primary hang without which there is no majority: it stays, so that leases are renewed.
func TestNobodyElseCanLead(t *testing.T) {
	tc, gates := gated(t, "g1", "g2")
	g1, g2 := tc.nodes["g1"], tc.nodes["g2"]
	m := g1.reigning().m
	gates["g1"].shut()
	answer := make(chan error, 1)
	ctx := soon(t)
	go func() {
		_, err := g1.Propose(ctx, cluster.CreateBucket{Name: "late"})
		answer <- err
	}()
	g2.tells("g1", "does not count as a voter")
	if err := g2.Lease(); err != nil {
		t.Errorf("objects are not served: %v", err)
	}
	gates["g1"].release()
	if err := <-answer; err != nil {
		t.Errorf("the change that had to wait: %v", err)
	}
	g2.tells("g1", "")
	if g1.member.Load() != m {
		t.Error("the only voter left")
	}
}
