package indexfs

import (
	"sync/atomic"
	"time"
)

// Pacer tells how long the log rests after a sync: as long as the sync took, when more than one writer waited for it, so that
// the next serves more of them; not at all after a lone writer's. A sync costs more CPU time than the rest of a small PUT.
type Pacer struct{ pause atomic.Int64 }

// Synced notes a sync, and how many writers waited for it.
func (p *Pacer) Synced(waiting int64, took time.Duration) {
	if waiting < 2 {
		took = 0
	}
	p.pause.Store(int64(min(took, time.Millisecond)))
}

// Next is what pebble asks for after each sync.
func (p *Pacer) Next() time.Duration { return time.Duration(p.pause.Load()) }
