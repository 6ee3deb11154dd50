package fs

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
)

// Standing is why a mountpath of the node is given no names.
type Standing string

// The standings. The zero value is a mountpath in service.
const (
	Failed   Standing = "failed"   // its disk is missing or broke: it comes back when it can be used
	SetAside Standing = "disabled" // on request: it stays out until it is enabled
	Leaving  Standing = "leaving"  // on request: it is read until its names have moved, then released
)

// Member is a mountpath as the set's record remembers it.
type Member struct {
	ID     string `json:"id"`
	Path   string `json:"path"`
	Weight uint32 `json:"weight"`

	// Of one out of service.
	Standing Standing `json:"standing,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	// No version there is above this one, which was the last given when it went; zero = not known.
	LastEpoch   uint64 `json:"last_epoch,omitempty"`
	LastCounter uint64 `json:"last_counter,omitempty"`
	// A start that it knows of if it is as it was when it went; "" = the one that was accepted last, which is not known yet.
	Boot string `json:"boot,omitempty"`
}

// plain is the member as generations have it.
func plain(m Member) Member { return Member{ID: m.ID, Path: m.Path, Weight: m.Weight} }

// setRecord is kept on every mountpath. The last generation is the present one: those in service. The others are those
// under which names may have been placed that nobody has moved since.
type setRecord struct {
	Format      int        `json:"format"`
	Version     uint64     `json:"version"` // the greatest among the mountpaths holds
	Generations [][]Member `json:"generations"`
	Others      []Member   `json:"others,omitempty"`   // out of service
	Retired     []string   `json:"retired,omitempty"`  // ids given up for good: what they have is out of date
	Emptied     []string   `json:"emptied,omitempty"`  // of those, the ids of mountpaths that had nothing any more
	Detached    []string   `json:"detached,omitempty"` // paths of members that were given up, or are elsewhere now, unless there is another by now
	Moved       bool       `json:"moved,omitempty"`    // what can be read is at home
}

// UnmarshalJSON reads a record with all paths absolute. Earlier releases wrote them as they were configured, and none that begins where the
// process stands would be known again by the path that is configured now.
func (r *setRecord) UnmarshalJSON(b []byte) error {
	type asWritten setRecord
	if err := json.Unmarshal(b, (*asWritten)(r)); err != nil {
		return err
	}
	var paths []*string
	for _, members := range append(slices.Clone(r.Generations), r.Others) {
		for i := range members {
			paths = append(paths, &members[i].Path)
		}
	}
	for i := range r.Detached {
		paths = append(paths, &r.Detached[i])
	}
	for _, p := range paths {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

// maxRetired bounds how many ids are remembered.
const maxRetired = 1000

func (r *setRecord) clone() setRecord {
	c := *r
	c.Generations = nil
	for _, g := range r.Generations {
		c.Generations = append(c.Generations, slices.Clone(g))
	}
	c.Others, c.Retired, c.Emptied, c.Detached = slices.Clone(r.Others), slices.Clone(r.Retired), slices.Clone(r.Emptied), slices.Clone(r.Detached)
	return c
}

// emptied reports whether an id was given up by a mountpath that had nothing any more.
func (r *setRecord) emptied(id string) bool { return slices.Contains(r.Emptied, id) }

// present is the members in service.
func (r *setRecord) present() []Member {
	if n := len(r.Generations); n > 0 {
		return r.Generations[n-1]
	}
	return nil
}

// members are all that belong to the node.
func (r *setRecord) members() []Member { return append(slices.Clone(r.present()), r.Others...) }

// serves reports whether a member is in service.
func (r *setRecord) serves(id string) bool {
	return slices.ContainsFunc(r.present(), func(m Member) bool { return m.ID == id })
}

// out finds a member that is out of service.
func (r *setRecord) out(id string) (Member, bool) {
	if i := slices.IndexFunc(r.Others, func(m Member) bool { return m.ID == id }); i >= 0 {
		return r.Others[i], true
	}
	return Member{}, false
}

// setOut takes a member out of service; the present generation is the caller's to change.
func (r *setRecord) setOut(m Member) {
	r.Others = slices.DeleteFunc(r.Others, func(o Member) bool { return o.ID == m.ID })
	r.Others = append(r.Others, m)
}

// place makes now the present generation and reports whether names are placed anew by it. A generation that places names alike
// was here before only once: the latest counts.
func (r *setRecord) place(now []Member) bool {
	slices.SortFunc(now, func(a, b Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	n := len(r.Generations)
	if n > 0 && samePlaces(r.Generations[n-1], now) {
		r.Generations[n-1] = now
		return false
	}
	r.Moved = false
	r.Generations = slices.DeleteFunc(r.Generations, func(g []Member) bool { return samePlaces(g, now) })
	r.Generations = append(r.Generations, now)
	return true
}

// settle forgets the generations that no name is placed under any more: those without a member that is away.
func (r *setRecord) settle() {
	n := len(r.Generations) - 1
	r.Moved = true
	kept := slices.DeleteFunc(slices.Clone(r.Generations[:n]), func(g []Member) bool {
		return !slices.ContainsFunc(g, func(m Member) bool { _, out := r.out(m.ID); return out })
	})
	r.Generations = append(kept, r.Generations[n])
}

// drop forgets a member.
func (r *setRecord) drop(id string) {
	r.Moved = false
	r.Others = slices.DeleteFunc(r.Others, func(m Member) bool { return m.ID == id })
	r.Retired = remember(r.Retired, id)
	// A generation that had it places the names of the others as before.
	for i, g := range r.Generations[:len(r.Generations)-1] {
		if !slices.ContainsFunc(g, func(m Member) bool { return m.ID != id }) {
			r.Generations[i] = nil
		}
	}
	r.Generations = slices.DeleteFunc(r.Generations, func(g []Member) bool { return len(g) == 0 })
}

// remember adds an id, or a path, and forgets the oldest.
func remember(ids []string, id string) []string {
	ids = append(ids, id)
	if n := len(ids); n > maxRetired {
		ids = slices.Delete(ids, 0, n-maxRetired)
	}
	return ids
}

func samePlaces(a, b []Member) bool {
	return slices.EqualFunc(a, b, func(x, y Member) bool { return x.ID == y.ID && x.Weight == y.Weight })
}

// member is m as the record names it.
func (m *Mountpath) member() Member {
	return Member{ID: m.ID(), Path: m.path, Weight: m.marker.Weight}
}

// reason is why m cannot be used.
func (m *Mountpath) reason() string {
	if err := m.Err(); err != nil {
		return errors.Unwrap(err).Error()
	}
	return ""
}
