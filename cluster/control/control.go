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
	"log/slog"
	"net"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// Config of a node's control plane.
type Config struct {
	Self      cluster.Node      // ID, Role, PublicURL, IntraAddr, Weight, Zone
	Cluster   string            // uuid of the cluster that the node's mountpaths belong to; "" = none yet
	Dir       string            // node.json, view.json, raft/
	Join      []string          // public URLs of nodes of the cluster to join
	Bootstrap bool              // found a cluster if this node has no state and none of Join answers with one
	Settings  map[string]string // of a cluster that is founded: what differs from cluster.DefaultConfig
	Raft      net.Listener      // raft connections to this node, as SplitListener gives them
	Client    *httpx.Client     // for calls to other nodes
	Report    func() Report     // what the node tells the primary with each heartbeat; nil = nothing. Must be quick
	Version   string            // of the program, for Health
	Log       *slog.Logger
	Timing    Timing
	Dial      func(ctx context.Context, addr string) (net.Conn, error) // raft connections to others; nil = TCP
}

// Report is what a node says of itself beyond being alive.
type Report struct {
	Mountpaths []Mountpath `json:"mountpaths,omitempty"`
}

// Mountpath is the capacity and state of one of a target's mountpaths.
type Mountpath struct {
	Path     string `json:"path"`
	Total    int64  `json:"total"` // bytes
	Used     int64  `json:"used"`
	Disabled string `json:"disabled,omitempty"` // why; "" = in use
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
	Election time.Duration // voters without a leader for this long elect one; 0 = 1.2s
	GiveUp   time.Duration // Propose and Latest wait this long for a primary; 0 = 10s
	LongPoll time.Duration // a member holds the answer to a follower this long; 0 = 10s
	Replace  time.Duration // a voter lost for this long is replaced by another node; 0 = 1m
}

// WithDefaults fills zero fields.
func (t Timing) WithDefaults() Timing {
	t.Election = orElse(t.Election, 1200*time.Millisecond)
	t.GiveUp = orElse(t.GiveUp, 10*time.Second)
	t.LongPoll = orElse(t.LongPoll, 10*time.Second)
	t.Replace = orElse(t.Replace, time.Minute)
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
	cfg Config
}

// Open reads the node's identity and last view. It starts nothing.
func Open(cfg Config) (*Control, error) {
	return &Control{cfg: cfg}, nil
}

// Run takes part until ctx ends or the node's log fails.
func (c *Control) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// View returns the newest view here, nil before the first.
func (c *Control) View() *cluster.View { return nil }

// Watch returns a channel that is closed once a view newer than after is here.
func (c *Control) Watch(after uint64) <-chan struct{} { return nil }

// Propose has cmd committed. It returns when every live node has seen the change or may no longer serve.
func (c *Control) Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	return cluster.Result{}, errs.E("control.Propose", cmd.Op(), errs.Unavailable)
}

// Latest returns a view that shows every change acknowledged before the call.
func (c *Control) Latest(ctx context.Context) (*cluster.View, error) {
	return nil, errs.E("control.Latest", nil, errs.Unavailable)
}

// Lease returns nil while this node may serve as owner, else Unavailable with the reason.
func (c *Control) Lease() error { return errs.E("control.Lease", nil, errs.Unavailable) }

// Primary returns the primary, and whether this node is in contact with it.
func (c *Control) Primary() (cluster.NodeID, bool) { return "", false }

// Ready reports whether this node has been accepted as a member since it started and has a current view.
func (c *Control) Ready() bool { return false }

// Routes returns what this node must serve to others.
func (c *Control) Routes() []httpx.Route { return nil }

// Health returns what the primary knows of every node.
func (c *Control) Health(ctx context.Context) ([]NodeHealth, error) { return nil, nil }

// Stats returns gauges and counters.
func (c *Control) Stats() Stats { return Stats{} }
