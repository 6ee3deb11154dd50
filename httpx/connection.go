package httpx

import (
	"bufio"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"aistore/errs"
)

// phase says what a connection's next read waits for, and so how long it may take.
type phase uint8

const (
	phaseIdle   phase = iota // the next request, for a short time
	phaseLong                // the next request, without a buffer
	phaseHeader              // the rest of a request's header: one deadline for all of it
	phaseBody                // request body: a deadline for every read
)

// connection is one client connection: one goroutine that reads a request, runs its handler, and goes on.
type connection struct {
	net.Conn
	sock *socket // of Conn, where there can be one
	s    *Server
	br   *bufio.Reader
	ctx  Ctx
	bufs [3][]byte   // backs iov
	iov  net.Buffers // a field because a local one would escape at every write

	phase           phase
	headerBy        time.Time // end of phaseHeader; zero until its first read
	documentBy      time.Time // end of a body that is read whole, however steadily it trickles; zero while none is
	readBy, writeBy time.Time // deadlines that are set: renewed only when a quarter of the time has gone

	idle  atomic.Bool // waits for a request: a drain may end it
	poked atomic.Bool // the drain moved the read deadline into the past

	near     bool // the client is on this machine, by TCP: what is copied to it is in the processor's cache when it looks, pages are not
	unwaited int  // bytes of pages sent since something was waited for

	interrupted atomic.Bool // reads fail: a relay has its answer and need not wait for the client

	fresh    bool    // no request has come yet
	first    [1]byte // of a request that came while there was no buffer
	hasFirst bool
}

// Read arms the deadline of the phase. Arming costs a timer operation, so a deadline that is still nearly
// fresh is kept.
func (cn *connection) Read(p []byte) (int, error) {
	if cn.hasFirst {
		cn.hasFirst = false
		return copy(p, cn.first[:]), nil
	}
	for {
		if err := cn.armRead(); err != nil {
			return 0, err
		}
		if cn.interrupted.Load() {
			return 0, os.ErrDeadlineExceeded
		}
		waits := cn.phase == phaseIdle || cn.phase == phaseLong
		if waits && cn.poked.Load() { // the deadline just armed replaced the drain's
			return cn.receiveLast(p)
		}
		n, err := cn.receive(p)
		if waits && errors.Is(err, os.ErrDeadlineExceeded) && cn.poked.Load() {
			return cn.receiveLast(p)
		}
		if err != nil && !waits && errors.Is(err, os.ErrDeadlineExceeded) && cn.poked.Swap(false) {
			cn.readBy = time.Time{} // a drain took this connection for an idle one: the request goes on
			continue
		}
		return n, err
	}
}

// receiveLast takes what has come until now: a request that is here already is served. The connection would else be closed with it unread, and the client be
// left in doubt.
func (cn *connection) receiveLast(p []byte) (int, error) {
	wait := time.Millisecond // with a deadline in the past nobody would even look
	if cn.fresh {
		wait = firstRequest
	}
	cn.readBy = time.Now().Add(wait)
	if err := cn.Conn.SetReadDeadline(cn.readBy); err != nil {
		return 0, err
	}
	return cn.receive(p)
}

func (cn *connection) receive(p []byte) (int, error) {
	if cn.sock != nil {
		return cn.sock.Read(p)
	}
	return cn.Conn.Read(p)
}

func (cn *connection) armRead() error {
	now, by := time.Now(), time.Time{}
	switch cn.phase {
	case phaseHeader:
		if cn.headerBy.IsZero() {
			cn.headerBy = now.Add(cn.s.cfg.HeaderTimeout)
		}
		by = cn.headerBy
	case phaseIdle:
		by = renewed(now, cn.readBy, min(cn.s.cfg.IdleBuffer, cn.s.cfg.IdleTimeout))
	case phaseLong:
		by = renewed(now, cn.readBy, cn.s.cfg.IdleTimeout)
	case phaseBody:
		by = renewed(now, cn.readBy, cn.s.limits.Load().Progress)
		if !cn.documentBy.IsZero() && by.After(cn.documentBy) {
			by = cn.documentBy
		}
	}
	if by.Equal(cn.readBy) {
		return nil
	}
	cn.readBy = by
	return cn.Conn.SetReadDeadline(by)
}

func renewed(now, set time.Time, limit time.Duration) time.Time {
	if left := set.Sub(now); left > limit-limit/4 && left <= limit {
		return set
	}
	return now.Add(limit)
}

// Write sends p within the progress timeout.
func (cn *connection) Write(p []byte) (int, error) {
	if err := cn.armWrite(); err != nil {
		return 0, err
	}
	if cn.sock != nil && len(p) <= maxRaw {
		return cn.sock.Write(p)
	}
	return cn.Conn.Write(p)
}

func (cn *connection) armWrite() error {
	by := renewed(time.Now(), cn.writeBy, cn.s.limits.Load().Progress)
	if by.Equal(cn.writeBy) {
		return nil
	}
	cn.writeBy = by
	return cn.Conn.SetWriteDeadline(by)
}

// writev sends the pieces with one system call where the connection can.
func (cn *connection) writev(pieces ...[]byte) (int64, error) {
	if err := cn.armWrite(); err != nil {
		return 0, err
	}
	cn.iov = append(net.Buffers(cn.bufs[:0]), pieces...)
	n, err := cn.iov.WriteTo(cn.Conn)
	cn.bufs = [3][]byte{}
	return n, err
}

// serve runs the connection to its end.
func (cn *connection) serve() {
	c := &cn.ctx
	c.s, c.cn = cn.s, cn
	defer func() {
		if cn.br != nil {
			cn.s.readers.put(cn.br)
			cn.br = nil
		}
		_ = cn.Conn.Close() // the peer has all we had to say
	}()
	if !cn.handshake() {
		return
	}
	for {
		if !cn.await() {
			return
		}
		cn.phase, cn.headerBy, cn.fresh = phaseHeader, time.Time{}, false
		err := cn.checkLines()
		if err == nil {
			err = c.hdr.Read(cn.br)
		}
		if err != nil {
			c.begin(time.Now())
			cn.refuse(err)
			return
		}
		c.begin(time.Now())
		if !cn.handle() {
			return
		}
	}
}

// await waits for the first byte of a request; false when the connection has ended. After IdleBuffer it
// waits without buffers: thousands of clients that are quiet cost little memory.
func (cn *connection) await() bool {
	if cn.br == nil {
		cn.br = cn.s.readers.get(cn)
	}
	cn.phase = phaseIdle
	if cn.br.Buffered() > 0 { // pipelined
		return !cn.s.closing.Load()
	}
	cn.idle.Store(true)
	defer cn.idle.Store(false)
	if cn.s.closing.Load() { // the drain looks at idle after it has set closing
		cn.poked.Store(true)
	}
	_, err := cn.br.Peek(1)
	if err == nil {
		return true
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || cn.s.closing.Load() {
		return false
	}
	cn.s.readers.put(cn.br)
	cn.br = nil
	cn.ctx.trim()
	cn.phase = phaseLong
	if _, err := cn.Read(cn.first[:]); err != nil {
		return false
	}
	cn.br, cn.hasFirst = cn.s.readers.get(cn), true
	_, err = cn.br.Peek(1)
	return err == nil
}

// refuse answers a request whose header could not be read.
func (cn *connection) refuse(err error) {
	var small *fasthttp.ErrSmallBuffer
	var nothing fasthttp.ErrNothingRead
	c := &cn.ctx
	switch {
	case errors.As(err, &small):
		err = &StatusError{431, errs.F("httpx.Header", "request header", errs.TooLarge, "is longer than %d bytes", cn.s.cfg.MaxHeader)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &StatusError{408, errs.E("httpx.Header", "request header", errs.Timeout, "did not arrive in time")}
	case errors.As(err, &nothing), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		return
	default:
		err = errs.F("httpx.Header", "request header", errs.Invalid, "malformed: %v", err)
	}
	c.close = true
	c.path, c.target = "", ""
	c.route = cn.routeOfUnread()
	cn.reply(err)
	cn.observe()
	cn.linger()
}

// Lingering: after a reply that leaves request bytes unread the connection is closed for sending only, and
// what still arrives is dropped for a while. A plain close would answer those bytes with a reset, and the
// reset can overtake the reply in the client's kernel.
const (
	lingerTime  = 3 * time.Second
	lingerBytes = 64 << 20
)

func (cn *connection) linger() {
	if !closeWrite(cn.Conn) {
		return
	}
	if cn.Conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	buf := getBuffer(smallBuffer)
	defer putBuffer(buf)
	for left := int64(lingerBytes); left > 0; {
		n, err := cn.Conn.Read(*buf)
		if left -= int64(n); err != nil {
			return
		}
	}
}

// rawConn unwraps listeners' decorations, such as a connection with a peeked first byte.
func rawConn(c net.Conn) net.Conn {
	for {
		u, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = u.NetConn()
	}
}

// sameHost reports whether both ends of a TCP connection have one address.
func sameHost(c net.Conn) bool {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	remote, ok2 := c.RemoteAddr().(*net.TCPAddr)
	return ok && ok2 && local.IP.Equal(remote.IP)
}

// gone reports whether the peer has closed the connection; false when in doubt.
func gone(c net.Conn) bool {
	sc, ok := rawConn(c).(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	ended := false
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil || errors.Is(err, syscall.ECONNRESET)
	})
	return ended || err != nil
}
