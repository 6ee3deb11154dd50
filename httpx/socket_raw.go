//go:build linux && !race

package httpx

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// socket reads and writes a stream socket without telling the Go scheduler of each call. Announced calls (net.Conn's)
// may block for long, so the scheduler's monitor wakes every 20 us while they happen and gives their processor to
// another thread; calls on a socket that does not block are over in microseconds, and all that watching costs more than
// they do where several processes share the cores. Waiting is still net.Conn's poller's.
//
// The race detector sees no order in what goes through such calls: under it socket_plain.go takes their place.
type socket struct {
	nc  net.Conn
	raw syscall.RawConn

	in, out []byte
	how     uintptr // flags of sending
	n       int     // bytes read

	// Two, because one goroutine may read while another writes.
	readErr, writeErr       syscall.Errno
	readWaited, writeWaited bool // the last call had to wait

	pipe, left, flags int // of splice

	one [1]byte // of ended

	read, write, spliceTo func(fd uintptr) bool // method values, made once
	look                  func(fd uintptr)
}

// maxRaw bounds the bytes of one unannounced call, and so how long the scheduler may have to wait for it.
const maxRaw = 64 << 10

// newSocket returns nil for what is no socket of the kernel's, such as TLS.
func newSocket(c net.Conn) *socket {
	nc, ok := streamOf(c).(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{nc: c, raw: raw}
	s.read, s.write, s.spliceTo, s.look = s.readOnce, s.writeOnce, s.spliceOnce, s.lookOnce
	return s
}

// Read is net.Conn's.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.in, s.readWaited = p[:min(len(p), maxRaw)], false
	err := s.raw.Read(s.read)
	s.in = nil
	switch {
	case err != nil:
		return 0, err
	case s.readErr != 0:
		return 0, s.fault("read", s.readErr)
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// ended reports whether the peer has closed the connection. Nobody else reads.
func (s *socket) ended() bool {
	err := s.raw.Control(s.look)
	return err != nil || s.n == 0 && s.readErr == 0 || s.readErr == syscall.ECONNRESET
}

func (s *socket) lookOnce(fd uintptr) {
	s.n, s.readErr = transfer(syscall.SYS_RECVFROM, fd, s.one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
}

func (s *socket) readOnce(fd uintptr) bool {
	s.n, s.readErr = transfer(syscall.SYS_RECVFROM, fd, s.in, 0)
	s.readWaited = s.readWaited || s.readErr == syscall.EAGAIN
	return s.readErr != syscall.EAGAIN
}

// Write is net.Conn's; p has at most maxRaw bytes.
func (s *socket) Write(p []byte) (int, error) { return s.send(p, 0) }

// send is Write with flags of send(2).
func (s *socket) send(p []byte, flags uintptr) (int, error) {
	s.out, s.writeErr, s.how = p, 0, flags
	err := s.raw.Write(s.write)
	n := len(p) - len(s.out)
	s.out = nil
	if err == nil && s.writeErr != 0 {
		err = s.fault("write", s.writeErr)
	}
	return n, err
}

func (s *socket) writeOnce(fd uintptr) bool {
	for len(s.out) > 0 {
		var n int
		if n, s.writeErr = transfer(syscall.SYS_SENDTO, fd, s.out, syscall.MSG_NOSIGNAL|s.how); s.writeErr != 0 {
			return s.writeErr != syscall.EAGAIN
		}
		s.out = s.out[n:]
	}
	return true
}

// transfer is recv(2) or send(2) of a p that is not empty, which know at once that it is a socket, or read(2).
func transfer(call, fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch err {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}

func (s *socket) fault(op string, err syscall.Errno) error {
	return &net.OpError{Op: op, Net: s.nc.LocalAddr().Network(), Source: s.nc.LocalAddr(), Addr: s.nc.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}
