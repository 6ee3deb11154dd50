package fs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func blocks(n int, c byte) []byte {
	b := Aligned(n * Block)
	for i := range b {
		b[i] = c
	}
	return b
}

func TestAligned(t *testing.T) {
	for _, n := range []int{0, 1, Block, 3*Block + 5} {
		b := Aligned(n)
		if len(b) != n || cap(b) != n || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%Block != 0 {
			t.Errorf("Aligned(%d): %d bytes at %p", n, len(b), b)
		}
	}
}

func TestWriteThrough(t *testing.T) {
	forEachSystem(t, func(t *testing.T, sys FS, dir string) {
		writeThrough(t, open(t, sys, dir))
	})
}

// TestWriteThroughInPlace: a kernel that writes nothing in the background is written to in the other way.
func TestWriteThroughInPlace(t *testing.T) {
	r := open(t, OS{}, t.TempDir())
	r.(*osRoot).slots.none = true
	writeThrough(t, r)
}

// TestWriteThroughAtOnce: logs of one mountpath are written at the same time, and each waits for its own writes.
func TestWriteThroughAtOnce(t *testing.T) {
	r := open(t, OS{}, t.TempDir())
	var g sync.WaitGroup
	var errs [8]error
	for i := range byte(8) {
		g.Go(func() {
			name := string('a' + rune(i))
			f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE)
			for n := int64(0); n < 20 && err == nil; n++ {
				err = f.WriteThrough(blocks(int(i)+1, 'a'+i), n*Block)
			}
			errs[i] = errors.Join(err, f.Close())
		})
	}
	g.Wait()
	err := errors.Join(errs[:]...)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this file system has no direct writes")
	}
	must(t, err)
	for i := range 8 {
		name := string('a' + rune(i))
		if got := read(t, r, name); got != strings.Repeat(name, (20+i)*Block) {
			t.Errorf("%s: read %d bytes that differ from those written", name, len(got))
		}
	}
	s := &r.(*osRoot).slots
	if n := len(s.free); !s.none && (n == 0 || n > 8) {
		t.Errorf("%d slots are left after 8 files", n)
	}
	must(t, r.Close())
	if n := len(s.free); n != 0 {
		t.Errorf("%d slots outlive their root", n)
	}
}

// TestWriteThroughFullDisk: what the kernel found in the background is the answer.
func TestWriteThroughFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs root: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	r := open(t, OS{}, dir)
	f, err := r.OpenFile("log", os.O_RDWR|os.O_CREATE)
	must(t, err)
	err = f.WriteThrough(blocks(32, 'a'), 0)
	must(t, f.Close())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("tmpfs has no direct writes here")
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("128 KiB fit into 64: %v", err)
	}
}

func writeThrough(t *testing.T, r Root) {
	t.Helper()
	write(t, r, "log", "cached")
	f, err := r.OpenFile("log", os.O_RDWR)
	must(t, err)
	err = f.WriteThrough(blocks(2, 'a'), Block)
	if errors.Is(err, errors.ErrUnsupported) {
		must(t, f.Close())
		t.Skip("this file system has no direct writes")
	}
	must(t, err)
	must(t, f.WriteThrough(blocks(1, 'b'), 2*Block))
	_, err = f.WriteAt([]byte("c"), Block+1) // the other way writes the same file
	must(t, errors.Join(err, f.Sync()))
	must(t, f.WriteThrough(blocks(1, 'd'), 3*Block))
	want := append(append(make([]byte, Block), bytes.Repeat([]byte("a"), Block)...), bytes.Repeat([]byte("b"), Block)...)
	want = append(want, bytes.Repeat([]byte("d"), Block)...)
	copy(want, "cached")
	want[Block+1] = 'c'
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	must(t, errors.Join(err, f.Close()))
	if !bytes.Equal(got, want) {
		t.Errorf("read %d bytes that differ from the %d written", len(got), len(want))
	}
}

func TestWriteThroughIsDurable(t *testing.T) {
	mem := NewMem()
	r := open(t, mem, "/a")
	f, err := r.OpenFile("log", os.O_RDWR|os.O_CREATE)
	must(t, err)
	must(t, errors.Join(r.SyncDir("."), f.WriteThrough(blocks(1, 'a'), 0)))
	after := read(t, open(t, mem.Crash(nil), "/a"), "log")
	if after != string(blocks(1, 'a')) {
		t.Errorf("a power loss left %d bytes", len(after))
	}
	if err := f.WriteThrough(blocks(1, 'a')[1:], 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("not aligned: %v", err)
	}
}

func TestWriteThroughFails(t *testing.T) {
	for _, op := range []Op{OpWrite, OpSync} {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			var on bool
			sys := &Faulty{FS: NewMem(), Check: func(o Op, _ string) error {
				if on && o == op {
					return errno
				}
				return nil
			}}
			must(t, sys.MkdirAll("/a"))
			set, err := OpenSet(SetConfig{FS: sys, Paths: []string{"/a"}, NodeID: "n"})
			must(t, err)
			mp := set.All()[0]
			f, err := mp.OpenFile("log", os.O_RDWR|os.O_CREATE)
			must(t, err)
			on = true
			if err := f.WriteThrough(blocks(1, 'a'), 0); !errors.Is(err, errno) {
				t.Errorf("%s fails with %v: got %v", op, errno, err)
			}
			if failed := mp.Err() != nil; failed != (errno == syscall.EIO) {
				t.Errorf("%s fails with %v: mountpath disabled: %v", op, errno, failed)
			}
			on = false
			must(t, errors.Join(f.Close(), set.Close()))
		}
	}
}
