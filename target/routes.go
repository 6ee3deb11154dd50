package target

import (
	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
)

// PathIntraObjects serves objects to other nodes: PathIntraObjects + "/BUCKETID/KEY", methods and headers as
// at api.PathObjects, and headerMeta on PUT. The query may carry the epoch as a redirect does.
const PathIntraObjects = "/intra/objects"

// limits of bodies that are read into memory
const maxMessage = 1 << 20

// operations are the object routes: one line per method.
func operations() []httpx.Route {
	none := httpx.Policy{Class: httpx.ClassData, MaxBody: 64 << 10} // some clients send a body with everything
	message := httpx.Policy{Class: httpx.ClassData, MaxBody: maxMessage}
	content := httpx.Policy{Class: httpx.ClassData, MaxBody: httpx.NoLimit} // limits.max_object_size
	return []httpx.Route{
		{Method: "GET", Op: "get", Policy: none},
		{Method: "HEAD", Op: "head", Policy: none},
		{Method: "PUT", Op: "put", Policy: content},
		{Method: "DELETE", Op: "delete", Policy: message},
		{Method: "PATCH", Op: "patch", Policy: message},
		{Method: "POST", Op: "post", Policy: message},
	}
}

// Routes is the target's part of the route table. A node that is also a gateway serves clients through the
// gateway's routes and takes only those of the intra-cluster listener: IntraRoutes.
func (t *Target) Routes() []httpx.Route {
	rs := t.IntraRoutes()
	for _, base := range []string{api.PathObjects, api.PathEasy} {
		for _, r := range operations() {
			r.Path, r.Policy.Listener, r.Handler = base+"/*", httpx.Public, t.fromClient
			rs = append(rs, r)
		}
	}
	return rs
}

// IntraRoutes is the part of Routes that is on the intra-cluster listener, with what others registered.
func (t *Target) IntraRoutes() []httpx.Route {
	rs := append([]httpx.Route{}, t.routes...)
	question := httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassControl} // waits for nobody's data
	rs = append(rs, httpx.Route{Method: "GET", Path: pathKeys + "/*", Op: "get-key", Policy: question, Handler: t.serveKey},
		httpx.Route{Method: "GET", Path: pathAppends + "/*", Op: "get-append", Policy: question, Handler: t.serveAppend})
	copied := httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassData, MaxBody: httpx.NoLimit}
	rs = append(rs, httpx.Route{Method: "PUT", Path: pathIntraCopies + "/*", Op: "put", Policy: copied, Handler: copies{t}.copyFromNode})
	for _, r := range operations() {
		r.Path, r.Policy.Listener, r.Handler = PathIntraObjects+"/*", httpx.Intra, t.fromNode
		rs = append(rs, r)
	}
	return rs
}

func (t *Target) fromClient(c *httpx.Ctx) error {
	o, err := t.node.ResolveObject(c, c.Rest())
	if err != nil {
		return unbegun(err)
	}
	return t.Serve(c, o)
}

// Serve answers an object request of a client. o was resolved by the caller; when it turns out that another
// node owns it the client is sent there.
func (t *Target) Serve(c *httpx.Ctx, o node.Object) error {
	r := &request{Object: o, c: c}
	for try := 1; ; try++ {
		mine, err := t.admit(c, &r.Object)
		if err != nil || !mine {
			return unbegun(err)
		}
		began, err := t.serveOwned(r)
		if try == touchTries || !t.again(r, began, err) {
			return err
		}
	}
}

// serveOwned serves a request whose key this node owns, once it knows the key's newest state. began tells whether the body may have been read.
func (t *Target) serveOwned(r *request) (began bool, err error) {
	if len(r.View.Map.Former) > 0 {
		var holder *cluster.Node
		switch r.c.Method() {
		case "GET", "HEAD":
			holder, err = t.OwnToRead(r.c.Context(), &r.Object)
		case "DELETE":
			if err = t.OwnToDelete(r.c.Context(), &r.Object); MayBury(&r.Object, err, conditions(r.c)) {
				return false, r.deleteUnread(t, err)
			}
		default:
			err = t.Own(r.c.Context(), &r.Object)
		}
		switch {
		case err != nil:
			return false, err
		case holder != nil:
			return false, r.toHolder(t.touches, holder)
		}
	}
	return true, t.Judged(&r.Object, t.perform(r))
}

// again judges a request anew that was refused because owners changed while it was being served; one whose body has gone cannot be.
func (t *Target) again(r *request, began bool, err error) bool {
	if !errs.Is(err, errs.StaleMap, errs.WrongOwner) || r.c.Sent() {
		return false
	}
	if _, ok := r.c.BodyBytes(); began && !ok {
		return false
	}
	return t.node.Refresh(&r.Object) == nil
}

func (t *Target) fromNode(c *httpx.Ctx) error {
	o, err := t.node.ResolveByID(c, c.Rest())
	if err != nil {
		return unbegun(err)
	}
	r := &request{Object: o, c: c, peer: true}
	if held := c.Header(HeaderHeld); held != "" {
		if err := t.AdmitHeld(c.Context(), &r.Object, held); err != nil {
			return err
		}
		return t.StillHeld(&r.Object, t.perform(r))
	}
	if err := t.admitNode(c, &r.Object); err != nil {
		return unbegun(err)
	}
	_, err = t.serveOwned(r)
	return err
}

// request is one admitted request.
type request struct {
	node.Object
	c    *httpx.Ctx
	peer bool // another node asks: it may set what clients may not

	meta *nodeMeta // what came with a copy
	head int64     // bytes of the body that said it, and have been read
}

func (t *Target) perform(r *request) error {
	c := r.c
	if c.RawQuery() != "" {
		if err := refuseUnsupported(c); err != nil {
			return err
		}
	}
	switch m := c.Method(); m {
	case "GET":
		return t.get(r)
	case "HEAD":
		return t.head(r)
	case "PUT":
		switch {
		case c.HasQuery(api.QueryObjectTo):
			return copies{t}.copyObject(r)
		case c.HasQuery(api.QueryAppendType):
			return appends{t}.appendObject(r)
		}
		return t.put(r)
	case "DELETE":
		return t.delete(r)
	case "PATCH":
		return t.patch(r)
	case "POST":
		return copies{t}.post(r)
	default:
		return errs.F("target.perform", "method", errs.Unsupported, "%s is not supported on objects", m)
	}
}

// refuseUnsupported names what AIStore's API has and this one has not, rather than answering another question.
func refuseUnsupported(c *httpx.Ctx) error {
	for _, q := range [...]string{api.QueryArchPath, api.QueryArchRegx, api.QueryArchMode, api.QueryETLName, api.QueryUploadID, api.QueryPartNumber} {
		if v := c.Query(q); v != "" {
			return errs.F("target.perform", q, errs.Unsupported, "%q: archives, transformations and multipart uploads are not supported", v)
		}
	}
	return nil
}
