package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"aistore/api"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
)

// call is one request of the API; it may be sent several times.
//
// do walks it through these steps: choose a node (route.go), send and follow redirects (once), judge the
// answer (outcome), and either return, or note what was learnt, wait, and go back to the first step.
type call struct {
	op     string // "client.Put": for errors
	name   string // what the caller asked about: ais://bucket/object
	method string
	path   string // percent-encoded
	query  url.Values
	header http.Header

	body   *Body
	sum    cksum.Type // checksum of the body to compute on its way
	expect bool       // hold the body back until the server asks for it
	key    *placed    // an object: goes to its owner; nil: to a gateway
	sent   []*counted // bodies given to net/http
	node   string     // URL of the one node to ask; "" = as key says
	repeat repeat
	stall  time.Duration // instead of Options.Stall, where the answer takes its time
	done   errs.Kind     // after an attempt of unknown fate, this kind of refusal means that the change was made
}

// placed names an object for routing.
type placed struct {
	bucket api.Bck
	key    string
}

// reply is a successful answer whose body the caller reads and closes.
type reply struct {
	*http.Response
	sum    cksum.Value // of the body that was sent, when call.sum asked for it
	assume bool        // no answer of its own: an earlier attempt of unknown fate has made the change
}

const maxHops = 5

// do sends the call until it succeeds, or its failure is final or can no longer be repeated.
func (c *Client) do(ctx context.Context, q *call) (*reply, error) {
	began := time.Now()
	defer q.settle()
	var doubt error // why an earlier attempt's fate is unknown
	t := trip{c: c, q: q}
	for n := 1; ; n++ {
		dest, err := t.next(ctx)
		var rep *reply
		if err == nil {
			rep, err = c.once(ctx, q, dest)
		}
		if err == nil {
			c.routes.saw(rep.Response)
			return rep, nil
		}
		f := fail(q, dest, err)
		if doubt != nil && q.done != errs.Other && errs.Is(f.err, q.done) {
			return &reply{Response: &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, assume: true}, nil
		}
		if f.unsure {
			doubt = f.err
		}
		if ctx.Err() != nil { // says nothing of the node
			f.err = ended(ctx, f)
			return nil, f.last(q, doubt)
		}
		again := t.learn(ctx, f)
		switch {
		case doubt != nil && q.repeat == harmful:
			return nil, f.last(q, doubt)
		case !again: // an answer, however many attempts it took to get it
			return nil, errs.E(q.op, q.name, f.err)
		case n >= c.opt.Retry.Attempts || time.Since(began) > c.opt.Retry.Within:
			return nil, f.final(q, n, c.routes.view.Load())
		case q.body != nil && !q.body.again():
			return nil, errs.F(q.op, q.name, errs.KindOf(f.err), "%w; it was not repeated because its content comes from a stream that has gone on", f.err)
		}
		var pause time.Duration
		if !t.hurry {
			pause = c.opt.Retry.pause(t.waits, f.after)
		}
		c.opt.Log.DebugContext(ctx, "request repeated", "op", q.op, "name", q.name, "node", dest.url, "attempt", n, "pause", pause, "err", f.err)
		if err := sleep(ctx, pause); err != nil {
			return nil, errs.E(q.op, q.name, ended(ctx, f))
		}
	}
}

// ended is the context's error with the last failure's text.
func ended(ctx context.Context, f *failure) error {
	if errors.Is(f.err, ctx.Err()) {
		return f.err
	}
	return fmt.Errorf("%w (last: %v)", context.Cause(ctx), f.err) //nolint:errorlint // the kind is the context's
}

// failure is one attempt that did not succeed.
type failure struct {
	err    error
	dest   target
	after  time.Duration // Retry-After
	unsure bool          // the server may have carried the request out
	lost   bool          // the node could not be reached, or went away
	ours   bool          // the caller's content could not be read
}

// fail judges err.
func fail(q *call, dest target, err error) *failure {
	f := &failure{err: err, dest: dest}
	if f.ours = errors.As(err, new(*contentError)); f.ours { // whatever is in its chain: the content may itself come from a node
		return f
	}
	var r *ReplyError
	if errors.As(err, &r) {
		f.after = r.RetryAfter
		// A target that answers unavailable may have lost its lease after the commit, and a control change may have
		// been committed though its answer was lost; a gateway that was asked for an object commits nothing.
		f.unsure = errs.Is(err, errs.Unavailable, errs.Timeout, errs.Other) && !(r.byGateway && q.key != nil)
		return f
	}
	var s *sendError
	if errors.As(err, &s) {
		f.lost = true
		f.unsure = s.sent
		f.dest.url = s.base
		if errs.KindOf(err) == errs.Other {
			f.err = errs.E("", "", errs.Unavailable, err)
		}
	}
	return f
}

// final is the error the caller gets when the attempts are used up. v is the newest view, nil if there is none: of a request for the gateways
// that none of them has answered it names them all, as the caller may have named a target and not heard of any.
func (f *failure) final(q *call, attempts int, v *cluster.View) error {
	err := f.err
	if f.lost && q.key == nil && q.node == "" && v != nil {
		var ids []string
		for _, n := range v.Map.Gateways() {
			ids = append(ids, string(n.ID))
		}
		err = errs.F("", nil, errs.KindOf(f.err), "no gateway answers, of %s: %w", strings.Join(ids, " "), f.err)
	}
	if attempts > 1 {
		return errs.F(q.op, q.name, errs.KindOf(f.err), "%w; gave up after %d attempts", err, attempts)
	}
	return errs.E(q.op, q.name, err)
}

// last is the error of a request that is not sent again, though it may have been carried out.
func (f *failure) last(q *call, doubt error) error {
	if doubt == nil || q.repeat != harmful {
		return errs.E(q.op, q.name, f.err)
	}
	return errs.F(q.op, q.name, errs.KindOf(f.err), "%w; the request may have been carried out or not, and repeating it could do it twice: look before trying again", f.err)
}

// sendError is an attempt without an answer.
type sendError struct {
	base string // URL of the node
	sent bool   // a connection was there: the server may have seen the request
	err  error
}

func (e *sendError) Error() string { return e.base + ": " + cause(e.err).Error() }
func (e *sendError) Unwrap() error { return e.err }

// cause drops net/http's wrapping with method and URL.
func cause(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// once sends the call to dest and follows redirects. Success is any 2xx.
func (c *Client) once(ctx context.Context, q *call, dest target) (*reply, error) {
	base, uri := dest.url, q.path
	if len(q.query) > 0 {
		uri += "?" + q.query.Encode()
	}
	gateway := dest.gateway
	for hop := 0; ; hop++ {
		resp, sum, err := c.send(ctx, q, base, uri)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusPermanentRedirect:
			to, err := resp.target(base)
			resp.Close()
			if err != nil || hop == maxHops {
				return nil, errs.F(q.op, q.name, errs.Other, "%s redirects %d times, last to %q", dest.url, hop+1, resp.Header.Get("Location"))
			}
			base, uri, gateway = to.Scheme+"://"+to.Host, to.RequestURI(), false
		case resp.StatusCode >= 300:
			return nil, c.refused(resp, gateway)
		default:
			return &reply{Response: resp.Response, sum: sum()}, nil
		}
	}
}

// answer is a response whose body stops the watchdog when it is closed.
type answer struct{ *http.Response }

// target returns the redirect's Location, absolute. It is not resolved as RFC 3986 has it: that would drop dot segments,
// which are names here.
func (a answer) target(base string) (*url.URL, error) {
	loc := a.Header.Get("Location")
	if strings.HasPrefix(loc, "/") {
		loc = base + loc
	}
	u, err := url.Parse(loc)
	if err == nil && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		err = errs.F("client.redirect", "Location", errs.Other, "%q is no URL of a node", loc)
	}
	return u, err
}

// Close drains a short body, so that the connection is kept, and closes it.
func (a answer) Close() {
	_, _ = io.CopyN(io.Discard, a.Body, 32<<10)
	_ = a.Body.Close()
}

// send does one exchange. Its context ends when nothing moves for Options.Stall.
func (c *Client) send(ctx context.Context, q *call, base, uri string) (answer, func() cksum.Value, error) {
	u, err := url.Parse(base + uri)
	if err != nil {
		return answer{}, nil, errs.E(q.op, base+uri, errs.Invalid, err)
	}
	w := newWatchdog(ctx, max(q.stall, c.opt.Stall))
	req := (&http.Request{
		Method: q.method, URL: u, Host: u.Host, Header: make(http.Header, len(q.header)+3),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	})
	for k, v := range q.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", c.opt.UserAgent)
	if v := c.routes.view.Load(); v != nil && q.key != nil {
		req.Header.Set(api.HeaderMapVersion, strconv.FormatUint(v.Map.Version, 10))
	}
	if q.body != nil {
		if err := q.attach(req, w.touch); err != nil {
			w.stop()
			return answer{}, nil, err
		}
	}
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	//nolint:contextcheck // w.ctx is made from the caller's context and ends with it
	resp, err := c.http.RoundTrip(req.WithContext(httptrace.WithClientTrace(w.ctx, trace)))
	if err != nil {
		if c := context.Cause(w.ctx); c != nil { //nolint:contextcheck // as above
			err = c
		}
		w.stop()
		if fault := q.contentFault(); fault != nil {
			return answer{}, nil, fault
		}
		if errs.KindOf(err) == errs.Invalid { // of the content's length, not of the network
			return answer{}, nil, err
		}
		return answer{}, nil, &sendError{base: base, sent: connected.Load() && !unsent(err), err: err}
	}
	resp.Body = &watched{ReadCloser: resp.Body, w: w}
	return answer{resp}, q.sentSum, nil
}

// attach gives the request its content. Each sending has a reader of its own: net/http may still hold the last one.
func (q *call) attach(req *http.Request, touch func()) error {
	if q.body.size == 0 {
		req.Body = http.NoBody
		return nil
	}
	open := func() (io.ReadCloser, error) {
		r, err := q.body.open()
		if err != nil {
			return nil, err
		}
		b := &counted{r: r, left: q.body.size, touch: touch, closed: make(chan struct{})}
		if q.sum != cksum.None {
			b.sum = cksum.New(q.sum)
		}
		q.sent = append(q.sent, b)
		return b, nil
	}
	b, err := open()
	if err != nil {
		return err
	}
	req.Body, req.ContentLength = b, q.body.size
	if q.body.stream == nil { // lets net/http move to a new connection when a kept one was already closed
		req.GetBody = open
	}
	if q.expect {
		req.Header.Set("Expect", "100-continue")
	}
	return nil
}

// sentSum returns the checksum of the body that went out last, none if it did not go out whole.
func (q *call) sentSum() cksum.Value {
	if len(q.sent) == 0 {
		return cksum.Of(q.sum, nil)
	}
	if b := q.sent[len(q.sent)-1]; b.ended.Load() {
		return b.sum.Sum()
	}
	return cksum.Value{}
}

// contentFault returns why the content of the last sending could not be read, nil if it could.
func (q *call) contentFault() error {
	if len(q.sent) == 0 {
		return nil
	}
	if fault := q.sent[len(q.sent)-1].fault.Load(); fault != nil {
		return &contentError{*fault}
	}
	return nil
}

// contentError is a failure of the caller's content: no node is to blame, and to try again would not help. What was sent of it is not
// taken for the whole by any server.
type contentError struct{ err error }

func (e *contentError) Error() string { return "the content cannot be read: " + e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

// settle waits until net/http has let go of the caller's memory, which it may hold on to for a moment after an early
// reply. A stream is not waited for: its Read may never return.
func (q *call) settle() {
	if q.body == nil || q.body.stream != nil {
		return
	}
	for _, b := range q.sent {
		<-b.closed
	}
}

// ReplyError is the cause of an error that a node answered with.
type ReplyError struct {
	Status     int
	Message    string // the server's words; they name the bucket or object
	Node       string // id of the node, if it told
	RequestID  string // finds the request in the nodes' logs
	RetryAfter time.Duration

	byGateway bool // answered by a node that stores nothing
}

// Error returns the server's message.
func (e *ReplyError) Error() string { return e.Message }

// refused turns an error reply into an error with the kind that the server gave it.
func (c *Client) refused(a answer, gateway bool) error {
	defer a.Close()
	c.routes.saw(a.Response)
	r := &ReplyError{Status: a.StatusCode, RequestID: a.Header.Get(api.HeaderRequestID), byGateway: gateway}
	if s, err := strconv.Atoi(a.Header.Get("Retry-After")); err == nil && s > 0 {
		r.RetryAfter = time.Duration(s) * time.Second
	}
	kind := errs.ParseKind(a.Header.Get(api.HeaderErrorKind))
	var e api.Error
	if raw, err := io.ReadAll(io.LimitReader(a.Body, 64<<10)); err == nil && len(raw) > 0 && decodeJSON(raw, &e) == nil {
		r.Message, r.Node = e.Message, e.Node
		if kind == errs.Other {
			kind = errs.ParseKind(e.Kind)
		}
	}
	if r.Message == "" {
		r.Message = a.Header.Get("ais-error") // where there is no body: HEAD
	}
	if kind == errs.Other {
		kind = kindOfStatus(a.StatusCode)
	}
	if r.Message == "" {
		r.Message = strings.ReplaceAll(kind.String(), "-", " ") + " (" + a.Status + ")"
	}
	return errs.E("", "", kind, r)
}

// kindOfStatus is for replies that name no kind: of load balancers and the like.
func kindOfStatus(status int) errs.Kind {
	switch status {
	case http.StatusBadRequest:
		return errs.Invalid
	case http.StatusUnauthorized:
		return errs.Unauthorized
	case http.StatusForbidden:
		return errs.Forbidden
	case http.StatusNotFound:
		return errs.NotFound
	case http.StatusConflict:
		return errs.Conflict
	case http.StatusPreconditionFailed:
		return errs.Precondition
	case http.StatusNotModified:
		return errs.NotModified
	case http.StatusRequestedRangeNotSatisfiable:
		return errs.Range
	case http.StatusRequestEntityTooLarge:
		return errs.TooLarge
	case http.StatusTooManyRequests:
		return errs.Busy
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return errs.Unavailable
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return errs.Timeout
	case http.StatusMisdirectedRequest:
		return errs.WrongOwner
	case http.StatusInsufficientStorage:
		return errs.Full
	case http.StatusNotImplemented:
		return errs.Unsupported
	}
	return errs.Other
}
