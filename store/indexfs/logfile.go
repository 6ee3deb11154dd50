package indexfs

import (
	"errors"
	"syscall"
	"time"

	"aistore/fs"
)

// logFile is a write-ahead log that is being written.
//
// Pebble hands over every batch by itself and syncs when somebody waits. Here batches are gathered until then, and one call
// writes them past the page cache and makes them durable: a third of the CPU time of as many writes and an fdatasync. Such a
// write is of whole blocks, so what follows the last batch is zeros, which end a log, and the last block is written again
// with what comes next. A log that grows makes the file system change its metadata at each sync, so it grows in larger steps,
// with zeros ahead of the batches. Pebble uses most logs again, where that is not needed.
//
// Writers of class volatile are promised the page cache: what only they wait for goes there. What is not yet durable then is made so
// by an fdatasync first, and a file system that cannot write through it gets nothing else.
type logFile struct {
	*indexFile
	number uint64

	buf     []byte // from base on; aligned
	base    int64  // a multiple of fs.Block
	end     int64  // of the log
	cached  int64  // up to here the kernel has it, durable or not
	dirty   bool   // what the kernel has was not all synced
	covered int64  // up to here the file has been written some time
	plain   bool   // cannot write through
	tight   bool   // the disk was full: no zeros ahead
}

const (
	logBufferMin = 64 << 10
	logBufferMax = 1 << 20  // more is written before anybody asks for a sync
	coverMin     = 64 << 10 // zeros ahead: as long as the log is, within these bounds
	coverMax     = 512 << 10
)

func (x *FS) newLogFile(f *indexFile, number uint64) *logFile {
	l := &logFile{indexFile: f, number: number}
	if fi, err := f.f.Stat(); err == nil {
		l.covered = fi.Size() // used before
	}
	return l
}

// Write gathers. It fails the mountpath when the disk does, and reports no error: pebble could not go on.
func (l *logFile) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		at := int(l.end - l.base)
		if at == logBufferMax {
			l.spill()
			continue
		}
		if at == len(l.buf) {
			l.grow(at + len(rest))
		}
		n := copy(l.buf[at:], rest)
		l.end += int64(n)
		rest = rest[n:]
	}
	return len(p), nil
}

func (l *logFile) WriteAt([]byte, int64) (int, error) { return 0, syscall.EINVAL }

func (l *logFile) grow(need int) {
	size := max(len(l.buf), logBufferMin)
	for size < need && size < logBufferMax {
		size *= 2
	}
	buf := fs.Aligned(size)
	copy(buf, l.buf)
	l.buf = buf
}

func (l *logFile) fail(err error) {
	if err != nil {
		l.x.mp.Fail(err)
	}
}

// spill makes room.
func (l *logFile) spill() {
	if l.x.onlyVolatile() {
		l.fail(l.hand())
	} else {
		l.fail(l.store())
	}
}

func (l *logFile) Sync() error { return l.SyncData() }

// SyncData makes durable what was written, unless only writers of class volatile wait. It reports no error, as Write does.
func (l *logFile) SyncData() error {
	if l.x.onlyVolatile() {
		l.fail(l.hand())
		return nil
	}
	waiting, _ := l.x.owner.Waiting()
	began := time.Now()
	err := l.store()
	l.x.owner.Synced(waiting, time.Since(began))
	if err == nil {
		err = fs.Named(l.f, l.name)
	}
	if err != nil {
		l.fail(err)
		return nil
	}
	l.synced()
	return nil
}

// synced tells that all that was written is durable.
func (l *logFile) synced() {
	l.x.synced.Store(packMark(l.number, l.end))
	l.x.Note.set(l.name, l.number, l.end)
}

// store makes durable what was written.
func (l *logFile) store() error {
	if l.x.frozen() {
		l.drop()
		return nil
	}
	if l.cached == l.end && !l.dirty {
		return nil
	}
	if !l.plain && !l.dirty {
		err := l.x.room(l.through)
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		l.plain = true
	}
	if err := l.hand(); err != nil {
		return err
	}
	if err := l.f.Sync(); err != nil {
		return err
	}
	l.dirty = false
	return nil
}

// through writes what is gathered, in whole blocks.
func (l *logFile) through() error {
	n := int(l.end - l.base)
	size := (n + fs.Block - 1) / fs.Block * fs.Block
	ahead := int(min(max(l.covered/fs.Block*fs.Block, coverMin), coverMax))
	if l.tight || n > coverMin || l.base+int64(size) <= l.covered {
		ahead = 0
	}
	if size+ahead > len(l.buf) {
		l.grow(size + ahead)
	}
	clear(l.buf[n : size+ahead])
	err := l.f.WriteThrough(l.buf[:size+ahead], l.base)
	if ahead > 0 && full(err) {
		l.tight, ahead = true, 0
		err = l.f.WriteThrough(l.buf[:size], l.base)
	}
	if err != nil {
		l.keep()
		return err
	}
	l.covered = max(l.covered, l.base+int64(size+ahead))
	l.cached = l.end
	l.drop()
	return nil
}

// hand gives the kernel what it does not have yet.
func (l *logFile) hand() error {
	if l.x.frozen() {
		l.drop()
		return nil
	}
	if l.cached == l.end {
		return nil
	}
	err := l.x.room(func() error {
		n, err := l.f.WriteAt(l.buf[l.cached-l.base:l.end-l.base], l.cached)
		l.cached += int64(n)
		l.dirty = l.dirty || n > 0
		if err != nil {
			l.keep()
		}
		return err
	})
	if err == nil {
		l.covered = max(l.covered, l.end)
		l.drop()
	}
	return err
}

// keep leaves the bytes alone that were to be written when the mountpath failed: a disk that hung may yet take them, over what is
// acknowledged of the last block.
func (l *logFile) keep() {
	if l.x.frozen() {
		buf := fs.Aligned(len(l.buf))
		copy(buf, l.buf)
		l.buf = buf
	}
}

// drop forgets what is on the disk, but for the last block.
func (l *logFile) drop() {
	keep := l.end % fs.Block
	if at := l.end - l.base - keep; at > 0 {
		copy(l.buf, l.buf[at:at+keep])
		l.base += at
	}
}

// Close makes durable what is not: pebble takes every log but the last to be whole. The next log's marks tell of this one.
func (l *logFile) Close() error {
	err := l.store()
	l.fail(err)
	if err == nil && l.end > 0 {
		l.synced()
	}
	return l.indexFile.Close()
}
