package indexfs

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	pebblelog "github.com/cockroachdb/pebble/v2/record"

	"aistore/errs"
)

const testLog = 7

// markedBatch is a batch with one value and the mark of length bytes of testLog.
func markedBatch(t *testing.T, size int, length int64) []byte {
	t.Helper()
	var b pebble.Batch
	must(t, b.Set([]byte("k"), bytes.Repeat([]byte{'v'}, size), nil))
	mark := append([]byte(markMagic), make([]byte, 8)...)
	binary.LittleEndian.PutUint64(mark[len(markMagic):], packMark(testLog, length))
	must(t, b.LogData(mark, nil))
	return b.Repr()
}

// newLogWriter exists because the type of a log's number cannot be named outside pebble.
func newLogWriter[N ~uint64](open func(io.Writer, N, pebblelog.LogWriterConfig) *pebblelog.LogWriter, w io.Writer, n uint64, c pebblelog.LogWriterConfig) *pebblelog.LogWriter {
	return open(w, N(n), c)
}

// writeLog returns a log of these batches as pebble writes it, and where each ends.
func writeLog(t *testing.T, syncOffsets bool, batches ...[]byte) (data []byte, ends []int64) {
	t.Helper()
	var b bytes.Buffer
	w := newLogWriter(pebblelog.NewLogWriter, &b, testLog, pebblelog.LogWriterConfig{
		WriteWALSyncOffsets: func() bool { return syncOffsets },
	})
	for _, repr := range batches {
		end, err := w.WriteRecord(repr)
		must(t, err)
		ends = append(ends, end)
	}
	must(t, w.Close())
	return b.Bytes(), ends
}

// TestTornWithinRecord loses power while the second part of a long batch is written, and the batch behind it. What the latter
// knows to be durable ends within the long one, of which nobody was told: nothing acknowledged is missing.
func TestTornWithinRecord(t *testing.T) {
	for _, syncOffsets := range []bool{false, true} {
		first := markedBatch(t, 1000, 0)
		long := markedBatch(t, LogBlock, 0)
		data, ends := writeLog(t, syncOffsets, first, long, markedBatch(t, 100, LogBlock))
		torn := bytes.Clone(data)
		clear(torn[LogBlock:ends[1]])
		if err := CheckLog(torn, testLog, 0); err != nil {
			t.Errorf("sync offsets %v: %v", syncOffsets, err)
		}
		for _, at := range []int64{ends[0] - 100, ends[0] + 100, LogBlock - 1} {
			flipped := bytes.Clone(torn)
			flipped[at] ^= 4
			if err := CheckLog(flipped, testLog, 0); !errs.Is(err, errs.Corrupt) {
				t.Errorf("sync offsets %v: bit flipped at %d: %v", syncOffsets, at, err)
			}
		}
		proved, _ := writeLog(t, syncOffsets, first, long, markedBatch(t, 100, ends[1]))
		clear(proved[LogBlock:ends[1]])
		if err := CheckLog(proved, testLog, 0); !errs.Is(err, errs.Corrupt) {
			t.Errorf("sync offsets %v: the end of an acknowledged batch is gone: %v", syncOffsets, err)
		}
	}
}

// TestTornBehindPadding ends what is durable at the zeros that fill a block, in which no further batch could begin.
func TestTornBehindPadding(t *testing.T) {
	const head, overhead = 19, 33 // of a chunk; of a batch with one value and a mark
	for left := range head + 2 {
		repr := markedBatch(t, LogBlock-head-overhead-left, 0)
		data, ends := writeLog(t, true, repr, markedBatch(t, 300, 0), markedBatch(t, 100, LogBlock))
		clear(data[LogBlock:ends[1]])
		if gap := LogBlock - ends[0]; gap < 0 || gap > 40 {
			t.Fatalf("the first batch ends %d bytes before the block does", gap)
		}
		if err := CheckLog(data, testLog, 0); err != nil {
			t.Errorf("%d bytes left: %v", left, err)
		}
	}
}

// FuzzManifest reads arbitrary manifests.
func FuzzManifest(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1, 0, 2}, 20_000))
	edit := []byte{1, 3, 'c', 'm', 'p', 2, 200, 1, 3, 9}
	piece := append([]byte{0, 0, 0, 0, byte(len(edit)), 0, 1}, edit...)
	binary.LittleEndian.PutUint32(piece, maskedCRC(piece[6:]))
	f.Add(bytes.Repeat(piece, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		needed, stopped, whole := readManifest(data)
		if stopped < 0 || stopped > int64(len(data)) {
			t.Fatalf("stopped at %d of %d", stopped, len(data))
		}
		if next := nextEdit(data, stopped); next >= 0 && next <= stopped {
			t.Fatalf("the next edit after %d is at %d (needed log %d, whole %v)", stopped, next, needed, whole)
		}
	})
}

// TestNeededLog finds the log that edits name, and nothing in what they do not.
func TestNeededLog(t *testing.T) {
	for _, c := range []struct {
		edit []byte
		want uint64
	}{
		{[]byte{1, 3, 'c', 'm', 'p', 2, 200, 1, 3, 9}, 200}, {[]byte{2, 7, 6, 0, 1}, 7}, {[]byte{3, 9}, 0}, {[]byte{103, 0, 2, 7}, 0}, {nil, 0}, {[]byte{1, 200}, 0}, {[]byte{2}, 0},
	} {
		if got := neededLog(c.edit); got != c.want {
			t.Errorf("%v: %d, want %d", c.edit, got, c.want)
		}
	}
}
