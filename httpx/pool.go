package httpx

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"aistore/errs"
)

// clientConn is one connection of a Client, used by one call at a time.
type clientConn struct {
	net.Conn
	sock *socket // of Conn, where there can be one
	place
	br    *bufio.Reader
	bufs  [3][]byte
	iov   net.Buffers
	uses  int       // calls before this one
	heard bool      // a byte of the present call's reply has come
	since time.Time // idle since

	readLimit, writeLimit time.Duration
	readBy, writeBy       time.Time

	mu      sync.Mutex
	aborted bool
	waiting bool // for the header of a reply, after the whole request was sent
	hurried atomic.Bool
}

// abort makes every read and write fail from now on: the call's context has ended.
func (cn *clientConn) abort() {
	cn.mu.Lock()
	cn.aborted = true
	_ = cn.Conn.SetDeadline(time.Unix(1, 0))
	cn.mu.Unlock()
}

// waits begins or ends a wait for the header of a reply that Lost cuts short. An end may come without a beginning.
func (cn *clientConn) waits(cl *Client, on bool) {
	cl.relays.Delete(cn)
	if on {
		cl.relays.Store(cn, nil)
	}
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.waiting = on; cn.hurried.Swap(false) {
		cn.readBy = time.Time{}
	}
}

// hurry leaves no more than Impatience to who waits for a reply.
func (cn *clientConn) hurry() {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.waiting && !cn.aborted && !cn.hurried.Swap(true) {
		_ = cn.Conn.SetReadDeadline(time.Now().Add(Impatience))
	}
}

// arm sets a deadline unless the connection was aborted, which must not be undone.
func (cn *clientConn) arm(set func(time.Time) error, by *time.Time, limit time.Duration) error {
	if cn.hurried.Load() {
		limit = min(limit, Impatience)
	}
	want := renewed(time.Now(), *by, limit)
	if want.Equal(*by) {
		return nil
	}
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.aborted {
		return nil // the read or write fails by the deadline of abort
	}
	if limit > Impatience && cn.hurried.Load() { // meanwhile
		want = time.Now().Add(Impatience)
	}
	*by = want
	return set(want)
}

// Read reads within the progress timeout.
func (cn *clientConn) Read(p []byte) (int, error) {
	if err := cn.arm(cn.Conn.SetReadDeadline, &cn.readBy, cn.readLimit); err != nil {
		return 0, err
	}
	if cn.sock != nil {
		return cn.sock.Read(p)
	}
	return cn.Conn.Read(p)
}

// Write writes within the progress timeout.
func (cn *clientConn) Write(p []byte) (int, error) {
	if err := cn.arm(cn.Conn.SetWriteDeadline, &cn.writeBy, cn.writeLimit); err != nil {
		return 0, err
	}
	if cn.sock != nil && len(p) <= maxRaw {
		return cn.sock.Write(p)
	}
	return cn.Conn.Write(p)
}

func (cn *clientConn) writev(pieces ...[]byte) error {
	if err := cn.arm(cn.Conn.SetWriteDeadline, &cn.writeBy, cn.writeLimit); err != nil {
		return err
	}
	cn.iov = append(net.Buffers(cn.bufs[:0]), pieces...)
	_, err := cn.iov.WriteTo(cn.Conn)
	cn.bufs = [3][]byte{}
	return err
}

// ended reports whether the peer has closed the connection, which must be idle.
func (cn *clientConn) ended() bool {
	if cn.sock != nil {
		return cn.sock.ended()
	}
	return gone(cn.Conn)
}

func (cn *clientConn) close(cl *Client) {
	_ = cn.Conn.Close() // nothing of it is used again
	cl.readers.put(cn.br)
}

var errConnect = errors.New("cannot connect")

// Unsent reports whether an error of Do shows that nothing of the call has left this node.
func Unsent(err error) bool { return errors.Is(err, errConnect) }

func (cl *Client) dial(ctx context.Context, addr string) (*clientConn, error) {
	dial := cl.cfg.Dial
	if dial == nil {
		d := net.Dialer{Timeout: cl.cfg.DialTimeout}
		dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	nc, err := dial(ctx, addr)
	if err != nil {
		if cerr := ctx.Err(); cerr != nil {
			return nil, errs.E("httpx.Do", addr, cerr)
		}
		if by, ok := ctx.Deadline(); ok && !time.Now().Before(by) { // the dialer's timer was faster than the context's
			return nil, errs.E("httpx.Do", addr, context.DeadlineExceeded)
		}
		return nil, errs.F("httpx.Do", addr, errs.Unavailable, "%w: %w", errConnect, err)
	}
	return cl.connected(nc, place{addr: addr}), nil
}

func (cl *Client) connected(nc net.Conn, at place) *clientConn {
	cn := &clientConn{Conn: nc, sock: newSocket(nc), place: at}
	cn.br = newReader(cl, cn)
	return cn
}

// idlePool keeps connections between calls, last in first out: what is not needed grows old and goes.
type idlePool struct {
	mu     sync.Mutex
	at     map[place][]*clientConn
	afar   map[string]time.Time // addresses of no neighbours, and until when that is taken for granted
	closed bool
}

// get returns a pooled connection or nil. For a call that is sent once it is a live one: closed ones are found by looking at
// the socket, so that the call is not lost on a connection that the server has ended.
func (p *idlePool) get(at place, cfg ClientConfig, once bool) *clientConn {
	for {
		p.mu.Lock()
		list := p.at[at]
		if len(list) == 0 {
			p.mu.Unlock()
			return nil
		}
		cn := list[len(list)-1]
		list[len(list)-1] = nil
		p.at[at] = list[:len(list)-1]
		p.mu.Unlock()
		if time.Since(cn.since) < cfg.IdleTimeout && cn.br.Buffered() == 0 && !(once && cn.ended()) {
			cn.uses++
			cn.heard = false
			return cn
		}
		_ = cn.Conn.Close() // its reader goes with it
	}
}

func (p *idlePool) put(cn *clientConn, cfg ClientConfig) {
	cn.since = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.at[cn.place]
	if len(list) > 0 && cn.since.Sub(list[0].since) > cfg.IdleTimeout { // the oldest is too old: one goes at every put
		_ = list[0].Conn.Close()
		list = append(list[:0], list[1:]...)
	}
	if p.closed || len(list) >= cfg.MaxIdle {
		_ = cn.Conn.Close()
	} else {
		list = append(list, cn)
	}
	p.at[cn.place] = list
}

// maybeLocal reports whether the node at addr may be a neighbour.
func (p *idlePool) maybeLocal(addr string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.afar[addr]
	return !ok || time.Now().After(until)
}

func (p *idlePool) notLocal(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.afar[addr] = time.Now().Add(notLocalTime)
}

func (p *idlePool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for at, list := range p.at {
		for _, cn := range list {
			_ = cn.Conn.Close()
		}
		delete(p.at, at)
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}
