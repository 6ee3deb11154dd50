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
// move moves afterwards: see Mountpaths.Resilver of NodeStatus.
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
	var ms api.Mountpaths
	return &ms, c.json(ctx, q, &ms)
}
