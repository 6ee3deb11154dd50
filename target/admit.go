package target

import (
	"strconv"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
)

// unbegun gives an error that came before anything was done of a request, at this node or elsewhere, the kind Busy instead of Unavailable, which
// leaves open whether it was carried out: nobody repeats an append, a rename or a conditional write of which that is not known.
func unbegun(err error) error {
	if errs.Is(err, errs.Unavailable) {
		return errs.E("", nil, errs.Busy, err)
	}
	return err
}

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
		return false, errs.E("target.admit", o, errs.Busy, "no target is in service")
	case r.MapVersion > 0: // routes by itself: it refreshes its map instead of being sent around
		return false, errs.F("target.admit", o, errs.WrongOwner, "belongs to %s in version %d of the cluster map", o.Owner.ID, o.View.Map.Version)
	case !o.Owner.Alive:
		return false, errs.F("target.admit", o, errs.Busy, "its owner %s does not answer", o.Owner.ID)
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
	if _, err := t.node.Control().Latest(c.Context()); err != nil {
		return errs.E("target.admit", "cluster map", err)
	}
	return t.node.Refresh(o)
}

// StillMine is checked before a body is asked for, and in the end by Commit.Guard right before a commit, and the lease again before the reply:
// a node that was paused, or whose bucket or name went elsewhere, must not acknowledge. An epoch that has
// changed while this node stays the owner does no harm: nobody else can have written the name. o was made sure of (Own).
func (t *Target) StillMine(o *node.Object) error { return t.stillMine(o, t.node.Control().View()) }

func (t *Target) stillMine(o *node.Object, v *cluster.View) error {
	const op = "target.StillMine"
	if err := t.node.Control().Lease(); err != nil {
		return err
	}
	b, err := open(o, v)
	if err != nil || v.Map.Epoch == o.View.Map.Epoch {
		return err
	}
	if !ownership.Commit(o.View, v, t.node.ID, b, o.Key, o.View.Map.Epoch) {
		return errs.F(op, o, errs.StaleMap, "belonged to another target since, by version %d of the cluster map", v.Map.Version)
	}
	return nil
}

// Commit is one change of a key on its way to the store. Its two methods are the store's options of the same names.
type Commit struct {
	t *Target
	o *node.Object
	v *cluster.View // by which Newest answered
}

// Commit returns a change of o's key, of which this node was made sure.
func (t *Target) Commit(o *node.Object) *Commit { return &Commit{t: t, o: o} }

// Newest tells the epoch of the change and whether it leaves a mark: those of the newest map, since a mark of the map by which the change was
// admitted may be that of a copy elsewhere, against which a delete would not hold.
func (c *Commit) Newest() (epoch uint64, mark bool) {
	c.v = c.t.node.Control().View()
	return c.v.Map.Epoch, ownership.Mark(c.v) != 0
}

// Guard decides by the view of which Newest told, as long as it is of the present epoch.
func (c *Commit) Guard() error {
	v := c.t.node.Control().View()
	if c.v != nil && c.v.Map.Epoch != v.Map.Epoch {
		return errs.F("target.Commit", c.o, errs.StaleMap, "an epoch began during the commit")
	}
	return c.t.stillMine(c.o, v)
}

// Judged words what a request came to whose key may have gone elsewhere meanwhile: what this node does not find then is not missing. To say
// that something is not there takes the lease as much as to say what is: without it others may have written it.
func (t *Target) Judged(o *node.Object, err error) error {
	if !errs.Is(err, errs.NotFound, errs.Precondition) {
		return err
	}
	if lost := t.node.Control().Lease(); lost != nil {
		return lost
	}
	v := t.node.Control().View()
	if v.Map.Epoch == o.View.Map.Epoch {
		return err
	}
	if b := v.BucketByID(o.Bucket.ID); b != nil && !ownership.Commit(o.View, v, t.node.ID, b, o.Key, o.View.Map.Epoch) {
		return errs.F("target.Judged", o, errs.StaleMap, "belonged to another target since, by version %d of the cluster map", v.Map.Version)
	}
	return err
}

// open returns o's bucket in v if it takes writes: it is there, and not about to go.
func open(o *node.Object, v *cluster.View) (*cluster.Bucket, error) {
	const op = "target.open"
	b := o.Bucket
	if v != o.View {
		if b = v.BucketByID(b.ID); b == nil {
			return nil, errs.E(op, o.Bucket.String(), errs.NoBucket, "bucket was destroyed")
		}
	}
	if b.Props.S3.Sealed != 0 && b.Sealed(time.Now()) {
		return nil, errs.E(op, b.String(), errs.Busy, "bucket is being deleted")
	}
	return b, nil
}

// Acknowledge is checked between a commit and the reply: a node that was paused must not claim that the change is the newest, and
// a change that nobody saw before its bucket was sealed goes with the bucket.
func (t *Target) Acknowledge(o *node.Object) error {
	ctl := t.node.Control()
	if err := ctl.Lease(); err != nil {
		return err
	}
	_, err := open(o, ctl.View())
	return err
}
