package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	pebblelog "github.com/cockroachdb/pebble/v2/record"
)

// logNumber parses the name of one of pebble's logs.
func logNumber(name string) (uint64, bool) {
	s, ok := strings.CutSuffix(path.Base(name), ".log")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

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
		if n, ok := logNumber(name); ok && n >= first {
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

// logBlock is the size of the blocks into which pebble's logs are divided; a record can begin anew at each.
const logBlock = 32 << 10

// newLogReader exists because the type of a log's number cannot be named outside pebble.
func newLogReader[N ~uint64](open func(io.Reader, N) *pebblelog.Reader, r io.Reader, n uint64) *pebblelog.Reader {
	return open(r, N(n))
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
	if err := checkLog(data, n); err != nil { // otherwise it just ends there
		r.damage(fmt.Sprintf("%s: %v", name, err))
	}
	for at := int64(0); at < int64(len(data)); {
		stopped, broken, err := eachBatch(data, at, n, take)
		if broken == nil || err != nil {
			return err
		}
		// Records in one piece behind the damage are found by trying every byte; longer ones begin anew
		// somewhere in the next block.
		at = min((stopped/logBlock+1)*logBlock, int64(len(data)))
		for i := stopped; i < at; {
			repr, size := wholeRecord(data[i:at], n)
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

// eachBatch hands over the batches of a log from a block on, until the log ends or is broken; stopped is where.
func eachBatch(data []byte, from int64, number uint64, take func(repr []byte) error) (stopped int64, broken, err error) {
	lr := newLogReader(pebblelog.NewReader, bytes.NewReader(data[from:]), number)
	for {
		stopped = from + lr.Offset()
		rec, err := lr.Next()
		if errors.Is(err, io.EOF) {
			return stopped, nil, nil
		}
		var repr []byte
		if err == nil {
			repr, err = io.ReadAll(rec)
		}
		if err != nil {
			return stopped, err, nil
		}
		if len(repr) > batchrepr.HeaderLen {
			if err := take(repr); err != nil {
				return stopped, nil, err
			}
		}
	}
}

// apply writes a batch into the new index.
func (r *rebuilder) apply(repr []byte) error {
	b := r.v.db.NewBatch()
	defer closeBatch(b)
	if err := b.SetRepr(repr); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}
