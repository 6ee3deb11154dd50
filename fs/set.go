package fs

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"

	"aistore/cluster"
	"aistore/errs"
)

// Set is the node's mountpaths and the rule that gives each name its home among them: weighted
// rendezvous over the mountpaths' ids and the key alone, so that every bucket puts a key on the same
// disk and copies between buckets can share content. Only mountpaths in service are given names.
//
// When mountpaths came or went since the last time all names were at home, the set is unsettled: a name
// may still be where an earlier generation put it. Homes names these places, the present one first.
//
// A Set does not change. Join, Leave and the like write the change down and return the set that follows.
type Set struct {
	sys  FS
	log  *slog.Logger
	mps  []*Mountpath // ordered by id; those out of service too
	gens []generation // the present one first
	rec  setRecord
	left setRecord // the newest of those that were detached
	gone []string  // ids of those

	home  string // see SetConfig.Home
	start *start
}

// generation is one way in which names were placed.
type generation struct {
	cands []cluster.Candidate
	at    []int // indexes in mps; -1: no longer part of the node
}

// SetConfig says which mountpaths to open.
type SetConfig struct {
	FS     FS
	Paths  []string
	NodeID string // "" takes it from the markers
	// Existing says that this node has run before, so at least one mountpath must carry its marker and not have been detached: an
	// empty directory is otherwise a disk that is not mounted and not a new one.
	Existing bool
	Home     string // directory of the node that keeps a copy of the record, for when no configured path does; "" = none
	Boot     string // id of this process, which is noted in the markers (Set.Boot tells which one was); "" = none is
	Log      *slog.Logger
}

// OpenSet opens and locks every mountpath. A path that is new gets a marker; one that cannot be used is
// disabled and keeps its names, unless all are so. Mountpaths of different nodes or clusters, or in use by
// another process, are refused.
func OpenSet(cfg SetConfig) (*Set, error) {
	const op = "fs.OpenSet"
	if len(cfg.Paths) == 0 {
		return nil, errs.E(op, "mountpaths", errs.Invalid, "none is configured")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Set{sys: cfg.FS, log: cfg.Log, home: cfg.Home, start: &start{id: cfg.Boot}}
	if err := s.open(cfg); err != nil {
		return nil, errs.E(op, "", errors.Join(err, closeAll(s.mps)))
	}
	return s, nil
}

func closeAll(mps []*Mountpath) error {
	var err error
	for _, m := range mps {
		err = errors.Join(err, m.Close())
	}
	return err
}

func (s *Set) open(cfg SetConfig) error {
	s.recall(cfg.NodeID)
	for _, path := range cfg.Paths {
		if slices.ContainsFunc(s.mps, func(m *Mountpath) bool { return m.path == path }) {
			return errs.E("fs.Set", path, errs.Invalid, "is listed twice")
		}
		if err := s.apart(path); err != nil {
			return err
		}
		if err := s.add(path, cfg.NodeID); err != nil {
			return err
		}
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
	if err := s.leaveDetached(); err != nil {
		return err
	}
	if cfg.Existing && !slices.ContainsFunc(s.mps, func(m *Mountpath) bool { return m.marker.ID != "" }) {
		return errs.F("fs.Set", strings.Join(s.paths(cfg.Paths), ", "), errs.Mountpath,
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
	(starts{s}).begin() // before the record says that anybody is in service
	if !slices.ContainsFunc(s.mps, func(m *Mountpath) bool { return m.Err() == nil }) {
		if len(s.mps) == 0 {
			return errs.E("fs.Set", strings.Join(cfg.Paths, ", "), errs.Mountpath, "was detached from this node: empty the directory to use it anew")
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
	return s.record()
}

// apart refuses a path inside another mountpath, or around one: what is kept in one would be in the other's way.
func (s *Set) apart(path string) error {
	const op = "fs.Set"
	inside := func(in, out string) bool {
		return strings.HasPrefix(filepath.Clean(in), strings.TrimSuffix(filepath.Clean(out), "/")+"/")
	}
	for _, m := range s.mps {
		switch {
		case inside(path, m.path):
			return errs.F(op, path, errs.Invalid, "lies inside mountpath %s: use a directory outside of it", m.path)
		case inside(m.path, path):
			return errs.F(op, path, errs.Invalid, "contains mountpath %s: use a directory beside it", m.path)
		}
	}
	return nil
}

// paths are those that are configured, and those of the members besides.
func (s *Set) paths(configured []string) []string {
	all := slices.Clone(configured)
	for _, mb := range s.rec.members() {
		if !slices.Contains(all, mb.Path) {
			all = append(all, mb.Path)
		}
	}
	return all
}

// add opens one path, unless it was detached, of which only the record is taken.
func (s *Set) add(path, nodeID string) error {
	m := newMountpath(path, s.sys, s.log)
	s.mps = append(s.mps, m)
	if _, err := s.find(m); err != nil || !m.marker.Released {
		return err
	}
	s.log.Warn("a mountpath that was detached is left out", "mountpath", path, "id", m.marker.ID)
	var rec setRecord
	if nodeID == m.marker.NodeID {
		s.gone = append(s.gone, m.marker.ID)
		if readDoc(m.root, SetName, &rec) == nil && rec.Version > s.left.Version {
			s.left = rec
		}
	}
	s.mps = s.mps[:len(s.mps)-1]
	return m.Close()
}

// addRecorded opens the mountpaths that the record names besides those configured: what was attached stays attached, and a
// path that disappears from a configuration takes no names with it.
func (s *Set) addRecorded(nodeID string) error {
	tried := map[string]bool{}
	for again := true; again; {
		again = false
		for _, mb := range s.rec.members() {
			if tried[mb.ID] || slices.ContainsFunc(s.mps, func(m *Mountpath) bool { return m.marker.ID == mb.ID || m.path == mb.Path }) {
				continue
			}
			tried[mb.ID] = true
			s.log.Info("a mountpath that is not configured is used as it was attached", "mountpath", mb.Path, "id", mb.ID)
			if err := s.add(mb.Path, nodeID); err != nil {
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
func (s *Set) leaveRetired() error {
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
// any more. What is there now may be the mount point of a disk that was pulled.
func (s *Set) leaveDetached() error {
	for _, id := range s.gone {
		if _, out := s.rec.out(id); out {
			s.rec.drop(id)
		}
	}
	for i := 0; i < len(s.mps); {
		m := s.mps[i]
		if _, is := s.remembered(m.path); is || m.marker.ID != "" || !slices.Contains(s.rec.Detached, m.path) {
			i++
			continue
		}
		s.log.Warn("a path that was detached is left out: attach it to use what is there now", "mountpath", m.path)
		s.mps = slices.Delete(s.mps, i, i+1)
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

// addMissing gives members that were found nowhere their place.
func (s *Set) addMissing(nodeID, uuid string) {
	for _, mb := range s.rec.members() {
		if s.byID(mb.ID) < 0 {
			m := newMountpath(mb.Path, s.sys, s.log)
			m.marker = Marker{ID: mb.ID, Weight: mb.Weight, NodeID: nodeID, ClusterUUID: uuid}
			m.Fail(errors.New("another mountpath is at this path now"))
			s.mps = append(s.mps, m)
		}
	}
}

// find opens one path and reads its documents. It reports whether a marker was there; an error is fatal.
func (s *Set) find(m *Mountpath) (bool, error) {
	r, err := s.sys.OpenRoot(m.path)
	if errs.KindOf(err) == errs.NotFound {
		return false, nil // settleIn decides
	}
	if err != nil {
		m.Fail(err)
		return false, nil
	}
	m.root = r
	m.marker, err = readMarker(r)
	switch {
	case errs.Is(err, errs.NotFound):
		return false, nil
	case errs.Is(err, errs.Unsupported):
		return false, err
	case err != nil:
		m.Fail(err)
		return false, nil
	}
	lock, err := r.Lock(LockName)
	if errs.Is(err, errs.Conflict) {
		return false, err
	}
	if err != nil {
		m.Fail(err)
		return true, nil
	}
	m.lock = lock
	var rec setRecord
	if m.marker.Released { // others may have it by now
		return true, nil
	}
	if err := readDoc(r, SetName, &rec); err == nil {
		if m.recorded = rec.Version; rec.Version > s.rec.Version {
			s.rec = rec
		}
	}
	return true, nil
}

func (s *Set) identity(nodeID string) (node, uuid string, err error) {
	const op = "fs.Set"
	for _, m := range s.mps {
		mk := m.Marker()
		switch {
		case mk.ID == "":
		case nodeID != "" && mk.NodeID != nodeID:
			return "", "", errs.F(op, m.path, errs.Conflict, "belongs to node %s, not %s", mk.NodeID, nodeID)
		case uuid != "" && mk.ClusterUUID != "" && mk.ClusterUUID != uuid:
			return "", "", errs.F(op, m.path, errs.Conflict, "belongs to cluster %s, another mountpath to %s", mk.ClusterUUID, uuid)
		default:
			nodeID = mk.NodeID
			if mk.ClusterUUID != "" {
				uuid = mk.ClusterUUID
			}
		}
	}
	if nodeID == "" {
		return "", "", errs.E(op, "node id", errs.Invalid, "is neither configured nor in a marker")
	}
	return nodeID, uuid, nil
}

// settleIn gives a path without marker its place: disabled when the set's record knows the path (its disk
// is missing), else new. An error is fatal.
func (s *Set) settleIn(m *Mountpath, nodeID, uuid string) error {
	if m.marker.ID == "" {
		if old, ok := s.remembered(m.path); ok {
			m.marker = Marker{ID: old.ID, Weight: old.Weight, NodeID: nodeID, ClusterUUID: uuid}
			m.Fail(errors.New(noMarker))
		} else if m.Err() != nil {
			return errs.E("fs.Set", m.path, m.Err()) // unusable and unknown: nothing can be lost by saying so
		} else if err := s.create(m, nodeID, uuid); err != nil {
			return err
		}
	}
	if m.Err() != nil {
		return nil
	}
	var err error
	if m.fsid, err = m.root.FSID(); err == nil && m.marker.ClusterUUID != uuid {
		err = m.bind(uuid)
	}
	if err == nil {
		_, err = m.Statfs()
	}
	if err != nil {
		m.Fail(err)
	}
	return nil
}

// noMarker is why a known path without marker is not used.
const noMarker = "its marker is missing: mount the disk, or attach the path if it is a new disk that replaces the old one"

// remembered finds the member that the record has at a path, unless that one was found elsewhere.
func (s *Set) remembered(path string) (Member, bool) {
	for _, mb := range s.rec.members() {
		if mb.Path == path && s.byID(mb.ID) < 0 {
			return mb, true
		}
	}
	return Member{}, false
}

// create makes a new mountpath.
func (s *Set) create(m *Mountpath, nodeID, uuid string) (err error) {
	const op = "fs.Set"
	if m.root == nil {
		if err := s.sys.MkdirAll(m.path); err != nil {
			return errs.E(op, m.path, err)
		}
		if m.root, err = s.sys.OpenRoot(m.path); err != nil {
			return errs.E(op, m.path, err)
		}
	}
	for _, name := range []string{"index", "blobs"} {
		if _, err := m.root.Stat(name); err == nil {
			return errs.F(op, m.path, errs.Mountpath, "has %q but no marker %s: restore the marker, or empty the directory to start anew", name, MarkerName)
		}
	}
	if m.lock, err = m.root.Lock(LockName); err != nil {
		return errs.E(op, m.path, err)
	}
	m.marker = Marker{
		Format: MarkerFormat, NodeID: nodeID, ClusterUUID: uuid, ID: newID(), Weight: defaultWeight, Created: clock().UTC(),
	}
	if s.Boot() != "" {
		m.marker.Starts = []string{unused}
		m.found = m.marker.Starts
	}
	if err := writeDoc(m.root, MarkerName, m.marker); err != nil {
		return errs.E(op, m.path, err)
	}
	m.fresh = true
	return nil
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// record brings the record up to what was found, and writes it everywhere.
func (s *Set) record() error {
	old := s.rec.clone()
	var present, out []Member
	for _, m := range s.mps {
		mb := m.member()
		was, isOut := old.out(mb.ID)
		switch {
		case m.Err() != nil && isOut: // as before
			mb.Standing, mb.Reason, mb.LastEpoch, mb.LastCounter, mb.Boot = was.Standing, was.Reason, was.LastEpoch, was.LastCounter, was.Boot
			if mb.Standing == Leaving {
				mb.Standing = Failed
			}
			out = append(out, mb)
		case m.Err() != nil:
			mb.Standing, mb.Reason = Failed, m.reason()
			out = append(out, mb)
		case isOut && was.Standing == SetAside:
			was.Path = m.path
			out = append(out, was)
			m.Fail(errors.New(was.Reason))
		case isOut && was.Standing == Leaving:
			was.Path = m.path
			out = append(out, was)
		default: // one that had failed comes back
			present = append(present, mb)
		}
	}
	if len(present) == 0 { // nobody else is left to take the names of those that leave
		for i, mb := range out {
			if mb.Standing == Leaving {
				present, out = append(present, plain(mb)), slices.Delete(out, i, i+1)
				break
			}
		}
	}
	if len(present) == 0 {
		return errs.E("fs.Set", "mountpaths", errs.Mountpath, "none is in service: enable one")
	}
	s.rec.Others = out
	if s.rec.place(present) && len(s.rec.Generations) > 1 {
		s.log.Warn("the set of mountpaths changed: names are looked up on all former places", "mountpaths", len(present))
	}
	if reflect.DeepEqual(old, s.rec) && s.everywhere() {
		s.build()
		return nil
	}
	s.rec.Version++
	s.rec.Format = MarkerFormat
	s.build()
	return s.write()
}

// write puts the record on every mountpath that can be written. One is enough.
func (s *Set) write() error {
	const op = "fs.Set"
	ok := false
	var last error
	for _, m := range s.mps {
		if last = m.Err(); last != nil {
			continue
		}
		if last = writeDoc(m.root, SetName, s.rec); last != nil {
			m.Fail(last)
			continue
		}
		ok = true
	}
	if !ok {
		return errs.E(op, SetName, errs.Mountpath, errors.Join(errors.New("no mountpath can be written"), last))
	}
	s.remind()
	return nil
}

// reminder is the record as the node's own directory has it.
type reminder struct {
	NodeID string    `json:"node_id"`
	Set    setRecord `json:"set"`
}

// recall takes the record of the node's own directory. It is only needed when no mountpath that is configured has one: what cannot be read is no
// reason not to start.
func (s *Set) recall(nodeID string) {
	r, err := s.kept()
	switch {
	case err != nil:
		s.log.Warn("the node's copy of its mountpaths' record cannot be read", "dir", s.home, "err", err)
	case nodeID != "" && r.NodeID == nodeID:
		s.rec = r.Set
	}
}

func (s *Set) kept() (r reminder, err error) {
	if s.home == "" {
		return r, nil
	}
	root, err := s.sys.OpenRoot(s.home)
	if err == nil {
		err = errors.Join(readDoc(root, HomeName, &r), root.Close())
	}
	if errs.KindOf(err) == errs.NotFound {
		err = nil
	}
	return r, err
}

// remind writes the record into the node's own directory.
func (s *Set) remind() {
	if s.home == "" {
		return
	}
	root, err := s.sys.OpenRoot(s.home)
	if err == nil {
		r := reminder{Set: s.rec}
		if i := slices.IndexFunc(s.mps, func(m *Mountpath) bool { return m.marker.NodeID != "" }); i >= 0 {
			r.NodeID = s.mps[i].marker.NodeID
		}
		err = errors.Join(writeDoc(root, HomeName, r), root.Close())
	}
	if err != nil {
		s.log.Warn("the node keeps no copy of its mountpaths' record", "dir", s.home, "err", err)
	}
}

// everywhere reports whether every usable mountpath, and the node's own directory, has the record of this version.
func (s *Set) everywhere() bool {
	if r, err := s.kept(); s.home != "" && (err != nil || r.Set.Version != s.rec.Version) {
		return false
	}
	for _, m := range s.mps {
		var rec setRecord
		if m.Err() == nil && (readDoc(m.root, SetName, &rec) != nil || rec.Version != s.rec.Version) {
			return false
		}
	}
	return true
}

// build computes how names are placed from the record.
func (s *Set) build() {
	s.gens = nil
	for i := len(s.rec.Generations) - 1; i >= 0; i-- {
		var g generation
		for _, mb := range s.rec.Generations[i] {
			g.cands = append(g.cands, cluster.Candidate{Digest: cluster.NodeDigest(mb.ID), Weight: mb.Weight})
			g.at = append(g.at, s.byID(mb.ID))
		}
		s.gens = append(s.gens, g)
	}
}

func (s *Set) byID(id string) int {
	return slices.IndexFunc(s.mps, func(m *Mountpath) bool { return m.ID() == id })
}

// All returns the mountpaths ordered by id, those out of service too.
func (s *Set) All() []*Mountpath { return s.mps }

// Settled reports whether every name is at its present home.
func (s *Set) Settled() bool { return len(s.gens) == 1 }

// Home returns the index in All of the mountpath where key is written.
func (s *Set) Home(key string) int {
	g := &s.gens[0]
	if len(g.at) == 1 {
		return g.at[0]
	}
	return g.at[cluster.Pick(cluster.Digest(0, key), g.cands)]
}

// Homes appends to buf the indexes in All of every mountpath where key may be, the present home first.
func (s *Set) Homes(key string, buf []int) []int {
	if s.Settled() {
		return append(buf, s.Home(key))
	}
	d := cluster.Digest(0, key)
	for i := range s.gens {
		g := &s.gens[i]
		p := cluster.Pick(d, g.cands)
		if p < 0 || g.at[p] < 0 {
			continue
		}
		if at := g.at[p]; !slices.Contains(buf, at) {
			buf = append(buf, at)
		}
	}
	return buf
}

// Bind writes the cluster's id into every marker; kind Conflict when one belongs to another cluster.
func (s *Set) Bind(uuid string) error {
	const op = "fs.Set.Bind"
	for _, m := range s.mps {
		if have := m.marker.ClusterUUID; have != "" && have != uuid {
			return errs.F(op, m.path, errs.Conflict, "belongs to cluster %s, not %s", have, uuid)
		}
	}
	for _, m := range s.mps {
		if m.Err() == nil && m.marker.ClusterUUID == "" {
			if err := m.bind(uuid); err != nil {
				m.Fail(err)
			}
		}
	}
	return nil
}

// Close closes every mountpath.
func (s *Set) Close() error { return closeAll(s.mps) }

// OpenStopped opens one mountpath of a node that is not running, as a set of its own. It writes nothing
// but takes the lock: kind Conflict while a node runs.
func OpenStopped(sys FS, path string, log *slog.Logger) (*Set, error) {
	const op = "fs.OpenStopped"
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Set{sys: sys, log: log, start: &start{}}
	m := newMountpath(path, sys, log)
	s.mps = []*Mountpath{m}
	found, err := s.find(m)
	switch {
	case err != nil:
	case m.root == nil && m.Err() == nil:
		err = errs.E(op, path, errs.NotFound, "no such directory")
	case !found && m.Err() == nil:
		err = errs.F(op, path, errs.NotFound, "no marker %s: not a mountpath", MarkerName)
	default:
		err = m.Err()
	}
	if err == nil {
		m.fsid, err = m.root.FSID()
	}
	if err != nil {
		return nil, errs.E(op, path, errors.Join(err, closeAll(s.mps)))
	}
	s.gens = []generation{{cands: []cluster.Candidate{{Digest: cluster.NodeDigest(m.ID()), Weight: 1}}, at: []int{0}}}
	return s, nil
}
