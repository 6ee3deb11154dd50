package target

import (
	"hash/maphash"
	"sync"

	"aistore/object"
)

// touched remembers keys of which this target is sure in the present epoch: what it asked for and found nowhere, or nowhere newer, leaves no
// mark on disk. It is bounded, and forgets all of a shard when that is full or an epoch begins: asking again is never wrong.
type touched struct {
	seeds  [2]maphash.Seed
	shards [touchedShards]touchedShard
}

const (
	touchedShards = 64
	touchedMost   = 1 << 20 / touchedShards // keys a shard
)

type touchedShard struct {
	mu    sync.Mutex
	epoch uint64
	keys  map[[2]uint64]struct{}
}

func newTouched() *touched {
	return &touched{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// digest is 128 bits under seeds that nobody outside knows: two names do not meet.
func (t *touched) digest(n object.Name) (d [2]uint64) {
	for i := range d {
		d[i] = maphash.String(t.seeds[i], n.Key) ^ maphash.Comparable(t.seeds[1-i], n.Bucket)
	}
	return d
}

// has reports whether n was touched in the epoch.
func (t *touched) has(n object.Name, epoch uint64) bool {
	d := t.digest(n)
	s := &t.shards[d[0]%touchedShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return false
	}
	_, ok := s.keys[d]
	return ok
}

// add notes that n was touched in the epoch.
func (t *touched) add(n object.Name, epoch uint64) {
	d := t.digest(n)
	s := &t.shards[d[0]%touchedShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case epoch < s.epoch:
		return
	case epoch > s.epoch || len(s.keys) >= touchedMost || s.keys == nil:
		s.epoch, s.keys = epoch, map[[2]uint64]struct{}{}
	}
	s.keys[d] = struct{}{}
}

// forget drops all that was touched before the epoch.
func (t *touched) forget(epoch uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		if s.epoch < epoch {
			s.epoch, s.keys = epoch, nil
		}
		s.mu.Unlock()
	}
}
