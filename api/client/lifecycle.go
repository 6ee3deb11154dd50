package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// Life is the handle of nodes that come, go and give away what they hold, and of the end of the cluster.
type Life struct{ c *Client }

// Life returns the handle of the life of nodes; making one asks no server.
func (c *Client) Life() *Life { return &Life{c} }

// Moved tells what an action on nodes has begun.
type Moved struct {
	Rebalance string // id of the rebalance that is under way for it; "" if nothing moves
	Primary   string // the new primary, if the action made the former one hand over; else ""
}

// StartMaintenance takes nodes out of service; what they hold moves to others and stays on their disks, too.
func (l *Life) StartMaintenance(ctx context.Context, m api.NodesMsg) (Moved, error) {
	return l.moveNodes(ctx, "client.StartMaintenance", api.ActStartMaintenance, m)
}

// StopMaintenance brings nodes back into service that are in maintenance or were shut down and started again.
func (l *Life) StopMaintenance(ctx context.Context, m api.NodesMsg) (Moved, error) {
	return l.moveNodes(ctx, "client.StopMaintenance", api.ActStopMaintenance, m)
}

// ShutdownNodes is StartMaintenance, after which the nodes' processes end.
func (l *Life) ShutdownNodes(ctx context.Context, m api.NodesMsg) (Moved, error) {
	return l.moveNodes(ctx, "client.ShutdownNodes", api.ActShutdownNode, m)
}

// DecommissionNodes removes nodes for ever, once everything they hold is elsewhere.
func (l *Life) DecommissionNodes(ctx context.Context, m api.NodesMsg) (Moved, error) {
	return l.moveNodes(ctx, "client.DecommissionNodes", api.ActDecommissionNode, m)
}

func (l *Life) moveNodes(ctx context.Context, op, action string, m api.NodesMsg) (Moved, error) {
	q := l.c.control(op, http.MethodPut, api.PathCluster)
	q.name = nodeNames(m)
	if err := q.message(action, "", m); err != nil {
		return Moved{}, err
	}
	return l.moved(ctx, q)
}

// JoinNodes takes targets that stand by into service.
func (l *Life) JoinNodes(ctx context.Context, m api.NodesMsg) (Moved, error) {
	q := l.c.control("client.JoinNodes", http.MethodPost, api.PathJoin)
	q.name = nodeNames(m)
	if err := q.json(m); err != nil {
		return Moved{}, err
	}
	rep, err := l.c.do(ctx, q)
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
func (l *Life) RemoveNode(ctx context.Context, id string) (Moved, error) {
	q := l.c.control("client.RemoveNode", http.MethodDelete, api.PathRemove+"/"+url.PathEscape(id))
	q.name, q.done = id, errs.NotFound
	return l.moved(ctx, q)
}

// moved sends a call whose answer is the id of a rebalance.
func (l *Life) moved(ctx context.Context, q *call) (Moved, error) {
	rep, err := l.c.do(ctx, q)
	if err != nil {
		return Moved{}, err
	}
	defer closeReply(rep)
	raw, err := io.ReadAll(io.LimitReader(rep.Body, 4096))
	if err != nil {
		return Moved{}, errs.E(q.op, q.name, err)
	}
	l.c.renew(ctx)
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
func (l *Life) ShutdownCluster(ctx context.Context) (*api.Ended, error) {
	return l.endCluster(ctx, "client.ShutdownCluster", api.ActShutdownCluster, api.NodesMsg{})
}

// DecommissionCluster destroys the cluster with every bucket and object; rmUserData says that this is meant.
func (l *Life) DecommissionCluster(ctx context.Context, m api.NodesMsg) (*api.Ended, error) {
	return l.endCluster(ctx, "client.DecommissionCluster", api.ActDecommissionCluster, m)
}

func (l *Life) endCluster(ctx context.Context, op, action string, m api.NodesMsg) (*api.Ended, error) {
	q := l.c.control(op, http.MethodPut, api.PathCluster)
	q.repeat = harmful // the nodes may have gone before the answer: nobody is there to be asked again
	if err := q.message(action, "", m); err != nil {
		return nil, err
	}
	var e api.Ended
	return &e, l.c.json(ctx, q, &e)
}

// Rebalance returns how far the newest rebalance is.
func (l *Life) Rebalance(ctx context.Context) (*api.Rebalance, error) {
	var r api.Rebalance
	return &r, l.c.ask(ctx, "client.Rebalance", api.PathCluster, api.WhatRebalance, &r)
}

// RebalanceByID returns how far a rebalance is, or how far it came: the newest, or one of the last ten that targets remember.
func (l *Life) RebalanceByID(ctx context.Context, id string) (*api.Rebalance, error) {
	q := l.c.control("client.RebalanceByID", http.MethodGet, api.PathCluster)
	q.name = id
	q.query.Set(api.QueryWhat, api.WhatRebalance)
	q.query.Set(api.QueryID, id)
	var r api.Rebalance
	return &r, l.c.json(ctx, q, &r)
}

// RebalanceJob returns the state of the newest rebalance as of a job: whether it runs, is stopped, or has ended.
func (l *Life) RebalanceJob(ctx context.Context) (*api.JobStatus, error) {
	var s api.JobStatus
	return &s, l.c.askJobs(ctx, "client.RebalanceJob", api.WhatStatus, api.JobQuery{Kind: api.KindRebalance}, &s)
}

// NewestRebalance returns the id of the newest rebalance. While targets stand by that are about to be taken into service by themselves it waits:
// that begins another, and who asks after they came means that one.
func (l *Life) NewestRebalance(ctx context.Context) (id string, err error) {
	for n := 1; ; n++ {
		v, err := l.c.View(ctx)
		if err != nil {
			return "", err
		}
		coming := newcomer(v.Map)
		if coming == "" {
			return v.Map.Generation(), nil
		}
		if err := sleep(ctx, polling(n)); err != nil {
			return "", errs.F("client.NewestRebalance", string(coming), errs.KindOf(err), "still stands by: %w", err)
		}
	}
}

// newcomer is a target that the cluster takes into service by itself, "" if there is none.
func newcomer(m *cluster.Map) cluster.NodeID {
	for _, n := range m.All() {
		if n.Role.Target() && n.State == cluster.Standby && n.Phase == "" && !n.Manual && n.Alive {
			return n.ID
		}
	}
	return ""
}

// StartRebalance starts a rebalance, or goes on with the one that was stopped. Its job's Wait returns when every object is at its owner;
// kind Conflict says that it was stopped, or that another goes on with it.
func (l *Life) StartRebalance(ctx context.Context) (*Job, error) {
	q := l.c.control("client.StartRebalance", http.MethodPut, api.PathCluster)
	if err := q.message(api.ActStart, "", api.JobQuery{Kind: api.KindRebalance}); err != nil {
		return nil, err
	}
	return l.c.start(ctx, q, api.KindRebalance)
}

// StopRebalance stops the rebalance until it is started again, or nodes come or go.
func (l *Life) StopRebalance(ctx context.Context) error {
	return l.c.StopJobs(ctx, api.JobQuery{Kind: api.KindRebalance})
}

// CheckOptions say how thorough a check is.
type CheckOptions struct {
	Deep bool // also read every byte
}

// checkPatience is how long a check may take: some minutes for hundreds of millions of names, more when every byte is read.
const checkPatience = time.Hour

// Check has every target compare its own index with the cluster map. Bound it by ctx: Options.Stall does not hold for it.
func (l *Life) Check(ctx context.Context, o CheckOptions) (*api.CheckReport, error) {
	q := l.c.control("client.Check", http.MethodGet, api.PathCluster)
	q.stall = checkPatience
	q.query.Set(api.QueryWhat, api.WhatCheck)
	if o.Deep {
		q.query.Set(api.QueryDeep, "true")
	}
	var r api.CheckReport
	return &r, l.c.json(ctx, q, &r)
}

// FindNode returns a node of the map by its id, which may be written "t[ID]" or "p[ID]"; kind NotFound if there is none.
func FindNode(v *cluster.View, name string) (*cluster.Node, error) {
	n := v.Map.Nodes[api.ParseNodeName(name)]
	if n == nil || !api.Fits(name, n) {
		return nil, errs.E("client.FindNode", name, errs.NotFound, "no such node in the cluster map")
	}
	return n, nil
}
