package client

import (
	"context"
	"net/http"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// MountpathOptions of a change.
type MountpathOptions struct {
	Force bool // detach: give up what is only there
}

// ChangeMountpath carries out one of the actions api.ActMountpath... on a target and returns its mountpaths as they are then. What has to
// move moves afterwards: see Mountpaths.Resilver of NodeStatus. When the answer does not come, or ctx ends, it may still take effect, and the
// error says so.
func (c *Client) ChangeMountpath(ctx context.Context, node, action, path string, o MountpathOptions) (*api.Mountpaths, error) {
	const op = "client.ChangeMountpath"
	v, err := c.routes.current(ctx)
	if err != nil {
		return nil, err
	}
	n := v.Map.Nodes[cluster.NodeID(node)]
	if n == nil {
		return nil, errs.E(op, "node "+node, errs.NotFound, "is not in the cluster map")
	}
	q := c.control(op, http.MethodPost, api.PathMountpaths)
	q.name, q.node = node, n.PublicURL
	if o.Force {
		q.query.Set(api.QueryForce, "true")
	}
	var value any
	if path != "" {
		value = path
	}
	if err := q.message(action, "", value); err != nil {
		return nil, err
	}
	q.repeat = harmful // a disk that hangs makes it last: who does not hear of the end looks
	var ms api.Mountpaths
	if err = c.json(ctx, q, &ms); err != nil && ctx.Err() != nil {
		return nil, errs.F(op, node, errs.KindOf(err), "%w; it may still take effect: look at the node's mountpaths", err)
	}
	return &ms, err
}
