package fs

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A read of what the kernel has in memory comes back whatever the disk does, and is made in place. One that has to wait for the disk
// may hang like any other call, with the lock of a name in its writer's hand: it is waited for as a write is (await), into memory of
// its own, since whoever was left alone may still write there when its caller has long gone on with something else.

// cachedReader is a File that can read what needs no disk.
type cachedReader interface {
	// readCached reads at off until p is full, the file ends (io.EOF), or what comes next is not in memory (EAGAIN).
	readCached(p []byte, off int64) (int, error)
}

// readCached implements cachedReader. A file system that cannot tell says that nothing is in memory.
func (f *osFile) readCached(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, syscall.EINVAL // the kernel would take -1 for where the file was read last
	}
	r, _ := cachedReads.Get().(*cachedRead)
	r.p, r.off = p, off
	closed := f.conn.Control(r.do)
	n, err := r.n, r.err
	r.p, r.to, r.n, r.err = nil, unix.Iovec{}, 0, nil
	cachedReads.Put(r)
	if closed != nil {
		return 0, os.ErrClosed
	}
	return n, err
}

// cachedRead is one such read. They are used again: what the kernel and RawConn are given would be allocated for each.
type cachedRead struct {
	p   []byte
	off int64
	to  unix.Iovec
	n   int
	err error
	do  func(fd uintptr) // run
}

var cachedReads = sync.Pool{New: func() any {
	r := new(cachedRead)
	r.do = r.run
	return r
}}

// maxUnannounced is how much is copied without a word to Go's scheduler.
const maxUnannounced = 64 << 10

func (r *cachedRead) run(fd uintptr) {
	call := unix.Syscall6
	if len(r.p) <= maxUnannounced {
		call = unix.RawSyscall6 // it sleeps for nothing
	}
	for r.n < len(r.p) {
		r.to = unix.Iovec{Base: &r.p[r.n], Len: uint64(len(r.p) - r.n)}
		m, _, e := call(unix.SYS_PREADV2, fd, uintptr(unsafe.Pointer(&r.to)), 1, uintptr(r.off+int64(r.n)), uintptr((r.off+int64(r.n))>>32), unix.RWF_NOWAIT) //nolint:gosec // a system call
		switch {
		case e == syscall.EINTR:
		case e == syscall.EOPNOTSUPP || e == syscall.ENOSYS:
			r.err = syscall.EAGAIN
			return
		case e != 0:
			r.err = e
			return
		case m == 0:
			r.err = io.EOF
			return
		default:
			r.n += int(m)
		}
	}
}

// readBuffers are for reads that wait, as large as most of them.
var readBuffers = sync.Pool{New: func() any { b := make([]byte, readBuffer); return &b }}

const readBuffer = 64 << 10

// readAt is ReadAt of a file whose disk may hang. A mountpath that failed in another way is still read, by those who look what can be saved.
func (f *mpFile) readAt(p []byte, off int64) (int, error) {
	n := 0
	if r, ok := f.File.(cachedReader); ok {
		var err error
		if n, err = r.readCached(p, off); err == nil || err == io.EOF {
			return n, err
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return n, &os.PathError{Op: "read", Path: f.name, Err: err}
		}
	}
	m, err := f.readSlowly(p[n:], off+int64(n))
	return n + m, err
}

// readSlowly is readAt of what may need the disk. It is apart, so that what a goroutine of its own is given costs nothing where there is none.
func (f *mpFile) readSlowly(p []byte, off int64) (int, error) {
	if err := f.mp.Err(); err != nil {
		if GivenUp(f.mp) {
			return 0, err
		}
		return f.File.ReadAt(p, off)
	}
	bp, _ := readBuffers.Get().(*[]byte)
	if len(p) > len(*bp) {
		*bp = make([]byte, len(p))
	}
	b := (*bp)[:len(p)]
	o := await(f.mp, func() (o outcome) {
		o.n, o.err = f.File.ReadAt(b, off)
		return o
	})
	if !o.back {
		return o.n, o.err
	}
	copy(p, b[:o.n])
	readBuffers.Put(bp)
	return o.n, o.err
}
