// Package hot keeps the index values of names that are read again and again: copies of the record and, if it is small, of
// the content. Finding both in the index takes two walks through memory that no processor cache holds, a third of a small GET.
//
// An entry tells in which turn of its name's lock it was read. The lock's turn changes whenever a writer takes it or lets it
// go, and is odd in between: an entry is good as long as the turn is its own. So no writer needs to know of this package, and
// what a writer has not yet made durable cannot be found here. hot neither decodes nor verifies: who reads does.
//
// Names are admitted when they are missed a second time: a pass over many objects then costs no copies. Until half of the room is
// taken the first time does, for nobody has to go. Memory is bounded by bytes and by slots; who has not been read since the last
// look of the hand goes first.
//
// Start at (*Cache).Get, (*Cache).Wants and (*Cache).Add.
package hot

import (
	"sync"
	"sync/atomic"

	"aistore/object"
)

// MaxContent is the length from which content is not worth keeping: copying it out of the index is most of its cost anyway.
const MaxContent = 16 << 10

const (
	slots    = 1 << 14
	ways     = 4 // slots where a name may be
	seenSize = 1 << 15
	overhead = 256 // of an entry besides its bytes
)

// Cache is a bounded number of entries. Its zero value and nil keep nothing. H says where a name lives.
type Cache[H any] struct {
	limit int64
	bytes atomic.Int64
	seen  [seenSize]atomic.Uint32 // digests of names missed, each in its place
	slots [slots]atomic.Pointer[Entry[H]]

	mu   sync.Mutex // of who adds
	hand int
}

// New returns a cache of up to limit bytes; nil, which keeps nothing, if that is not above 0.
func New[H any](limit int64) *Cache[H] {
	if limit <= 0 {
		return nil
	}
	return &Cache[H]{limit: limit}
}

// Busy reports whether a writer holds the lock in this turn.
func Busy(turn uint64) bool { return turn%2 == 1 }

// Entry is what is kept of a name. It is not changed any more once it was added.
type Entry[H any] struct {
	Name    object.Name
	Digest  uint64 // of the name
	Turn    uint64
	Home    H
	Key     []byte // as in Name
	Record  []byte
	Content []byte // nil: not kept

	used atomic.Bool
}

func (e *Entry[H]) size() int64 { return int64(2*len(e.Key)+len(e.Record)+len(e.Content)) + overhead }

// ways returns the slots of a name. Not the lowest bits choose them: those choose locks.
func (h *Cache[H]) ways(digest uint64) []atomic.Pointer[Entry[H]] {
	at := digest >> 16 % (slots / ways) * ways
	return h.slots[at : at+ways]
}

// Get returns the entry of n that is good in this turn of its lock, nil if there is none.
func (h *Cache[H]) Get(n object.Name, digest, turn uint64) *Entry[H] {
	if h == nil || Busy(turn) {
		return nil
	}
	set := h.ways(digest)
	for i := range set {
		e := set[i].Load()
		if e == nil || e.Digest != digest || e.Name != n {
			continue
		}
		if e.Turn != turn {
			h.drop(&set[i], e)
			return nil
		}
		if !e.used.Load() {
			e.used.Store(true)
		}
		return e
	}
	return nil
}

// Forget removes an entry that turned out to be damaged.
func (h *Cache[H]) Forget(e *Entry[H]) {
	set := h.ways(e.Digest)
	for i := range set {
		h.drop(&set[i], e)
	}
}

func (h *Cache[H]) drop(slot *atomic.Pointer[Entry[H]], e *Entry[H]) {
	if slot.CompareAndSwap(e, nil) {
		h.bytes.Add(-e.size())
	}
}

// Wants reports whether a name that was missed is to be kept: it was missed before, or there is much room.
func (h *Cache[H]) Wants(digest, turn uint64) bool {
	if h == nil || Busy(turn) {
		return false
	}
	if h.bytes.Load() < h.limit/2 {
		return true
	}
	mark := &h.seen[digest>>16%seenSize]
	if print := uint32(digest >> 32); mark.Load() != print {
		mark.Store(print)
		return false
	}
	return true
}

// Add keeps e, unless there is no room to be had quickly.
func (h *Cache[H]) Add(e *Entry[H]) {
	if !h.mu.TryLock() {
		return // another name will do
	}
	defer h.mu.Unlock()
	if h.bytes.Load()+e.size() > h.limit && !h.makeRoom(e.size()) {
		return
	}
	set := h.ways(e.Digest)
	slot := &set[h.hand%ways]
	for i := range set {
		o := set[i].Load()
		if o == nil || o.Digest == e.Digest && o.Name == e.Name {
			slot = &set[i]
			break
		}
		if !o.used.Swap(false) {
			slot = &set[i]
		}
	}
	if o := slot.Load(); o != nil {
		h.drop(slot, o)
	}
	h.bytes.Add(e.size())
	if !slot.CompareAndSwap(nil, e) {
		h.bytes.Add(-e.size())
	}
}

// makeRoom moves the hand on; it looks at a bounded number of slots.
func (h *Cache[H]) makeRoom(size int64) bool {
	for range 256 {
		h.hand = (h.hand + 1) % slots
		slot := &h.slots[h.hand]
		if o := slot.Load(); o != nil && !o.used.Swap(false) {
			h.drop(slot, o)
			if h.bytes.Load()+size <= h.limit {
				return true
			}
		}
	}
	return false
}

// Size is the bytes that are kept.
func (h *Cache[H]) Size() int64 {
	if h == nil {
		return 0
	}
	return h.bytes.Load()
}
