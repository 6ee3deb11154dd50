package target

import (
	"aistore/api"
	"aistore/errs"
)

// appendObject adds the request's body to an append session, which an empty handle begins, or makes the
// session's bytes the object. Nothing is visible before that.
func (t *Target) appendObject(r *request) error {
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
	if err := t.stillMine(&r.Object); err != nil {
		return err
	}
	if handle == "" {
		if handle, err = t.store.BeginAppend(c.Context(), r.Name()); err != nil {
			return r.fault(op, err)
		}
	}
	if c.BodyLen() != 0 {
		if handle, err = t.store.Append(c.Context(), r.Name(), handle, c.Body()); err != nil {
			return r.fault(op, err)
		}
	}
	if kind == api.AppendOp {
		c.SetHeader(api.HeaderAppendHandle, handle)
		return t.node.Control().Lease()
	}
	o.Size = -1 // the request's own length says nothing of the whole
	info, err := t.store.FlushAppend(c.Context(), r.Name(), handle, o)
	if err != nil {
		return r.fault(op, err)
	}
	return t.acknowledge(r, &info)
}
