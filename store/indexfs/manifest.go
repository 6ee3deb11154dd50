package indexfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	pebblelog "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aistore/errs"
)

// Pebble's manifest is a log of edits: which tables make up the index, and from which log on changes are not in tables yet. Its reader
// too takes the first edit that does not parse for the end, and opening then removes the tables of which it has not read. A bit that
// flipped in an edit would cost all that was flushed since. Two things tell damage from an edit that a crash cut short. Each edit is
// synced before the next is written, so whatever begins behind it proves damage. And when it was the last edit: a log goes only after the
// edit that says it is no longer needed, and the log behind it knows that it was there, from its marks.

// checkManifest reports a manifest of which edits can no longer be read.
func (x *FS) checkManifest(name string, f vfs.File) error {
	const op = "indexfs.checkManifest"
	data, err := readWhole(f)
	if err != nil {
		return err
	}
	needed, stopped, whole := readManifest(data)
	if !whole {
		if at := nextEdit(data, stopped); at >= 0 {
			return errs.F(op, name, errs.Corrupt, "it cannot be read from byte %d on, and goes on at byte %d", stopped, at)
		}
	}
	return x.checkLogs(name, needed)
}

// readManifest reads edits until they end. needed is the first log whose changes may not be in tables, 0 = none was named: all are needed; stopped is
// where what cannot be read begins, if it is not whole.
func readManifest(data []byte) (needed uint64, stopped int64, whole bool) {
	lr := newLogReader(pebblelog.NewReader, bytes.NewReader(data), 0)
	for {
		stopped = lr.Offset()
		rec, err := lr.Next()
		if errors.Is(err, io.EOF) {
			return needed, stopped, true
		}
		var edit []byte
		if err == nil {
			edit, err = io.ReadAll(rec)
		}
		if err != nil {
			return needed, stopped, false
		}
		if n := neededLog(edit); n > 0 {
			needed = n
		}
	}
}

// neededLog returns the first log that is still needed after an edit, 0 if the edit does not say so. An edit is fields, each a tag
// and numbers or counted bytes; the name of the comparer and the log come first.
func neededLog(edit []byte) uint64 {
	const comparer, log = 1, 2
	for {
		tag, n := binary.Uvarint(edit)
		if n <= 0 {
			return 0
		}
		v, m := binary.Uvarint(edit[n:])
		if m <= 0 {
			return 0
		}
		edit = edit[n+m:]
		switch {
		case tag == log:
			return v
		case tag == comparer && v <= uint64(len(edit)):
			edit = edit[v:]
		default:
			return 0
		}
	}
}

// nextEdit looks for the beginning of an edit behind stopped: its place, or -1. A piece of one is CRC, length, type (1: whole, 2: the
// first piece) and payload.
func nextEdit(data []byte, stopped int64) int64 {
	const head, wholeEdit, firstPiece = 7, 1, 2
	for at := stopped + 1; at < int64(len(data)); at++ {
		b := data[at:min((at/LogBlock+1)*LogBlock, int64(len(data)))]
		if len(b) < head || b[6] != wholeEdit && b[6] != firstPiece {
			continue
		}
		if end := head + int(binary.LittleEndian.Uint16(b[4:])); end <= len(b) && maskedCRC(b[6:end]) == binary.LittleEndian.Uint32(b) {
			return at
		}
	}
	return -1
}
