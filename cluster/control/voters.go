package control

import (
	"context"
	"net/url"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
	"aistore/errs"
)

// wanted is how many nodes vote in a cluster of n: an odd number, since an even one survives no more losses
// than the next smaller.
func wanted(n int) int {
	switch {
	case n >= 5:
		return 5
	case n >= 3:
		return 3
	}
	return 1
}

// nodeOf returns whose copy of the log a server is.
func nodeOf(id raft.ServerID) cluster.NodeID { return statedir.NodeOf(string(id)) }

// bench is what the choice of voters depends on.
type bench struct {
	m       *cluster.Map
	servers []raft.Server
	self    cluster.NodeID
	gone    func(cluster.NodeID) bool // lost for so long that another may take its seat
	barred  func(cluster.NodeID) bool // failed to become a voter a short while ago
	lostLog func(raft.ServerID) bool  // its node is there, but has another copy of the log, or none
}

// step is the next change of the log's configuration; one at a time.
type step struct {
	do     stepKind
	node   cluster.NodeID // promote
	server raft.ServerID  // remove, readdress
	addr   string         // readdress
}

type stepKind int

const (
	stepNone stepKind = iota
	stepPromote
	stepRemove
	stepReaddress
	stepHandOver // this node must give up its seat: another leads first
)

// next chooses the step: first what is wrong is removed, then seats are filled, then better holders found.
func (b bench) next() step {
	voters, others := b.split()
	for _, s := range b.servers {
		n := b.m.Nodes[nodeOf(s.ID)]
		if n == nil || b.lostLog(s.ID) {
			return b.remove(s, voters)
		}
		if n.Alive && string(s.Address) != n.IntraAddr {
			return step{do: stepReaddress, server: s.ID, addr: n.IntraAddr}
		}
	}
	want := wanted(b.members())
	candidate := b.candidate(voters, others)
	due := candidate != nil && len(voters) <= want && b.alive(voters)+1 >= (len(voters)+1)/2+1 &&
		(len(voters) < want || b.anyGone(voters) || b.anyLeaving(voters) || candidate.Role.Gateway() && b.anyTarget(voters))
	for _, s := range others { // left behind by a primary that ended half-way
		if !due || candidate.ID != nodeOf(s.ID) {
			return step{do: stepRemove, server: s.ID}
		}
	}
	if due {
		return step{do: stepPromote, node: candidate.ID}
	}
	if s, ok := b.hostage(voters); ok {
		return b.remove(s, voters)
	}
	if len(voters) > want || b.anyDoomed(voters) {
		if s, ok := b.surplus(voters); ok {
			return b.remove(s, voters)
		}
	}
	return step{}
}

// leaving reports whether a node is out of service, or on its way: another should have its seat. Without another it keeps it,
// as a lost one does, unless it is decommissioned and will never be back, or the others are no majority without it (hostage).
func leaving(n *cluster.Node) bool {
	return n.Phase != cluster.Joining && (n.State == cluster.Maintenance || n.State == cluster.Shutdown || n.State == cluster.Decommissioned)
}

func (b bench) split() (voters, others []raft.Server) {
	for _, s := range b.servers {
		if s.Suffrage == raft.Voter {
			voters = append(voters, s)
		} else {
			others = append(others, s)
		}
	}
	return voters, others
}

func (b bench) anyLeaving(voters []raft.Server) bool {
	return slices.ContainsFunc(voters, func(s raft.Server) bool { return leaving(b.m.Nodes[nodeOf(s.ID)]) })
}

// anyDoomed reports whether a decommissioned node votes.
func (b bench) anyDoomed(voters []raft.Server) bool {
	return slices.ContainsFunc(voters, func(s raft.Server) bool { return b.m.Nodes[nodeOf(s.ID)].State == cluster.Decommissioned })
}

// members counts the nodes that belong to the cluster, also those that are away.
func (b bench) members() int {
	n := 0
	for _, node := range b.m.Nodes {
		if node.State != cluster.Decommissioned {
			n++
		}
	}
	return n
}

func (b bench) alive(servers []raft.Server) int {
	n := 0
	for _, s := range servers {
		if node := b.m.Nodes[nodeOf(s.ID)]; node != nil && node.Alive {
			n++
		}
	}
	return n
}

func (b bench) anyGone(voters []raft.Server) bool {
	for _, s := range voters {
		if b.gone(nodeOf(s.ID)) {
			return true
		}
	}
	return false
}

// anyTarget reports whether a plain target holds a seat that it could give to a gateway. The primary's stays
// where it is: someone may have chosen it.
func (b bench) anyTarget(voters []raft.Server) bool {
	for _, s := range voters {
		if n := b.m.Nodes[nodeOf(s.ID)]; !n.Role.Gateway() && n.ID != b.self {
			return true
		}
	}
	return false
}

// candidate is the best live node without a seat: one that is on its way first, gateways before targets,
// then by id.
func (b bench) candidate(voters, others []raft.Server) *cluster.Node {
	seated, begun := map[cluster.NodeID]bool{}, map[cluster.NodeID]bool{}
	for _, s := range voters {
		seated[nodeOf(s.ID)] = true
	}
	for _, s := range others {
		begun[nodeOf(s.ID)] = true
	}
	var best *cluster.Node
	better := func(n, o *cluster.Node) bool {
		if begun[n.ID] != begun[o.ID] {
			return begun[n.ID]
		}
		if n.Role.Gateway() != o.Role.Gateway() {
			return n.Role.Gateway()
		}
		return false // All is ordered by id
	}
	for _, n := range b.m.All() {
		ok := n.Alive && !leaving(n) && !seated[n.ID] && !b.barred(n.ID)
		if ok && (best == nil || better(n, best)) {
			best = n
		}
	}
	return best
}

// surplus is the voter to let go: the decommissioned first, then the lost, then who leaves service, then targets, then by id from the
// last, the primary at the very end; never one whose going leaves too few that live.
func (b bench) surplus(voters []raft.Server) (raft.Server, bool) {
	rank := func(s raft.Server) int {
		n := b.m.Nodes[nodeOf(s.ID)]
		switch {
		case n.State == cluster.Decommissioned:
			return 0
		case b.gone(n.ID):
			return 1
		case !n.Alive:
			return 2
		case leaving(n):
			return 3
		case n.ID == b.self:
			return 6
		case !n.Role.Gateway():
			return 4
		}
		return 5
	}
	vs := append([]raft.Server(nil), voters...)
	sort.Slice(vs, func(i, j int) bool {
		if a, b := rank(vs[i]), rank(vs[j]); a != b {
			return a < b
		}
		return vs[i].ID > vs[j].ID
	})
	live := b.alive(voters)
	if n := b.m.Nodes[nodeOf(vs[0].ID)]; n.Alive {
		live--
	}
	return vs[0], live >= (len(vs)-1)/2+1
}

// hostage is a voter that leaves and must not keep its vote: those who leave may all be off at the same time, and those who stay are no majority
// of the voters. Who is off already goes first, the primary last; never one whose going leaves too few that live.
func (b bench) hostage(voters []raft.Server) (raft.Server, bool) {
	var leave []raft.Server
	stay := 0
	for _, s := range voters {
		switch n := b.m.Nodes[nodeOf(s.ID)]; {
		case leaving(n):
			leave = append(leave, s)
		case n.Alive:
			stay++
		}
	}
	if len(leave) == 0 || stay >= len(voters)/2+1 {
		return raft.Server{}, false
	}
	rank := func(s raft.Server) int {
		switch n := b.m.Nodes[nodeOf(s.ID)]; {
		case n.ID == b.self:
			return 2
		case n.Alive:
			return 1
		}
		return 0
	}
	sort.Slice(leave, func(i, j int) bool {
		if a, b := rank(leave[i]), rank(leave[j]); a != b {
			return a < b
		}
		return leave[i].ID > leave[j].ID
	})
	live := b.alive(voters)
	if b.m.Nodes[nodeOf(leave[0].ID)].Alive {
		live--
	}
	return leave[0], live >= (len(voters)-1)/2+1
}

func (b bench) remove(s raft.Server, voters []raft.Server) step {
	if nodeOf(s.ID) == b.self && len(voters) > 1 {
		return step{do: stepHandOver}
	}
	if nodeOf(s.ID) == b.self {
		return step{} // the only voter stays
	}
	return step{do: stepRemove, server: s.ID}
}

// Times of the voter loop.
const (
	votersLook   = 5 * time.Second  // between looks when nothing happens
	votersRetry  = time.Second      // after a step that failed
	votersBarred = 5 * time.Second  // a candidate that failed is left alone for this long
	catchUp      = 20 * time.Second // a candidate gets the log within this time
)

// keepVoters brings the log's configuration to what the cluster map asks for, and the map's list of voters
// to what the configuration is.
func (r *reign) keepVoters(ctx context.Context) error {
	barred := map[cluster.NodeID]time.Time{}
	for {
		changed := r.c.Watch(r.c.View().Index)
		pause := min(votersLook, r.c.cfg.Timing.Replace/4)
		did, err := r.votersOnce(ctx, barred)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			r.c.log.Warn("cannot change the voters", "err", err)
			pause, changed = votersRetry, nil
		case did:
			continue
		}
		t := time.NewTimer(pause)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// votersOnce takes one step; false if there was none to take.
func (r *reign) votersOnce(ctx context.Context, barred map[cluster.NodeID]time.Time) (bool, error) {
	r.seats.Lock()
	defer r.seats.Unlock()
	v := r.c.View() // now, not before: who gives up a seat holds the lock until the map says that it leaves
	servers := r.m.raft.GetConfiguration().Configuration().Servers
	if did, err := r.record(ctx, v, servers); did || err != nil {
		return did, err
	}
	now := time.Now()
	b := r.bench(v.Map, servers, func(id cluster.NodeID) bool { return now.Before(barred[id]) })
	s := b.next()
	switch s.do {
	case stepPromote:
		if err := r.promote(ctx, v.Map.Nodes[s.node]); err != nil {
			barred[s.node] = time.Now().Add(votersBarred)
			return false, err
		}
	case stepRemove:
		r.c.log.Info("voter removed", "server", s.server)
		return true, r.reconfigure(ctx, r.m.raft.RemoveServer(s.server, 0, enqueueTimeout))
	case stepReaddress:
		return true, r.reconfigure(ctx, r.readdress(servers, s))
	case stepHandOver:
		return false, await(ctx, r.m.raft.LeadershipTransfer())
	default:
		return false, nil
	}
	return true, nil
}

// bench is what the choice of voters depends on now.
func (r *reign) bench(m *cluster.Map, servers []raft.Server, barred func(cluster.NodeID) bool) bench {
	now := time.Now()
	gone := func(id cluster.NodeID) bool {
		n := m.Nodes[id]
		return n != nil && !n.Alive && r.led.silent(id, now) > r.c.cfg.Timing.Replace
	}
	return bench{m: m, servers: servers, self: r.c.cfg.Self.ID, gone: gone, barred: barred, lostLog: r.led.lostLog}
}

// readdress keeps the server what it is, voter or not, under its new address.
func (r *reign) readdress(servers []raft.Server, s step) raft.IndexFuture {
	for _, o := range servers {
		if o.ID == s.server && o.Suffrage != raft.Voter {
			return r.m.raft.AddNonvoter(s.server, raft.ServerAddress(s.addr), 0, enqueueTimeout)
		}
	}
	return r.m.raft.AddVoter(s.server, raft.ServerAddress(s.addr), 0, enqueueTimeout)
}

// reconfigure waits until a change of the configuration is committed.
func (r *reign) reconfigure(ctx context.Context, f raft.IndexFuture) error {
	if err := await(ctx, f); err != nil {
		return errs.E("control.reconfigure", "voters", errs.Unavailable, err)
	}
	r.noteServers()
	return nil
}

// record commits who votes to the cluster map.
func (r *reign) record(ctx context.Context, v *cluster.View, servers []raft.Server) (bool, error) {
	is := map[cluster.NodeID]string{}
	for _, s := range servers {
		if id := nodeOf(s.ID); s.Suffrage == raft.Voter && v.Map.Nodes[id] != nil {
			is[id] = string(s.ID)
		}
	}
	same := true
	for id, n := range v.Map.Nodes {
		same = same && n.RaftID == is[id]
	}
	if same {
		return false, nil
	}
	_, err := r.commit(ctx, "", cluster.SetVoters{Voters: is})
	return true, err
}

// promote makes a node a voter: it begins a copy of the log, receives all of it as a member without vote,
// and then gets the vote. Whatever fails leaves at most that member without vote, which the next step removes.
func (r *reign) promote(ctx context.Context, n *cluster.Node) error {
	r.mu.Lock()
	r.inviting = n.ID
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.inviting = ""
		r.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, catchUp+2*enqueueTimeout)
	defer cancel()
	var rep voterReply
	if err := r.c.call(ctx, enqueueTimeout, "POST", "http://"+n.IntraAddr+pathVoter, nil, &rep); err != nil {
		return err
	}
	id := raft.ServerID(rep.LogID)
	if nodeOf(id) != n.ID {
		return errs.F("control.promote", string(n.ID), errs.Conflict, "offers the log %q", rep.LogID)
	}
	r.led.hasLog(id, rep.Boot)
	if err := r.reconfigure(ctx, r.m.raft.AddNonvoter(id, raft.ServerAddress(n.IntraAddr), 0, enqueueTimeout)); err != nil {
		return err
	}
	if err := r.caughtUp(ctx, raft.Server{ID: id}, r.m.raft.LastIndex()); err != nil {
		return err
	}
	if err := r.reconfigure(ctx, r.m.raft.AddVoter(id, raft.ServerAddress(n.IntraAddr), 0, enqueueTimeout)); err != nil {
		return err
	}
	r.spread(ctx)
	r.c.log.Info("voter added", "node", n.ID)
	return nil
}

// spread waits a moment until every live voter has the newest configuration. A majority suffices to commit
// it, but a voter that has never heard of another refuses it its vote: were this node lost right now, those
// two might be all that is left.
func (r *reign) spread(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, enqueueTimeout)
	defer cancel()
	index := r.m.raft.LastIndex()
	m := r.c.View().Map
	var wg sync.WaitGroup
	for _, s := range r.m.raft.GetConfiguration().Configuration().Servers {
		if n := m.Nodes[nodeOf(s.ID)]; s.ID == r.m.id || n == nil || !n.Alive {
			continue
		}
		wg.Go(func() {
			if err := r.caughtUp(ctx, s, index); err != nil {
				r.c.log.Info("a voter is late", "server", s.ID, "err", err)
			}
		})
	}
	wg.Wait()
}

// caughtUp waits until a server's copy of the log reaches index.
func (r *reign) caughtUp(ctx context.Context, s raft.Server, index uint64) error {
	q := url.Values{"id": {string(s.ID)}, "index": {uitoa(index)}}
	return r.c.call(ctx, catchUp, "GET", "http://"+r.c.book.addr(nodeOf(s.ID))+pathVoter+"?"+q.Encode(), nil, nil)
}
