package target

import (
	"context"
	"time"

	"aistore/cluster"
)

// sweepAgain is when buckets' data is looked for once more after some was destroyed: a write that passed its
// check just before the bucket went may have committed behind the sweep.
const sweepAgain = 30 * time.Second

// destroyBuckets removes the data of buckets that the bucket map has lost, whenever a new view comes, and so
// also after a restart.
func (t *Target) destroyBuckets(ctx context.Context) error {
	again := time.NewTimer(0)
	defer again.Stop()
	<-again.C
	var seen uint64
	for {
		v := t.node.Control().View()
		if v != nil {
			seen = v.Index
			if t.sweep(ctx, v) {
				again.Reset(sweepAgain)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		case <-t.node.Control().Watch(seen):
		}
	}
}

// sweep destroys what no bucket of v owns, and reports whether it should look again. A bucket that is newer
// than v is left alone: its id was not given out yet.
func (t *Target) sweep(ctx context.Context, v *cluster.View) (again bool) {
	ids, err := t.store.Leftovers()
	if err != nil {
		t.log.Warn("buckets on disk cannot be listed", "op", "target.sweep", "err", err)
		return true
	}
	for _, id := range ids {
		if v.BucketByID(id) != nil || id >= v.Buckets.NextID {
			continue
		}
		again = true
		start := time.Now()
		if err := t.store.DestroyBucket(ctx, id); err != nil {
			if ctx.Err() == nil {
				t.log.Warn("destroyed bucket's data not removed yet", "op", "target.sweep", "bucket", id, "err", err)
			}
			continue
		}
		t.log.Info("destroyed bucket's data removed", "op", "target.sweep", "bucket", id, "view", v.Index, "took", time.Since(start))
	}
	return again
}

// dropMarks removes marks that say nothing any more, whenever the cluster has settled, and so also after a restart.
func (t *Target) dropMarks(ctx context.Context) error {
	var seen, done uint64
	for ctx.Err() == nil {
		if v := t.node.Control().View(); v != nil {
			seen = v.Index
			if s := v.Map.Settled; s > done {
				n, err := t.store.DropMarks(ctx, s)
				if err != nil && ctx.Err() == nil {
					t.log.Warn("marks of names that have moved not removed yet", "op", "target.dropMarks", "err", err)
				} else if n > 0 {
					t.log.Info("marks of names that have moved removed", "op", "target.dropMarks", "settled", s, "marks", n)
				}
				done = s // they do no harm; the next time removes what was left
			}
		}
		select {
		case <-ctx.Done():
		case <-t.node.Control().Watch(seen):
		}
	}
	return nil
}
