package fs

import (
	"errors"
	"slices"
	"sync"

	"aistore/errs"
)

// Every process of a node has an id, its start. It is written, durably, into the marker of each mountpath that is in use, behind the starts
// that the mountpath knows of, before anybody hears of the process (OpenSet); once the start is accepted it stands there alone (Accept). So
// a mountpath that does not know of the start that was accepted last is a copy of an earlier time. Counting would not do: such a copy counts the
// starts that were tried with it, too. docs/design/ownership.md, rule 11.

const (
	// unused comes first in the starts of a mountpath on which nothing was written yet.
	unused = "unused"
	// anyStart is the Boot of a member that went out of service before starts were noted.
	anyStart = "any"
	// startsKept bounds the list. When it is full, which takes as many starts none of which came to know that it was accepted, the last of them is taken for
	// this start, too: only what was copied since then cannot be told from the disk itself.
	startsKept = 64
)

const oldCopy = "holds what it had at an earlier time: put the disk back that was here, or empty the directory to use it anew"

// start is this process, as all sets that follow from one another know it.
type start struct {
	mu       sync.Mutex
	id       string // "" = none is noted
	accepted bool
}

// starts is what a set does about them.
type starts struct{ *Set }

func (t *start) get() (id string, accepted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.id, t.accepted
}

// Boot returns the id of this start.
func (s *Set) Boot() string { id, _ := s.start.get(); return id }

// begin writes this start into the markers of those that are about to be used. One that was out of service is as good as the others if it
// knows of the start with which it went, and is told what they know.
func (s starts) begin() {
	boot := s.Boot()
	if boot == "" {
		return
	}
	var used []*Mountpath
	var known []string // of those that need not be trusted: whatever there is among them was before now
	for _, m := range s.mps {
		if m.Err() != nil {
			continue
		}
		m.found = slices.Clone(m.marker.Starts)
		as, out := s.rec.out(m.ID())
		if out && as.Standing == SetAside || !m.returns(as) {
			continue
		}
		used = append(used, m)
		if len(m.found) >= startsKept {
			boot = m.found[len(m.found)-1]
		}
		if !m.trusted && !m.unused() {
			known = with(known, m.found...)
		}
	}
	s.start.mu.Lock()
	s.start.id = boot
	s.start.mu.Unlock()
	slices.SortStableFunc(used, func(a, b *Mountpath) int { // so that the others know of every start that one without content knows of: knows
		return boolOrder(a.unused(), b.unused())
	})
	for _, m := range used {
		list := slices.Clone(m.found)
		if m.trusted {
			list = with(list, known...)
		}
		var err error
		if m.recorded < s.rec.Version { // first: who knows of a start has a record as of then, so that it says who was not there
			err = putDoc(m, SetName, s.rec)
		}
		if err == nil {
			err = m.noteStarts(with(list, boot))
		}
		if err != nil {
			m.Fail(err)
		}
	}
}

// returns looks at a mountpath that was out of service, and fails it if it is not as it went.
func (m *Mountpath) returns(as Member) bool {
	if as.Standing != Failed && as.Standing != SetAside || as.Boot == "" || m.unused() {
		return true
	}
	if m.trusted = as.Boot == anyStart || slices.Contains(m.found, as.Boot); !m.trusted {
		m.copied = true
		m.Fail(errors.New(oldCopy))
	}
	return m.trusted
}

// Used reports whether a start of the node was accepted with m before: what it had then is to be there.
func Used(m *Mountpath) bool { return len(m.found) > 0 && !m.unused() }

// Unused reports whether nothing was written on a mountpath yet, also when it was made by an attempt that failed.
func Unused(m *Mountpath) bool { return m.fresh || m.unused() }

// unused reports whether nothing was written to m when it was found.
func (m *Mountpath) unused() bool { return len(m.found) > 0 && m.found[0] == unused }

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// with adds what is not there yet.
func with(list []string, ids ...string) []string {
	for _, id := range ids {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// noteStarts replaces the starts in the marker.
func (m *Mountpath) noteStarts(list []string) error {
	m.bindMu.Lock()
	defer m.bindMu.Unlock()
	mk := m.marker
	mk.Starts = list
	if slices.Equal(m.marker.Starts, list) {
		return nil
	}
	if err := putDoc(m, MarkerName, mk); err != nil {
		return err
	}
	m.marker.Starts = list
	return nil
}

// note writes this start into the marker of a mountpath that comes while the process runs.
func (s starts) note(m *Mountpath) error {
	id, accepted := s.start.get()
	if id == "" {
		return nil
	}
	list := m.Marker().Starts
	if accepted && len(list) > 0 && list[0] == unused {
		list = nil // from now on it is not
	}
	if err := m.noteStarts(with(slices.Clone(list), id)); err != nil {
		return err
	}
	if accepted {
		m.found, m.trusted = m.Marker().Starts, false
	}
	return nil
}

// inUse reports whether m is read.
func (s starts) inUse(m *Mountpath) bool {
	as, out := s.rec.out(m.ID())
	return m.Err() == nil && (!out || as.Standing == Leaving)
}

// Judge tells which of the mountpaths in use do not know of the start that was accepted last ("" = none ever was): what they hold is of an earlier
// time, and not to be served. Those out of service are noted to have been there with it. It returns the set that follows, which may be s.
func (s *Set) Judge(last string) (next *Set, old []string, err error) {
	if _, accepted := s.start.get(); accepted { // what was accepted before is asked about too late
		return s, nil, nil
	}
	for _, m := range s.mps {
		if (starts{s}).inUse(m) && last != "" && !(starts{s}).knows(m, last) {
			old = append(old, m.path)
		}
	}
	if err := (starts{s}).oneIsThere(last); err != nil {
		return s, nil, err
	}
	if len(old) > 0 {
		slices.Sort(old)
		return s, old, nil
	}
	if last == "" {
		last = anyStart
	}
	next, err = (starts{s}).awaySince("fs.Set.Judge", last)
	return next, nil, err
}

// oneIsThere is nil if what does not know of the last start may be taken for old or new: a mountpath that knows better is here, or none is missing.
func (s starts) oneIsThere(last string) error {
	if last == "" {
		return nil
	}
	var missing error
	for _, m := range s.mps {
		switch as, out := s.rec.out(m.ID()); {
		case s.inUse(m) && slices.Contains(m.found, last):
			return nil
		case m.Err() != nil && !m.copied && !(out && as.Standing == SetAside):
			missing = errs.F("fs.Set.Judge", m.path, errs.Mountpath,
				"is missing, and the other disks do not know of this node's last start: mount it; if it is lost, remove the node from the cluster map and start it again, as a new one")
		}
	}
	return missing
}

// knows reports whether m is as it was when the start last was accepted. One without content may have come since, if the others know of the starts
// that were tried with it; a copy of the time when it had none yet may not.
func (s starts) knows(m *Mountpath, last string) bool {
	if slices.Contains(m.found, last) {
		return true
	}
	if !m.unused() && !m.trusted {
		return false
	}
	for _, o := range s.mps {
		if !s.inUse(o) || !slices.Contains(o.found, last) {
			continue
		}
		if m.trusted {
			return true // by the record of who knows
		}
		if slices.ContainsFunc(m.found[1:], func(id string) bool { return !slices.Contains(o.found, id) }) {
			return false
		}
	}
	return m.unused()
}

// awaySince notes what those out of service must know when they return, if that is not known yet.
func (s starts) awaySince(op, boot string) (*Set, error) {
	n := s.after()
	changed := false
	for i := range n.rec.Others {
		if o := &n.rec.Others[i]; o.Standing != Leaving && o.Boot == "" {
			o.Boot, changed = boot, true
		}
	}
	if !changed {
		return s.Set, nil
	}
	return n.commit(op)
}

// wentWith is the start that a mountpath knows of which goes out of service now; "" if that is not known yet.
func (s starts) wentWith(m *Mountpath) string {
	if was, out := s.rec.out(m.ID()); out && was.Boot != "" {
		return was.Boot
	}
	if id, accepted := s.start.get(); accepted {
		return id
	}
	return ""
}

// Accept makes this start the only one that the mountpaths know of. It returns the set that follows, which may be s.
func (s *Set) Accept() (*Set, error) {
	const op = "fs.Set.Accept"
	boot := s.Boot()
	if boot == "" {
		return s, nil
	}
	for _, m := range s.mps {
		if !(starts{s}).inUse(m) {
			continue
		}
		if err := m.noteStarts([]string{boot}); err != nil {
			m.Fail(errs.E(op, m.path, err))
			continue
		}
		m.found, m.trusted = []string{boot}, false
	}
	s.start.mu.Lock()
	s.start.accepted = true
	s.start.mu.Unlock()
	return (starts{s}).awaySince(op, boot)
}

// Known says whether a mountpath whose content is taken away is known to be the one that was here last.
type Known uint8

// The answers.
const (
	OldCopy Known = iota
	Own           // it goes on to vouch for the node's last start: another disk may be missing
)

// Forget makes a mountpath of a stopped node, whose content was taken away, one on which nothing was written yet.
func (m *Mountpath) Forget(k Known) error {
	starts := []string{unused}
	if k == Own {
		starts = with(starts, m.Marker().Starts...)
	}
	return m.noteStarts(starts)
}
