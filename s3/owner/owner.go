// Package owner serves S3 operations on one key, on the node that owns the key: objects, their tags and ACLs, multipart uploads,
// and lifecycle of the names this node owns.
//
// It decides what the caller may do, for policies look at an object's tags and ACLs belong to objects; who the caller is
// has been found out by package s3/edge, which calls Serve when the owner is the same node and PathOwner of the
// intra-cluster listener else. Operations on buckets, and lists, are the edge's.
//
// Start at Serve, then get.go and put.go.
package owner

import (
	"log/slog"
	"strconv"
	"strings"

	"aistore/auth/sigv4"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
	"aistore/target"
)

// Owner serves what this node owns.
type Owner struct {
	node     *node.Node
	target   *target.Target
	store    *store.Store
	log      *slog.Logger
	verifier *sigv4.Verifier
	settings s3.Cache
	buffers  bufferPool
}

// New returns the S3 side of a target. It starts nothing.
func New(n *node.Node, t *target.Target, v *sigv4.Verifier) *Owner {
	return &Owner{node: n, target: t, store: t.Store(), log: n.Log, verifier: v}
}

// Routes are those of the intra-cluster listener.
func (w *Owner) Routes() []httpx.Route {
	content := httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassData, MaxBody: httpx.NoLimit} // each operation has its own limit
	message := httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassData, MaxBody: maxItems}
	rs := []httpx.Route{
		{Method: "GET", Path: pathSource + "/*", Op: "s3-source", Policy: message, Handler: w.serveSource},
		{Method: "POST", Path: s3.PathDelete + "/*", Op: "s3-delete-many", Policy: message, Handler: w.serveMany},
	}
	for _, method := range [...]string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
		rs = append(rs, httpx.Route{Method: method, Path: s3.PathOwner + "/*", Op: "s3-" + strings.ToLower(method), Policy: content, Handler: w.fromNode, Fault: WriteFault})
	}
	return rs
}

// fromNode serves what another node relays.
func (w *Owner) fromNode(c *httpx.Ctx) error {
	caller, err := s3.ParseCaller(c.Header(s3.HeaderCaller))
	if err != nil {
		return err
	}
	o, err := w.node.ResolveByID(c, c.Rest())
	if err != nil {
		return err
	}
	return w.Serve(c, o, &caller)
}

// Serve answers a request about one key. The reply is complete when it returns nil; an error is for WriteFault, or
// whatever words errors for the route.
func (w *Owner) Serve(c *httpx.Ctx, o node.Object, caller *s3.Caller) error {
	r := &request{Object: o, w: w, c: c, caller: caller}
	c.SetHeader("x-amz-request-id", c.RequestID())
	c.EachHeader(r.h.Add)
	var err error
	if r.op, err = s3.FindOperation(c.Method(), s3.Key, c.RawQuery(), s3.Presence(r.h.CopySource != "")); err != nil {
		return err
	}
	if err := w.admit(r); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	return r.perform()
}

// admit makes sure that this node owns the key in a view not older than the one by which the request was routed.
func (w *Owner) admit(r *request) error {
	const op = "owner.admit"
	o := &r.Object
	if r.caller.View > o.View.Index {
		v, err := w.node.Control().Latest(r.c.Context())
		if err != nil {
			return errs.E(op, "cluster map", err)
		}
		b := v.BucketByID(o.Bucket.ID)
		if b == nil {
			return s3.E(op, o.Bucket.Name, "NoSuchBucket", "", s3.Field{Name: "BucketName", Value: o.Bucket.Name})
		}
		o.View, o.Bucket, o.Owner = v, b, v.Owner(b, o.Key)
	}
	if o.Owner == nil || o.Owner.ID != w.node.ID {
		return errs.F(op, o, errs.WrongOwner, "is not this node's in version %d of the cluster map", o.View.Map.Version)
	}
	var err error
	r.set, err = w.settings.Of(o.Bucket)
	return err
}

// WriteFault is the httpx.FaultWriter of S3 routes: the XML document of what err means to a client.
func WriteFault(c *httpx.Ctx, _ int, err error) {
	f := s3.FaultOf(err)
	status := f.Status()
	c.Status(status)
	c.SetHeader("x-amz-request-id", c.RequestID())
	if status == 304 {
		return
	}
	c.SetHeader("Content-Type", "application/xml")
	if c.Method() == "HEAD" {
		_ = c.SendHead(0) // never fails: nothing is sent yet
		return
	}
	resource := c.Path()
	if i := strings.IndexByte(resource[1:], '/'); strings.HasPrefix(resource, s3.PathOwner) && i >= 0 {
		resource = "/" + c.Rest()
	}
	_, _ = c.Write(s3.AppendError(nil, f, resource, c.RequestID(), "")) // into memory
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func lastModified(info *object.Info) string { return httpx.Time(info.Created) }
