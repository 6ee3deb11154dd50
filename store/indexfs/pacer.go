package indexfs

import (
	"sync/atomic"
	"time"
)

// Pacer tells how long the log rests after a sync, so that the next serves more writers: not at all after a lone writer's, as long
// as the sync took after that of two, and twice as long after that of more. A sync costs as much CPU time as half a small PUT.
type Pacer struct{ pause atomic.Int64 }

// maxPause bounds the rest on a slow disk.
const maxPause = 2 * time.Millisecond

// Synced notes a sync, and how many writers waited for it.
func (p *Pacer) Synced(waiting int64, took time.Duration) {
	times := min(max(waiting-1, 0), 2)
	p.pause.Store(int64(min(time.Duration(times)*took, maxPause)))
}

// Next is what pebble asks for after each sync.
func (p *Pacer) Next() time.Duration { return time.Duration(p.pause.Load()) }
