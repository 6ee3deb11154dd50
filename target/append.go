package target

import (
	"io"

	"aistore/api"
	"aistore/cksum"
	"aistore/errs"
	"aistore/store"
)

// appendObject adds the request's body to an append session, which an empty handle begins, or makes the
// session's bytes the object. Nothing is visible before that.
func (t *Target) appendObject(r *request) (err error) {
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
	info, err := t.store.FlushAppend(c.Context(), r.Name(), handle, o)
	if err != nil {
		return r.fault(op, err)
	}
	return t.acknowledge(r, &info)
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
