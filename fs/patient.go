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
func (f *osFile) readCached(p []byte, off int64) (n int, err error) {
	closed := f.conn.Control(func(fd uintptr) { n, err = preadCached(fd, p, off) })
	if closed != nil {
		return 0, os.ErrClosed
	}
	return n, err
}

// maxUnannounced is how much is copied without a word to Go's scheduler.
const maxUnannounced = 64 << 10

func preadCached(fd uintptr, p []byte, off int64) (n int, err error) {
	call := unix.Syscall6
	if len(p) <= maxUnannounced {
		call = unix.RawSyscall6 // it sleeps for nothing
	}
	for n < len(p) {
		to := unix.Iovec{Base: &p[n], Len: uint64(len(p) - n)}
		m, _, e := call(unix.SYS_PREADV2, fd, uintptr(unsafe.Pointer(&to)), 1, uintptr(off+int64(n)), 0, unix.RWF_NOWAIT) //nolint:gosec // a system call
		switch {
		case e == syscall.EINTR:
		case e == syscall.EOPNOTSUPP || e == syscall.ENOSYS:
			return n, syscall.EAGAIN
		case e != 0:
			return n, e
		case m == 0:
			return n, io.EOF
		default:
			n += int(m)
		}
	}
	return n, nil
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
	rest := p[n:]
	if err := f.mp.Err(); err != nil {
		if GivenUp(f.mp) {
			return n, err
		}
		m, err := f.File.ReadAt(rest, off+int64(n))
		return n + m, err
	}
	bp, _ := readBuffers.Get().(*[]byte)
	if len(rest) > len(*bp) {
		*bp = make([]byte, len(rest))
	}
	b := (*bp)[:len(rest)]
	o := await(f.mp, func() (o outcome) {
		o.n, o.err = f.File.ReadAt(b, off+int64(n))
		return o
	})
	if o.back {
		n += copy(rest, b[:o.n])
		readBuffers.Put(bp)
	}
	return n, o.err
}
