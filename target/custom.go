package target

import (
	"maps"

	"aistore/api"
	"aistore/errs"
	"aistore/object"
	"aistore/store"
)

// patch changes the object's custom metadata: the message's value is added, or replaces all of it.
func (t *Target) patch(r *request) error {
	const op = "target.patch"
	msg, err := r.message()
	if err != nil {
		return err
	}
	if msg.Action != "" {
		return errs.F(op, "action", errs.Invalid, "%q: a PATCH of an object takes no action, only custom metadata in \"value\"", msg.Action)
	}
	var add map[string]string
	if err := msg.Decode(&add); err != nil {
		return err
	}
	if err := unambiguous(add); err != nil {
		return err
	}
	replace := r.c.Query(api.QueryNewCustom) == "true"
	if len(add) == 0 && !replace {
		return errs.E(op, "value", errs.Invalid, "has no metadata: want {\"key\": \"value\"}")
	}
	c := t.Commit(&r.Object)
	o := store.UpdateOptions{
		Epoch: r.View.Map.Epoch, Durability: r.Bucket.Props.Durability, Conditions: conditions(r.c), Newest: c.Newest, Guard: c.Guard,
	}
	info, err := t.store.Update(r.c.Context(), r.Name(), o, func(info *object.Info) error {
		m := map[string]string{}
		if !replace {
			maps.Copy(m, info.Custom)
		}
		maps.Copy(m, add)
		info.Custom = m
		return checkCustom(m)
	})
	if err != nil {
		return r.fault(op, err)
	}
	return t.acknowledge(r, &info)
}

// message reads the body, an action message.
func (r *request) message() (m api.ActionMsg, err error) {
	b, err := r.c.ReadAll(maxMessage)
	if err == nil && len(b) == 0 {
		err = errs.E("target.message", "request body", errs.Invalid, "is empty, JSON is wanted")
	}
	if err != nil {
		return m, err
	}
	return m, api.Unmarshal("request body", b, &m)
}
