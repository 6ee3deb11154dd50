package httpx

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"aistore/errs"
	"aistore/internal/jsonx"
)

// Ctx is one request and its reply. It belongs to the handler until the handler returns and is used again
// for the connection's next request: keep nothing of it. Strings it returns are the caller's own.
type Ctx struct {
	s  *Server
	cn *connection

	hdr    fasthttp.RequestHeader
	target string // request line's target, as sent
	path   string // decoded
	query  string // as sent
	raw    string // header lines, once somebody asks for all
	rest   string
	route  *route
	op     string // chosen by the handler; "" = the route's
	start  time.Time
	idBuf  [128]byte // request id
	idLen  int
	reqID  string // idBuf as a string, once somebody asks
	rctx   *requestContext
	in     bodyReader
	inLen  int64
	small  *[]byte // pooled memory of BodyBytes
	held   int64   // bytes taken from the server's documents
	peeked int     // bytes of the connection's buffer that BodyBytes handed out

	status      int
	headers     []Header
	lines       []byte   // more headers, ready to send
	failHeaders []Header // kept by fail
	body        []byte   // reply body in memory
	headLen     int64    // Content-Length of a reply to HEAD; -1: none
	out         replyWriter
	close       bool // the connection ends after this reply
	sent        bool // bytes of the reply are out: it cannot be changed any more
	done        bool // the reply is complete
}

// Header is one header field.
type Header struct{ Key, Value string }

// begin makes c ready for the request whose header has just been read.
func (c *Ctx) begin(now time.Time) {
	c.start = now
	c.rest, c.reqID, c.raw, c.op, c.idLen, c.route, c.rctx = "", "", "", "", 0, nil, nil
	c.in, c.inLen = bodyReader{done: true}, 0
	c.failHeaders = c.failHeaders[:0]
	c.close, c.sent, c.done = false, false, false
	c.resetReply()
}

// trim gives up memory that the next request can do without.
func (c *Ctx) trim() {
	c.hdr = fasthttp.RequestHeader{}
	c.body, c.lines, c.headers, c.failHeaders, c.out.head = nil, nil, nil, nil, nil
}

// Method returns the request's method in upper case.
func (c *Ctx) Method() string {
	m := c.hdr.Method()
	for _, name := range methods {
		if name == string(m) {
			return name
		}
	}
	return string(m)
}

func (c *Ctx) isHead() bool { return c.hdr.IsHead() }

// Path returns the path with percent escapes decoded and nothing else changed: "//" and ".." are kept.
func (c *Ctx) Path() string { return c.path }

// Rest returns what "*" of the route's path matched, decoded.
func (c *Ctx) Rest() string { return c.rest }

// SetOp names the operation more closely than the route does: one of Route.Ops.
func (c *Ctx) SetOp(op string) { c.op = op }

// Op returns the operation.
func (c *Ctx) Op() string {
	if c.op != "" {
		return c.op
	}
	if c.route == nil {
		return "unknown"
	}
	return c.route.Op
}

// Host returns the Host header.
func (c *Ctx) Host() string { return string(c.hdr.Host()) }

// RemoteAddr returns the peer's "ip:port".
func (c *Ctx) RemoteAddr() string { return c.cn.RemoteAddr().String() }

// RawQuery returns the query as sent, without "?".
func (c *Ctx) RawQuery() string { return c.query }

// Query returns the first value of key, decoded; "" if there is none. A value that cannot be decoded is returned as sent.
func (c *Ctx) Query(key string) string {
	v, _ := lookup(c.query, key)
	return v
}

// HasQuery reports whether key is present, with or without a value.
func (c *Ctx) HasQuery(key string) bool {
	_, ok := lookup(c.query, key)
	return ok
}

// Header returns the first value of a request header, "" if there is none.
func (c *Ctx) Header(key string) string { return string(c.hdr.Peek(key)) }

// HeaderValues returns every value of a repeated request header.
func (c *Ctx) HeaderValues(key string) []string {
	all := c.hdr.PeekAll(key)
	vs := make([]string, len(all))
	for i, v := range all {
		vs[i] = string(v)
	}
	return vs
}

// RequestID returns the id of the request: the client's X-Request-Id if it is well formed, else a new one.
// The reply carries it.
func (c *Ctx) RequestID() string {
	if c.reqID == "" {
		c.reqID = string(c.requestID())
	}
	return c.reqID
}

// requestID is RequestID without the string; the bytes are good until the next request.
func (c *Ctx) requestID() []byte {
	if c.idLen == 0 {
		b := c.idBuf[:0]
		if id := c.hdr.Peek("X-Request-Id"); wellFormedID(id) {
			b = append(b, id...)
		} else {
			b = append(append(b, c.s.idPrefix...), '-')
			b = strconv.AppendUint(b, c.s.idNext.Add(1), 36)
		}
		c.idLen = len(b)
	}
	return c.idBuf[:c.idLen]
}

func wellFormedID(id []byte) bool {
	if len(id) == 0 || len(id) > len(Ctx{}.idBuf) {
		return false
	}
	for _, b := range id {
		if b <= ' ' || b > '~' || b == '"' || b == '\\' {
			return false
		}
	}
	return true
}

// Context returns the context of the request. It ends when the handler returns, the deadline passes, the
// client goes away or the server must stop.
func (c *Ctx) Context() context.Context {
	if c.rctx == nil {
		c.rctx = &requestContext{s: c.s, cn: c.cn, id: c.RequestID()}
		if ms, err := strconv.ParseUint(c.Header(headerTimeout), 10, 40); err == nil && c.s.cfg.Listener == Intra {
			c.rctx.deadline = c.start.Add(time.Duration(ms) * time.Millisecond)
		}
	}
	return c.rctx
}

// headerTimeout carries what is left of the caller's deadline, in milliseconds, between nodes.
const headerTimeout = "Ais-Timeout-Ms"

// BodyLen returns the declared length of the request body, 0 if there is none, -1 if it is unknown (chunked).
func (c *Ctx) BodyLen() int64 { return c.inLen }

// Body returns the request body as a stream. Reading it first asks a client that waits for "100 Continue".
// What the handler leaves unread the server drops. What BodyBytes has returned comes from its beginning: whoever serves a request once more gets all.
func (c *Ctx) Body() io.Reader {
	if c.peeked > 0 || c.small != nil {
		if b, ok := c.BodyBytes(); ok {
			return bytes.NewReader(b)
		}
	}
	return &c.in
}

// LimitBody makes reading more than n bytes of the body an error of kind TooLarge, where the route's own limit
// is higher.
func (c *Ctx) LimitBody(n int64) {
	if c.in.max < 0 || n < c.in.max {
		c.in.max = n
	}
}

// BodyBytes returns the whole body when its declared length is at most ServerConfig.SmallBody; the bytes are
// valid until the handler returns, and the same when it is called again. False for longer and chunked bodies, or when the body failed to
// arrive: reading Body then tells why.
func (c *Ctx) BodyBytes() ([]byte, bool) {
	n := c.inLen
	switch {
	case n == 0:
		return []byte{}, true
	case c.peeked > 0:
		b, err := c.cn.br.Peek(c.peeked)
		return b, err == nil
	case c.small != nil && c.in.err == nil && c.in.read == n:
		return *c.small, true
	case n < 0 || n > int64(c.s.cfg.SmallBody) || c.in.read > 0 || c.in.err != nil || c.small != nil:
		return nil, false
	}
	if n <= int64(c.cn.br.Buffered()) { // arrived together with the header: no copy
		b, err := c.cn.br.Peek(int(n))
		if err == nil {
			c.peeked = int(n)
			c.in.left, c.in.read, c.in.done, c.in.ask = 0, n, true, nil
			return b, true
		}
	}
	c.small = getBuffer(int(n))
	if _, err := io.ReadFull(&c.in, *c.small); err != nil {
		return nil, false
	}
	return *c.small, true
}

// BodyGone reports whether some of the body was read that cannot be read again: the request cannot be served from the beginning any more.
func (c *Ctx) BodyGone() bool {
	return c.in.read > 0 && c.peeked == 0 && (c.small == nil || c.in.err != nil || c.in.read != c.inLen)
}

// ReadJSON decodes the body, at most limit bytes, into v. An empty or malformed body is kind Invalid.
func (c *Ctx) ReadJSON(limit int64, v any) error {
	const op = "httpx.ReadJSON"
	b, err := c.ReadAll(limit)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return errs.E(op, "request body", errs.Invalid, "is empty, JSON is wanted")
	}
	if err := jsonx.Unmarshal(b, v); err != nil {
		return errs.F(op, "request body", errs.Invalid, "is not the JSON that is wanted: %w", err)
	}
	return nil
}

// parseTarget splits and decodes the request target.
func (c *Ctx) parseTarget() error {
	const op = "httpx.parseTarget"
	t := c.target
	if !strings.HasPrefix(t, "/") { // absolute form, as sent to a proxy
		_, after, ok := strings.Cut(t, "://")
		slash := strings.IndexByte(after, '/')
		if !ok || slash < 0 {
			c.path, c.query = t, ""
			return errs.E(op, "request target", errs.Invalid, "is not a path")
		}
		t = after[slash:]
	}
	path, query, _ := strings.Cut(t, "?")
	c.query = query
	var ok bool
	if c.path, ok = unescape(path, unescapePath); !ok {
		return errs.F(op, "request target", errs.Invalid, "%q has a malformed percent escape", path)
	}
	return nil
}
