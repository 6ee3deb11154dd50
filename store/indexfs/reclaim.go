package indexfs

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"aistore/fs"
)

// Reclaim brings what was deleted where pebble gives back its room. Left alone pebble keeps deletes in memory, and then in the youngest
// tables, until as much again was written, which on a full disk is never: what they delete lies in older tables. The rest of the way pebble
// goes by itself, table by table. It ends early when ctx does, the mountpath fails or the gate is shut; the caller is inside the gate.
func Reclaim(ctx context.Context, mp *fs.Mountpath, db *pebble.DB, g *Gate) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-mp.Down():
		case <-g.shut:
		case <-ctx.Done():
		}
		cancel()
	}()
	flushed, err := db.AsyncFlush()
	if err != nil {
		return err
	}
	select {
	case <-flushed:
	case <-ctx.Done():
		return nil
	}
	for before := 1 << 30; ; { // until none is left that could be brought down
		levels, err := db.SSTables()
		if err != nil {
			return err
		}
		young := levels[0]
		if len(young) == 0 || len(young) >= before {
			return nil
		}
		before = len(young)
		// One key is enough: tables that overlap go together. With a key that is in memory as well pebble would hold up writers.
		key := young[0].Smallest.UserKey
		if err := db.Compact(ctx, key, append(key[:len(key):len(key)], 0), false); err != nil {
			if ctx.Err() != nil || errors.Is(err, pebble.ErrCancelledCompaction) {
				return nil
			}
			return err
		}
	}
}
