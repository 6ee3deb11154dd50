package control

import (
	"context"

	"aistore/cluster"
	"aistore/errs"
)

// rootless reports whether the cluster lacks the administrator that this node can give it: it was founded by a
// release that knew no users. Later there is always one, since the last one cannot be removed.
func (r *reign) rootless(mach *cluster.Machine) bool {
	return len(mach.Users.Users) == 0 && r.c.cfg.Root.Access != ""
}

// giveRoot adds the administrator once this primary has heard from all nodes that they know users: an older voter
// would stop at the command, and an older follower would lose the users that the view brings.
func (r *reign) giveRoot(ctx context.Context, v *cluster.View) {
	cmd := cluster.RootUser(r.c.cfg.Root)
	for id, level := range r.led.levels(v.Map) {
		if level < cluster.Needs(cmd) {
			r.c.log.Debug("no administrator is added yet: a node is not heard yet, or runs an older release", "node", id, "level", level)
			return
		}
	}
	if _, err := r.commit(ctx, "", cmd); err != nil {
		r.c.log.Warn("cannot add the first administrator", "err", err)
		return
	}
	r.c.log.Info("the cluster had no users: an administrator was added", "access_key", r.c.cfg.Root.Access)
}

// understood refuses what a node that has been heard cannot apply. One that is silent does not count: it would
// hold up every change, and an old one stops when it meets the entry.
func (r *reign) understood(cmd cluster.Command) error {
	needs := cluster.Needs(cmd)
	for id, level := range r.led.levels(r.m.fsm.machine().Map) {
		if level != unheard && level < needs {
			return errs.F("control.Propose", cmd.Op(), errs.Conflict, "node %s runs an older release that does not know this: upgrade all nodes first", id)
		}
	}
	return nil
}

// unheard is the level of a node that has not spoken to this primary.
const unheard = -1

// levels returns the level of every node that lives or votes.
func (l *ledger) levels(m *cluster.Map) map[cluster.NodeID]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	ls := map[cluster.NodeID]int{}
	for id, n := range m.Nodes {
		if !n.Alive && !n.Voter {
			continue
		}
		ls[id] = unheard
		if r := l.nodes[id]; r != nil {
			ls[id] = r.beat.Level
		}
	}
	return ls
}
