package target_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/store"
)

// ballast writes a file until its file system has not one byte left, which no reserve of the node's survives for long.
func ballast(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1 << 20; n > 0; {
		if _, err := f.Write(make([]byte, n)); err != nil {
			n /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// onSmallDisks starts a target anew with empty mountpaths of 96 MiB. The test is skipped where that is not allowed.
func (e *epochs) onSmallDisks(o *one) {
	t := e.t
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	o.stop()
	for _, mp := range []string{"/1", "/2"} {
		dir := o.dir + mp
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=96m", "none", dir).CombinedOutput(); err != nil {
			t.Skipf("no tmpfs here: %v: %s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
				t.Errorf("umount: %v: %s", err, out)
			}
		})
	}
	e.restart(o)
}

// TestDeleteOnFullOwner deletes names at their new owner while its disks have not one byte left. What is acknowledged has left its mark: it does not
// come back after a restart, when the former owner is asked again. What cannot be noted is refused as full or busy.
func TestDeleteOnFullOwner(t *testing.T) {
	e, t1, t2, key := joined(t)
	e.onSmallDisks(t2)

	const count = 400
	keys := make([]string, count)
	for i := range keys {
		keys[i] = key(fmt.Sprintf("k%d-", i))
		t1.want(t, 200, call{method: "PUT", path: path("bk", keys[i]), body: random(1<<10 + i%2*(100<<10))})
	}
	e.move(cluster.JoinNode, "t2")
	for i, k := range keys {
		if i%2 == 0 { // the others are not here yet when the disks are full
			t2.want(t, 200, call{method: "GET", path: path("bk", k)})
		}
	}
	acknowledged := map[string]bool{}
	unseen := 0 // of those acknowledged never came here
	answers := map[int]int{}
	for i, k := range keys {
		if i%10 == 0 { // what was freed goes at once
			ballast(t, t2.dir+"/1")
			ballast(t, t2.dir+"/2")
		}
		a := t2.do(t, call{method: "DELETE", path: path("bk", k)})
		answers[a.StatusCode]++
		switch {
		case a.StatusCode == 200:
			acknowledged[k] = true
			unseen += i % 2
		case a.StatusCode != 503 && a.StatusCode != 507 || a.Header.Get("Retry-After") == "" && a.kind() != errs.Full:
			t.Fatalf("a delete on a full disk: %d %s", a.StatusCode, a.body)
		}
	}
	t.Logf("answers: %v", answers)
	if unseen == 0 || unseen == len(acknowledged) {
		t.Errorf("of %d deletes that were acknowledged %d were of names that had not come: this shows little", len(acknowledged), unseen)
	}
	e.restart(t2)
	for _, mp := range []string{"/1", "/2"} {
		if err := os.Remove(t2.dir + mp + "/ballast"); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range keys {
		want := 200
		if acknowledged[k] {
			want = 404
		}
		eventually(t, func() bool { return t2.do(t, call{method: "GET", path: path("bk", k)}).StatusCode != 503 })
		if a := t2.do(t, call{method: "GET", path: path("bk", k)}); a.StatusCode != want {
			t.Errorf("%s: %d, acknowledged: %t", k, a.StatusCode, acknowledged[k])
		}
		if s := e.state(t2, "bk", k); acknowledged[k] && s.Authority != e.m.Map.Epoch {
			t.Errorf("%s: %+v has no mark of epoch %d", k, s, e.m.Map.Epoch)
		}
	}
}

// TestDeleteForWantOfRoom deletes names that cannot come to their new owner because its disks are full, as deletes see it: what is kept for them is there.
// They are deleted where they lie, for good; only a name of which an upload is under way waits for room.
func TestDeleteForWantOfRoom(t *testing.T) {
	e, t1, t2, key := joined(t)
	e.onSmallDisks(t2)
	bodies, keys := map[string][]byte{}, map[string]string{}
	for id, size := range map[string]int{"small": 1 << 10, "short": 100 << 10, "long": 3 << 20, "upload": 1 << 10, "long-upload": 3 << 20} {
		keys[id], bodies[id] = key(id+"-"), random(size)
		t1.want(t, 200, call{method: "PUT", path: path("bk", keys[id]), body: bodies[id]})
	}
	uploads := map[string]string{}
	for _, id := range []string{"upload", "long-upload"} {
		u, err := t1.store.CreateUpload(t.Context(), e.name("bk", keys[id]), store.UploadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		uploads[id] = u.ID
	}
	absent := key("absent-")
	e.move(cluster.JoinNode, "t2")
	for _, mp := range []string{"/1", "/2"} {
		var free syscall.Statfs_t
		if err := syscall.Statfs(t2.dir+mp, &free); err != nil {
			t.Fatal(err)
		}
		size := int64(free.Bavail)*free.Bsize - 4<<20 // a sixteenth of a disk is kept for deletes
		if err := os.WriteFile(t2.dir+mp+"/ballast", make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool { // that the disks are full is seen when they are looked at
		return !slices.ContainsFunc(t2.store.Mountpaths(), func(m fs.Info) bool { return !m.Full })
	})
	for id, k := range keys {
		if uploads[id] == "" {
			t2.want(t, 200, call{method: "DELETE", path: path("bk", k)})
			t2.want(t, 404, call{method: "GET", path: path("bk", k)})
			continue
		}
		t2.want(t, 503, call{method: "DELETE", path: path("bk", k)})
		if a := t2.do(t, call{method: "GET", path: path("bk", k)}); !bytes.Equal(a.body, bodies[id]) {
			t.Errorf("%s: %d after a delete that was refused", id, a.StatusCode)
		}
	}
	t2.want(t, 404, call{method: "DELETE", path: path("bk", absent)})
	e.restart(t2)
	for _, mp := range []string{"/1", "/2"} {
		if err := os.Remove(t2.dir + mp + "/ballast"); err != nil {
			t.Fatal(err)
		}
	}
	for id, k := range keys {
		if uploads[id] == "" {
			t2.want(t, 404, call{method: "GET", path: path("bk", k)})
			continue
		}
		eventually(t, func() bool { return t2.do(t, call{method: "DELETE", path: path("bk", k)}).StatusCode == 200 })
		t2.want(t, 404, call{method: "GET", path: path("bk", k)})
		if _, err := t2.store.Upload(e.name("bk", k), uploads[id]); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
