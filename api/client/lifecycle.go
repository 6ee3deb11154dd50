package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// Moved tells what an action on nodes has begun.
type Moved struct {
	Rebalance string // id of the rebalance that is under way for it; "" if nothing moves
	Primary   string // the new primary, if the action made the former one hand over; else ""
}

// StartMaintenance takes nodes out of service; what they hold moves to others and stays on their disks, too.
func (c *Client) StartMaintenance(ctx context.Context, m api.NodesMsg) (Moved, error) {
	return c.moveNodes(ctx, "client.StartMaintenance", api.ActStartMaintenance, m)
}

// StopMaintenance brings nodes back into service that are in maintenance or were shut down and started again.
func (c *Client) StopMaintenance(ctx context.Context, m api.NodesMsg) (Moved, error) {
	return c.moveNodes(ctx, "client.StopMaintenance", api.ActStopMaintenance, m)
}

// ShutdownNodes is StartMaintenance, after which the nodes' processes end.
func (c *Client) ShutdownNodes(ctx context.Context, m api.NodesMsg) (Moved, error) {
	return c.moveNodes(ctx, "client.ShutdownNodes", api.ActShutdownNode, m)
}

// DecommissionNodes removes nodes for ever, once everything they hold is elsewhere.
func (c *Client) DecommissionNodes(ctx context.Context, m api.NodesMsg) (Moved, error) {
	return c.moveNodes(ctx, "client.DecommissionNodes", api.ActDecommissionNode, m)
}

func (c *Client) moveNodes(ctx context.Context, op, action string, m api.NodesMsg) (Moved, error) {
	q := c.control(op, http.MethodPut, api.PathCluster)
	q.name = nodeNames(m)
	if err := q.message(action, "", m); err != nil {
		return Moved{}, err
	}
	return c.moved(ctx, q)
}

// JoinNodes takes targets that stand by into service.
func (c *Client) JoinNodes(ctx context.Context, m api.NodesMsg) (Moved, error) {
	q := c.control("client.JoinNodes", http.MethodPost, api.PathJoin)
	q.name = nodeNames(m)
	if err := q.json(m); err != nil {
		return Moved{}, err
	}
	rep, err := c.do(ctx, q)
	if err != nil {
		return Moved{}, err
	}
	defer closeReply(rep)
	var j api.Joined
	if rep.assume {
		return Moved{}, nil
	}
	if err := decodeBody(rep.Body, &j); err != nil {
		return Moved{}, errs.E(q.op, q.name, err)
	}
	return Moved{Rebalance: j.RebalanceID}, nil
}

// RemoveNode takes a node out of the cluster map as it is: what only it holds is lost to the cluster.
func (c *Client) RemoveNode(ctx context.Context, id string) (Moved, error) {
	q := c.control("client.RemoveNode", http.MethodDelete, api.PathRemove+"/"+url.PathEscape(id))
	q.name, q.done = id, errs.NotFound
	return c.moved(ctx, q)
}

// moved sends a call whose answer is the id of a rebalance.
func (c *Client) moved(ctx context.Context, q *call) (Moved, error) {
	rep, err := c.do(ctx, q)
	if err != nil {
		return Moved{}, err
	}
	defer closeReply(rep)
	raw, err := io.ReadAll(io.LimitReader(rep.Body, 4096))
	if err != nil {
		return Moved{}, errs.E(q.op, q.name, err)
	}
	c.renew(ctx)
	return Moved{Rebalance: strings.TrimSpace(string(raw)), Primary: rep.Header.Get(api.HeaderPrimary)}, nil
}

func nodeNames(m api.NodesMsg) string {
	var names []string
	for _, id := range m.IDs() {
		names = append(names, string(id))
	}
	return strings.Join(names, ", ")
}

// ShutdownCluster has every node end as if it had got SIGTERM; started again they are the same cluster.
func (c *Client) ShutdownCluster(ctx context.Context) (*api.Ended, error) {
	return c.endCluster(ctx, "client.ShutdownCluster", api.ActShutdownCluster, api.NodesMsg{})
}

// DecommissionCluster destroys the cluster with every bucket and object; rmUserData says that this is meant.
func (c *Client) DecommissionCluster(ctx context.Context, m api.NodesMsg) (*api.Ended, error) {
	return c.endCluster(ctx, "client.DecommissionCluster", api.ActDecommissionCluster, m)
}

func (c *Client) endCluster(ctx context.Context, op, action string, m api.NodesMsg) (*api.Ended, error) {
	q := c.control(op, http.MethodPut, api.PathCluster)
	q.repeat = harmful // the nodes may have gone before the answer: nobody is there to be asked again
	if err := q.message(action, "", m); err != nil {
		return nil, err
	}
	var e api.Ended
	return &e, c.json(ctx, q, &e)
}

// Rebalance returns how far the newest rebalance is.
func (c *Client) Rebalance(ctx context.Context) (*api.Rebalance, error) {
	var r api.Rebalance
	return &r, c.ask(ctx, "client.Rebalance", api.PathCluster, api.WhatRebalance, &r)
}

// StartRebalance starts a rebalance, or goes on with the one that was stopped. Its job's Wait returns when every object is at its owner.
func (c *Client) StartRebalance(ctx context.Context) (*Job, error) {
	q := c.control("client.StartRebalance", http.MethodPut, api.PathCluster)
	if err := q.message(api.ActStart, "", api.JobQuery{Kind: api.KindRebalance}); err != nil {
		return nil, err
	}
	return c.start(ctx, q, api.KindRebalance)
}

// StopRebalance stops the rebalance until it is started again, or nodes come or go.
func (c *Client) StopRebalance(ctx context.Context) error {
	return c.StopJobs(ctx, api.JobQuery{Kind: api.KindRebalance})
}

// Check has every target compare its own index with the cluster map.
func (c *Client) Check(ctx context.Context) (*api.CheckReport, error) {
	var r api.CheckReport
	return &r, c.ask(ctx, "client.Check", api.PathCluster, api.WhatCheck, &r)
}

// FindNode returns a node of the map by its id, which may be written "t[ID]" or "p[ID]"; kind NotFound if there is none.
func FindNode(v *cluster.View, name string) (*cluster.Node, error) {
	n := v.Map.Nodes[api.ParseNodeName(name)]
	if n == nil {
		return nil, errs.E("client.FindNode", name, errs.NotFound, "no such node in the cluster map")
	}
	return n, nil
}
