package rebalance

import (
	"context"
	"sync"
	"time"

	"aistore/store"
)

// litter is what swept keys have left in blobs. It goes when nothing moves any more, or after a while: to free many bytes keeps a disk busy
// that others may wait for, and that the keys are gone does not depend on it. What is left when the process ends the next one sweeps.
type litter struct {
	mu      sync.Mutex
	remains store.Remains
	since   time.Time     // when the first of it came
	came    chan struct{} // has room for one
}

const (
	litterStays = 2 * time.Second // at most, while something moves
	unlinkOnce  = 8               // keys whose blobs go at once
)

func (l *litter) add(r *store.Remains) {
	if r.Len() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.remains.Len() == 0 {
		l.since = time.Now()
	}
	l.remains.Add(r)
	select {
	case l.came <- struct{}{}:
	default:
	}
}

func (l *litter) take() *store.Remains {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := new(store.Remains)
	r.Add(&l.remains)
	return r
}

func (l *litter) age() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.since)
}

// tidy removes what is in litter until ctx ends.
func (e *Engine) tidy(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.litter.came:
		}
		e.quiet(ctx, litterStays-e.litter.age())
		e.unlink(ctx, e.litter.take())
	}
}

// quiet waits until nothing moves in the cluster, for d at most.
func (e *Engine) quiet(ctx context.Context, d time.Duration) {
	late := time.NewTimer(d)
	defer late.Stop()
	for {
		v := e.control.View()
		if !v.Map.Rebalancing() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-late.C:
			return
		case <-e.control.Watch(v.Index):
		}
	}
}

// unlink removes blobs of keys that are gone.
func (e *Engine) unlink(ctx context.Context, r *store.Remains) {
	for r.Len() > 0 {
		if e.gate.work(ctx, func() { r.Remove(unlinkOnce) }) != nil {
			return // the next start sweeps them
		}
	}
}
