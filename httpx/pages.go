//go:build linux && !race

package httpx

import (
	"errors"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// PagesMax is how much SendPages takes at once: two copies of it, one in the pipe and one read to be checked, stay in the
// processor's cache.
const PagesMax = 128 << 10

// turnBytes is how much a connection may send without having waited for anything: some hundred microseconds of work.
const turnBytes = 1 << 20

// SendPages sends n bytes, at most PagesMax, without copying them to the connection: fill moves pages into a pipe, check
// sees what they hold, and then these very pages go out. Between the two nobody can exchange them, as happens to a file's
// mapping when memory is short and the disk returns something else the second time: the pipe holds them.
//
// False: nothing was sent, Write must do it. That is so too when fill fails, which then fails again and says why.
func (w *replyWriter) SendPages(n int, fill func(pipe uintptr) error, check func(p []byte) error) (bool, error) {
	cn := w.c.cn
	if cn.sock == nil || cn.near || w.chunked || n > PagesMax || int64(n) > w.left {
		return false, nil
	}
	cn.share(n)
	return cn.s.pipes.send(n, fill, check, func(pipe int) error {
		w.c.sent = true
		w.left -= int64(n)
		w.total += int64(n)
		if err := cn.armWrite(); err != nil {
			return err
		}
		if len(w.head) > 0 { // in one segment with what follows: the client wakes once
			_, err := cn.sock.send(w.head, syscall.MSG_MORE)
			if w.head = w.head[:0]; err != nil {
				return err
			}
		}
		return cn.sock.splice(pipe, n, w.left > 0)
	})
}

// share lets other connections go on when this one, which is about to send n bytes, has not waited for long.
func (cn *connection) share(n int) {
	if cn.sock.readWaited || cn.sock.writeWaited {
		cn.unwaited, cn.sock.readWaited, cn.sock.writeWaited = 0, false, false
	}
	if cn.unwaited += n; cn.unwaited > turnBytes {
		cn.unwaited = n
		cn.s.turns.Take()
	}
}

// SendPages is the same for the body of a request.
func (w *countedWriter) SendPages(n int, fill func(pipe uintptr) error, check func(p []byte) error) (bool, error) {
	cn := w.cn
	if cn.sock == nil || n > PagesMax || int64(n) > w.left {
		return false, nil
	}
	return w.pipes.send(n, fill, check, func(pipe int) error {
		w.left -= int64(n)
		if w.err = cn.arm(cn.Conn.SetWriteDeadline, &cn.writeBy, cn.writeLimit); w.err == nil {
			w.err = cn.sock.splice(pipe, n, w.left > 0)
		}
		return w.err
	})
}

// send is SendPages with a way for what is in the pipe.
func (pp *pipePool) send(n int, fill func(pipe uintptr) error, check func(p []byte) error, deliver func(pipe int) error) (used bool, err error) {
	p := pp.get()
	if p == nil {
		return false, nil
	}
	defer func() {
		if used && err == nil {
			pp.put(p)
		} else {
			pp.drop(p) // it may hold bytes
		}
	}()
	if fill(uintptr(p.send[1])) != nil {
		return false, nil
	}
	buf := getBuffer(n)
	defer putBuffer(buf)
	if !p.peek(*buf) {
		return false, nil
	}
	if err := check(*buf); err != nil {
		return true, err
	}
	return true, deliver(p.send[0])
}

// splice sends n bytes that are in a pipe; more says that others follow at once.
func (s *socket) splice(pipe, n int, more bool) error {
	s.pipe, s.left, s.flags, s.writeErr, s.writeWaited = pipe, n, 0, 0, false
	if more {
		s.flags = unix.SPLICE_F_MORE
	}
	err := s.raw.Write(s.spliceTo)
	if err == nil && s.writeErr != 0 {
		err = s.fault("splice", s.writeErr)
	}
	return err
}

func (s *socket) spliceOnce(fd uintptr) bool {
	for s.left > 0 {
		n, _, err := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(s.pipe), 0, fd, 0, uintptr(s.left), uintptr(s.flags))
		switch {
		case err == syscall.EINTR:
		case err != 0:
			s.writeErr, s.writeWaited = err, s.writeWaited || err == syscall.EAGAIN
			return err != syscall.EAGAIN
		case n == 0:
			s.writeErr = syscall.EPIPE
			return true
		default:
			s.left -= int(n)
		}
	}
	s.writeErr = 0
	return true
}

// pipes are two pipes: what is to be sent, and the same pages once more to be read.
type pipes struct{ send, look [2]int }

func newPipes() (*pipes, error) {
	p := &pipes{}
	if err := unix.Pipe2(p.send[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, err
	}
	if err := unix.Pipe2(p.look[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		closeAll(p.send)
		return nil, err
	}
	for _, w := range []int{p.send[1], p.look[1]} {
		got, err := unix.FcntlInt(uintptr(w), unix.F_SETPIPE_SZ, PagesMax)
		if err == nil && got < PagesMax {
			err = syscall.EPERM
		}
		if err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

func closeAll(fds [2]int) {
	for _, fd := range fds {
		_ = unix.Close(fd) // a pipe has nothing to lose
	}
}

func (p *pipes) close() {
	closeAll(p.send)
	closeAll(p.look)
}

// peek fills b with what is in the pipe and leaves it there.
func (p *pipes) peek(b []byte) bool {
	if n, err := unix.Tee(p.send[0], p.look[1], len(b), unix.SPLICE_F_NONBLOCK); n != int64(len(b)) || err != nil {
		return false
	}
	for len(b) > 0 {
		n, err := transfer(syscall.SYS_READ, uintptr(p.look[0]), b, 0)
		if n == 0 || err != 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// pipePool keeps pipes between pieces. Each takes four descriptors and, filled, memory of which the kernel grants a user
// only so much: their number is bounded, and who gets none copies.
type pipePool struct {
	mu   sync.Mutex
	free []*pipes
	made int
	shut bool // by close: what comes back is closed
	none bool // the kernel has refused: it is not asked for every piece
}

const maxPipes = 64

func (pp *pipePool) get() *pipes {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	if n := len(pp.free); n > 0 {
		p := pp.free[n-1]
		pp.free = pp.free[:n-1]
		return p
	}
	if pp.made >= maxPipes || pp.none || pp.shut {
		return nil
	}
	p, err := newPipes()
	if err != nil {
		pp.none = pp.made == 0 || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE)
		return nil
	}
	pp.made++
	return p
}

func (pp *pipePool) put(p *pipes) {
	pp.mu.Lock()
	kept := !pp.shut
	if kept {
		pp.free = append(pp.free, p)
	}
	pp.mu.Unlock()
	if !kept {
		pp.drop(p)
	}
}

func (pp *pipePool) drop(p *pipes) {
	p.close()
	pp.mu.Lock()
	pp.made--
	pp.mu.Unlock()
}

// close closes what is not in use; the rest is closed when it comes back, as of a client whose calls end after it.
func (pp *pipePool) close() {
	pp.mu.Lock()
	defer pp.mu.Unlock()
	for _, p := range pp.free {
		p.close()
	}
	pp.made -= len(pp.free)
	pp.free, pp.shut = nil, true
}
