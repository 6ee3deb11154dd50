package resilver

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"aistore/store"
)

// Lane is what goes off one mountpath.
type Lane struct {
	Path    string
	Planned int64 // things to move: those moved before the mountpaths had changed last, those counted then, and what came to be in the wrong place since
	Objects int64 // moved in the run
	Bytes   int64 // copied
}

// plan is what was to move when the mountpaths had changed last, counted before the first of it moved: a walk over an index is soon
// done beside the moving.
type plan struct {
	pass    *store.Pass
	began   time.Time
	earlier map[string]Lane // what the run had moved by then, under the plans before, off each path
	lanes   []tally
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
	n := &plan{pass: p, earlier: have.moved(), lanes: make([]tally, p.Lanes())}
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

// moved returns what went off each path under this plan and those before it.
func (n *plan) moved() map[string]Lane {
	all := map[string]Lane{}
	if n == nil {
		return all
	}
	maps.Copy(all, n.earlier)
	for i, path := range n.pass.Paths() {
		l := all[path]
		l.Objects += n.lanes[i].objects.Load()
		l.Bytes += n.lanes[i].bytes.Load()
		all[path] = l
	}
	return all
}

// report fills in how far the plan is, together with what was moved under those before it: also off mountpaths that are no more.
func (n *plan) report(s *Status, now time.Time) {
	if n == nil {
		return
	}
	var bytes, before int64
	paths := n.pass.Paths()
	for i, path := range paths {
		t := &n.lanes[i]
		tried, objects, copied := t.tried.Load(), t.objects.Load(), t.bytes.Load()
		was := n.earlier[path]
		l := Lane{Path: path, Objects: was.Objects + objects, Bytes: was.Bytes + copied, Planned: was.Objects + max(t.planned.Load(), tried, objects)}
		s.Mountpaths = append(s.Mountpaths, l)
		s.Planned += l.Planned
		s.Done += was.Objects + tried
		before += was.Objects
		bytes += copied
	}
	for _, path := range slices.Sorted(maps.Keys(n.earlier)) {
		if was := n.earlier[path]; was.Objects > 0 && !slices.Contains(paths, path) {
			s.Mountpaths = append(s.Mountpaths, Lane{Path: path, Planned: was.Objects, Objects: was.Objects, Bytes: was.Bytes})
			s.Planned += was.Objects
			s.Done += was.Objects
			before += was.Objects
		}
	}
	if !s.Running {
		now, s.Done = s.Ended, s.Planned
	}
	took := now.Sub(n.began).Seconds()
	if took <= 0 {
		return
	}
	s.ObjectsPerSecond, s.BytesPerSecond = float64(s.Done-before)/took, float64(bytes)/took
	if left := s.Planned - s.Done; s.Running && left > 0 && s.Done > before {
		s.ETA = time.Duration(float64(left) / s.ObjectsPerSecond * float64(time.Second))
	}
}
