package target

import (
	"context"

	"aistore/cluster"
	"aistore/errs"
	"aistore/node"
	"aistore/object"
	"aistore/store"
)

// Objects is what jobs and lists do to this target's objects; each call checks what a client's request would.
type Objects struct{ t *Target }

// Objects returns the target's objects for packages xact and list.
func (t *Target) Objects() Objects { return Objects{t} }

// Names yields the names of a bucket in byte order (list.Names).
func (o Objects) Names(ctx context.Context, bucket uint64, prefix, after string, yield func(*object.Info) bool) error {
	return o.t.store.List(ctx, store.ListQuery{Bucket: bucket, Prefix: prefix, After: after}, yield)
}

// Lane tells which of the node's mountpaths holds a name, and how many there are.
func (o Objects) Lane(n object.Name) (lane, lanes int) { return o.t.store.Lane(n) }

// Stat returns what is known of an object.
func (o Objects) Stat(n object.Name) (object.Info, error) { return o.t.store.Stat(n) }

// Delete removes an object of this target.
func (o Objects) Delete(ctx context.Context, b *cluster.Bucket, key string) (int64, error) {
	obj, err := o.mine(b, key)
	if err != nil {
		return 0, err
	}
	info, err := o.t.store.Delete(ctx, obj.Name(), o.t.deleteOptions(&obj, nil))
	if err != nil {
		return 0, fault("target.Delete", &obj, err)
	}
	return info.Size, nil
}

// Copy makes an object of this target known under another name too, wherever the owner of that name is.
func (o Objects) Copy(ctx context.Context, from *cluster.Bucket, key string, to *cluster.Bucket, toKey string) (int64, error) {
	src, err := o.mine(from, key)
	if err != nil {
		return 0, err
	}
	dst := node.Object{View: src.View, Bucket: to, Key: toKey, Owner: src.View.Owner(to, toKey)}
	if src.Name() == dst.Name() {
		return 0, errs.E("target.Copy", &dst, errs.Invalid, "source and destination are the same object")
	}
	info, err := o.t.transfer(ctx, &src, &dst)
	return info.Size, err
}

// mine resolves a name under the newest view and makes sure that this target owns it.
func (o Objects) mine(b *cluster.Bucket, key string) (node.Object, error) {
	v, err := o.t.node.View()
	if err != nil {
		return node.Object{}, err
	}
	obj := node.Object{View: v, Bucket: b, Key: key, Owner: v.Owner(b, key)}
	if v.BucketByID(b.ID) == nil {
		return obj, errs.E("target.mine", b.String(), errs.NoBucket, "bucket does not exist")
	}
	if obj.Owner == nil || obj.Owner.ID != o.t.node.ID {
		return obj, errs.F("target.mine", &obj, errs.WrongOwner, "is not this node's in version %d of the cluster map", v.Map.Version)
	}
	return obj, nil
}
