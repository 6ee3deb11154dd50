package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/run"
)

// reign is this node's time as primary: one term of the log that it leads.
type reign struct {
	c     *Control
	m     *member
	term  uint64
	led   *ledger
	ver   verifier
	began time.Time     // it could commit
	kick  chan struct{} // wakes the judge: a lost node was heard, or one announced something new

	releases sync.RWMutex // held shared while a change takes other nodes away, alone while one waits to give this node's part away
	seats    sync.Mutex   // held while the voters are changed, or leadership is given away

	mu       sync.Mutex
	counted  map[raft.ServerID]bool // copies of the log in the last configuration known to be committed
	inviting cluster.NodeID         // being made a voter: its new copy of the log is not in a configuration yet
}

// supervise runs a reign each time the member becomes leader, until ctx ends.
func (c *Control) supervise(ctx context.Context, m *member) error {
	leads := m.raft.LeaderCh()
	for ctx.Err() == nil {
		var over <-chan struct{}
		end := func() {}
		if m.raft.State() == raft.Leader {
			over, end = c.beginReign(ctx, m)
		}
		select {
		case <-leads: // won or lost; or lost and won again, and another may have reigned between
		case <-over: // it could not take over: it tries again as long as it leads
			t := time.NewTimer(100 * time.Millisecond)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
		case <-ctx.Done():
		}
		end()
	}
	return nil
}

// beginReign starts a reign; over is closed when it has ended, and end ends it.
func (c *Control) beginReign(ctx context.Context, m *member) (over <-chan struct{}, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.reignOnce(ctx, m)
	}()
	return done, func() { cancel(); <-done }
}

// reignOnce reigns until ctx ends, which happens when leadership is lost.
func (c *Control) reignOnce(ctx context.Context, m *member) {
	r := &reign{c: c, m: m, term: m.raft.CurrentTerm(), kick: make(chan struct{}, 1)}
	r.ver.round = func() error { return r.confirm(ctx) }
	defer r.ver.close()
	if err := r.begin(ctx); err != nil {
		if ctx.Err() == nil {
			c.log.Warn("could not take over as primary", "term", r.term, "err", err)
		}
		return
	}
	c.reigns.Add(1)
	c.log.Info("this node is the primary", "node", c.cfg.Self.ID, "term", r.term)
	r.began = time.Now()
	c.reign.Store(r)
	c.leader.set(c.cfg.Self.ID, c.cfg.Self.IntraAddr)
	c.beatNow()
	g := run.NewGroup(ctx)
	g.Log = c.log
	g.Go("judge", r.judge)
	g.Go("voters", r.keepVoters)
	g.Go("take-in", r.takeIn)
	err := g.Wait()
	c.reign.CompareAndSwap(r, nil)
	c.leader.clear(c.cfg.Self.ID)
	c.log.Info("this node is no longer the primary", "node", c.cfg.Self.ID, "term", r.term, "err", err)
}

// begin applies what earlier primaries committed, founds the cluster if there is none, and names itself.
func (r *reign) begin(ctx context.Context) error {
	if err := await(ctx, r.m.raft.Barrier(enqueueTimeout)); err != nil {
		return err
	}
	mach := r.m.fsm.machine()
	r.led = newLedger(time.Now(), mach.LongestLease(time.Now()))
	r.noteServers()
	self := r.c.cfg.Self
	if !mach.Founded() {
		self.RaftID = string(r.m.id)
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
		_, err := r.commit(ctx, "", cluster.Found{UUID: newUUID(), Secret: secret, Node: self, Settings: r.c.cfg.Settings, Root: r.c.cfg.Root})
		return err
	}
	if mach.Map.Primary != self.ID {
		_, err := r.commit(ctx, "", cluster.SetPrimary{ID: self.ID})
		return err
	}
	return nil
}

// newUUID returns a random (version 4) UUID, RFC 9562.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// confirm asks a majority whether this node still leads, and does not believe an answer to an earlier
// question. The library's own VerifyLeader does: a reply that lay in a socket while this process was stopped
// counts for it as a reply of now. A voter says yes as long as it has not moved to a later term, which it
// does before it votes for another leader; so after a yes from a majority nobody else can have been elected
// before the question was asked.
func (r *reign) confirm(ctx context.Context) error {
	const op = "control.confirm"
	var others []raft.Server
	voters, self := 0, 0
	for _, s := range r.m.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters++
			if s.ID == r.m.id {
				self = 1
			} else {
				others = append(others, s)
			}
		}
	}
	needed := voters/2 + 1 - self
	ctx, cancel := context.WithTimeout(ctx, r.c.cfg.Timing.Election)
	defer cancel()
	answers := make(chan error, len(others))
	asked := 0
	ask := func(n int) { // n more; what is under way when this returns is canceled and ends by itself
		for ; n > 0 && asked < len(others); n-- {
			s := others[asked]
			asked++
			go func() { answers <- r.confirmedBy(ctx, s) }()
		}
	}
	ask(needed)
	hedge := time.NewTimer(r.c.cfg.Timing.Election / 10)
	defer hedge.Stop()
	var last error
	for open := asked; needed > 0 && open > 0; {
		before := asked
		select {
		case err := <-answers:
			open--
			if err == nil {
				needed--
			} else {
				last = err
				ask(1)
			}
		case <-hedge.C: // somebody is slow: ask everybody
			ask(len(others))
		}
		open += asked - before
	}
	if needed > 0 || !r.m.leads(r.term) {
		return errs.F(op, string(r.c.cfg.Self.ID), errs.NotPrimary, "a majority does not confirm that it leads: %w", last)
	}
	return nil
}

// confirmedBy asks one voter.
func (r *reign) confirmedBy(ctx context.Context, s raft.Server) error {
	q := url.Values{"id": {string(s.ID)}, "term": {uitoa(r.term)}}
	return r.c.call(ctx, r.c.cfg.Timing.Election, "GET", "http://"+r.c.book.addr(nodeOf(s.ID))+pathConfirm+"?"+q.Encode(), nil, nil)
}

// commit appends cmd and waits until a majority has it on disk and it is applied here. An error of kind
// NotPrimary leaves open whether it was, or will be, committed: the same id may be proposed again.
func (r *reign) commit(ctx context.Context, id string, cmd cluster.Command) (cluster.Result, error) {
	const op = "control.commit"
	b, err := cluster.EncodeEntry(cluster.Entry{ID: id, Time: time.Now(), By: r.c.cfg.Self.ID, Command: cmd})
	if err != nil {
		return cluster.Result{}, err
	}
	f := r.m.raft.Apply(b, enqueueTimeout)
	err = await(ctx, f)
	switch {
	case err == nil:
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return cluster.Result{}, errs.F(op, cmd.Op(), errs.Busy, "the primary's log takes nothing more: %w", err)
	case errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrNotLeader),
		errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrAbortedByRestore), errors.Is(err, raft.ErrRaftShutdown):
		return cluster.Result{}, errs.E(op, cmd.Op(), errs.NotPrimary, err)
	case ctx.Err() != nil:
		return cluster.Result{}, errs.E(op, cmd.Op(), err)
	default:
		return cluster.Result{}, errs.E(op, cmd.Op(), errs.Unavailable, err)
	}
	a, ok := f.Response().(applied)
	if !ok {
		return cluster.Result{}, errs.F(op, cmd.Op(), errs.Other, "BUG: the log answered %T", f.Response())
	}
	if a.err != nil {
		return cluster.Result{}, a.err
	}
	r.c.proposals.Add(1)
	r.led.committed(a.result.Index, time.Now())
	return a.result, nil
}

// enqueueTimeout bounds the wait for the log to take an entry.
const enqueueTimeout = 5 * time.Second

// propose commits cmd and waits until the nodes know it.
func (r *reign) propose(ctx context.Context, id string, cmd cluster.Command) (cluster.Result, error) {
	if p, ok := cmd.(cluster.SetPrimary); ok && p.ID != r.c.cfg.Self.ID {
		return r.handOver(ctx, p.ID)
	}
	if j, ok := cmd.(cluster.Join); ok {
		if n := r.m.fsm.machine().Map.Nodes[j.Node.ID]; n != nil {
			if at := r.occupied(j.Node, n); at != "" {
				return cluster.Result{}, errs.F("control.join", string(j.Node.ID), errs.Conflict,
					"another process may still serve under this id at %s: a copied disk carries its node's identity; stop that process, and wait for its lease of %v", at, r.m.fsm.machine().Config.Timeout.Lease.D())
			}
		}
	}
	if f, ok := cmd.(cluster.ForgetNode); ok {
		f.Supersede = true
		f.Supersede = r.understood(f) == nil
		f.Still = true
		f.Still = r.understood(f) == nil
		cmd = f
	}
	if err := r.understood(cmd); err != nil {
		return cluster.Result{}, err
	}
	if err := r.sameEra(cmd); err != nil {
		return cluster.Result{}, err
	}
	if err := (ownDisk{r.c}).room(cmd); err != nil {
		return cluster.Result{}, err
	}
	if who := departing(cmd); len(who) > 0 {
		return r.release(ctx, id, cmd, who)
	}
	res, err := r.commit(ctx, id, cmd)
	if err != nil {
		return res, err
	}
	var except cluster.NodeID
	switch c := cmd.(type) {
	case cluster.Join:
		except = c.Node.ID // gets the view in the answer
	case cluster.AcceptStart:
		except = c.ID // has no lease before it has the view
	}
	return res, r.settle(ctx, res.Index, except, cluster.Fenced(cmd))
}

// settle waits until every live node has the view at index. A fenced change waits for a silent node until
// its lease is over; any other does not wait for one that was silent for longer than a late heartbeat.
func (r *reign) settle(ctx context.Context, index uint64, except cluster.NodeID, fenced bool) error {
	const op = "control.settle"
	var patience time.Duration
	if !fenced {
		patience = 3 * r.m.fsm.machine().Config.Timeout.Heartbeat.D() / 2
	}
	for {
		now := time.Now()
		who, until, news := r.led.behind(index, r.m.fsm.machine().Map, except, patience, now)
		if len(who) == 0 {
			return nil
		}
		t := time.NewTimer(until.Sub(now) + time.Millisecond)
		select {
		case <-news:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return errs.F(op, "change", errs.Timeout, "is committed, but not yet known to %v: %w", who, ctx.Err())
		}
		t.Stop()
		if !r.m.leads(r.term) {
			return errs.E(op, string(r.c.cfg.Self.ID), errs.NotPrimary, "is no longer the primary")
		}
	}
}

// handOver transfers leadership, to a node that it makes a voter if need be, and waits until that says so
// itself.
func (r *reign) handOver(ctx context.Context, to cluster.NodeID) (cluster.Result, error) {
	const op = "control.SetPrimary"
	n := r.m.fsm.machine().Map.Nodes[to]
	switch {
	case n == nil:
		return cluster.Result{}, errs.E(op, string(to), errs.NotFound, "no such node in the cluster map")
	case !n.Alive:
		return cluster.Result{}, errs.E(op, string(to), errs.Conflict, "is not alive")
	case leaving(n):
		return cluster.Result{}, errs.F(op, string(to), errs.Conflict, "is %s: choose a node in service", n.State)
	}
	if err := r.transfer(ctx, n); err != nil {
		return cluster.Result{}, errs.E(op, string(to), errs.Unavailable, err)
	}
	for {
		v := r.c.View()
		if v.Map.Primary == to {
			return cluster.Result{Index: v.Index, Node: v.Map.Nodes[to]}, nil
		}
		select {
		case <-r.c.Watch(v.Index):
		case <-ctx.Done():
			return cluster.Result{}, errs.F(op, string(to), errs.Timeout, "was asked to lead, but has not taken over: %w", ctx.Err())
		}
	}
}

func (r *reign) transfer(ctx context.Context, n *cluster.Node) error {
	r.seats.Lock()
	defer r.seats.Unlock()
	if !n.Voter {
		if err := r.promote(ctx, n); err != nil {
			return err
		}
	}
	for _, s := range r.m.raft.GetConfiguration().Configuration().Servers {
		if nodeOf(s.ID) == n.ID {
			return await(ctx, r.m.raft.LeadershipTransferToServer(s.ID, s.Address))
		}
	}
	return errs.E("control.transfer", string(n.ID), errs.Conflict, "does not vote")
}

// answer deals with a heartbeat.
func (r *reign) answer(ctx context.Context, hb heartbeat) heartbeatReply {
	mach := r.m.fsm.machine()
	id := hb.Node.ID
	n := mach.Map.Nodes[id]
	rep := heartbeatReply{Primary: r.c.cfg.Self.ID, Addr: r.c.cfg.Self.IntraAddr, Index: mach.Index}
	if n == nil || hb.Cluster != mach.Map.UUID {
		rep.Unknown, rep.Removed = true, hb.Cluster == mach.Map.UUID
		rep.Retired = rep.Removed && slices.Contains(mach.Retired, id)
		return rep
	}
	if rep.Twin = r.occupied(hb.Node, n); rep.Twin != "" {
		return rep
	}
	r.led.hear(hb, time.Now())
	if !n.Alive || n.IntraAddr != hb.Node.IntraAddr || n.PublicURL != hb.Node.PublicURL || r.rootless(&mach) {
		r.wake()
	}
	if !n.Alive {
		return rep // once the map says that it is back it hears of it, and asks again
	}
	t := mach.Config.Timeout
	if err := r.ver.do(ctx); err != nil {
		return heartbeatReply{NotPrimary: true}
	}
	rep.Retire = r.retired(hb)
	if r.startOpen(n, hb) { // n is of before a majority confirmed: nothing newer was accepted then
		rep.Announce, rep.Last = true, n.Boot
		return rep
	}
	if !r.led.grant(hb, time.Now(), t.Lease.D(), t.Heartbeat.D()) {
		return rep
	}
	// Read after the grant: a change that did not wait for this node, whose lease was over, is in it; later ones will wait.
	mach = r.m.fsm.machine()
	if n = mach.Map.Nodes[id]; n != nil && n.Alive {
		rep.Lease, rep.Index = t.Lease, mach.Index
	}
	return rep
}

// occupied is ledger.occupied with this primary's own id spared: it is the one that serves.
func (r *reign) occupied(says cluster.Node, is *cluster.Node) string {
	if says.ID == r.c.cfg.Self.ID && says.IntraAddr == r.c.cfg.Self.IntraAddr {
		return ""
	}
	if says.ID == r.c.cfg.Self.ID {
		return r.c.cfg.Self.IntraAddr
	}
	return r.led.occupied(says, is.IntraAddr, time.Now())
}

func (r *reign) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// judge commits who is lost and who is back, and what nodes announce anew.
func (r *reign) judge(ctx context.Context) error {
	last := time.Now()
	for {
		t := r.m.fsm.machine().Config.Timeout
		lease, tick := t.Lease.D(), min(t.Heartbeat.D(), t.Lease.D()/4)
		timer := time.NewTimer(tick)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-r.kick:
			timer.Stop()
		}
		now := time.Now()
		if now.Sub(last) > tick+lease/2 {
			r.c.log.Warn("this process stood still; nobody is judged for a while", "for", now.Sub(last))
			r.led.woke(now)
		}
		last = now
		r.judgeOnce(ctx, lease, now)
	}
}

func (r *reign) judgeOnce(ctx context.Context, lease time.Duration, now time.Time) {
	v := r.c.View()
	if lost, back := r.led.judge(v.Map, lease, now); len(lost)+len(back) > 0 {
		r.c.log.Info("nodes lost or back", "lost", lost, "back", back)
		if _, err := r.commit(ctx, "", cluster.SetAlive{Lost: lost, Back: back}); err != nil {
			r.c.log.Warn("cannot commit who is alive", "err", err)
			return
		}
	}
	for _, n := range r.led.announced(v) {
		if _, err := r.commit(ctx, "", cluster.Join{UUID: v.Map.UUID, Node: n}); err != nil {
			r.c.log.Warn("cannot commit what a node announces", "node", n.ID, "err", err)
		}
	}
	if mach := r.m.fsm.machine(); r.rootless(&mach) {
		r.giveRoot(ctx, v)
	}
}

// retired reports whether the sender holds a copy of the log that is in no configuration any more. It is
// asked after a majority has confirmed the reign; the sender also minds invitations that came meanwhile.
func (r *reign) retired(hb heartbeat) bool {
	if hb.LogID == "" {
		return false
	}
	for _, s := range r.m.raft.GetConfiguration().Configuration().Servers {
		if string(s.ID) == hb.LogID {
			return false
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.counted[raft.ServerID(hb.LogID)] && r.inviting != hb.Node.ID
}

// noteServers remembers the configuration, which is committed at this moment: the caller has just had
// something committed after it.
func (r *reign) noteServers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counted = map[raft.ServerID]bool{}
	for _, s := range r.m.raft.GetConfiguration().Configuration().Servers {
		r.counted[s.ID] = true
	}
}

// box holds who is believed to lead.
type box struct {
	cur atomic.Pointer[leaderAt]
	mu  sync.Mutex
	ch  chan struct{}
}

type leaderAt struct {
	id   cluster.NodeID
	addr string
}

// set notes the leader and wakes who waits for another.
func (b *box) set(id cluster.NodeID, addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.cur.Load(); old != nil && old.id == id && old.addr == addr {
		return
	}
	b.cur.Store(&leaderAt{id, addr})
	b.wake()
}

// clear forgets the leader if it is still id.
func (b *box) clear(id cluster.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.cur.Load(); old != nil && old.id == id {
		b.cur.Store(nil)
		b.wake()
	}
}

func (b *box) wake() {
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// get returns the leader, nil if none is known, and a channel that is closed when that changes.
func (b *box) get() (*leaderAt, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.cur.Load(), b.ch
}
