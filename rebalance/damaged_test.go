package rebalance

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
	"aistore/store"
)

// TestDamagedObjects: what cannot be read where it lies keeps nothing else from moving, is no owner's fault, and is let go when its owner does not want it
// any more.
func TestDamagedObjects(t *testing.T) {
	w := newWorld(t, 1, 2)
	for i := range 40 {
		key := fmt.Sprintf("key-%02d", i)
		w.put(key, content(key, 0, []int{100, 200 << 10, 700 << 10}[i%3]))
	}
	t1 := w.hosts["t1"]
	damageBlobs(t, t1.dir)
	t2 := w.add("t2")
	w.step(cluster.JoinNode, "t2")
	w.await("t1 waits for its damaged objects", func() bool {
		s, err := t1.engine.Status("")
		return err == nil && slices.Equal(s.Waiting, []string{"damaged objects of t1"})
	})
	v, damaged := w.view(), 0
	for i := range 40 {
		key := fmt.Sprintf("key-%02d", i)
		if v.Owner(w.bucket, key).ID != "t2" {
			continue
		}
		if i%3 == 0 {
			if _, err := t2.read(key); err != nil {
				t.Errorf("%s: %v", key, err)
			}
			continue
		}
		damaged++
		n := object.Name{Bucket: w.bucket.ID, Key: key}
		if err := t2.store.MarkKeys(t.Context(), []object.Name{n}, store.ImportOptions{Mark: v.Map.Epoch})[0].Err; err != nil { // as when it is deleted
			t.Fatal(err)
		}
	}
	if damaged < 2 {
		t.Fatalf("%d damaged objects belong to t2", damaged)
	}
	w.settled()
}

// TestCheckOfVersions: older versions are looked at, too, also behind a delete marker.
func TestCheckOfVersions(t *testing.T) {
	w := newWorld(t, 1, 2)
	t1, props := w.hosts["t1"], cluster.DefaultBucketProps()
	props.S3.Versioning = cluster.VersioningEnabled
	b := w.apply(cluster.CreateBucket{Name: "kept", Props: props}).Bucket
	name := func(key string) object.Name { return object.Name{Bucket: b.ID, Key: key} }
	put := func(key string, size int) {
		t.Helper()
		if _, err := t1.store.Put(t.Context(), name(key), content(key, 0, size), store.PutOptions{Epoch: 1, Size: int64(size), Versioning: store.Versioned}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"overwritten", "deleted"} {
		put(key, 200<<10)
	}
	damageBlobs(t, t1.dir)
	for _, key := range []string{"overwritten", "deleted", "whole", "whole-"} {
		put(key, 300<<10)
		put(key, 100)
	}
	if _, err := t1.store.Delete(t.Context(), name("deleted"), store.DeleteOptions{Epoch: 1, Versioning: store.Versioned}); err != nil {
		t.Fatal(err)
	}
	for _, deep := range []bool{false, true} {
		k := &check{Engine: t1.engine, ctx: t.Context(), view: w.view(), deep: deep}
		for lane := range t1.store.Lanes() {
			if err := k.walk(lane); err != nil {
				t.Fatal(err)
			}
		}
		want := api.CheckCounts{Checked: 3}
		if deep {
			want = api.CheckCounts{Checked: 4, Corrupt: 2}
		}
		if k.out.CheckCounts != want {
			t.Errorf("deep %t: %+v, want %+v", deep, k.out.CheckCounts, want)
		}
	}
}

// TestCheckWithoutMountpath: a misplaced key that cannot be read because a mountpath is out which may have a newer version is not called corrupt.
func TestCheckWithoutMountpath(t *testing.T) {
	w := newWorld(t, 1, 2)
	t1 := w.hosts["t1"]
	out := t1.store.Mountpaths()[0].Path
	if err := t1.store.Disable(out); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		n := object.Name{Bucket: w.bucket.ID, Key: fmt.Sprintf("key-%02d", i)}
		if _, err := t1.store.Put(t.Context(), n, content(n.Key, 0, 100), store.PutOptions{Epoch: 1, Size: 100}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := t1.store.Enable(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if err := t1.store.Disable(out); err != nil { // nothing has gone home meanwhile: nobody resilvers here
		t.Fatal(err)
	}
	w.add("t2")
	w.step(cluster.JoinNode, "t2")
	w.await("t1 waits for its mountpath", func() bool {
		s, err := t1.engine.Status("")
		return err == nil && len(s.Waiting) == 1 && strings.Contains(s.Waiting[0], out)
	})
	v, unsure := w.view(), 0
	for i := range 40 {
		n := object.Name{Bucket: w.bucket.ID, Key: fmt.Sprintf("key-%02d", i)}
		if _, err := t1.store.KeyState(n); v.Owner(w.bucket, n.Key).ID == "t2" && errs.Is(err, errs.Mountpath) {
			unsure++
		}
	}
	if unsure == 0 {
		t.Fatal("every key can be read: this shows nothing")
	}
	k := &check{Engine: t1.engine, ctx: t.Context(), view: v, asked: map[cluster.NodeID][]offered{}}
	if err := k.run(); err != nil {
		t.Fatal(err)
	}
	if k.out.Corrupt != 0 || k.out.Out[out] == "" {
		t.Errorf("%d keys are called corrupt, %d cannot be read without %s: %v", k.out.Corrupt, unsure, out, k.out)
	}
}

// damageBlobs changes a bit in every blob below dir.
func damageBlobs(t *testing.T, dir string) {
	t.Helper()
	count := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(filepath.Dir(path))) != "blobs" {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && len(b) > 100<<10 {
			count++
			b[50<<10] ^= 4
			err = os.WriteFile(path, b, 0o644)
		}
		return err
	})
	if err != nil || count == 0 {
		t.Fatalf("%d blobs below %s: %v", count, dir, err)
	}
}
