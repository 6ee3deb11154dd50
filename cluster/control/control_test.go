package control

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

func TestFounding(t *testing.T) {
	tc := newCluster(t)
	began := time.Now()
	n := tc.found("n1", cluster.RoleAll)
	t.Logf("ready after %v", time.Since(began))
	v := n.View()
	if v.Map.UUID == "" || v.Map.Primary != "n1" || !v.Map.Nodes["n1"].Voter || len(v.Secret) != 32 {
		t.Fatalf("founded %s", describe(v))
	}
	eventually(t, "a lease of the node alone", func() bool { return n.Lease() == nil })
	n.create("first")
	if !hasBucket("first")(n.View()) {
		t.Fatal("Propose returned before the change was in the local view")
	}
	uuid, index := v.Map.UUID, n.View().Index
	tc.stop("n1")
	n = tc.start("n1", cluster.RoleAll, nil) // neither join nor bootstrap: it has state
	n.waitReady()
	if v := n.View(); v.Map.UUID != uuid || v.Index < index || !hasBucket("first")(v) {
		t.Fatalf("after restart: %s", describe(v))
	}
}

func TestJoinAndVoters(t *testing.T) {
	tc := newCluster(t)
	g := tc.found("g1", cluster.RoleProxy)
	t1 := tc.join("t1", cluster.RoleTarget, g)
	t2 := tc.join("t2", cluster.RoleTarget, t1)
	for _, n := range []*testNode{g, t1, t2} {
		n.until("three voters", hasVoters(3))
	}
	t2.create("via-a-follower")
	var texts []string
	for _, n := range []*testNode{g, t1} {
		_, err := n.Propose(soon(t), cluster.CreateBucket{Name: "via-a-follower"})
		if !errs.Is(err, errs.Exists) {
			t.Errorf("the same again: %v", err)
		}
		texts = append(texts, err.Error())
	}
	if texts[0] != texts[1] {
		t.Errorf("the refusal depends on the node: %q", texts)
	}
	for _, n := range []*testNode{g, t1, t2} {
		if v, err := n.Latest(soon(t)); err != nil || !hasBucket("via-a-follower")(v) {
			t.Errorf("%s does not know of a bucket that was acknowledged: %v", n.cfg.Self.ID, err)
		}
		eventually(t, "a lease", func() bool { return n.Lease() == nil })
	}
}

// TestMissedHeartbeats: a node that has just started does not warn of what is so at every start, and a warning has a hint only where there is one.
func TestMissedHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		c := pulse{&Control{log: slog.New(slog.NewTextHandler(&out, nil)), started: time.Now()}}
		failed := 0
		miss := func(d time.Duration) string {
			out.Reset()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				failed++
				c.logMissed(failed, errs.E("test", "p1", errs.Unavailable))
			}
			return out.String()
		}
		if s := miss(settling); s != "" {
			t.Errorf("in the first seconds: %s", s)
		}
		if s := miss(settling); strings.Count(s, "no primary answers heartbeats") != 1 || strings.Contains(s, "hint") {
			t.Errorf("in the next: %q", s)
		}
		if s := miss(settling); strings.Count(s, "no primary answers heartbeats") != 1 || !strings.Contains(s, "hint=\"if most voters") {
			t.Errorf("later: %q", s)
		}
	})
}
