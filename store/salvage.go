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

	"aistore/errs"
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
		if err := r.replayLog(old, n); err != nil {
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

func (r *rebuilder) replayLog(old *volume, n uint64) error {
	name := fmt.Sprintf("%s/%06d.log", indexDirName, n)
	f, err := old.mp.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for at := int64(0); at < int64(len(data)); {
		lr := newLogReader(pebblelog.NewReader, bytes.NewReader(data[at:]), n)
		err := r.applyRecords(lr)
		if err == nil || errs.Is(err, errs.Mountpath) {
			return err
		}
		r.damage(fmt.Sprintf("%s at about byte %d: %v", name, at+lr.Offset(), err))
		at += (lr.Offset()/logBlock + 1) * logBlock
	}
	return nil
}

// applyRecords applies batches until the log ends (nil) or is damaged.
func (r *rebuilder) applyRecords(lr *pebblelog.Reader) error {
	for {
		rec, err := lr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var repr []byte
		if err == nil {
			repr, err = io.ReadAll(rec)
		}
		if err != nil {
			return err
		}
		if len(repr) <= batchrepr.HeaderLen {
			continue
		}
		b := r.v.db.NewBatch()
		if err := b.SetRepr(repr); err != nil {
			closeBatch(b)
			return err
		}
		err = b.Commit(pebble.NoSync)
		closeBatch(b)
		if err != nil {
			return errs.E("store.salvage", "", errs.Mountpath, err)
		}
	}
}
