package node

import (
	"context"
	"log/slog"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// Control is what a node asks of the control plane; *control.Control is the one real one.
type Control interface {
	View() *cluster.View
	Watch(after uint64) <-chan struct{}
	Latest(ctx context.Context) (*cluster.View, error)
	Lease() error
	Ready() bool
}

// Node is the runtime that gateway and target share.
type Node struct {
	ID     cluster.NodeID
	Role   cluster.Role
	Log    *slog.Logger
	Client *httpx.Client

	control Control
	signers signers
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
