package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"

	"aistore/errs"
	"aistore/store/format"
	"aistore/store/indexfs"
)

// indexFormat is the newest layout of an index this program writes and the last it opens.
const indexFormat = 1

// indexDirName is the index's directory in a mountpath.
const indexDirName = "index"

// separateFrom is the size from which pebble keeps a value outside its tables: records stay inside,
// inline content goes out, so that neither listing nor compaction drags it along.
const separateFrom = 1 << 10

// memTableSize suits the disk: beneath the low-space mark there must be room for the tables of all memtables that wait to be written when
// it is reached, whose logs pebble keeps, and for deletes.
func memTableSize(total int64) uint64 {
	return uint64(min(max(total/128, 1<<20), 16<<20))
}

// indexOptions are those of an index that serves; readOnly opens one of a stopped node.
func (v *volume) indexOptions(readOnly bool) *pebble.Options {
	log := &indexLog{v: v, log: v.log}
	o := &pebble.Options{
		FS:                          v.ifs,
		Cache:                       v.cache,
		FormatMajorVersion:          pebble.FormatValueSeparation,
		MemTableSize:                memTableSize(v.total),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       32,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                1000,
		WALMinSyncInterval:          v.pace.Next,
		FlushDelayDeleteRange:       flushDestroyed,
		CompactionConcurrencyRange: func() (int, int) { // one that is stuck does not count
			stuck := int(v.ifs.Stuck.Load())
			return 1 + stuck, max(1, runtime.GOMAXPROCS(0)/2) + stuck
		},
		Logger:           log,
		LoggerAndTracer:  log,
		EventListener:    v.indexEvents(),
		ReadOnly:         readOnly,
		ErrorIfNotExists: readOnly,
	}
	if readOnly {
		o.FormatMajorVersion = pebble.FormatMinSupported
	}
	o.Experimental.EnableColumnarBlocks = func() bool { return true }
	o.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		p := pebble.ValueSeparationPolicy{
			Enabled: true, MinimumSize: separateFrom, MaxBlobReferenceDepth: 10,
			RewriteMinimumAge: rewriteAge(v.total), TargetGarbageRatio: v.space.garbage(),
		}
		if v.ifs.Stuck.Load() > 0 {
			p.TargetGarbageRatio = 1 // no rewriting: see (*indexFile).ReadAt
		}
		if v.ifs.Opening.Load() { // opening waits for flushes and compactions, which writing and rewriting of values may hold for ever
			p.Enabled, p.TargetGarbageRatio = false, 1
		}
		return p
	}
	o.Experimental.SpanPolicyFunc = pebble.MakeStaticSpanPolicyFunc(bytes.Compare, recordSpan(), // listing reads records alone
		pebble.SpanPolicy{ValueStoragePolicy: pebble.ValueStorageLowReadLatency})
	for i := range o.Levels {
		o.Levels[i].BlockSize = 8 << 10
		o.Levels[i].IndexBlockSize = 64 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		// Names shorten well, but content and digests do not, and both pay for the attempt.
		o.Levels[i].Compression = func() *block.CompressionProfile { return block.NoCompression }
	}
	return o
}

func recordSpan() pebble.KeyRange {
	return pebble.KeyRange{Start: []byte{format.FamRecord}, End: []byte{format.FamRecord + 1}}
}

func (v *volume) indexEvents() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			v.indexErrors.Add(1)
			if v.mp.Err() == nil {
				v.log.Warn("index: flush or compaction failed", "mountpath", v.mp.Path(), "err", err)
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			v.corruptions.Add(1)
			v.log.Error("index: damaged file", "mountpath", v.mp.Path(), "file", i.Path, "err", i.Details)
		},
	}
}

// indexLog takes pebble's messages.
type indexLog struct {
	v   *volume
	log *slog.Logger
}

// fatal is what a fatal message of pebble becomes in a goroutine of ours, which recovers it.
type fatal struct{ msg string }

func (l *indexLog) Infof(format string, args ...any) {
	//nolint:contextcheck // a library's log line belongs to no request
	if l.log.Enabled(nil, slog.LevelDebug) { //nolint:staticcheck // slog ignores the context here
		l.log.Debug("index", "mountpath", l.v.mp.Path(), "msg", fmt.Sprintf(format, args...))
	}
}

func (l *indexLog) Errorf(format string, args ...any) {
	l.log.Warn("index", "mountpath", l.v.mp.Path(), "msg", fmt.Sprintf(format, args...))
}

// Fatalf must not return, or pebble would go on with a broken state; nor may one disk's index end the
// process. It disables the mountpath. Where the caller is ours (opening, committing) it panics and is
// recovered there; a background goroutine of pebble's is parked for good.
func (l *indexLog) Fatalf(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	l.v.mp.Fail(errs.E("store.index", "", "the index gave up: "+msg))
	if l.v.ifs.Opening.Load() && indexfs.CalledBy("pebble/v2.Open") || strings.Contains(msg, "fatal commit error") {
		panic(fatal{msg})
	}
	l.v.ifs.Park()
}

func (l *indexLog) Eventf(context.Context, string, ...any) {}
func (l *indexLog) IsTracingEnabled(context.Context) bool  { return false }

// recoverFatal turns a fatal message of pebble into an error.
func recoverFatal(op string, err *error) {
	switch p := recover().(type) {
	case nil:
	case fatal:
		*err = errs.E(op, "index", errs.Mountpath, p.msg)
	case runtime.Error: // a bug, of ours or not
		panic(p)
	case error: // pebble panics with the error when it cannot rotate its log
		*err = errs.E(op, "index", errs.Mountpath, p)
	case string: // and with words when it meets damage that it did not expect
		*err = errs.E(op, "index", errs.Corrupt, p)
	default:
		panic(p)
	}
}

// openIndex opens pebble and reads the facts kept in it.
func (v *volume) openIndex() (err error) {
	const op = "store.openIndex"
	defer recoverFatal(op, &err)
	v.ifs.Opening.Store(true)
	defer v.ifs.Opening.Store(false)
	o := v.indexOptions(false)
	v.brake = v.ifs.NewBrake(o)
	db, err := pebble.Open(indexDirName, o)
	if err != nil {
		return unopened(v.mp.Path(), err)
	}
	v.db = db
	if err := v.readFacts(); err != nil {
		return unopened(v.mp.Path(), err)
	}
	return nil
}

// unopened is the error of an index that pebble does not open. What the disk refuses is the disk's; else files of the index are damaged or missing:
// that is not wrapped, as a mountpath with files missing is not itself missing. Where pebble gives no kind, as for a table that was cut short, it is
// damage too, or a format that only a newer release knows.
func unopened(mountpath string, err error) error {
	const op = "store.openIndex"
	kind, is := indexKind(err), "damaged"
	switch kind {
	case errs.Corrupt, errs.NotFound:
		kind = errs.Corrupt
	case errs.Other:
		is = "damaged, unless a newer release wrote it"
	default:
		return errs.E(op, mountpath, kind, err)
	}
	what, _, _ := strings.Cut(err.Error(), "\n") // pebble adds whole stacks
	return errs.F(op, mountpath, kind, "the index is %s: %s; while the node is stopped, 'ais advanced store check --mountpath %s' tells how much, and %s makes a new one",
		is, what, mountpath, rebuildWith(mountpath))
}

// rebuildWith is the command that makes a new index.
func rebuildWith(mountpath string) string {
	return "'ais advanced store rebuild-index --mountpath " + mountpath + "'"
}

func indexKind(err error) errs.Kind {
	if pebble.IsCorruptionError(err) {
		return errs.Corrupt
	}
	return errs.KindOf(err)
}

func (v *volume) readFacts() error {
	const op = "store.readFacts"
	val, err := v.getCopy([]byte(format.MetaFormat))
	switch {
	case errs.Is(err, errs.NotFound):
		val = binary.LittleEndian.AppendUint32(nil, indexFormat)
		if err := v.db.Set([]byte(format.MetaFormat), val, pebble.Sync); err != nil {
			return errs.E(op, v.mp.Path(), err)
		}
	case err != nil:
		return err
	case len(val) != 4:
		return errs.E(op, v.mp.Path(), errs.Corrupt, "the index's format is unreadable")
	case binary.LittleEndian.Uint32(val) > indexFormat:
		return errs.F(op, v.mp.Path(), errs.Unsupported, "index format %d is newer than the %d this program knows: use a newer release",
			binary.LittleEndian.Uint32(val), indexFormat)
	}
	val, err = v.getCopy([]byte(format.MetaCounter))
	switch {
	case err == nil && len(val) == 8:
		v.counter = binary.LittleEndian.Uint64(val)
	case err == nil:
		return errs.E(op, v.mp.Path(), errs.Corrupt, "the version counter is unreadable")
	case !errs.Is(err, errs.NotFound):
		return err
	}
	val, err = v.getCopy([]byte(format.MetaEpoch))
	switch {
	case err == nil && len(val) == 8:
		v.epoch = binary.LittleEndian.Uint64(val)
	case err == nil:
		return errs.E(op, v.mp.Path(), errs.Corrupt, "the greatest epoch is unreadable")
	case !errs.Is(err, errs.NotFound):
		return err
	}
	return nil
}

// getCopy returns a private copy of a value; kind NotFound when there is none.
func (v *volume) getCopy(key []byte) ([]byte, error) {
	const op = "store.index"
	if err := v.gate.Enter(); err != nil {
		return nil, err
	}
	defer v.gate.Leave()
	val, closer, err := v.db.Get(key)
	if err == pebble.ErrNotFound { //nolint:errorlint // returned bare, and this is the hottest comparison
		return nil, errs.E(op, "", errs.NotFound)
	}
	if err != nil {
		return nil, errs.E(op, v.mp.Path(), indexKind(err), err)
	}
	c := append([]byte(nil), val...)
	if err := closer.Close(); err != nil {
		return nil, errs.E(op, v.mp.Path(), indexKind(err), err)
	}
	return c, nil
}
