package fs

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aistore/errs"
)

// TestHungCalls: who changes something on a disk that hangs is let go when the mountpath fails, which knows until when the disk may
// still be changed by it; the file that a call has made meanwhile is closed by it.
func TestHungCalls(t *testing.T) {
	var hangs atomic.Bool
	answers := make(chan struct{})
	called := make(chan Op)
	sys := &Faulty{FS: NewMem(), Check: func(op Op, _ string) error {
		if hangs.Load() {
			called <- op
			<-answers
		}
		return nil
	}}
	m := bare(t, sys, "/mp")
	f, err := m.OpenFile("f", os.O_RDWR|os.O_CREATE)
	must(t, err)
	hangs.Store(true)
	calls := map[Op]func() error{
		OpWrite:  func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		OpSync:   f.Sync,
		OpDir:    func() error { return m.SyncDir(".") },
		OpCreate: func() error { _, err := m.OpenFile("g", os.O_RDWR|os.O_CREATE); return err },
		OpRemove: func() error { return m.Remove("f") },
		OpRename: func() error { return m.Rename("f", "h") },
	}
	ends := make(chan error)
	for op, call := range calls {
		go func() { ends <- call() }()
		if got := <-called; got != op {
			t.Errorf("%s came to the disk, not %s", got, op)
		}
	}
	m.Fail(errors.New("hangs"))
	for range calls {
		if err := <-ends; !errs.Is(err, errs.Mountpath) {
			t.Errorf("a call that was let go: %v", err)
		}
	}
	if m.Returned(t.Context(), time.Millisecond) {
		t.Error("calls that hang have returned")
	}
	close(answers)
	if !m.Returned(t.Context(), time.Minute) {
		t.Error("calls have not returned")
	}
	must(t, f.Close())
}

// TestChangeBesideHung: while one disk hangs the others come and go: the record's writer waits for that disk until it is given up, no longer.
func TestChangeBesideHung(t *testing.T) {
	mem := NewMem()
	var hangs atomic.Bool
	answers := make(chan struct{})
	called := make(chan struct{}, 100)
	slow := &Faulty{FS: mem, Check: func(op Op, _ string) error {
		if hangs.Load() && op != OpOpen && op != OpRead {
			called <- struct{}{}
			<-answers
		}
		return nil
	}}
	for _, what := range []string{"leave", "join"} {
		sys := onePath{FS: mem, path: "/" + what + "-b", sys: slow}
		paths := []string{"/" + what + "-a", sys.path, "/" + what + "-c"}
		for _, p := range append(paths, "/"+what+"-d") {
			must(t, mem.MkdirAll(p))
		}
		s, err := OpenSet(SetConfig{FS: sys, Paths: paths, NodeID: "n", Boot: "1"})
		must(t, err)
		s, err = s.Accept()
		must(t, err)
		hung, _ := s.Find(sys.path)
		other, _ := s.Find(paths[2])
		var change func() (*Set, error)
		if what == "leave" {
			change = func() (*Set, error) { return s.Leave(other, SetAside, "test", 0, 0) }
		} else {
			m, err := s.OpenNew("/join-d", MayBeNew)
			must(t, err)
			change = func() (*Set, error) { return s.Join(m) }
		}
		hangs.Store(true)
		type result struct {
			s   *Set
			err error
		}
		done := make(chan result, 1)
		go func() { n, err := change(); done <- result{n, err} }()
		<-called
		GiveUp(hung, time.Second)
		select {
		case r := <-done:
			must(t, r.err)
			for _, m := range r.s.All() {
				var rec setRecord
				if m != hung && (readDoc(m, SetName, &rec) != nil || rec.Version != r.s.rec.Version) {
					t.Errorf("%s: %s has version %d of the record, not %d", what, m.Path(), rec.Version, r.s.rec.Version)
				}
			}
		case <-time.After(time.Minute):
			t.Errorf("%s: waits for a disk that was given up", what)
		}
		hangs.Store(false)
		close(answers)
		if !hung.Returned(t.Context(), time.Minute) {
			t.Error("calls have not returned")
		}
		answers = make(chan struct{})
	}
}

// onePath gives the directory at path a system of its own.
type onePath struct {
	FS
	path string
	sys  FS
}

func (o onePath) OpenRoot(path string) (Root, error) {
	if path == o.path {
		return o.sys.OpenRoot(path)
	}
	return o.FS.OpenRoot(path)
}

// lockHangs is a system whose locks hang.
type lockHangs struct {
	FS
	answers chan struct{}
}

func (s lockHangs) OpenRoot(path string) (Root, error) {
	r, err := s.FS.OpenRoot(path)
	return lockRoot{r, s.answers}, err
}

type lockRoot struct {
	Root
	answers chan struct{}
}

func (r lockRoot) Lock(name string) (io.Closer, error) {
	<-r.answers
	return r.Root.Lock(name)
}

// TestHangsWhenOpened: a node starts although one of its disks hangs, without that; it lets go of what it gets there late, and takes the disk back when it answers.
func TestHangsWhenOpened(t *testing.T) {
	for _, what := range []string{"lock", "document"} {
		synctest.Test(t, func(t *testing.T) {
			mem := NewMem()
			cfg := SetConfig{FS: mem, Paths: []string{"/a", "/b"}, NodeID: "n", Boot: "1"}
			s, err := OpenSet(cfg)
			must(t, err)
			s, err = s.Accept()
			must(t, err)
			must(t, s.Close())
			answers := make(chan struct{})
			var slow FS = lockHangs{mem, answers}
			if what == "document" {
				slow = &Faulty{FS: mem, Check: func(op Op, _ string) error {
					if op != OpOpen && op != OpRead {
						<-answers
					}
					return nil
				}}
			}
			cfg.FS, cfg.Boot, cfg.Existing = onePath{FS: mem, path: "/b", sys: slow}, "2", true
			s, err = OpenSet(cfg)
			must(t, err)
			if got := state(s); !slices.Equal(got, []string{"/a used", "/b failed"}) {
				t.Errorf("%s: %v", what, got)
			}
			s, old, err := s.Judge("1")
			if err != nil || len(old) > 0 {
				t.Fatal(old, err)
			}
			s, err = s.Accept()
			must(t, err)
			b, _ := s.Find("/b")
			if !GivenUp(b) || b.Returned(t.Context(), time.Second) {
				t.Errorf("%s: %v", what, b.Err())
			}
			close(answers)
			if !b.Returned(t.Context(), time.Minute) {
				t.Errorf("%s: calls have not returned", what)
			}
			must(t, Answers(b))
			must(t, b.Close())
			m, err := s.OpenNew("/b", KnownOnly)
			must(t, err)
			s, err = s.Join(m)
			must(t, err)
			if got := state(s); !slices.Equal(got, []string{"/a used", "/b used"}) {
				t.Errorf("%s: %v", what, got)
			}
			must(t, s.Close())
		})
	}
}
