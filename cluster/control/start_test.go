package control

import (
	"slices"
	"sync"
	"testing"

	"aistore/cluster"
)

// testDisks know of starts.
type testDisks struct {
	boot string

	mu    sync.Mutex
	knows []string
	asked []string
}

func (d *testDisks) Boot() string { return d.boot }

func (d *testDisks) Judge(last, _ string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, last)
	return last == "" || slices.Contains(d.knows, last), nil
}

func (d *testDisks) heard(last string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.asked, last)
}

func withDisks(d *testDisks, more func(*Config)) func(*Config) {
	return func(c *Config) {
		if more != nil {
			more(c)
		}
		c.Disks = d
	}
}

// TestStartsOfDisks lets in a target whose disks know of its last start, and no other.
func TestStartsOfDisks(t *testing.T) {
	tc, all := grow(t, 3)
	g := all[0]
	join := func(c *Config) { c.Join = []string{g.cfg.Self.PublicURL} }
	n := tc.start("d1", cluster.RoleTarget, withDisks(&testDisks{boot: "b1"}, join))
	n.waitReady()
	boot := func() string { return g.View().Map.Nodes["d1"].Boot }
	if boot() != "b1" {
		t.Fatalf("%q is accepted", boot())
	}
	addr := n.cfg.Self.IntraAddr
	tc.kill("d1")

	n = tc.startAt("d1", cluster.RoleTarget, addr, withDisks(&testDisks{boot: "b2", knows: []string{"b1"}}, nil))
	n.waitReady()
	if boot() != "b2" || n.AwaitReady(soon(t)) != nil {
		t.Fatalf("%q is accepted", boot())
	}
	tc.kill("d1")

	old := &testDisks{boot: "b3", knows: []string{"b1"}}
	n = tc.startAt("d1", cluster.RoleTarget, addr, withDisks(old, nil))
	eventually(t, "the disks to be judged", func() bool { return old.heard("b2") })
	if err := n.Lease(); err == nil || n.Ready() || n.Accepted() || boot() != "b2" {
		t.Errorf("lease %v, accepted is %q", err, boot())
	}
	tc.kill("d1")

	if _, err := g.Propose(soon(t), cluster.AcceptStart{ID: "d1", Last: "b1", Boot: "b2"}); err != nil { // a word that comes late
		t.Error(err)
	}
	n = tc.startAt("d1", cluster.RoleTarget, addr, withDisks(&testDisks{boot: "b4", knows: []string{"b1", "b2", "b3"}}, nil))
	n.waitReady()
	// Another process is let in as this node: this one has no lease any more.
	if _, err := g.Propose(soon(t), cluster.AcceptStart{ID: "d1", Last: "b4", Boot: "other"}); err != nil {
		t.Fatal(err)
	}
	n.until("the other start", func(v *cluster.View) bool { return v.Map.Nodes["d1"].Boot == "other" })
	if n.Lease() == nil || n.Ready() {
		t.Error("it serves")
	}
}

// TestStartAlone is that of a node which is its whole cluster: it serves only once it has accepted itself.
func TestStartAlone(t *testing.T) {
	tc := newCluster(t)
	n := tc.start("a", cluster.RoleAll, withDisks(&testDisks{boot: "b1"}, func(c *Config) { c.Bootstrap = true }))
	n.waitReady()
	addr := n.cfg.Self.IntraAddr
	tc.stop("a")
	old := &testDisks{boot: "b2", knows: []string{"b0"}}
	n = tc.startAt("a", cluster.RoleAll, addr, withDisks(old, nil))
	eventually(t, "the disks to be judged", func() bool { return old.heard("b1") })
	if n.Lease() == nil || n.Ready() {
		t.Error("it serves with disks of another time")
	}
	tc.stop("a")
	n = tc.startAt("a", cluster.RoleAll, addr, withDisks(&testDisks{boot: "b3", knows: []string{"b1"}}, nil))
	n.waitReady()
}

// TestStartsOfOlderReleases are not asked for while a node would not understand that they are noted.
func TestStartsOfOlderReleases(t *testing.T) {
	tc := newCluster(t)
	g := tc.start("g1", cluster.RoleProxy, func(c *Config) { c.Bootstrap, c.level = true, 3 })
	g.waitReady()
	d := &testDisks{boot: "b1"}
	n := tc.start("d1", cluster.RoleTarget, withDisks(d, func(c *Config) { c.Join = []string{g.cfg.Self.PublicURL} }))
	n.waitReady()
	if n.View().Map.Starts() {
		t.Error("a start is noted")
	}
	addr := g.cfg.Self.IntraAddr
	tc.stop("g1")
	g = tc.startAt("g1", cluster.RoleProxy, addr, nil)
	g.until("the start", func(v *cluster.View) bool { return v.Map.Nodes["d1"].Boot == "b1" })
	eventually(t, "d1 to be ready", n.Ready)
}
