package control

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/errs"
)

// departing returns the nodes that cmd takes out of service or out of the map.
func departing(cmd cluster.Command) []cluster.NodeID {
	switch c := cmd.(type) {
	case cluster.ForgetNode:
		return []cluster.NodeID{c.ID}
	case cluster.MoveNodes:
		if c.Step == cluster.StartMaintenance || c.Step == cluster.ShutdownNode || c.Step == cluster.DecommissionNode {
			return c.IDs
		}
	}
	return nil
}

// release commits a command that takes nodes away. What only they could do others do by then: the primary's part is handed over first,
// then the seats; and a node that the change takes out of the map, which nobody asks about it any more, has no lease left.
func (r *reign) release(ctx context.Context, id string, cmd cluster.Command, who []cluster.NodeID) (cluster.Result, error) {
	if err := r.allowed(id, cmd); err != nil {
		return cluster.Result{}, err
	}
	if slices.Contains(who, r.c.cfg.Self.ID) {
		return cluster.Result{}, r.abdicate(ctx, id, cmd, who)
	}
	r.releases.RLock()
	defer r.releases.RUnlock()
	lost := r.vanishing(cmd)
	r.led.bar(lost)
	defer r.led.unbar(lost)
	if err := r.leasesEnd(ctx, lost); err != nil {
		return cluster.Result{}, err
	}
	res, err := r.vacate(ctx, id, cmd, who)
	if err != nil {
		return res, err
	}
	return res, r.settle(ctx, res.Index, "", cluster.Fenced(cmd))
}

// allowed applies cmd to a copy of the state, so that what is refused changes nothing beforehand. Being the primary is no reason here.
func (r *reign) allowed(id string, cmd cluster.Command) error {
	mach := r.m.fsm.machine()
	m := *mach.Map
	m.Primary = ""
	mach.Map = &m
	_, err := mach.Apply(mach.Index+1, cluster.Entry{ID: id, Time: time.Now(), By: r.c.cfg.Self.ID, Command: cmd})
	return err
}

// abdicate makes a node the primary that stays. Its error sends the proposal there. This node may be the primary for no other reason than that a change
// takes its predecessor away: that change has its turn first. Two that each hand over to the node that the other takes away would do nothing else.
func (r *reign) abdicate(ctx context.Context, id string, cmd cluster.Command, who []cluster.NodeID) error {
	const op = "control.Propose"
	self := r.c.cfg.Self.ID
	turn := time.NewTimer(time.Until(r.began.Add(r.c.cfg.Timing.Election)))
	defer turn.Stop()
	select {
	case <-turn.C:
	case <-ctx.Done():
		return errs.F(op, string(self), errs.Timeout, "is the primary since a moment, and does not hand over yet: %w", ctx.Err())
	}
	r.releases.Lock()
	defer r.releases.Unlock()
	if err := r.allowed(id, cmd); err != nil { // it may have had its turn by now
		return err
	}
	to := r.successor(who)
	if to == "" {
		return errs.F(op, string(self), errs.Conflict, "is the primary, and no other live node in service can take its place: %s is not possible", cmd.Op())
	}
	r.c.log.Info("the primary is to leave and hands over first", "node", self, "to", to)
	if _, err := r.handOver(ctx, to); err != nil {
		return err
	}
	return errs.F(op, string(self), errs.NotPrimary, "%s is the primary now", to)
}

// successor chooses who leads when the nodes of who are gone: voters first, then gateways, then by id; "" if nobody can.
func (r *reign) successor(who []cluster.NodeID) cluster.NodeID {
	var best *cluster.Node
	better := func(n, o *cluster.Node) bool {
		if n.Voter != o.Voter {
			return n.Voter
		}
		return n.Role.Gateway() && !o.Role.Gateway()
	}
	for _, n := range r.m.fsm.machine().Map.All() {
		if n.Alive && !leaving(n) && !slices.Contains(who, n.ID) && n.ID != r.c.cfg.Self.ID && (best == nil || better(n, best)) {
			best = n
		}
	}
	if best == nil {
		return ""
	}
	return best.ID
}

// vanishing returns the nodes that are not in the map any more after cmd.
func (r *reign) vanishing(cmd cluster.Command) []cluster.NodeID {
	mach := r.m.fsm.machine()
	before := mach.Map
	if _, err := mach.Apply(mach.Index+1, cluster.Entry{Time: time.Now(), By: r.c.cfg.Self.ID, Command: cmd}); err != nil {
		return nil
	}
	var gone []cluster.NodeID
	for id := range before.Nodes {
		if mach.Map.Nodes[id] == nil {
			gone = append(gone, id)
		}
	}
	return gone
}

// leasesEnd waits until none of the nodes, whose leases are not renewed, may serve.
func (r *reign) leasesEnd(ctx context.Context, ids []cluster.NodeID) error {
	for _, id := range ids {
		t := time.NewTimer(time.Until(r.led.leaseEnd(id)))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return errs.F("control.Propose", string(id), errs.Timeout, "still has a lease: %w", ctx.Err())
		}
		t.Stop()
	}
	return nil
}

// vacate gives the seats of the nodes of who to others, if there are any, and commits cmd before the voters are looked at again. A seat
// that cannot be given away now is no reason to refuse: it is given away later, or kept, or given up.
func (r *reign) vacate(ctx context.Context, id string, cmd cluster.Command, who []cluster.NodeID) (cluster.Result, error) {
	r.seats.Lock()
	defer r.seats.Unlock()
	for _, node := range who {
		if err := r.replaceVoter(ctx, node, who); err != nil {
			r.c.log.Warn("a node that leaves keeps its vote for now", "node", node, "err", err)
		}
	}
	if err := r.thin(ctx, who); err != nil {
		r.c.log.Warn("nodes that leave keep votes that the others need", "nodes", who, "err", err)
	}
	return r.commit(ctx, id, cmd)
}

// thin takes votes from nodes that leave, until those that stay are a majority without them: the processes may end as soon as the change is
// committed, all together, and those of decommissioned nodes for ever.
func (r *reign) thin(ctx context.Context, who []cluster.NodeID) error {
	m := *r.m.fsm.machine().Map
	m.Nodes = maps.Clone(m.Nodes)
	for _, id := range who {
		if n := m.Nodes[id]; n != nil {
			gone := *n
			gone.State, gone.Phase = cluster.Shutdown, ""
			m.Nodes[id] = &gone
		}
	}
	for {
		servers := r.m.raft.GetConfiguration().Configuration().Servers
		if slices.ContainsFunc(servers, func(s raft.Server) bool { return m.Nodes[nodeOf(s.ID)] == nil }) {
			return nil // the voter loop removes it first
		}
		b := r.bench(&m, servers, func(cluster.NodeID) bool { return false })
		voters, _ := b.split()
		s, ok := b.hostage(voters)
		if !ok || s.ID == r.m.id {
			return nil
		}
		r.c.log.Info("a node that leaves gives up its vote", "server", s.ID)
		if err := r.reconfigure(ctx, r.m.raft.RemoveServer(s.ID, 0, enqueueTimeout)); err != nil {
			return err
		}
	}
}

func (r *reign) replaceVoter(ctx context.Context, node cluster.NodeID, who []cluster.NodeID) error {
	m := r.c.View().Map
	servers := r.m.raft.GetConfiguration().Configuration().Servers
	b := r.bench(m, servers, func(id cluster.NodeID) bool { return slices.Contains(who, id) })
	voters, others := b.split()
	at := slices.IndexFunc(voters, func(s raft.Server) bool { return nodeOf(s.ID) == node })
	if at < 0 {
		return nil
	}
	n := b.candidate(voters, others)
	if n == nil {
		return nil
	}
	if err := r.promote(ctx, n); err != nil {
		return err
	}
	r.c.log.Info("a seat changes hands", "from", node, "to", n.ID)
	return r.reconfigure(ctx, r.m.raft.RemoveServer(voters[at].ID, 0, enqueueTimeout))
}
