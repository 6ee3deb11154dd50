package cluster

import (
	"errors"
	"fmt"

	"aistore/errs"
)

// Check joins every broken invariant of the state. A state that fails it was not made by Apply.
func (m *Machine) Check() error {
	if m.Map == nil || m.Buckets == nil || m.Config == nil || m.Users == nil {
		return errors.New("a part is missing")
	}
	if !m.Founded() && m.Index == 0 && len(m.Map.Nodes) == 0 && len(m.Buckets.Buckets) == 0 && len(m.Users.Users) == 0 {
		return nil
	}
	faults := []error{checkParts(m.Map, m.Buckets, m.Config, m.Secret), m.Users.check()}
	for _, id := range m.Retired {
		if m.Map.Nodes[id] != nil {
			faults = append(faults, fmt.Errorf("retired node %s is in the map", id))
		}
	}
	if len(m.Recent) > recentMax {
		faults = append(faults, fmt.Errorf("%d recent proposals are remembered", len(m.Recent)))
	}
	return errors.Join(faults...)
}

func (v *View) check() error {
	if v.Map == nil || v.Buckets == nil || v.Config == nil || v.Users == nil {
		return errors.New("a part is missing")
	}
	return errors.Join(checkParts(v.Map, v.Buckets, v.Config, v.Secret), v.Users.check())
}

func checkParts(m *Map, bs *BucketMap, cfg *Config, secret []byte) error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if m.UUID == "" || len(secret) < 16 {
		bad("no cluster uuid or secret")
	}
	for id, n := range m.Nodes {
		switch {
		case n == nil || n.ID != id:
			bad("node %q is not under its id", string(id))
		case n.Digest != NodeDigest(string(id)):
			bad("node %s has a wrong placement digest", id)
		case n.Voter != (n.RaftID != ""):
			bad("node %s: voter without raft id, or the reverse", id)
		case n.Phase != "" && !n.Role.Target() && n.Phase != Drained:
			bad("node %s is %s and no target", id, n.Phase)
		default:
			faults = append(faults, CheckNodeID(id))
		}
	}
	checkSources(m, bad)
	seen := map[uint64]bool{}
	for key, b := range bs.Buckets {
		switch {
		case b == nil || b.Key() != key:
			bad("bucket %q is not under its name", key)
		case b.ID == 0 || b.ID >= bs.NextID || seen[b.ID]:
			bad("bucket %v has id %d: used twice, or not given out yet", b, b.ID)
		case b.Version > bs.Version:
			bad("bucket %v is newer than the bucket map", b)
		default:
			faults = append(faults, CheckBucketName(b.Name), CheckNamespace(b.Namespace), b.Props.Validate())
			seen[b.ID] = true
		}
	}
	return errors.Join(append(faults, cfg.Validate())...)
}

// checkSources finds what contradicts itself in who may hold what it does not own.
func checkSources(m *Map, bad func(string, ...any)) {
	for id, s := range m.Sources {
		switch n := m.Nodes[id]; {
		case n == nil || !n.Role.Target():
			bad("source %s is no target of the map", id)
		case s.Stage != Moving && s.Stage != Moved && s.Stage != Swept, s.Keeps && s.Stage != Moved:
			bad("source %s is %q, keeps: %v", id, string(s.Stage), s.Keeps)
		case s.Keeps && n.InService():
			bad("source %s keeps copies and is in service", id)
		}
	}
	if len(m.Former) > 0 != m.Rebalancing() {
		bad("%d former placements, sources at work: %v", len(m.Former), m.Rebalancing())
	}
	if m.Settled > m.Epoch {
		bad("settled at epoch %d of %d", m.Settled, m.Epoch)
	}
	for i, p := range m.Former {
		if len(p.Targets) == 0 || p.Epoch >= m.Epoch || i > 0 && p.Epoch <= m.Former[i-1].Epoch {
			bad("former placement %d is of epoch %d with %d targets", i, p.Epoch, len(p.Targets))
		}
	}
}

// Follows joins every rule that next breaks as a successor of v: indexes and versions only grow, a part
// that changed has a new version, ids of buckets are never given out again, the epoch grows exactly
// when names move.
func (v *View) Follows(next *View) error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, errs.F("cluster.Follows", "view", errs.Corrupt, format, args...))
	}
	if next.Index < v.Index || next.Map.Version < v.Map.Version || next.Buckets.Version < v.Buckets.Version || next.Config.Version < v.Config.Version ||
		next.Users.Version < v.Users.Version {
		bad("index %d or a version went back", next.Index)
	}
	if next.Map.UUID != v.Map.UUID {
		bad("the cluster became another: %s -> %s", v.Map.UUID, next.Map.UUID)
	}
	if next.Buckets.NextID < v.Buckets.NextID {
		bad("bucket ids went back to %d", next.Buckets.NextID)
	}
	for _, b := range next.Buckets.Buckets {
		if b.ID < v.Buckets.NextID && v.byID[b.ID] == nil {
			bad("bucket %v has the id %d of a destroyed one", b, b.ID)
		}
	}
	owners, ranks := moved(v.Map, next.Map)
	if next.Map.Epoch < v.Map.Epoch || (owners || ranks) && next.Map.Epoch == v.Map.Epoch {
		bad("epoch %d -> %d, names moved: %v", v.Map.Epoch, next.Map.Epoch, owners || ranks)
	}
	return errors.Join(faults...)
}
