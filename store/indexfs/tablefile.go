package indexfs

import (
	"errors"
	"sync"
)

// tableFile is a table or value file that is being written. Pebble writes block by block, which for values of some KiB is a call to
// the kernel for each; here they are gathered first. It reads such a file only after it has synced it.
type tableFile struct {
	*indexFile
	buf []byte
}

const tableBuffer = 64 << 10

// openTables are the files that are being written. Pebble 2.1 forgets that of values when it cannot go on with the table beside it.
type openTables struct {
	mu sync.Mutex
	of map[*tableFile]bool
}

func (x *FS) newTable(f *indexFile) *tableFile {
	t := &tableFile{indexFile: f}
	x.tables.mu.Lock()
	defer x.tables.mu.Unlock()
	if x.tables.of == nil {
		x.tables.of = map[*tableFile]bool{}
	}
	x.tables.of[t] = true
	return t
}

// CloseForgotten closes the files that pebble has left open. Call it when the database is closed.
func (x *FS) CloseForgotten() {
	x.tables.mu.Lock()
	defer x.tables.mu.Unlock()
	for t := range x.tables.of {
		_ = t.f.Close() // nothing names it
	}
	clear(x.tables.of)
}

func (t *tableFile) Write(p []byte) (int, error) {
	if len(t.buf)+len(p) > tableBuffer {
		if err := t.last(t.spill, true); err != nil {
			return 0, err
		}
		if len(p) > tableBuffer/2 {
			return t.indexFile.Write(p)
		}
	}
	if t.buf == nil {
		t.buf = make([]byte, 0, tableBuffer)
	}
	t.buf = append(t.buf, p...)
	return len(p), nil
}

// spill writes what was gathered. What finds no room is kept.
func (t *tableFile) spill() error {
	if len(t.buf) == 0 {
		return nil
	}
	n, err := t.indexFile.Write(t.buf)
	t.buf = t.buf[:copy(t.buf, t.buf[n:])]
	return err
}

func (t *tableFile) WriteAt(p []byte, off int64) (int, error) {
	if err := t.spill(); err != nil {
		return 0, err
	}
	return t.indexFile.WriteAt(p, off)
}

func (t *tableFile) Sync() error { return t.SyncData() }

func (t *tableFile) SyncData() error {
	if err := t.last(t.spill, true); err != nil {
		return err
	}
	return t.last(t.indexFile.SyncData, false)
}

func (t *tableFile) Close() error {
	t.x.tables.mu.Lock()
	delete(t.x.tables.of, t)
	t.x.tables.mu.Unlock()
	return t.last(func() error { return errors.Join(t.spill(), t.indexFile.Close()) }, false)
}

// last runs a step of f, after which pebble may want to hear of no error: it takes the process down when a value file cannot be finished,
// because it aborts then what it has closed. Such a step waits while the disk is full, if it may be tried again; what fails otherwise
// fails the mountpath, on which nothing that pebble believes from then on is written.
func (t *tableFile) last(f func() error, again bool) error {
	err := f()
	if err == nil || !valueFile(t.name) || !CalledBy("(*fileBufferedWritable).Finish") {
		return err
	}
	for again && full(err) && !t.x.frozen() && !t.x.released() {
		t.x.awaitRoom()
		err = f()
	}
	if err != nil {
		t.x.mp.Fail(err)
	}
	return nil
}
