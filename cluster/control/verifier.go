package control

import (
	"context"
	"sync"

	"aistore/errs"
)

// verifier asks a majority whether this node still leads, once for all who want to know: who comes while a
// round is under way waits for the next, so that every caller's round began after its call.
type verifier struct {
	round func() error

	mu      sync.Mutex
	busy    bool
	closed  bool
	waiting []chan error
	rounds  sync.WaitGroup
}

// do returns nil if a majority confirmed, after the call, that this node leads.
func (v *verifier) do(ctx context.Context) error {
	ch := make(chan error, 1)
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return errs.E("control.confirm", "primary", errs.NotPrimary, "is no longer the primary")
	}
	v.waiting = append(v.waiting, ch)
	if !v.busy {
		v.busy = true
		v.rounds.Go(v.run)
	}
	v.mu.Unlock()
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the verifier; rounds under way have ended when it returns.
func (v *verifier) close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.rounds.Wait()
}

// run holds rounds until nobody waits. A round ends in bounded time: a leader that reaches no majority
// steps down.
func (v *verifier) run() {
	for {
		v.mu.Lock()
		batch := v.waiting
		v.waiting = nil
		if v.busy = len(batch) > 0; !v.busy {
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		err := v.round()
		for _, ch := range batch {
			ch <- err
		}
	}
}
