package httpx

import (
	"io"
	"net/http"
	"strconv"

	"aistore/errs"
	"aistore/internal/jsonx"
)

// Source is a reply body that writes itself, in pieces of any size; large pieces go to the connection
// uncopied, small ones are gathered. The writer is also a Flusher. Close is called exactly once.
type Source interface {
	WriteBody(w io.Writer) error
	Close()
}

// Flusher sends what was gathered of a reply.
type Flusher interface{ Flush() error }

// Status sets the status code of the reply; 200 without it.
func (c *Ctx) Status(code int) { c.status = code }

// SetHeader sets a reply header; an earlier value of the same key is replaced. Bytes that a header cannot
// carry become spaces.
func (c *Ctx) SetHeader(key, value string) { c.headers = setHeader(c.headers, key, value) }

// AddHeaders adds header lines that AppendHeader has made: many headers without a string for each. They are
// sent behind those of SetHeader.
func (c *Ctx) AddHeaders(lines []byte) { c.lines = append(c.lines, lines...) }

// AppendHeader appends a header line. Bytes that a header cannot carry become spaces.
func AppendHeader(b []byte, key, value string) []byte {
	b = append(append(b, key...), ": "...)
	return append(appendValue(b, value), "\r\n"...)
}

// SetFailHeader sets a header that is sent only if the handler returns an error.
func (c *Ctx) SetFailHeader(key, value string) { c.failHeaders = setHeader(c.failHeaders, key, value) }

func setHeader(hs []Header, key, value string) []Header {
	for i := range hs {
		if hs[i].Key == key {
			hs[i].Value = value
			return hs
		}
	}
	return append(hs, Header{key, value})
}

// Write appends to the reply body, which is kept in memory until the handler returns: for short replies.
func (c *Ctx) Write(p []byte) (int, error) {
	c.body = append(c.body, p...)
	return len(p), nil
}

// JSON makes v the reply body.
func (c *Ctx) JSON(v any) error {
	b, err := jsonx.Marshal(v)
	if err != nil {
		return errs.E("httpx.JSON", "reply", err)
	}
	c.SetHeader("Content-Type", "application/json")
	c.body = append(c.body[:0], b...)
	return nil
}

// Redirect makes the reply a 307 to url, which must be encoded already: same method, same body.
func (c *Ctx) Redirect(url string) {
	c.resetReply()
	c.status = 307
	c.SetHeader("Location", url)
}

// SendBytes sends the reply with body b, which is not kept: it may be memory that goes away after the call.
func (c *Ctx) SendBytes(b []byte) error {
	c.begun(int64(len(b)))
	if !c.isHead() {
		if _, err := c.out.Write(b); err != nil {
			return c.broken(err)
		}
	}
	return c.finishSend()
}

// SendHead sends the reply to a HEAD request about a body of size bytes.
func (c *Ctx) SendHead(size int64) error {
	c.headLen = size
	return nil
}

// Send sends the reply with size bytes of body written by src; -1 if the size is not known. On HEAD src is
// only closed. An error of src before anything has left the node can still be answered: return it. Later
// ones cut the connection, so that the client never takes a part for the whole.
func (c *Ctx) Send(size int64, src Source) error {
	defer src.Close()
	c.begun(size)
	if c.isHead() {
		return c.finishSend()
	}
	if err := src.WriteBody(&c.out); err != nil {
		return c.broken(err)
	}
	if c.out.left > 0 && size >= 0 {
		return c.broken(errs.F("httpx.Send", "reply", errs.Other, "BUG: %d of %d bytes were not written", c.out.left, size))
	}
	return c.finishSend()
}

func (c *Ctx) finishSend() error {
	if err := c.out.end(); err != nil {
		return c.broken(err)
	}
	c.done = true
	return nil
}

// broken makes sure that what follows on this connection cannot be taken for the rest of the reply.
func (c *Ctx) broken(err error) error {
	if c.sent {
		c.close = true
		c.done = true
		c.out.cut = true
		if errs.KindOf(err) == errs.Other {
			err = readError("httpx.Send", "reply", err)
		}
		return err
	}
	c.out.reset(c, 0)
	return err
}

func (c *Ctx) resetReply() {
	c.status, c.headLen = 200, -1
	clear(c.headers)
	c.headers = c.headers[:0]
	c.lines = c.lines[:0]
	if cap(c.body) > smallBuffer {
		c.body = nil
	}
	c.body = c.body[:0]
	c.out.reset(c, 0)
}

// begun starts a reply with size bytes of body.
func (c *Ctx) begun(size int64) {
	c.out.reset(c, size)
	c.decideClose()
	c.out.head = c.appendHead(c.out.head, size)
}

// decideClose settles whether the connection ends after this reply, which its header has to say.
func (c *Ctx) decideClose() {
	in := &c.in
	switch {
	case c.close:
	case c.hdr.ConnectionClose(), named(string(c.hdr.Peek("Connection")), "close"), c.s.draining.Load():
		c.close = true
	case in.done:
	case in.ask != nil, // the client was not told to go on: whether the body follows cannot be known
		in.err != nil, !in.chunked && in.left > c.s.limits.Load().MaxDiscard:
		c.close = true
	}
}

func (c *Ctx) appendHead(b []byte, size int64) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(c.status), 10)
	b = append(append(append(b, ' '), http.StatusText(c.status)...), "\r\nDate: "...)
	b = append(append(b, c.s.date.get(c.start)...), "\r\n"...)
	switch {
	case c.status == 304 || c.status == 204:
	case size >= 0:
		b = strconv.AppendInt(append(b, "Content-Length: "...), size, 10)
		b = append(b, "\r\n"...)
	case c.hdr.IsHTTP11():
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	default:
		c.close = true // an HTTP/1.0 client reads to the end of the connection
	}
	b = append(append(append(b, "X-Request-Id: "...), c.requestID()...), "\r\n"...)
	if c.close {
		b = append(b, "Connection: close\r\n"...)
	} else if !c.hdr.IsHTTP11() {
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	for i := range c.headers {
		h := &c.headers[i]
		b = AppendHeader(b, h.Key, h.Value)
	}
	b = append(b, c.lines...)
	return append(b, "\r\n"...)
}

// appendValue appends a header value; control characters, which would end the header, become spaces.
func appendValue(b []byte, v string) []byte {
	from := len(b)
	b = append(b, v...)
	for i, c := range b[from:] {
		if c < ' ' || c == 0x7f {
			b[from+i] = ' '
		}
	}
	return b
}
