package control

import (
	"sync/atomic"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// leaseBox is this node's permission to serve. It ends by the monotonic clock, which goes on while the
// process is stopped, or by the wall clock, which also knows of a machine that was asleep; whichever says so
// first.
type leaseBox struct {
	base  time.Time
	clock func() time.Time

	until atomic.Int64  // monotonic: nanoseconds since base; 0 = none was granted yet
	wall  atomic.Int64  // Unix nanoseconds
	floor atomic.Uint64 // the view to have at least: the newest there was when the primary granted a lease to a node without one
	met   atomic.Bool   // the primary has answered this process
	off   atomic.Pointer[string]

	barred atomic.Pointer[string] // why what the node's disks hold is not, or not known to be, what its view says it has
}

// renew extends the lease to d after the moment when the heartbeat was sent.
func (l *leaseBox) renew(sent time.Time, d time.Duration) {
	raise(&l.until, int64(sent.Sub(l.base)+d))
	raise(&l.wall, sent.UnixNano()+int64(d))
}

func raise(to *atomic.Int64, v int64) {
	for old := to.Load(); v > old; old = to.Load() {
		if to.CompareAndSwap(old, v) {
			return
		}
	}
}

// remaining is negative once the lease is over.
func (l *leaseBox) remaining() time.Duration {
	now := l.clock()
	return min(time.Duration(l.until.Load())-now.Sub(l.base), time.Duration(l.wall.Load()-now.UnixNano()))
}

// meet notes that a primary is about to give a lease, and had the view at index when it did. A node without a lease must not
// serve before it has that one too: a process that has just started may have an older view on disk than its predecessor
// had told the primary of, and changes did not wait for one whose lease had run out.
func (l *leaseBox) meet(index uint64) {
	if !l.met.Load() || l.remaining() <= 0 {
		l.floor.Store(max(l.floor.Load(), index))
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

// bar says that the disks are not, or not known to be, those that the view speaks of; "" ends it.
func (l *leaseBox) bar(why string) {
	if why == "" {
		l.barred.Store(nil)
		return
	}
	l.barred.Store(&why)
}

// check returns nil while the node may serve from v.
func (l *leaseBox) check(v *cluster.View) error {
	const op = "control.Lease"
	if why := l.barred.Load(); why != nil {
		return errs.E(op, "lease", errs.Unavailable, *why)
	}
	if l.met.Load() && v != nil && v.Index >= l.floor.Load() && l.off.Load() == nil {
		left := l.remaining()
		if left > 0 {
			return nil
		}
		if l.until.Load() > 0 {
			return errs.F(op, "lease", errs.Unavailable,
				"%w %v ago: no primary has answered this node since, so others may have changed what it has", cluster.ErrRanOut, (-left).Round(time.Millisecond))
		}
	}
	if why := l.off.Load(); why != nil {
		return errs.E(op, "lease", errs.Unavailable, *why)
	}
	return errs.E(op, "lease", errs.Unavailable, "this node has just started and has not been accepted by the primary yet")
}

// left is the rest of the lease, 0 if there is none.
func (l *leaseBox) left() time.Duration {
	if l.until.Load() == 0 {
		return 0
	}
	return max(0, l.remaining())
}
