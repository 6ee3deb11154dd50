package control

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// door accepts the node's raft connections for as long as the node runs and passes them to the member of
// the moment: a node may become a voter, cease to be one, and become one again.
type door struct {
	ln   net.Listener
	addr string // as announced to others
	dial func(ctx context.Context, addr string) (net.Conn, error)

	mu     sync.Mutex
	inside *stream
}

// run accepts until ctx ends, then closes the listener.
func (d *door) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = d.ln.Close() })
	defer stop()
	for {
		conn, err := d.ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		d.mu.Lock()
		s := d.inside
		d.mu.Unlock()
		if s == nil || !s.take(conn) {
			_ = conn.Close()
		}
	}
}

// open returns the stream layer of a new member.
func (d *door) open(ctx context.Context) *stream {
	s := &stream{ctx: ctx, d: d, in: make(chan net.Conn, 16), done: make(chan struct{}), conns: map[*tracked]struct{}{}}
	d.mu.Lock()
	d.inside = s
	d.mu.Unlock()
	return s
}

// stream is one member's raft.StreamLayer. Closing it ends all of the member's connections.
type stream struct {
	ctx  context.Context // the library passes none
	d    *door
	in   chan net.Conn
	done chan struct{}

	mu     sync.Mutex
	closed bool
	conns  map[*tracked]struct{}
}

// tracked forgets itself when it is closed.
type tracked struct {
	net.Conn
	s *stream
}

// Close implements net.Conn.
func (t *tracked) Close() error {
	t.s.mu.Lock()
	delete(t.s.conns, t)
	t.s.mu.Unlock()
	return t.Conn.Close()
}

func (s *stream) track(c net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	t := &tracked{c, s}
	s.conns[t] = struct{}{}
	return t, nil
}

// take queues an accepted connection; false if the stream is closed or its owner does not keep up.
func (s *stream) take(c net.Conn) bool {
	select {
	case <-s.done:
		return false
	default:
	}
	select {
	case s.in <- c:
		return true
	default:
		return false
	}
}

// Accept implements net.Listener.
func (s *stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.in:
		return s.track(c)
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.done)
	for t := range s.conns {
		_ = t.Conn.Close()
	}
	for {
		select {
		case c := <-s.in:
			_ = c.Close()
		default:
			s.d.mu.Lock()
			if s.d.inside == s {
				s.d.inside = nil
			}
			s.d.mu.Unlock()
			return nil
		}
	}
}

// Addr implements net.Listener.
func (s *stream) Addr() net.Addr { return announced(s.d.addr) }

// Dial implements raft.StreamLayer.
func (s *stream) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	c, err := s.d.dial(ctx, string(addr))
	if err != nil {
		return nil, err
	}
	_ = c.SetWriteDeadline(time.Now().Add(timeout)) // an error shows at the write
	if _, err := c.Write([]byte{raftByte}); err != nil {
		_ = c.Close()
		return nil, err
	}
	_ = c.SetWriteDeadline(time.Time{})
	return s.track(c)
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// announced is the address that others reach this node at.
type announced string

// Network implements net.Addr.
func (announced) Network() string { return "tcp" }

// String implements net.Addr.
func (a announced) String() string { return string(a) }
