package indexfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"aistore/fs"
)

// testOwner is an Owner with as many writers waiting as a test says.
type testOwner struct{ durable, volatile, gave int64 }

func (o *testOwner) Waiting() (durable, volatile int64) { return o.durable, o.volatile }
func (o *testOwner) Synced(int64, time.Duration)        {}
func (o *testOwner) Given() uint64                      { return 0 }
func (o *testOwner) GiveReserve(uint64) bool            { o.gave++; return true }

// noDirect is a system without WriteThrough.
type noDirect struct{ fs.FS }

func (s noDirect) OpenRoot(p string) (fs.Root, error) {
	r, err := s.FS.OpenRoot(p)
	return noDirectRoot{r}, err
}

type noDirectRoot struct{ fs.Root }

func (r noDirectRoot) OpenFile(name string, flag int) (fs.File, error) {
	f, err := r.Root.OpenFile(name, flag)
	return noDirectFile{f}, err
}

type noDirectFile struct{ fs.File }

func (noDirectFile) WriteThrough([]byte, int64) error { return errors.ErrUnsupported }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newFS(t *testing.T, sys fs.FS, owner Owner) (*FS, *fs.Mountpath) {
	t.Helper()
	must(t, sys.MkdirAll("/mp"))
	set, err := fs.OpenSet(fs.SetConfig{FS: sys, Paths: []string{"/mp"}, NodeID: "n"})
	must(t, err)
	t.Cleanup(func() { _ = set.Close() })
	mp := set.All()[0]
	return New(mp, slog.New(slog.DiscardHandler), owner), mp
}

func contents(t *testing.T, sys fs.FS, name string) []byte {
	t.Helper()
	r, err := sys.OpenRoot("/mp")
	must(t, err)
	f, err := r.OpenFile(name, os.O_RDONLY)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close(), r.Close()))
	return b
}

// TestLogFile writes a log at random, durably and not, and looks after every sync for what it promised: in the file, after the
// end of the process; and after a power loss, when somebody waited who was told so.
func TestLogFile(t *testing.T) {
	for _, direct := range []bool{true, false} {
		for seed := range uint64(5) {
			mem, owner := fs.NewMem(), &testOwner{durable: 1}
			var sys fs.FS = mem
			if !direct {
				sys = noDirect{mem}
			}
			x, mp := newFS(t, sys, owner)
			rng := rand.New(rand.NewPCG(seed, 1))
			f, err := x.Create("000001.log", "")
			must(t, err)
			must(t, mp.SyncDir("."))
			randomLog(t, rng, mem, x, f, owner, "000001.log")
			f, err = x.ReuseForWrite("000001.log", "000002.log", "")
			must(t, err)
			must(t, mp.SyncDir("."))
			randomLog(t, rng, mem, x, f, owner, "000002.log")
			must(t, mp.Err())
		}
	}
}

func randomLog(t *testing.T, rng *rand.Rand, mem *fs.Mem, x *FS, f vfs.File, owner *testOwner, name string) {
	t.Helper()
	var want []byte
	for range 25 {
		for range rng.IntN(4) {
			p := make([]byte, 1+rng.IntN([]int{100, 5000, 50_000, 400_000}[rng.IntN(4)]))
			for i := range p {
				p[i] = byte(1 + rng.IntN(255))
			}
			n, err := f.Write(p)
			if n != len(p) || err != nil {
				t.Fatal(n, err)
			}
			want = append(want, p...)
		}
		owner.durable, owner.volatile = int64(rng.IntN(2)), 1
		must(t, f.Sync())
		if !bytes.HasPrefix(contents(t, mem, name), want) {
			t.Fatalf("the file does not begin with the %d bytes written to it", len(want))
		}
		if owner.durable > 0 {
			afterCrash(t, mem, x, name, want)
		}
	}
	owner.durable, owner.volatile = 0, 1
	must(t, f.Close())
	afterCrash(t, mem, nil, name, want)
}

func afterCrash(t *testing.T, mem *fs.Mem, x *FS, name string, want []byte) {
	t.Helper()
	left := contents(t, mem.Crash(nil), name)
	if !bytes.HasPrefix(left, want) {
		t.Fatalf("of %d durable bytes a power loss left %d, or others", len(want), len(left))
	}
	if n, _ := LogNumber(path.Base(name)); x != nil && x.synced.Load() != packMark(n, int64(len(want))) {
		t.Fatalf("the mark is %x with %d bytes durable", x.synced.Load(), len(want))
	}
}

func TestLogFileOnFullDisk(t *testing.T) {
	owner := &testOwner{durable: 1}
	failing := 0
	sys := &fs.Faulty{FS: fs.NewMem(), Check: func(op fs.Op, _ string) error {
		if op == fs.OpWrite && failing > 0 {
			failing--
			return syscall.ENOSPC
		}
		return nil
	}}
	x, mp := newFS(t, sys, owner)
	var f vfs.File
	for tries, gave := range []int64{0, 0, 1} { // the zeros ahead are given up first, then the reserve is given
		var err error
		f, err = x.Create(fmt.Sprintf("00000%d.log", tries+1), "")
		must(t, err)
		failing = tries
		_, err = f.Write([]byte("batch"))
		must(t, errors.Join(err, f.Sync(), mp.Err()))
		if owner.gave != gave {
			t.Errorf("after %d writes without room the reserve was given %d times", tries, owner.gave)
		}
	}
	failing = 10
	_, err := f.Write([]byte("batch"))
	must(t, errors.Join(err, f.Sync())) // pebble could not go on with an error
	if mp.Err() == nil {
		t.Error("a batch was lost and the mountpath still serves")
	}
}

func TestTableFile(t *testing.T) {
	mem := fs.NewMem()
	x, mp := newFS(t, mem, &testOwner{})
	f, err := x.Create("000004.sst", "")
	must(t, err)
	must(t, mp.SyncDir("."))
	rng := rand.New(rand.NewPCG(1, 1))
	var want []byte
	for range 300 {
		p := bytes.Repeat([]byte{byte(rng.IntN(256))}, rng.IntN(50_000))
		n, err := f.Write(p)
		if n != len(p) || err != nil {
			t.Fatal(n, err)
		}
		want = append(want, p...)
	}
	must(t, f.Sync())
	if !bytes.Equal(contents(t, mem.Crash(nil), "000004.sst"), want) {
		t.Error("a power loss left something else than was written and synced")
	}
	must(t, f.Close())
}
