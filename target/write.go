package target

import (
	"aistore/api"
	"aistore/errs"
	"aistore/node"
	"aistore/object"
	"aistore/store"
)

// put stores the request's body under the name. What can be refused is refused before the client is asked
// for the body.
func (t *Target) put(r *request) error {
	c := r.c
	o, err := t.putOptions(r)
	if err != nil {
		return err
	}
	if err := t.StillMine(&r.Object); err != nil {
		return unbegun(err)
	}
	var info object.Info
	if data, ok := c.BodyBytes(); ok {
		info, err = t.store.Put(c.Context(), r.Name(), data, o)
	} else {
		if err := t.checkEarly(r, o.Conditions); err != nil {
			return err
		}
		if err := t.memory.take(streamCost); err != nil {
			return err
		}
		info, err = t.store.PutStream(c.Context(), r.Name(), c.Body(), o)
		t.memory.give(streamCost)
	}
	if err != nil {
		return errs.E("target.put", r, err)
	}
	return t.acknowledge(r, &info)
}

// checkEarly evaluates conditions before a long body is read; they are checked again at the commit.
func (t *Target) checkEarly(r *request, cond *object.Conditions) error {
	if cond == nil {
		return nil
	}
	info, err := t.store.Stat(r.Name())
	switch {
	case err == nil:
		return cond.Check(&info, false)
	case errs.Is(err, errs.NotFound):
		return cond.Check(nil, false)
	}
	return r.fault("target.put", err)
}

// acknowledge makes the reply to a change.
func (t *Target) acknowledge(r *request, info *object.Info) error {
	if err := t.Acknowledge(&r.Object); err != nil {
		return err
	}
	var buf [512]byte
	b := appendIdentity(buf[:0], info)
	b = append(append(b, api.HeaderDurability+": "...), r.Bucket.Props.Durability...)
	r.c.AddHeaders(append(b, "\r\n"...))
	return nil
}

// delete removes the object.
func (t *Target) delete(r *request) error {
	if _, err := t.store.Delete(r.c.Context(), r.Name(), t.deleteOptions(&r.Object, conditions(r.c))); err != nil {
		return r.fault("target.delete", err)
	}
	return t.node.Control().Lease()
}

func (t *Target) deleteOptions(o *node.Object, cond *object.Conditions) store.DeleteOptions {
	c := t.Commit(o)
	return store.DeleteOptions{
		Epoch: o.View.Map.Epoch, Durability: o.Bucket.Props.Durability, Conditions: cond, Versioning: VersioningOf(o.Bucket),
		Newest: c.Newest, Guard: c.Guard,
	}
}
