package httpx

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"aistore/errs"
)

// Relay says where a request is passed on to, and what of its header changes.
type Relay struct {
	Addr   string                // "host:port" of another node
	Target string                // request target there, encoded
	Set    []Header              // in place of the client's headers of the same names
	Drop   func(key string) bool // client's headers that are not passed on, besides those of the connection; nil = none
	Kind   bool                  // the client is told the kind of an error, too

	body []byte // of a request that is small enough, so that it can be sent again
}

// Relay passes the request on to r.Addr, and the reply back: header rebuilt, bodies as they are, in bounded memory, each
// side as fast as the slower one. It reads and sends until both messages have ended, so the handler returns its error.
//
// A client that waits for "100 Continue" gets it when upstream sends one. An answer of upstream that comes before the
// end of the request's body is passed on at once. Reply headers that c has already are kept in place of upstream's.
// Upstream is called off when the client goes away. A dead pooled connection is replaced once if no byte of
// body went out on it.
//
// An error of kind WrongOwner or StaleMap is upstream's answer that it does not serve the request; nothing is lost then,
// and Relay may be called again with the same r and another Addr.
func (c *Ctx) Relay(cl *Client, r *Relay) error {
	x := &relaying{c: c, cl: cl, r: r, lines: len(c.lines)}
	if err := x.takeSmall(); err != nil {
		return err
	}
	up, err := x.connect(true)
	if err != nil {
		return err
	}
	if err = x.exchange(up); err == nil || !errors.Is(err, errStale) {
		return err
	}
	if up, err = x.connect(false); err != nil {
		return err
	}
	return x.exchange(up)
}

// connect returns a connection to upstream, a pooled one if there is one and it may be.
func (x *relaying) connect(pooled bool) (*clientConn, error) {
	once := x.stream || len(x.r.body) > 0
	at := place{addr: x.r.Addr, local: x.c.inLen >= 0 && x.c.inLen < localFrom}
	for {
		if pooled {
			if up := x.cl.idle.get(at, x.cl.cfg, once); up != nil {
				return up, nil
			}
		}
		if !at.local {
			return x.cl.dial(x.c.Context(), at.addr)
		}
		if up := x.cl.dialLocal(x.c.Context(), at.addr); up != nil {
			return up, nil
		}
		at.local = false
	}
}

// relaying is one request on its way.
type relaying struct {
	c     *Ctx
	cl    *Client
	r     *Relay
	up    *clientConn
	lines int // of c.lines that were there before

	head     replyHead
	stream   bool // the body is not in memory
	bodySent bool // bytes of the body may have gone out
	whole    bool // the request went out to its end
	keep     bool // upstream's connection can carry another request

	answer   chan error // what the wait for an early answer came to
	answered atomic.Bool
	limited  io.LimitedReader // of splice
}

// takeSmall reads a short body into memory unless the client waits to be asked for it.
func (x *relaying) takeSmall() error {
	c := x.c
	switch {
	case x.r.body != nil || c.inLen == 0:
		return nil
	case c.inLen < 0 || c.inLen > smallBuffer || c.in.ask != nil:
		x.stream = true
		if c.in.read > 0 {
			return errs.E("httpx.Relay", "request body", errs.Unavailable, "has been read in part")
		}
		return nil
	}
	b, ok := c.BodyBytes()
	if !ok {
		if c.in.err == nil {
			return errs.E("httpx.Relay", "request body", errs.Unavailable, "has been read already")
		}
		return c.in.err
	}
	x.r.body = b
	return nil
}

// exchange sends the request on up and passes the reply back.
func (x *relaying) exchange(up *clientConn) error {
	c := x.c
	x.up, x.keep, x.whole = up, false, false
	x.cl.begin(up)
	_ = c.Context()
	stop := c.rctx.watch(up.abort)
	err := x.request()
	if err == nil && x.head.status < 200 {
		up.waits(x.cl, true)
		err = x.readHead()
		up.waits(x.cl, false)
	}
	if err != nil {
		err = x.upstream(err)
	} else {
		err = x.reply()
	}
	if !stop() {
		x.keep = false // the end of the context may already have touched the deadlines
	}
	if x.keep && x.whole {
		x.cl.idle.put(up, x.cl.cfg)
	} else {
		up.close(x.cl)
	}
	return err
}

// upstream gives an error of upstream's connection its kind.
func (x *relaying) upstream(err error) error {
	const op = "httpx.Relay"
	var ne net.Error
	switch {
	case x.c.in.err != nil && err == x.c.in.err: //nolint:errorlint // is it the client's?
		return err
	case x.c.rctx.Err() != nil:
		return errs.E(op, x.r.Addr, x.c.rctx.Err())
	case x.up.uses > 0 && !x.up.heard && !x.bodySent && isClosed(err):
		return errs.F(op, x.r.Addr, errs.Unavailable, "%w: %w", errStale, err)
	case errors.As(err, &ne) && ne.Timeout():
		return errs.F(op, x.r.Addr, errs.Unavailable, "made no progress: %w", err)
	case errs.KindOf(err) != errs.Other:
		return err
	}
	return errs.F(op, x.r.Addr, errs.Unavailable, "%w", err)
}

// appendHead appends the request's header as upstream gets it. What the client's Connection header names is passed on but for what is always of a
// connection: both nodes are the one server that the client means, and whoever holds a presigned URL could take away a header that it signs.
func (x *relaying) appendHead(b []byte) []byte {
	c := x.c
	b = append(append(append(b, c.hdr.Method()...), ' '), x.r.Target...)
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), x.r.Addr...), "\r\n"...)
	switch {
	case c.inLen < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case c.inLen > 0 || hasField(c.hdr.RawHeaders(), "content-length:"):
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), c.inLen, 10), "\r\n"...)
	}
	if c.in.ask != nil {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	b = append(append(append(b, "X-Request-Id: "...), c.requestID()...), "\r\n"...)
	if by, ok := c.rctx.Deadline(); ok {
		b = append(strconv.AppendInt(append(b, headerTimeout+": "...), max(time.Until(by).Milliseconds(), 1), 10), "\r\n"...)
	}
	for i := range x.r.Set {
		b = AppendHeader(b, x.r.Set[i].Key, x.r.Set[i].Value)
	}
	c.EachHeader(func(key, value string) {
		if ofConnection(key) || has(x.r.Set, key) || x.r.Drop != nil && x.r.Drop(key) {
			return
		}
		b = append(append(append(append(b, key...), ": "...), value...), "\r\n"...)
	})
	return append(b, "\r\n"...)
}

// ofConnection reports whether a header is about one connection or is written anew by whoever passes a message on.
func ofConnection(key string) bool {
	k := ""
	switch len(key) { // most names are settled by it
	case 2:
		k = "te"
	case 4:
		k = "host"
	case 6:
		k = "expect"
	case 7:
		return strings.EqualFold(key, "upgrade") || strings.EqualFold(key, "trailer")
	case 10:
		return strings.EqualFold(key, "connection") || strings.EqualFold(key, "keep-alive")
	case 12:
		k = "x-request-id"
	case 14:
		return strings.EqualFold(key, "content-length") || strings.EqualFold(key, headerTimeout) || strings.EqualFold(key, headerKind)
	case 16:
		k = "proxy-connection"
	case 17:
		k = "transfer-encoding"
	case 18:
		k = "proxy-authenticate"
	case 19:
		k = "proxy-authorization"
	}
	return k != "" && strings.EqualFold(key, k)
}

// named reports whether the Connection header names key as one of its own.
func named(connection, key string) bool {
	for rest := connection; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ",")
		if strings.EqualFold(strings.TrimSpace(name), key) {
			return true
		}
	}
	return false
}

func has(hs []Header, key string) bool {
	for i := range hs {
		if len(hs[i].Key) == len(key) && strings.EqualFold(hs[i].Key, key) {
			return true
		}
	}
	return false
}

// replyHead is what matters of the header of upstream's reply.
type replyHead struct {
	status int
	length int64 // -1: chunked; -2: to the end of the connection
	close  bool
	kind   string // of an error
}

// readHead reads the next header of upstream and appends what is passed on to the reply's.
func (x *relaying) readHead() error {
	br := x.up.br
	for need := 1; ; {
		if _, err := br.Peek(need); err != nil {
			return err
		}
		x.up.heard = true
		buf, err := br.Peek(br.Buffered())
		if err != nil {
			return err
		}
		end := bytes.Index(buf, []byte("\r\n\r\n"))
		if end < 0 {
			need = len(buf) + 1
			continue
		}
		ok := x.parseHead(string(buf[:end]))
		if _, err := br.Discard(end + 4); err != nil {
			return err
		}
		if !ok {
			return errs.E("httpx.Relay", x.r.Addr, errs.Unavailable, "malformed reply header")
		}
		return nil
	}
}

func (x *relaying) parseHead(text string) bool {
	line, rest, _ := strings.Cut(text, "\r\n")
	version, code, _ := strings.Cut(line, " ")
	if len(code) > 3 {
		code = code[:3]
	}
	status, err := strconv.Atoi(code)
	if err != nil || status < 100 || !strings.HasPrefix(version, "HTTP/1.") {
		return false
	}
	h := replyHead{status: status, length: -2, close: version != "HTTP/1.1"}
	c := x.c
	c.lines = c.lines[:x.lines]
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return false
		}
		value = trimField(value)
		switch {
		case strings.EqualFold(key, "content-length"):
			if h.length == -1 {
				return false
			}
			if h.length, err = strconv.ParseInt(value, 10, 64); err != nil || h.length < 0 {
				return false
			}
		case strings.EqualFold(key, "transfer-encoding"):
			if h.length >= 0 || !strings.EqualFold(value, "chunked") {
				return false
			}
			h.length = -1
		case strings.EqualFold(key, "connection"):
			h.close = h.close || named(value, "close")
		case strings.EqualFold(key, headerKind):
			if h.kind = value; x.r.Kind {
				c.lines = AppendHeader(c.lines, headerKind, value)
			}
		case status < 200, ofConnection(key), strings.EqualFold(key, "date"), has(c.headers, key):
		default:
			c.lines = append(append(append(append(c.lines, key...), ": "...), value...), "\r\n"...)
		}
	}
	x.head = h
	return true
}
