package target

import (
	"context"
	"errors"
	"io"
	"strconv"

	"aistore/api"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/object"
	"aistore/store"
)

// copies is what a Target does to make an object known under another name.
type copies struct{ *Target }

// copyObject copies the object to the name in the query, which may belong to another bucket and target.
func (t copies) copyObject(r *request) error {
	bck, key, err := api.ParseObjectPath(api.QueryObjectTo, r.c.Query(api.QueryObjectTo))
	if err != nil {
		return err
	}
	if err := object.CheckKey(key); err != nil {
		return err
	}
	v, b, err := t.node.FindBucket(r.c.Context(), bck)
	if err != nil {
		return err
	}
	dst := node.Object{View: v, Bucket: b, Key: key, Owner: v.Owner(b, key)}
	if dst.Name() == r.Name() {
		return errs.E("target.copy", &dst, errs.Invalid, "source and destination are the same object")
	}
	if _, err = t.transfer(r.c.Context(), &r.Object, &dst, conditions(r.c)); err != nil {
		return toClient(err)
	}
	return t.node.Control().Lease()
}

// post serves the actions on an object: rename.
func (t copies) post(r *request) error {
	const op = "target.post"
	msg, err := r.message()
	if err != nil {
		return err
	}
	if why, known := api.UnsupportedActions()[msg.Action]; known {
		return errs.F(op, "action", errs.Unsupported, "%q: %s", msg.Action, why)
	}
	if msg.Action != api.ActRename {
		return errs.F(op, "action", errs.Invalid, "%q: a POST to an object takes %q", msg.Action, api.ActRename)
	}
	if err := object.CheckKey(msg.Name); err != nil {
		return err
	}
	if msg.Name == r.Key {
		return errs.E(op, "name", errs.Invalid, "the new name is the old one")
	}
	return t.rename(r, msg.Name)
}

// rename copies the object to its new name, durably, and then removes the old one unless it has changed
// meanwhile. A crash in between leaves both names: never none.
func (t copies) rename(r *request, key string) error {
	const op = "target.rename"
	dst := node.Object{View: r.View, Bucket: r.Bucket, Key: key, Owner: r.View.Owner(r.Bucket, key)}
	info, err := t.transfer(r.c.Context(), &r.Object, &dst, conditions(r.c))
	if err != nil {
		return toClient(err)
	}
	o := t.deleteOptions(&r.Object, &object.Conditions{IfVersion: info.Version})
	_, err = t.store.Delete(r.c.Context(), r.Name(), o)
	switch err = t.Judged(&r.Object, err); { // it may have gone to another target while it was copied
	case errs.Is(err, errs.Precondition):
		return errs.F(op, r, errs.Conflict, "was overwritten while it was being renamed: %s has the former content, %s the new", &dst, r)
	case err != nil && !errs.Is(err, errs.NotFound):
		return r.fault(op, err)
	}
	return t.node.Control().Lease()
}

// early is an error of transfer that came before anything was done.
type early struct{ error }

// Unwrap lets its kind be seen.
func (e early) Unwrap() error { return e.error }

// toClient gives an error of transfer the kind that tells whether the request may be repeated.
func toClient(err error) error {
	if errors.As(err, new(early)) {
		return unbegun(err)
	}
	return err
}

// transfer copies src, of which this node is sure, to dst if the conditions hold of it, durably there when it returns, and returns what it copied.
func (t copies) transfer(ctx context.Context, src, dst *node.Object, cond *object.Conditions) (object.Info, error) {
	const op = "target.transfer"
	for try := 1; ; try++ {
		info, err := t.copyOnce(ctx, src, dst, cond)
		switch {
		case !errs.Is(err, errs.StaleMap, errs.WrongOwner):
			return info, err
		case try == touchTries:
			return info, errs.F(op, dst, errs.Unavailable, "%w", early{err})
		}
		if _, err := t.node.Control().Latest(ctx); err != nil { // its owner knows a newer map
			return info, errs.E(op, "cluster map", early{err})
		}
		if err := t.node.Refresh(dst); err != nil {
			return info, err
		}
	}
}

func (t copies) copyOnce(ctx context.Context, src, dst *node.Object, cond *object.Conditions) (object.Info, error) {
	const op = "target.transfer"
	switch {
	case dst.Owner == nil:
		return object.Info{}, early{errs.E(op, dst, errs.Unavailable, "no target is in service")}
	case dst.Owner.ID != t.node.ID && !dst.Owner.Alive:
		return object.Info{}, early{errs.F(op, dst, errs.Unavailable, "its owner %s does not answer", dst.Owner.ID)}
	case dst.Owner.ID == t.node.ID:
		if err := t.Own(ctx, dst); err != nil {
			return object.Info{}, err
		}
	}
	obj, err := t.store.Open(src.Name())
	if err != nil {
		return object.Info{}, fault(op, src, err) // judged by whoever made sure of it
	}
	defer obj.Close()
	if err := t.node.Control().Lease(); err != nil {
		return object.Info{}, early{err}
	}
	if err := cond.Check(obj.Info(), false); err != nil {
		return object.Info{}, errs.E(op, src, err)
	}
	if dst.Owner.ID == t.node.ID {
		err = t.copyHere(ctx, obj, dst)
	} else {
		err = t.copyThere(ctx, obj, dst)
	}
	if err != nil {
		return object.Info{}, errs.E(op, dst, err)
	}
	return *obj.Info(), nil
}

// copyHere copies inside this node; content is shared where the store can.
func (t copies) copyHere(ctx context.Context, obj *store.Object, dst *node.Object) error {
	info, props, c := obj.Info(), &dst.Bucket.Props, t.Commit(dst)
	o := store.PutOptions{
		Epoch: dst.View.Map.Epoch, Durability: props.Durability, Checksum: props.Checksum, Size: info.Size,
		Custom: info.Custom, System: info.System, Tags: info.Tags, Versioning: VersioningOf(dst.Bucket),
		Newest: c.Newest, Guard: c.Guard,
	}
	_, err := t.Copy(ctx, obj, "", dst.Name(), o)
	return err
}

// Copy makes dst of the state of an object that is open here as obj, of that version ("" = it was the current). Content is shared where the
// store can, unless dst's bucket wants another checksum of it, which then is computed. What was uploaded in parts has no checksum of the
// whole anyway, and keeps its parts.
func (t *Target) Copy(ctx context.Context, obj *store.Object, version string, dst object.Name, o store.PutOptions) (object.Info, error) {
	if inParts(obj) || obj.Info().Checksum.Type == o.Checksum {
		return t.store.CopyOpen(ctx, obj, version, dst, o)
	}
	if err := t.Reserve(); err != nil {
		return object.Info{}, err
	}
	defer t.Release()
	return t.store.PutStream(ctx, dst, obj.Reader(), o)
}

func inParts(obj *store.Object) bool { return obj.Parts() != nil }

// copyThere sends the object to the target that owns dst.
func (t copies) copyThere(ctx context.Context, obj *store.Object, dst *node.Object) error {
	info := obj.Info()
	nm := nodeMeta{Custom: info.Custom, System: info.System, Tags: info.Tags}
	if inParts(obj) || info.Checksum.Type == dst.Bucket.Props.Checksum {
		nm.ETag = info.ETag
	}
	call := &httpx.Call{Method: "PUT", URL: intraURL(PathIntraObjects, dst), StreamLen: info.Size}
	if info.Checksum.Value != "" {
		call.Headers = append(call.Headers, httpx.Header{Key: api.HeaderChecksumType, Value: info.Checksum.Type.String()},
			httpx.Header{Key: api.HeaderChecksumValue, Value: info.Checksum.Value})
	}
	data := obj.Bytes()
	if data != nil || info.Size == 0 {
		call.Body = data
	} else {
		call.Source = func(w io.Writer) error { return obj.WriteSpan(w, object.Span{Length: info.Size}) }
	}
	if err := nm.addTo(call, dst); err != nil {
		return err
	}
	rep, err := t.node.Client.Do(ctx, call)
	switch {
	case err == nil:
		rep.Close()
		return nil
	case httpx.Unsent(err):
		return early{err}
	}
	return err
}

// intraURL is the URL of o on its owner's intra-cluster listener, below a path.
func intraURL(path string, o *node.Object) string {
	b := append([]byte("http://"), o.Owner.IntraAddr...)
	b = strconv.AppendUint(append(b, path+"/"...), o.Bucket.ID, 10)
	b = httpx.AppendPath(append(b, '/'), o.Key)
	b = strconv.AppendUint(append(b, "?"+api.QueryRedirEpoch+"="...), o.View.Map.Epoch, 10)
	return string(b)
}
