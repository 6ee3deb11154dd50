package store

import (
	"sync"
	"sync/atomic"

	"aistore/object"
)

// hot keeps the index values of names that are read again and again: copies of the record and, if it is small, of the
// content. Finding both in the index takes two walks through memory that no processor cache holds, a third of a small GET.
//
// An entry tells which turn of its name's lock it was read in (see nameLock): it is good as long as the lock has not been
// taken since, so no writer needs to know of hot, and what a writer has not yet made durable cannot be found here. What
// comes out is decoded and verified as if the index had returned it.
//
// Names are admitted when they are missed a second time: a pass over many objects then costs no copies. Memory is bounded
// by bytes and by slots; who has not been read since the last look of the hand goes first.
type hot struct {
	limit int64
	bytes atomic.Int64
	seen  [hotSeen]atomic.Uint32 // digests of names missed, each in its place
	slots [hotSlots]atomic.Pointer[hotEntry]

	mu   sync.Mutex // of who adds
	hand int
}

const (
	hotSlots   = 1 << 14
	hotWays    = 4 // slots where a name may be
	hotSeen    = 1 << 15
	hotContent = 16 << 10 // longer content is not kept: copying it out of the index is most of its cost anyway
	hotCost    = 256      // of an entry besides its bytes
)

// hotEntry is immutable but for used.
type hotEntry struct {
	name    object.Name
	digest  uint64
	turn    uint64
	vol     *volume
	key     []byte // as in name
	record  []byte
	content []byte // nil: not kept
	used    atomic.Bool
}

func (e *hotEntry) size() int64 {
	return int64(2*len(e.key)+len(e.record)+len(e.content)) + hotCost
}

func newHot(limit int64) *hot {
	if limit <= 0 {
		return nil
	}
	return &hot{limit: limit}
}

// ways returns the slots of a name; the digest's low bits choose its lock and would leave most slots empty.
func (h *hot) ways(digest uint64) []atomic.Pointer[hotEntry] {
	at := digest >> 16 % (hotSlots / hotWays) * hotWays
	return h.slots[at : at+hotWays]
}

// get returns the entry of n that is good in this turn of its lock, nil if there is none.
func (h *hot) get(n object.Name, digest, turn uint64) *hotEntry {
	if h == nil || busy(turn) {
		return nil
	}
	ways := h.ways(digest)
	for i := range ways {
		e := ways[i].Load()
		if e == nil || e.digest != digest || e.name != n {
			continue
		}
		if e.turn != turn {
			h.drop(&ways[i], e)
			return nil
		}
		if !e.used.Load() {
			e.used.Store(true)
		}
		return e
	}
	return nil
}

// forget removes an entry that turned out to be damaged.
func (h *hot) forget(e *hotEntry) {
	ways := h.ways(e.digest)
	for i := range ways {
		h.drop(&ways[i], e)
	}
}

func (h *hot) drop(slot *atomic.Pointer[hotEntry], e *hotEntry) {
	if slot.CompareAndSwap(e, nil) {
		h.bytes.Add(-e.size())
	}
}

// wants reports whether a name that was missed was missed before.
func (h *hot) wants(digest, turn uint64) bool {
	if h == nil || busy(turn) {
		return false
	}
	mark := &h.seen[digest>>16%hotSeen]
	if print := uint32(digest >> 32); mark.Load() != print {
		mark.Store(print)
		return false
	}
	return true
}

// add keeps e, unless there is no room to be had quickly.
func (h *hot) add(e *hotEntry) {
	if !h.mu.TryLock() {
		return // another name will do
	}
	defer h.mu.Unlock()
	if h.bytes.Load()+e.size() > h.limit && !h.makeRoom(e.size()) {
		return
	}
	ways := h.ways(e.digest)
	slot := &ways[h.hand%hotWays]
	for i := range ways {
		o := ways[i].Load()
		if o == nil || o.digest == e.digest && o.name == e.name {
			slot = &ways[i]
			break
		}
		if !o.used.Swap(false) {
			slot = &ways[i]
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
func (h *hot) makeRoom(size int64) bool {
	for range 256 {
		h.hand = (h.hand + 1) % hotSlots
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
