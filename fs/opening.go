package fs

import (
	"errors"
	"slices"
	"sort"
	"strings"

	"aistore/errs"
)

// opening finds out, when a node starts, which mountpaths it has: by what is configured, by the record that the newest of them has, and by what
// was detached.
type opening struct {
	*Set
	left  setRecord // the newest of those that were detached
	gone  []string  // ids of those
	paths []string  // and where they are
	known bool      // a path that is configured has a marker of this node, or had one before it was detached
}

// all opens the mountpaths and leaves a record of what was found.
func (s *opening) all(cfg SetConfig) error {
	(home{s.Set}).recall(cfg.NodeID)
	for _, path := range cfg.Paths {
		if slices.ContainsFunc(s.mps, func(m *Mountpath) bool { return m.path == path }) {
			return errs.E("fs.Set", path, errs.Invalid, "is listed twice")
		}
		if err := s.apart(path); err != nil {
			return err
		}
		found, err := s.add(path, cfg.NodeID)
		if err != nil {
			return err
		}
		s.known = s.known || found
	}
	if s.left.Version > s.rec.Version { // of those that are left none is here
		s.rec = s.left
	}
	if err := s.addRecorded(cfg.NodeID); err != nil {
		return err
	}
	if err := s.leaveRetired(); err != nil {
		return err
	}
	if err := s.leaveDetached(cfg.Existing && !s.known); err != nil {
		return err
	}
	if cfg.Existing && !slices.ContainsFunc(s.mps, func(m *Mountpath) bool { return m.marker.ID != "" }) {
		return errs.F("fs.Set", strings.Join(s.expected(cfg.Paths), ", "), errs.Mountpath,
			"no mountpath carries this node's marker (%s): are the disks mounted?", MarkerName)
	}
	nodeID, uuid, err := s.identity(cfg.NodeID)
	if err != nil {
		return err
	}
	for _, m := range s.mps {
		if err := s.settleIn(m, nodeID, uuid); err != nil {
			return err
		}
	}
	(starts{s.Set}).begin() // before the record says that anybody is in service
	if !slices.ContainsFunc(s.mps, func(m *Mountpath) bool { return m.Err() == nil }) {
		if len(s.mps) == 0 {
			return errs.E("fs.Set", strings.Join(cfg.Paths, ", "), errs.Mountpath, "was detached from this node: name another directory")
		}
		return errors.Join(errs.E("fs.Set", "mountpaths", errs.Mountpath, "none can be used"), s.mps[0].Err())
	}
	s.addMissing(nodeID, uuid)
	sort.Slice(s.mps, func(i, j int) bool { return s.mps[i].ID() < s.mps[j].ID() })
	for i := 1; i < len(s.mps); i++ {
		if s.mps[i].ID() == s.mps[i-1].ID() {
			return errs.F("fs.Set", s.mps[i].path, errs.Invalid, "is the same mountpath as %s: one is a copy", s.mps[i-1].path)
		}
	}
	if err := s.record(); err != nil {
		return err
	}
	for _, m := range s.mps {
		m.opening.Store(false)
	}
	return nil
}

// expected are the paths that are configured, and those of the members besides.
func (s *opening) expected(configured []string) []string {
	all := slices.Clone(configured)
	for _, mb := range s.rec.members() {
		if !slices.Contains(all, mb.Path) {
			all = append(all, mb.Path)
		}
	}
	return all
}

// add opens one path, unless it was detached, of which only the record is taken. It reports whether a marker was there.
func (s *opening) add(path, nodeID string) (found bool, err error) {
	m := newMountpath(path, s.sys, s.log)
	m.opening.Store(true)
	s.mps = append(s.mps, m)
	if found, err = s.find(m); err != nil || !m.marker.Released {
		return found, err
	}
	s.log.Warn("a mountpath that was detached is left out", "mountpath", path, "id", m.marker.ID)
	var rec setRecord
	if nodeID == m.marker.NodeID {
		s.gone, s.paths = append(s.gone, m.marker.ID), append(s.paths, path)
		if readDoc(m.root, SetName, &rec) == nil && rec.Version > s.left.Version {
			s.left = rec
		}
	}
	s.mps = s.mps[:len(s.mps)-1]
	return true, m.Close()
}

// addRecorded opens the mountpaths that the record names besides those configured: what was attached stays attached, and a
// path that disappears from a configuration takes no names with it.
func (s *opening) addRecorded(nodeID string) error {
	tried := map[string]bool{}
	for again := true; again; {
		again = false
		for _, mb := range s.rec.members() {
			if tried[mb.ID] || slices.ContainsFunc(s.mps, func(m *Mountpath) bool { return m.marker.ID == mb.ID || m.path == mb.Path }) {
				continue
			}
			tried[mb.ID] = true
			s.log.Info("a mountpath that is not configured is used as it was attached", "mountpath", mb.Path, "id", mb.ID)
			if _, err := s.add(mb.Path, nodeID); err != nil {
				return err
			}
			if s.left.Version > s.rec.Version { // it was detached, too, and later: its record knows what was there then
				s.rec = s.left
			}
			again = true // its record may be newer
			break
		}
	}
	return nil
}

// leaveRetired leaves out what was given up when its marker could not be told.
func (s *opening) leaveRetired() error {
	for i := 0; i < len(s.mps); {
		m := s.mps[i]
		if !slices.Contains(s.rec.Retired, m.marker.ID) {
			i++
			continue
		}
		s.log.Warn("a mountpath that was given up is left out", "mountpath", m.path, "id", m.marker.ID)
		s.mps = slices.Delete(s.mps, i, i+1)
		if m.Err() == nil && s.rec.emptied(m.marker.ID) {
			if err := m.Release(); err != nil { // it was interrupted
				s.log.Warn("a mountpath that was emptied could not be released", "mountpath", m.path, "err", err)
			}
		}
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

// leaveDetached leaves out what was detached: of the record, when that was written before, and of the configured paths that carry no marker
// any more. What is there now may be the mount point of a disk that was pulled. So may it be at any path without a marker when none that is
// configured has one (strange): the configuration may be another's.
func (s *opening) leaveDetached(strange bool) error {
	for _, id := range s.gone {
		if _, out := s.rec.out(id); out {
			s.rec.drop(id)
		}
	}
	for _, path := range s.paths { // an earlier release did not write them down
		taken := slices.ContainsFunc(s.rec.members(), func(mb Member) bool { return mb.Path == path })
		if !taken && !slices.Contains(s.rec.Detached, path) {
			s.rec.Detached = remember(s.rec.Detached, path)
			s.rec.Version++ // so that it is written
		}
	}
	for i := 0; i < len(s.mps); {
		m := s.mps[i]
		if _, is := s.remembered(m.path); is || m.marker.ID != "" || !strange && !slices.Contains(s.rec.Detached, m.path) {
			i++
			continue
		}
		s.log.Warn("a path without a marker is left out: it was detached, or none that is configured is this node's; attach it to use what is there now", "mountpath", m.path)
		s.mps = slices.Delete(s.mps, i, i+1)
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

// addMissing gives members that were found nowhere their place.
func (s *opening) addMissing(nodeID, uuid string) {
	for _, mb := range s.rec.members() {
		if s.byID(mb.ID) < 0 {
			m := newMountpath(mb.Path, s.sys, s.log)
			m.marker = Marker{ID: mb.ID, Weight: mb.Weight, NodeID: nodeID, ClusterUUID: uuid}
			m.Fail(errors.New("another mountpath is at this path now"))
			s.mps = append(s.mps, m)
		}
	}
}
