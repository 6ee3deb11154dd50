package control

import (
	"context"
	"sync"
	"sync/atomic"

	"aistore/cluster"
)

// views holds the newest view and wakes who waits for a newer one.
type views struct {
	cur       atomic.Pointer[cluster.View]
	published atomic.Uint64

	mu     sync.Mutex
	next   chan struct{}            // closed at the next publication
	future map[uint64]chan struct{} // by index that even the next publication may not exceed
}

// closed is what Watch returns when there is nothing to wait for.
func closedChan() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}

// publish makes v the present if it is newer; what arrives late or twice is dropped.
func (vs *views) publish(v *cluster.View) bool {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if old := vs.cur.Load(); old != nil && v.Index <= old.Index {
		return false
	}
	vs.cur.Store(v)
	vs.published.Add(1)
	if vs.next != nil {
		close(vs.next)
		vs.next = nil
	}
	for after, ch := range vs.future {
		if v.Index > after {
			close(ch)
			delete(vs.future, after)
		}
	}
	return true
}

// watch returns a channel that is closed once a view newer than after is here. Channels that nobody waits
// for any more cost nothing: they are shared.
func (vs *views) watch(after uint64) <-chan struct{} {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	var index uint64
	if v := vs.cur.Load(); v != nil {
		index = v.Index
	}
	switch {
	case index > after:
		return closedChan()
	case index == after:
		if vs.next == nil {
			vs.next = make(chan struct{})
		}
		return vs.next
	}
	if vs.future == nil {
		vs.future = map[uint64]chan struct{}{}
	}
	if vs.future[after] == nil {
		vs.future[after] = make(chan struct{})
	}
	return vs.future[after]
}

// wait returns the view once it is at least at index.
func (vs *views) wait(ctx context.Context, index uint64) (*cluster.View, error) {
	for {
		if v := vs.cur.Load(); v != nil && v.Index >= index {
			return v, nil
		}
		select {
		case <-vs.watch(index - 1):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
