package rebalance

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store"
)

// sweep is the duty Sweep: what this node does not own goes, now that all of it is durable at its owners.
func (e *Engine) sweep(ctx context.Context, is what) {
	v := e.latest(ctx, is.epoch)
	if v == nil {
		return
	}
	s := &sweeper{Engine: e, is: is, view: v, gen: e.book.of(is.epoch)}
	defer func() { e.litter.add(&s.remains) }() // after the report: nobody waits for it
	began := time.Now()
	var pause backoff
	for left := int64(-1); left != 0; {
		left = s.pass(ctx)
		s.gen.setWaiting(nil)
		if ctx.Err() == nil && left > 0 {
			s.gen.setWaiting(e.mountpathsOut())
			e.log.Warn("rebalance: not all could be removed; it is tried again", "id", cluster.GenerationID(is.epoch), "left", left)
			_ = sleep(ctx, pause.next()) // ctx is looked at below
		}
		if ctx.Err() != nil {
			return
		}
	}
	if failpoint.Hit("reb.before-swept") != nil {
		return
	}
	e.log.Info("rebalance: swept", "id", cluster.GenerationID(is.epoch), "objects", s.gen.removed.Load(), "took", time.Since(began).Round(time.Millisecond))
	e.report(ctx, is.epoch, cluster.Swept)
}

type sweeper struct {
	*Engine
	is   what
	view *cluster.View
	gen  *generation
	left atomic.Int64 // could not be removed

	mu      sync.Mutex
	remains store.Remains
}

// pass walks all mountpaths once; it returns how much could not be removed.
func (s *sweeper) pass(ctx context.Context) int64 {
	s.left.Store(0)
	lies := s.store.Shifts()
	var lanes sync.WaitGroup
	for lane := range s.store.Lanes() {
		lanes.Go(func() {
			if err := s.lane(ctx, lane); err != nil && ctx.Err() == nil {
				s.left.Add(1)
				s.gen.fault(err)
			}
		})
	}
	lanes.Wait()
	if err := s.store.Sync(); err != nil { // what is gone must not come back when nobody knows of it any more
		s.left.Add(1)
		s.gen.fault(err)
	}
	if s.store.Shifts() != lies { // keys went from one mountpath to another: the walk may have passed some by
		s.left.Add(1)
	}
	return s.left.Load()
}

func (s *sweeper) lane(ctx context.Context, lane int) error {
	names := make([]object.Name, 0, namesAtOnce)
	began := time.Now()
	seen := 0
	err := s.store.WalkKeys(ctx, lane, object.Name{}, func(bucket uint64, key []byte) bool {
		if seen++; seen%1024 == 0 {
			if s.gate.yield(ctx, time.Since(began)) != nil {
				return false
			}
			began = time.Now()
		}
		b := s.view.BucketByID(bucket)
		if b == nil {
			return true // destroyed
		}
		if _, misplaced := ownership.Misplaced(s.view, s.self, b, string(key)); !misplaced {
			return true
		}
		if names = append(names, object.Name{Bucket: bucket, Key: string(key)}); len(names) == namesAtOnce {
			s.remove(ctx, names)
			names = names[:0]
		}
		return ctx.Err() == nil
	})
	if len(names) > 0 {
		s.remove(ctx, names)
	}
	return err
}

func (s *sweeper) remove(ctx context.Context, names []object.Name) {
	if failpoint.Hit("reb.sweep") != nil {
		s.left.Add(int64(len(names)))
		return
	}
	var remains *store.Remains
	var faults []error
	if s.gate.work(ctx, func() { remains, faults = s.store.ForgetKeys(ctx, names, s.guard) }) != nil && faults == nil {
		return // ctx has ended
	}
	s.keep(ctx, remains)
	for i, err := range faults {
		switch {
		case err == nil:
			s.gen.removed.Add(1)
		case errs.Is(err, errs.NoBucket) || ctx.Err() != nil:
		default:
			s.left.Add(1)
			s.gen.fault(errs.E("rebalance.sweep", names[i], err))
		}
	}
}

// mostRemains is of how many keys blobs are left for later. With more, some are removed at once.
const mostRemains = 4096

// keep takes what is left of keys, to be removed later.
func (s *sweeper) keep(ctx context.Context, remains *store.Remains) {
	s.mu.Lock()
	s.remains.Add(remains)
	if s.remains.Len() > mostRemains {
		remains.Add(&s.remains)
	}
	s.mu.Unlock()
	s.unlink(ctx, remains)
}

// guard is asked under the name's lock.
func (s *sweeper) guard(n object.Name) error {
	v := s.control.View()
	b := v.BucketByID(n.Bucket)
	if b == nil {
		return errs.E("rebalance.sweep", n, errs.NoBucket)
	}
	if !ownership.Removable(v, s.self, b, n.Key, s.is.epoch) {
		return errs.E("rebalance.sweep", n, errs.StaleMap, "must stay in the newest map")
	}
	return nil
}

// Wiped reports whether this node was told to leave without its data, and has removed it.
func (e *Engine) Wiped() bool { return e.wiped.Load() }

// wipe is the duty Wipe: this node leaves, and what it had has been confirmed to be elsewhere before it was let go.
func (e *Engine) wipe(ctx context.Context, is what, v *cluster.View) {
	var pause backoff
	for !is.keep {
		err := failpoint.Hit("reb.wipe")
		if err == nil {
			err = e.destroyAll(ctx, v)
		}
		if err == nil {
			e.wiped.Store(true)
			break
		}
		if ctx.Err() != nil {
			return
		}
		e.log.Warn("rebalance: not all could be removed; it is tried again", "err", err)
		if sleep(ctx, pause.next()) != nil {
			return
		}
	}
	e.log.Info("rebalance: this node is empty and leaves", "kept", is.keep)
	e.report(ctx, is.epoch, cluster.Wiped)
}

// destroyAll removes every bucket that anything here belongs to, known or not.
func (e *Engine) destroyAll(ctx context.Context, v *cluster.View) error {
	buckets := map[uint64]bool{}
	for _, b := range v.Buckets.List() {
		buckets[b.ID] = true
	}
	for lane := range e.store.Lanes() {
		after := object.Name{}
		for found := true; found; {
			found = false
			err := e.store.WalkKeys(ctx, lane, after, func(bucket uint64, _ []byte) bool {
				found, buckets[bucket], after = true, true, object.Name{Bucket: bucket + 1}
				return false
			})
			if err != nil {
				return err
			}
		}
	}
	ids := make([]uint64, 0, len(buckets))
	for id := range buckets {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := e.store.DestroyBucket(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
