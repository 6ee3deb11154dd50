package fs

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

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
	sys       FS
	log       *slog.Logger
	mps       []*Mountpath // ordered by id; those out of service too
	gens      []generation // the present one first
	rec       setRecord
	dir       string       // see SetConfig.Home
	reminding *atomic.Bool // it is being written there
	start     *start
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
	s := &Set{sys: cfg.FS, log: cfg.Log, dir: cfg.Home, reminding: new(atomic.Bool), start: &start{id: cfg.Boot}}
	if err := (&opening{Set: s}).all(cfg); err != nil {
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
	m.fsid, _ = r.FSID() // settleIn tells of an error
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
	o := await(m, func() (o outcome) { o.lock, o.err = r.Lock(LockName); return o })
	if errs.Is(o.err, errs.Conflict) {
		return false, o.err
	}
	if o.err != nil {
		m.Fail(o.err)
		return true, nil
	}
	m.lock = o.lock
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
	if err := putDoc(m, MarkerName, m.marker); err != nil {
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
		return errs.E("fs.Set", "mountpaths", errs.Mountpath, errors.Join(errors.New("none in service can be used, and one that is disabled can be enabled only while the node runs"), s.outside()))
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

// outside says why those are not used that nobody has disabled.
func (s *Set) outside() error {
	var all []error
	for _, m := range s.mps {
		if as, out := s.rec.out(m.ID()); !out || as.Standing != SetAside {
			all = append(all, m.Err())
		}
	}
	return errors.Join(all...)
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
		if last = putDoc(m, SetName, s.rec); last != nil {
			m.Fail(last)
			continue
		}
		ok = true
	}
	if !ok {
		return errs.E(op, SetName, errs.Mountpath, errors.Join(errors.New("no mountpath can be written"), last))
	}
	(home{s}).remind()
	return nil
}

// everywhere reports whether every usable mountpath, and the node's own directory, has the record of this version.
func (s *Set) everywhere() bool {
	if !(home{s}).knows() {
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
	m.found = m.marker.Starts
	if err == nil {
		m.fsid, err = m.root.FSID()
	}
	if err != nil {
		return nil, errs.E(op, path, errors.Join(err, closeAll(s.mps)))
	}
	s.gens = []generation{{cands: []cluster.Candidate{{Digest: cluster.NodeDigest(m.ID()), Weight: 1}}, at: []int{0}}}
	return s, nil
}
