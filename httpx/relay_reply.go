package httpx

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"aistore/errs"
)

// reply passes upstream's reply back; its header has been read.
func (x *relaying) reply() error {
	c, h := x.c, &x.head
	for h.status < 200 {
		if err := x.readHead(); err != nil {
			return x.upstream(err)
		}
	}
	if k := errs.ParseKind(h.kind); h.kind != "" && (k == errs.WrongOwner || k == errs.StaleMap) {
		return x.elsewhere(k)
	}
	c.status = h.status
	if c.isHead() || h.status == 204 || h.status == 304 {
		x.keep = !h.close
		c.begun(max(h.length, 0))
		return c.finishSend()
	}
	size := max(h.length, -1)
	c.begun(size)
	var err error
	if size >= 0 {
		err = x.copyFixed(size)
	} else {
		err = x.copyOpen()
	}
	if err != nil {
		return c.broken(err)
	}
	x.keep = !h.close && h.length != -2
	return c.finishSend()
}

// elsewhere tells that upstream does not serve the request, and whether it can be sent to another node.
func (x *relaying) elsewhere(k errs.Kind) error {
	const op = "httpx.Relay"
	var body bodyReader
	if n := x.head.length; n != -2 && !x.head.close {
		body.reset(x.up.br, n)
		x.keep = x.c.isHead() || body.discard(gather)
	}
	x.c.lines = x.c.lines[:x.lines]
	if x.stream && x.c.in.ask == nil {
		return errs.F(op, x.r.Addr, errs.Unavailable, "refused the request (%s), and a part of its body has gone", k)
	}
	return errs.F(op, x.r.Addr, k, "does not serve this name")
}

// copyFixed passes on a body of n bytes.
func (x *relaying) copyFixed(n int64) error {
	br, out := x.up.br, &x.c.out
	if n <= smallBuffer && int64(br.Buffered()) < n {
		bp := getBuffer(int(n))
		defer putBuffer(bp)
		if _, err := io.ReadFull(br, *bp); err != nil {
			return x.early(err)
		}
		_, err := out.Write(*bp)
		return err
	}
	k := min(int64(br.Buffered()), n)
	p, err := br.Peek(int(k))
	if err != nil {
		return x.early(err)
	}
	if _, err := out.Write(p); err != nil {
		return err
	}
	if _, err := br.Discard(int(k)); err != nil {
		return x.early(err)
	}
	if n -= k; n == 0 {
		return nil
	}
	if err := out.Flush(); err != nil {
		return err
	}
	dst, src := tcpOf(x.c.cn.Conn), streamOf(x.up.Conn)
	if dst != nil && src != nil && n >= spliceFrom {
		return x.spliceDown(dst, src, n)
	}
	bp := getBuffer(largeBuffer)
	defer putBuffer(bp)
	for n > 0 {
		m, err := br.Read((*bp)[:min(n, largeBuffer)])
		if m > 0 {
			if _, werr := out.Write((*bp)[:m]); werr != nil {
				return werr
			}
			n -= int64(m)
		}
		if err != nil && n > 0 {
			return x.early(err)
		}
	}
	return nil
}

// copyOpen passes on a body without a length: what comes is sent before more is waited for, because such a reply is also a
// sign of life.
func (x *relaying) copyOpen() error {
	in := bodyReader{br: x.up.br, max: NoLimit, toEOF: true}
	if x.head.length == -1 {
		in.reset(x.up.br, -1)
	}
	bp := getBuffer(smallBuffer)
	defer putBuffer(bp)
	for {
		if x.up.br.Buffered() == 0 {
			if err := x.c.out.Flush(); err != nil {
				return err
			}
		}
		n, err := in.Read(*bp)
		if n > 0 {
			if _, werr := x.c.out.Write((*bp)[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return x.early(err)
		}
	}
}

// early says that upstream's reply broke off.
func (x *relaying) early(err error) error {
	if cerr := x.c.rctx.Err(); cerr != nil {
		return errs.E("httpx.Relay", x.r.Addr, cerr)
	}
	return errs.F("httpx.Relay", x.r.Addr, errs.Unavailable, "the reply broke off: %w", err)
}

// spliceDown moves n bytes of reply.
func (x *relaying) spliceDown(dst *net.TCPConn, src streamConn, n int64) error {
	cn, up, out := x.c.cn, x.up, &x.c.out
	x.c.sent = true
	for n > 0 {
		progress := cn.s.limits.Load().Progress
		if err := up.arm(up.Conn.SetReadDeadline, &up.readBy, progress); err != nil {
			return x.early(err)
		}
		if by := renewed(time.Now(), cn.writeBy, writeLimit(progress)); !by.Equal(cn.writeBy) {
			cn.writeBy = by
			if err := cn.Conn.SetWriteDeadline(by); err != nil {
				return err
			}
		}
		x.limited.R, x.limited.N = src, min(n, splicePiece)
		m, err := dst.ReadFrom(&x.limited)
		n -= m
		out.left -= m
		out.total += m
		switch {
		case err == nil && m > 0, err != nil && m > 0 && errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(cn.writeBy) && !up.abortedNow():
		case err == nil:
			return x.early(io.ErrUnexpectedEOF)
		case up.abortedNow(), errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(cn.writeBy):
			return x.early(err)
		default:
			return err
		}
	}
	return nil
}
