package fs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"aistore/errs"
)

// health is what is known of a disk besides whether it failed.
type health struct {
	mu    sync.Mutex
	probe File
	began time.Time // of the probe under way; zero = none is
	bad   map[string]bool
	slow  string

	pace pace
}

// badFiles is how many files may turn out unreadable before the whole disk counts as broken: one bad sector costs what is in it,
// and taking the disk away would cost everything on it.
const badFiles = 3

// badRead takes note of a file that the disk could not give.
func (m *Mountpath) badRead(name string, err error) {
	if !errors.Is(err, syscall.EIO) || errs.Is(err, errs.Mountpath) { // the latter speaks of the disk, not of the file
		return
	}
	h := &m.health
	h.mu.Lock()
	if h.bad == nil {
		h.bad = map[string]bool{}
	}
	first := !h.bad[name]
	if len(h.bad) < badFiles {
		h.bad[name] = true
	}
	broken := len(h.bad) >= badFiles
	h.mu.Unlock()
	if first {
		m.log.Error("a file cannot be read", "mountpath", m.path, "file", name, "err", err)
	}
	if broken {
		m.Fail(fmt.Errorf("%d files cannot be read: %w", badFiles, err))
	}
}

func (h *health) report() (slow string, badReads int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.slow, len(h.bad)
}

func (h *health) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.probe != nil {
		_ = h.probe.Close() // what is in it means nothing
		h.probe = nil
	}
}

// Probe looks whether the mountpath is still the directory that was opened and takes what is written, and fails it if not. It
// writes and syncs one block over itself, so it also works on a full disk. It may take as long as the disk does. care is called when all is
// well, and is part of it: the disk may hang in that, too.
func (m *Mountpath) Probe(care func()) error {
	if err := m.Err(); err != nil {
		return err
	}
	m.health.mu.Lock()
	busy := !m.health.began.IsZero()
	if !busy {
		m.health.began = clock()
	}
	m.health.mu.Unlock()
	if busy {
		return nil
	}
	m.calls.begin() // it reads, too: who takes the mountpath back would wait for the same disk
	defer m.calls.end()
	defer func() {
		m.health.mu.Lock()
		m.health.began = time.Time{}
		m.health.mu.Unlock()
	}()
	if err := m.Check(); err != nil {
		return err
	}
	if err := m.touch(); err != nil && !full(err) && !starved(err) {
		m.Fail(err)
	}
	if m.Err() == nil {
		care()
	}
	return m.Err()
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// starved reports whether a call failed because the process or the machine has no more descriptors or memory, which says nothing of the disk.
func starved(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// touch writes the probe.
func (m *Mountpath) touch() error {
	h := &m.health
	h.mu.Lock()
	f := h.probe
	h.mu.Unlock()
	if f == nil {
		var err error
		if f, err = m.OpenFile(ProbeName, os.O_RDWR|os.O_CREATE); err != nil {
			return err
		}
		h.mu.Lock()
		h.probe = f
		h.mu.Unlock()
	}
	return writeProbe(m, f)
}

// writeProbe writes one block over itself.
func writeProbe(m *Mountpath, f File) error {
	var b [Block]byte
	copy(b[:], m.ID())
	if _, err := f.WriteAt(b[:], 0); err != nil {
		return err
	}
	return f.Sync()
}

// Stuck is how long the probe under way has been without an answer.
func (m *Mountpath) Stuck() time.Duration {
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	if m.health.began.IsZero() {
		return 0
	}
	return clock().Sub(m.health.began)
}

// Slowness says when a disk counts as slow.
type Slowness struct {
	Factor int           // so many times its own usual latency, and the median of the other disks; 0 = never
	Floor  time.Duration // and above this
	Turns  int           // for so many looks in a row
}

// WithDefaults fills what is zero, but for Factor.
func (s Slowness) WithDefaults() Slowness {
	if s.Floor == 0 {
		s.Floor = 20 * time.Millisecond
	}
	if s.Turns == 0 {
		s.Turns = 3
	}
	return s
}

// pace is the history of a disk's latency.
type pace struct {
	last  Counters
	usual time.Duration // long mean of those looks in which it was not slow
	now   time.Duration // mean latency of a call since the last look; 0 = none was made
	over  int           // looks in a row in which it was too slow
	stuck bool          // a call made for the last look has not come back
}

// look takes the counters as of now.
func (p *pace) look(c Counters, stuck time.Duration) {
	calls := c.Reads + c.Writes + c.Syncs - p.last.Reads - p.last.Writes - p.last.Syncs
	nanos := c.ReadNanos + c.WriteNanos + c.SyncNanos - p.last.ReadNanos - p.last.WriteNanos - p.last.SyncNanos
	p.last, p.now = c, 0
	if calls > 0 {
		p.now = time.Duration(nanos / calls)
	}
	p.now, p.stuck = max(p.now, stuck), stuck > 0
}

// judge decides whether a disk is slow among others, whose latencies these are.
func (p *pace) judge(others []time.Duration, s Slowness) bool {
	limit := max(s.Floor, time.Duration(s.Factor)*p.usual)
	if len(others) > 0 {
		slices.Sort(others)
		limit = max(limit, time.Duration(s.Factor)*others[len(others)/2])
	}
	if s.Factor > 0 && p.now > limit && (p.usual > 0 || p.stuck) {
		if p.over++; p.stuck {
			p.over = max(p.over, s.Turns) // seconds for one block are no chance
		}
	} else {
		p.over = 0
		if p.now > 0 && !p.stuck { // how long it will have taken is not known yet
			if p.usual == 0 {
				p.usual = p.now
			}
			p.usual += (p.now - p.usual) / 16
		}
	}
	return p.over >= s.Turns
}

// JudgePace compares the latency of the disks with what each had before and with that of the others, and returns those that have
// become slow by this look.
func JudgePace(mps []*Mountpath, s Slowness) (slow []*Mountpath) {
	s = s.WithDefaults()
	var usable []*Mountpath
	for _, m := range mps {
		if m.Err() == nil {
			m.health.pace.look(m.counted(), m.Stuck())
			usable = append(usable, m)
		}
	}
	for _, m := range usable {
		var others []time.Duration
		for _, o := range usable {
			if o != m && o.health.pace.now > 0 {
				others = append(others, o.health.pace.now)
			}
		}
		is := m.health.pace.judge(others, s)
		m.health.mu.Lock()
		was := m.health.slow != ""
		m.health.slow = ""
		if is {
			m.health.slow = fmt.Sprintf("calls take %v, usually %v", m.health.pace.now.Round(time.Microsecond), m.health.pace.usual.Round(time.Microsecond))
		}
		how := m.health.slow
		m.health.mu.Unlock()
		switch {
		case is && !was:
			m.log.Warn("slow disk", "mountpath", m.path, "how", how)
			slow = append(slow, m)
		case !is && was:
			m.log.Info("the disk is no longer slow", "mountpath", m.path)
		}
	}
	return slow
}
