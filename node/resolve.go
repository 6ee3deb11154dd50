package node

import (
	"context"
	"strconv"
	"strings"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/object"
)

// Object names the object of a request, resolved under one view that the whole request keeps.
type Object struct {
	View   *cluster.View
	Bucket *cluster.Bucket
	Key    string
	Owner  *cluster.Node // nil when no target is in service
}

// Name is the object's identity in stores.
func (o *Object) Name() object.Name { return object.Name{Bucket: o.Bucket.ID, Key: o.Key} }

// String returns "ais://bucket/key", the form of messages to users.
func (o *Object) String() string { return o.Bucket.String() + "/" + o.Key }

// ResolveObject reads BUCKET/KEY from rest, and provider and namespace from the query. A bucket that the
// view does not know is looked for in the newest one before the answer is "no such bucket".
func (n *Node) ResolveObject(c *httpx.Ctx, rest string) (Object, error) {
	const op = "node.ResolveObject"
	name, key, _ := strings.Cut(rest, "/")
	if name == "" {
		return Object{}, errs.E(op, c.Path(), errs.Invalid, "the path names no bucket: want BUCKET/OBJECT at its end")
	}
	if err := object.CheckKey(key); err != nil {
		return Object{}, err
	}
	bck, err := bucketOf(c, name)
	if err != nil {
		return Object{}, err
	}
	v, b, err := n.findBucket(c.Context(), bck) // whoever owns the name looks at its lease
	if err != nil {
		return Object{}, err
	}
	return Object{View: v, Bucket: b, Key: key, Owner: v.Owner(b, key)}, nil
}

// ResolveByID reads BUCKETID/KEY from rest: how nodes name objects to each other.
func (n *Node) ResolveByID(c *httpx.Ctx, rest string) (Object, error) {
	const op = "node.ResolveByID"
	text, key, _ := strings.Cut(rest, "/")
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return Object{}, errs.F(op, c.Path(), errs.Invalid, "%q is not a bucket id", text)
	}
	if err := object.CheckKey(key); err != nil {
		return Object{}, err
	}
	v, err := n.View()
	if err != nil {
		return Object{}, err
	}
	b := v.BucketByID(id)
	if b == nil {
		if v, err = n.control.Latest(c.Context()); err != nil {
			return Object{}, errs.E(op, text, err)
		}
		if b = v.BucketByID(id); b == nil {
			return Object{}, errs.F(op, text, errs.NoBucket, "there is no bucket of this id")
		}
	}
	return Object{View: v, Bucket: b, Key: key, Owner: v.Owner(b, key)}, nil
}

// Refresh resolves o anew, in this node's newest view.
func (n *Node) Refresh(o *Object) error {
	const op = "node.Refresh"
	v, err := n.View()
	if err != nil {
		return err
	}
	b := v.BucketByID(o.Bucket.ID)
	if b == nil {
		return errs.E(op, o.Bucket.String(), errs.NoBucket, "bucket does not exist")
	}
	o.View, o.Bucket, o.Owner = v, b, v.Owner(b, o.Key)
	return nil
}

// bucketOf is the bucket of a request whose path names it and whose query may tell provider and namespace.
func bucketOf(c *httpx.Ctx, name string) (api.Bck, error) {
	bck := api.Bck{Name: name}
	if c.RawQuery() != "" {
		var err error
		if err = api.CheckProvider(c.Query(api.QueryProvider)); err != nil {
			return bck, err
		}
		if ns := c.Query(api.QueryNamespace); ns != "" {
			if bck.Namespace, err = api.ParseNamespace(ns); err != nil {
				return bck, err
			}
		}
	}
	return bck, nil
}

// ResolveBucket finds the bucket of a request whose path names it, as FindBucket does.
func (n *Node) ResolveBucket(c *httpx.Ctx, name string) (*cluster.View, *cluster.Bucket, error) {
	bck, err := bucketOf(c, name)
	if err != nil {
		return nil, nil, err
	}
	return n.FindBucket(c.Context(), bck)
}

// FindBucket returns the bucket as it is now, and the view that has it. With a lease this node's own view knows of every
// acknowledged destruction or change; without one, and for a bucket that is not in it, the primary is asked.
func (n *Node) FindBucket(ctx context.Context, bck api.Bck) (*cluster.View, *cluster.Bucket, error) {
	if n.control.Lease() == nil { // before the view is read: it is one with which the lease held, or newer
		return n.findBucket(ctx, bck)
	}
	return n.latestBucket(ctx, bck)
}

// findBucket looks for the bucket in this node's view, and in the primary's before it says that there is none.
func (n *Node) findBucket(ctx context.Context, bck api.Bck) (*cluster.View, *cluster.Bucket, error) {
	v, err := n.View()
	if err != nil {
		return nil, nil, err
	}
	if b := v.Buckets.Get(bck.Namespace.Name, bck.Name); b != nil {
		return v, b, nil
	}
	return n.latestBucket(ctx, bck)
}

func (n *Node) latestBucket(ctx context.Context, bck api.Bck) (*cluster.View, *cluster.Bucket, error) {
	const op = "node.FindBucket"
	if err := bck.Check(); err != nil {
		return nil, nil, err
	}
	v, err := n.control.Latest(ctx)
	if err != nil {
		return nil, nil, errs.E(op, bck.String(), err)
	}
	b := v.Buckets.Get(bck.Namespace.Name, bck.Name)
	if b == nil {
		return nil, nil, errs.E(op, bck.String(), errs.NoBucket, "bucket does not exist")
	}
	return v, b, nil
}
