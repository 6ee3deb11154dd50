package edge

import (
	"context"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/s3"
)

// removal is a DeleteBucket.
type removal struct{ *request }

// sealTime is how long a bucket takes no writes while it is looked at before it goes, and sealMargin what clocks may differ. Another request that
// deletes it is waited for as long as sealPatience.
const (
	sealTime     = time.Minute
	sealMargin   = 20 * time.Second
	sealPatience = 10 * time.Second
)

// deleteBucket removes an empty bucket. First it is sealed: once every node knows that, no write is acknowledged any more,
// and what the listing does not show cannot come. The seal ends by itself if this node does.
func (r *removal) deleteBucket() error {
	const op = "edge.deleteBucket"
	if empty, err := (&lists{r.request}).empty(); err != nil || !empty {
		return r.notEmpty(err)
	}
	until, err := r.seal()
	if err != nil {
		return err
	}
	empty := false
	if err = r.findLatest(); err == nil {
		empty, err = (&lists{r.request}).empty()
	}
	if err == nil && empty && now().Add(sealMargin).Before(until) {
		_, err = r.e.ctl.Propose(r.c.Context(), cluster.DestroyBucket{Name: r.name, ID: r.bucket.ID})
		if err == nil {
			r.c.Status(204)
		}
		return err
	}
	if uerr := r.unseal(until); uerr != nil {
		r.e.node.Log.Warn("a bucket takes no writes for a while", "op", op, "bucket", r.name, "until", until, "err", uerr)
	}
	if err == nil && empty {
		return errs.E(op, r.name, errs.Busy, "took too long")
	}
	return r.notEmpty(err)
}

// seal seals the bucket. One request at a time does: who finds objects takes the seal away, and would take it from another that has found none.
func (r *removal) seal() (until time.Time, err error) {
	const op = "edge.seal"
	ctx, id, began := r.c.Context(), r.bucket.ID, now()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		until = now().Add(sealTime)
		err = r.change(func(p *cluster.S3Props) error {
			if now().Before(time.Unix(p.Sealed, 0)) {
				return s3.E(op, r.name, "OperationAborted", "")
			}
			p.Sealed = until.Unix()
			return nil
		})
		if !s3.IsCode(err, "OperationAborted") || now().Sub(began)+pause > r.e.sealPatience {
			return until, err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return until, errs.E(op, r.name, ctx.Err())
		}
		if err := r.findLatest(); err != nil {
			return until, err
		}
		if r.bucket.ID != id {
			return until, noBucket(r.name)
		}
	}
}

// unseal takes away the seal up to until. That the client has gone is no reason to leave it.
func (r *removal) unseal(until time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.c.Context()), sealMargin)
	defer cancel()
	for refused := uint64(0); ; {
		v, err := r.e.ctl.Latest(ctx)
		if err != nil {
			return err
		}
		b := v.BucketByID(r.bucket.ID)
		if b == nil || b.Props.S3.Sealed != until.Unix() {
			return nil
		}
		props := b.Props
		props.S3.Sealed = 0
		_, err = r.e.ctl.Propose(ctx, cluster.SetBucketProps{Name: b.Name, Props: props, Version: b.Version})
		if !errs.Is(err, errs.Conflict) || b.Version == refused { // else somebody has changed other properties meanwhile
			return err
		}
		refused = b.Version
	}
}

func (r *removal) notEmpty(err error) error {
	if err != nil {
		return err
	}
	return s3.E("edge.deleteBucket", r.name, "BucketNotEmpty", "", s3.Field{Name: "BucketName", Value: r.name})
}
