package store

import "sync"

// bell wakes those who wait for something to happen, and costs next to nothing when nobody does.
type bell struct {
	mu sync.Mutex
	ch chan struct{} // closed at the next ring; nil = nobody waits
}

// next returns a channel that is closed when the bell rings next.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
