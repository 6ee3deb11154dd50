package control

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/errs"
)

// pulse is this node's side of the heartbeat.
type pulse struct{ *Control }

// beat tells the primary that this node lives: every timeout.heartbeat, and at once when it has a new view.
func (c pulse) beat(ctx context.Context) error {
	if _, err := c.views.wait(ctx, 1); err != nil {
		return nil
	}
	failed := 0
	lagging := uint64(0) // the primary had told of this index already with the answer before
	for {
		v := c.View()
		t := v.Config.Timeout
		invited := c.invited.Load()
		sent := c.lease.clock()
		rep, err := c.beatOnce(ctx, v)
		pause := t.Heartbeat.D()
		if err != nil {
			failed++
			c.missed.Add(1)
			c.logMissed(failed, err)
			pause = min(pause, 200*time.Millisecond)
			if failed%10 == 0 { // nobody of the last view answers: everybody may have moved
				entrance(c).discover(ctx)
			}
		} else {
			failed = 0
			c.beats.Add(1)
			c.heed(ctx, rep, sent, invited)
			if err := c.rejoin(ctx, rep); err != nil {
				return err
			}
			if lagging > c.View().Index {
				c.catchUp(ctx)
			}
			lagging = rep.Index
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.kickBeat:
		case <-c.Watch(v.Index):
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// report asks the node for its report after each heartbeat. It may look at disks: one that hangs must not
// keep the node from saying that it lives.
func (c pulse) report(ctx context.Context) error {
	for {
		var r Report
		if c.cfg.Report != nil {
			r = c.cfg.Report()
		}
		ownDisk{c.Control}.look(ctx, &r)
		c.reported.Store(&r)
		select {
		case <-c.kickReport:
		case <-ctx.Done():
			return nil
		}
	}
}

// beatNow makes the next heartbeat due.
func (c *Control) beatNow() {
	select {
	case c.kickBeat <- struct{}{}:
	default:
	}
}

// settling is how long after its start a node need not be heard yet: all that start together elect a primary first.
const settling = 5 * time.Second

func (c pulse) logMissed(failed int, err error) {
	attrs := []any{"times", failed, "lease_left", c.lease.left(), "err", err}
	switch {
	case failed < 4 || time.Since(c.started) < settling: // as at every start, and while a new one is elected
		c.log.Debug("no primary answers heartbeats yet", attrs...)
	case failed&(failed-1) != 0: // 4, 8 ...: soon, then ever more seldom
	case failed < 64:
		c.log.Warn("no primary answers heartbeats", attrs...)
	default:
		c.log.Warn("no primary answers heartbeats", append(attrs, "hint", "if most voters are lost for good, see ais advanced recover-cluster --help")...)
	}
}

// rejoin asks to be let in again when the node was removed from the map while it was down. One that is removed while it runs stays out
// until somebody starts it again.
func (c pulse) rejoin(ctx context.Context, rep heartbeatReply) error {
	if !rep.Removed || c.lease.met.Load() {
		return nil
	}
	err := entrance(c).joinAt(ctx, rep.Addr)
	if errs.Is(err, errs.Forbidden, errs.Invalid) {
		return err
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("cannot join again yet", "err", err)
	}
	return nil
}

// heed does what the primary's answer says.
func (c pulse) heed(ctx context.Context, rep heartbeatReply, sent time.Time, invited uint64) {
	switch {
	case rep.Unknown:
		if rep.Retired {
			c.retired.Store(true)
		}
		c.lease.refuse("this node is not in the cluster map: it was removed or decommissioned; if it was removed, start it again and it joins, with empty disks")
		return
	case rep.Twin != "":
		if c.missed.Add(1); c.lease.off.Load() == nil { // once
			c.log.Error("another process serves under this node's id; this one does not serve", "node", c.cfg.Self.ID, "there", rep.Twin)
		}
		c.twin.Store(&rep.Twin)
		c.lease.refuse("another process serves under this node's id at " + rep.Twin + ": a copied disk carries its node's identity; stop one of the two")
		return
	case rep.Announce:
		(starter{c.Control}).tell(rep.Last)
	case rep.Lease > 0:
		c.lease.meet(rep.Index)
		c.lease.renew(sent, rep.Lease.D())
		c.turns.tell()
	}
	c.lease.refuse("")
	if rep.Retire && c.invited.Load() == invited {
		select {
		case c.retire <- invited:
		case <-ctx.Done():
		default: // has been told already
		}
	}
}

// beatOnce asks one node after the other until one answers as primary.
func (c pulse) beatOnce(ctx context.Context, v *cluster.View) (heartbeatReply, error) {
	hb := heartbeat{
		Cluster: v.Map.UUID, Node: c.announced(), Boot: c.boot, View: v.Index,
		Uptime: cluster.Duration(time.Since(c.started)), Version: c.cfg.Version, Level: c.cfg.level,
	}
	if id := c.logID.Load(); id != nil {
		hb.LogID = *id
	}
	if c.cfg.Disks != nil {
		hb.Start = c.cfg.Disks.Boot()
	}
	if r := c.reported.Load(); r != nil {
		hb.Report = *r
	}
	hb.Report.Alerts = ownDisk{c.Control}.alerts(hb.Report.Alerts)
	c.mu.Lock()
	hb.Era = c.era
	c.mu.Unlock()
	select {
	case c.kickReport <- struct{}{}: // for the next one
	default:
	}
	limit := max(50*time.Millisecond, min(v.Config.Timeout.Lease.D()/3, 2*time.Second))
	var last error
	asked := map[cluster.NodeID]bool{}
	queue := c.whoMayLead(v)
	for len(queue) > 0 && len(asked) < 8 {
		id := queue[0]
		queue = queue[1:]
		if asked[id] {
			continue
		}
		asked[id] = true
		rep, err := c.ask(ctx, id, hb, limit)
		if err == nil && !rep.NotPrimary {
			c.leader.set(id, c.book.addr(id))
			return rep, nil
		}
		c.leader.clear(id)
		if ctx.Err() != nil {
			return rep, ctx.Err()
		}
		if err != nil {
			last = err
		} else if rep.Primary != "" && !asked[rep.Primary] {
			queue = append([]cluster.NodeID{rep.Primary}, queue...)
			c.hint(rep.Primary, rep.Addr)
		}
	}
	if last == nil {
		last = errs.E("control.beat", "primary", errs.Unavailable, "no node says that it is the primary")
	}
	return heartbeatReply{}, last
}

// ask sends hb to one node, which may be this one.
func (c pulse) ask(ctx context.Context, id cluster.NodeID, hb heartbeat, limit time.Duration) (heartbeatReply, error) {
	if id == c.cfg.Self.ID {
		return c.answer(ctx, hb), nil
	}
	var rep heartbeatReply
	addr := c.book.addr(id)
	if addr == "" {
		return rep, errs.E("control.beat", string(id), errs.NotFound, "no address is known")
	}
	err := c.call(ctx, limit, "POST", "http://"+addr+pathHeartbeat, &hb, &rep)
	return rep, err
}

// answer deals with a heartbeat that reached this node.
func (c *Control) answer(ctx context.Context, hb heartbeat) heartbeatReply {
	if hb.Node.ID != c.cfg.Self.ID {
		c.book.learn(hb.Node.ID, hb.Node.IntraAddr)
	}
	if r := c.reign.Load(); r != nil {
		return r.answer(ctx, hb)
	}
	rep := heartbeatReply{NotPrimary: true}
	if id := c.raftLeader(); id != "" {
		rep.Primary, rep.Addr = id, c.book.addr(id)
	} else if l, _ := c.leader.get(); l != nil {
		rep.Primary, rep.Addr = l.id, l.addr
	}
	return rep
}

// raftLeader returns the leader that this node's copy of the log knows, "" if it has none or knows none.
func (c *Control) raftLeader() cluster.NodeID {
	m := c.member.Load()
	if m == nil {
		return ""
	}
	_, id := m.raft.LeaderWithID()
	if id == "" {
		return ""
	}
	return nodeOf(id)
}

// whoMayLead lists nodes to ask, the likeliest first.
func (c pulse) whoMayLead(v *cluster.View) []cluster.NodeID {
	var ids []cluster.NodeID
	if c.reign.Load() != nil {
		ids = append(ids, c.cfg.Self.ID)
	}
	if id := c.raftLeader(); id != "" && id != c.cfg.Self.ID {
		ids = append(ids, id)
	}
	if l, _ := c.leader.get(); l != nil {
		ids = append(ids, l.id)
	}
	ids = append(ids, v.Map.Primary)
	for _, voter := range []bool{true, false} {
		for _, n := range v.Map.All() {
			if n.Voter == voter && n.ID != c.cfg.Self.ID {
				ids = append(ids, n.ID)
			}
		}
	}
	return ids
}

// hint notes an address that another node gave, unless one is known already.
func (c pulse) hint(id cluster.NodeID, addr string) {
	if addr != "" && id != c.cfg.Self.ID && c.book.addr(id) == "" {
		c.book.learn(id, addr)
	}
}

// announced is what this node says of itself.
func (c *Control) announced() cluster.Node {
	s := c.cfg.Self
	return cluster.Node{ID: s.ID, Role: s.Role, PublicURL: s.PublicURL, IntraAddr: s.IntraAddr, Weight: s.Weight, Zone: s.Zone, Manual: s.Manual}
}

// memberState says what raft says of this node.
func memberState(m *member) string {
	if m == nil {
		return "none"
	}
	switch m.raft.State() {
	case raft.Leader:
		return "leader"
	case raft.Candidate:
		return "candidate"
	case raft.Follower:
		return "follower"
	}
	return "stopped"
}
