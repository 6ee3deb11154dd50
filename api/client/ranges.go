package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"aistore/errs"
	"aistore/object"
)

// GetRanges asks for several ranges of the object in one request; close the Parts. Every span must begin inside
// the object; one that goes past its end is cut. Ranges are not covered by the object's checksum; the server checks
// every block it reads.
func (b *Bucket) GetRanges(ctx context.Context, key string, spans []object.Span, o GetOptions) (*Parts, error) {
	const op = "client.GetRanges"
	if len(spans) == 0 || len(spans) > object.MaxRanges {
		return nil, errs.F(op, b.name(key), errs.Invalid, "%d ranges: ask for 1 to %d", len(spans), object.MaxRanges)
	}
	for _, s := range spans {
		if s.Start < 0 || s.Length <= 0 {
			return nil, errs.F(op, b.name(key), errs.Invalid, "range %d+%d: start and length must be positive", s.Start, s.Length)
		}
	}
	q, err := b.object(op, http.MethodGet, key)
	if err != nil {
		return nil, err
	}
	setConditions(q.header, &o.If)
	p := &Parts{ctx: ctx, b: b, q: q, spans: append([]object.Span(nil), spans...), n: -1}
	for i, s := range p.spans { // MaxInt64 may be meant as all there is
		p.spans[i].Length = max(min(s.Length, math.MaxInt64-s.Start), 1)
	}
	if err := p.ask(0); err != nil {
		return nil, err
	}
	return p, nil
}

// Parts are the ranges of a multi-range read, in the order asked for. A cut connection is mended as with Reader. It belongs to
// one goroutine.
type Parts struct {
	ctx   context.Context //nolint:containedctx // one request, which goes on in Next and Read
	b     *Bucket
	q     *call
	spans []object.Span
	info  *Info

	body io.ReadCloser
	mr   *multipart.Reader // nil: the reply holds one range, without parts
	part io.Reader
	n    int   // index of the current span, -1 before the first
	at   int64 // bytes of it that were read
	cuts int
	err  error
}

// Info returns what the server told of the object. Info.Size is the whole object's once Next was called.
func (p *Parts) Info() *Info { return p.info }

// ask requests the spans from index first on; of that one the bytes from p.at on.
func (p *Parts) ask(first int) error {
	var spec []string
	for i, s := range p.spans[first:] {
		if i == 0 {
			s.Start, s.Length = s.Start+p.at, s.Length-p.at
		}
		spec = append(spec, fmt.Sprintf("%d-%d", s.Start, s.Start+s.Length-1))
	}
	q := *p.q
	q.sent = nil
	q.header = p.q.header.Clone()
	q.header.Set("Range", "bytes="+strings.Join(spec, ","))
	if p.info != nil {
		q.header = http.Header{"Range": q.header["Range"], "If-Match": {`"` + p.info.ETag + `"`}}
	}
	rep, err := p.b.c.do(p.ctx, &q)
	if err != nil {
		return err
	}
	if rep.StatusCode != http.StatusPartialContent {
		_ = rep.Body.Close()
		return errs.F(q.op, q.name, errs.Unsupported, "the server answers %s to ranges", rep.Status)
	}
	if p.info == nil {
		p.info = parseInfo(p.q.key.key, rep.Header)
		p.info.Size = 0
	}
	p.body, p.mr, p.part = rep.Body, nil, nil
	if typ, params, err := mime.ParseMediaType(rep.Header.Get("Content-Type")); err == nil && typ == "multipart/byteranges" {
		p.mr = multipart.NewReader(rep.Body, params["boundary"])
		return nil
	}
	if len(spec) > 1 {
		_ = rep.Body.Close()
		return errs.F(q.op, q.name, errs.Other, "asked for %d ranges, got one: %s", len(spec), rep.Header.Get("Content-Range"))
	}
	p.part = rep.Body
	return p.check(first, rep.Header.Get("Content-Range"))
}

// check compares what a part says it is with the span it should be, and cuts the span at the object's end.
func (p *Parts) check(i int, contentRange string) error {
	start, end, size, err := parseContentRange(contentRange)
	if err != nil {
		return errs.E(p.q.op, p.q.name, err)
	}
	s := &p.spans[i]
	if s.Start+s.Length > size {
		s.Length = size - s.Start
	}
	if start != s.Start+p.at || end != s.Start+s.Length {
		return errs.F(p.q.op, p.q.name, errs.Other, "asked for bytes %d-%d, got %q", s.Start+p.at, s.Start+s.Length-1, contentRange)
	}
	p.info.Size = size
	return nil
}

// Next goes to the next range and returns it, io.EOF after the last. What was not read of the range before is skipped.
func (p *Parts) Next() (object.Span, error) {
	if p.err != nil {
		return object.Span{}, p.err
	}
	if p.n >= 0 {
		if _, err := io.Copy(io.Discard, partReader{p}); err != nil {
			return object.Span{}, err
		}
	}
	if p.n+1 == len(p.spans) {
		p.err = io.EOF
		return object.Span{}, io.EOF
	}
	p.n, p.at = p.n+1, 0
	for p.part == nil || p.n > 0 {
		err := p.nextPart()
		if err == nil {
			break
		}
		if p.err = p.mend(err); p.err != nil {
			return object.Span{}, p.err
		}
	}
	return p.spans[p.n], nil
}

// nextPart opens the part of the current span.
func (p *Parts) nextPart() error {
	if p.mr == nil {
		if p.part != nil && p.at < p.spans[p.n].Length {
			return nil // a single range, asked for and checked a moment ago
		}
		return io.ErrUnexpectedEOF
	}
	part, err := p.mr.NextRawPart()
	if err != nil {
		return err
	}
	if err := p.check(p.n, part.Header.Get("Content-Range")); err != nil {
		return err
	}
	p.part = part
	return nil
}

// Read reads from the current range; io.EOF at its end.
func (p *Parts) Read(b []byte) (int, error) {
	if p.n < 0 {
		return 0, errs.E(p.q.op, p.q.name, errs.Invalid, "Read before Next")
	}
	return partReader{p}.Read(b)
}

// partReader is the current range.
type partReader struct{ p *Parts }

func (r partReader) Read(b []byte) (int, error) {
	p := r.p
	for {
		left := p.spans[p.n].Length - p.at
		switch {
		case left == 0:
			return 0, io.EOF
		case p.err != nil || len(b) == 0:
			return 0, p.err
		}
		n, err := p.part.Read(b[:min(int64(len(b)), left)])
		if n > 0 {
			p.at += int64(n)
			p.cuts = 0
			return n, nil
		}
		if err == nil {
			continue
		}
		if p.err = p.mend(err); p.err != nil {
			return 0, p.err
		}
		if err := p.nextPart(); err != nil {
			p.part = failing{err} // the next turn mends that, too
		}
	}
}

// failing is a part that could not be opened.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// mend asks for the rest after the connection was cut.
func (p *Parts) mend(cut error) error {
	_ = p.body.Close()
	fail := func(err error) error {
		return errs.F(p.q.op, p.q.name, errs.KindOf(err), "the read stopped in range %d of %d: %w", p.n+1, len(p.spans), err)
	}
	var refusal *errs.Error
	if errors.As(cut, &refusal) && refusal.Kind == errs.Other { // nonsense from the server, not a lost connection
		return cut
	}
	if errs.KindOf(cut) == errs.Other {
		cut = errs.E("", "", errs.Unavailable, cut)
	}
	if err := p.ctx.Err(); err != nil {
		return fail(err)
	}
	if p.cuts++; p.cuts > p.b.c.opt.Retry.Attempts || p.info.ETag == "" {
		return fail(cut)
	}
	if p.cuts > 1 {
		if err := sleep(p.ctx, p.b.c.opt.Retry.pause(p.cuts-1, 0)); err != nil {
			return fail(err)
		}
	}
	err := p.ask(p.n)
	switch {
	case errs.Is(err, errs.Precondition, errs.NotFound):
		return errs.F(p.q.op, p.q.name, errs.Conflict, "the object was replaced or deleted in range %d of %d: read it again", p.n+1, len(p.spans))
	case err != nil:
		return fail(err)
	}
	return nil
}

// Close gives the connection back.
func (p *Parts) Close() error {
	if p.err == nil {
		p.err = errs.E(p.q.op, p.q.name, errs.Canceled, "read after Close")
	}
	return p.body.Close()
}
