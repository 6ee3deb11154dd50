package indexfs

import (
	"sync"
	"sync/atomic"
	"time"
)

// Pacer tells how long the log rests after a sync, so that the next serves more writers: a sync costs as much CPU time as half a small
// PUT. It rests only while processors are short. Else their time is not worth the wait, and the timer of an idle process is late by
// a millisecond or two.
//
// How long follows from how many writers wait when a sync begins, in the mean: not at all for one, as long as a sync takes for two, and
// twice as long for more. Where many wait anyhow, they share enough.
type Pacer struct {
	// Short tells whether processors are short; nil = never.
	Short func() bool

	pause atomic.Int64

	mu    sync.Mutex
	crowd int64         // writers that wait: mean, in units of 1/crowdUnit
	took  time.Duration // by a sync: mean
}

const (
	crowdUnit = 256
	crowdMin  = crowdUnit * 5 / 3    // below, there is hardly anyone to be gathered
	crowdMax  = crowdUnit * 6        // above, they share a sync without a rest
	restTimes = 2                    // the longest rest, in syncs
	maxPause  = 2 * time.Millisecond // the same on a slow disk
	meanOf    = 16                   // the newest counts so many times less than the mean
)

// Synced notes a sync, and how many writers waited for it.
func (p *Pacer) Synced(waiting int64, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crowd += (waiting*crowdUnit - p.crowd) / meanOf
	p.took += (took - p.took) / meanOf
	var pause time.Duration
	if p.crowd >= crowdMin && p.crowd <= crowdMax && p.Short != nil && p.Short() {
		pause = min(time.Duration(min(p.crowd-crowdUnit, restTimes*crowdUnit))*p.took/crowdUnit, maxPause)
	}
	p.pause.Store(int64(pause))
}

// Next is what pebble asks for after each sync.
func (p *Pacer) Next() time.Duration { return time.Duration(p.pause.Load()) }
