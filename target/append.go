package target

import (
	"io"

	"aistore/api"
	"aistore/cksum"
	"aistore/errs"
	"aistore/store"
)

// appends is what a Target does to write an object piece by piece.
type appends struct{ *Target }

// appendObject adds the request's body to an append session, which an empty handle begins with what the object has, or makes the
// session's bytes the object. Nothing is visible before that.
func (t appends) appendObject(r *request) (err error) {
	const op = "target.append"
	c := r.c
	handle := c.Query(api.QueryAppendHandle)
	kind := c.Query(api.QueryAppendType)
	if kind != api.AppendOp && kind != api.FlushOp {
		return errs.F(op, api.QueryAppendType, errs.Invalid, "%q: use %q or %q", kind, api.AppendOp, api.FlushOp)
	}
	if kind == api.FlushOp && handle == "" && c.BodyLen() == 0 {
		return errs.E(op, api.QueryAppendHandle, errs.Invalid, "is empty: a flush names what was appended")
	}
	o, err := t.putOptions(r)
	if err != nil {
		return err
	}
	if err := t.StillMine(&r.Object); err != nil {
		return unbegun(err)
	}
	if handle == "" {
		if handle, err = t.store.BeginAppend(c.Context(), r.Name()); err != nil {
			return r.fault(op, err)
		}
		first := handle
		defer func() {
			if err != nil { // the client never hears of the handle
				_ = t.store.AbortAppend(r.c.Context(), r.Name(), first) // else it is given up when it is old
			}
		}()
		if handle, err = t.appendExisting(r, handle); err != nil {
			return r.fault(op, err)
		}
	} else if handle, err = t.adopt(c.Context(), &r.Object, handle); err != nil {
		return r.fault(op, err)
	}
	if c.BodyLen() != 0 {
		if handle, err = t.store.Append(c.Context(), r.Name(), handle, newPieceReader(c.Body(), o.Expect)); err != nil {
			return r.fault(op, err)
		}
	}
	if kind == api.AppendOp {
		c.SetHeader(api.HeaderAppendHandle, handle)
		return t.node.Control().Lease()
	}
	o.Size, o.Expect = -1, nil // they spoke of this request's bytes, not of the whole
	o.Finish = func(f *store.Finish) error {
		if limit := r.View.Config.Limits.MaxObjectSize; f.Size > limit {
			return errs.F(op, r, errs.TooLarge, "%d bytes were appended; limits.max_object_size is %d", f.Size, limit)
		}
		return nil
	}
	if err := t.keepMeta(r, &o); err != nil {
		return r.fault(op, err)
	}
	info, err := t.store.FlushAppend(c.Context(), r.Name(), handle, o)
	if err != nil {
		return r.fault(op, err)
	}
	return t.acknowledge(r, &info)
}

// appendExisting puts what the object has, if there is one, at the beginning of a session and returns the handle that stands for it.
func (t appends) appendExisting(r *request, handle string) (string, error) {
	obj, err := t.store.Open(r.Name())
	if errs.Is(err, errs.NotFound) {
		return handle, nil
	}
	if err != nil {
		return "", err
	}
	defer obj.Close()
	if obj.Info().Size == 0 {
		return handle, nil
	}
	return t.store.Append(r.c.Context(), r.Name(), handle, obj.Reader())
}

// keepMeta gives an object that was appended to the metadata that it has, if the request brings none. What S3 clients declared of its content,
// such as checksums, is not true of the longer one.
func (t appends) keepMeta(r *request, o *store.PutOptions) error {
	if len(o.Custom) > 0 || len(o.System) > 0 {
		return nil
	}
	info, err := t.store.Stat(r.Name())
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	o.Custom, o.Tags, o.System = info.Custom, info.Tags, map[string]string{}
	for _, h := range systemHeaders {
		if v := info.System[h[0]]; v != "" {
			o.System[h[0]] = v
		}
	}
	return nil
}

// pieceReader is the body of one append; it fails at the end if the piece is not what the client declared.
type pieceReader struct {
	r    io.Reader
	want []cksum.Value
	sums []*cksum.Hash
}

func newPieceReader(r io.Reader, want []cksum.Value) io.Reader {
	if len(want) == 0 {
		return r
	}
	p := &pieceReader{r: r, want: want}
	for _, w := range want {
		p.sums = append(p.sums, cksum.New(w.Type))
	}
	return p
}

// Read implements io.Reader.
func (p *pieceReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	for _, s := range p.sums {
		_, _ = s.Write(b[:n]) // never fails
	}
	if err != io.EOF {
		return n, err
	}
	for i, s := range p.sums {
		if got := s.Sum(); got != p.want[i] {
			return n, errs.F("target.append", "request body", errs.Checksum, "has checksum %v, the request declared %v", got, p.want[i])
		}
	}
	return n, err
}
