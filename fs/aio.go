package fs

import (
	"encoding/binary"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slot is a place for one write at a time that the kernel makes in the background (io_submit(2)), with the eventfd by which it says
// that it is done. Who waits for that waits as for a socket: pwritev2 sleeps for the data, for the inode and for the disk's cache,
// each time with a thread, and with one of Go's processors until the monitor takes it away. What that saves stands in
// docs/design/store.md.
type slot struct {
	context uintptr
	efd     int
	event   *os.File // of efd
	request iocb
	wait    syscall.RawConn
	data    []byte // of the request: the kernel reads it until it is done
	counter [8]byte
	done    ioEvent
}

// iocb is the kernel's, on a little-endian machine.
type iocb struct {
	_       uint64 // data
	_       uint32 // key
	rwFlags uint32
	opcode  uint16
	_       int16 // priority
	fd      uint32
	buf     uint64
	bytes   uint64
	offset  int64
	_       uint64 // reserved
	flags   uint32
	eventFd uint32
}

const (
	iocbPwrite    = 1
	iocbFlagResFd = 1
)

// ioEvent is the kernel's io_event.
type ioEvent struct {
	data, object uint64
	result, more int64
}

func newSlot() (*slot, error) {
	s := &slot{}
	if _, _, e := unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&s.context)), 0); e != 0 { //nolint:gosec // a system call
		return nil, e
	}
	var err error
	if s.efd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, s.context, 0, 0)
		return nil, err
	}
	s.event = os.NewFile(uintptr(s.efd), "eventfd")
	if s.wait, err = s.event.SyscallConn(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// pwrite writes p at off and makes it durable.
func (s *slot) pwrite(fd int, p []byte, off int64) (int, error) {
	s.data = p
	defer func() { s.data = nil }()
	s.request = iocb{
		opcode: iocbPwrite, rwFlags: unix.RWF_DSYNC, fd: uint32(fd), offset: off, //nolint:gosec // a descriptor
		buf: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))), bytes: uint64(len(p)), //nolint:gosec // data keeps it where it is
		flags: iocbFlagResFd, eventFd: uint32(s.efd), //nolint:gosec // a descriptor
	}
	requests := &s.request
	if _, _, e := unix.Syscall(unix.SYS_IO_SUBMIT, s.context, 1, uintptr(unsafe.Pointer(&requests))); e != 0 { //nolint:gosec // a system call
		return 0, e
	}
	// An error here must not be the answer, for the kernel is still at work on p.
	rung := s.wait.Read(s.answered) == nil
	for {
		n, e := s.reap(rung)
		switch {
		case e == syscall.EINTR:
		case e != 0: // how it ended is not known: no errno of a write that did nothing
			return 0, syscall.EIO
		case n == 0:
			rung = false
		case s.done.result < 0:
			return 0, syscall.Errno(-s.done.result)
		default:
			return int(s.done.result), nil
		}
	}
}

// answered takes the eventfd's count. Go's monitor, which would watch a call that may take long, sleeps on.
func (s *slot) answered(fd uintptr) bool {
	_, _, e := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&s.counter)), uintptr(len(s.counter))) //nolint:gosec // a system call
	return e != syscall.EAGAIN
}

// reap takes the outcome, waiting for it unless it is there.
func (s *slot) reap(there bool) (uintptr, syscall.Errno) {
	if there {
		var now unix.Timespec
		n, _, e := unix.RawSyscall6(unix.SYS_IO_GETEVENTS, s.context, 0, 1, uintptr(unsafe.Pointer(&s.done)), uintptr(unsafe.Pointer(&now)), 0) //nolint:gosec // a system call
		return n, e
	}
	n, _, e := unix.Syscall6(unix.SYS_IO_GETEVENTS, s.context, 1, 1, uintptr(unsafe.Pointer(&s.done)), 0, 0) //nolint:gosec // a system call
	return n, e
}

func (s *slot) close() {
	_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, s.context, 0, 0) // nothing is under way
	_ = s.event.Close()                                          // it has no content
}

// slots are those of a root: as many as ever wrote at the same time.
type slots struct {
	mu     sync.Mutex
	free   []*slot
	none   bool // the kernel gives none, or not to this process
	closed bool
}

// take returns a free slot, or nil when there are none to be had.
func (s *slots) take() *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.none {
		return nil
	}
	if n := len(s.free); n > 0 {
		f := s.free[n-1]
		s.free = s.free[:n-1]
		return f
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // iocb has its fields in another order
		s.none = true
		return nil
	}
	f, err := newSlot()
	s.none = err != nil
	return f
}

func (s *slots) put(f *slot) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.free = append(s.free, f)
	}
	s.mu.Unlock()
	if closed {
		f.close()
	}
}

// close gives back what is free now, and the rest when it is put back.
func (s *slots) close() {
	s.mu.Lock()
	free := s.free
	s.free, s.closed = nil, true
	s.mu.Unlock()
	for _, f := range free {
		f.close()
	}
}
