package store

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"aistore/errs"
	"aistore/fs"
)

// space decides whether a volume still takes writes. Below the low mark it refuses them, so that the
// index, reads and deletes keep room to work. As a last resort a reserve file is given back, when
// others filled the disk so far that the index itself cannot write.
type space struct {
	mp      *fs.Mountpath
	log     *slog.Logger
	low     int64 // free bytes below which writes are refused
	reserve int64 // size of the reserve file

	budget atomic.Int64 // bytes that may be written before looking at the disk again
	full   atomic.Bool
	scarce atomic.Bool // so little is left that what is deleted should make room soon, and enough to write tables anew for it

	mu    sync.Mutex
	given atomic.Uint64 // counts how often the reserve was given back
	have  bool          // the reserve file exists
}

func (s *space) init(mp *fs.Mountpath, log *slog.Logger, total int64) {
	s.mp, s.log = mp, log
	s.bounds(total)
}

// resize reads the size of the disk anew.
func (s *space) resize() {
	c, err := s.mp.Statfs()
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bounds(c.Total)
	s.budget.Store(0)
}

func (s *space) bounds(total int64) {
	s.low = min(max(total/16, 8*int64(memTableSize(total))), 1<<30)
	s.reserve = s.low / 4
}

// recheck bounds what is written between two looks at the disk.
const recheck = 64 << 20

// keptInodes is how many inodes are kept for the index, which needs them for its log and tables: blobs can use up those of a file system
// that was made for larger files, long before its bytes.
func keptInodes(c fs.Capacity) int64 { return min(max(c.Inodes/16, 64), 1024) }

// fewInodes reports whether no more files fit.
func fewInodes(c fs.Capacity) bool { return c.Inodes > 0 && c.FreeInodes <= keptInodes(c) }

// admit asks for room for n more bytes; kind Full when there is none.
func (s *space) admit(n int64) error {
	if s.budget.Add(-n) >= 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.mp.Statfs()
	if err != nil {
		return errs.E("store.admit", s.mp.Path(), err)
	}
	room := c.Free - s.low
	if room < n {
		s.full.Store(true)
		s.budget.Store(0)
		return errs.F("store.admit", s.mp.Path(), errs.Full, "the disk has %d bytes left, of which %d are kept for deletes", max(c.Free, 0), s.low)
	}
	if fewInodes(c) {
		s.full.Store(true)
		s.budget.Store(0)
		return errs.F("store.admit", s.mp.Path(), errs.Full, "the file system has %d inodes left of %d, of which %d are kept for deletes: delete objects, or make it anew for files of this size (mkfs -T, -N)",
			c.FreeInodes, c.Inodes, keptInodes(c))
	}
	s.full.Store(false)
	budget := min(room/4, recheck)
	if c.Inodes > 0 { // a blob asks for a chunk at least
		budget = min(budget, (c.FreeInodes-keptInodes(c))*chunkSize/4)
	}
	s.budget.Store(budget - n)
	return nil
}

// giveReserve frees the reserve. seen is what given said before the call that found the disk full: when
// someone else gave the reserve since, it is worth trying again.
func (s *space) giveReserve(seen uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full.Store(true)
	s.budget.Store(0)
	if s.given.Load() != seen {
		return true
	}
	if !s.have {
		return false
	}
	if err := s.mp.Remove(fs.ReserveName); err != nil && !errors.Is(err, os.ErrNotExist) { // else a document took its room
		return false
	}
	s.have = false
	s.given.Add(1)
	s.log.Warn("disk full: the reserve is given to the index", "mountpath", s.mp.Path(), "bytes", s.reserve)
	return true
}

// look says whether the disk is full although nobody writes to it, or is not any more.
func (s *space) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.mp.Statfs()
	if err != nil {
		return
	}
	s.scarce.Store(c.Free <= 2*s.low && c.Free >= s.low/2)
	if c.Free <= s.low || fewInodes(c) {
		s.full.Store(true)
		s.budget.Store(0) // the next write asks
	} else if s.full.Load() {
		s.full.Store(false)
	}
}

// keepReserve makes the reserve file when there is room for it.
func (s *space) keepReserve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.mp.Stat(fs.ReserveName); s.have && !errors.Is(err, os.ErrNotExist) { // a document may have taken its room
		return
	}
	s.have = false
	c, err := s.mp.Statfs()
	if err != nil || c.Free < s.low+s.reserve {
		if _, err := s.mp.Stat(fs.ReserveName); err == nil {
			s.have = true // from before
		}
		return
	}
	f, err := s.mp.OpenFile(fs.ReserveName, os.O_RDWR|os.O_CREATE)
	if err == nil {
		err = f.Allocate(0, s.reserve)
		err = errors.Join(err, f.Close())
	}
	s.have = err == nil
}
