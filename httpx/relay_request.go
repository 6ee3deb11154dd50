package httpx

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"aistore/errs"
)

// request sends the header and the body. When it returns nil and head.status is set, upstream has answered.
func (x *relaying) request() error {
	c := x.c
	bp := getBuffer(smallBuffer)
	defer putBuffer(bp)
	b := x.appendHead((*bp)[:0])
	x.head = replyHead{}
	switch {
	case !x.stream:
		x.bodySent, x.whole = len(x.r.body) > 0, true
		if len(b)+len(x.r.body) <= smallBuffer {
			_, err := x.up.Write(append(b, x.r.body...))
			return err
		}
		return x.up.writev(b, x.r.body)
	case c.in.ask == nil:
		return x.sendStream(b, *bp)
	}
	if _, err := x.up.Write(b); err != nil {
		return err
	}
	if err := x.readHead(); err != nil || x.head.status >= 200 {
		return err // an answer without asking for the body: the client need not send it
	}
	ask := c.in.ask
	c.in.ask = nil
	if err := ask(); err != nil {
		c.in.err = readError("httpx.Relay", "100 Continue", err)
		return c.in.err
	}
	x.head = replyHead{}
	return x.sendStream(nil, *bp)
}

// sendStream sends head and the body as it comes. buf backs head.
func (x *relaying) sendStream(head, buf []byte) error {
	in := &x.c.in
	x.bodySent = true
	if in.chunked {
		if len(head) > 0 {
			if _, err := x.up.Write(head); err != nil {
				return err
			}
		}
	} else {
		n := int(min(in.left, int64(len(buf)-len(head)))) // with head what has arrived; all of a short body
		if in.left > int64(n) {
			n = min(n, x.c.cn.br.Buffered())
		}
		if _, err := io.ReadFull(in, buf[len(head):len(head)+n]); err != nil {
			return x.clientError(err)
		}
		if _, err := x.up.Write(buf[:len(head)+n]); err != nil {
			return err
		}
		if in.done {
			x.whole = true
			return nil
		}
	}
	x.listen()
	return x.hear(x.pump(buf))
}

// clientError marks err as the client's, which is not upstream's fault.
func (x *relaying) clientError(err error) error {
	if x.c.in.err == nil {
		x.c.in.err = err
	}
	return x.c.in.err
}

// listen waits for an answer while the body is sent. Whoever sends it may wait for the client just then, so that wait
// is interrupted.
func (x *relaying) listen() {
	const long = 365 * 24 * time.Hour // nothing is due before the body has been sent
	up, cn := x.up, x.c.cn
	up.readLimit = long
	x.answer = make(chan error, 1)
	x.answered.Store(false)
	if err := up.arm(up.Conn.SetReadDeadline, &up.readBy, long); err != nil { // here, so that hear can change it
		x.answered.Store(true)
		x.answer <- err
		return
	}
	go func() {
		_, err := up.br.Peek(1)
		x.answered.Store(true)
		cn.interrupt()
		x.answer <- err
	}()
}

// interrupt makes the connection's present and next reads fail until it is resumed.
func (cn *connection) interrupt() {
	cn.interrupted.Store(true)
	_ = cn.Conn.SetReadDeadline(time.Unix(1, 0))
}

// resume reports whether the connection was interrupted.
func (cn *connection) resume() bool {
	if !cn.interrupted.Load() {
		return false
	}
	cn.interrupted.Store(false)
	cn.readBy = time.Time{} // armed anew by the next read
	return true
}

// hear waits for the answer after the body was sent (err is nil) or could not be sent, and reads its header.
func (x *relaying) hear(err error) error {
	up, in := x.up, &x.c.in
	wait := up.writeLimit
	failed := in.err != nil && !x.answered.Load() // by the client
	switch {
	case failed:
		up.abort() // half a request is worth no answer
	case err != nil:
		wait = min(wait, time.Second) // it has answered before it closed, or it will not
	}
	up.mu.Lock()
	if !up.aborted {
		_ = up.Conn.SetReadDeadline(time.Now().Add(wait))
	}
	up.mu.Unlock()
	heard := <-x.answer
	up.readLimit, up.readBy = up.writeLimit, time.Time{}
	if x.c.cn.resume() && !failed && errors.Is(in.err, os.ErrDeadlineExceeded) { // not the client's fault: its body may still be read
		in.err, err = nil, nil
		x.c.close = x.c.close || in.chunked // but not from the middle of a chunk's header
	}
	x.whole = in.done && err == nil
	switch {
	case in.err != nil:
		return in.err
	case heard == nil:
		return x.readHead()
	case err != nil:
		return err
	}
	return heard
}

// spliceFrom is the length from which moving bytes within the kernel is cheaper than copying them.
const spliceFrom = 128 << 10

// splicePiece bounds what moves under one pair of deadlines.
const splicePiece = 256 << 10

// pump sends the rest of the body until its end or an early answer.
func (x *relaying) pump(buf []byte) error {
	in, up := &x.c.in, x.up
	src, dst := tcpOf(x.c.cn.Conn), tcpOf(up.Conn)
	for !in.done && !x.answered.Load() {
		if src != nil && dst != nil && !in.chunked && in.left >= spliceFrom && in.br.Buffered() == 0 {
			if err := x.spliceUp(dst, src); err != nil {
				return err
			}
			continue
		}
		n, err := in.Read(buf)
		if n > 0 {
			if in.chunked {
				var size [20]byte
				werr := up.writev(append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...), buf[:n], []byte("\r\n"))
				if werr != nil {
					return werr
				}
			} else if _, werr := up.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	if in.done && in.chunked {
		_, err := up.Write([]byte("0\r\n\r\n"))
		return err
	}
	return nil
}

// tcpOf returns the connection if bytes can be spliced from and to it: nothing lies between it and the wire.
func tcpOf(c net.Conn) *net.TCPConn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	return t
}

// Of a splice that timed out it must be known which side stood still: bytes that were taken from one and not given to the
// other are lost. The deadline for writing is therefore always the later one.
func writeLimit(progress time.Duration) time.Duration { return 2 * progress }

// spliceUp moves one piece of the body.
func (x *relaying) spliceUp(dst, src *net.TCPConn) error {
	cn, in, up := x.c.cn, &x.c.in, x.up
	if err := cn.armRead(); err != nil {
		return err
	}
	if cn.interrupted.Load() {
		return nil
	}
	if err := up.arm(up.Conn.SetWriteDeadline, &up.writeBy, writeLimit(cn.s.limits.Load().Progress)); err != nil {
		return err
	}
	x.limited.R, x.limited.N = src, min(in.left, splicePiece)
	n, err := dst.ReadFrom(&x.limited)
	in.left -= n
	in.read += n
	in.done = in.left == 0
	waited := errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(up.writeBy) // for the client
	if err != nil && !waited {
		x.c.close = true // what was taken from the client and not given away is lost: where its next request begins is not known
	}
	switch {
	case err == nil && n > 0:
		return nil
	case err == nil:
		return x.clientError(errs.E("httpx.Body", "body", errs.Canceled, "connection ended early"))
	case x.answered.Load(), up.abortedNow():
		return err
	case waited:
		if cn.poked.Swap(false) {
			cn.readBy = time.Time{} // a drain took this connection for an idle one
			return nil
		}
		if n > 0 {
			return nil
		}
		return x.clientError(readError("httpx.Body", "body", err))
	case !errors.Is(err, os.ErrDeadlineExceeded) && gone(src):
		return x.clientError(readError("httpx.Body", "body", err))
	}
	return err
}

func (cn *clientConn) abortedNow() bool {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	return cn.aborted
}
