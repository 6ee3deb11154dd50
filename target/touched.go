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
	mu   sync.Mutex
	at   moment
	keys map[[2]uint64]struct{}
}

// moment is for how long it lasts that a key was touched: an epoch, in which no mountpath is opened anew, as one may be that has lost what was taken
// over last.
type moment struct{ epoch, openings uint64 }

func (m moment) before(o moment) bool {
	return m.epoch < o.epoch || m.epoch == o.epoch && m.openings < o.openings
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

// has reports whether n was touched at that moment.
func (t *touched) has(n object.Name, at moment) bool {
	d := t.digest(n)
	s := &t.shards[d[0]%touchedShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != at {
		return false
	}
	_, ok := s.keys[d]
	return ok
}

// add notes that n was touched; at is when that began.
func (t *touched) add(n object.Name, at moment) {
	d := t.digest(n)
	s := &t.shards[d[0]%touchedShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case at.before(s.at):
		return
	case s.at.before(at) || len(s.keys) >= touchedMost || s.keys == nil:
		s.at, s.keys = at, map[[2]uint64]struct{}{}
	}
	s.keys[d] = struct{}{}
}

// forget drops all that was touched before the epoch.
func (t *touched) forget(epoch uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		if s.at.epoch < epoch {
			s.at, s.keys = moment{epoch: epoch}, nil
		}
		s.mu.Unlock()
	}
}
