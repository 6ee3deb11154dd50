package control

import (
	"os"
	"strings"
	"testing"

	"aistore/cluster"
	"aistore/errs"
)

var rootKey = cluster.AccessKey{Access: "root-access", Secret: "root-secret"}

func hasKey(access string) func(*cluster.View) bool {
	return func(v *cluster.View) bool { u, _ := v.Users.ByAccess(access); return u != nil }
}

func withRoot(c *Config) { c.Root = rootKey }

// TestFoundedWithRoot founds a cluster with an administrator, whose pair is not replaced by another at the next start.
func TestFoundedWithRoot(t *testing.T) {
	tc := newCluster(t)
	n := tc.start("n1", cluster.RoleAll, func(c *Config) { c.Bootstrap, c.Root = true, rootKey })
	n.waitReady()
	if u, k := n.View().Users.ByAccess("root-access"); u == nil || u.Role != cluster.Admin || k.Secret != "root-secret" {
		t.Fatalf("the first view has %v", n.View().Users.List())
	}
	if st, err := os.Stat(n.raftDir()); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("others can read the log: %v %v", st.Mode(), err)
	}
	tc.stop("n1")
	n = tc.start("n1", cluster.RoleAll, func(c *Config) { c.Root = cluster.AccessKey{Access: "other", Secret: "other-secret"} })
	n.waitReady()
	n.create("later")
	if us := n.View().Users; len(us.Users) != 1 || !hasKey("root-access")(n.View()) {
		t.Errorf("after a start with another pair: %v", us.List())
	}
}

// TestRootOfAnOlderStore starts what a release without users has left behind.
func TestRootOfAnOlderStore(t *testing.T) {
	tc := newCluster(t)
	n := tc.found("n1", cluster.RoleAll)
	if len(n.View().Users.Users) != 0 {
		t.Fatal("users out of nothing")
	}
	tc.stop("n1")
	n = tc.start("n1", cluster.RoleAll, withRoot)
	n.until("the administrator", hasKey("root-access"))
}

// TestOldNodes upgrades one node after the other: commands that the old one does not know must wait.
func TestOldNodes(t *testing.T) {
	tc := newCluster(t)
	g := tc.start("g1", cluster.RoleProxy, func(c *Config) { c.Bootstrap, c.level = true, 1 })
	g.waitReady()
	old := tc.start("t1", cluster.RoleTarget, func(c *Config) { c.Join, c.level = []string{g.cfg.Self.PublicURL}, 1 })
	old.waitReady()
	tc.stop("g1")
	g = tc.startAt("g1", cluster.RoleProxy, g.cfg.Self.IntraAddr, withRoot)
	g.waitReady()
	eventually(t, "the primary to hear of the old release", func() bool {
		r := g.reign.Load()
		return r != nil && r.led.levels(g.View().Map)["t1"] == 1
	})
	for _, cmd := range []cluster.Command{
		cluster.AddUser{Name: "ann", Role: cluster.Plain}, cluster.CreateBucket{Name: "owned", Owner: "x"}, cluster.SetConfig{Set: map[string]string{"s3.region": "eu"}},
	} {
		if _, err := g.Propose(soon(t), cmd); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "node t1") {
			t.Errorf("%s with an old node: %v", cmd.Op(), err)
		}
	}
	g.create("as-ever") // what all know goes on
	if len(g.View().Users.Users) != 0 {
		t.Fatal("the administrator was added while a node runs an older release")
	}
	tc.stop("t1")
	now := tc.startAt("t1", cluster.RoleTarget, old.cfg.Self.IntraAddr, withRoot)
	now.until("the administrator", hasKey("root-access"))
}

// TestRemovedKeyIsFenced removes a key while a node that may still serve is cut off.
func TestRemovedKeyIsFenced(t *testing.T) {
	tc, all := grow(t, 4)
	cut := all[3]
	for _, cmd := range []cluster.Command{
		cluster.RootUser(rootKey), cluster.AddUser{Name: "ann", Role: cluster.Plain, Access: "ann-key", Secret: "ann-secret"},
	} {
		if _, err := all[1].Propose(soon(t), cmd); err != nil {
			t.Fatal(err)
		}
	}
	cut.until("the key", hasKey("ann-key"))
	tc.cutOff(cut)
	if _, err := all[2].Propose(soon(t), cluster.RemoveKey{Access: "ann-key"}); err != nil {
		t.Fatal(err)
	}
	if cut.Lease() == nil {
		t.Error("the key is gone, and a node that does not know may accept it")
	}
	if !hasKey("ann-key")(cut.View()) {
		t.Error("the cut-off node heard of it: the test shows nothing")
	}
	if _, err := all[2].Propose(soon(t), cluster.RemoveKey{Access: "root-access"}); !errs.Is(err, errs.Conflict) {
		t.Errorf("the last administrator's key: %v", err)
	}
}
