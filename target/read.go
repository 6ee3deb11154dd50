package target

import (
	"io"
	"sync"

	"aistore/api"
	"aistore/cksum"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/object"
	"aistore/store"
)

// get serves the object: whole, one range of it, or several.
func (t *Target) get(r *request) error {
	obj, err := t.store.Open(r.Name())
	if err != nil {
		return r.fault("target.get", err)
	}
	info, c := obj.Info(), r.c
	spans, err := t.judgeRead(r, info)
	if err != nil {
		obj.Close()
		return err
	}
	var buf [1024]byte
	c.AddHeaders(appendMeta(buf[:0], r, info, len(spans)))
	switch len(spans) {
	case 0:
		if h := r.Bucket.Props; h.ValidateOnGet && info.Checksum.Type != cksum.None {
			return t.send(c, obj, info.Size, &validated{body: newBody(obj, object.Span{Length: info.Size}), sum: cksum.New(info.Checksum.Type)})
		}
		return t.SendSpan(c, obj, object.Span{Length: info.Size})
	case 1:
		c.Status(206)
		c.SetHeader("Content-Range", spans[0].ContentRange(info.Size))
		return t.SendSpan(c, obj, spans[0])
	default:
		return t.SendParts(c, obj, spans)
	}
}

// head serves what get would, without the content; the query may select the properties that are wanted.
func (t *Target) head(r *request) error {
	info, err := t.store.Stat(r.Name())
	if err != nil {
		return r.fault("target.head", err)
	}
	if _, err := t.judgeRead(r, &info); err != nil && !errs.Is(err, errs.Range) {
		return err
	}
	var buf [1024]byte
	lines := buf[:0]
	if r.c.HasQuery(api.QueryProps) {
		if lines, err = appendProps(lines, r, &info, r.c.Query(api.QueryProps)); err != nil {
			return err
		}
	} else {
		lines = appendMeta(lines, r, &info, 0)
	}
	r.c.AddHeaders(lines)
	return r.c.SendHead(info.Size)
}

// judgeRead decides what of the object is served: this node must hold its lease, unless the bucket does without, the conditions must hold,
// and the ranges must lie inside. No spans: the whole.
func (t *Target) judgeRead(r *request, info *object.Info) ([]object.Span, error) {
	stale, err := t.node.MayRead(r.Bucket)
	if err != nil {
		return nil, err
	}
	c := r.c
	if stale {
		c.SetHeader(api.HeaderStale, "true")
	}
	if cond := conditions(c); cond != nil {
		if err := cond.Check(info, true); err != nil {
			c.SetFailHeader("ETag", `"`+info.ETag+`"`)
			c.SetFailHeader("Last-Modified", httpx.Time(info.Created))
			return nil, err
		}
	}
	h := c.Header("Range")
	if h == "" || !ifRange(c, info) {
		return nil, nil
	}
	spans, err := object.ParseRange(h, info.Size)
	if err != nil {
		c.SetFailHeader("Content-Range", "bytes */"+itoa(info.Size))
	}
	return spans, err
}

// fault gives a store's error the name that the user knows.
func (r *request) fault(op string, err error) error { return fault(op, &r.Object, err) }

func fault(op string, o *node.Object, err error) error {
	if errs.Is(err, errs.NotFound) {
		return errs.E(op, o, errs.NotFound, "object does not exist")
	}
	return errs.E(op, o, err)
}

// SendSpan sends part or all of the object and closes it.
func (t *Target) SendSpan(c *httpx.Ctx, obj *store.Object, sp object.Span) error {
	if data := obj.Bytes(); data != nil || sp.Length == 0 {
		defer obj.Close()
		return c.SendBytes(data[sp.Start : sp.Start+sp.Length])
	}
	return t.send(c, obj, sp.Length, newBody(obj, sp))
}

// send sends what src makes of the object, and closes both.
func (t *Target) send(c *httpx.Ctx, obj *store.Object, size int64, src httpx.Source) error {
	if obj.Bytes() == nil {
		if err := t.memory.take(streamCost); err != nil {
			src.Close()
			return err
		}
		defer t.memory.give(streamCost)
	}
	return c.Send(size, src)
}

// body is one span of an object as a reply. Bodies are pooled.
type body struct {
	obj  *store.Object
	span object.Span
}

var bodies = sync.Pool{New: func() any { return new(body) }}

func newBody(obj *store.Object, sp object.Span) *body {
	b, _ := bodies.Get().(*body)
	b.obj, b.span = obj, sp
	return b
}

// WriteBody implements httpx.Source.
func (b *body) WriteBody(w io.Writer) error { return b.obj.WriteSpan(w, b.span) }

// Close implements httpx.Source.
func (b *body) Close() {
	b.obj.Close()
	b.obj = nil
	bodies.Put(b)
}

// validated is a whole object whose whole-object checksum is computed on the way out. The last piece is held
// back until the sum is known: a client never gets a complete reply with a wrong sum.
type validated struct {
	*body
	sum  *cksum.Hash
	w    io.Writer
	left int64
}

// WriteBody implements httpx.Source.
func (v *validated) WriteBody(w io.Writer) error {
	v.w, v.left = w, v.span.Length
	return v.obj.WriteSpan(v, v.span)
}

// Write passes a piece on.
func (v *validated) Write(p []byte) (int, error) {
	_, _ = v.sum.Write(p) // never fails
	if v.left -= int64(len(p)); v.left == 0 {
		if got, want := v.sum.Sum(), v.obj.Info().Checksum; got != want {
			return 0, errs.F("target.validate", v.obj.Info().Key, errs.Corrupt, "content has checksum %v, the record says %v", got, want)
		}
	}
	return v.w.Write(p)
}
