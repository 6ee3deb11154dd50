package spare

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	watchEvery = 200 * time.Millisecond
	// shortBelow is the share of the processors that is idle where they are not short.
	shortBelow = 0.3
)

// Watch tells whether processors are short, to those who ask often and cannot wait for an answer. It looks at most five times a second, and
// not at all while nobody asks. It is safe for concurrent use; a nil Watch says no.
type Watch struct {
	began time.Time
	due   atomic.Int64 // when to look again: since began
	short atomic.Bool

	mu    sync.Mutex
	meter Meter
}

// NewWatch returns a Watch, which has nothing to be closed.
func NewWatch() *Watch { return &Watch{began: time.Now()} }

// Short reports whether less than 30% of the processors that this process may use was idle lately. It is false where that is not
// known.
func (w *Watch) Short() bool {
	if w == nil {
		return false
	}
	now, due := int64(time.Since(w.began)), w.due.Load()
	if now >= due && w.due.CompareAndSwap(due, now+int64(watchEvery)) {
		go w.look() // it reads files
	}
	return w.short.Load()
}

func (w *Watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.meter.Look(nil)
	w.short.Store(r.Known && r.Idle < shortBelow*r.Cores)
}
