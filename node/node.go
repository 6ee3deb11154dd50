package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/httpx"
	"aistore/metrics"
)

// Control is what a node asks of the control plane; *control.Control is the one real one.
type Control interface {
	View() *cluster.View
	Watch(after uint64) <-chan struct{}
	Latest(ctx context.Context) (*cluster.View, error)
	Lease() error
	Ready() bool
}

// Config of a Node. Everything but Propose, Disks and Settings is needed.
type Config struct {
	ID      cluster.NodeID
	Role    cluster.Role
	Version string // of the program
	Control Control
	Client  *httpx.Client
	Metrics *metrics.Registry
	Logs    *Logs

	Propose  func(ctx context.Context, cmd cluster.Command) (cluster.Result, error) // of users and keys
	Disks    func() []fs.Info                                                       // a target's; nil on a gateway
	Mounts   Mounts                                                                 // that change them; nil on a gateway
	Resilver func() *api.Resilver                                                   // how far names have moved between them; nil on a gateway
	Settings any                                                                    // the node's own configuration, as what=config shows it
	End      func(Ending)                                                           // begins the end of the process
	Ends     func() bool                                                            // reports that it has begun
}

// Node is the runtime that gateway and target share.
type Node struct {
	ID      cluster.NodeID
	Role    cluster.Role
	Log     *slog.Logger
	Client  *httpx.Client
	Metrics *metrics.Registry

	cfg     Config
	control Control
	started time.Time
	signers signers
	load    load
	what    map[string]httpx.Handler // GET /v1/daemon
}

// New returns a node. It starts nothing.
func New(cfg Config) *Node {
	n := &Node{ID: cfg.ID, Role: cfg.Role, Log: cfg.Logs.Logger(), Client: cfg.Client, Metrics: cfg.Metrics, cfg: cfg, control: cfg.Control, started: time.Now()}
	n.what = n.queries()
	if cfg.Disks != nil {
		cfg.Metrics.Disks(n.diskMetrics)
	}
	return n
}

// View returns the newest view this node has, or kind Unavailable before it has any.
func (n *Node) View() (*cluster.View, error) {
	v := n.control.View()
	if v == nil {
		return nil, errs.E("node.View", string(n.ID), errs.Unavailable, "the node has not joined its cluster yet")
	}
	return v, nil
}

// Control returns the control plane.
func (n *Node) Control() Control { return n.control }

// MayRead returns nil while this node may answer for what it has of a bucket: it holds its lease, or that has run out and the bucket takes reads that
// may be out of date (cluster.BucketProps.StaleReads), which stale then says of this one. What is not there, and conditions that fail, take the
// lease in any case.
func (n *Node) MayRead(b *cluster.Bucket) (stale bool, err error) {
	err = n.control.Lease()
	if b.Props.StaleReads && errors.Is(err, cluster.ErrRanOut) {
		return true, nil
	}
	return false, err
}

// Ready tells why this node cannot serve yet or any more; nil when it can.
func (n *Node) Ready() error {
	const op = "node.Ready"
	v, err := n.View()
	if err != nil {
		return err
	}
	if !n.control.Ready() {
		return errs.E(op, string(n.ID), errs.Unavailable, "the node is not in contact with its cluster")
	}
	if me := v.Map.Nodes[n.ID]; me != nil && me.InService() {
		return n.control.Lease()
	}
	return nil
}
