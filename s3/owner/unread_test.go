package owner_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"aistore/s3"
)

// TestDeleteUnread: an object that is damaged where it lies, and so cannot come to its new owner, can be deleted there by who may; not one with versions, and
// not under a condition that cannot be judged.
func TestDeleteUnread(t *testing.T) {
	w := newWorld(t, 2)
	w.place("t1")
	for _, size := range []int{200 << 10, 3 << 20} {
		for _, at := range [][2]string{{"plain", "one"}, {"plain", "many"}, {"kept", "one"}} {
			w.want(200, "", call{method: "PUT", bucket: at[0], key: at[1], body: random(size)})
		}
		w.damage(w.targets[0])
		w.place("t2")
		if a := w.do(call{method: "DELETE", bucket: "plain", key: "one", header: []string{"If-Match", `"something"`}}); a.StatusCode < 500 {
			t.Errorf("its condition cannot be judged: %d", a.StatusCode)
		}
		w.want(403, "AccessDenied", call{method: "DELETE", bucket: "plain", key: "one", who: &bob})
		w.want(204, "", call{method: "DELETE", bucket: "plain", key: "one"})
		w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "one"})
		v := w.plane.get()
		b := v.Buckets.Get("", "plain")
		etag := s3.DeleteItem{Key: "many", Size: -1, ETag: "something"}
		for _, d := range []struct {
			who  *s3.Caller
			item s3.DeleteItem
			ok   bool
		}{{&alice, etag, false}, {&bob, s3.DeleteItem{Key: "many", Size: -1}, false}, {&alice, s3.DeleteItem{Key: "many", Size: -1}, true}} {
			done, err := w.targets[1].owner.DeleteMany(t.Context(), v, b, d.who, []s3.DeleteItem{d.item})
			if err != nil || (done[0].Code == "") != d.ok {
				t.Errorf("%s %+v: %+v %v", d.who.Name, d.item, done, err)
			}
		}
		w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "many"})
		if a := w.do(call{method: "DELETE", bucket: "kept", key: "one"}); a.StatusCode < 500 {
			t.Errorf("with versions: %d", a.StatusCode)
		}
		w.place("t1")
	}
}

// damage changes one bit of every blob of a target.
func (w *world) damage(o *one) {
	w.t.Helper()
	flipped := 0
	for _, m := range o.store.Mountpaths() {
		err := filepath.WalkDir(filepath.Join(m.Path, "blobs"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil || len(b) < 160<<10 {
				return err
			}
			b[150<<10] ^= 4
			flipped++
			return os.WriteFile(path, b, 0o600)
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if flipped == 0 {
		w.t.Fatal("no blobs")
	}
}
