package target

import (
	"strconv"

	"aistore/api"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
)

// admit decides whether this node serves a client's request: true, or an error, or a redirect to the owner.
// A request routed by a newer map than this node's waits for that map, and is then judged by it.
func (t *Target) admit(c *httpx.Ctx, o *node.Object) (bool, error) {
	r, err := t.node.ReadRouting(c, o)
	if err != nil {
		return false, err
	}
	if err := t.catchUp(c, o, r); err != nil {
		return false, err
	}
	mine := o.Owner != nil && o.Owner.ID == t.node.ID
	if !mine || r.MapVersion > 0 && r.MapVersion != o.View.Map.Version { // a client with an older map may refresh it when it likes
		version := strconv.FormatUint(o.View.Map.Version, 10)
		c.SetHeader(api.HeaderMapVersion, version)
		c.SetFailHeader(api.HeaderMapVersion, version)
	}
	if mine {
		return true, nil
	}
	switch {
	case o.Owner == nil:
		return false, errs.E("target.admit", o, errs.Unavailable, "no target is in service")
	case r.MapVersion > 0: // routes by itself: it refreshes its map instead of being sent around
		return false, errs.F("target.admit", o, errs.WrongOwner, "belongs to %s in version %d of the cluster map", o.Owner.ID, o.View.Map.Version)
	case !o.Owner.Alive:
		return false, errs.F("target.admit", o, errs.Unavailable, "its owner %s does not answer", o.Owner.ID)
	}
	c.Redirect(t.node.RedirectURL(c, o))
	return false, nil
}

// admitNode is admit for another node of the cluster, which is never redirected.
func (t *Target) admitNode(c *httpx.Ctx, o *node.Object) error {
	var r node.Routing
	if e := c.Query(api.QueryRedirEpoch); e != "" {
		var err error
		if r.Epoch, err = strconv.ParseUint(e, 10, 64); err != nil {
			return errs.F("target.admit", api.QueryRedirEpoch, errs.Invalid, "%q is not a number", e)
		}
	}
	if err := t.catchUp(c, o, r); err != nil {
		return err
	}
	if o.Owner == nil || o.Owner.ID != t.node.ID {
		return errs.F("target.admit", o, errs.WrongOwner, "is not this node's in version %d of the cluster map", o.View.Map.Version)
	}
	return nil
}

// catchUp resolves o again if the request was routed by a newer map than o's.
func (t *Target) catchUp(c *httpx.Ctx, o *node.Object, r node.Routing) error {
	if !r.NewerThan(o.View) {
		return nil
	}
	v, err := t.node.Control().Latest(c.Context())
	if err != nil {
		return errs.E("target.admit", "cluster map", err)
	}
	b := v.BucketByID(o.Bucket.ID)
	if b == nil {
		return errs.E("target.admit", o.Bucket.String(), errs.NoBucket, "bucket does not exist")
	}
	o.View, o.Bucket, o.Owner = v, b, v.Owner(b, o.Key)
	return nil
}

// StillMine is checked under the name's lock right before a commit, and the lease again before the reply:
// a node that was paused, or whose bucket or name went elsewhere, must not acknowledge. An epoch that has
// changed while this node stays the owner does no harm: nobody else can have written the name.
func (t *Target) StillMine(o *node.Object) error {
	const op = "target.StillMine"
	ctl := t.node.Control()
	if err := ctl.Lease(); err != nil {
		return err
	}
	v := ctl.View()
	if v == o.View {
		return nil
	}
	b := v.BucketByID(o.Bucket.ID)
	if b == nil {
		return errs.E(op, o.Bucket.String(), errs.NoBucket, "bucket was destroyed")
	}
	if v.Map.Epoch == o.View.Map.Epoch {
		return nil
	}
	if owner := v.Owner(b, o.Key); owner == nil || owner.ID != t.node.ID {
		return errs.F(op, o, errs.StaleMap, "went to another target in version %d of the cluster map", v.Map.Version)
	}
	return nil
}
