package resilver

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"aistore/store"
)

// Lane is what goes off one mountpath.
type Lane struct {
	Path    string
	Planned int64 // things to move: those that were counted, and what came to be in the wrong place since
	Objects int64 // moved
	Bytes   int64 // copied
}

// plan is what was to move when the mountpaths had changed last, counted before the first of it moved: a walk over an index is soon
// done beside the moving.
type plan struct {
	pass   *store.Pass
	began  time.Time
	before int64 // objects that the run had moved by then, under the plans before
	lanes  []tally
}

// tally counts for one mountpath.
type tally struct{ planned, tried, objects, bytes atomic.Int64 }

// count makes a plan unless there is one of the same mountpaths.
func (r *Resilver) count(ctx context.Context, p *store.Pass) error {
	r.mu.Lock()
	have := r.plan
	r.mu.Unlock()
	if have != nil && have.pass.Same(p) {
		return nil
	}
	n := &plan{pass: p, before: r.objects.Load(), lanes: make([]tally, p.Lanes())}
	g, gctx := errgroup.WithContext(ctx)
	for lane := range n.lanes {
		g.Go(func() error {
			_ = p.Each(gctx, lane, func(int) {}, func(store.Move) error { // what cannot be read is said by the pass itself
				n.lanes[lane].planned.Add(1)
				return gctx.Err()
			})
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	n.began = time.Now()
	r.mu.Lock()
	r.plan = n
	r.mu.Unlock()
	return nil
}

// tally returns where the moves of a lane are counted.
func (r *Resilver) tally(p *store.Pass, lane int) *tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.plan == nil || !r.plan.pass.Same(p) {
		return new(tally)
	}
	return &r.plan.lanes[lane]
}

// report fills in how far the plan is.
func (n *plan) report(s *Status, now time.Time) {
	if n == nil {
		return
	}
	var bytes int64
	s.Planned, s.Done = n.before, n.before
	for i, path := range n.pass.Paths() {
		t := &n.lanes[i]
		l := Lane{Path: path, Objects: t.objects.Load(), Bytes: t.bytes.Load()}
		tried := t.tried.Load()
		l.Planned = max(t.planned.Load(), tried, l.Objects)
		s.Mountpaths = append(s.Mountpaths, l)
		s.Planned += l.Planned
		s.Done += tried
		bytes += l.Bytes
	}
	if !s.Running {
		now, s.Done = s.Ended, s.Planned
	}
	took := now.Sub(n.began).Seconds()
	if took <= 0 {
		return
	}
	s.ObjectsPerSecond, s.BytesPerSecond = float64(s.Done-n.before)/took, float64(bytes)/took
	if left := s.Planned - s.Done; s.Running && left > 0 && s.Done > n.before {
		s.ETA = time.Duration(float64(left) / s.ObjectsPerSecond * float64(time.Second))
	}
}
