package store

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
	"aistore/store/format"
)

// halfMove is a move of the next version of a name that a crash interrupts: it is at home, and still where it was. False when the name is at
// home.
func halfMove(t *testing.T, s *Store, n object.Name, from *volume) bool {
	t.Helper()
	home, err := s.home(n)
	must(t, err)
	if home == from {
		return false
	}
	m := mover{s: &moves{s}, n: n, from: from}
	lock := s.locks.of(n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	var f found
	ok, err := m.next(&f)
	must(t, err)
	if !ok {
		t.Fatalf("%v has nothing on %s", n, from.mp.Path())
	}
	in := homecoming{v: home, n: n, f: &f}
	must(t, in.place())
	in.finish()
	for _, g := range append(in.gone, &f) {
		g.close()
	}
	return true
}

// TestExportOfHalfMoved: a key of which a version is on two mountpaths, since its move was interrupted, goes to another node as any does.
func TestExportOfHalfMoved(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a"}, NodeID: "n", InlineMax: 1000})
	for i := range 20 {
		for range 3 {
			must(t, second(s.Put(t.Context(), b1(fmt.Sprint(i)), random(10), PutOptions{Versioning: Versioned})))
		}
	}
	from := s.volumes()[0]
	must(t, second(attach(t, s, "/b")))
	to := memStore(t, "other", 2)
	half := 0
	for i := range 20 {
		n := b1(fmt.Sprint(i))
		want := pictureOf(t, s, n)
		if halfMove(t, s, n, from) {
			half++
		}
		if r := to.Import(t.Context(), [][]byte{frameOf(t, s, n)}, ImportOptions{})[0]; r.Outcome != Applied || r.Err != nil {
			t.Errorf("%v: %+v", n, r)
			continue
		}
		if got := pictureOf(t, to, n); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, want %+v", n, got, want)
		}
	}
	if half == 0 {
		t.Error("none had to move")
	}
}

// TestDeleteOfHalfMoved: an object in parts whose table is on two mountpaths is whole or gone whenever a crash ends its removal.
func TestDeleteOfHalfMoved(t *testing.T) {
	for half := 0; half < 2; {
		mem := fs.NewMem()
		var power losses
		power.watch(mem)
		s, err := Open(t.Context(), crashConfig(mem, []string{"/a"}))
		must(t, err)
		n := b1("k")
		whole := uploadWhole(t, s, n, 3)
		must(t, s.cleanUploads(t.Context()))
		from := s.volumes()[0]
		must(t, second(attach(t, s, "/b")))
		if halfMove(t, s, n, from) {
			half++
		}
		power.on.Store(true)
		must(t, second(s.Delete(t.Context(), n, DeleteOptions{})))
		power.on.Store(false)
		must(t, s.Close())
		for i, c := range power.states {
			after := testStore(t, crashConfig(c, []string{"/a", "/b"}))
			after.tidy(t.Context())
			if _, err := after.Stat(n); errs.Is(err, errs.NotFound) {
				continue
			}
			if got := get(t, after, n); !bytes.Equal(got, whole) {
				t.Errorf("state %d: %d bytes", i, len(got))
			}
		}
	}
}

// TestAbortOfHalfMoved: an upload that is on two mountpaths, since its move was interrupted, is gone from both when it is aborted.
func TestAbortOfHalfMoved(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a"}, NodeID: "n"})
	ids := map[object.Name]string{}
	for i := range 20 {
		u, err := s.CreateUpload(t.Context(), b1(fmt.Sprint(i)), UploadOptions{})
		must(t, err)
		ids[b1(u.Key)] = u.ID
	}
	from := s.volumes()[0]
	must(t, second(attach(t, s, "/b")))
	half := 0
	for n, id := range ids {
		home, err := s.home(n)
		must(t, err)
		uid, _ := format.ParseUploadID(id)
		u := &upload{vol: from, n: n, id: uid}
		if ok, err := u.load(); err != nil || !ok {
			t.Fatalf("%v: %v %v", n, ok, err)
		}
		if home != from {
			half++
			u.vol = home
			must(t, u.put(cluster.Local, nil))
		}
		must(t, s.AbortUpload(t.Context(), n, id, AbortOptions{}))
		if u, err := s.Upload(n, id); !errs.Is(err, errs.NotFound) {
			t.Errorf("%v: %+v %v after it was aborted", n, u, err)
		}
	}
	if half == 0 {
		t.Error("none had to move")
	}
	settleStore(t, s)
}

// TestReadersOfMovedParts: who opened an object in parts before some of them went elsewhere, and who did since, both read on when it is
// deleted.
func TestReadersOfMovedParts(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b"}, NodeID: "n", InlineMax: 1000})
	n := b1("k")
	whole := uploadWhole(t, s, n, 8)
	must(t, s.cleanUploads(t.Context()))
	var readers []*Object
	open := func() {
		o, err := s.Open(n)
		must(t, err)
		readers = append(readers, o)
	}
	open()
	must(t, s.Detach(t.Context(), "/b", false))
	p := s.BeginPass()
	for found := 1; found > 0; { // it is not released while it is read
		found = 0
		for lane := range p.Lanes() {
			must(t, p.Each(t.Context(), lane, func(int) {}, func(m Move) error {
				found++
				return second(m.Run(t.Context()))
			}))
		}
	}
	open()
	must(t, second(s.Delete(t.Context(), n, DeleteOptions{})))
	for i, o := range readers {
		var b bytes.Buffer
		if err := o.WriteSpan(&b, object.Span{Length: o.Info().Size}); err != nil || !bytes.Equal(b.Bytes(), whole) {
			t.Errorf("reader %d: %d bytes of %d: %v", i, b.Len(), len(whole), err)
		}
	}
	for _, o := range readers {
		o.Close()
	}
	if left := leftFiles(t, s); left != 0 {
		t.Errorf("%d files are left", left)
	}
}

// TestMoveOfLargeBlocks: blobs whose blocks are larger than what is copied at once move, too.
func TestMoveOfLargeBlocks(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a"}, NodeID: "n", BlockSize: 1 << 20})
	data := random(5 << 19)
	for i := range 8 {
		put(t, s, fmt.Sprint(i), data)
	}
	must(t, second(attach(t, s, "/b")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, resilver(ctx, s))
	allHome(t, s, 1)
	for i := range 8 {
		if !bytes.Equal(get(t, s, b1(fmt.Sprint(i))), data) {
			t.Errorf("%d is wrong", i)
		}
	}
}

// losses are what a loss of power at each sync leaves, while it is on.
type losses struct {
	on     atomic.Bool
	mu     sync.Mutex
	states []*fs.Mem
}

func (l *losses) watch(mem *fs.Mem) {
	mem.OnSync = func(string) {
		if !l.on.Load() {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.states = append(l.states, mem.Crash(nil))
	}
}
