package store

import (
	"context"
	"time"

	"aistore/store/indexfs"
)

// Deletes make room at once where blobs go. Where small objects go it is the index that has to give back their room, and it does so as
// more is written. A disk without room takes no writes, so there it is asked to.

// Bounds of how often. Each time the youngest tables are written anew, with those of the next level that they overlap: 64 MiB and more.
const (
	reclaimEvery = 5 * time.Second
	reclaimShare = 10          // of the time, one part at most
	reclaimAgain = time.Minute // after it failed: there may be no room to write tables anew
)

// Shares of garbage from which files of values are written anew.
const (
	garbageKept   = 0.3
	garbageScarce = 0.1 // while room is scarce
)

// rewriteAge is how old a file of values has to be before it is written anew without those that nobody needs: soon its others may be gone
// as well. On a small disk there is no time for that: it could be written full meanwhile.
func rewriteAge(total int64) time.Duration {
	return min(max(time.Duration(total/(64<<20))*time.Second, 2*time.Second), time.Minute)
}

// keepRoom has the indexes of disks whose room is scarce give back what was deleted, until ctx ends.
func keepRoom(ctx context.Context, s *Store) {
	next := make(map[*volume]time.Time)
	tick := time.NewTicker(s.cfg.HealthEvery)
	defer tick.Stop()
	for {
		for _, v := range s.volumes() {
			begun := time.Now()
			if !v.space.scarce.Load() || v.err() != nil || begun.Before(next[v]) {
				continue
			}
			pause := reclaimEvery
			if err := reclaim(ctx, v); err != nil && v.err() == nil && ctx.Err() == nil {
				v.log.Warn("the index could not give back the room of what was deleted", "mountpath", v.mp.Path(), "err", err)
				pause = reclaimAgain
			}
			next[v] = time.Now().Add(max(pause, reclaimShare*time.Since(begun)))
		}
		for v := range next {
			if v.closed.Load() {
				delete(next, v)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// reclaim has the index give back room, unless nothing was written since it did, and what it keeps is little. Tables are written before
// others go: where others have left no room for that, the reserve would be used up that deletes and the next start need.
func reclaim(ctx context.Context, v *volume) (err error) {
	if err := v.gate.Enter(); err != nil {
		return nil // it is closing
	}
	defer v.gate.Leave()
	defer recoverFatal("store.reclaim", &err)
	if v.space.look(); !v.space.scarce.Load() {
		return nil
	}
	m := v.db.Metrics()
	if m.WAL.BytesIn == v.reclaimed && float64(m.BlobFiles.ReferencedValueSize) >= (1-garbageScarce)*float64(m.BlobFiles.ValueSize) {
		return nil
	}
	if err := indexfs.Reclaim(ctx, v.mp, v.db, v.gate); err != nil {
		return err
	}
	v.reclaimed = m.WAL.BytesIn
	v.space.look()
	return nil
}

// garbage is the share of values nobody needs from which pebble writes a file of them anew.
func (s *space) garbage() float64 {
	if s.scarce.Load() {
		return garbageScarce
	}
	return garbageKept
}

// flushDestroyed is how long pebble keeps in memory that a bucket was destroyed; until then the index gives back nothing of it.
const flushDestroyed = 2 * time.Second
