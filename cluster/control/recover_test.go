package control

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
	"aistore/errs"
)

// recoverAt makes a stopped node the only voter, and starts it.
func (tc *testCluster) recoverAt(n *testNode) *testNode {
	tc.t.Helper()
	if _, err := statedir.Recover(n.cfg.Dir, time.Now()); err != nil {
		tc.t.Fatal(err)
	}
	if st, err := os.Stat(statedir.LogDir(n.cfg.Dir)); err != nil || st.Mode().Perm() != 0o700 {
		tc.t.Errorf("secrets lie open until the node starts: %v, %v", st.Mode(), err)
	}
	n = tc.restart(n)
	n.waitReady()
	return n
}

// TestMostVotersAreLost: three of five voters are lost with all that they had. One of the others is made the only voter; the cluster goes on with
// everything that was decided, the second one, which ran all the time with its former log, votes again, and so does one that comes back
// with what it had although it was given up.
func TestMostVotersAreLost(t *testing.T) {
	tc, all := grow(t, 5)
	all[1].create("kept")
	for _, n := range all {
		n.until("the bucket", hasBucket("kept"))
	}
	before := all[4].View()
	for _, n := range all[:4] {
		tc.kill(n.cfg.Self.ID)
	}
	for _, n := range all[:2] {
		if err := os.RemoveAll(n.cfg.Dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := statedir.Recover(all[4].cfg.Dir, time.Now()); !errs.Is(err, errs.Conflict) {
		t.Errorf("of a node that runs: %v", err)
	}
	seen, err := statedir.Look(all[3].cfg.Dir)
	if err != nil || seen.State.Buckets.Get("", "kept") == nil || len(seen.Voters) != 5 || seen.ID != "t3" {
		t.Fatalf("found %+v, %v", seen, err)
	}
	old := seen.Log

	first := tc.recoverAt(all[3])
	v := first.until("two voters at most", func(v *cluster.View) bool { return v.Map.Primary == "t3" && !v.Map.Nodes["g1"].Voter })
	if b := v.Buckets.Get("", "kept"); b == nil || *b != *before.Buckets.Get("", "kept") {
		t.Errorf("the bucket became %+v", b)
	}
	if err := before.Follows(v); err != nil {
		t.Errorf("who has seen the cluster before cannot go on: %v", err)
	}
	if v.Buckets.NextID < before.Buckets.NextID+100 || v.Map.Epoch < before.Map.Epoch+100 || !v.Map.Rebalancing() {
		t.Errorf("ids and epochs that may have been given out are used again, or nobody looks after the objects: next id %d, epoch %d", v.Buckets.NextID, v.Map.Epoch)
	}
	if id, err := statedir.LogID(statedir.LogDir(first.cfg.Dir)); err != nil || id == old {
		t.Errorf("the log still has the name %s, %v", id, err)
	}
	if id, err := statedir.LogID(statedir.LogDir(first.cfg.Dir) + ".replaced"); err != nil || id != old {
		t.Errorf("the former log is not kept: %q, %v", id, err)
	}
	if _, err := all[4].Propose(soon(t), cluster.CreateBucket{Name: "after"}); err != nil {
		t.Fatal(err)
	}
	all[4].until("the new bucket, and to be without the former log", func(v *cluster.View) bool { return hasBucket("after")(v) && hasBucket("kept")(v) })

	back := tc.restart(all[2])
	back.waitReady()
	back.until("its vote back", func(v *cluster.View) bool {
		return v.Map.Nodes["t2"].Voter && v.Map.Nodes["t4"].Voter && hasBucket("after")(v)
	})
	eventually(t, "a copy of the new log", func() bool {
		m := back.member.Load()
		return m != nil && m.raft.Stats()["state"] == "Follower" && m.raft.AppliedIndex() > before.Index+1000
	})
	first.create("again")
	back.until("what is decided then", hasBucket("again"))
}

// TestAllVotersAreLost: a node that never voted has the view, which is enough, also beside a copy of the log that is damaged.
func TestAllVotersAreLost(t *testing.T) {
	tc, all := grow(t, 3)
	all = append(all, tc.join("t3", cluster.RoleTarget, all[0]))
	all[0].create("kept")
	last := all[3]
	v := last.until("the bucket, and three voters without itself", func(v *cluster.View) bool {
		return hasBucket("kept")(v) && hasVoters(3)(v) && !v.Map.Nodes["t3"].Voter && v.Map.Nodes["t3"].State == cluster.Online
	})
	eventually(t, "the view on disk", func() bool {
		d, err := statedir.LoadView(last.cfg.Dir)
		return err == nil && d != nil && d.Index >= v.Index
	})
	for _, n := range all {
		tc.kill(n.cfg.Self.ID)
	}
	if err := statedir.Create(statedir.LogDir(last.cfg.Dir), "t3"); err != nil { // it was to vote, and this is how far it came
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(statedir.LogDir(last.cfg.Dir), "log.db"), []byte("no log"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := statedir.Look(last.cfg.Dir); err != nil || r.Damaged == nil || r.Index() < v.Index || len(r.Voters) != 3 {
		t.Errorf("found %+v, %v", r, err)
	}
	last = tc.recoverAt(last)
	if v := last.View(); v.Map.Primary != "t3" || v.Map.UUID != all[0].View().Map.UUID || !hasBucket("kept")(v) || len(v.Users.Users) != len(all[0].View().Users.Users) {
		t.Errorf("it goes on with %s", describe(v))
	}
	last.create("after")
}

// TestRecoverRefuses: what is no node's directory, or knows nothing, stays as it is.
func TestRecoverRefuses(t *testing.T) {
	empty := t.TempDir()
	if _, err := statedir.Recover(empty, time.Now()); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
	if names, err := os.ReadDir(empty); err != nil || len(names) > 0 {
		t.Errorf("it made %v, %v", names, err)
	}
	fresh := t.TempDir()
	if err := statedir.SaveIdentity(fresh, statedir.Identity{ID: "n1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := statedir.Recover(fresh, time.Now()); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(fresh, "raft")); err == nil {
		t.Error("a log was made")
	}
}

// TestRecoverOfAnotherUser: root recovers the directory of a node that runs as another user, which must be able to open all of it then.
func TestRecoverOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make files of others")
	}
	tc, all := grow(t, 1)
	dir := all[0].cfg.Dir
	tc.kill(all[0].cfg.Self.ID)
	const uid, gid = 65534, 65533
	each := func(f func(path string) error) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error { return errors.Join(err, f(path)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	each(func(path string) error { return os.Lchown(path, uid, gid) })
	for range 2 { // with a former log, and without one
		if _, err := statedir.Recover(dir, time.Now()); err != nil {
			t.Fatal(err)
		}
		each(func(path string) error {
			info, err := os.Lstat(path)
			if err != nil {
				return err
			}
			if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != uid || st.Gid != gid {
				t.Errorf("%s is of user %d, group %d", path, st.Uid, st.Gid)
			}
			return nil
		})
		if err := os.RemoveAll(statedir.LogDir(dir)); err != nil {
			t.Fatal(err)
		}
	}
}
