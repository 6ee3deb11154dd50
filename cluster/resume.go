package cluster

import (
	"time"

	"aistore/errs"
)

// Leaps of a state that goes on without its voters: nodes may have seen more than is known of, and must take what comes for newer.
const (
	leapIndex = 1_000_000 // of the log and of versions
	leapEpoch = 1_000     // of epochs and ids of buckets
)

// StateOf is the state that a view shows; what views do not show, ids of decommissioned nodes among it, is empty.
func StateOf(v *View) *Machine {
	return &Machine{Index: v.Index, Map: v.Map, Buckets: v.Buckets, Config: v.Config, Users: v.Users, Secret: v.Secret}
}

// Newer is m with what v shows, if that is newer.
func (m *Machine) Newer(v *View) *Machine {
	if v == nil || v.Index <= m.Index {
		return m
	}
	s := StateOf(v)
	s.Retired, s.Recent, s.Forgotten = m.Retired, m.Recent, m.Forgotten
	s.FormerLease, s.LeaseSince = m.FormerLease, m.LeaseSince
	return s
}

// Resume returns the state with which a cluster goes on whose voters are lost: one node votes, under the name log that its copy of the log has.
// Everything is newer than what any node can have seen, and where there are buckets a rebalance begins that looks at all objects: nobody knows
// what was decided last. m stays as it is.
func (m *Machine) Resume(node NodeID, log string, now time.Time) (*Machine, error) {
	const op = "cluster.Resume"
	if m.Map.Nodes[node] == nil {
		return nil, errs.E(op, string(node), errs.Invalid, "is not in the cluster map")
	}
	before := *m
	cm, bs, cfg := *m.Map, *m.Buckets, *m.Config
	cm.Version += leapIndex
	cm.Epoch += leapEpoch
	bs.Version += leapIndex
	bs.NextID += leapEpoch
	cfg.Version += leapIndex
	before.Map, before.Buckets, before.Config = &cm, &bs, &cfg
	before.Users = &UserMap{Version: m.Users.Version + leapIndex, Users: m.Users.Users}
	c := &change{Machine: before, now: now, by: node, again: len(bs.Buckets) > 0 && len(cm.Targets()) > 0}
	for _, cmd := range []Command{SetVoters{Voters: map[NodeID]string{node: log}}, SetPrimary{ID: node}} {
		if err := cmd.apply(c); err != nil {
			return nil, err
		}
	}
	c.settleEpoch(&before)
	c.Users.freeze()
	c.Machine.Index = m.Index + leapIndex
	if err := c.Machine.Check(); err != nil {
		return nil, errs.E(op, string(node), errs.Corrupt, err)
	}
	return &c.Machine, nil
}
