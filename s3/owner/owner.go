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
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"aistore/auth/sigv4"
	"aistore/cluster"
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
	swept    time.Time // when abandoned uploads were last looked for

	patience, pulse time.Duration // see the constants
}

// New returns the S3 side of a target. It starts nothing.
func New(n *node.Node, t *target.Target, v *sigv4.Verifier) *Owner {
	return &Owner{node: n, target: t, store: t.Store(), log: n.Log, verifier: v, patience: patience, pulse: pulse}
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
	if held := c.Header(target.HeaderHeld); held != "" {
		err = w.serveHeld(c, &o, &caller, held)
	} else {
		err = w.Serve(c, o, &caller)
	}
	if err != nil {
		return &located{err, "/" + o.Bucket.Name + "/" + o.Key}
	}
	return nil
}

// serveHeld answers a read of a key that its owner has not received yet.
func (w *Owner) serveHeld(c *httpx.Ctx, o *node.Object, caller *s3.Caller, held string) error {
	if err := w.target.AdmitHeld(c.Context(), o, held); err != nil {
		return err
	}
	r, err := w.begin(c, o, caller)
	defer r.end()
	if err != nil {
		return err
	}
	if r.set, err = w.settings.Of(o.View, o.Bucket); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	return w.target.StillHeld(o, r.perform())
}

// located is an error that knows what the client calls the resource.
type located struct {
	error
	resource string
}

// Unwrap returns the error itself.
func (l *located) Unwrap() error { return l.error }

// requests are pooled: their headers are most of a small request's garbage.
var requests = sync.Pool{New: func() any { return new(request) }}

// begin returns the request, also with an error; end it.
func (w *Owner) begin(c *httpx.Ctx, o *node.Object, caller *s3.Caller) (*request, error) {
	r, _ := requests.Get().(*request)
	*r = request{Object: *o, w: w, c: c, caller: caller}
	c.SetHeader("x-amz-request-id", c.RequestID())
	c.EachHeader(r.h.Add)
	if caller.Presigned && !caller.V2 { // the second version does not sign them
		r.h.AddPresigned(c.RawQuery())
	}
	var err error
	r.op, err = s3.FindOperation(c.Method(), s3.Key, c.RawQuery(), s3.Presence(r.h.CopySource != "" || r.h.EmptySource))
	return r, err
}

// end drops what the request points to.
func (r *request) end() {
	*r = request{}
	requests.Put(r)
}

// Serve answers a request about one key. The reply is complete when it returns nil; an error is for WriteFault, or
// whatever words errors for the route.
func (w *Owner) Serve(c *httpx.Ctx, o node.Object, caller *s3.Caller) error {
	r, err := w.begin(c, &o, caller)
	defer r.end()
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		if err := w.admit(r); err != nil {
			return err
		}
		began, err := r.serveOwned()
		if try == servedMost || !r.again(began, err) {
			return err
		}
	}
}

// servedMost is by how many views one request is judged.
const servedMost = 3

// serveOwned serves a request whose key this node owns, once it knows the key's newest state. began tells whether the body may have been read.
func (r *request) serveOwned() (began bool, err error) {
	if err := r.check(); err != nil {
		return false, err
	}
	if len(r.View.Map.Former) > 0 {
		var holder *cluster.Node
		switch r.c.Method() {
		case "GET", "HEAD":
			holder, err = r.w.target.OwnToRead(r.c.Context(), &r.Object)
		case "DELETE":
			if err = r.w.target.OwnToDelete(r.c.Context(), &r.Object); err != nil && r.op.Op == s3.DeleteObject && r.version == "" {
				return false, write{r}.removeUnread(err)
			}
		default:
			err = r.w.target.Own(r.c.Context(), &r.Object)
		}
		switch {
		case err != nil:
			return false, err
		case holder != nil:
			return false, r.toHolder(s3.PathOwner, holder)
		}
	}
	return true, r.w.target.Judged(&r.Object, r.perform())
}

// again judges a request anew that was refused because owners changed while it was being served; one whose body has gone cannot be. What
// another node owns now is for whoever routes.
func (r *request) again(began bool, err error) bool {
	if !errs.Is(err, errs.StaleMap) || r.c.Sent() {
		return false
	}
	if _, ok := r.c.BodyBytes(); began && !ok {
		return false
	}
	return r.w.node.Refresh(&r.Object) == nil
}

// toHolder passes a read on to the route at base of the node that has the key.
func (r *request) toHolder(base string, holder *cluster.Node) error {
	b := strconv.AppendUint([]byte(base+"/"), r.Bucket.ID, 10)
	b = httpx.AppendPath(append(b, '/'), r.Key)
	if q := r.c.RawQuery(); q != "" {
		b = append(append(b, '?'), q...)
	}
	return r.w.target.ToHolder(r.c, &r.Object, holder, string(b), httpx.Header{Key: s3.HeaderCaller, Value: string(r.caller.Append(nil))})
}

// admit makes sure that this node owns the key in a view not older than the one by which the request was routed.
func (w *Owner) admit(r *request) error {
	const op = "owner.admit"
	o := &r.Object
	if r.caller.View > o.View.Index {
		if _, err := w.node.Control().Latest(r.c.Context()); err != nil {
			return errs.E(op, "cluster map", err)
		}
		if w.node.Refresh(o) != nil {
			return s3.E(op, o.Bucket.Name, "NoSuchBucket", "", s3.Field{Name: "BucketName", Value: o.Bucket.Name})
		}
	}
	if o.Owner == nil || o.Owner.ID != w.node.ID {
		return errs.F(op, o, errs.WrongOwner, "is not this node's in version %d of the cluster map", o.View.Map.Version)
	}
	var err error
	r.set, err = w.settings.Of(o.View, o.Bucket)
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
	if status == 503 {
		c.SetHeader(s3.HeaderRetryAfter, s3.RetryAfter())
	}
	c.SetHeader("Content-Type", "application/xml")
	if c.Method() == "HEAD" {
		_ = c.SendHead(0) // never fails: nothing is sent yet
		return
	}
	resource := c.Path()
	var l *located
	if errors.As(err, &l) {
		resource = l.resource
	}
	_, _ = c.Write(s3.AppendError(nil, f, resource, c.RequestID(), c.RequestID())) // into memory
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func lastModified(info *object.Info) string { return httpx.Time(info.Created) }
