package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"aistore/store/indexfs"
)

// replay applies to the new index what can be read of the old one's logs from number first on. Pebble
// refuses a log that is damaged in its middle; here the records around the damage are used. Batches
// carry a checksum, so a batch is applied whole or not at all.
func (r *rebuilder) replay(old *volume, first uint64) error {
	names, err := old.mp.ReadDir(indexDirName)
	if err != nil {
		return err
	}
	var logs []uint64
	for _, name := range names {
		if n, ok := indexfs.LogNumber(name); ok && n >= first {
			logs = append(logs, n)
		}
	}
	slices.Sort(logs)
	for _, n := range logs {
		if err := r.readLog(old, n, r.apply); err != nil {
			return err
		}
	}
	return nil
}

// readLog hands every batch of a log that can be read to take.
func (r *rebuilder) readLog(old *volume, n uint64, take func(repr []byte) error) error {
	name := logName(n)
	f, err := old.mp.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := indexfs.CheckLog(data, n, old.ifs.Proved[n]); err != nil { // otherwise it just ends there
		r.damage(fmt.Sprintf("%s: %v", name, err))
	}
	for at := int64(0); at < int64(len(data)); {
		stopped, broken, err := indexfs.EachBatch(data, at, n, take)
		if broken == nil || err != nil {
			return err
		}
		// Records in one piece behind the damage are found by trying every byte; longer ones begin anew
		// somewhere in the next block.
		at = min((stopped/indexfs.LogBlock+1)*indexfs.LogBlock, int64(len(data)))
		for i := stopped; i < at; {
			repr, size := indexfs.WholeRecord(data[i:at], n)
			if repr == nil {
				i++
				continue
			}
			if err := take(repr); err != nil {
				return err
			}
			i += size
		}
	}
	return nil
}

func logName(n uint64) string { return fmt.Sprintf("%s/%06d.log", indexDirName, n) }

// apply writes a batch into the new index.
func (r *rebuilder) apply(repr []byte) error {
	b := r.v.db.NewBatch()
	defer closeBatch(b)
	if err := b.SetRepr(repr); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}
