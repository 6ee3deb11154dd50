package fs

import (
	"errors"
	"slices"
	"sort"

	"aistore/errs"
)

// after returns a copy of s to be changed.
func (s *Set) after() *Set {
	return &Set{sys: s.sys, log: s.log, mps: slices.Clone(s.mps), rec: s.rec.clone(), dir: s.dir, reminding: s.reminding, start: s.start}
}

// commit writes the changed set down. On an error the old one goes on.
func (s *Set) commit(op string) (*Set, error) {
	s.rec.Version++
	s.rec.Format = MarkerFormat
	sort.Slice(s.mps, func(i, j int) bool { return s.mps[i].ID() < s.mps[j].ID() })
	s.build()
	if err := s.write(); err != nil {
		return nil, errs.E(op, "", err)
	}
	return s, nil
}

// Find returns the mountpath at a path, or with an id.
func (s *Set) Find(pathOrID string) (*Mountpath, bool) {
	for _, m := range s.mps {
		if m.path == pathOrID || m.ID() == pathOrID {
			return m, true
		}
	}
	return nil, false
}

// Out returns what the record says of the i-th mountpath if it is out of service.
func (s *Set) Out(i int) (Member, bool) { return s.rec.out(s.mps[i].ID()) }

// Unsure reports whether anyone who is out of service may have names.
func (s *Set) Unsure() bool { return len(s.rec.Others) > 0 }

// Work reports whether anything that can be read may lie outside its home.
func (s *Set) Work() bool {
	return len(s.gens) > 1 && !s.rec.Moved || slices.ContainsFunc(s.rec.Others, func(m Member) bool { return m.Standing == Leaving })
}

// OpenNew opens a directory that is not in use here. One with this node's marker keeps its id; one without gets a new marker,
// with a weight by its size beside those in service, and is refused unless it is there and empty. A known path without marker is a disk
// that replaces another, and is taken only with replace: the caller then drops the old one. The caller closes it when it does not join.
func (s *Set) OpenNew(path string, replace Replace) (*Mountpath, error) {
	const op = "fs.Set.OpenNew"
	if err := s.apart(path); err != nil {
		return nil, err
	}
	if replace == MayBeNew {
		if err := Offered(s.sys, path); err != nil {
			return nil, errs.E(op, path, err)
		}
	}
	m := newMountpath(path, s.sys, s.log)
	m.opening.Store(true)
	err := s.openNew(m, replace)
	m.opening.Store(false)
	if err == nil {
		err = m.Err()
	}
	if err != nil {
		return nil, errs.E(op, path, errors.Join(err, m.Close()))
	}
	return m, nil
}

// Replace says whether a path that the node knows may have become another disk.
type Replace uint8

// The answers.
const (
	KnownOnly Replace = iota // it must carry its marker
	MayBeNew                 // it may be empty: then its former id is given up
)

func (s *Set) openNew(m *Mountpath, replace Replace) error {
	const op = "fs.Set.OpenNew"
	nodeID, uuid, err := s.identity("")
	if err != nil {
		return err
	}
	probe := &Set{sys: s.sys, log: s.log, mps: []*Mountpath{m}, start: s.start}
	if _, err := probe.find(m); err != nil {
		return err
	}
	if err := m.Err(); err != nil {
		return err
	}
	mk := m.marker
	switch {
	case mk.ID == "" || mk.Released || s.rec.emptied(mk.ID):
		if _, known := s.Find(m.path); known && replace != MayBeNew {
			return errs.E(op, m.path, errs.Mountpath, noMarker)
		}
		if err := wipe(s, m); err != nil {
			return err
		}
		if err := s.create(m, nodeID, uuid); err != nil {
			return err
		}
		if m.marker.Weight = s.weigh(m); m.marker.Weight != defaultWeight {
			if err := putDoc(m, MarkerName, m.marker); err != nil {
				return err
			}
		}
	case mk.NodeID != nodeID:
		return errs.F(op, m.path, errs.Conflict, "belongs to node %s, not %s", mk.NodeID, nodeID)
	case mk.ClusterUUID != "" && mk.ClusterUUID != uuid:
		return errs.F(op, m.path, errs.Conflict, "belongs to cluster %s, not %s", mk.ClusterUUID, uuid)
	case s.byID(mk.ID) >= 0 && s.mps[s.byID(mk.ID)].Err() == nil:
		return Again(m.path, s.mps[s.byID(mk.ID)])
	case slices.Contains(s.rec.Retired, mk.ID):
		return errs.E(op, m.path, errs.Conflict, "was given up by this node, and what it holds is out of date: empty the directory to use it anew")
	}
	if !m.fresh && s.Boot() != "" && s.missed(m, mk.ID) {
		return nil
	}
	if err := s.settleIn(m, nodeID, uuid); err != nil {
		return err
	}
	s.warnShared(m)
	return nil
}

// missed reports whether m, which was id when it was opened, was not there all the time, and fails it then.
func (s *Set) missed(m *Mountpath, id string) bool {
	m.found = slices.Clone(m.marker.Starts)
	as, out := s.rec.out(id)
	if out {
		return !m.returns(as)
	}
	if s.rec.serves(id) && !slices.Contains(m.found, s.Boot()) { // it failed, and stayed in service as the only one
		m.Fail(errors.New(oldCopy))
		return true
	}
	return false
}

// warnShared tells the operator when m is on the file system of another mountpath.
func (s *Set) warnShared(m *Mountpath) {
	for _, o := range s.mps {
		if m.Err() == nil && o.path != m.path && o.Err() == nil && o.fsid == m.fsid {
			s.log.Warn("two mountpaths are on one file system: they share its space, and are lost together", "mountpath", m.path, "other", o.path)
			return
		}
	}
}

// Again refuses what is at a path because it is mountpath m, which is in use.
func Again(path string, m *Mountpath) error {
	return errs.F("fs.Set.OpenNew", path, errs.Conflict, "is mountpath %s once more, or a copy of it, and that one is in use", m.path)
}

// wipe removes what a mountpath that was released left, and forgets its marker.
func wipe(s *Set, m *Mountpath) error {
	released := m.marker.Released || s.rec.emptied(m.marker.ID)
	m.marker = Marker{}
	if !released {
		return nil
	}
	if m.lock != nil {
		if err := m.lock.Close(); err != nil {
			return err
		}
		m.lock = nil
	}
	if err := empty(m); err != nil {
		return err
	}
	return RemoveAll(m, SetName)
}

// empty removes what a node keeps below a mountpath, but for marker, record and lock.
func empty(r Root) error {
	for _, name := range []string{"index", "blobs", "work", ReserveName, ProbeName} {
		if err := RemoveAll(r, name); err != nil {
			return err
		}
	}
	return nil
}

// RemoveAll removes a file or a directory with all it holds. What is not there is no fault.
func RemoveAll(r Root, name string) error {
	err := r.Remove(name)
	if err == nil || errs.KindOf(err) == errs.NotFound {
		return nil
	}
	names, derr := r.ReadDir(name)
	if derr != nil {
		return err
	}
	for _, n := range names {
		if err := RemoveAll(r, name+"/"+n); err != nil {
			return err
		}
	}
	return r.Remove(name)
}

// defaultWeight is that of a mountpath beside others of its size.
const defaultWeight = 100

// weigh gives a new mountpath its share by size: as much per byte as those in service have.
func (s *Set) weigh(m *Mountpath) uint32 {
	c, err := m.Statfs()
	if err != nil || c.Total <= 0 {
		return defaultWeight
	}
	var weights, bytes float64
	for _, mb := range s.rec.present() {
		o := s.mps[s.byID(mb.ID)]
		if oc, err := o.Statfs(); err == nil && oc.Total > 0 {
			weights += float64(mb.Weight)
			bytes += float64(oc.Total)
		}
	}
	if bytes == 0 {
		return defaultWeight
	}
	w := weights / bytes * float64(c.Total)
	if w > 0.9*defaultWeight && w < 1.1*defaultWeight {
		return defaultWeight // disks of one size differ a little
	}
	return uint32(min(max(w+0.5, 1), 100*defaultWeight))
}

// Join returns the set with m in service: a new mountpath, or one that comes back. What the node knew under its id, or with
// its path and another id, is replaced.
func (s *Set) Join(m *Mountpath) (*Set, error) {
	const op = "fs.Set.Join"
	if err := (starts{s}).note(m); err != nil { // before the record says that it is in service
		return nil, errs.E(op, m.path, err)
	}
	n := s.after()
	id := m.ID()
	_, out := n.rec.out(id)
	known := out || n.rec.serves(id)
	was := slices.IndexFunc(s.mps, func(o *Mountpath) bool { return o.ID() == id })
	n.mps = slices.DeleteFunc(n.mps, func(o *Mountpath) bool { return o.ID() == id })
	n.mps = append(n.mps, m)
	if was >= 0 {
		n.empties(s.mps[was].path) // a configuration may still name it
	}
	n.rec.Detached = slices.DeleteFunc(n.rec.Detached, func(p string) bool { return p == m.path })
	n.rec.Others = slices.DeleteFunc(n.rec.Others, func(o Member) bool { return o.ID == id })
	now := slices.Clone(n.rec.present())
	now = slices.DeleteFunc(now, func(o Member) bool { return o.ID == id })
	if !known && !m.fresh { // it has names of its own, placed by a record that is lost
		last := len(n.rec.Generations) - 1
		n.rec.Generations = slices.Insert(n.rec.Generations, last, []Member{m.member()})
	}
	n.rec.place(append(now, m.member()))
	n.rec.Moved = false
	return n.commit(op)
}

// Leave returns the set with m out of service. last is the greatest version that it may have.
func (s *Set) Leave(m *Mountpath, as Standing, reason string, lastEpoch, lastCounter uint64) (*Set, error) {
	const op = "fs.Set.Leave"
	n := s.after()
	now := slices.DeleteFunc(slices.Clone(n.rec.present()), func(o Member) bool { return o.ID == m.ID() })
	if len(now) == 0 {
		return nil, errs.E(op, m.path, errs.Conflict, "is the only mountpath in service: attach another first")
	}
	mb := m.member()
	if was, ok := n.rec.out(m.ID()); ok && was.LastCounter > 0 { // nothing was written there since
		lastEpoch, lastCounter = was.LastEpoch, was.LastCounter
	}
	mb.Standing, mb.Reason, mb.LastEpoch, mb.LastCounter = as, reason, lastEpoch, lastCounter
	if as != Leaving {
		mb.Boot = (starts{s}).wentWith(m)
	}
	n.rec.setOut(mb)
	n.rec.place(now)
	n.rec.Moved = false
	return n.commit(op)
}

// Drop returns the set without m, whose id never comes back.
func (s *Set) Drop(m *Mountpath) (*Set, error) { return s.drop("fs.Set.Drop", m, false) }

// DropEmptied is Drop of a mountpath that has nothing any more: it may be released at any time from now on.
func (s *Set) DropEmptied(m *Mountpath) (*Set, error) { return s.drop("fs.Set.DropEmptied", m, true) }

func (s *Set) drop(op string, m *Mountpath, emptied bool) (*Set, error) {
	n := s.after()
	if slices.ContainsFunc(n.rec.present(), func(o Member) bool { return o.ID == m.ID() }) {
		return nil, errs.E(op, m.path, errs.Conflict, "is in service")
	}
	n.rec.drop(m.ID())
	if emptied {
		n.rec.Emptied = remember(n.rec.Emptied, m.ID())
	}
	n.mps = slices.DeleteFunc(n.mps, func(o *Mountpath) bool { return o.ID() == m.ID() })
	n.empties(m.path)
	return n.commit(op)
}

// empties notes that a mountpath has left a path, so that what is there without a marker is not taken for a new one.
func (s *Set) empties(path string) {
	s.rec.Detached = slices.DeleteFunc(s.rec.Detached, func(p string) bool { return p == path })
	if !slices.ContainsFunc(s.mps, func(o *Mountpath) bool { return o.path == path }) {
		s.rec.Detached = remember(s.rec.Detached, path)
	}
}

// Settle returns the set as of which every name that can be read is at its present home.
func (s *Set) Settle() (*Set, error) {
	n := s.after()
	n.rec.settle()
	return n.commit("fs.Set.Settle")
}

// Release marks a mountpath that was emptied as no longer the node's, and removes what the node kept there besides its objects. It
// keeps its id, so that nobody takes it for a disk that is missing, and its record: where a node finds its mountpaths that was told of
// none but those that were detached.
func (m *Mountpath) Release() error {
	m.bindMu.Lock()
	defer m.bindMu.Unlock()
	mk := m.marker
	mk.Released = true
	if err := putDoc(m, MarkerName, mk); err != nil {
		return err
	}
	m.marker.Released = true
	if err := empty(m); err != nil {
		return err
	}
	return m.SyncDir(".")
}
