package rebalance

import (
	"context"
	"sync"
	"time"

	"aistore/errs"
)

// flights counts what has been sent and not been answered.
type flights struct {
	mu     sync.Mutex
	n      int
	landed chan struct{} // nil until nothing more may begin; closed when all is answered
}

// begin counts one more; false if nothing may begin any more.
func (f *flights) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.landed != nil {
		return false
	}
	f.n++
	return true
}

func (f *flights) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.landed != nil {
		close(f.landed)
	}
}

// ground lets nothing more begin. It may be called once.
func (f *flights) ground() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.landed = make(chan struct{})
	if f.n == 0 {
		close(f.landed)
	}
	return f.landed
}

func (f *flights) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// errGrounded ends attempts to send after Quiesce.
func errGrounded() error {
	return errs.E("rebalance.send", "this node", errs.Unavailable, "is about to end and sends nothing more")
}

// Quiesce lets what is being sent be acknowledged and begins nothing more, so that a node that is about to end has nothing to send twice. It
// is over when ctx is, too, and then says how much was given up: another start sends that again. It is called once, before Run's end.
func (e *Engine) Quiesce(ctx context.Context) error {
	landed := e.flights.ground()
	began := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-landed:
			return nil
		default:
		}
		select {
		case <-landed:
		case <-tick.C:
			e.log.Info("rebalance: waits for what is being sent before the node ends", "requests", e.flights.count(), "for", time.Since(began).Round(time.Second))
		case <-ctx.Done():
			return errs.F("rebalance.Quiesce", "this node", errs.Timeout, "%d requests were not answered: what they carry is sent again after the next start", e.flights.count())
		}
	}
}
