package owner

import (
	"context"
	"errors"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/run"
	"aistore/node"
	"aistore/object"
	"aistore/s3"
	"aistore/store"
	"aistore/target"
)

// Run applies the lifecycle rules of buckets to the names this node owns, and sweeps abandoned uploads, until ctx ends. It needs no
// coordinator: the rules are in the bucket's properties, and each target looks after its own.
func (w *Owner) Run(ctx context.Context) error {
	next := time.Now().Add(soon)
	for {
		var seen uint64
		pause := time.Minute
		if v := w.node.Control().View(); v != nil {
			seen, pause = v.Index, every(&v.Config.S3)
		}
		if most := time.Now().Add(pause); next.After(most) {
			next = most
		}
		t := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-w.node.Control().Watch(seen): // rules or settings may be others
			t.Stop()
			if early := time.Now().Add(soon); next.After(early) {
				next = early
			}
		case <-t.C:
			if err := w.Round(ctx, time.Now()); err != nil && ctx.Err() == nil {
				w.log.Warn("lifecycle rules not applied everywhere", "op", "owner.Run", "err", err)
			}
			next = time.Now().Add(pause)
		}
	}
}

// soon is how long after a change of the view the rules are looked at: changes come in groups.
const soon = 10 * time.Second

// every is the pause between two rounds: a tenth of a short day, so that rules that are tried out act in time.
func every(c *cluster.S3Cfg) time.Duration {
	return max(min(c.LifecycleEvery.D(), c.LifecycleDay.D()/10), 100*time.Millisecond)
}

// Round applies every bucket's rules once, as of now. One at a time: Run is its caller.
func (w *Owner) Round(ctx context.Context, now time.Time) error {
	const op = "owner.Round"
	v, err := w.node.View()
	if err != nil {
		return nil //nolint:nilerr // not part of a cluster yet: nothing to do
	}
	if err := w.node.Control().Lease(); err != nil {
		return nil //nolint:nilerr // whoever serves the names now does it
	}
	var first error
	note := func(err error) {
		if err != nil && first == nil {
			first = err
		}
	}
	if ttl := v.Config.S3.UploadTTL.D(); now.Sub(w.swept) >= min(ttl/20, time.Hour) {
		w.swept = now
		if n, err := w.store.SweepUploads(ctx, now.Add(-ttl)); err != nil {
			note(err)
		} else if n > 0 {
			w.log.Info("abandoned uploads removed", "op", op, "uploads", n)
		}
	}
	for _, b := range v.Buckets.List() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		set, err := w.settings.Of(v, b)
		if err != nil {
			note(err)
			continue
		}
		if set.Lifecycle == nil {
			continue
		}
		x := &sweep{w: w, view: v, bucket: b, rules: set.Lifecycle, day: v.Config.S3.LifecycleDay.D(), now: now}
		note(x.run(ctx))
	}
	return first
}

// sweep is one bucket's round.
type sweep struct {
	w      *Owner
	view   *cluster.View
	bucket *cluster.Bucket
	rules  *s3.Lifecycle
	day    time.Duration
	now    time.Time

	out   chan doomed
	key   string       // of the versions that are being looked at
	since time.Time    // when the version before, which is newer, was written
	newer int          // noncurrent versions of key so far
	alone *object.Info // a current delete marker behind which nothing was found yet
}

// doomed is something that a rule removes.
type doomed struct {
	key     string
	version string         // of a version that goes; "" = the current one, as a DELETE does it
	state   object.Version // of the current one that was judged
	still   func(info *object.Info) bool
}

// sweepers is how many deletes of one bucket are under way at the same time: they commit as one group.
const sweepers = 16

func (x *sweep) run(ctx context.Context) error {
	var uploads, versions error // neither waits for what keeps the other
	if x.rules.AbortsUploads() {
		uploads = x.uploads(ctx)
	}
	if x.rules.ExpiresVersions() {
		versions = x.versions(ctx)
	}
	return errors.Join(uploads, versions)
}

// versions removes those objects, versions and delete markers that a rule wants gone.
func (x *sweep) versions(ctx context.Context) error {
	g := run.NewGroup(ctx)
	x.out = make(chan doomed, sweepers)
	g.Go("look", func(ctx context.Context) error {
		defer close(x.out)
		return x.look(ctx)
	})
	for range sweepers {
		g.Go("remove", func(ctx context.Context) error {
			for d := range x.out {
				if err := x.remove(ctx, &d); err != nil {
					x.w.log.Warn("an expired object was not removed", "op", "owner.sweep", "bucket", x.bucket.Name, "err", err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// look walks the versions of the bucket.
func (x *sweep) look(ctx context.Context) error {
	q := store.VersionQuery{Bucket: x.bucket.ID, Prefix: x.rules.Prefix()}
	err := x.w.store.ListVersions(ctx, q, func(info *object.Info) bool {
		if info.Key != x.key {
			x.endKey(ctx)
			x.key, x.newer = info.Key, 0
		}
		if o := x.view.Owner(x.bucket, info.Key); o != nil && o.ID == x.w.node.ID {
			x.judge(ctx, info)
		}
		x.since = info.Created
		return ctx.Err() == nil && x.holds(x.w.node.Control().View())
	})
	x.endKey(ctx)
	return err
}

// holds reports whether the round still does what v says. A round of a large bucket takes long: rules that were changed or removed, a longer day,
// and versions that were switched on count from when that was acknowledged.
func (x *sweep) holds(v *cluster.View) bool {
	b := v.BucketByID(x.bucket.ID)
	return b != nil && b.Props.S3.Lifecycle == x.bucket.Props.S3.Lifecycle && b.Props.S3.Versioning == x.bucket.Props.S3.Versioning &&
		v.Config.S3.LifecycleDay.D() == x.day
}

// guarded is the guard of a change that a rule wants.
func (x *sweep) guarded(c *target.Commit) error {
	err := c.Guard()
	if err == nil && !x.holds(x.w.node.Control().View()) {
		err = errs.E("owner.sweep", x.bucket.Name, errs.Precondition, "the rules of the bucket have changed")
	}
	return err
}

// endKey ends the versions of a name: a delete marker that was alone may go.
func (x *sweep) endKey(ctx context.Context) {
	if m := x.alone; m != nil && x.rules.MarkerExpires(m, x.day, x.now) {
		x.send(ctx, doomed{key: m.Key, version: m.VersionID, still: func(i *object.Info) bool { return i.DeleteMarker && i.Latest }})
	}
	x.alone = nil
}

func (x *sweep) judge(ctx context.Context, info *object.Info) {
	if !info.Latest {
		x.alone = nil
		if since := x.since; x.rules.NoncurrentExpires(info, since, x.newer, x.day, x.now) {
			newer := x.newer
			x.send(ctx, doomed{key: info.Key, version: info.VersionID, still: func(i *object.Info) bool {
				return !i.Latest && x.rules.NoncurrentExpires(i, since, newer, x.day, x.now)
			}})
		}
		x.newer++
		return
	}
	if info.DeleteMarker {
		m := *info
		x.alone = &m
		return
	}
	expires := func(i *object.Info) bool {
		at, _, ok := x.rules.Expires(i, x.day)
		return ok && !x.now.Before(at) && !i.DeleteMarker
	}
	if expires(info) {
		x.send(ctx, doomed{key: info.Key, state: info.Version, still: expires})
	}
}

func (x *sweep) send(ctx context.Context, d doomed) {
	select {
	case x.out <- d:
	case <-ctx.Done():
	}
}

// remove deletes what a rule doomed, if the rule still says so under the name's lock: it may have been overwritten or tagged meanwhile.
func (x *sweep) remove(ctx context.Context, d *doomed) error {
	const op = "owner.sweep"
	o, ok, err := x.sure(ctx, d.key)
	if !ok || err != nil {
		return err
	}
	c := x.w.target.Commit(&o)
	opts := store.DeleteOptions{
		Epoch: o.View.Map.Epoch, Newest: c.Newest, Durability: o.Bucket.Props.Durability, Versioning: target.VersioningOf(o.Bucket), VersionID: d.version,
		Guard: func() error {
			info, err := x.w.store.StatVersion(o.Name(), d.version)
			if err != nil {
				return err
			}
			if !d.still(&info) {
				return errs.E(op, &o, errs.Precondition, "the rule does not apply any more")
			}
			return x.guarded(c)
		},
	}
	if d.version == "" {
		opts.Conditions = &object.Conditions{IfVersion: d.state}
	}
	_, err = x.w.store.Delete(ctx, o.Name(), opts)
	if errs.Is(err, errs.NotFound, errs.Precondition, errs.StaleMap) {
		return nil
	}
	if err == nil {
		x.w.log.Debug("expired", "op", op, "object", o.String(), "version", d.version)
	}
	return err
}

// sure resolves a key under the newest view and reports whether what was seen here of it is its newest state. If another node may know
// better it is asked, and the next round looks again.
func (x *sweep) sure(ctx context.Context, key string) (node.Object, bool, error) {
	o := node.Object{View: x.view, Bucket: x.bucket, Key: key}
	if err := x.w.node.Refresh(&o); err != nil {
		return o, false, nil //nolint:nilerr // the bucket is gone, or this node is no member: nothing to do
	}
	if o.Owner == nil || o.Owner.ID != x.w.node.ID || !x.holds(o.View) {
		return o, false, nil
	}
	if !x.w.target.Sure(&o) {
		return o, false, x.w.target.Own(ctx, &o)
	}
	return o, true, nil
}

// uploadsAtOnce bounds the uploads that are held in memory.
const uploadsAtOnce = 1000

// uploads aborts those that a rule wants gone. Those that cannot be aborted now, since a node that may know better does not answer, stay; the error is the
// first one's.
func (x *sweep) uploads(ctx context.Context) (first error) {
	q := store.UploadQuery{Bucket: x.bucket.ID, Prefix: x.rules.Prefix()}
	for {
		var old []store.Upload
		err := x.w.store.ListUploads(ctx, q, func(u *store.Upload) bool {
			o := x.view.Owner(x.bucket, u.Key)
			if o != nil && o.ID == x.w.node.ID && x.rules.UploadExpires(u.Key, u.Initiated, x.day, x.now) {
				old = append(old, *u)
			}
			return len(old) < uploadsAtOnce
		})
		if err != nil {
			return err
		}
		for i := range old {
			if err := x.abort(ctx, &old[i]); err != nil && first == nil {
				first = err
			}
		}
		if len(old) < uploadsAtOnce || ctx.Err() != nil || !x.holds(x.w.node.Control().View()) {
			return first
		}
		last := &old[len(old)-1]
		q.After, q.AfterID = last.Key, last.ID
	}
}

// abort aborts an upload if its rule still says so.
func (x *sweep) abort(ctx context.Context, u *store.Upload) error {
	o, ok, err := x.sure(ctx, u.Key)
	if err == nil && ok {
		c := x.w.target.Commit(&o)
		err = x.w.store.AbortUpload(ctx, o.Name(), u.ID, store.AbortOptions{
			Epoch: o.View.Map.Epoch, Newest: c.Newest, Guard: func() error { return x.guarded(c) },
		})
	}
	if errs.Is(err, errs.NotFound, errs.Precondition, errs.StaleMap) {
		return nil
	}
	return err
}
