package fs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aistore/errs"
)

// TestReadAtCold: bytes are the same whether the kernel has them in memory, has some of them, or has to read the disk; as is the end of the file.
func TestReadAtCold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const size = 700_001
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	m := bare(t, OS{}, dir)
	f, err := m.OpenFile("data", os.O_RDWR|os.O_CREATE)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt(data, 0)
	must(t, err)
	must(t, f.Sync())
	want, err := os.Open(filepath.Join(dir, "data"))
	must(t, err)
	defer want.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		if i%3 == 0 {
			must(t, unix.Fadvise(int(f.Fd()), int64(rng.IntN(size)), int64(rng.IntN(size)), unix.FADV_DONTNEED))
		}
		off, n := int64(rng.IntN(size+10_000)), rng.IntN(1+rng.IntN(200_000))
		got, exp := make([]byte, n), make([]byte, n)
		gn, gerr := f.ReadAt(got, off)
		en, eerr := want.ReadAt(exp, off)
		if gn != en || errors.Is(gerr, io.EOF) != errors.Is(eerr, io.EOF) || gerr != nil && !errors.Is(gerr, io.EOF) || !bytes.Equal(got[:gn], exp[:en]) {
			t.Fatalf("%d bytes at %d: %d %v, want %d %v", n, off, gn, gerr, en, eerr)
		}
	}
}

// TestCachedReadAllocatesNothing: what is in memory is read as cheaply as without any care for disks that hang.
func TestCachedReadAllocatesNothing(t *testing.T) {
	dir := t.TempDir()
	m := bare(t, OS{}, dir)
	f, err := m.OpenFile("data", os.O_RDWR|os.O_CREATE)
	must(t, err)
	defer f.Close()
	b := make([]byte, 4096)
	_, err = f.WriteAt(b, 0)
	must(t, err)
	if _, err := f.(*mpFile).File.(cachedReader).readCached(b, 0); err != nil {
		t.Skipf("this file system does not tell what is in memory: %v", err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = f.ReadAt(b, 0) }); n > 0 {
		t.Errorf("%v allocations per read", n)
	}
}

// TestHangingRead: a read that hangs ends when the mountpath is given up, and what it brings later goes nowhere.
func TestHangingRead(t *testing.T) {
	t.Parallel()
	answers := make(chan struct{})
	var hangs sync.Once
	reading := make(chan struct{})
	disk := &Faulty{FS: NewMem(), Check: func(op Op, name string) error {
		if op == OpRead && name == "data" {
			hangs.Do(func() {
				close(reading)
				<-answers
			})
		}
		return nil
	}}
	m := bare(t, disk, "/mp")
	f, err := m.OpenFile("data", os.O_RDWR|os.O_CREATE)
	must(t, err)
	_, err = f.WriteAt([]byte("content"), 0)
	must(t, err)
	b := []byte("-------")
	read := make(chan error)
	go func() {
		_, err := f.ReadAt(b, 0)
		read <- err
	}()
	<-reading
	GiveUp(m, time.Second)
	if err := <-read; !errs.Is(err, errs.Mountpath) {
		t.Errorf("the read ends with %v", err)
	}
	if _, err := f.ReadAt(make([]byte, 3), 0); !errs.Is(err, errs.Mountpath) {
		t.Errorf("the next read ends with %v", err)
	}
	close(answers)
	if !m.Returned(t.Context(), time.Minute) {
		t.Error("the read does not return")
	}
	if string(b) != "-------" {
		t.Errorf("the memory of who has gone on holds %q", b)
	}
}

// TestReadLeftAlone: a read that is left alone when the disk fails for another reason says nothing of the file; nor does a wrong offset read anything.
func TestReadLeftAlone(t *testing.T) {
	t.Parallel()
	answers, reading := make(chan struct{}), make(chan struct{})
	m := bare(t, &Faulty{FS: NewMem(), Check: func(op Op, _ string) error {
		if op == OpRead {
			close(reading)
			<-answers
		}
		return nil
	}}, "/mp")
	f, err := m.OpenFile("data", os.O_RDWR|os.O_CREATE)
	must(t, err)
	read := make(chan error)
	go func() { read <- second(f.ReadAt(make([]byte, 1), 0)) }()
	<-reading
	m.Fail(unix.EIO)
	if err := <-read; !errs.Is(err, errs.Mountpath) {
		t.Errorf("the read ends with %v", err)
	}
	if _, bad := m.health.report(); bad != 0 {
		t.Errorf("%d files cannot be read", bad)
	}
	close(answers)
	dir := t.TempDir()
	g, err := bare(t, OS{}, dir).OpenFile("data", os.O_RDWR|os.O_CREATE)
	must(t, err)
	defer g.Close()
	must(t, second(g.WriteAt([]byte("content"), 0)))
	for _, off := range []int64{-1, -5} {
		if n, err := g.ReadAt(make([]byte, 3), off); n != 0 || err == nil {
			t.Errorf("%d bytes at %d, %v", n, off, err)
		}
	}
}
