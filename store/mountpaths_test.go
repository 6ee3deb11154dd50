package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// TestFormerHomes: after a mountpath was added, names are found where they were, move home when they are written, and
// stay deleted.
func TestFormerHomes(t *testing.T) {
	s := unsettled(t, Config{})
	moved := 0
	for i := range 100 {
		n := object.Name{Bucket: 99, Key: fmt.Sprintf("old%d", i)}
		if string(get(t, s, n)) != "old" {
			t.Fatal("lost")
		}
		if homes := s.now().set.Homes(n.Key, nil); len(homes) == 2 {
			moved++
		}
		switch i % 3 {
		case 0:
			_, err := s.Delete(t.Context(), n, DeleteOptions{})
			must(t, err)
		case 1:
			_, err := s.Put(t.Context(), n, []byte("new"), PutOptions{})
			must(t, err)
		}
	}
	if moved < 40 || moved > 90 {
		t.Errorf("%d of 100 names got another home among three mountpaths", moved)
	}
	want := map[int]string{1: "new", 2: "old"}
	names := list(t, s, ListQuery{Bucket: 99})
	if len(names) != 66 {
		t.Errorf("%d names", len(names))
	}
	for i := range 100 {
		n := object.Name{Bucket: 99, Key: fmt.Sprintf("old%d", i)}
		if i%3 == 0 {
			if _, err := s.Open(n); !errs.Is(err, errs.NotFound) {
				t.Errorf("%s: %v", n.Key, err)
			}
			continue
		}
		if got := string(get(t, s, n)); got != want[i%3] {
			t.Errorf("%s: %q", n.Key, got)
		}
		copies := 0
		for _, v := range s.volumes() {
			var f found
			ok, err := v.read(&f, n)
			must(t, err)
			f.close()
			if ok {
				copies++
			}
		}
		if copies != 1 {
			t.Errorf("%s: %d copies", n.Key, copies)
		}
	}
}

// TestMissingDisk: a mountpath whose disk is gone keeps its names, which are kind Mountpath, and the others go on.
func TestMissingDisk(t *testing.T) {
	mem := fs.NewMem()
	cfg := Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "node1"}
	s, err := Open(t.Context(), cfg)
	must(t, err)
	for i := range 40 {
		put(t, s, fmt.Sprintf("k%d", i), []byte("x"))
	}
	must(t, s.Close())
	root, err := mem.OpenRoot("/")
	must(t, err)
	must(t, root.Rename("b", "elsewhere"))
	must(t, root.Mkdir("b")) // what a mount point looks like without its disk
	s, err = Open(t.Context(), cfg)
	must(t, err)
	there, gone, written := 0, 0, 0
	for i := range 40 {
		n := b1(fmt.Sprintf("k%d", i))
		_, err := s.Stat(n)
		if err == nil {
			there++
			continue
		}
		_, derr := s.Delete(t.Context(), n, DeleteOptions{})
		_, cerr := s.Put(t.Context(), n, []byte("y"), PutOptions{Conditions: &object.Conditions{IfMatch: []string{"*"}}})
		if !errs.Is(err, errs.Mountpath) || !errs.Is(derr, errs.Mountpath) || !errs.Is(cerr, errs.Mountpath) {
			t.Errorf("%v: %v, %v, %v", n, err, derr, cerr)
		}
		if gone++; gone%2 == 0 { // who asks for nothing may write: the mountpaths that are left take it
			_, err := s.Put(t.Context(), n, []byte("new"), PutOptions{})
			must(t, err)
			if string(get(t, s, n)) != "new" {
				t.Errorf("%v is not what was written", n)
			}
			written++
		}
	}
	if there < 8 || gone < 8 {
		t.Errorf("%d names there, %d gone", there, gone)
	}
	if err := s.List(t.Context(), ListQuery{Bucket: 1}, func(*object.Info) bool { return true }); !errs.Is(err, errs.Mountpath) {
		t.Errorf("list with a disk missing: %v", err)
	}
	if names, err := root.ReadDir("b"); err != nil || len(names) > 0 {
		t.Errorf("written beneath the missing disk: %q %v", names, err)
	}
	must(t, s.Close())
	must(t, root.Remove("b"))
	must(t, root.Rename("elsewhere", "b"))
	s = testStore(t, cfg)
	if got := list(t, s, ListQuery{Bucket: 1}); len(got) != 40 {
		t.Errorf("%d names after the disk came back", len(got))
	}
	for i := range 40 {
		if got := string(get(t, s, b1(fmt.Sprintf("k%d", i)))); got == "new" {
			written--
		} else if got != "x" {
			t.Errorf("%q", got)
		}
	}
	if written != 0 {
		t.Errorf("%d writes are lost", written)
	}
}

// TestUnmountedWhileRunning: the directory is swapped under the running store.
func TestUnmountedWhileRunning(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{dir + "/mp"}})
	put(t, s, "k", random(10))
	must(t, os.Rename(dir+"/mp", dir+"/lazily-unmounted"))
	must(t, os.Mkdir(dir+"/mp", 0o755))
	put(t, s, "k2", random(300_000)) // still goes to the disk that is held
	s.checkDisks()
	s.replaceFailed()
	if _, err := s.Put(t.Context(), b1("k3"), nil, PutOptions{}); !errs.Is(err, errs.Mountpath) {
		t.Errorf("put after the disk went: %v", err)
	}
	if _, err := s.Open(b1("k")); !errs.Is(err, errs.Mountpath) {
		t.Errorf("get after the disk went: %v", err)
	}
	if names, err := os.ReadDir(dir + "/mp"); err != nil || len(names) > 0 {
		t.Errorf("written beneath: %v %v", names, err)
	}
	if i := s.Mountpaths()[0]; i.State != fs.Disabled || i.Reason == "" {
		t.Errorf("%+v", i)
	}
}

// TestFailedSync: the first sync that fails disables the mountpath; nothing after it is acknowledged, and what was
// acknowledged before is there after a restart.
func TestFailedSync(t *testing.T) {
	for _, what := range []struct {
		name  string
		match func(op fs.Op, name string) bool
	}{
		{"log sync", func(op fs.Op, n string) bool { return op == fs.OpSync && strings.HasSuffix(n, ".log") }},
		{"log write", func(op fs.Op, n string) bool { return op == fs.OpWrite && strings.HasSuffix(n, ".log") }},
		{"blob sync", func(op fs.Op, n string) bool { return op == fs.OpSync && strings.HasPrefix(n, "work/") }},
		{"blob directory sync", func(op fs.Op, n string) bool { return op == fs.OpDir && strings.HasPrefix(n, "blobs/") }},
		{"table sync", func(op fs.Op, n string) bool { return op == fs.OpSync && strings.HasSuffix(n, ".sst") }},
		{"table write", func(op fs.Op, n string) bool { return op == fs.OpWrite && strings.HasSuffix(n, ".sst") }},
		{"manifest sync", func(op fs.Op, n string) bool { return op == fs.OpSync && strings.Contains(n, "MANIFEST") }},
		{"manifest write", func(op fs.Op, n string) bool { return op == fs.OpWrite && strings.Contains(n, "MANIFEST") }},
		{"index directory sync", func(op fs.Op, n string) bool { return op == fs.OpDir && n == "index" }},
		{"create", func(op fs.Op, n string) bool { return op == fs.OpCreate && strings.HasPrefix(n, "index/") }},
		{"rename", func(op fs.Op, n string) bool { return op == fs.OpRename }},
	} {
		t.Run(what.name, func(t *testing.T) {
			t.Parallel()
			testFailing(t, what.match)
		})
	}
}

func testFailing(t *testing.T, match func(fs.Op, string) bool) {
	mem := fs.NewMem()
	var on atomic.Bool
	sys := &fs.Faulty{FS: mem, Check: func(op fs.Op, name string) error {
		if on.Load() && match(op, name) {
			return syscall.EIO
		}
		return nil
	}}
	cfg := crashConfig(sys, []string{"/mp1"})
	s, err := Open(t.Context(), cfg)
	must(t, err)
	acked := map[string]int{}
	var failed error
	for i := 0; failed == nil && i < 20000; i++ {
		if i == 200 {
			on.Store(true)
		}
		key, size := fmt.Sprintf("k%d", i%50), 100
		if i%10 == 0 {
			size = 20000
		}
		data := random(size)
		if _, failed = s.Put(t.Context(), b1(key), data, PutOptions{Size: -1}); failed == nil {
			acked[key] = i
		}
		if i > 200 && i%100 == 0 && s.volumes()[0].db != nil {
			_, _ = s.volumes()[0].db.AsyncFlush() // tables are written in the background
		}
	}
	if !errs.Is(failed, errs.Mountpath) {
		t.Fatalf("writes end with %v", failed)
	}
	for _, err := range []error{second(s.Open(b1("k1"))), second(s.Put(t.Context(), b1("k1"), nil, PutOptions{})), second(s.Delete(t.Context(), b1("k1"), DeleteOptions{})),
		s.List(t.Context(), ListQuery{Bucket: 1}, func(*object.Info) bool { return true })} {
		if !errs.Is(err, errs.Mountpath) {
			t.Errorf("after the failure: %v", err)
		}
	}
	if i := s.Mountpaths()[0]; i.State != fs.Disabled {
		t.Errorf("%+v", i)
	}
	on.Store(false)
	crashed := mem.Crash(nil)
	must(t, s.Close())
	s2, err := Open(t.Context(), crashConfig(crashed, []string{"/mp1"}))
	must(t, err)
	must(t, s2.volumes()[0].err())
	for key := range acked {
		get(t, s2, b1(key))
	}
	must(t, s2.Close())
}

// TestReadError: a disk that cannot be read is kind Mountpath, and stays in use.
func TestReadError(t *testing.T) {
	var on atomic.Bool
	sys := &fs.Faulty{FS: fs.NewMem(), Check: func(op fs.Op, name string) error {
		if on.Load() && op == fs.OpRead && strings.HasPrefix(name, "blobs/") {
			return syscall.EIO
		}
		return nil
	}}
	s := testStore(t, crashConfig(sys, []string{"/mp1"}))
	data := random(50_000)
	put(t, s, "k", data)
	on.Store(true)
	o, err := s.Open(b1("k"))
	must(t, err)
	if err := o.WriteSpan(io.Discard, object.Span{Length: 50_000}); !errs.Is(err, errs.Mountpath) {
		t.Errorf("unreadable: %v", err)
	}
	o.Close()
	on.Store(false)
	if !slices.Equal(get(t, s, b1("k")), data) {
		t.Error("wrong content")
	}
}

// TestFullDisk: writes are kind Full, reads and deletes go on, and what deletes free can be written again.
func TestFullDisk(t *testing.T) {
	t.Run("in memory", func(t *testing.T) {
		mem := fs.NewMem()
		mem.SetTotal(64 << 20)
		testFull(t, testStore(t, crashConfig(mem, []string{"/mp1"})), func(n int64) func() {
			root, err := mem.OpenRoot("/")
			must(t, err)
			f, err := root.OpenFile("others", os.O_RDWR|os.O_CREATE)
			must(t, err)
			_, err = f.WriteAt(make([]byte, n), 0)
			must(t, errors.Join(err, f.Close()))
			return func() { must(t, root.Remove("others")) }
		})
	})
	t.Run("on a small disk", func(t *testing.T) {
		dir := loopDisk(t, 128)
		testFull(t, testStore(t, crashConfig(fs.OS{}, []string{dir + "/mp1"})), func(n int64) func() {
			must(t, os.WriteFile(dir+"/others", make([]byte, n), 0o644))
			return func() { must(t, os.Remove(dir+"/others")) }
		})
	})
}

// testFull fills the store, then lets others fill the disk to the last byte. occupy writes a file of others and
// returns how to remove it.
func testFull(t *testing.T, s *Store, occupy func(int64) func()) {
	upload := createUpload(t, s, b1("early"))
	putPart(t, s, b1("early"), upload, 1, random(1000))
	multi := uploadWhole(t, s, object.Name{Bucket: 2, Key: "multi"}, 3)
	var err error
	n := 0
	for ; err == nil; n++ {
		size := 100_000
		if n%2 == 1 {
			size = 3000
		}
		if _, err = s.Put(t.Context(), b1(fmt.Sprintf("k%d", n)), random(size), PutOptions{Size: -1}); err == nil && n > 100_000 {
			t.Fatal("the disk never fills")
		}
	}
	if n--; !errs.Is(err, errs.Full) || n < 20 {
		t.Fatalf("after %d objects: %v", n, err)
	}
	if i := s.Mountpaths()[0]; i.State != fs.Enabled || !i.Full {
		t.Errorf("%+v", i)
	}
	if _, err := s.PutPart(t.Context(), b1("early"), upload, 2, bytes.NewReader(random(100_000)), PartOptions{Size: 100_000}); !errs.Is(err, errs.Full) {
		t.Errorf("a part on a full disk: %v", err)
	}
	c, err := s.volumes()[0].mp.Statfs()
	must(t, err)
	free := occupy(c.Free - 8<<10)
	for i := range n {
		switch i % 4 {
		case 0:
			get(t, s, b1(fmt.Sprintf("k%d", i)))
		default:
			if _, err := s.Delete(t.Context(), b1(fmt.Sprintf("k%d", i)), DeleteOptions{}); err != nil {
				t.Fatalf("delete on a full disk: %v", err)
			}
		}
	}
	if got := get(t, s, object.Name{Bucket: 2, Key: "multi"}); !bytes.Equal(got, multi) {
		t.Error("an object in parts is wrong on a full disk")
	}
	for _, err := range []error{s.AbortUpload(t.Context(), b1("early"), upload, AbortOptions{}), second(s.Delete(t.Context(), object.Name{Bucket: 2, Key: "multi"}, DeleteOptions{})),
		second(s.Delete(t.Context(), object.Name{Bucket: 2, Key: "marked"}, DeleteOptions{Versioning: Versioned}))} {
		if err != nil {
			t.Errorf("abort, delete and delete marker on a full disk: %v", err)
		}
	}
	free()
	s.checkDisks()
	s.replaceFailed()
	put(t, s, "again", random(100_000))
	if _, err := s.Stat(b1("k0")); err != nil {
		t.Error(err)
	}
	if got := list(t, s, ListQuery{Bucket: 1}); len(got) != (n+3)/4+1 {
		t.Errorf("%d names left of %d", len(got), n)
	}
	must(t, s.volumes()[0].err())
}

// TestRemovedInside: somebody removes a directory of a mountpath. Writes that need it are kind Mountpath, never "not found", and the
// mountpath is out of service.
func TestRemovedInside(t *testing.T) {
	for _, inner := range []string{"work", "blobs", "blobs/*"} {
		dir := t.TempDir()
		s, err := Open(t.Context(), Config{Mountpaths: []string{dir + "/mp"}, NodeID: "n", InlineMax: 100})
		must(t, err)
		t.Cleanup(func() { _ = s.Close() }) // the disk has failed: an error is right
		if inner == "blobs/*" {
			count := &s.volumes()[0].blobCount
			count.Store(count.Load() | 0xff) // both blobs belong in one directory
			put(t, s, "before", random(1000))
		}
		inside, err := filepath.Glob(dir + "/mp/" + inner)
		must(t, err)
		for _, path := range inside {
			must(t, os.RemoveAll(path))
		}
		_, err = s.PutStream(t.Context(), b1("after"), bytes.NewReader(random(1<<20)), PutOptions{Size: 1 << 20})
		if !errs.Is(err, errs.Mountpath) {
			t.Errorf("without %s: %v", inner, err)
		}
		if s.volumes()[0].err() == nil {
			t.Errorf("without %s the mountpath is in service", inner)
		}
	}
}

// TestRemovedUnderneath: somebody removes a mountpath's directory while it is written to. What was acknowledged before
// is theirs to answer for; nothing may be acknowledged after, for it would be gone with the process.
func TestRemovedUnderneath(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Config{Mountpaths: []string{dir + "/mp"}, NodeID: "n"})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() }) // the disk is gone: an error is right
	for i := range 10 {
		put(t, s, fmt.Sprint("before", i), []byte("x"))
	}
	must(t, os.RemoveAll(dir+"/mp"))
	for _, size := range []int{1, 4 << 10, 1 << 20} {
		if _, err := s.Put(t.Context(), b1("after"), random(size), PutOptions{Durability: cluster.Local}); !errs.Is(err, errs.Mountpath) {
			t.Errorf("%d bytes into a directory that is gone: %v", size, err)
		}
	}
}
