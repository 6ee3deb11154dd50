package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"aistore/errs"
	"aistore/fs"
	"aistore/store/format"
)

// Health is how disks are watched. The zero value takes the defaults.
type Health struct {
	Every       time.Duration // a look at every disk; 0 = Config.HealthEvery
	SlowFactor  int           // slow: calls take so many times what they did, and what those of other disks take; 0 = 8, -1 = never
	DisableSlow bool          // a slow disk is taken out of service, instead of being reported only
	GiveUp      time.Duration // a disk that has not answered for so long is taken out of service; 0 = 6s
}

// SetHealth changes how disks are watched, at the next look.
func (s *mounts) SetHealth(h Health) { s.health.Store(&h) }

func (s *mounts) healthNow() Health {
	var h Health
	if p := s.health.Load(); p != nil {
		h = *p
	}
	if h.Every <= 0 {
		h.Every = s.cfg.HealthEvery
	}
	if h.GiveUp <= 0 {
		h.GiveUp = 6 * time.Second
	}
	switch {
	case h.SlowFactor == 0:
		h.SlowFactor = 8
	case h.SlowFactor < 0:
		h.SlowFactor = 0
	}
	return h
}

// probeWait is how long a look at the disks waits for them: who takes longer is looked at the next time.
const probeWait = 3 * time.Second

// Run looks after the store until ctx ends: it finishes removals that a crash interrupted, sweeps what
// interrupted writers left, and watches the disks. It returns nil when ctx ends.
//
// Nothing that waits for a disk is done in the loop that gives up those which do not answer.
func (s *Store) Run(ctx context.Context) error {
	health := time.NewTimer(s.healthNow().Every)
	defer health.Stop()
	var beside sync.WaitGroup
	beside.Go(func() { keepTidy(ctx, s) })
	beside.Go(func() { keepReplaced(ctx, s) })
	beside.Go(func() { keepRoom(ctx, s) })
	ended := make(chan struct{})
	go func() { beside.Wait(); close(ended) }()
	told := ctx.Done()
	var late <-chan time.Time
	s.checkDisks()
	for {
		select {
		case <-told: // they may wait for a disk that is still to be given up
			bound := time.NewTimer(s.cfg.CloseWithin)
			defer bound.Stop()
			told, late = nil, bound.C
		case <-ended:
			s.comebacks.stop(s.cfg.CloseWithin)
			return nil
		case <-late: // left alone: a call to the operating system does not return
			s.comebacks.stop(s.cfg.CloseWithin)
			return nil
		case <-health.C:
			s.checkDisks()
			s.takeBack(ctx)
			health.Reset(s.nextLook())
		}
	}
}

// keepTidy tidies now and then until ctx ends.
func keepTidy(ctx context.Context, s *Store) {
	sweep := time.NewTicker(s.cfg.SweepEvery)
	defer sweep.Stop()
	for {
		s.tidy(ctx)
		select {
		case <-sweep.C:
		case <-ctx.Done():
			return
		}
	}
}

// keepReplaced takes those out of service that fail until ctx ends.
func keepReplaced(ctx context.Context, s *Store) {
	for {
		select {
		case <-s.broke:
			s.replaceFailed()
		case <-ctx.Done():
			return
		}
	}
}

// nextLook is how long to wait for the next look at the disks: one that does not answer is given up when it is time.
func (s *mounts) nextLook() time.Duration {
	h := s.healthNow()
	wait := h.Every
	for _, v := range s.volumes() {
		if stuck := v.mp.Stuck(); stuck > 0 && v.err() == nil {
			wait = min(wait, max(h.GiveUp-stuck, time.Millisecond))
		}
	}
	return wait
}

// replaceFailed takes failed mountpaths out of service, unless they are being changed just now: then at the next look.
func (s *mounts) replaceFailed() {
	if s.changing.TryLock() {
		defer s.changing.Unlock()
		s.leaveFailed()
	}
}

// checkDisks fails those disks that do not answer as they should.
func (s *mounts) checkDisks() {
	h := s.healthNow()
	var mps []*fs.Mountpath
	for _, v := range s.probe(h.GiveUp) {
		mps = append(mps, v.mp)
	}
	for _, m := range fs.JudgePace(s.now().set.All(), fs.Slowness{Factor: h.SlowFactor}) {
		if h.DisableSlow && slices.Contains(mps, m) && s.inService() > 1 {
			m.Fail(errors.New("is slow: " + m.Info().Slow))
		}
	}
	s.tellBroke() // of those, too, that could not be replaced when they failed
}

// probe looks at every disk that can be used and returns those that answered. One that hangs holds up nobody, and
// is given up after some time.
func (s *mounts) probe(giveUp time.Duration) (answered []*volume) {
	vols := slices.DeleteFunc(slices.Clone(s.volumes()), func(v *volume) bool { return v.err() != nil })
	done := make(chan *volume, len(vols))
	asked := 0
	for _, v := range vols {
		if stuck := v.mp.Stuck(); stuck > 0 {
			if stuck >= giveUp {
				fs.GiveUp(v.mp, stuck)
			}
			continue
		}
		asked++
		go func() { // left alone when a call to the operating system never returns
			_ = v.mp.Probe(func() { care(v) }) // an error has failed the mountpath
			done <- v
		}()
	}
	late := time.NewTimer(probeWait)
	defer late.Stop()
	for range asked {
		select {
		case v := <-done:
			answered = append(answered, v)
		case <-late.C:
			return answered
		}
	}
	return answered
}

// care does what a disk in use needs from time to time.
func care(v *volume) {
	v.space.keepReserve()
	v.space.look()
	if err := v.seal(); err != nil {
		v.log.Warn("the index's log could not be sealed", "mountpath", v.mp.Path(), "err", err)
	}
}

// tidy does what Run does besides watching. What fails is logged and tried again at the next turn.
func (s *Store) tidy(ctx context.Context) {
	if err := s.cleanUploads(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("tidying multipart uploads failed", "err", err)
	}
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		err := errors.Join(s.finishDestroys(ctx, v), s.sessions.expire(v, time.Now()), s.finishGone(v))
		_, serr := v.sweepBlobs(ctx)
		if err = errors.Join(err, serr); err != nil && ctx.Err() == nil {
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
