package store

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// fillDisk has foreign files take whatever is free.
func fillDisk(t *testing.T, mem *fs.Mem) (empty func()) {
	t.Helper()
	must(t, mem.MkdirAll("/foreign"))
	r, err := mem.OpenRoot("/foreign")
	must(t, err)
	f, err := r.OpenFile("filler", os.O_RDWR|os.O_CREATE)
	must(t, err)
	c, err := r.Statfs()
	must(t, err)
	must(t, f.Truncate(c.Free))
	must(t, errors.Join(f.Sync(), f.Close(), r.SyncDir(".")))
	if c, err := r.Statfs(); err != nil || c.Free != 0 {
		t.Fatalf("%d bytes are free (%v)", c.Free, err)
	}
	return func() { must(t, errors.Join(r.Remove("filler"), r.SyncDir("."), r.Close())) }
}

// TestFullAtStart: a node that was killed starts on disks without one free byte, by the room of their reserve. Reads and deletes go on, and
// there is a reserve again when there is room.
func TestFullAtStart(t *testing.T) {
	mem := fs.NewMem()
	mem.SetTotal(64 << 20)
	cfg := Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "n", Boot: "1"}
	s, err := Open(t.Context(), cfg)
	must(t, err)
	must(t, s.AcceptStart())
	for i := range 200 {
		put(t, s, fmt.Sprint(i), random(4000+i%2*200_000))
	}
	_ = fillDisk(t, mem)
	mem = mem.Crash(nil)
	cfg.FS, cfg.Boot = mem, "2"
	s, err = Open(t.Context(), cfg)
	must(t, err)
	must(t, s.AcceptStart())
	for _, m := range s.Mountpaths() {
		if m.State != fs.Enabled {
			t.Fatalf("%s: %s", m.Path, m.Reason)
		}
	}
	for i := range 200 {
		if n := b1(fmt.Sprint(i)); i%4 == 0 {
			_, err := s.Delete(t.Context(), n, DeleteOptions{})
			must(t, err)
		} else {
			get(t, s, n)
		}
	}
	if _, err := s.Put(t.Context(), b1("more"), random(4000), PutOptions{}); !errs.Is(err, errs.Full) {
		t.Errorf("a write to a full disk: %v", err)
	}
	r, err := mem.OpenRoot("/foreign")
	must(t, err)
	must(t, errors.Join(r.Remove("filler"), r.Close()))
	for _, v := range s.volumes() {
		v.space.keepReserve()
		if _, err := v.mp.Stat(fs.ReserveName); err != nil {
			t.Errorf("%s has no reserve: %v", v.mp.Path(), err)
		}
	}
	must(t, s.Close())
}
