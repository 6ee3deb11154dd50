package load

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"aistore/cmd/aisloader/content"
	"aistore/cmd/aisloader/hist"
	"aistore/cmd/aisloader/wire"
)

// inlineMax is up to where a body travels in one buffer with its head; beyond, pieces of the pool are sent uncopied.
const inlineMax = 16 << 10

// expectFrom is the body length from which a PUT to an endpoint that may redirect waits to be asked for its body.
const expectFrom = 64 << 10

// worker is one goroutine of load: its connections, its scratch, its counts.
type worker struct {
	run   *run
	d     dialect
	conns map[string]*wire.Conn
	rng   *rand.Rand
	check content.Checker

	head, key, page []byte
	parts           [][]byte
	mine            []int64 // names that this worker has put and not deleted, in a mix with deletes
	lenient         bool    // cleaning up: an object that is not there is no error

	tally tally
}

// tally is what a worker counts; one for each phase.
type tally struct {
	lat        [opCount]hist.Histogram
	bytes      [opCount]int64
	errors     [opCount]int64
	samples    []string // of errors
	mismatches int64
	redirects  int64
	reconnects int64
	pages      int64
	names      int64
	durability string
}

// MismatchError says that what was read is not what was put.
type MismatchError struct{ Err error }

func (e *MismatchError) Error() string { return "MISMATCH: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *MismatchError) Unwrap() error { return e.Err }

// do carries out one operation on one name and counts it.
func (w *worker) do(ctx context.Context, op Op, index int64) {
	began := time.Now()
	var n int64
	var err error
	if op == List {
		err = w.list(ctx, began)
	} else {
		w.key = appendKey(w.key[:0], w.run.cfg.Prefix, index)
		n, err = w.object(ctx, op, string(w.key), began)
	}
	var reply *replyError
	switch {
	case err != nil && ctx.Err() != nil:
		return // cut off by the end of the run
	case w.lenient && errors.As(err, &reply) && reply.status == 404:
		return
	}
	t := &w.tally
	if err == nil {
		t.lat[op].Record(time.Since(began))
		t.bytes[op] += n
		return
	}
	t.errors[op]++
	var m *MismatchError
	if errors.As(err, &m) {
		t.mismatches++
	}
	if len(t.samples) < 5 {
		t.samples = append(t.samples, fmt.Sprintf("%v %s: %v", op, w.key, err))
	}
	w.run.failed.Add(1)
}

// appendKey makes the name of an index: 8 digits, in byte order as in number.
func appendKey(b []byte, prefix string, index int64) []byte {
	b = append(b, prefix...)
	var d [20]byte
	at := len(d)
	for n := index; n > 0 || at > len(d)-8; n /= 10 {
		at--
		d[at] = byte('0' + n%10)
	}
	return append(b, d[at:]...)
}

const maxHops = 4

// object sends the request to the right place, following redirects and mending a stale map.
func (w *worker) object(ctx context.Context, op Op, key string, now time.Time) (int64, error) {
	pool := w.run.pool
	obj := pool.Object(key, w.run.cfg.Sizes.of(pool.Hash(key)))
	var known *routed
	if w.run.routes != nil {
		known = w.run.routes.view.Load()
	}
	head, addr := w.d.object(w.head[:0], op, key, obj.Size, now)
	w.head = head
	for hop := 0; ; hop++ {
		n, next, err := w.exchange(ctx, op, addr, obj, now, w.run.routes == nil && hop == 0)
		if err == nil && next == "" {
			return n, nil
		}
		if hop == maxHops {
			return 0, errors.Join(fmt.Errorf("still sent elsewhere after %d tries", hop+1), err)
		}
		var reply *replyError
		if next != "" && (err == nil || errors.As(err, &reply)) { // a server that answered sent it elsewhere
			w.tally.redirects++
		}
		if next == refreshMap {
			if rerr := w.run.routes.refresh(ctx, known); rerr != nil {
				return 0, fmt.Errorf("%w; and no new map: %w", err, rerr)
			}
			known = w.run.routes.view.Load()
			w.head, addr = w.d.object(w.head[:0], op, key, obj.Size, now)
			continue
		}
		if err != nil {
			return 0, err
		}
		if w.head, addr, err = redirected(w.head[:0], op, next, obj.Size); err != nil {
			return 0, err
		}
	}
}

// redirected builds the head of the request to a redirect's target.
func redirected(head []byte, op Op, location string, size int64) ([]byte, string, error) {
	rest, ok := strings.CutPrefix(location, "http://")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash <= 0 {
		return head, "", fmt.Errorf("redirected to %q, which is not http://HOST/PATH", location)
	}
	host, uri := rest[:slash], rest[slash:]
	head = append(append(append(head, methodOf(op)...), ' '), uri...)
	return appendLength(appendStart(head, op, host), op, size), host, nil
}

// refreshMap is exchange's word for a refusal that a newer map mends.
const refreshMap = "\x00map"

// exchange sends w.head to addr once (again on a new connection if a kept one turns out to be closed). next is
// where the reply redirects to.
func (w *worker) exchange(ctx context.Context, op Op, addr string, obj content.Object, now time.Time, mayRedirect bool) (n int64, next string, err error) {
	for {
		c, err := w.conn(ctx, addr)
		if err != nil {
			return 0, w.mend(), err
		}
		expect := op == Put && mayRedirect && obj.Size > expectFrom && w.run.cfg.API == Native
		n, next, err = w.once(c, op, obj, now, expect)
		var broken *wire.BrokenError
		var reply *replyError
		switch {
		case err == nil:
		case errors.Is(err, wire.ErrStale):
			w.drop(c)
			w.tally.reconnects++
			continue
		case errors.As(err, &reply):
			if reply.stale {
				next = w.mend()
			}
		case errors.As(err, &broken), !isMismatch(err):
			w.drop(c)
		}
		return n, next, err
	}
}

func isMismatch(err error) bool {
	var m *MismatchError
	return errors.As(err, &m)
}

// mend says refreshMap where there is a map.
func (w *worker) mend() string {
	if w.run.routes == nil {
		return ""
	}
	return refreshMap
}

// conn returns the kept connection to addr, or a new one.
func (w *worker) conn(ctx context.Context, addr string) (*wire.Conn, error) {
	if c := w.conns[addr]; c != nil {
		return c, nil
	}
	c, err := wire.Dial(ctx, addr, w.run.cfg.Timeout)
	if err != nil {
		return nil, err
	}
	w.conns[addr] = c
	w.run.track(c)
	return c, nil
}

func (w *worker) drop(c *wire.Conn) {
	_ = c.Close()
	delete(w.conns, c.Addr)
	w.run.untrack(c)
}

// replyError is an answer other than success.
type replyError struct {
	status int
	text   string
	stale  bool // wrong owner, or an older map: a new map mends it
}

func (e *replyError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.text) }

// once does one exchange on c.
func (w *worker) once(c *wire.Conn, op Op, obj content.Object, now time.Time, expect bool) (int64, string, error) {
	head := w.head
	w.parts = w.parts[:0]
	if op == Put {
		if expect {
			head = append(head, "Expect: 100-continue\r\n"...)
		} else if obj.Size > inlineMax {
			w.parts = obj.Append(w.parts)
		}
	}
	head = append(head, "\r\n"...)
	if op == Put && obj.Size <= inlineMax {
		head = obj.AppendBytes(head)
	}
	if err := c.Send(now, head, w.parts); err != nil {
		return 0, "", err
	}
	resp, err := w.receive(c, op, obj, expect)
	if err != nil {
		return 0, "", err
	}
	switch {
	case resp.Status == 307:
		next := string(resp.Header("location"))
		_, err := c.Body(&resp, nil)
		if resp.Close {
			w.drop(c)
		}
		return 0, next, err
	case resp.Status/100 != 2:
		return 0, "", w.refused(c, &resp)
	}
	n, err := w.accept(c, op, &resp, obj)
	if resp.Close {
		w.drop(c)
	}
	return n, "", err
}

// receive reads the reply's head, sending the body first when the server asks for it.
func (w *worker) receive(c *wire.Conn, op Op, obj content.Object, expect bool) (wire.Response, error) {
	if !expect {
		return c.Receive(methodOf(op))
	}
	resp, err := c.ReceiveContinue(methodOf(op))
	if err != nil || resp.Status != 100 {
		resp.Close = true // the server may still wait for the body
		return resp, err
	}
	w.parts = obj.Append(w.parts[:0])
	if err := c.SendBody(w.parts); err != nil {
		return resp, err
	}
	return c.Receive(methodOf(op))
}

// accept reads the body of a good reply and checks it.
func (w *worker) accept(c *wire.Conn, op Op, resp *wire.Response, obj content.Object) (int64, error) {
	switch op {
	case Put:
		if w.tally.durability == "" {
			w.tally.durability = string(resp.Header("ais-durability"))
		}
		_, err := c.Body(resp, nil)
		return obj.Size, err
	case Head:
		if n := string(resp.Header("content-length")); w.run.cfg.Verify && n != strconv.FormatInt(obj.Size, 10) {
			return 0, &MismatchError{fmt.Errorf("HEAD says %q bytes, put were %d", n, obj.Size)}
		}
		return 0, nil
	case Get:
		if !w.run.cfg.Verify {
			return c.Body(resp, nil)
		}
		w.check.Reset(obj)
		n, err := c.Body(resp, func(p []byte) error {
			_, err := w.check.Write(p)
			return err
		})
		var broken *wire.BrokenError
		if err == nil {
			err = w.check.Done()
		}
		if err != nil && !errors.As(err, &broken) {
			err = &MismatchError{err}
		}
		return n, err
	}
	_, err := c.Body(resp, nil)
	return 0, err
}

// refused reads the body of an error reply.
func (w *worker) refused(c *wire.Conn, resp *wire.Response) error {
	kind := string(resp.Header("ais-error-kind"))
	e := &replyError{status: resp.Status, stale: kind == "wrong-owner" || kind == "stale-map"}
	closes := resp.Close
	var text bytes.Buffer
	_, err := c.Body(resp, func(p []byte) error {
		text.Write(p[:min(len(p), maxErrorText-text.Len())])
		return nil
	})
	if closes || err != nil {
		w.drop(c)
	}
	e.text = strings.TrimSpace(kind + " " + saying(text.String()))
	if resp.Status == 404 && !w.run.cfg.Fill {
		e.text += " (--fill puts the objects first, --create-bucket makes the bucket)"
	}
	return e
}

// maxErrorText is how much of the body of an error is looked at.
const maxErrorText = 2 << 10

// saying is what an error's body says to people: the message of the native API's JSON or of S3's XML, or what it begins with.
func saying(body string) string {
	var native struct{ Message string }
	if json.Unmarshal([]byte(body), &native) == nil && native.Message != "" {
		return native.Message
	}
	var s3 struct{ Code, Message string }
	if xml.Unmarshal([]byte(body), &s3) == nil && s3.Code != "" {
		return strings.TrimSpace(s3.Code + " " + s3.Message)
	}
	return body[:min(len(body), 300)]
}

// list reads one whole listing.
func (w *worker) list(ctx context.Context, now time.Time) error {
	var token []byte
	w.key = append(w.key[:0], w.run.cfg.Prefix...)
	for {
		head, addr, body := w.d.page(w.head[:0], token, now)
		w.head = append(head, "\r\n"...)
		w.head = append(w.head, body...)
		if err := w.fetchPage(ctx, addr, now); err != nil {
			return err
		}
		names, next, err := w.d.next(w.page)
		if err != nil {
			return err
		}
		w.tally.pages++
		w.tally.names += int64(names)
		if next == nil {
			return nil
		}
		if bytes.Equal(next, token) {
			return errors.New("the listing repeats a page")
		}
		token, now = next, time.Now()
	}
}

// fetchPage sends w.head and reads the reply into w.page.
func (w *worker) fetchPage(ctx context.Context, addr string, now time.Time) error {
	for {
		c, err := w.conn(ctx, addr)
		if err != nil {
			return err
		}
		var resp wire.Response
		if err = c.Send(now, w.head, nil); err == nil {
			resp, err = c.Receive("GET")
		}
		if errors.Is(err, wire.ErrStale) {
			w.drop(c)
			w.tally.reconnects++
			continue
		}
		if err != nil {
			w.drop(c)
			return err
		}
		if resp.Status != 200 {
			return w.refused(c, &resp)
		}
		w.page = w.page[:0]
		_, err = c.Body(&resp, func(p []byte) error { w.page = append(w.page, p...); return nil })
		if err != nil || resp.Close {
			w.drop(c)
		}
		return err
	}
}
