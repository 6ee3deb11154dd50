package edge

import (
	"strconv"
	"strings"

	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/s3"
)

// toOwner hands a request about one key to the node that owns the key.
func (r *request) toOwner() error {
	if err := s3.CheckKey(r.key); err != nil {
		return err
	}
	if err := r.find(); err != nil {
		return err
	}
	if r.passed != 0 && r.passed != r.bucket.ID { // destroyed and created again since it was sent here
		return noBucket(r.name)
	}
	if r.op.MaxBody != s3.NoLimit {
		r.c.LimitBody(max(r.op.MaxBody, 1<<20) + 64<<10) // its own limit is the owner's to word; this one bounds what is passed on
	}
	for try := 1; ; try++ {
		o := r.object(r.key)
		err := r.deliver(&o)
		if !errs.Is(err, errs.WrongOwner, errs.StaleMap) || r.c.Sent() || r.c.BodyGone() || try == deliverTries {
			return err
		}
		if renewed, rerr := r.renew(); rerr != nil {
			return rerr
		} else if !renewed {
			return err
		}
	}
}

// deliverTries is by how many views a request is routed. A body that has begun to go out, or that this node has read as the owner, is never sent again.
const deliverTries = 3

// renew takes the newest view; false when nobody tells.
func (r *request) renew() (bool, error) {
	v, err := r.e.ctl.Latest(r.c.Context())
	if err != nil {
		return false, nil //nolint:nilerr // what made it necessary says more
	}
	b := v.BucketByID(r.bucket.ID)
	if b == nil {
		return false, noBucket(r.name)
	}
	return true, r.take(v, b)
}

func (r *request) object(key string) node.Object {
	return node.Object{View: r.view, Bucket: r.bucket, Key: key, Owner: r.view.Owner(r.bucket, key)}
}

// deliver has the owner serve the request.
func (r *request) deliver(o *node.Object) error {
	const op = "edge.deliver"
	e := r.e
	switch {
	case o.Owner == nil:
		return errs.E(op, o.String(), errs.Unavailable, "no target is in service")
	case o.Owner.ID == e.node.ID && e.owner != nil:
		return e.owner.Serve(r.c, *o, &r.caller)
	case !o.Owner.Alive:
		return errs.F(op, o.String(), errs.Unavailable, "its owner %s does not answer", o.Owner.ID)
	case o.View.Config.S3.Redirect && r.passed == 0 && r.follows(o): // once: who has sent it here may know a newer map, and would be sent it back
		return r.redirect(o)
	}
	b := make([]byte, 0, 512)
	b = strconv.AppendUint(append(b, s3.PathOwner+"/"...), o.Bucket.ID, 10)
	b = httpx.AppendPath(append(b, '/'), o.Key)
	q := r.c.RawQuery()
	if r.passed != 0 {
		_, q, _ = strings.Cut(passless(r.c.Target()), "?")
	}
	if q != "" {
		b = append(append(b, '?'), q...)
	}
	target := len(b)
	b = r.caller.Append(b)
	both := string(b)
	return r.c.Relay(e.node.Client, &httpx.Relay{
		Addr: o.Owner.IntraAddr, Target: both[:target], Set: []httpx.Header{{Key: s3.HeaderCaller, Value: both[target:]}}, Drop: internal,
	})
}

// internal reports whether a header of a client means something between nodes, or nothing to the owner.
func internal(key string) bool {
	return len(key) > 4 && strings.EqualFold(key[:4], "ais-") || strings.EqualFold(key, "authorization")
}
