// Package control runs the cluster's replicated state machine (cluster.Machine) on a raft log and keeps
// every node supplied with the newest cluster.View and, while it may serve, with a lease.
//
// A few nodes vote (voters.go); all others follow the stream of views from any of them (follow.go). The
// leader of the log is the primary: it alone appends changes, grants leases and judges who is alive
// (reign.go, ledger.go). Package control knows nothing of objects, gateways or targets beyond what the
// cluster map says of them. docs/design/control-plane.md has the reasons and the proofs.
//
// Start at Open, (*Control).Run and (*Control).Propose.
package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
	"aistore/errs"
	"aistore/httpx"
	"aistore/internal/durable"
	"aistore/internal/run"
)

// Config of a node's control plane.
type Config struct {
	Self      cluster.Node      // ID, Role, PublicURL, IntraAddr, Weight, Zone
	Cluster   string            // uuid of the cluster that the node's mountpaths belong to; "" = none yet
	Dir       string            // node.json, view.json, raft/
	Join      []string          // public URLs of nodes of the cluster to join
	Bootstrap bool              // found a cluster if this node has no state and none of Join answers with one
	Settings  map[string]string // of a cluster that is founded: what differs from cluster.DefaultConfig
	Root      cluster.AccessKey // of the administrator of a cluster that is founded, or has no users yet; zero = none is made
	Raft      net.Listener      // raft connections to this node, as SplitListener gives them
	Client    *httpx.Client     // for calls to other nodes
	Disks     Disks             // of a target; nil = its starts are not noted
	Report    func() Report     // what the node tells the primary with each heartbeat; nil = nothing
	Version   string            // of the program, for Health
	Log       *slog.Logger
	Timing    Timing
	Dial      func(ctx context.Context, addr string) (net.Conn, error) // raft connections to others; nil = TCP

	stall func()                               // tests let writes of the log hang in it
	space func(dir string) (free, total int64) // nil = durable.Space; tests fill it
	level int                                  // 0 = cluster.Level; tests play an older release
}

// Report is what a node says of itself beyond being alive.
type Report struct {
	Era        uint64      `json:"era,omitempty"` // as SetEra said
	Alerts     []string    `json:"alerts,omitempty"`
	Mountpaths []Mountpath `json:"mountpaths,omitempty"`
}

// Mountpath is the capacity and state of one of a target's mountpaths.
type Mountpath struct {
	Path     string `json:"path"`
	FS       uint64 `json:"fs,omitempty"` // id of the file system: mountpaths that share one share its bytes
	Total    int64  `json:"total"`        // bytes
	Used     int64  `json:"used"`
	Disabled string `json:"disabled,omitempty"` // why; "" = in use
	Alert    string `json:"alert,omitempty"`    // what else is wrong with it
}

// NodeHealth is what the primary knows of a node besides its entry in the map.
type NodeHealth struct {
	ID        cluster.NodeID   `json:"id"`
	Heard     cluster.Duration `json:"heard"`           // since its last heartbeat; -1ns: none since this primary took over
	Lease     cluster.Duration `json:"lease,omitempty"` // left of its lease, as the primary counts
	Uptime    cluster.Duration `json:"uptime,omitempty"`
	Version   string           `json:"version,omitempty"`
	ViewIndex uint64           `json:"view_index,omitempty"` // the newest view it has
	Report
}

// Timing holds times that are no settings of the cluster. Zero fields take their defaults.
type Timing struct {
	Election time.Duration // voters without a leader for this long elect one; 0 = 1s
	GiveUp   time.Duration // Propose and Latest wait this long for a primary; 0 = 10s
	LongPoll time.Duration // a member holds the answer to a follower this long; 0 = 10s
	Replace  time.Duration // a voter lost for this long is replaced by another node; 0 = 1m
	Hang     time.Duration // a primary whose log has not taken a write for this long leaves its place; 0 = 6s
}

// WithDefaults fills zero fields.
func (t Timing) WithDefaults() Timing {
	t.Election = orElse(t.Election, time.Second)
	t.GiveUp = orElse(t.GiveUp, 10*time.Second)
	t.LongPoll = orElse(t.LongPoll, 10*time.Second)
	t.Replace = orElse(t.Replace, time.Minute)
	t.Hang = orElse(t.Hang, 6*time.Second)
	return t
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// Stats are gauges and counters for metrics.
type Stats struct {
	Raft        string        // "leader", "follower", "candidate"; "none" on a node that does not vote
	Term        uint64        // of the log
	LastIndex   uint64        // of the log
	CommitIndex uint64        // of the log
	Applied     uint64        // of the log
	LastContact time.Duration // since the leader was heard; 0 on the leader
	ViewIndex   uint64
	LeaseLeft   time.Duration
	Views       uint64 // published since the start
	Heartbeats  uint64 // answered
	Missed      uint64 // heartbeats that nobody answered
	Proposals   uint64 // committed by this node as primary
	Reigns      uint64 // times this node became primary
}

// Control is a node's part in the control plane.
type Control struct {
	cfg     Config
	log     *slog.Logger
	clock   func() time.Time // wall and monotonic; tests let it jump
	boot    string           // of this process
	started time.Time

	views  views
	book   book
	lease  leaseBox
	leader box
	door   *door
	member atomic.Pointer[member]
	logID  atomic.Pointer[string] // of this node's copy of the log, also before it is opened
	reign  atomic.Pointer[reign]

	mu       sync.Mutex
	identity statedir.Identity
	era      uint64 // that the node's disks belong to

	invite   chan invitation
	invited  atomic.Uint64 // invitations to vote so far
	retire   chan uint64   // the log may go, unless invited has grown since
	kickBeat chan struct{}

	told  chan string // the start of this target that was accepted last, as a primary said
	turns turns

	kickReport chan struct{}
	reported   atomic.Pointer[Report]
	alert      atomic.Pointer[string] // of the control plane itself; nil or "" = none
	ails       atomic.Pointer[ailment]
	lock       *os.File // of Dir, while Run

	fatal   chan error
	stopped chan struct{}

	retired atomic.Bool
	twin    atomic.Pointer[string] // where another process served under this node's id, as the primary has told since this one started; nil = none did

	beats, missed, proposals, reigns atomic.Uint64
}

// Open reads the node's identity and last view. It starts nothing.
func Open(cfg Config) (*Control, error) {
	const op = "control.Open"
	cfg.Timing = cfg.Timing.WithDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.level == 0 {
		cfg.level = cluster.Level
	}
	if cfg.Dial == nil {
		cfg.Dial = dialTCP
	}
	if cfg.space == nil {
		cfg.space = durable.Space
	}
	id, err := statedir.LoadIdentity(cfg.Dir)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Self.ID == "":
		return nil, errs.E(op, "id", errs.Invalid, "is empty")
	case id.ID != "" && id.ID != cfg.Self.ID:
		return nil, errs.F(op, cfg.Dir, errs.Conflict, "is the directory of node %s, this is %s", id.ID, cfg.Self.ID)
	case id.Cluster != "" && cfg.Cluster != "" && id.Cluster != cfg.Cluster:
		return nil, errs.F(op, cfg.Dir, errs.Conflict, "belongs to cluster %s, the mountpaths belong to %s", id.Cluster, cfg.Cluster)
	}
	if want := (statedir.Identity{Format: statedir.IdentityFormat, ID: cfg.Self.ID, Cluster: firstOf(id.Cluster, cfg.Cluster)}); id != want {
		if err := statedir.SaveIdentity(cfg.Dir, want); err != nil {
			return nil, err
		}
		id = want
	}
	var boot [8]byte
	_, _ = rand.Read(boot[:]) // never fails (crypto/rand)
	now := time.Now()
	c := &Control{
		cfg: cfg, log: cfg.Log, clock: time.Now, boot: hex.EncodeToString(boot[:]), started: now, identity: id,
		lease:  leaseBox{base: now, clock: time.Now},
		door:   &door{ln: cfg.Raft, addr: cfg.Self.IntraAddr, dial: cfg.Dial},
		invite: make(chan invitation), retire: make(chan uint64, 1), told: make(chan string, 1), kickBeat: make(chan struct{}, 1), kickReport: make(chan struct{}, 1),
		fatal: make(chan error, 1), stopped: make(chan struct{}),
	}
	logID, err := statedir.LogID(c.raftDir())
	if err != nil {
		return nil, err
	}
	if logID != "" {
		c.logID.Store(&logID)
	}
	c.book.self, c.book.view = cfg.Self, c.View
	v, err := statedir.LoadView(cfg.Dir)
	switch {
	case errs.Is(err, errs.Corrupt, errs.Unsupported):
		c.log.Warn("the view on disk is unusable; it is asked for anew", "err", err)
	case err != nil:
		return nil, err
	case v != nil && id.Cluster != "" && v.Map.UUID != id.Cluster:
		return nil, errs.F(op, cfg.Dir, errs.Conflict, "belongs to cluster %s, its view is of %s", id.Cluster, v.Map.UUID)
	case v != nil:
		c.accept(v)
	}
	if err := (entrance{c}).check(); err != nil {
		return nil, err
	}
	return c, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Run takes part until ctx ends, or the node's disk fails it. It may be called once.
func (c *Control) Run(ctx context.Context) error {
	lock, err := statedir.Lock(c.cfg.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	c.lock = lock
	defer context.AfterFunc(ctx, func() { close(c.stopped) })()
	g := run.NewGroup(ctx)
	g.Log = c.log
	open, shut := context.WithCancel(context.WithoutCancel(ctx))
	g.Go("raft-door", func(context.Context) error { return c.door.run(open) })
	g.Go("seat", func(ctx context.Context) error {
		defer shut() // last: what leaves office still needs to be reached
		return c.seat(ctx)
	})
	g.Go("enter", entrance{c}.enter)
	g.Go("heartbeat", pulse{c}.beat)
	g.Go("report", pulse{c}.report)
	g.Go("start", (starter{c}).announce)
	g.Go("follow", c.follow)
	g.Go("keep-view", c.keepView)
	g.Go("disk", func(ctx context.Context) error {
		select {
		case err := <-c.fatal:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	return g.Wait()
}

// accept makes v the view if it is newer. The first view makes the node a member of its cluster for ever,
// which is on disk before anyone can see the view.
func (c *Control) accept(v *cluster.View) {
	c.mu.Lock()
	id := c.identity
	if id.Cluster == "" {
		id.Cluster = v.Map.UUID
		if err := statedir.SaveIdentity(c.cfg.Dir, id); err != nil {
			c.mu.Unlock()
			select {
			case c.fatal <- err:
			default:
			}
			return
		}
		c.identity = id
	}
	if old := c.View(); id.Cluster == v.Map.UUID && (old == nil || v.Index > old.Index) {
		c.compare(v) // before anybody can see the view
	}
	c.mu.Unlock()
	if id.Cluster != v.Map.UUID {
		c.log.Error("a view of another cluster was refused", "mine", id.Cluster, "other", v.Map.UUID)
		return
	}
	c.views.publish(v)
	c.turns.tell()
}

// SetEra says which membership the node's disks belong to (cluster.Node.Era). While the cluster map says another the node has no lease.
func (c *Control) SetEra(era uint64) {
	c.mu.Lock()
	if c.era = era; c.View() != nil {
		c.compare(c.View())
	}
	c.mu.Unlock()
	c.turns.tell()
	c.beatNow()
}

// compare looks whether the disks are what v says that the node has.
func (c *Control) compare(v *cluster.View) {
	n := v.Map.Nodes[c.cfg.Self.ID]
	switch {
	case n == nil:
	case n.Role.Target() && n.Era != c.era:
		c.lease.bar("what its disks hold is of an earlier membership, or was superseded while it was out of service: it is set aside first")
	case !(starter{c}).isStart(n):
		c.lease.bar("this node has just started and has not been accepted by the primary yet")
	default:
		c.lease.bar("")
	}
}

// View returns the newest view here, nil before the first.
func (c *Control) View() *cluster.View { return c.views.cur.Load() }

// Watch returns a channel that is closed once a view newer than after is here.
func (c *Control) Watch(after uint64) <-chan struct{} { return c.views.watch(after) }

// Lease returns nil while this node may serve as owner of what its view says, else Unavailable with the
// reason. It is cheap: ask before every commit and again before the reply.
func (c *Control) Lease() error {
	v := c.View()
	if c.reign.Load() != nil && v != nil && len(v.Map.Nodes) == 1 && c.lease.barred.Load() == nil && !(starter{c}).open(v.Map.Nodes[c.cfg.Self.ID]) {
		return nil // alone: nobody can have taken over
	}
	return c.lease.check(v)
}

// Member tells why this node does not belong to its cluster any more, by what the primary has told it; nil until it has.
func (c *Control) Member() error {
	if why := c.lease.off.Load(); why != nil {
		return errs.E("control.Member", string(c.cfg.Self.ID), errs.Unavailable, *why)
	}
	return nil
}

// Primary returns the primary, and whether this node is in contact with it.
func (c *Control) Primary() (cluster.NodeID, bool) {
	if l, _ := c.leader.get(); l != nil {
		return l.id, true
	}
	if v := c.View(); v != nil {
		return v.Map.Primary, false
	}
	return "", false
}

// Ready reports whether this node has been accepted, and its disks hold nothing of an earlier membership. Before that it also does not tell
// others what it has, takes nothing from them and removes nothing: the view that it found on its disk may be older than what an earlier process
// had answered for.
// It stays ready when the primary is lost: what it may still do without one, Lease tells.
func (c *Control) Ready() bool { return c.Accepted() && c.lease.barred.Load() == nil }

// Accepted reports whether this node has been accepted as a member since it started and has the view of then.
func (c *Control) Accepted() bool {
	v := c.View()
	return v != nil && v.Map.Nodes[c.cfg.Self.ID] != nil && c.lease.met.Load() && v.Index >= c.lease.floor.Load() && (starter{c}).isStart(v.Map.Nodes[c.cfg.Self.ID])
}

// Retired reports whether the primary has told that this node was decommissioned.
func (c *Control) Retired() bool { return c.retired.Load() }

// Health returns what the primary knows of every node.
func (c *Control) Health(ctx context.Context) ([]NodeHealth, error) {
	var hs []NodeHealth
	err := c.withPrimary(ctx, func(ctx context.Context, r *reign, addr string) error {
		if r != nil {
			hs = r.led.health(c.View().Map, time.Now())
			return nil
		}
		return c.call(ctx, c.cfg.Timing.GiveUp, "GET", "http://"+addr+pathNodes, nil, &hs)
	})
	return hs, err
}

// Stats returns gauges and counters.
func (c *Control) Stats() Stats {
	m := c.member.Load()
	s := Stats{
		Raft: memberState(m), LeaseLeft: c.lease.left(), Views: c.views.published.Load(),
		Heartbeats: c.beats.Load(), Missed: c.missed.Load(), Proposals: c.proposals.Load(), Reigns: c.reigns.Load(),
	}
	if v := c.View(); v != nil {
		s.ViewIndex = v.Index
	}
	if m != nil {
		s.Term, s.LastIndex, s.CommitIndex, s.Applied = m.raft.CurrentTerm(), m.raft.LastIndex(), m.raft.CommitIndex(), m.raft.AppliedIndex()
		if at := m.raft.LastContact(); s.Raft != "leader" && !at.IsZero() {
			s.LastContact = time.Since(at)
		}
	}
	return s
}
