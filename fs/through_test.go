package fs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"unsafe"
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
		r := open(t, sys, dir)
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
	})
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
