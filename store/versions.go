package store

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// versions gives versions. Counters are never given twice on this node, also not for a name that was
// deleted in between, so a version, and an ETag made of it, names one content for ever. The indexes
// remember a bound that lies some way ahead, so that giving one costs no I/O.
type versions struct {
	vols    []*volume
	last    atomic.Uint64 // counter given last
	bound   atomic.Uint64 // no counter above it may be given before the indexes know
	boundMu sync.Mutex
}

// counterChunk is how many versions are given between two records of the bound.
const counterChunk = 1 << 20

// init starts above all that earlier processes gave.
func (c *versions) init() {
	for _, v := range c.vols {
		if v.err() == nil {
			c.last.Store(max(c.last.Load(), v.counter))
		}
	}
	c.bound.Store(c.last.Load())
}

// next gives the version that follows old.
func (c *versions) next(old object.Version, epoch uint64) (object.Version, error) {
	v := old.Next(epoch)
	for {
		last := c.last.Load()
		v.Counter = max(v.Counter, last+1)
		if v.Counter > c.bound.Load() {
			if err := c.raise(v.Counter); err != nil {
				return v, err
			}
		}
		if c.last.CompareAndSwap(last, v.Counter) {
			return v, nil
		}
	}
}

// raise moves the bound to above need on every mountpath.
func (c *versions) raise(need uint64) error {
	c.boundMu.Lock()
	defer c.boundMu.Unlock()
	if need <= c.bound.Load() {
		return nil
	}
	upTo := need + counterChunk
	saved := false
	for _, v := range c.vols {
		if v.err() == nil && v.saveCounter(upTo, v.commit) == nil {
			saved = true
		}
	}
	if !saved {
		return errs.E("store.versions", "", errs.Mountpath, "no mountpath can be written")
	}
	c.bound.Store(upTo)
	return nil
}

// final is the bound to record for a close, when no more are given: the next process then skips nothing. 0 = it is recorded.
func (c *versions) final() uint64 {
	if last := c.last.Load(); c.bound.Load() != last {
		return last
	}
	return 0
}

func (v *volume) saveCounter(c uint64, commit func(*pebble.Batch, cluster.Durability) error) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set([]byte(format.MetaCounter), binary.LittleEndian.AppendUint64(nil, c), nil); err != nil {
		return err
	}
	return commit(b, cluster.Local)
}
