package control

import (
	"sync/atomic"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// leaseBox is this node's permission to serve. Times are on the monotonic clock since base, which goes on
// while the process is stopped: who wakes from a pause finds the lease expired.
type leaseBox struct {
	base  time.Time
	clock func() time.Time

	until atomic.Int64  // nanoseconds since base; 0 = none was granted yet
	floor atomic.Uint64 // the view to have at least: the newest there was when this process first spoke to the primary
	met   atomic.Bool   // the primary has answered this process
	off   atomic.Pointer[string]
}

func (l *leaseBox) now() time.Duration { return l.clock().Sub(l.base) }

// renew extends the lease to d after the moment when the heartbeat was sent.
func (l *leaseBox) renew(sent, d time.Duration) {
	end := int64(sent + d)
	for {
		old := l.until.Load()
		if end <= old || l.until.CompareAndSwap(old, end) {
			return
		}
	}
}

// meet notes the first answer of a primary. A process that has just started may have an older view on disk
// than its predecessor had told the primary of; it must not serve before it has caught up.
func (l *leaseBox) meet(index uint64) {
	if !l.met.Load() {
		l.floor.Store(index)
		l.met.Store(true)
	}
}

// refuse stops serving for a reason that a heartbeat does not mend; "" ends it.
func (l *leaseBox) refuse(why string) {
	if why == "" {
		l.off.Store(nil)
		return
	}
	l.off.Store(&why)
}

// check returns nil while the node may serve from v.
func (l *leaseBox) check(v *cluster.View) error {
	const op = "control.Lease"
	if l.met.Load() && v != nil && v.Index >= l.floor.Load() && l.off.Load() == nil {
		left := l.until.Load() - int64(l.now())
		if left > 0 {
			return nil
		}
		if l.until.Load() > 0 {
			return errs.F(op, "lease", errs.Unavailable,
				"ran out %v ago: the primary has not answered this node since, which must not serve what others may have changed", time.Duration(-left).Round(time.Millisecond))
		}
	}
	if why := l.off.Load(); why != nil {
		return errs.E(op, "lease", errs.Unavailable, *why)
	}
	return errs.E(op, "lease", errs.Unavailable, "this node has just started and has not been accepted by the primary yet")
}

// left is the rest of the lease, 0 if there is none.
func (l *leaseBox) left() time.Duration {
	return max(0, time.Duration(l.until.Load())-l.now())
}
