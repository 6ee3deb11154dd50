package indexfs

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/errs"
)

// Brake holds back commits while the index has more to flush or compact than is good. Pebble would do it itself, but in a
// place that nothing wakes when the disk fails, with the lock that closing needs.
type Brake struct {
	x        *FS
	memTable uint64

	look   atomic.Bool // something happened that may begin the wait
	on     atomic.Bool
	Stalls atomic.Int64 // commits that waited

	mu   sync.Mutex
	turn chan struct{} // closed when something happened that may end the wait
}

// The brake's bounds: five memtables, and as many overlapping runs of tables as a read should ever have to look into.
const (
	maxMemTables = 4 // full ones, besides the one that is written
	maxSublevels = 32
)

// never is a bound that pebble does not reach.
const never = 1 << 20

// brakeTick is how often one who waits looks at the index anyway.
const brakeTick = time.Second

// NewBrake sets o so that pebble leaves it to the brake.
func (x *FS) NewBrake(o *pebble.Options) *Brake {
	b := &Brake{x: x, memTable: o.MemTableSize}
	o.MemTableStopWritesThreshold, o.L0StopWritesThreshold = never, never
	l := o.EventListener
	l.WALCreated = func(pebble.WALCreateInfo) { b.work() } // a memtable was begun
	l.FlushEnd = func(pebble.FlushInfo) { b.work() }
	l.CompactionEnd = func(pebble.CompactionInfo) { b.work() }
	return b
}

// work says that pebble began or ended something that counts.
func (b *Brake) work() {
	b.look.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn != nil {
		close(b.turn)
		b.turn = nil
	}
}

func (b *Brake) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn == nil {
		b.turn = make(chan struct{})
	}
	return b.turn
}

// Await returns when the index can take another batch: nil, kind Full when the disk has no room for its tables, Mountpath
// when that has failed, or Unavailable when the gate is shut.
func (b *Brake) Await(db *pebble.DB, g *Gate) error {
	if b == nil || !b.on.Load() && !b.look.CompareAndSwap(true, false) {
		return nil
	}
	for waited := false; ; waited = true {
		next := b.next()
		m := db.Metrics()
		on := m.MemTable.Size > maxMemTables*b.memTable || m.Levels[0].Sublevels >= maxSublevels
		b.on.Store(on)
		if !on {
			return nil
		}
		if b.x.noRoom.Load() {
			return errs.E("indexfs.Await", b.x.mp.Path(), errs.Full, "the index has no room to write a table")
		}
		if !waited {
			b.Stalls.Add(1)
			b.x.log.Debug("index: writes wait", "mountpath", b.x.mp.Path(), "memtables", m.MemTable.Size, "sublevels", m.Levels[0].Sublevels)
		}
		if err := b.wait(next, g); err != nil {
			return err
		}
	}
}

func (b *Brake) wait(next <-chan struct{}, g *Gate) error {
	t := time.NewTimer(brakeTick)
	defer t.Stop()
	select {
	case <-next:
	case <-t.C:
	case <-b.x.mp.Down():
		return b.x.mp.Err()
	case <-g.shut:
		return errClosing()
	}
	return nil
}

// Flush writes what is in memory into tables, so that a restart finds nothing to replay. It ends early when the mountpath
// fails or has no room for them.
func (x *FS) Flush(db *pebble.DB) error {
	flushed, err := db.AsyncFlush()
	for err == nil {
		select {
		case <-flushed:
			return nil
		case <-x.mp.Down():
			return nil
		case <-time.After(brakeTick):
			if x.noRoom.Load() {
				x.log.Warn("index not flushed: the disk is full; the next start replays its log", "mountpath", x.mp.Path())
				return nil
			}
		}
	}
	return err
}
