package indexfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	pebblelog "github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aistore/cksum"
	"aistore/errs"
)

// Pebble ends the replay of a log at the first record that does not parse: after a crash that is where the
// writing stopped. A bit that flipped there looks the same, and all that was acknowledged behind it would
// silently be gone. So every batch carries a mark, an entry that pebble keeps in its log and nowhere
// else: the log's number and up to where it was known to be durable when the batch was made. A mark
// found behind the place where a log stops to parse, and speaking of bytes beyond it, proves damage. Run
// adds a mark when writing pauses. What is cut off takes its marks along: synced.go.

// markLength is the length of a mark: markMagic, and number and length packed.
const (
	markMagic  = "AISm"
	markLength = len(markMagic) + 8
	markShift  = 40 // bits for the length: no log comes near a tebibyte
)

func packMark(number uint64, length int64) uint64 {
	return number<<markShift | uint64(length)&(1<<markShift-1)
}

// Mark returns the entry that says what is known to be durable of the log now, for LogData of every batch.
func (x *FS) Mark() (m [markLength]byte) {
	copy(m[:], markMagic)
	binary.LittleEndian.PutUint64(m[len(markMagic):], x.synced.Load())
	return m
}

// markNumbers are the bits of a log's number that a mark has.
const markNumbers = 1<<(64-markShift) - 1

// eachMark hands over the marks in repr, a batch: a log's number, its low bits, and how much of it was durable.
func eachMark(repr []byte, f func(number uint64, length int64)) {
	if len(repr) <= batchrepr.HeaderLen {
		return
	}
	r := batchrepr.Read(repr)
	for {
		kind, key, _, ok, err := r.Next()
		if !ok || err != nil {
			return
		}
		if kind == pebble.InternalKeyKindLogData && len(key) == markLength && string(key[:len(markMagic)]) == markMagic {
			if m := binary.LittleEndian.Uint64(key[len(markMagic):]); m != 0 { // 0: no log was synced yet
				f(m>>markShift, int64(m&(1<<markShift-1)))
			}
		}
	}
}

// provedLength returns the greatest length of log number of which repr, a batch, knows that it was durable.
func provedLength(repr []byte, number uint64) (proved int64) {
	eachMark(repr, func(n uint64, length int64) {
		if n == number&markNumbers {
			proved = max(proved, length)
		}
	})
	return proved
}

// examine looks at a file that pebble is about to read, where pebble itself would not notice damage or
// not survive it. err is what opening the file gave.
func (x *FS) examine(name string, f vfs.File, err error) error {
	if n, ok := LogNumber(name); ok && err == nil && x.Opening.Load() {
		if x.OnLog != nil {
			x.OnLog(n)
		}
		data, err := readWhole(f)
		if err == nil {
			err = CheckLog(data, n, x.Proved[n])
		}
		if whole := replayedTo(data, n); err == nil && whole > 0 {
			x.synced.Store(packMark(n, whole))
		}
		return closeOn(f, err)
	}
	if err == nil && x.Opening.Load() && strings.HasPrefix(path.Base(name), "MANIFEST") {
		return closeOn(f, x.checkManifest(name, f))
	}
	if strings.HasSuffix(name, ".blob") {
		if err != nil {
			return errs.E("indexfs", name, errs.Corrupt, "the index's value file is missing")
		}
		return closeOn(f, checkValueFile(name, f))
	}
	return err
}

// replayedTo returns how much there is of log number, which is read while the index opens. The marks of the next log tell of it: pebble
// makes tables of it, and it goes when the manifest says so. Pebble syncs that edit before the next log has a batch.
func replayedTo(data []byte, number uint64) int64 {
	stopped, _, _ := readableTo(data, 0, number)
	return wholeTo(data, stopped, number)
}

func readWhole(f vfs.File) ([]byte, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, fi.Size())
	if n, err := f.ReadAt(data, 0); n < len(data) && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}

func closeOn(f io.Closer, err error) error {
	if err != nil {
		_ = f.Close() // opened for reading only
	}
	return err
}

// CheckLog reports a log in which acknowledged batches can no longer be read. known is how much of it is known to have been durable from
// elsewhere, 0 if nothing is. A batch longer than a block may have been durable
// in part when a mark was made; what is whole of it says nothing, so the mark must speak of bytes behind that.
func CheckLog(data []byte, number uint64, known int64) error {
	stopped, proper, proved := readableTo(data, 0, number)
	proved = max(proved, known)
	whole := wholeTo(data, stopped, number)
	if proper && proved <= whole {
		return nil
	}
	// What comes behind is of use only for what it proves. Records in one piece are found by trying every
	// byte, longer ones begin anew somewhere in each block.
	for at := stopped; at < int64(len(data)) && proved <= whole; {
		next := min((at/LogBlock+1)*LogBlock, int64(len(data)))
		for ; at < next; at++ {
			repr, _ := WholeRecord(data[at:next], number)
			proved = max(proved, provedLength(repr, number))
		}
		if at < int64(len(data)) {
			_, _, p := readableTo(data, at, number)
			proved = max(proved, p)
		}
	}
	if proved > whole {
		return errs.F("indexfs.CheckLog", fmt.Sprintf("log %d", number), errs.Corrupt,
			"it cannot be read from byte %d on, but was durable to byte %d", whole, proved)
	}
	return nil
}

// wholeTo returns how far from at, where a record stops to parse, the log consists of whole pieces of records, of the zeros
// at the end of a block that leave no room for one, and of what pebble writes behind the last one when it closes a log.
func wholeTo(data []byte, at int64, number uint64) int64 {
	for at < int64(len(data)) {
		b := data[at:min((at/LogBlock+1)*LogBlock, int64(len(data)))]
		payload, size := piece(b, number)
		if payload == nil {
			if n := trailer(b, number); n > 0 {
				return at + n
			}
			if size = int64(len(b)); size >= syncedHead || !allZero(b) {
				return at
			}
		}
		at += size
	}
	return at
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// readableTo reads records from a block on. stopped is where they end; proper tells the end of a log from what does not parse.
func readableTo(data []byte, from int64, number uint64) (stopped int64, proper bool, proved int64) {
	stopped, broken, _ := EachBatch(data, from, number, func(repr []byte) error {
		proved = max(proved, provedLength(repr, number))
		return nil
	})
	return stopped, broken == nil, proved
}

// Types of pieces of records, and the lengths of their headers. Of either group the first is a whole record, the others are the first,
// a middle and the last piece of one.
const (
	plain, plainHead   = 5, 11
	synced, syncedHead = 9, 19
	pieceKinds         = 4
)

// WholeRecord looks for a record in one piece right at the start of b, which lies within one block. It returns the payload, nil
// when there is none, and the size of all.
func WholeRecord(b []byte, number uint64) (payload []byte, size int64) {
	if len(b) < plainHead || b[6] != plain && b[6] != synced {
		return nil, 0
	}
	return piece(b, number)
}

// piece looks for a piece of a record right at the start of b: CRC32C in LevelDB's masked form, length, type, log number, for
// half of the types a synced offset, payload.
func piece(b []byte, number uint64) (payload []byte, size int64) {
	if len(b) < plainHead || b[6] < plain || b[6] >= synced+pieceKinds || binary.LittleEndian.Uint32(b[7:]) != uint32(number) {
		return nil, 0
	}
	head := plainHead
	if b[6] >= synced {
		head = syncedHead
	}
	end := head + int(binary.LittleEndian.Uint16(b[4:]))
	if end > len(b) || maskedCRC(b[6:end]) != binary.LittleEndian.Uint32(b) {
		return nil, 0
	}
	return b[head:end], int64(end)
}

// trailer returns the length of what ends a log that was closed, 0 if b does not begin with it: the header of a record that has no
// bytes, no checksum and the number of the next log.
func trailer(b []byte, number uint64) int64 {
	if len(b) < plainHead || !allZero(b[:6]) || binary.LittleEndian.Uint32(b[7:]) != uint32(number+1) {
		return 0
	}
	switch {
	case b[6] == plain:
		return plainHead
	case b[6] == synced && len(b) >= syncedHead:
		return syncedHead
	}
	return 0
}

// maskedCRC is the CRC32C that LevelDB's formats store.
func maskedCRC(b []byte) uint32 {
	c := cksum.Block(b)
	return (c>>15 | c<<17) + 0xa282ead8
}

// checkValueFile checks the footer of one of pebble's value files, since pebble panics at a bad one: CRC, index
// handle, checksum type, format, number, magic.
func checkValueFile(name string, f vfs.File) error {
	const footer = 38
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	b := make([]byte, footer)
	if fi.Size() >= footer {
		if _, err := f.ReadAt(b, fi.Size()-footer); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	if maskedCRC(b[4:]) != binary.LittleEndian.Uint32(b) {
		return errs.E("indexfs", name, errs.Corrupt, "the index's value file has a damaged footer")
	}
	return nil
}

// LogNumber parses the name of one of pebble's logs.
func LogNumber(name string) (uint64, bool) {
	s, ok := strings.CutSuffix(path.Base(name), ".log")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// LogBlock is the size of the blocks into which pebble's logs are divided; a record can begin anew at each.
const LogBlock = 32 << 10

// newLogReader exists because the type of a log's number cannot be named outside pebble.
func newLogReader[N ~uint64](open func(io.Reader, N) *pebblelog.Reader, r io.Reader, n uint64) *pebblelog.Reader {
	return open(r, N(n))
}

// EachBatch hands over the batches of a log from a block on, until the log ends or is broken; stopped is where.
func EachBatch(data []byte, from int64, number uint64, take func(repr []byte) error) (stopped int64, broken, err error) {
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
