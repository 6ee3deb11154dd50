package fs

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"aistore/errs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// systems are those that must behave alike.
func forEachSystem(t *testing.T, f func(t *testing.T, sys FS, dir string)) {
	t.Run("OS", func(t *testing.T) { f(t, OS{}, t.TempDir()+"/a/b") })
	t.Run("Mem", func(t *testing.T) { f(t, NewMem(), "/a/b") })
	t.Run("Faulty", func(t *testing.T) { f(t, &Faulty{FS: NewMem(), Check: func(Op, string) error { return nil }}, "/a/b") })
}

func open(t testing.TB, sys FS, dir string) Root {
	t.Helper()
	must(t, sys.MkdirAll(dir))
	r, err := sys.OpenRoot(dir)
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return r
}

// bare is a mountpath of which nothing but the directory is there.
func bare(t testing.TB, sys FS, dir string) *Mountpath {
	t.Helper()
	m := newMountpath(dir, sys, slog.New(slog.DiscardHandler))
	m.root = open(t, sys, dir)
	return m
}

func write(t testing.TB, r Root, name, data string) {
	t.Helper()
	f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE)
	must(t, err)
	_, err = f.WriteAt([]byte(data), 0)
	must(t, errors.Join(err, f.Sync(), f.Close()))
}

func read(t testing.TB, r Root, name string) string {
	t.Helper()
	f, err := r.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return "(" + errs.KindOf(err).String() + ")"
	}
	b, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return string(b)
}

func TestConformance(t *testing.T) {
	forEachSystem(t, func(t *testing.T, sys FS, dir string) {
		if _, err := sys.OpenRoot(dir); !errs.Is(err, errs.NotFound) {
			t.Errorf("root that does not exist: %v", err)
		}
		r := open(t, sys, dir)
		must(t, sys.MkdirAll(dir)) // again
		must(t, r.Mkdir("d"))
		if err := r.Mkdir("d"); !errors.Is(err, os.ErrExist) {
			t.Errorf("mkdir twice: %v", err)
		}
		write(t, r, "d/f", "hello")
		if _, err := r.OpenFile("d/f", os.O_RDWR|os.O_CREATE|os.O_EXCL); !errors.Is(err, os.ErrExist) {
			t.Errorf("exclusive: %v", err)
		}
		if _, err := r.OpenFile("d/none", os.O_RDONLY); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("missing: %v", err)
		}
		if _, err := r.OpenFile("none/f", os.O_RDWR|os.O_CREATE); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("missing directory: %v", err)
		}
		if got := read(t, r, "d/f"); got != "hello" {
			t.Errorf("%q", got)
		}
		must(t, r.Link("d/f", "g"))
		if err := r.Link("d/f", "g"); !errors.Is(err, os.ErrExist) {
			t.Errorf("link over a file: %v", err)
		}
		must(t, r.Rename("d/f", "d/h"))
		if got := read(t, r, "d/f") + read(t, r, "d/h") + read(t, r, "g"); got != "(not-found)hellohello" {
			t.Errorf("%q", got)
		}
		write(t, r, "x", "old")
		must(t, r.Rename("d/h", "x"))
		if got := read(t, r, "x"); got != "hello" {
			t.Errorf("renamed over: %q", got)
		}
		names, err := r.ReadDir(".")
		slices.Sort(names)
		if err != nil || !slices.Equal(names, []string{"d", "g", "x"}) {
			t.Errorf("%q %v", names, err)
		}
		if fi, err := r.Stat("d"); err != nil || !fi.IsDir() {
			t.Errorf("stat of a directory: %v", err)
		}
		if fi, err := r.Stat("x"); err != nil || fi.IsDir() || fi.Size() != 5 {
			t.Errorf("stat of a file: %v", err)
		}
		must(t, r.Remove("g"))
		must(t, r.Remove("d"))
		if err := r.Remove("d"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("removed twice: %v", err)
		}
		must(t, r.Mkdir("full"))
		write(t, r, "full/f", "")
		if err := r.Remove("full"); err == nil {
			t.Error("a directory with a file was removed")
		}
		must(t, errors.Join(r.SyncDir("."), r.SyncDir("full")))
		if c, err := r.Statfs(); err != nil || c.Total <= 0 || c.Free > c.Total {
			t.Errorf("%+v %v", c, err)
		}
		if same, err := r.Same(); err != nil || !same {
			t.Errorf("same: %v %v", same, err)
		}
		files(t, r)
		locks(t, sys, r, dir)
	})
}

func files(t *testing.T, r Root) {
	t.Helper()
	f, err := r.OpenFile("file", os.O_RDWR|os.O_CREATE)
	must(t, err)
	for _, s := range []string{"one", "two"} {
		_, err := f.Write([]byte(s))
		must(t, err)
	}
	_, err = f.WriteAt([]byte("!"), 8)
	must(t, err)
	must(t, f.Allocate(0, 100))
	b := make([]byte, 20)
	if n, err := f.ReadAt(b, 0); n != 9 || !errors.Is(err, io.EOF) || string(b[:n]) != "onetwo\x00\x00!" {
		t.Errorf("%q %v", b[:n], err)
	}
	if n, err := f.ReadAt(b[:3], 3); n != 3 || err != nil || string(b[:3]) != "two" {
		t.Errorf("%q %v", b[:3], err)
	}
	if p, ok := f.(Piper); ok {
		r, w, err := os.Pipe()
		must(t, err)
		must(t, p.PipeTo(w.Fd(), 3, 3))
		if _, err := io.ReadFull(r, b[:3]); err != nil || string(b[:3]) != "two" {
			t.Errorf("%q %v", b[:3], err)
		}
		if err := p.PipeTo(w.Fd(), 3, 100); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("more than there is: %v", err)
		}
		must(t, errors.Join(r.Close(), w.Close()))
	}
	must(t, f.Truncate(4))
	if got := read(t, r, "file"); got != "onet" {
		t.Errorf("%q", got)
	}
	g, err := r.OpenFile("file", os.O_RDWR|os.O_TRUNC)
	must(t, err)
	must(t, errors.Join(g.Close(), r.Remove("file")))
	if _, err := f.WriteAt([]byte("still open"), 0); err != nil {
		t.Errorf("write to a removed file: %v", err)
	}
	if n, err := f.ReadAt(b[:5], 0); n != 5 || err != nil || string(b[:5]) != "still" {
		t.Errorf("read of a removed file: %q %v", b[:5], err)
	}
	must(t, f.Close())
	if _, err := f.ReadAt(b, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read of a closed file: %v", err)
	}
}

func locks(t *testing.T, sys FS, r Root, dir string) {
	t.Helper()
	l, err := r.Lock("lock")
	must(t, err)
	r2 := open(t, sys, dir)
	if _, err := r2.Lock("lock"); !errs.Is(err, errs.Conflict) {
		t.Errorf("locked twice: %v", err)
	}
	must(t, l.Close())
	l, err = r2.Lock("lock")
	must(t, err)
	must(t, l.Close())
}

// TestCrashKeepsWhatWasSynced is the contract the crash tests of the store rest on.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	m := NewMem()
	r := open(t, m, "/d")
	after := func() string {
		c := open(t, m.Crash(nil), "/d")
		names, err := c.ReadDir(".")
		must(t, err)
		s := ""
		for _, n := range names {
			s += n + "=" + read(t, c, n) + " "
		}
		return strings.TrimSpace(s)
	}
	expect := func(want string) {
		t.Helper()
		if got := after(); got != want {
			t.Fatalf("after a crash: %q, want %q", got, want)
		}
	}
	write(t, r, "f", "one") // the file is synced, its name is not
	expect("")
	must(t, r.SyncDir("."))
	expect("f=one")
	f, err := r.OpenFile("f", os.O_RDWR)
	must(t, err)
	_, err = f.WriteAt([]byte("TWO"), 1)
	must(t, err)
	expect("f=one")
	must(t, f.Sync())
	expect("f=oTWO")
	must(t, f.Truncate(1))
	expect("f=oTWO")
	must(t, f.Sync())
	expect("f=o")
	must(t, r.Rename("f", "g"))
	expect("f=o")
	must(t, r.SyncDir("."))
	expect("g=o")
	must(t, r.Remove("g"))
	expect("g=o")
	must(t, r.SyncDir("."))
	expect("")
	must(t, r.Mkdir("sub"))
	write(t, r, "sub/x", "y")
	must(t, r.SyncDir("sub"))
	expect("")
	must(t, f.Close())
}

// TestCrashAtRandom: with a seed, each sector holds what was synced or what was written since, and nothing else.
func TestCrashAtRandom(t *testing.T) {
	m := NewMem()
	r := open(t, m, "/")
	const n = 8 * sector
	write(t, r, "f", strings.Repeat("a", n))
	must(t, r.SyncDir("."))
	f, err := r.OpenFile("f", os.O_RDWR)
	must(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("b", n)), 0)
	must(t, err)
	write(t, r, "new", "z")
	seen := map[string]bool{}
	for seed := range 200 {
		c := open(t, m.Crash(rand.New(rand.NewPCG(uint64(seed), 0))), "/")
		got := read(t, c, "f")
		if len(got) != n {
			t.Fatalf("%d bytes", len(got))
		}
		kind := ""
		for i := 0; i < n; i += sector {
			s := got[i : i+sector]
			if s != strings.Repeat("a", sector) && s != strings.Repeat("b", sector) {
				t.Fatalf("a sector is mixed: %q", s)
			}
			kind += s[:1]
		}
		seen[kind] = true
		seen["new="+read(t, c, "new")] = true
	}
	if !seen["aaaaaaaa"] || !seen["bbbbbbbb"] || len(seen) < 10 || !seen["new=z"] || !seen["new=(not-found)"] {
		t.Errorf("outcomes: %v", seen)
	}
	must(t, f.Close())
}

func TestMemIsFull(t *testing.T) {
	m := NewMem()
	m.SetTotal(1000)
	r := open(t, m, "/")
	write(t, r, "a", strings.Repeat("x", 600))
	f, err := r.OpenFile("b", os.O_RDWR|os.O_CREATE)
	must(t, err)
	if err := f.Allocate(0, 500); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("allocate: %v", err)
	}
	must(t, f.Allocate(0, 300))
	if c, err := r.Statfs(); err != nil || c.Free != 100 {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := f.WriteAt(make([]byte, 300), 0); err != nil {
		t.Errorf("write into what was allocated: %v", err)
	}
	if _, err := f.WriteAt(make([]byte, 500), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %v", err)
	}
	must(t, r.Link("a", "c"))
	must(t, r.Remove("a"))
	if c, _ := r.Statfs(); c.Free != 100 {
		t.Errorf("a linked file freed its space: %+v", c)
	}
	must(t, errors.Join(r.Remove("c"), r.Remove("b"), f.Close()))
	if c, _ := r.Statfs(); c.Free != 1000 {
		t.Errorf("%+v", c)
	}
}

func TestFaulty(t *testing.T) {
	for _, op := range []Op{OpOpen, OpCreate, OpRead, OpWrite, OpSync, OpDir, OpRename, OpRemove} {
		on := false
		sys := &Faulty{FS: NewMem(), Check: func(o Op, _ string) error {
			if on && o == op {
				return syscall.EIO
			}
			return nil
		}}
		r := open(t, sys, "/")
		write(t, r, "f", "x")
		f, err := r.OpenFile("f", os.O_RDWR)
		must(t, err)
		on = true
		calls := map[Op][]error{
			OpOpen:   {second(r.OpenFile("f", os.O_RDWR))},
			OpCreate: {second(r.OpenFile("g", os.O_RDWR|os.O_CREATE))},
			OpRead:   {second(f.Read(make([]byte, 1))), second(f.ReadAt(make([]byte, 1), 0))},
			OpWrite:  {second(f.Write([]byte("y"))), second(f.WriteAt([]byte("y"), 0))},
			OpSync:   {f.Sync()},
			OpDir:    {r.SyncDir(".")},
			OpRename: {r.Rename("f", "h"), r.Link("f", "h")},
			OpRemove: {r.Remove("f")},
		}
		for _, err := range calls[op] {
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: %v", op, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }
