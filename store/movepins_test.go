package store

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"aistore/cluster"
	"aistore/fs"
)

// TestReadWhileItGoesAndComes: a blob that is being read when its name goes to another mountpath, and is back before the reader ends,
// is not removed with the reader.
func TestReadWhileItGoesAndComes(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a"}, NodeID: "n", InlineMax: 1000})
	data := random(5000)
	var readers []*Export
	for i := range 20 {
		put(t, s, fmt.Sprint(i), data)
		e, err := s.ExportKey(b1(fmt.Sprint(i)))
		must(t, err)
		readers = append(readers, e)
	}
	_, err := attach(t, s, "/b")
	must(t, err)
	settleStore(t, s)
	went := 0
	for i := range 20 {
		if where(t, s, b1(fmt.Sprint(i)))[0] == "/b" {
			went++
		}
	}
	if went == 0 || went == 20 {
		t.Fatalf("%d of 20 names went", went)
	}
	must(t, s.Detach(t.Context(), "/b", false))
	settleStore(t, s)
	for _, e := range readers {
		e.Close()
	}
	for i := range 20 {
		if got := get(t, s, b1(fmt.Sprint(i))); !bytes.Equal(got, data) {
			t.Errorf("%d: %d bytes", i, len(got))
		}
	}
}

// TestClaimedBlobStays: a blob that a mover is about to refer to is not removed with the last record that did.
func TestClaimedBlobStays(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a"}, NodeID: "n", InlineMax: 1000})
	v := s.volumes()[0]
	for _, unlink := range []func(f *found){
		func(f *found) { f.unlinkBlobs() },
		func(f *found) { v.unlinkUnreferenced(f.Parts[0].Blob) },
	} {
		put(t, s, "k", random(5000))
		var f found
		ok, err := v.read(&f, b1("k"))
		must(t, err)
		id := f.Parts[0].Blob
		if !ok {
			t.Fatal("not there")
		}
		v.claims.take(id)
		must(t, f.remove(b1("k"), cluster.Local, nil))
		unlink(&f)
		if _, err := v.mp.Stat(id.Path()); err != nil {
			t.Errorf("claimed: %v", err)
		}
		v.claims.give(id)
		unlink(&f)
		if _, err := v.mp.Stat(id.Path()); err == nil {
			t.Error("not removed although nobody claims it any more")
		}
		f.close()
	}
}

// TestSharedBlobIsCopiedOnce: while one name may refer to a blob that has come already, another that shares it does not replace it by a
// copy that is not durable yet.
func TestSharedBlobIsCopiedOnce(t *testing.T) {
	mem := fs.NewMem()
	var syncs atomic.Int64
	mem.OnSync = func(string) { syncs.Add(1) }
	s := testStore(t, Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "n", InlineMax: 1000})
	put(t, s, "k", random(5000))
	from, err := s.home(b1("k"))
	must(t, err)
	to := s.volumes()[0]
	if to == from {
		to = s.volumes()[1]
	}
	var f found
	_, err = from.read(&f, b1("k"))
	must(t, err)
	defer f.close()
	content := f.Parts[0]
	m := mover{s: &moves{s}, n: b1("k"), from: from}
	for turn, want := range []bool{true, false} {
		before := syncs.Load()
		c := to.claims.take(content.Blob)
		defer to.claims.give(content.Blob)
		must(t, m.copyBlob(t.Context(), to, c, &content))
		if copied := syncs.Load() > before; copied != want {
			t.Errorf("turn %d: copied %v, want %v", turn, copied, want)
		}
	}
}
