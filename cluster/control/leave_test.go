package control

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

func ids(s ...cluster.NodeID) []cluster.NodeID { return s }

// voting lists who votes by the map.
func voting(v *cluster.View) string {
	var ids []string
	for id := range v.Map.Voters() {
		ids = append(ids, string(id))
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// TestLeavingNodesGiveUpTheirSeats takes a voter and then the primary out of service: others have their parts when the command returns.
func TestLeavingNodesGiveUpTheirSeats(t *testing.T) {
	tc, all := grow(t, 3)
	g1 := all[0]
	tc.start("g2", cluster.RoleProxy, func(c *Config) { c.Join = []string{g1.cfg.Self.PublicURL} }) // the last gateway could not leave
	eventually(t, "g2 and three voters", func() bool { m := g1.View().Map; return m.Nodes["g2"] != nil && len(m.Voters()) == 3 })
	var seated cluster.NodeID
	for id := range g1.View().Map.Voters() {
		if id != "g1" && id != "g2" {
			seated = id
		}
	}
	if _, err := all[1].Propose(soon(t), cluster.MoveNodes{IDs: ids(seated), Step: cluster.StartMaintenance}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its seat to be another's", func() bool {
		v := g1.View()
		return len(v.Map.Voters()) == 3 && !v.Map.Nodes[seated].Voter
	})
	if n := g1.View().Map.Nodes[seated]; n.State != cluster.Maintenance || n.Phase != cluster.Drained || !n.Alive {
		t.Errorf("in maintenance: %+v", n)
	}

	res, err := all[1].Propose(soon(t), cluster.MoveNodes{IDs: ids("g1"), Step: cluster.StartMaintenance})
	if err != nil {
		t.Fatal(err)
	}
	v, err := all[1].Latest(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	if v.Map.Primary == "g1" || v.Map.Primary == seated || v.Map.Nodes["g1"].State != cluster.Maintenance || res.Index == 0 {
		t.Errorf("the primary %s, g1 %+v", v.Map.Primary, v.Map.Nodes["g1"])
	}
	if _, err := all[1].Propose(soon(t), cluster.SetPrimary{ID: "g1"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a node in maintenance is made primary: %v", err)
	}
	if _, err := all[1].Propose(soon(t), cluster.MoveNodes{IDs: ids("g1", seated), Step: cluster.StopMaintenance}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both to be online", func() bool {
		m := all[1].View().Map
		return m.Nodes["g1"].State == cluster.Online && m.Nodes[seated].State == cluster.Online
	})
}

// TestDecommissionedGateway leaves the map at once, its vote with it.
func TestDecommissionedGateway(t *testing.T) {
	tc, all := grow(t, 3)
	g2 := tc.start("g2", cluster.RoleProxy, func(c *Config) { c.Join = []string{all[0].cfg.Self.PublicURL} })
	eventually(t, "g2 to vote", func() bool { v := g2.View(); return v != nil && v.Map.Nodes["g2"] != nil && v.Map.Nodes["g2"].Voter })
	if _, err := all[1].Propose(soon(t), cluster.MoveNodes{IDs: ids("g2"), Step: cluster.DecommissionNode}); err != nil {
		t.Fatal(err)
	}
	if g2.Lease() == nil {
		t.Error("it may still serve")
	}
	v, err := all[0].Latest(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	if v.Map.Nodes["g2"] != nil || strings.Contains(voting(v), "g2") {
		t.Errorf("still there: %+v, voters %s", v.Map.Nodes["g2"], voting(v))
	}
	eventually(t, "three voters", func() bool { return len(all[0].View().Map.Voters()) == 3 })
}

// TestPrimariesLeaveAtOnce: of two changes, each of which takes away the node that the other hands over to, one has its turn, and the other is judged after it.
func TestPrimariesLeaveAtOnce(t *testing.T) {
	for _, step := range []cluster.Transition{cluster.ShutdownNode, cluster.DecommissionNode} {
		tc, all := grow(t, 3)
		g1 := all[0]
		g2 := tc.start("g2", cluster.RoleProxy, func(c *Config) { c.Join = []string{g1.cfg.Self.PublicURL} })
		eventually(t, "g2 to vote", func() bool { v := g2.View(); return v != nil && v.Map.Nodes["g2"] != nil && v.Map.Nodes["g2"].Voter })
		before := g1.reigns.Load() + g2.reigns.Load()
		var wg sync.WaitGroup
		got := make([]error, 2)
		for i, id := range ids("g1", "g2") {
			wg.Go(func() { _, got[i] = all[i+1].Propose(soon(t), cluster.MoveNodes{IDs: ids(id), Step: step}) })
		}
		wg.Wait()
		refused := 0
		for i, err := range got {
			if errs.Is(err, errs.Conflict) {
				refused++
			} else if err != nil {
				t.Errorf("%s of g%d: %v", step, i+1, err)
			}
		}
		if refused != 1 {
			t.Errorf("%s: %d were refused, of two of which one leaves the last gateway: %v", step, refused, got)
		}
		if n := g1.reigns.Load() + g2.reigns.Load() - before; n > 3 {
			t.Errorf("%s: the primary changed %d times", step, n)
		}
	}
}

// TestManyLeaveAtOnce takes most voters out by one command, and ends their processes as soon as it returns: those that stay go on.
func TestManyLeaveAtOnce(t *testing.T) {
	for _, step := range []cluster.Transition{cluster.StartMaintenance, cluster.ShutdownNode, cluster.DecommissionNode} {
		t.Run(string(step), func(t *testing.T) {
			tc, all := grow(t, 5)
			if _, err := all[0].Propose(soon(t), cluster.MoveNodes{IDs: ids("t1", "t2", "t3"), Step: step}); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids("t1", "t2", "t3") {
				tc.kill(id)
			}
			if _, err := all[4].Propose(soon(t), cluster.CreateBucket{Name: "bk", Props: cluster.DefaultBucketProps()}); err != nil {
				t.Error("those that stay cannot go on:", err)
			}
		})
	}
}

// TestOnlyPrimary cannot leave when nobody is there to follow.
func TestOnlyPrimary(t *testing.T) {
	tc := newCluster(t)
	g1 := tc.start("g1", cluster.RoleTarget, func(c *Config) { c.Bootstrap = true })
	eventually(t, "a primary", g1.Ready)
	for _, cmd := range []cluster.Command{
		cluster.MoveNodes{IDs: ids("g1"), Step: cluster.StartMaintenance},
		cluster.MoveNodes{IDs: ids("g1"), Step: cluster.DecommissionNode},
		cluster.ForgetNode{ID: "g1"},
	} {
		_, err := g1.Propose(soon(t), cmd)
		if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "no other live node") {
			t.Errorf("%s: %v", cmd.Op(), err)
		}
	}
}

// TestForgottenNode has no lease any more when the command returns, stays out while it runs, and is empty when it comes back.
func TestForgottenNode(t *testing.T) {
	tc, all := grow(t, 4)
	gone := all[3]
	id := gone.cfg.Self.ID
	if gone.Lease() != nil {
		t.Fatal(gone.Lease())
	}
	if _, err := all[0].Propose(soon(t), cluster.CreateBucket{Name: "bk", Props: cluster.DefaultBucketProps()}); err != nil {
		t.Fatal(err)
	}
	if _, err := all[1].Propose(soon(t), cluster.ForgetNode{ID: id}); err != nil {
		t.Fatal(err)
	}
	if gone.Lease() == nil {
		t.Error("it serves although others own its names")
	}
	eventually(t, "word that it was removed", func() bool { return strings.Contains(gone.Lease().Error(), "removed") })
	if all[0].View().Map.Nodes[id] != nil {
		t.Error("it came back by itself")
	}
	tc.kill(id)
	again := tc.restart(gone)
	eventually(t, "it to join", func() bool { n := again.View().Map.Nodes[id]; return n != nil && n.Era == 1 })
	_, err := all[0].Propose(soon(t), cluster.MoveNodes{IDs: ids(id), Step: cluster.JoinNode})
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "set aside") {
		t.Errorf("joined with the disks of another era: %v", err)
	}
	if err := again.Lease(); err == nil || !strings.Contains(err.Error(), "set aside") {
		t.Errorf("its lease: %v", err)
	}
	again.SetEra(1)
	eventually(t, "it to be taken in", func() bool { n := again.View().Map.Nodes[id]; return n.InService() && again.Lease() == nil })
}

// TestNewcomersComeTogether joins three targets by one change, however far apart a busy machine lets them come.
func TestNewcomersComeTogether(t *testing.T) {
	tc, all := grow(t, 2)
	propose := func(cmd cluster.Command) {
		t.Helper()
		if _, err := all[0].Propose(soon(t), cmd); err != nil {
			t.Fatal(err)
		}
	}
	propose(cluster.SetConfig{Set: map[string]string{"rebalance.join_delay": "1h"}})
	propose(cluster.CreateBucket{Name: "bk", Props: cluster.DefaultBucketProps()})
	epoch := all[0].View().Map.Epoch
	for _, id := range ids("t7", "t8", "t9", "m1") {
		tc.start(id, cluster.RoleTarget, func(c *Config) {
			c.Join = []string{"http://127.0.0.1:1", all[0].cfg.Self.PublicURL} // the first leads nowhere
			c.Self.Manual = id == "m1"
		})
	}
	eventually(t, "three to stand by", func() bool {
		r := all[0].reigning()
		come, _ := r.newcomers(r.c.View())
		return slices.Equal(come, ids("t7", "t8", "t9"))
	})
	if m := all[0].View().Map; m.Epoch != epoch {
		t.Errorf("epoch %d, was %d: some were not waited for", m.Epoch, epoch)
	}
	propose(cluster.SetConfig{Set: map[string]string{"rebalance.join_delay": "10ms"}})
	eventually(t, "three to be taken in", func() bool {
		m := all[0].View().Map
		for _, id := range ids("t7", "t8", "t9") {
			if n := m.Nodes[id]; n == nil || n.Phase != cluster.Joining {
				return false
			}
		}
		return m.Nodes["m1"] != nil
	})
	m := all[0].View().Map
	if m.Epoch != epoch+1 || m.Nodes["m1"].State != cluster.Standby {
		t.Errorf("epoch %d, was %d; m1 is %s", m.Epoch, epoch, m.Nodes["m1"].State)
	}
}

// TestStoppedStaysStopped: a rebalance that was stopped does not go on because a target comes and is taken in, or a node is removed.
func TestStoppedStaysStopped(t *testing.T) {
	tc, all := grow(t, 3)
	propose := func(cmd cluster.Command) {
		t.Helper()
		if _, err := all[0].Propose(soon(t), cmd); err != nil {
			t.Fatal(err)
		}
	}
	come := func(id cluster.NodeID) {
		t.Helper()
		tc.start(id, cluster.RoleTarget, func(c *Config) { c.Join = []string{all[0].cfg.Self.PublicURL} })
		all[0].until(string(id)+" to be taken in", func(v *cluster.View) bool { n := v.Map.Nodes[id]; return n != nil && n.Phase == cluster.Joining })
	}
	propose(cluster.SetConfig{Set: map[string]string{"rebalance.join_delay": "10ms"}})
	propose(cluster.CreateBucket{Name: "bk", Props: cluster.DefaultBucketProps()})
	come("t7")
	propose(cluster.SetRebalance{})
	come("t8")
	if m := all[0].View().Map; !m.Paused || !m.Rebalancing() {
		t.Errorf("when t8 was taken in: stopped %v, unfinished %v", m.Paused, m.Rebalancing())
	}
	propose(cluster.ForgetNode{ID: "t2"})
	if m := all[0].View().Map; !m.Paused || !m.Rebalancing() {
		t.Errorf("when t2 was removed: stopped %v, unfinished %v", m.Paused, m.Rebalancing())
	}
}

// TestNoLongerByHand takes a target in that was to be joined by hand when it was started last but one.
func TestNoLongerByHand(t *testing.T) {
	tc, all := grow(t, 2)
	for _, cmd := range []cluster.Command{
		cluster.SetConfig{Set: map[string]string{"rebalance.join_delay": "10ms"}}, cluster.CreateBucket{Name: "bk", Props: cluster.DefaultBucketProps()},
	} {
		if _, err := all[0].Propose(soon(t), cmd); err != nil {
			t.Fatal(err)
		}
	}
	m1 := tc.start("m1", cluster.RoleTarget, func(c *Config) {
		c.Join = []string{all[0].cfg.Self.PublicURL}
		c.Self.Manual = true
	})
	m1.waitReady()
	tc.stop("m1")
	if n := all[0].View().Map.Nodes["m1"]; n.State != cluster.Standby || n.Phase != "" {
		t.Fatalf("m1 is %s", n.Describe())
	}
	tc.restart(m1)
	all[0].until("m1 to be taken in", func(v *cluster.View) bool { return v.Map.Nodes["m1"].InService() })
}

func TestWaiting(t *testing.T) {
	var w waiting
	at := time.Unix(0, 0)
	step := func(after time.Duration, who string, want string) {
		t.Helper()
		at = at.Add(after)
		var now []cluster.NodeID
		for _, id := range strings.Fields(who) {
			now = append(now, cluster.NodeID(id))
		}
		got, pause := w.due(now, false, time.Second, at)
		if len(got) > 0 != (want != "") || want != "" && !slices.Equal(got, now) {
			t.Errorf("at %v: %v, want %q", at.Sub(time.Unix(0, 0)), got, want)
		}
		if len(got) == 0 && len(now) > 0 && (pause <= 0 || pause > time.Second) {
			t.Errorf("at %v: looks again after %v", at.Sub(time.Unix(0, 0)), pause)
		}
	}
	step(0, "a", "")
	step(500*time.Millisecond, "a b", "")
	step(900*time.Millisecond, "a b", "")
	step(100*time.Millisecond, "a b", "a b")
	step(0, "", "")
	step(0, "c", "")
	for i := range maxDelays { // one more, again and again
		step(900*time.Millisecond, "c"+strings.Repeat(" d", i+1), "")
	}
	step(time.Second, "c e", "c e")
}
