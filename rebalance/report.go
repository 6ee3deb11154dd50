package rebalance

import (
	"context"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// backoff is a pause that grows.
type backoff struct{ last time.Duration }

const (
	firstPause = 50 * time.Millisecond
	maxPause   = 15 * time.Second
)

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, firstPause), maxPause)
	return b.last
}

// sleep waits for d, or until ctx ends, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// report tells the primary that this node has reached a stage, until it knows. What it does not accept is of an epoch that is over.
func (e *Engine) report(ctx context.Context, epoch uint64, stage cluster.Stage) {
	r := cluster.ReportSource{ID: e.self, Epoch: epoch, Stage: stage}
	if stage == cluster.Moved {
		g := e.book.of(epoch)
		r.Moved = &cluster.Tally{Objects: g.objects.Load(), Bytes: g.bytes.Load(), Present: g.presentObjects(), Errors: g.errors.Load()}
	}
	var pause backoff
	for ctx.Err() == nil {
		_, err := e.control.Propose(ctx, r)
		if err == nil || ctx.Err() != nil {
			return
		}
		if errs.Is(err, errs.StaleMap) {
			if _, lerr := e.control.Latest(ctx); lerr == nil { // Run sees the new epoch
				return
			}
		}
		e.log.Warn("rebalance: the primary was not told", "epoch", epoch, "stage", string(stage), "err", err)
		_ = sleep(ctx, pause.next()) // the loop looks at ctx
	}
}

// latest returns a view that knows every bucket that anything here belongs to, of the epoch; nil when that epoch is over or ctx has ended.
func (e *Engine) latest(ctx context.Context, epoch uint64) *cluster.View {
	var pause backoff
	for {
		v, err := e.control.Latest(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && v.Map.Epoch == epoch:
			return v
		case err == nil:
			return nil
		}
		e.log.Warn("rebalance: waits for the primary", "epoch", epoch, "err", err)
		if sleep(ctx, pause.next()) != nil {
			return nil
		}
	}
}
