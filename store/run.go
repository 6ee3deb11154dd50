package store

import (
	"context"
	"time"

	"aistore/errs"
	"aistore/store/format"
)

// Run looks after the store until ctx ends: it finishes removals that a crash interrupted, sweeps what
// interrupted writers left, and watches the disks. It returns nil when ctx ends.
func (s *Store) Run(ctx context.Context) error {
	health := time.NewTicker(s.cfg.HealthEvery)
	defer health.Stop()
	sweep := time.NewTicker(s.cfg.SweepEvery)
	defer sweep.Stop()
	s.checkDisks()
	s.tidy(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-health.C:
			s.checkDisks()
		case <-sweep.C:
			s.tidy(ctx)
		}
	}
}

func (s *Store) checkDisks() {
	for _, v := range s.vols {
		if v.mp.Check() != nil {
			continue
		}
		v.space.keepReserve()
		if err := v.seal(); err != nil {
			v.log.Warn("the index's log could not be sealed", "mountpath", v.mp.Path(), "err", err)
		}
	}
}

// tidy does what Run does besides watching. What fails is logged and tried again at the next turn.
func (s *Store) tidy(ctx context.Context) {
	if err := s.cleanUploads(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("tidying multipart uploads failed", "err", err)
	}
	for _, v := range s.vols {
		if v.err() != nil {
			continue
		}
		err := s.finishDestroys(ctx, v)
		if err == nil {
			err = s.sessions.expire(v, time.Now())
		}
		if err == nil {
			err = s.finishGone(v)
		}
		if err == nil {
			_, err = v.sweepBlobs(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("tidying a mountpath failed", "mountpath", v.mp.Path(), "err", err)
		}
	}
}

func (s *Store) finishDestroys(ctx context.Context, v *volume) error {
	ids, err := v.pendingDestroys()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.DestroyBucket(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// sweepBlobs removes blobs that no record names: those of writers and removals that a crash
// interrupted. Blobs being written now are left alone.
func (v *volume) sweepBlobs(ctx context.Context) (removed int, err error) {
	const op = "store.sweepBlobs"
	if v.rebuilt.Load() {
		return 0, nil
	}
	dirs, err := v.mp.ReadDir("blobs")
	if err != nil {
		return 0, errs.E(op, v.mp.Path(), err)
	}
	for _, d := range dirs {
		names, err := v.mp.ReadDir("blobs/" + d)
		if err != nil {
			return removed, errs.E(op, v.mp.Path(), err)
		}
		var ids []format.BlobID
		for _, n := range names {
			if err := ctx.Err(); err != nil {
				return removed, err
			}
			id, ok := format.ParseBlobID(n)
			if !ok {
				continue // not ours: leave it
			}
			// In this order: a blob that is no longer being written has been committed or given up.
			if _, busy := v.writing.Load(id); busy {
				continue
			}
			ids = append(ids, id)
		}
		removed += v.unlinkUnreferenced(ids...)
	}
	if removed > 0 {
		v.log.Info("swept blobs without a record", "mountpath", v.mp.Path(), "blobs", removed)
	}
	return removed, nil
}
