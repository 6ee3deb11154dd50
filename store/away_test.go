package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aistore/errs"
	"aistore/fs"
	"aistore/store/format"
)

// TestImportedIsAway: what came from another node, under versions of that node, is not said to be missing or deleted while the mountpath is
// away that has it; nor by a process that was started since.
func TestImportedIsAway(t *testing.T) {
	source := memStore(t, "n0", 1)
	var frames [][]byte
	ids := map[string]string{}
	for i := range 20 {
		key := fmt.Sprint(i)
		info, err := source.Put(t.Context(), b1(key), []byte(key), PutOptions{Epoch: 9, Versioning: Versioned})
		must(t, err)
		ids[key] = info.VersionID
		frames = append(frames, frameOf(t, source, b1(key)))
	}
	for _, restart := range []bool{false, true} {
		mem := fs.NewMem()
		cfg := Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "n"}
		s, err := Open(t.Context(), cfg)
		must(t, err)
		for _, r := range s.Import(t.Context(), frames, ImportOptions{}) {
			must(t, r.Err)
		}
		if restart {
			must(t, s.Close())
			root, err := mem.OpenRoot("/")
			must(t, err)
			must(t, errors.Join(root.Rename("b", "elsewhere"), root.Mkdir("b")))
			s, err = Open(t.Context(), cfg)
			must(t, err)
		} else {
			must(t, s.Disable("/b"))
		}
		away := 0
		for key, id := range ids {
			_, err := s.StatVersion(b1(key), id)
			_, derr := s.Delete(t.Context(), b1(key), DeleteOptions{VersionID: id})
			if err == nil && derr == nil {
				continue
			}
			if away++; !errs.Is(err, errs.Mountpath) || !errs.Is(derr, errs.Mountpath) {
				t.Errorf("restart %v, %s: %v; removed: %v", restart, key, err, derr)
			}
		}
		if away == 0 || away == 20 {
			t.Errorf("%d of 20 were away", away)
		}
		must(t, s.Close())
	}
}

// TestMarkOfTombstone: a delete that a mountpath which is away has not heard of leaves the mark that it was asked for.
func TestMarkOfTombstone(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b"}, NodeID: "n"})
	must(t, s.Disable("/b"))
	for i := range 20 {
		n := b1(fmt.Sprint(i))
		must(t, second(s.Put(t.Context(), n, []byte("x"), PutOptions{Epoch: 3})))
		must(t, second(s.Delete(t.Context(), n, DeleteOptions{Epoch: 3, Newest: func() (uint64, bool) { return 5, true }})))
		if mark, err := s.Mark(n); mark != 5 || err != nil {
			t.Errorf("%v has mark %d: %v", n, mark, err)
		}
	}
}

// TestSessionsCountOnce: append sessions on a mountpath that goes and comes back are counted as before.
func TestSessionsCountOnce(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b"}, NodeID: "n"})
	for i := range 10 {
		n := b1(fmt.Sprint(i))
		h, err := s.BeginAppend(t.Context(), n)
		must(t, err)
		must(t, second(s.Append(t.Context(), n, h, bytes.NewReader(random(1000)))))
	}
	for range 3 {
		must(t, s.Disable("/b"))
		must(t, second(s.Enable(t.Context(), "/b")))
	}
	if open, bytes := s.Appends(); open != 10 || bytes != 10_000 {
		t.Errorf("%d sessions with %d bytes", open, bytes)
	}
}

// TestCopyWhoseHomeFails: a copy of content in parts whose commit is durable, although the mountpath failed before it was told, is whole when
// that comes back.
func TestCopyWhoseHomeFails(t *testing.T) {
	mem := fs.NewMem()
	var dir atomic.Pointer[string] // of the index that fails
	var s *Store
	var commits atomic.Int64 // to it
	mem.OnSync = func(name string) {
		if d := dir.Load(); d == nil || !strings.HasPrefix(name, *d) || !strings.HasSuffix(name, ".log") {
			return
		}
		if commits.Add(1) == 2 { // the first announces the references
			for _, v := range s.volumes() {
				if strings.HasPrefix(*dir.Load(), v.mp.Path()) {
					v.mp.Fail(errors.New("out"))
				}
			}
		}
	}
	cfg := crashConfig(mem, []string{"/a", "/b"})
	s, err := Open(t.Context(), cfg)
	must(t, err)
	whole := uploadWhole(t, s, b1("src"), 6)
	must(t, s.cleanUploads(t.Context()))
	to := b1("copy")
	home, err := s.home(to)
	must(t, err)
	index := home.mp.Path() + "/index/"
	dir.Store(&index)
	if _, err := s.Copy(t.Context(), b1("src"), "", to, PutOptions{}); !errs.Is(err, errs.Mountpath) {
		t.Fatalf("copy: %v", err)
	}
	if !home.mp.Returned(t.Context(), time.Minute) {
		t.Fatal("the sync has not ended")
	}
	dir.Store(nil)
	_ = s.Close() // a mountpath has failed
	s = testStore(t, cfg)
	must(t, second(s.Delete(t.Context(), b1("src"), DeleteOptions{})))
	s.tidy(t.Context())
	if _, err := s.Stat(to); err != nil {
		t.Fatalf("the commit was durable: %v", err)
	}
	if got := get(t, s, to); !bytes.Equal(got, whole) {
		t.Errorf("%d bytes of %d", len(got), len(whole))
	}
}

// TestDestroyWhileAway: a bucket that is destroyed while a mountpath is away frees the others at once, and that one when it is back.
func TestDestroyWhileAway(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b"}, NodeID: "n", InlineMax: 1000})
	for i := range 20 {
		put(t, s, fmt.Sprint("inline", i), []byte("x"))
		put(t, s, fmt.Sprint("blob", i), random(5000))
	}
	beyond := 0 // parts on /a that only /b knows of
	for i := range 4 {
		n := b1(fmt.Sprint("parts", i))
		uploadWhole(t, s, n, 4)
		if home, err := s.home(n); err != nil || home.mp.Path() == "/b" {
			beyond += 2
		}
	}
	must(t, s.Disable("/b"))
	if ids, err := s.Leftovers(); err != nil || len(ids) != 1 {
		t.Errorf("left are %v: %v", ids, err)
	}
	if err := s.DestroyBucket(t.Context(), 1); !errs.Is(err, errs.Mountpath) {
		t.Errorf("destroyed with a mountpath away: %v", err)
	}
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		empty, err := emptyBucket(v, 1)
		must(t, err)
		if left := countBlobs(t, s.cfg.FS, v.mp.Path()); !empty || left > beyond {
			t.Errorf("%s is empty %v, and has %d blobs, want %d", v.mp.Path(), empty, left, beyond)
		}
	}
	must(t, second(s.Enable(t.Context(), "/b")))
	s.tidy(t.Context())
	for _, v := range s.volumes() {
		for _, fam := range []byte{format.FamRecord, format.FamContent, format.FamRef, format.FamTable, format.FamGone, format.FamPart, format.FamUpload} {
			c, err := v.newCursor([]byte{fam}, []byte{fam + 1})
			must(t, err)
			if c.it.First() {
				t.Errorf("%s has %q", v.mp.Path(), c.it.Key())
			}
			must(t, c.close())
		}
		if left := countBlobs(t, s.cfg.FS, v.mp.Path()); left > 0 {
			t.Errorf("%s has %d blobs", v.mp.Path(), left)
		}
	}
}
