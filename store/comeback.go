package store

import (
	"context"
	"sync"
	"time"

	"aistore/errs"
	"aistore/fs"
)

// A disk that was given up because it did not answer may only have been very slow. It is taken back by itself, as by Enable, once it has
// answered all that it was asked before without an error, and has answered every look since for as long as it would have taken to give
// it up; twice as long each time, so that one that comes and goes does not keep names moving. One that failed otherwise never is: what
// it tells after an error cannot be relied on.

// comebacks are the disks that were given up. Those who look at them are left alone when a call never returns.
type comebacks struct {
	mu   sync.Mutex
	of   map[string]*comeback // by the id of the mountpath
	turn chan struct{}        // taken while one is taken back, and for good when the store is no longer looked after
}

type comeback struct {
	mp    *fs.Mountpath // as it was given up last
	times int           // that it was given up
	since time.Time     // it has answered every look; zero = the last one it has not
	asked bool          // a look is under way
	over  bool          // what could be done for mp was done
}

// longestTrial bounds for how long a disk that was given up often must answer before it is taken back.
const longestTrial = time.Hour

// begin returns what is known of a disk, and nil if it is not to be looked at now.
func (c *comebacks) begin(m *fs.Mountpath) *comeback {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]*comeback{}
	}
	d := c.of[m.ID()]
	if d == nil {
		d = &comeback{}
		c.of[m.ID()] = d
	}
	if d.asked {
		return nil
	}
	if d.mp != m {
		d.mp, d.since, d.over = m, time.Time{}, false
		d.times++
	}
	d.asked = !d.over
	if d.over {
		return nil
	}
	return d
}

// end notes how a look ended, and reports whether the disk has answered for long enough.
func (c *comebacks) end(d *comeback, began time.Time, answered bool, giveUp time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d.asked = false
	switch {
	case !answered || time.Since(began) > probeWait:
		d.since = time.Time{}
		return false
	case d.since.IsZero():
		d.since = began
	}
	need := giveUp
	for i := 1; i < d.times && need < longestTrial; i++ {
		need *= 2
	}
	return time.Since(d.since) >= min(need, longestTrial)
}

// takeBack looks at the disks that were given up.
func (s *mounts) takeBack(ctx context.Context) {
	h := s.healthNow()
	for _, v := range s.volumes() {
		m := v.mp
		if !fs.GivenUp(m) || !s.returnable(m) {
			continue
		}
		d := s.comebacks.begin(m)
		if d == nil {
			continue
		}
		go func() {
			began := time.Now()
			answered := m.Returned(ctx, 0) && m.Stuck() == 0 && fs.Answers(m) == nil && fs.GivenUp(m)
			if s.comebacks.end(d, began, answered, h.GiveUp) {
				s.takeBackOne(ctx, d, m)
			}
		}()
	}
}

// returnable reports whether m is out of service for nothing but its failure, or in service as nobody else is who could take its names.
func (s *mounts) returnable(m *fs.Mountpath) bool {
	as, out := s.out(m)
	return s.volumeOf(m) != nil && (out && as.Standing == fs.Failed || !out && !othersServe(s.now(), m))
}

func (s *mounts) takeBackOne(ctx context.Context, d *comeback, m *fs.Mountpath) {
	select {
	case s.comebacks.turn <- struct{}{}:
		defer func() { <-s.comebacks.turn }()
	default:
		return // another is taken back: at the next look
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if ctx.Err() != nil || !fs.GivenUp(m) || !s.returnable(m) {
		return
	}
	s.comebacks.mu.Lock()
	d.over = true
	s.comebacks.mu.Unlock()
	if _, err := s.comeBack(ctx, "store.takeBack", m, m.Path(), fs.KnownOnly); err != nil {
		if errs.Is(err, errs.Conflict, errs.Canceled) { // nothing was done: at a later look
			s.comebacks.mu.Lock()
			d.over = false
			s.comebacks.mu.Unlock()
		}
		s.log.Error("a disk that answers again could not be taken back", "mountpath", m.Path(), "err", err)
		return
	}
	s.log.Warn("a disk that was given up answers again", "mountpath", m.Path(), "id", m.ID(), "given_up", d.times)
}

// stop lets nobody be taken back any more. It waits for one that is, for so long.
func (c *comebacks) stop(bound time.Duration) {
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-late.C:
	}
}
