package fs

import (
	"io"
	"os"
	"path"
	"slices"
	"syscall"
	"time"
)

// memFile is an open file of Mem. Like a descriptor it has one position for Read and Write.
type memFile struct {
	fs     *Mem
	node   *memNode
	name   string
	pos    int64
	closed bool
}

func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	if off >= int64(len(f.node.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	if err := f.fs.grow(f.node, off+int64(len(p))); err != nil {
		return 0, &os.PathError{Op: "write", Path: f.name, Err: err}
	}
	w := memWrite{off: off, bytes: slices.Clone(p)}
	f.node.data = w.apply(f.node.data)
	f.node.pending = append(f.node.pending, w)
	return len(p), nil
}

// grow takes the space for n to have size bytes.
func (m *Mem) grow(n *memNode, size int64) error {
	more := size - n.space
	if more <= 0 || n.gone {
		return nil
	}
	if m.total > 0 && m.used+more > m.total {
		return syscall.ENOSPC
	}
	m.used += more
	n.space = size
	return nil
}

func (m *Mem) truncate(n *memNode, size int64) {
	if !n.gone {
		m.used += size - n.space
		n.space = size
	}
	w := memWrite{off: size, cut: true}
	n.data = w.apply(slices.Clone(n.data))
	n.pending = append(n.pending, w)
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.fs.truncate(f.node, size)
	return nil
}

func (f *memFile) Sync() error {
	if h := f.fs.OnSync; h != nil {
		h(f.name)
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.node.dir {
		f.node.syncDir()
		return nil
	}
	if len(f.node.synced) == 0 {
		f.node.synced = slices.Clone(f.node.data)
	} else {
		for _, w := range f.node.pending {
			f.node.synced = w.apply(f.node.synced)
		}
	}
	f.node.pending = nil
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	f.closed = true
	return nil
}

func (f *memFile) Stat() (os.FileInfo, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return memInfo{path.Base(f.name), int64(len(f.node.data)), f.node.dir}, nil
}

func (f *memFile) Allocate(off, length int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.grow(f.node, off+length); err != nil {
		return &os.PathError{Op: "fallocate", Path: f.name, Err: err}
	}
	return nil
}

func (f *memFile) WriteOut(int64, int64) {}

func (f *memFile) Fd() uintptr { return NoFd }

type memInfo struct {
	name string
	size int64
	dir  bool
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) Mode() os.FileMode {
	if i.dir {
		return os.ModeDir | 0o755
	}
	return 0o644
}
