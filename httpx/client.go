package httpx

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"aistore/errs"
	"aistore/internal/jsonx"
)

// ClientConfig is the configuration of a Client. Zero fields take their defaults.
type ClientConfig struct {
	DialTimeout time.Duration // 0 = 3s
	Progress    time.Duration // a body, or the wait for a reply's header, without any byte for this long is an error; 0 = 60s
	IdleTimeout time.Duration // a pooled connection is not used again after it; less than the server's; 0 = 30s
	MaxIdle     int           // pooled connections per address; 0 = 64
	MaxHeader   int           // bytes of a reply's header; 0 = 16 KiB

	Dial func(ctx context.Context, addr string) (net.Conn, error) // nil = TCP
}

// WithDefaults fills zero fields.
func (c ClientConfig) WithDefaults() ClientConfig {
	c.DialTimeout = orElse(c.DialTimeout, 3*time.Second)
	c.Progress = orElse(c.Progress, 60*time.Second)
	c.IdleTimeout = orElse(c.IdleTimeout, 30*time.Second)
	c.MaxIdle = orElse(c.MaxIdle, 64)
	c.MaxHeader = orElse(c.MaxHeader, 16<<10)
	return c
}

// Client calls other nodes. It keeps connections, follows no redirects, and sends a call once: only a call
// without body that finds its pooled connection dead is sent again, on a new one. Safe for concurrent use.
type Client struct {
	cfg      ClientConfig
	progress atomic.Int64 // nanoseconds
	readers  readerPool
	idle     idlePool
	pipes    pipePool
	relays   sync.Map // *clientConn -> nil: those on which relays, and calls that Hurry, wait for replies
}

// NewClient returns a client without connections.
func NewClient(cfg ClientConfig) *Client {
	c := &Client{cfg: cfg.WithDefaults()}
	c.SetProgress(c.cfg.Progress)
	c.readers.size = c.cfg.MaxHeader
	c.idle.at, c.idle.afar = map[place][]*clientConn{}, map[string]time.Time{}
	return c
}

// SetProgress replaces ClientConfig.Progress for calls from now on.
func (cl *Client) SetProgress(d time.Duration) { cl.progress.Store(int64(d)) }

// begin readies a connection for a call.
func (cl *Client) begin(cn *clientConn) {
	cn.readLimit = time.Duration(cl.progress.Load())
	cn.writeLimit = cn.readLimit
}

// Impatience is how long a relay may wait for the reply of a node that is lost.
const Impatience = 3 * time.Second

// Lost tells that the node at addr ("host:port") does not answer any more: relays, and calls that Hurry, that have sent their whole request and
// wait for its reply end soon, instead of after ClientConfig.Progress. A machine whose power is gone would never close its connections.
func (cl *Client) Lost(addr string) {
	cl.relays.Range(func(k, _ any) bool {
		if cn, ok := k.(*clientConn); ok && cn.addr == addr {
			cn.hurry()
		}
		return true
	})
}

// Close closes pooled connections; calls in flight end by themselves.
func (cl *Client) Close() {
	cl.idle.closeAll()
	cl.pipes.close()
}

// Call is one request. Body, Stream and Source exclude each other.
type Call struct {
	Method  string
	URL     string // "http://127.0.0.1:18080/intra/list?x=y", encoded (AppendPath, AppendQuery)
	Headers []Header

	Body      []byte                  // in memory
	Stream    io.Reader               // sent as it is read, once
	Source    func(w io.Writer) error // instead of Stream: writes the body itself, large pieces uncopied
	StreamLen int64                   // bytes that Stream or Source must give; -1 = unknown (Stream only), sent chunked
	Patience  time.Duration           // for the reply's header, when the work before it takes long; 0 = ClientConfig.Progress
	Hurry     bool                    // a client waits: Lost ends it as it ends a relay, and the time it takes is not the client's (kind Unavailable)
}

func (call *Call) streams() bool { return call.Stream != nil || call.Source != nil }

// Reply is what came back, with status 2xx or 3xx. Close it when its body has been read.
type Reply struct {
	Status int
	Len    int64 // bytes of body; -1 if not known before its end
	Body   io.Reader

	hdr  fasthttp.ResponseHeader
	in   bodyReader
	cl   *Client
	conn *clientConn
	stop func() bool // ends the watch over ctx; false if ctx has ended
	keep bool
}

// Header returns the first value of a reply header, "" if there is none.
func (r *Reply) Header(key string) string { return string(r.hdr.Peek(key)) }

// EachHeader calls f for every reply header.
func (r *Reply) EachHeader(f func(key, value string)) {
	for k, v := range r.hdr.All() {
		f(string(k), string(v))
	}
}

// ReadAll reads at most limit bytes of body and closes the reply; a longer body is kind TooLarge.
func (r *Reply) ReadAll(limit int64) ([]byte, error) {
	defer r.Close()
	if r.Len > limit {
		return nil, errs.F("httpx.ReadAll", "reply", errs.TooLarge, "is %d bytes long, the limit is %d", r.Len, limit)
	}
	if r.Len >= 0 {
		b := make([]byte, r.Len)
		_, err := io.ReadFull(r.Body, b)
		return b, err
	}
	return readAll(r.Body, limit, "reply")
}

// Close gives the connection back if the body was read to its end, or nearly; else it closes it.
func (r *Reply) Close() {
	if r.conn == nil {
		return
	}
	cn := r.conn
	r.conn = nil
	keep := r.keep && r.in.discard(gather)
	if r.stop != nil && !r.stop() {
		keep = false // the end of ctx may already have touched the deadlines
	}
	if keep {
		r.cl.idle.put(cn, r.cl.cfg)
	} else {
		cn.close(r.cl)
	}
}

// Do sends the call and returns the reply once its header has arrived. A status of 400 or more is an error
// with the kind that the server sent, and a *Fault in its chain. Nobody there is kind Unavailable.
func (cl *Client) Do(ctx context.Context, call *Call) (*Reply, error) {
	const op = "httpx.Do"
	addr, target, err := splitURL(call.URL)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, errs.E(op, addr, err)
	}
	once := call.streams() || len(call.Body) > 0
	if cn := cl.idle.get(place{addr: addr}, cl.cfg, once); cn != nil {
		rep, err := cl.exchange(ctx, cn, call, target)
		if err == nil || !errors.Is(err, errStale) || once {
			return rep, err
		}
	}
	cn, err := cl.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return cl.exchange(ctx, cn, call, target)
}

// JSON posts in (nil: no body) and decodes the reply into out (nil: dropped), at most 64 MiB.
func (cl *Client) JSON(ctx context.Context, method, url string, in, out any) error {
	const op = "httpx.JSON"
	call := &Call{Method: method, URL: url}
	if in != nil {
		b, err := jsonx.Marshal(in)
		if err != nil {
			return errs.E(op, url, err)
		}
		call.Body = b
		call.Headers = []Header{{"Content-Type", "application/json"}}
	}
	rep, err := cl.Do(ctx, call)
	if err != nil {
		return err
	}
	b, err := rep.ReadAll(64 << 20)
	if err != nil || out == nil {
		return err
	}
	if err := jsonx.Unmarshal(b, out); err != nil {
		return errs.F(op, url, errs.Other, "reply is not the JSON that is wanted: %w", err)
	}
	return nil
}

func splitURL(url string) (addr, target string, err error) {
	rest, ok := strings.CutPrefix(url, "http://")
	slash := strings.IndexByte(rest, '/')
	if ok && slash < 0 {
		rest, slash = rest+"/", len(rest)
	}
	if !ok || slash == 0 {
		return "", "", errs.F("httpx.Do", "URL", errs.Invalid, "%q is not http://HOST:PORT/PATH", url)
	}
	addr, target = rest[:slash], rest[slash:]
	if strings.IndexByte(addr, ':') < 0 {
		addr += ":80"
	}
	return addr, target, nil
}

// errStale marks a pooled connection that died before a byte of reply came.
var errStale = errors.New("connection was closed by the peer")

// exchange sends the call on cn and reads the reply's header.
func (cl *Client) exchange(ctx context.Context, cn *clientConn, call *Call, target string) (*Reply, error) {
	cl.begin(cn)
	rep := &Reply{cl: cl, conn: cn}
	if ctx.Done() != nil {
		rep.stop = context.AfterFunc(ctx, cn.abort)
	}
	err := cl.send(ctx, cn, call, target, rep)
	if err == nil && rep.Status < 200 { // no final reply yet
		cn.readLimit = orElse(call.Patience, cn.readLimit)
		cn.waits(cl, call.Hurry)
		err = cl.readHeader(cn, rep)
		cn.waits(cl, false)
		cn.readLimit = cn.writeLimit // as begin has left it
	}
	if err != nil {
		rep.Close()
		return nil, cl.callError(ctx, cn, call, err)
	}
	rep.begin(call)
	if rep.Status < 400 {
		return rep, nil
	}
	defer rep.Close()
	return nil, rep.fault(cn.addr)
}

func (cl *Client) callError(ctx context.Context, cn *clientConn, call *Call, err error) error {
	const op = "httpx.Do"
	var ne net.Error
	switch cerr, k := ctx.Err(), errs.KindOf(err); {
	case cerr != nil:
		return errs.E(op, cn.addr, cerr)
	case cn.uses > 0 && !cn.heard && isClosed(err):
		return errs.F(op, cn.addr, errs.Unavailable, "%w: %w", errStale, err)
	case errors.As(err, &ne) && ne.Timeout() && !call.Hurry:
		return errs.F(op, cn.addr, errs.Timeout, "%s %s: %w", call.Method, call.URL, err)
	case k != errs.Other:
		return errs.E(op, cn.addr, k, err)
	}
	return errs.F(op, cn.addr, errs.Unavailable, "%s %s: %w", call.Method, call.URL, err)
}

// send writes the request. When a stream cannot be written because the server has answered already, that
// answer is the result.
func (cl *Client) send(ctx context.Context, cn *clientConn, call *Call, target string, rep *Reply) error {
	bp := getBuffer(smallBuffer)
	defer putBuffer(bp)
	b := cl.appendHead(ctx, (*bp)[:0], call, cn.addr, target)
	if !call.streams() {
		if len(b)+len(call.Body) <= smallBuffer {
			_, err := cn.Write(append(b, call.Body...))
			return err
		}
		return cn.writev(b, call.Body)
	}
	if _, err := cn.Write(b); err != nil {
		return err
	}
	if wantsContinue(call) {
		// The server looks at the header first; silence means that it does not know the question.
		err := cl.awaitContinue(cn, rep)
		if err != nil || rep.Status >= 200 {
			return err
		}
	}
	werr := cl.copyStream(cn, call, *bp)
	if werr != nil && (errors.Is(werr, errSource) || !isClosed(werr)) {
		return werr // the reply to half a request says nothing
	}
	if werr != nil {
		if err := cl.readHeader(cn, rep); err != nil {
			return werr
		}
		if rep.Status < 400 {
			return werr
		}
	}
	return nil
}

// continueFrom is the length from which a stream is announced before it is sent.
const continueFrom = 1 << 20

func wantsContinue(call *Call) bool {
	return call.streams() && (call.StreamLen < 0 || call.StreamLen >= continueFrom)
}

func (cl *Client) appendHead(ctx context.Context, b []byte, call *Call, addr, target string) []byte {
	b = append(append(append(append(b, call.Method...), ' '), target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, addr...), "\r\n"...)
	switch {
	case call.streams() && call.StreamLen < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case call.streams():
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), call.StreamLen, 10), "\r\n"...)
	case len(call.Body) > 0 || call.Method == "POST" || call.Method == "PUT" || call.Method == "PATCH":
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(call.Body)), 10), "\r\n"...)
	}
	if wantsContinue(call) {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	if id := RequestID(ctx); id != "" {
		b = append(appendValue(append(b, "X-Request-Id: "...), id), "\r\n"...)
	}
	if by, ok := ctx.Deadline(); ok {
		ms := max(time.Until(by).Milliseconds(), 1)
		b = append(strconv.AppendInt(append(b, headerTimeout+": "...), ms, 10), "\r\n"...)
	}
	for _, h := range call.Headers {
		b = append(append(b, h.Key...), ": "...)
		b = append(appendValue(b, h.Value), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// copyStream sends the body that call.Stream gives.
func (cl *Client) copyStream(cn *clientConn, call *Call, buf []byte) error {
	if call.Source != nil {
		w := &countedWriter{cn: cn, pipes: &cl.pipes, left: call.StreamLen}
		switch err := call.Source(w); {
		case w.err != nil:
			return w.err
		case err != nil:
			return streamError(err)
		case w.left != 0:
			return streamError(io.ErrUnexpectedEOF)
		}
		return nil
	}
	if call.StreamLen < 0 {
		return copyChunked(cn, call.Stream, buf)
	}
	for left := call.StreamLen; left > 0; {
		n, err := io.ReadFull(call.Stream, buf[:min(left, int64(len(buf)))])
		if n > 0 {
			if _, werr := cn.Write(buf[:n]); werr != nil {
				return werr
			}
			left -= int64(n)
		}
		if err != nil && left > 0 {
			return streamError(err)
		}
	}
	return nil
}

// countedWriter is where a Call.Source writes; it tells the connection's errors from the source's own.
type countedWriter struct {
	cn    *clientConn
	pipes *pipePool
	left  int64
	err   error
}

func (w *countedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		w.err = errs.E("httpx.Do", "request stream", errs.Other, "BUG: the source gives more than it declared")
		return 0, w.err
	}
	n, err := w.cn.Write(p)
	w.left -= int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

func copyChunked(cn *clientConn, r io.Reader, buf []byte) error {
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			head := append(strconv.AppendInt(make([]byte, 0, 16), int64(n), 16), "\r\n"...)
			if werr := cn.writev(head, buf[:n], []byte("\r\n")); werr != nil {
				return werr
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			_, werr := cn.Write([]byte("0\r\n\r\n"))
			return werr
		}
		if err != nil {
			return streamError(err)
		}
	}
}

// errSource marks a failure of the body's source on our own side, which is not the connection's.
var errSource = errors.New("request body ended early")

func streamError(err error) error {
	return errs.F("httpx.Do", "request body", errs.KindOf(err), "%w: %w", errSource, err)
}

// awaitContinue waits a second for "100 Continue" or for a final reply.
func (cl *Client) awaitContinue(cn *clientConn, rep *Reply) error {
	progress := cn.readLimit
	cn.readLimit = time.Second
	_, err := cn.br.Peek(1)
	cn.readLimit = progress
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return nil
	}
	if err != nil {
		return err
	}
	return cl.readHeader(cn, rep)
}

// readHeader reads the next reply header; interim ones other than the awaited "100 Continue" are dropped.
func (cl *Client) readHeader(cn *clientConn, rep *Reply) error {
	waited := rep.Status == 100
	for {
		if _, err := cn.br.Peek(1); err != nil {
			return err
		}
		cn.heard = true
		if err := rep.hdr.Read(cn.br); err != nil {
			return err
		}
		rep.Status = rep.hdr.StatusCode()
		if rep.Status >= 200 || rep.Status == 100 && !waited {
			return nil
		}
	}
}

// begin prepares the reply's body.
func (r *Reply) begin(call *Call) {
	r.keep = !r.hdr.ConnectionClose()
	n := int64(r.hdr.ContentLength())
	switch {
	case call.Method == "HEAD":
		r.Len = n
		r.in.reset(r.conn.br, 0)
	case r.Status == 204 || r.Status == 304:
		r.in.reset(r.conn.br, 0)
	case n >= 0:
		r.Len = n
		r.in.reset(r.conn.br, n)
	case n == -1:
		r.Len = -1
		r.in.reset(r.conn.br, -1)
	default:
		r.Len, r.keep = -1, false
		r.in.reset(r.conn.br, 0)
		r.in.done, r.in.toEOF = false, true
	}
	r.Body = &r.in
}

// fault turns an error reply back into an error of the kind that the server meant.
func (r *Reply) fault(addr string) error {
	f := &Fault{Status: r.Status, Kind: r.Header(headerKind), Message: r.Header("ais-error"), RequestID: r.Header("X-Request-Id")}
	if b, err := readAll(r.Body, 64<<10, "reply"); err == nil && len(b) > 0 && jsonx.Unmarshal(b, f) != nil {
		f.Message = string(b)
	}
	if f.Message == "" {
		f.Message = "status " + strconv.Itoa(r.Status)
	}
	kind := errs.ParseKind(f.Kind)
	if f.Kind == "" {
		kind = kindOfStatus(r.Status)
	}
	return errs.E("httpx.Do", addr, kind, f)
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err)
}

func newReader(cl *Client, cn *clientConn) *bufio.Reader { return cl.readers.get(cn) }
