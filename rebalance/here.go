package rebalance

import (
	"fmt"
	"slices"
	"sync/atomic"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// here is what of this node keeps keys from moving in a pass.
type here struct {
	unread  atomic.Bool // a mountpath of this node could not be read
	damaged atomic.Bool // a key of this node could not, by itself
}

// begin prepares the next pass.
func (h *here) begin() {
	h.unread.Store(false)
	h.damaged.Store(false)
}

// any reports whether something of this node keeps keys from moving. Nobody tells when that has changed.
func (h *here) any() bool { return h.unread.Load() || h.damaged.Load() }

// met notes that something here could not be read.
func (h *here) met(err error) {
	switch {
	case errs.Is(err, errs.Mountpath):
		h.unread.Store(true)
	case errs.Is(err, errs.Corrupt):
		h.damaged.Store(true)
	}
}

// unread is fail of a key that this node itself cannot read.
func (s *sender) unread(n object.Name, err error) {
	s.m.here.met(err)
	s.note(n, err)
}

// fail notes that the owner did not take a key.
func (s *sender) fail(n object.Name, err error) {
	s.refused.Store(true)
	s.note(n, err)
}

// waiting are the owners who have not acknowledged all that is theirs, though it could be read here; and what of this node, without which nobody
// is complete, could not. Nothing of either says that all is.
func (m *move) waiting() (owners, own []string) {
	for id, d := range m.dests {
		switch {
		case d.complete():
		case m.here.any() && !d.refused.Load() && !d.down.Load():
			own = m.out()
		default:
			owners = append(owners, string(id))
		}
	}
	slices.Sort(owners)
	return owners, own
}

// out names what of this node cannot be read.
func (m *move) out() (names []string) {
	names = m.mountpathsOut()
	if m.here.damaged.Load() {
		names = append(names, fmt.Sprintf("damaged objects of %s", m.self))
	}
	if len(names) == 0 { // it is back by now
		names = append(names, string(m.self))
	}
	return names
}

// mountpathsOut names the mountpaths of this node that cannot be used.
func (e *Engine) mountpathsOut() (names []string) {
	for _, mp := range e.store.Mountpaths() {
		if mp.State == fs.Disabled {
			names = append(names, fmt.Sprintf("mountpath %s of %s", mp.Path, e.self))
		}
	}
	return names
}
