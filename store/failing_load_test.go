package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aistore/errs"
	"aistore/fs"
	"aistore/store/indexfs"
)

// eachDisk gives each mountpath a system of its own.
type eachDisk struct {
	fs.FS
	of map[string]fs.FS
}

func (e eachDisk) OpenRoot(path string) (fs.Root, error) {
	if sys := e.of[path]; sys != nil {
		return sys.OpenRoot(path)
	}
	return e.FS.OpenRoot(path)
}

// patience is how long a test waits for what must not hang.
const patience = time.Minute

// Times of tests in which a disk hangs: short for who waits for it, and long beside what one that answers may need on a busy machine.
const (
	soon      = 500 * time.Millisecond // until it is given up
	closeSoon = 5 * time.Second        // until it is left alone
)

// loadConfig has most content in the index, so that memtables fill.
func loadConfig(sys fs.FS, paths []string) Config {
	cfg := crashConfig(sys, paths)
	cfg.InlineMax = 16 << 10
	return cfg
}

// writers put small and larger objects on all mountpaths until stopped, or the store closes.
type writers struct {
	s       *Store
	wg      sync.WaitGroup
	stop    atomic.Bool
	outcome [2]struct{ ok, mountpath, full atomic.Int64 } // by the mountpath of the name
	other   atomic.Pointer[error]
}

func startWriters(ctx context.Context, s *Store, n int) *writers {
	w := &writers{s: s}
	for i := range n {
		w.wg.Go(func() {
			for k := 0; !w.stop.Load(); k++ {
				name := b1(fmt.Sprintf("w%d-%d", i, k%200))
				size := 8000
				if k%16 == 0 {
					size = 50_000
				}
				var err error
				switch k % 9 {
				case 7:
					_, err = s.Stat(name)
				case 8:
					_, err = s.Delete(ctx, name, DeleteOptions{})
				default:
					_, err = s.Put(ctx, name, random(size), PutOptions{})
				}
				o := &w.outcome[s.now().set.Home(name.Key)]
				switch {
				case err == nil || errs.Is(err, errs.NotFound):
					o.ok.Add(1)
				case errs.Is(err, errs.Mountpath):
					o.mountpath.Add(1)
				case errs.Is(err, errs.Full):
					o.full.Add(1)
				case errs.Is(err, errs.Unavailable): // the store is closing
					return
				default:
					w.other.Store(&err)
				}
			}
		})
	}
	return w
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// closes closes s, which must not hang.
func closes(t *testing.T, s *Store) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Close() }() // a failed disk may be reported
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("Close hangs")
	}
}

// TestFailingUnderLoad: a disk fails while many write, its index stalls, flushes and compacts. Its names are kind Mountpath at
// once, for all who write and wait as well; the other disk goes on; and the store closes while they still try.
func TestFailingUnderLoad(t *testing.T) {
	in := func(op fs.Op, suffix string) func(fs.Op, string) bool {
		return func(o fs.Op, n string) bool { return o == op && strings.HasSuffix(n, suffix) }
	}
	for _, c := range []struct {
		name  string
		errno syscall.Errno
		match func(fs.Op, string) bool
	}{
		{"log sync, full", syscall.ENOSPC, in(fs.OpSync, ".log")},
		{"log write, full", syscall.ENOSPC, in(fs.OpWrite, ".log")},
		{"log create, full", syscall.ENOSPC, func(o fs.Op, n string) bool {
			return (o == fs.OpCreate || o == fs.OpRename) && strings.HasSuffix(n, ".log")
		}},
		{"table sync, full", syscall.ENOSPC, in(fs.OpSync, ".sst")},
		{"value file sync, full", syscall.ENOSPC, in(fs.OpSync, ".blob")},
		{"value file write", syscall.EIO, in(fs.OpWrite, ".blob")},
		{"value file finish", syscall.EIO, func(o fs.Op, n string) bool {
			return strings.HasSuffix(n, ".blob") && indexfs.CalledBy("(*fileBufferedWritable).Finish")
		}},
		{"table write", syscall.EIO, in(fs.OpWrite, ".sst")},
		{"manifest sync, full", syscall.EDQUOT, func(o fs.Op, n string) bool { return o == fs.OpSync && strings.Contains(n, "MANIFEST") }},
		{"blob sync, full", syscall.ENOSPC, func(o fs.Op, n string) bool { return o == fs.OpSync && strings.HasPrefix(n, "work/") }},
		{"blob directory sync, full", syscall.ENOSPC, func(o fs.Op, n string) bool { return o == fs.OpDir && strings.HasPrefix(n, "blobs/") }},
		{"everything", syscall.EIO, func(fs.Op, string) bool { return true }},
	} {
		for _, stalled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stalled=%v", c.name, stalled), func(t *testing.T) { testFailingUnderLoad(t, c.errno, c.match, stalled) })
		}
	}
}

func testFailingUnderLoad(t *testing.T, errno syscall.Errno, match func(fs.Op, string) bool, stalled bool) {
	mem := fs.NewMem()
	mem.SetTotal(256 << 20) // memtables of 4 MiB
	var on atomic.Bool
	slow := make(chan struct{}) // open while tables cannot be written
	if !stalled {
		close(slow)
	}
	bad := &fs.Faulty{FS: mem, Check: func(op fs.Op, name string) error {
		if op == fs.OpWrite && strings.HasSuffix(name, ".sst") {
			<-slow
		}
		if on.Load() && match(op, name) {
			return errno
		}
		return nil
	}}
	s, err := Open(t.Context(), loadConfig(eachDisk{mem, map[string]fs.FS{"/a": bad}}, []string{"/a", "/b"}))
	must(t, err)
	i := 0
	for ; s.volumes()[i].mp.Path() != "/a"; i++ {
	}
	w := startWriters(t.Context(), s, 16)
	before := func() bool { return w.outcome[i].ok.Load() > 500 && w.outcome[1-i].ok.Load() > 500 }
	if stalled {
		before = func() bool { return s.volumes()[i].brake.Stalls.Load() > 0 }
	}
	await(t, "load", before)
	on.Store(true)
	if stalled {
		close(slow)
	}
	await(t, "the mountpath fails", func() bool { return s.volumes()[i].err() != nil })
	oks := w.outcome[1-i].ok.Load()
	await(t, "its names are kind Mountpath, the others written", func() bool {
		return w.outcome[i].mountpath.Load() > 500 && w.outcome[1-i].ok.Load() > oks+500
	})
	oks = w.outcome[i].ok.Load()
	closes(t, s)
	w.wg.Wait()
	if n := w.outcome[i].ok.Load() - oks; n > 0 {
		t.Errorf("%d calls succeeded on a failed mountpath", n)
	}
	if err := w.other.Load(); err != nil {
		t.Error(*err)
	}
	must(t, s.volumes()[1-i].err())
}

// TestCloseUnderLoad: a store closes while it is written to, and finds all that was acknowledged afterwards.
func TestCloseUnderLoad(t *testing.T) {
	mem := fs.NewMem()
	cfg := loadConfig(mem, []string{"/a", "/b"})
	s, err := Open(t.Context(), cfg)
	must(t, err)
	w := startWriters(t.Context(), s, 8)
	await(t, "load", func() bool { return w.outcome[0].ok.Load() > 200 && w.outcome[1].ok.Load() > 200 })
	closes(t, s)
	w.wg.Wait()
	if err := w.other.Load(); err != nil {
		t.Error(*err)
	}
	if _, err := s.Open(b1("k")); !errs.Is(err, errs.Unavailable) {
		t.Errorf("after Close: %v", err)
	}
	s, err = Open(t.Context(), loadConfig(mem.Crash(nil), cfg.Mountpaths))
	must(t, err)
	closes(t, s)
}

// TestHungDisk: a sync that never returns holds up neither Close nor the other disk.
func TestHungDisk(t *testing.T) {
	mem := fs.NewMem()
	var on atomic.Bool
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	bad := &fs.Faulty{FS: mem, Check: func(op fs.Op, name string) error {
		if on.Load() && op == fs.OpSync {
			<-forever
			return syscall.EIO
		}
		return nil
	}}
	cfg := loadConfig(eachDisk{mem, map[string]fs.FS{"/a": bad}}, []string{"/a", "/b"})
	cfg.CloseWithin = 100 * time.Millisecond
	s, err := Open(t.Context(), cfg)
	must(t, err)
	i := 0
	for ; s.volumes()[i].mp.Path() != "/a"; i++ {
	}
	w := startWriters(t.Context(), s, 8)
	await(t, "load", func() bool { return w.outcome[0].ok.Load() > 200 && w.outcome[1].ok.Load() > 200 })
	on.Store(true)
	await(t, "a sync hangs", func() bool { return s.volumes()[i].durable.Load() > 0 })
	for k := 0; ; k++ {
		n := b1(fmt.Sprint("other", k))
		if l := s.locks.of(n); s.now().set.Home(n.Key) != i && l.mu.plain.TryLock() { // not the lock of a name that hangs
			l.mu.plain.Unlock()
			put(t, s, n.Key, random(1000))
			break
		}
	}
	closes(t, s)
}

// TestCloseBeforeEnd: the store closes while an object still comes in. Whoever sends it hears that the store is unavailable, as one who
// comes later does, and not how its directories ended.
func TestCloseBeforeEnd(t *testing.T) {
	for what, before := range map[string]int{"the first object": 0, "one of many": 1} {
		s := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{t.TempDir()}, InlineMax: 100})
		for i := range before {
			put(t, s, fmt.Sprint(i), random(1000))
		}
		data := random(300_000)
		body, rest := io.Pipe()
		wrote := make(chan error)
		go func() {
			_, err := s.PutStream(t.Context(), b1("k"), body, PutOptions{Epoch: 1, Size: -1})
			_ = body.CloseWithError(err)
			wrote <- err
		}()
		_, err := rest.Write(data[:200_000]) // a part of it has been written to a file
		must(t, err)
		must(t, s.Close())
		_, err = rest.Write(data[200_000:])
		_ = rest.CloseWithError(err)
		if err := <-wrote; !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestEnableOfHung: who enables a disk that hangs and leaves before it answers has changed nothing.
func TestEnableOfHung(t *testing.T) {
	mem := fs.NewMem()
	var on atomic.Bool
	called, answers := make(chan struct{}), make(chan struct{})
	bad := &fs.Faulty{FS: mem, Check: func(op fs.Op, _ string) error {
		if op == fs.OpSync && on.CompareAndSwap(true, false) {
			close(called)
			<-answers
		}
		return nil
	}}
	s := testStore(t, Config{FS: eachDisk{mem, map[string]fs.FS{"/a": bad}}, Mountpaths: []string{"/a", "/b"}, InlineMax: 100})
	n := b1("k")
	for i := 0; s.volumes()[s.now().set.Home(n.Key)].mp.Path() != "/a"; i++ {
		n = b1(fmt.Sprint("k", i))
	}
	on.Store(true)
	wrote := make(chan error)
	go func() {
		_, err := s.PutStream(t.Context(), n, bytes.NewReader(random(5000)), PutOptions{Epoch: 1, Size: -1})
		wrote <- err
	}()
	<-called
	must(t, s.Disable("/a"))
	if err := <-wrote; err == nil {
		t.Error("a write that hangs has succeeded")
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := s.Enable(ctx, "/a"); !errs.Is(err, errs.Canceled) {
		t.Errorf("who has left: %v", err)
	}
	s.cfg.CloseWithin = time.Millisecond
	if _, err := s.Enable(t.Context(), "/a"); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "stays out of service") {
		t.Errorf("it does not answer: %v", err)
	}
	s.cfg.CloseWithin = 20 * time.Second
	close(answers)
	if s.inService() != 1 {
		t.Error("it is back though nobody waits for it")
	}
	if _, err := s.Enable(t.Context(), "/a"); err != nil || s.inService() != 2 {
		t.Errorf("it answers: %v", err)
	}
}

// TestReallyFull: a small ext4 is filled under load to its last byte, by the store and by others. Writers hear Full or
// Mountpath, none hangs, and the store closes.
func TestReallyFull(t *testing.T) {
	dir := loopDisk(t, 128)
	s, err := Open(t.Context(), loadConfig(fs.OS{}, []string{dir + "/mp1"}))
	must(t, err)
	w := startWriters(t.Context(), s, 8)
	o := &w.outcome[0]
	await(t, "load", func() bool { return o.ok.Load() > 200 })
	f, err := os.Create(dir + "/others")
	must(t, err)
	for err == nil || !errors.Is(err, syscall.ENOSPC) { // the reserve as well, which the index is given
		_, err = f.Write(make([]byte, 64<<10))
	}
	for range 200 {
		_, _ = f.Write(make([]byte, 4<<10)) // what comes free meanwhile
	}
	await(t, "writers are told", func() bool { return o.full.Load()+o.mountpath.Load() > 200 })
	closes(t, s)
	w.wg.Wait()
	if err := w.other.Load(); err != nil {
		t.Error(*err)
	}
	must(t, f.Close())
	must(t, os.Remove(dir+"/others"))
	s, err = Open(t.Context(), loadConfig(fs.OS{}, []string{dir + "/mp1"}))
	must(t, err)
	must(t, s.volumes()[0].err())
	put(t, s, "again", random(10_000))
	must(t, s.Close())
}
