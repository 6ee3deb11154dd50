package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"aistore/errs"
	"aistore/fs"
	"aistore/store/format"
)

// hanging is a disk whose changes wait while it hangs.
type hanging struct {
	fs.Faulty
	mu   sync.Mutex
	open chan struct{} // closed when it answers; nil = it does not hang
	then atomic.Pointer[error]
}

func newHanging(sys fs.FS) *hanging {
	h := &hanging{Faulty: fs.Faulty{FS: sys}}
	h.Check = func(op fs.Op, _ string) error {
		h.mu.Lock()
		open := h.open
		h.mu.Unlock()
		if open == nil || op == fs.OpRead || op == fs.OpOpen {
			return nil
		}
		<-open
		if err := h.then.Load(); err != nil {
			return *err
		}
		return nil
	}
	return h
}

func (h *hanging) hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = make(chan struct{})
}

// answer lets all calls go on; those that wait end with err.
func (h *hanging) answer(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.then.Store(nil); err != nil {
		h.then.Store(&err)
	}
	close(h.open)
	h.open = nil
}

// TestComesBack: a disk that is given up since it does not answer is taken back by itself when it does, with all it had, unless it
// tells of an error; also the only one of a node.
func TestComesBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		paths []string
		then  error
		want  bool
	}{
		{"one of two", []string{"/a", "/b"}, nil, true},
		{"the only one", []string{"/a"}, nil, true},
		{"one of two, with an error", []string{"/a", "/b"}, syscall.EIO, false},
		{"the only one, with an error", []string{"/a"}, syscall.EIO, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testComesBack(t, c.paths, c.then, c.want)
		})
	}
}

func testComesBack(t *testing.T, paths []string, then error, want bool) {
	mem := fs.NewMem()
	bad := newHanging(mem)
	cfg := crashConfig(eachDisk{mem, map[string]fs.FS{"/a": bad}}, paths)
	cfg.Boot, cfg.CloseWithin = "boot", closeSoon
	s, err := Open(t.Context(), cfg)
	must(t, err)
	s.SetHealth(Health{Every: 5 * time.Millisecond, GiveUp: soon})
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { must(t, s.Run(ctx)) })
	state := func() fs.Info {
		for _, i := range s.Mountpaths() {
			if i.Path == "/a" {
				return i
			}
		}
		return fs.Info{}
	}
	contents := map[string][]byte{}
	write := func(what string, n int) (refused int) {
		for i := range n {
			key, data := fmt.Sprintf("%s%d", what, i), random(10+3000*(i%10))
			if _, err := s.Put(t.Context(), b1(key), data, PutOptions{Size: -1}); err == nil {
				contents[key] = data
			} else if refused++; !errs.Is(err, errs.Mountpath) {
				t.Error(err)
			}
		}
		return refused
	}
	for turn := range 2 {
		write(fmt.Sprintf("before%d-", turn), 40)
		bad.hang()
		await(t, "given up", func() bool { return state().State == fs.Disabled })
		await(t, "out", func() bool { return len(paths) == 1 || state().Standing == fs.Failed })
		if n := write(fmt.Sprintf("meanwhile%d-", turn), 20); n > 0 && len(paths) > 1 {
			t.Errorf("%d writes are refused while another disk takes them", n)
		}
		bad.answer(then)
		if !want {
			break
		}
		await(t, "back", func() bool { i := state(); return i.State == fs.Enabled && i.Standing == "" })
	}
	if !want {
		await(t, "all have answered", func() bool { m, _ := s.now().set.Find("/a"); return m.Returned(ctx, 0) })
		m, _ := s.now().set.Find("/a")
		for range 20 { // looks
			s.takeBack(ctx)
		}
		if m.Err() == nil || fs.GivenUp(m) {
			t.Errorf("a disk that tells of an error is taken back: %+v", state())
		}
		must(t, second(s.Enable(ctx, "/a"))) // who says so is believed
	}
	for key, data := range contents {
		if string(get(t, s, b1(key))) != string(data) {
			t.Errorf("%s is not what was written", key)
		}
	}
	cancel()
	run.Wait()
	must(t, s.Close())
}

// TestHangsWhenSealed: a disk that hangs in what the store does for it after a look is given up like any other.
func TestHangsWhenSealed(t *testing.T) {
	t.Parallel()
	mem := fs.NewMem()
	bad := newHanging(mem)
	var armed atomic.Bool
	waits := bad.Check
	bad.Check = func(op fs.Op, name string) error {
		if strings.HasSuffix(name, ".log") && armed.CompareAndSwap(true, false) {
			bad.hang()
		}
		return waits(op, name)
	}
	cfg := crashConfig(bad, []string{"/a"})
	cfg.CloseWithin = closeSoon
	s := testStore(t, cfg)
	put(t, s, "k", []byte("not sealed"))
	armed.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	s.SetHealth(Health{Every: 5 * time.Millisecond, GiveUp: soon})
	var run sync.WaitGroup
	run.Go(func() { must(t, s.Run(ctx)) })
	await(t, "given up", func() bool { return s.Mountpaths()[0].State == fs.Disabled })
	bad.answer(nil)
	cancel()
	run.Wait()
}

// TestTrial: a disk must answer as long as it would have taken to give it up, twice as long each time, and a look that takes long or
// has no answer begins anew.
func TestTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c comebacks
		look := func(m *fs.Mountpath, answers bool, takes time.Duration) bool {
			d, began := c.begin(m), time.Now()
			time.Sleep(takes)
			return c.end(d, began, answers, 10*time.Second)
		}
		needed := func(m *fs.Mountpath) time.Duration {
			began := time.Now()
			for !look(m, true, 0) {
				time.Sleep(5 * time.Second)
			}
			return time.Since(began)
		}
		m := &fs.Mountpath{}
		look(m, true, 0)
		time.Sleep(8 * time.Second)
		if look(m, false, 0) || look(m, true, probeWait+time.Second) {
			t.Error("a disk that does not answer at once is taken back")
		}
		for _, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
			if got := needed(m); got != want {
				t.Errorf("taken back after %v, not %v", got, want)
			}
			m = &fs.Mountpath{} // given up once more
		}
		if d := c.begin(m); d == nil || c.begin(m) != nil {
			t.Error("two look at one disk")
		}
	})
}

// TestHangsWhenTidied: a disk that hangs in what is tidied there is given up like any other, and the others are looked after meanwhile.
func TestHangsWhenTidied(t *testing.T) {
	t.Parallel()
	mem := fs.NewMem()
	bad := newHanging(mem)
	var armed atomic.Bool
	waits := bad.Check
	bad.Check = func(op fs.Op, name string) error {
		if op == fs.OpRemove && strings.HasPrefix(name, "blobs/") && armed.CompareAndSwap(true, false) {
			bad.hang()
		}
		return waits(op, name)
	}
	cfg := crashConfig(eachDisk{mem, map[string]fs.FS{"/a": bad}}, []string{"/a", "/b"})
	cfg.CloseWithin = closeSoon
	s := testStore(t, cfg)
	root, err := mem.OpenRoot("/a")
	must(t, err)
	stray := format.BlobID{1}.Path() // of a writer that a crash interrupted
	if err := root.Mkdir(filepath.Dir(stray)); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	f, err := root.OpenFile(stray, os.O_RDWR|os.O_CREATE)
	must(t, err)
	must(t, f.Close())
	armed.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	s.SetHealth(Health{Every: 5 * time.Millisecond, GiveUp: soon})
	var run sync.WaitGroup
	run.Go(func() { must(t, s.Run(ctx)) })
	await(t, "given up", func() bool { m, _ := s.now().set.Find("/a"); return m.Err() != nil })
	await(t, "out of service", func() bool { m, _ := s.now().set.Find("/a"); _, out := s.out(m); return out })
	bad.answer(nil)
	cancel()
	run.Wait()
}

// TestEnableWhatHangsInReads: a disk that hangs in reads is not waited for by who changes mountpaths.
func TestEnableWhatHangsInReads(t *testing.T) {
	t.Parallel()
	mem := fs.NewMem()
	answers := make(chan struct{})
	var armed atomic.Bool
	bad := &fs.Faulty{FS: mem, Check: func(op fs.Op, name string) error {
		if op == fs.OpRead && name == fs.MarkerName && armed.Load() {
			<-answers
		}
		return nil
	}}
	cfg := crashConfig(eachDisk{mem, map[string]fs.FS{"/a": bad}}, []string{"/a", "/b"})
	cfg.CloseWithin = closeSoon
	s := testStore(t, cfg)
	armed.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	s.SetHealth(Health{Every: 5 * time.Millisecond, GiveUp: soon})
	var run sync.WaitGroup
	run.Go(func() { must(t, s.Run(ctx)) })
	await(t, "out of service", func() bool { m, _ := s.now().set.Find("/a"); _, out := s.out(m); return out })
	done := make(chan error, 1)
	go func() { done <- second(s.Enable(ctx, "/a")) }()
	select {
	case err := <-done:
		if !errs.Is(err, errs.Conflict) {
			t.Errorf("enabled: %v", err)
		}
	case <-time.After(patience):
		t.Error("enable waits for the disk")
	}
	armed.Store(false)
	close(answers)
	await(t, "back", func() bool { m, _ := s.now().set.Find("/a"); _, out := s.out(m); return m.Err() == nil && !out })
	cancel()
	run.Wait()
}

// TestTwoHang: a disk that begins to hang while another, which was given up, is taken out of service is given up as well.
func TestTwoHang(t *testing.T) {
	t.Parallel()
	mem := fs.NewMem()
	a, b := newHanging(mem), newHanging(mem)
	var armed atomic.Bool
	waits := b.Check
	b.Check = func(op fs.Op, name string) error {
		if op == fs.OpCreate && strings.HasPrefix(name, fs.SetName) && armed.CompareAndSwap(true, false) {
			b.hang() // when the record is written that has a out of service
		}
		return waits(op, name)
	}
	cfg := crashConfig(eachDisk{mem, map[string]fs.FS{"/a": a, "/b": b}}, []string{"/a", "/b", "/c"})
	cfg.CloseWithin = closeSoon
	s := testStore(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	s.SetHealth(Health{Every: 5 * time.Millisecond, GiveUp: soon})
	var run sync.WaitGroup
	run.Go(func() { must(t, s.Run(ctx)) })
	armed.Store(true)
	a.hang()
	await(t, "both are out of service", func() bool { return len(usablePaths(s)) == 1 && s.inService() == 1 }) // until then a write of theirs is refused
	for i := range 20 {
		put(t, s, fmt.Sprint(i), []byte("x"))
	}
	a.answer(nil)
	b.answer(nil)
	await(t, "both are back", func() bool { return len(usablePaths(s)) == 3 })
	cancel()
	run.Wait()
}

// TestAllHang: when all disks of a node hang, as those of a machine whose storage stands still, and answer again, all come back by themselves; with errors, whoever
// enables them is obeyed.
func TestAllHang(t *testing.T) {
	for _, then := range []error{nil, syscall.EIO} {
		t.Run(fmt.Sprint(then), func(t *testing.T) {
			t.Parallel()
			mem := fs.NewMem()
			bad := newHanging(mem)
			cfg := crashConfig(bad, []string{"/a", "/b", "/c"})
			cfg.Boot, cfg.CloseWithin = "boot", closeSoon
			s := testStore(t, cfg)
			must(t, s.AcceptStart())
			ctx, cancel := context.WithCancel(t.Context())
			s.SetHealth(Health{Every: 5 * time.Millisecond, GiveUp: soon})
			var run sync.WaitGroup
			run.Go(func() { must(t, s.Run(ctx)) })
			for i := range 30 {
				put(t, s, fmt.Sprint(i), []byte("x"))
			}
			bad.hang()
			await(t, "given up", func() bool {
				for _, i := range s.Mountpaths() {
					if i.State != fs.Disabled {
						return false
					}
				}
				return true
			})
			bad.answer(then)
			if then != nil {
				for _, path := range cfg.Mountpaths {
					await(t, "enabled", func() bool { err := second(s.Enable(ctx, path)); return err == nil || errs.Is(err, errs.Exists) })
				}
			}
			await(t, "all are back", func() bool { return len(usablePaths(s)) == 3 })
			for i := range 30 {
				if got := string(get(t, s, b1(fmt.Sprint(i)))); got != "x" {
					t.Errorf("%d is %q", i, got)
				}
			}
			cancel()
			run.Wait()
		})
	}
}
