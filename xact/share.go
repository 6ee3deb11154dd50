package xact

import (
	"slices"
	"sync"
)

// Mark says how far a share has come: all names up to it are done, in the order in which they come, and this is what came of them. Another
// target can go on behind it.
type Mark struct {
	After   string   `json:"after,omitempty"` // of a walk: the last name
	Names   int64    `json:"names,omitempty"` // of names that are given: how many
	Objects int64    `json:"objects,omitempty"`
	Bytes   int64    `json:"bytes,omitempty"`
	Errors  int64    `json:"errors,omitempty"`
	Faults  []string `json:"faults,omitempty"` // of the first objects that failed
	Sizes   Sizes    `json:"sizes,omitzero"`
}

// outcome is what came of one name.
type outcome struct {
	done  bool   // the object was worked on; not so: there was nothing to do, or it failed
	bytes int64  // -1: not known
	fault string // "" unless it failed
}

// trail follows the names of a share, which end in any order, and moves the mark over all that have ended.
type trail struct {
	mu   sync.Mutex
	mark Mark
	open []*step // oldest first
}

// step is one name on its way.
type step struct {
	key string
	end *outcome // nil until it has ended
}

// begin notes that the work on a name begins. Names are begun in the share's order.
func (t *trail) begin(key string) *step {
	s := &step{key: key}
	t.mu.Lock()
	t.open = append(t.open, s)
	t.mu.Unlock()
	return s
}

// end notes what came of it.
func (t *trail) end(s *step, o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.end = &o
	for len(t.open) > 0 && t.open[0].end != nil {
		t.mark.pass(t.open[0])
		t.open[0] = nil
		t.open = t.open[1:]
	}
}

func (m *Mark) pass(s *step) {
	m.After = s.key
	m.Names++
	switch o := s.end; {
	case o.fault != "":
		m.Errors++
		if len(m.Faults) < maxErrors {
			m.Faults = append(slices.Clip(m.Faults), o.fault)
		}
	case o.done:
		if o.bytes >= 0 && (m.Objects == 0 || o.bytes < m.Sizes.Min) {
			m.Sizes.Min = o.bytes
		}
		m.Sizes.Max = max(m.Sizes.Max, o.bytes)
		m.Objects++
		m.Bytes += max(o.bytes, 0)
	}
}

func (t *trail) at() Mark {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mark
}
