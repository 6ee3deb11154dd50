package statedir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"aistore/errs"
	"aistore/internal/durable"
)

// Store is raft's log and its vote on disk, every write synced. The first write that fails is the last
// one tried: after a failed fsync the kernel may report success for pages that it dropped.
type Store struct {
	*raftboltdb.BoltStore

	Failed chan struct{} // closed when a write has failed
	Stall  func()        // called by every write; tests let it hang

	mu     sync.Mutex
	broken error
	writes uint64
	under  atomic.Uint64 // number of the write under way; 0 = none
}

// logReserve is the disk space that the log takes from the beginning. The data beside it may fill the disk;
// a primary that can write no vote and no entry any more would take reading down with it. It must not be more
// than bbolt's allocation step, or bbolt cuts the file.
const logReserve = bbolt.DefaultAllocSize

func logFile(dir string) string { return filepath.Join(dir, "log.db") }

// makeStore creates the files of a log.
func makeStore(dir string) error {
	const op = "statedir.makeStore"
	b, err := raftboltdb.New(raftboltdb.Options{Path: logFile(dir)})
	if err != nil {
		return errs.E(op, dir, err)
	}
	if err := b.Close(); err != nil {
		return errs.E(op, dir, err)
	}
	f, err := os.OpenFile(logFile(dir), os.O_RDWR, 0)
	if err != nil {
		return errs.E(op, dir, err)
	}
	err = durable.Reserve(f, logReserve)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = durable.SyncDir(dir)
	}
	if err != nil {
		return errs.E(op, dir, err)
	}
	return nil
}

// OpenStore opens the log in DIR/raft, which must be there: the library would make an empty one, and a voter forget its promises.
func OpenStore(dir string) (*Store, error) {
	b, err := openLog(dir, &bbolt.Options{
		NoFreelistSync: true, // rebuilt when opened: one page less to sync per write
		FreelistType:   bbolt.FreelistMapType,
	})
	if err != nil {
		return nil, err
	}
	return &Store{BoltStore: b, Failed: make(chan struct{})}, nil
}

// openLog opens a log that was made. Kind Conflict when another process has it, Corrupt when it is none any more.
func openLog(dir string, o *bbolt.Options) (*raftboltdb.BoltStore, error) {
	const op = "statedir.openLog"
	damaged := func(why error) error {
		return errs.F(op, dir, errs.Corrupt,
			"the replicated log is damaged: %w; if the other nodes of the cluster run, move this directory aside and the node gets what they have; else restore it from a backup", why)
	}
	switch info, err := os.Stat(logFile(dir)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, damaged(err)
	case err != nil:
		return nil, errs.E(op, dir, err)
	case info.Size() < 2*int64(os.Getpagesize()): // both its heads
		return nil, damaged(fmt.Errorf("%s has %d bytes", logFile(dir), info.Size()))
	}
	o.Timeout = 2 * time.Second // for the lock of another process on the same directory
	err := guarded(func() error { return readThrough(logFile(dir), o.Timeout) })
	var b *raftboltdb.BoltStore
	if err == nil {
		b, err = raftboltdb.New(raftboltdb.Options{Path: logFile(dir), BoltOptions: o, MsgpackUseNewTimeFormat: true})
	}
	switch {
	case errs.Is(err, errs.Corrupt):
		return nil, damaged(err)
	case errors.Is(err, bbolt.ErrTimeout):
		return nil, errs.E(op, dir, errs.Conflict, "is in use by another process")
	case errors.Is(err, bbolt.ErrInvalid) || errors.Is(err, bbolt.ErrChecksum) || errors.Is(err, bbolt.ErrVersionMismatch):
		return nil, damaged(err)
	case err != nil:
		return nil, errs.E(op, dir, err)
	}
	return b, nil
}

// readThrough reads all that is in a file of bbolt, which ends the process when it is opened for writing and a page is not what it should be.
func readThrough(path string, patience time.Duration) (err error) {
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: patience})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }() // also in a panic: the lock would stay
	var copied []byte
	return db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			var last []byte
			return b.ForEach(func(k, v []byte) error {
				if last != nil && bytes.Compare(k, last) <= 0 {
					return errs.F("statedir.readThrough", path, errs.Corrupt, "in %s, key %x follows %x", name, k, last)
				}
				last = k
				copied = append(copied[:0], v...) // a value goes over several pages
				return nil
			})
		})
	})
}

// guarded calls f, which reads with libraries that panic at what they do not understand, and makes that an error of kind Corrupt. It makes
// one of a fault of memory, too: a page behind the end of a file that was cut.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = errs.F("statedir.guarded", "the replicated log", errs.Corrupt, "%v", p)
		}
	}()
	return f()
}

// write runs f unless an earlier write failed.
func (s *Store) write(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	s.writes++
	s.under.Store(s.writes)
	defer s.under.Store(0)
	if s.Stall != nil {
		s.Stall()
	}
	if err := f(); err != nil {
		s.broken = errs.E("statedir.Store", "replicated log", errs.Mountpath, err)
		close(s.Failed)
		return s.broken
	}
	return nil
}

// Err returns why the store is broken, nil if it is not.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// Writing returns the number of the write under way, 0 if there is none.
func (s *Store) Writing() uint64 { return s.under.Load() }

// StoreLog implements raft.LogStore.
func (s *Store) StoreLog(l *raft.Log) error {
	return s.write(func() error { return s.BoltStore.StoreLog(l) })
}

// StoreLogs implements raft.LogStore.
func (s *Store) StoreLogs(ls []*raft.Log) error {
	return s.write(func() error { return s.BoltStore.StoreLogs(ls) })
}

// DeleteRange implements raft.LogStore.
func (s *Store) DeleteRange(lo, hi uint64) error {
	return s.write(func() error { return s.BoltStore.DeleteRange(lo, hi) })
}

// Set implements raft.StableStore.
func (s *Store) Set(k, v []byte) error {
	return s.write(func() error { return s.BoltStore.Set(k, v) })
}

// SetUint64 implements raft.StableStore.
func (s *Store) SetUint64(k []byte, v uint64) error {
	return s.write(func() error { return s.BoltStore.SetUint64(k, v) })
}
