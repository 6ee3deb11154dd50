package target

import (
	"context"
	"net/url"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
)

// Jobs keep their shares while names move: what this target does not own any more is done by the owner on its behalf.

// patienceOfJobs is how long a job tries again once a name has no owner that answers, and pauseOfJobs the wait in between.
const (
	patienceOfJobs = 30 * time.Second
	pauseOfJobs    = 200 * time.Millisecond
)

// atOwner does here what is to be done where a name of b belongs, and there when it belongs elsewhere; again while owners change.
func (o Objects) atOwner(ctx context.Context, b *cluster.Bucket, key string, here, there func(*node.Object) error) error {
	const op = "target.atOwner"
	var since time.Time // it has failed
	for {
		v, err := o.t.node.View()
		if err != nil {
			return err
		}
		now := v.BucketByID(b.ID) // a job may go on for hours, in which properties change
		if now == nil {
			return errs.E(op, b.String(), errs.NoBucket, "bucket does not exist")
		}
		obj := node.Object{View: v, Bucket: now, Key: key, Owner: v.Owner(now, key)}
		switch {
		case obj.Owner == nil:
			err = errs.E(op, &obj, errs.Unavailable, "no target is in service")
		case obj.Owner.ID == o.t.node.ID:
			if err = o.t.Own(ctx, &obj); err == nil {
				err = o.t.Judged(&obj, here(&obj))
			}
		default:
			err = there(&obj)
		}
		if !errs.Is(err, errs.StaleMap, errs.WrongOwner, errs.Unavailable, errs.Busy) {
			return err
		}
		if since.IsZero() { // what failed may have taken long before
			since = time.Now()
		}
		if time.Since(since) >= patienceOfJobs {
			return err
		}
		pause := time.NewTimer(pauseOfJobs)
		select {
		case <-pause.C:
		case <-o.t.node.Control().Watch(v.Index):
			pause.Stop()
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// Delete removes an object, wherever it belongs. The size is -1 when another target removed it.
func (o Objects) Delete(ctx context.Context, b *cluster.Bucket, key string) (size int64, err error) {
	err = o.atOwner(ctx, b, key, func(obj *node.Object) error {
		info, err := o.t.store.Delete(ctx, obj.Name(), o.t.deleteOptions(obj, nil))
		if err != nil {
			return fault("target.Delete", obj, err)
		}
		size = info.Size
		return nil
	}, func(obj *node.Object) error {
		rep, err := o.t.node.Client.Do(ctx, &httpx.Call{Method: "DELETE", URL: intraURL(PathIntraObjects, obj)})
		if err != nil {
			return err
		}
		size = -1
		rep.Close()
		return nil
	})
	return size, err
}

// Copy makes an object known under another name too, wherever the two belong. The size is -1 when another target copied it.
func (o Objects) Copy(ctx context.Context, from *cluster.Bucket, key string, to *cluster.Bucket, toKey string) (size int64, err error) {
	if from.ID == to.ID && key == toKey {
		return 0, errs.E("target.Copy", to.String()+"/"+toKey, errs.Invalid, "source and destination are the same object")
	}
	dest := func(src *node.Object) (*cluster.Bucket, error) {
		if b := src.View.BucketByID(to.ID); b != nil {
			return b, nil
		}
		return nil, errs.E("target.Copy", to.String(), errs.NoBucket, "bucket does not exist")
	}
	err = o.atOwner(ctx, from, key, func(src *node.Object) error {
		b, err := dest(src)
		if err != nil {
			return err
		}
		dst := node.Object{View: src.View, Bucket: b, Key: toKey, Owner: src.View.Owner(b, toKey)}
		info, err := copies{o.t}.transfer(ctx, src, &dst, nil)
		size = info.Size
		return err
	}, func(src *node.Object) error {
		b, err := dest(src)
		if err != nil {
			return err
		}
		call := &httpx.Call{Method: "PUT", URL: intraURL(PathIntraObjects, src) + "&" + api.QueryObjectTo + "=" + url.QueryEscape(api.BckOf(b).Path()+toKey)}
		rep, err := o.t.node.Client.Do(ctx, call)
		if err != nil {
			return err
		}
		size = -1
		rep.Close()
		return nil
	})
	return size, err
}

// Size returns the bytes of an object, wherever it belongs; kind NotFound if there is none.
func (o Objects) Size(ctx context.Context, b *cluster.Bucket, key string) (size int64, err error) {
	err = o.atOwner(ctx, b, key, func(obj *node.Object) error {
		info, err := o.t.store.Stat(obj.Name())
		if err != nil {
			return fault("target.Size", obj, err)
		}
		size = info.Size
		return nil
	}, func(obj *node.Object) error {
		rep, err := o.t.node.Client.Do(ctx, &httpx.Call{Method: "HEAD", URL: intraURL(PathIntraObjects, obj)})
		if err != nil {
			return err
		}
		size = rep.Len
		rep.Close()
		return nil
	})
	return size, err
}
