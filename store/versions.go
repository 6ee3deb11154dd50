package store

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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
	all     *places
	last    atomic.Uint64 // counter given last
	bound   atomic.Uint64 // no counter above it may be given before the indexes know
	boundMu sync.Mutex
	epoch   atomic.Uint64 // the greatest given
}

// counterChunk is how many versions are given between two records of the bound.
const counterChunk = 1 << 20

// init starts above all that earlier processes gave.
func (c *versions) init() {
	for _, last := range c.all.now().last {
		c.epoch.Store(max(c.epoch.Load(), last.Epoch))
	}
	for _, v := range c.all.volumes() {
		if v.err() == nil {
			c.last.Store(max(c.last.Load(), v.counter))
			c.epoch.Store(max(c.epoch.Load(), v.epoch))
		}
	}
	c.bound.Store(c.last.Load())
}

// next gives the version that follows old.
func (c *versions) next(old object.Version, epoch uint64) (object.Version, error) {
	epoch, err := c.reach(epoch)
	if err != nil {
		return object.Version{}, err
	}
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

// reach returns the greatest epoch that was ever given, at least epoch: versions grow over all names, whatever map a request came
// by (see (*layout).below). The indexes know it before it is given.
func (c *versions) reach(epoch uint64) (uint64, error) {
	if have := c.epoch.Load(); epoch <= have {
		return have, nil
	}
	c.boundMu.Lock()
	defer c.boundMu.Unlock()
	if have := c.epoch.Load(); epoch <= have {
		return have, nil
	}
	if err := c.save(func(v *volume) error { return saveEpoch(v, epoch) }); err != nil {
		return 0, err
	}
	c.epoch.Store(epoch)
	return epoch, nil
}

// learn takes note of a version that another node gave, before it is in an index: given is not below it from then on, also after a restart.
func (c *versions) learn(v object.Version) error {
	epoch, err := c.reach(v.Epoch)
	if err != nil || v.Epoch < epoch {
		return err
	}
	for last := c.last.Load(); last < v.Counter; last = c.last.Load() {
		if v.Counter > c.bound.Load() {
			if err := c.raise(v.Counter); err != nil {
				return err
			}
		}
		if c.last.CompareAndSwap(last, v.Counter) {
			break
		}
	}
	return nil
}

// stragglers is how long save waits for further mountpaths once one has it: a disk that hangs must not hold up the others.
const stragglers = time.Second

// save writes something down on every mountpath that can be written; one is enough. If there is none, the error is that of the last to answer.
func (c *versions) save(write func(*volume) error) error {
	vols := c.all.volumes()
	done := make(chan error, len(vols))
	open := 0
	for _, v := range vols {
		if v.err() == nil {
			open++
			go func() { done <- write(v) }() // left alone when its disk hangs: it ends with the mountpath
		}
	}
	var late <-chan time.Time
	why := errs.E("store.versions", "", errs.Mountpath, "none is in service")
	for ; open > 0; open-- {
		select {
		case err := <-done:
			if err != nil {
				why = err
			} else if late == nil {
				t := time.NewTimer(stragglers)
				defer t.Stop()
				late = t.C
			}
		case <-late:
			return nil
		}
	}
	if late == nil {
		return fmt.Errorf("no mountpath can be written: %w", why)
	}
	return nil
}

// raise moves the bound to above need on every mountpath.
func (c *versions) raise(need uint64) error {
	c.boundMu.Lock()
	defer c.boundMu.Unlock()
	if need <= c.bound.Load() {
		return nil
	}
	upTo := need + counterChunk
	if err := c.save(func(v *volume) error { return v.saveCounter(upTo, v.commit) }); err != nil {
		return err
	}
	c.bound.Store(upTo)
	return nil
}

// given is a version that is not below any given so far.
func (c *versions) given() object.Version {
	return object.Version{Epoch: c.epoch.Load(), Counter: c.last.Load()}
}

// final is the bound to record for a close, when no more are given: the next process then skips nothing. 0 = it is recorded.
func (c *versions) final() uint64 {
	if last := c.last.Load(); c.bound.Load() != last {
		return last
	}
	return 0
}

func saveEpoch(v *volume, e uint64) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set([]byte(format.MetaEpoch), binary.LittleEndian.AppendUint64(nil, e), nil); err != nil {
		return err
	}
	return v.commit(b, cluster.Local)
}

func (v *volume) saveCounter(c uint64, commit func(*pebble.Batch, cluster.Durability) error) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set([]byte(format.MetaCounter), binary.LittleEndian.AppendUint64(nil, c), nil); err != nil {
		return err
	}
	return commit(b, cluster.Local)
}
