package control

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// raftByte is the first byte of a connection that speaks raft. No HTTP method begins with it.
const raftByte = 0x01

// peekTimeout bounds how long a connection may take to show its first byte.
const peekTimeout = 10 * time.Second

// SplitListener shares ln between raft and HTTP by the first byte of each connection. Both listeners must be
// accepted from; closing either stops only that one, closing both closes ln. Accepting starts with the first
// Accept of either and every goroutine has ended once ln is closed and its last undecided connection is.
func SplitListener(ln net.Listener) (raft, http net.Listener) {
	s := &splitter{ln: ln}
	r := &splitEnd{s: s, conns: make(chan net.Conn), closed: make(chan struct{})}
	h := &splitEnd{s: s, conns: make(chan net.Conn), closed: make(chan struct{})}
	s.raft, s.http = r, h
	return r, h
}

type splitter struct {
	ln         net.Listener
	raft, http *splitEnd
	start      sync.Once
	mu         sync.Mutex
	open       int // ends closed so far
}

type splitEnd struct {
	s      *splitter
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (e *splitEnd) Accept() (net.Conn, error) {
	e.s.start.Do(func() { go e.s.run() })
	select {
	case c, ok := <-e.conns:
		if ok {
			return c, nil
		}
	case <-e.closed:
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: e.s.ln.Addr(), Err: net.ErrClosed}
}

// Close implements net.Listener.
func (e *splitEnd) Close() error {
	var err error
	e.once.Do(func() {
		close(e.closed)
		e.s.mu.Lock()
		defer e.s.mu.Unlock()
		if e.s.open++; e.s.open == 2 {
			err = e.s.ln.Close()
		}
	})
	return err
}

// Addr implements net.Listener.
func (e *splitEnd) Addr() net.Addr { return e.s.ln.Addr() }

// run accepts until ln is closed, then ends both listeners.
func (s *splitter) run() {
	var undecided sync.WaitGroup
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				time.Sleep(10 * time.Millisecond) // out of descriptors: nothing tells when there are some again
				continue
			}
			break
		}
		undecided.Go(func() { s.decide(conn) })
	}
	undecided.Wait()
	close(s.raft.conns)
	close(s.http.conns)
}

// decide hands conn to its end, which waits for it or is closed.
func (s *splitter) decide(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(peekTimeout)) // an error shows at the read
	conn, first, err := peek(conn)
	if err != nil {
		_ = conn.Close()
		return
	}
	end := s.http
	if first == raftByte {
		end = s.raft
		var one [1]byte
		if _, err := conn.Read(one[:]); err != nil {
			_ = conn.Close()
			return
		}
	}
	_ = conn.SetReadDeadline(time.Time{})
	select {
	case end.conns <- conn:
	case <-end.closed:
		_ = conn.Close()
	}
}

// peek waits for the first byte and leaves it unread. Where the system can peek the connection stays what it
// is, so that a server may still use sendfile and splice on it.
func peek(conn net.Conn) (net.Conn, byte, error) {
	var one [1]byte
	sc, ok := conn.(syscall.Conn)
	if !ok {
		if _, err := conn.Read(one[:]); err != nil {
			return conn, 0, err
		}
		return &peeked{Conn: conn, first: one[:]}, one[0], nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return conn, 0, err
	}
	var n int
	var perr error
	err = raw.Read(func(fd uintptr) bool {
		n, _, perr = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		return perr != syscall.EAGAIN && perr != syscall.EINTR
	})
	switch {
	case err != nil:
		return conn, 0, err
	case perr != nil:
		return conn, 0, perr
	case n == 0:
		return conn, 0, net.ErrClosed
	}
	return conn, one[0], nil
}

// peeked gives its first byte back.
type peeked struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (p *peeked) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
