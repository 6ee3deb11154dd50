package control

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

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
		if err := os.Remove(filepath.Join(dir, "lock")); err != nil { // as in a directory that comes from a backup
			t.Fatal(err)
		}
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

// rememberingDir returns the directory of a stopped node that was alone in its cluster, in which there is the bucket kept.
func rememberingDir(t *testing.T) string {
	t.Helper()
	tc, all := grow(t, 1)
	n := all[0]
	n.create("kept")
	eventually(t, "the view on disk", func() bool {
		v, err := statedir.LoadView(n.cfg.Dir)
		return err == nil && v != nil && hasBucket("kept")(v)
	})
	tc.kill(n.cfg.Self.ID)
	return n.cfg.Dir
}

// TestDamagedLogsAreRecovered: whatever has become of the copy of the log, what can be read counts, and the rest is kept.
func TestDamagedLogsAreRecovered(t *testing.T) {
	intact := rememberingDir(t)
	former, err := statedir.Look(intact)
	if err != nil {
		t.Fatal(err)
	}
	cut := func(pages int64) func(string) error {
		return func(raft string) error {
			return os.Truncate(filepath.Join(raft, "log.db"), pages*int64(os.Getpagesize()))
		}
	}
	overwrite := func(pages ...int64) func(string) error {
		return func(raft string) error {
			f, err := os.OpenFile(filepath.Join(raft, "log.db"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			for _, p := range pages {
				_, werr := f.WriteAt(bytes.Repeat([]byte{0xff}, os.Getpagesize()), p*int64(os.Getpagesize()))
				err = errors.Join(err, werr)
			}
			return errors.Join(err, f.Close())
		}
	}
	for name, damage := range map[string]func(raft string) error{
		"nothing":               func(string) error { return nil },
		"a configuration entry": spoilConfiguration,
		"cut to a byte":         func(raft string) error { return os.Truncate(filepath.Join(raft, "log.db"), 1) },
		"emptied":               cut(0), "cut to 2 pages": cut(2), "cut to 3 pages": cut(3), "cut to 4 pages": cut(4), "cut to 5 pages": cut(5), "cut to 7 pages": cut(7), "cut to 9 pages": cut(9),
		"overwritten": overwrite(2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), "pages 2 to 6": overwrite(2, 3, 4, 5, 6), "page 3": overwrite(3), "page 5": overwrite(5), "page 7": overwrite(7), "page 8": overwrite(8),
		"without log.db":  func(raft string) error { return os.Remove(filepath.Join(raft, "log.db")) },
		"without a name":  func(raft string) error { return os.Remove(filepath.Join(raft, "id")) },
		"nothing is left": func(raft string) error { return errors.Join(os.RemoveAll(raft), os.Mkdir(raft, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			if err := os.CopyFS(dir, os.DirFS(intact)); err != nil {
				t.Fatal(err)
			}
			if err := damage(statedir.LogDir(dir)); err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			r, err := statedir.Look(dir)
			if err != nil || r.State.Buckets.Get("", "kept") == nil {
				t.Fatalf("found %+v, %v", r, err)
			}
			if after := tree(t, dir); !maps.Equal(before, after) {
				t.Errorf("looking changed the directory: %v became %v", before, after)
			}
			t.Log(r.Damaged)
			if r, err = statedir.Recover(dir, time.Now()); err != nil || r.Kept != statedir.LogDir(dir)+".replaced" {
				t.Fatalf("recovered %+v, %v", r, err)
			}
			if id, err := statedir.LogID(r.Kept); err != nil || id != r.Log {
				t.Errorf("the former log is not kept: %q, %v", id, err)
			}
			again, err := statedir.Look(dir)
			if err != nil || again.Damaged != nil || again.State.Buckets.Get("", "kept") == nil || again.Index() < r.Index()+1000 || again.Log == r.Log {
				t.Errorf("it goes on with %+v, %v", again, err)
			}
			if again.Term <= former.Term {
				t.Errorf("its term is %d, and a log of the former life, of term %d, would count as newer", again.Term, former.Term)
			}
		})
	}
}

// spoilConfiguration makes something else of the first configuration in a log.
func spoilConfiguration(dir string) error {
	store, err := statedir.OpenStore(dir)
	if err != nil {
		return err
	}
	defer store.Close()
	for i := uint64(1); ; i++ {
		var l raft.Log
		if err := store.GetLog(i, &l); err != nil {
			return err
		}
		if l.Type == raft.LogConfiguration {
			l.Data = []byte("no configuration")
			return store.StoreLog(&l)
		}
	}
}

// tree returns the contents of all files below dir, and "/" for directories, by path.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			found[path] = "/"
			return err
		}
		b, err := os.ReadFile(path)
		found[path] = fmt.Sprintf("%d bytes, crc %x", len(b), crc32.ChecksumIEEE(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFormerLogsAreKept: no recovery removes what an earlier one has put aside, nor the former log that one which was cut short had just exchanged.
func TestFormerLogsAreKept(t *testing.T) {
	dir := rememberingDir(t)
	logs := statedir.LogDir(dir)
	var former []string
	for i := range 4 {
		r, err := statedir.Recover(dir, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		former = append(former, r.Log)
		if i == 1 { // as if it had been killed between the exchange and the last name
			if err := os.Rename(r.Kept, logs+".recovered"); err != nil {
				t.Fatal(err)
			}
		}
	}
	var kept []string
	for _, name := range []string{".replaced", ".replaced.2", ".replaced.3", ".replaced.4"} {
		id, err := statedir.LogID(logs + name)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, id)
	}
	if !slices.Equal(kept, former) {
		t.Errorf("the logs %q were replaced, and kept are %q", former, kept)
	}
	if err := statedir.Erase(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("erased, and there is still %v, %v", left, err)
	}
}

// TestMixedDirectoryIsRefused: the view of another cluster would become the state of this one.
func TestMixedDirectoryIsRefused(t *testing.T) {
	dir, other := rememberingDir(t), rememberingDir(t)
	if err := os.RemoveAll(statedir.LogDir(dir)); err != nil {
		t.Fatal(err)
	}
	v, err := statedir.LoadView(other)
	if err == nil {
		err = statedir.SaveView(dir, v)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r, err := statedir.Recover(dir, time.Now()); !errs.Is(err, errs.Invalid) {
		t.Errorf("recovered %+v, %v", r, err)
	}
}
