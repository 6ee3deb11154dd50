package target

import (
	"sync/atomic"

	"aistore/errs"
	"aistore/node"
)

// budget bounds the memory that requests hold at the same time. The number of requests is bounded too
// (limits.inflight), but a thousand long transfers hold a thousand times the memory of a thousand small ones.
// What does not fit is answered with Busy at once: waiting would hold a connection and a goroutine as well.
type budget struct {
	used  atomic.Int64
	limit int64
}

// streamCost is what reading or writing a blob holds: one buffer of the store.
const streamCost = 1 << 20

// defaultBudget is an eighth of the machine's memory, inside bounds.
func defaultBudget() int64 {
	const least, most = 256 << 20, 4 << 30
	return min(max(int64(node.MemTotal()/8), least), most) //nolint:gosec // far below the maximum
}

// take reserves n bytes; give them back.
func (b *budget) take(n int64) error {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return errs.E("target.take", "memory", errs.Busy, "too many transfers at the same time: retry after a second")
	}
	return nil
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// Reserve takes the memory of one transfer of a blob out of the target's budget: kind Busy when there is none. Release gives it back.
func (t *Target) Reserve() error { return t.memory.take(streamCost) }

// Release ends what Reserve began.
func (t *Target) Release() { t.memory.give(streamCost) }
