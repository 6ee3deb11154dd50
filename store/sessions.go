package store

import (
	"errors"
	"os"
	"sync"
	"time"

	"aistore/errs"
	"aistore/store/format"
)

// sessions counts the append sessions of the node, which nobody may ever flush, and keeps them within bounds: no more than
// Config.MaxAppends of them, with no more than Config.MaxAppendBytes in all.
type sessions struct {
	most      int
	mostBytes int64

	begun sync.RWMutex // held shared while one is begun
	busy  sync.Map     // sessionID -> nothing: an append or flush is under way; or a channel that is closed when it has moved

	mu    sync.Mutex
	open  map[sessionID]session
	bytes int64
}

// session is what is known of one besides the index.
type session struct {
	size int64
	used time.Time // begun, appended to, or found at the start of the process
}

// init sets the bounds and counts what earlier processes left.
func (a *sessions) init(s *Store) error {
	a.most, a.mostBytes, a.open = s.cfg.MaxAppends, s.cfg.MaxAppendBytes, map[sessionID]session{}
	if a.mostBytes == 0 {
		size := map[uint64]int64{} // of each file system, however many mountpaths share it
		for _, m := range s.Mountpaths() {
			size[m.FS] = m.Capacity.Total
		}
		for _, n := range size {
			a.mostBytes += n / 4
		}
	}
	for _, v := range s.volumes() {
		if v.err() == nil {
			if err := a.load(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin makes room for one more session: kind Busy when there are too many, Full when they hold too much.
func (a *sessions) begin(id sessionID) error {
	const op = "store.begin"
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) >= a.most {
		return errs.F(op, "append", errs.Busy, "%d append sessions are open on this node, which is the most: flush them, or wait until those unused for %v are given up", len(a.open), sessionIdle)
	}
	if a.bytes >= a.mostBytes {
		return a.full(op)
	}
	a.open[id] = session{used: time.Now()}
	return nil
}

func (a *sessions) full(op string) error {
	return errs.F(op, "append", errs.Full, "the append sessions of this node hold %d bytes, the most they may have is %d: flush them, or wait until those unused for %v are given up",
		a.bytes, a.mostBytes, sessionIdle)
}

// resize says that the session's file is about to have so many bytes; kind Full when that is too much.
func (a *sessions) resize(id sessionID, size int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	more := size - a.open[id].size
	if more > 0 && more > a.mostBytes-a.bytes {
		return a.full("store.resize")
	}
	a.bytes += more
	a.open[id] = session{size, time.Now()}
	return nil
}

func (a *sessions) end(id sessionID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes -= a.open[id].size
	delete(a.open, id)
}

// idle reports whether the session was last used before then.
func (a *sessions) idle(id sessionID, then time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open[id].used.Before(then)
}

// Appends tells how many append sessions are open, and how many bytes they hold.
func (s *Store) Appends() (open int, bytes int64) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return len(s.sessions.open), s.sessions.bytes
}

// load counts the sessions that earlier processes left.
func (a *sessions) load(v *volume) error {
	return eachSession(v, func(id sessionID, _ []byte) error {
		var size int64
		fi, err := v.mp.Stat(id.file())
		if err == nil {
			size = max(fi.Size()-format.BlobHeaderSize, 0)
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.bytes += size - a.open[id].size // it may be known: its mountpath was away
		a.open[id] = session{size, time.Now()}
		return nil
	})
}

// eachSession goes over the sessions that the volume's index remembers.
func eachSession(v *volume, do func(id sessionID, val []byte) error) error {
	c, err := v.newCursor([]byte{format.FamAppend}, []byte{format.FamAppend + 1})
	if err != nil {
		return err
	}
	for ok := c.it.First(); ok; ok = c.it.Next() {
		val, err := c.it.ValueAndErr()
		var id sessionID
		if err == nil && copy(id[:], c.it.Key()[1:]) == len(id) {
			err = do(id, val)
		}
		if err != nil {
			return errors.Join(err, c.close())
		}
	}
	return errors.Join(c.it.Error(), c.close())
}
