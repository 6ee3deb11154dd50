package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// fillDisk has foreign files take all but so many bytes of what is free.
func fillDisk(t *testing.T, mem *fs.Mem, left int64) (empty func()) {
	t.Helper()
	must(t, mem.MkdirAll("/foreign"))
	r, err := mem.OpenRoot("/foreign")
	must(t, err)
	f, err := r.OpenFile("filler", os.O_RDWR|os.O_CREATE)
	must(t, err)
	c, err := r.Statfs()
	must(t, err)
	must(t, f.Truncate(c.Free-left))
	must(t, errors.Join(f.Sync(), f.Close(), r.SyncDir(".")))
	if c, err := r.Statfs(); err != nil || max(c.Free-left, left-c.Free) > 4096 { // the store notes a few bytes now and then
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
	_ = fillDisk(t, mem, 0)
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

// TestFullAtStartWithoutReserve: where even the reserve is used up, so that what the log has cannot be written into tables, the mountpath is
// left out at the start, which ends, and serves all it had once there is room.
func TestFullAtStartWithoutReserve(t *testing.T) {
	mem := fs.NewMem()
	mem.SetTotal(64 << 20)
	cfg := Config{FS: mem, Mountpaths: []string{"/a"}, NodeID: "n", Boot: "1"}
	s, err := Open(t.Context(), cfg)
	must(t, err)
	must(t, s.AcceptStart())
	for i := range 100 {
		put(t, s, fmt.Sprint(i), random(4000))
	}
	must(t, s.volumes()[0].mp.Remove(fs.ReserveName))
	_ = fillDisk(t, mem, 64<<10)
	mem = mem.Crash(nil)
	cfg.FS, cfg.Boot = mem, "2"
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "make room for the index") {
		t.Fatalf("a start on a disk without room: %v", err)
	}
	r, err := mem.OpenRoot("/foreign")
	must(t, err)
	must(t, errors.Join(r.Remove("filler"), r.Close()))
	cfg.Boot = "3"
	s, err = Open(t.Context(), cfg)
	must(t, err)
	must(t, s.AcceptStart())
	for i := range 100 {
		get(t, s, b1(fmt.Sprint(i)))
	}
	must(t, s.Close())
}
