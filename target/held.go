package target

import (
	"context"
	"strconv"
	"strings"

	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
)

// HeaderHeld is on a read that the key's owner of an epoch passes on to the node that has the key, while that is on its way: its value is the epoch.
// Nobody changes the key meanwhile: the owner does not before it has arrived, and whoever was asked for it never does.
const HeaderHeld = "Ais-Held"

// ToHolder passes a read of o on to a node that OwnToRead named. target is the request's target there.
func (x *touches) ToHolder(c *httpx.Ctx, o *node.Object, holder *cluster.Node, target string, set ...httpx.Header) error {
	if err := x.node.Control().Lease(); err != nil { // it is the owner who answers
		return err
	}
	set = append(set, httpx.Header{Key: HeaderHeld, Value: strconv.FormatUint(o.View.Map.Epoch, 10)})
	return c.Relay(x.node.Client, &httpx.Relay{Addr: holder.IntraAddr, Target: target, Set: set, Drop: ofNodes, Kind: true})
}

// ofNodes reports whether a header means something between nodes.
func ofNodes(key string) bool { return len(key) > 4 && strings.EqualFold(key[:4], "ais-") }

// toHolder is ToHolder for a request of the native API.
func (r *request) toHolder(x *touches, holder *cluster.Node) error {
	b := strconv.AppendUint([]byte(PathIntraObjects+"/"), r.Bucket.ID, 10)
	b = httpx.AppendPath(append(b, '/'), r.Key)
	if q := r.c.RawQuery(); q != "" {
		b = append(append(b, '?'), q...)
	}
	return x.ToHolder(r.c, &r.Object, holder, string(b))
}

// AdmitHeld decides whether this node answers a read with HeaderHeld: it is in the asker's epoch, does not own the key, and still has all it had.
func (x *touches) AdmitHeld(ctx context.Context, o *node.Object, held string) error {
	const op = "target.AdmitHeld"
	epoch, err := strconv.ParseUint(held, 10, 64)
	if err != nil {
		return errs.F(op, HeaderHeld, errs.Invalid, "%q is not a number", held)
	}
	if err := x.fence(ctx, o, epoch); err != nil {
		return err
	}
	_, misplaced := ownership.Misplaced(o.View, x.node.ID, o.Bucket, o.Key)
	if !misplaced || o.View.Map.Sources[x.node.ID].Stage != cluster.Moving {
		return errs.F(op, o, errs.StaleMap, "is with its owner by version %d of the cluster map", o.View.Map.Version)
	}
	return nil
}

// StillHeld words the outcome of a read with HeaderHeld: what this node does not find may have been swept just now.
func (x *touches) StillHeld(o *node.Object, err error) error {
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	if v := x.node.Control().View(); v.Map.Epoch != o.View.Map.Epoch || v.Map.Sources[x.node.ID].Stage != cluster.Moving {
		return errs.E("target.StillHeld", o, errs.StaleMap, "has moved to its owner")
	}
	return err
}
