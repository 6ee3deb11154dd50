package target_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"aistore/cluster"
	"aistore/errs"
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

// TestDeleteOnFullOwner deletes names at their new owner while its disks have not one byte left. What is acknowledged has left its mark: it does not
// come back after a restart, when the former owner is asked again. What cannot be noted is refused as full or busy.
func TestDeleteOnFullOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	e, t1, t2, key := joined(t)
	t2.stop()
	for _, mp := range []string{"/1", "/2"} {
		dir := t2.dir + mp
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
	e.restart(t2)

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
		case a.StatusCode != 503 && a.StatusCode != 507 || a.Header.Get("Retry-After") == "" && a.kind() != errs.Full:
			t.Fatalf("a delete on a full disk: %d %s", a.StatusCode, a.body)
		}
	}
	t.Logf("answers: %v", answers)
	if len(acknowledged) == 0 || len(acknowledged) == count {
		t.Errorf("%d of %d deletes were acknowledged: this shows little", len(acknowledged), count)
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
