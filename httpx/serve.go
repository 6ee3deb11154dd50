package httpx

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"aistore/errs"
)

// handle serves the request whose header has been read; false when the connection ends with it.
func (cn *connection) handle() bool {
	c := &cn.ctx
	c.target = string(c.hdr.RequestURI())
	err := c.parseTarget()
	if err != nil {
		c.close = true                                       // nobody has looked for a body: it would be taken for the next request
		c.route, _, _ = cn.s.router.of(cn.s.cfg.Listener, c) // who words the error
	}
	if p := c.hdr.Protocol(); err == nil && string(p) != "HTTP/1.1" && string(p) != "HTTP/1.0" {
		c.close = true
		err = &StatusError{505, errs.F("httpx.handle", "request line", errs.Invalid, "protocol %q is not HTTP/1.1 or HTTP/1.0", p)}
	}
	if err == nil {
		err = cn.dispatch()
	}
	cn.reply(err)
	keep := c.sent && !c.out.cut && cn.finishBody()
	cn.release()
	cn.observe()
	if !keep && c.sent && !c.out.cut {
		cn.linger()
	}
	return keep
}

// dispatch finds the route, applies its policy and runs the handler.
func (cn *connection) dispatch() error {
	c := &cn.ctx
	const op = "httpx.dispatch"
	rt, rest, allow := cn.s.router.of(cn.s.cfg.Listener, c)
	c.route, c.rest = rt, rest
	if err := cn.setBody(); err != nil {
		c.close = true // where this message ends is not certain: nothing after it can be trusted
		return err
	}
	if rt == nil && allow == "" {
		return errs.F(op, c.path, errs.NotFound, "no such route")
	}
	if rt == nil {
		c.SetFailHeader("Allow", allow)
		return &StatusError{405, errs.F(op, c.path, errs.Invalid, "method %s is not one of %s", c.Method(), allow)}
	}
	if c.in.max = rt.Policy.MaxBody; rt.Policy.MaxBody >= 0 && c.inLen > rt.Policy.MaxBody {
		return errs.F(op, "request body", errs.TooLarge, "is %d bytes long, %s %s takes at most %d", c.inLen, rt.Method, rt.Path, rt.Policy.MaxBody)
	}
	class := rt.Policy.Class
	defer cn.s.inflight[class].Add(-1)
	if n, limit := cn.s.inflight[class].Add(1), cn.s.limits.Load().Inflight[class-1]; class != ClassHealth && n > int64(limit) {
		return errs.F(op, "node", errs.Busy, "%d requests are in flight: retry after a second", limit)
	}
	return cn.run(rt.Handler)
}

// setBody prepares the request body's reader. It refuses framing that intermediaries read in different ways
// (RFC 9112 section 6.3): a length beside chunks, or an encoding that is not chunked.
func (cn *connection) setBody() error {
	const op = "httpx.setBody"
	c := &cn.ctx
	cn.phase = phaseBody
	switch n := c.hdr.ContentLength(); {
	case n == -1 && hasField(c.hdr.RawHeaders(), "content-length:"):
		return errs.E(op, "Content-Length", errs.Invalid, "stands beside Transfer-Encoding: send one of them")
	case n < -1 && hasField(c.hdr.RawHeaders(), "transfer-encoding:"):
		return errs.E(op, "Transfer-Encoding", errs.Invalid, "is not chunked: send chunked, or a Content-Length")
	case n == -1:
		c.in.reset(cn.br, -1)
		c.inLen = -1
	case n > 0:
		c.in.reset(cn.br, int64(n))
		c.inLen = int64(n)
	case n == 0 && c.expects():
		return cn.sayContinue() // nothing follows, but botocore mistakes a final status here for that of its next request
	default:
		return nil
	}
	if c.expects() {
		c.in.ask = cn.sayContinue
	}
	return nil
}

// expects reports whether the client waits for "100 Continue" (RFC 9110 section 10.1.1).
func (c *Ctx) expects() bool {
	return bytes.EqualFold(c.hdr.Peek("Expect"), []byte("100-continue")) && c.hdr.IsHTTP11()
}

// hasField reports whether a line of the raw headers begins with field, which is lower-case and ends with a colon.
func hasField(raw []byte, field string) bool {
	for len(raw) >= len(field) {
		if raw[0]|0x20 == field[0] && strings.EqualFold(string(raw[:len(field)]), field) {
			return true
		}
		end := bytes.IndexByte(raw, '\n')
		if end < 0 {
			return false
		}
		raw = raw[end+1:]
	}
	return false
}

func (cn *connection) sayContinue() error {
	_, err := cn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}

func (cn *connection) run(h Handler) (err error) {
	c := &cn.ctx
	defer func() {
		if p := recover(); p != nil {
			cn.s.cfg.Log.Error("handler panicked", "op", c.Op(), "path", c.path, "request", c.RequestID(), "panic", p, "stack", string(debug.Stack()))
			err = errs.F("httpx.run", c.Op(), errs.Other, "internal error; the node's log has the details under request %s", c.RequestID())
		}
	}()
	return h(c)
}

// reply sends what the handler left in memory, or the error.
func (cn *connection) reply(err error) {
	c := &cn.ctx
	if err != nil {
		cn.logFault(err)
		if c.sent {
			c.close, c.out.cut = true, true
			return
		}
		cn.fail(err)
	}
	if c.done {
		return
	}
	size := int64(len(c.body))
	if c.isHead() && c.headLen >= 0 {
		size = c.headLen
	}
	c.begun(size)
	if !c.isHead() && size > 0 && c.status != 304 && c.status != 204 {
		if _, werr := c.out.Write(c.body); werr != nil {
			_ = c.broken(werr)
			return
		}
	}
	_ = c.finishSend()
}

func (cn *connection) logFault(err error) {
	c := &cn.ctx
	level := slog.LevelDebug
	switch errs.KindOf(err) {
	case errs.Other, errs.Corrupt:
		level = slog.LevelError
		var se *StatusError
		if errors.As(err, &se) && se.Status < 500 {
			level = slog.LevelDebug
		}
	case errs.Full, errs.Mountpath:
		level = slog.LevelWarn
	}
	log := cn.s.cfg.Log
	if ctx := cn.s.base; log.Enabled(ctx, level) {
		if level > slog.LevelDebug {
			ok, held := cn.s.faults.admit(time.Now())
			if !ok {
				return
			}
			if held > 0 {
				log = log.With("not_told", held)
			}
		}
		log.Log(ctx, level, "request failed", "op", c.Op(), "method", c.Method(), "path", c.path,
			"kind", errs.KindOf(err).String(), "err", err, "request", c.RequestID(), "client", c.RemoteAddr(), "cut", c.sent)
	}
}

// finishBody drops what is left of the request body; true if the connection can carry another request.
func (cn *connection) finishBody() bool {
	c := &cn.ctx
	if c.peeked > 0 {
		_, _ = cn.br.Discard(c.peeked) // it is buffered
		c.peeked = 0
	}
	if c.close {
		return false
	}
	return c.in.discard(cn.s.limits.Load().MaxDiscard)
}

func (cn *connection) release() {
	c := &cn.ctx
	if c.small != nil {
		putBuffer(c.small)
		c.small = nil
	}
	if c.held > 0 {
		cn.s.documents.Add(-c.held)
		c.held = 0
	}
	if c.rctx != nil {
		c.rctx.end(errCanceled)
		c.rctx = nil
	}
}

func (cn *connection) observe() {
	c := &cn.ctx
	took := time.Since(c.start)
	m := cn.s.unknown
	if c.route != nil {
		m = cn.s.meters[c.route]
		if c.op != "" {
			m = cn.s.byOp[c.op]
		}
	}
	if m != nil {
		m.Observe(c.status, c.in.read, c.out.total, took)
	}
	if log := cn.s.cfg.Log; log.Enabled(cn.s.base, slog.LevelDebug) {
		log.Debug("request", "op", c.Op(), "method", c.Method(), "path", c.path, "status", c.status, "in", c.in.read,
			"out", c.out.total, "took", took, "request", c.RequestID(), "client", c.RemoteAddr())
	}
}
