package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/internal/jsonx"
	"aistore/node"
)

// lifecycle is what gateways do for nodes that come, leave, or end.
type lifecycle struct{ *Gateway }

// actions lists the actions on nodes and on the whole cluster.
func (g lifecycle) actions() map[string]func(*httpx.Ctx, *api.ActionMsg) error {
	step := func(t cluster.Transition) func(*httpx.Ctx, *api.ActionMsg) error {
		return func(c *httpx.Ctx, m *api.ActionMsg) error { return g.move(c, m, t) }
	}
	return map[string]func(*httpx.Ctx, *api.ActionMsg) error{
		api.ActStartMaintenance:    step(cluster.StartMaintenance),
		api.ActStopMaintenance:     step(cluster.StopMaintenance),
		api.ActShutdownNode:        step(cluster.ShutdownNode),
		api.ActDecommissionNode:    step(cluster.DecommissionNode),
		api.ActShutdownCluster:     g.shutdownCluster,
		"shutdown":                 g.shutdownCluster,
		api.ActDecommissionCluster: g.decommissionCluster,
		"decommission":             g.decommissionCluster,
	}
}

// nodesOf reads which nodes a message is about. Without any it is refused: an empty list must not mean all.
func nodesOf(m *api.ActionMsg) (api.NodesMsg, error) {
	var msg api.NodesMsg
	if err := m.Decode(&msg); err != nil {
		return msg, err
	}
	if len(msg.IDs()) == 0 {
		return msg, errs.F("proxy.nodesOf", "value", errs.Invalid, `names no node: give {"sid":"ID"} or {"nodes":["ID",...]}`)
	}
	return msg, nil
}

func (g lifecycle) move(c *httpx.Ctx, m *api.ActionMsg, step cluster.Transition) error {
	const op = "proxy.move"
	msg, err := nodesOf(m)
	if err != nil {
		return err
	}
	v, err := g.ctl.Latest(c.Context())
	if err != nil {
		return err
	}
	if err := msg.Check(v.Map.Nodes); err != nil {
		return err
	}
	mv := cluster.MoveNodes{IDs: msg.IDs(), Step: step}
	switch {
	case step == cluster.DecommissionNode && msg.NoShutdown:
		return errs.E(op, "no_shutdown", errs.Unsupported, "a decommissioned node belongs to no cluster and its process ends")
	case step == cluster.DecommissionNode && msg.SkipRebalance:
		return errs.E(op, "skip_rebalance", errs.Invalid,
			"decommissioning moves everything first; to give up what a node has, remove it from the map: DELETE "+api.PathRemove+"/ID (`ais advanced remove-from-smap`)")
	case step == cluster.DecommissionNode:
		mv.KeepData = !msg.RmUserData
	default:
		mv.Paused = msg.SkipRebalance
	}
	var id string
	if step == cluster.StopMaintenance || step == cluster.JoinNode {
		id, err = g.enter(c, v.Map, mv)
	} else if err = stays(v, mv.IDs); err == nil {
		id, err = g.leave(c, mv, mv.IDs)
	}
	if err != nil {
		return err
	}
	for _, id := range mv.IDs {
		// No change of the map ends a node that was shut down before and started again.
		if n := v.Map.Nodes[id]; step == cluster.ShutdownNode && n.Alive && n.State == cluster.Shutdown && n.Phase == cluster.Drained {
			if err := g.endOne(c, n, v.Map.UUID); err != nil {
				return errs.E(op, string(id), err)
			}
		}
	}
	return text(c, id)
}

// enter has nodes own names and returns the id of the rebalance. A node that is to end when everything is elsewhere may have begun to just before it
// saw that it is taken back: whoever asked for it has to know that the names are served by nobody.
func (g lifecycle) enter(c *httpx.Ctx, m *cluster.Map, mv cluster.MoveNodes) (rebalance string, err error) {
	if err := g.answer(c, m, mv.IDs, "does not answer: start it first"); err != nil {
		return "", err
	}
	if rebalance, err = g.leave(c, mv, mv.IDs); err != nil {
		return "", err
	}
	return rebalance, g.answer(c, m, mv.IDs, "is in service again, and its process has ended meanwhile: start it")
}

// answer makes sure that nodes which are to own names answer now. The map calls a node alive until its lease is over, also one that has just
// ended: taken back, it would own names that nobody serves. otherwise is what is said of one that does not.
func (g lifecycle) answer(c *httpx.Ctx, m *cluster.Map, ids []cluster.NodeID, otherwise string) error {
	ctx, cancel := context.WithTimeout(c.Context(), endPatience)
	defer cancel()
	for _, id := range ids {
		n := m.Nodes[id]
		if n == nil || !n.Alive || n.ID == g.node.ID || n.InService() {
			continue // what is to be said of it is said by the change itself
		}
		err := g.node.Client.JSON(ctx, "GET", "http://"+n.IntraAddr+api.PathDaemon+"?"+api.QueryWhat+"="+api.WhatSnode, nil, new(struct{}))
		if errs.Is(err, errs.Unavailable, errs.Timeout) {
			return errs.F("proxy.answer", string(id), errs.Conflict, "%s (%w)", otherwise, err)
		}
	}
	return nil
}

// stays refuses to take nodes out of service when none of those that would be left in it answers: all names would belong to nodes that are down, or
// nobody would be there to be asked. Where it is so already it is no reason, and whether any would be left at all the state machine decides.
func stays(v *cluster.View, ids []cluster.NodeID) error {
	deserted := func(what string, in []*cluster.Node) error {
		var down []string
		before, after := 0, 0
		for _, n := range in {
			leaves := slices.Contains(ids, n.ID)
			switch {
			case n.Alive && leaves:
				before++
			case n.Alive:
				after++
			case !leaves:
				down = append(down, string(n.ID))
			}
		}
		if before == 0 || after > 0 || len(down) == 0 {
			return nil
		}
		return errs.F("proxy.stays", strings.Join(down, ", "), errs.Conflict, "does not answer, and no other %s would be left in service: start it, or add one first", what)
	}
	if len(v.Buckets.Buckets) > 0 {
		if err := deserted("target", v.Map.Targets()); err != nil {
			return err
		}
	}
	return deserted("gateway", v.Map.Gateways())
}

// endOne tells a node to end as SIGTERM would.
func (g lifecycle) endOne(c *httpx.Ctx, n *cluster.Node, uuid string) error {
	e := node.Ending{Cluster: uuid}
	if n.ID == g.node.ID {
		return g.node.End(e)
	}
	ctx, cancel := context.WithTimeout(c.Context(), endPatience)
	defer cancel()
	err := g.node.Client.JSON(ctx, "POST", "http://"+n.IntraAddr+node.PathEnd, e, nil)
	if errs.Is(err, errs.Unavailable) {
		return nil // it has ended meanwhile
	}
	return err
}

// leave proposes what may take the primary along, and returns the id of the rebalance that is under way for it.
func (g lifecycle) leave(c *httpx.Ctx, cmd cluster.Command, ids []cluster.NodeID) (rebalance string, err error) {
	before, err := g.ctl.Latest(c.Context())
	if err != nil {
		return "", err
	}
	res, err := g.ctl.Propose(c.Context(), cmd)
	if err != nil {
		return "", err
	}
	after, err := g.node.View()
	if err != nil {
		return "", err
	}
	if was, is := before.Map.Primary, after.Map.Primary; was != is && slices.Contains(ids, was) {
		c.SetHeader(api.HeaderPrimary, string(is))
	}
	rebalance = res.Rebalance
	if rebalance == "" && after.Map.Rebalancing() && slices.ContainsFunc(ids, func(id cluster.NodeID) bool {
		n := after.Map.Nodes[id]
		return n != nil && (n.Phase == cluster.Joining || n.Phase == cluster.Migrating)
	}) {
		rebalance = after.Map.Generation() // asked for before
	}
	c.SetHeader(api.HeaderXactionID, rebalance)
	g.node.Log.Info("life of nodes", "op", cmd.Op(), "nodes", ids, "rebalance", rebalance)
	return rebalance, nil
}

// join takes targets that stand by into service.
func (g lifecycle) join(c *httpx.Ctx) error {
	var msg api.NodesMsg
	b, err := c.ReadAll(maxMessage)
	if err != nil {
		return err
	}
	if len(b) > 0 {
		if err := api.Unmarshal("description of a node", b, &msg); err != nil {
			return err
		}
	}
	ids := msg.IDs()
	if len(ids) == 0 {
		return errs.F("proxy.join", "node", errs.Invalid, `is missing: give {"daemon_id":"ID"}, or {"nodes":["ID",...]}; a node joins by itself when it is started with --join and the URL of any node`)
	}
	v, err := g.ctl.Latest(c.Context())
	if err != nil {
		return err
	}
	if err := msg.Check(v.Map.Nodes); err != nil {
		return err
	}
	id, err := g.enter(c, v.Map, cluster.MoveNodes{IDs: ids, Step: cluster.JoinNode, Paused: msg.SkipRebalance})
	if err != nil {
		return err
	}
	return c.JSON(api.Joined{DaemonID: string(ids[0]), RebalanceID: id})
}

// remove takes a node out of the map as it is.
func (g lifecycle) remove(c *httpx.Ctx) error {
	name := api.NodesMsg{SID: strings.TrimSuffix(c.Rest(), "/")}
	id := api.ParseNodeName(name.SID)
	if id == "" {
		return errs.E("proxy.remove", "node", errs.Invalid, "is missing in the path")
	}
	v, err := g.ctl.Latest(c.Context())
	if err != nil {
		return err
	}
	if err := name.Check(v.Map.Nodes); err != nil {
		return err
	}
	if err := stays(v, []cluster.NodeID{id}); err != nil {
		return err
	}
	rebalance, err := g.leave(c, cluster.ForgetNode{ID: id}, []cluster.NodeID{id})
	if err != nil {
		return err
	}
	return text(c, rebalance)
}

// shutdownCluster has every node end as SIGTERM would. A value that says anything else is refused: who sent it does not mean all nodes.
func (g lifecycle) shutdownCluster(c *httpx.Ctx, m *api.ActionMsg) error {
	const op = "proxy.shutdownCluster"
	var msg api.NodesMsg
	if len(m.Value) > 0 && string(m.Value) != "null" {
		if err := jsonx.UnmarshalStrict(m.Value, &msg); err != nil {
			return errs.E(op, "value", errs.Invalid, err)
		}
	}
	switch {
	case len(msg.IDs()) > 0:
		return errs.F(op, "value", errs.Invalid, "names nodes, and this ends all: to end some of them, send %s", api.ActShutdownNode)
	case msg.RmUserData, msg.NoShutdown, msg.SkipRebalance:
		return errs.F(op, "value", errs.Invalid, "asks for something else, and this ends all nodes and keeps what they have: send no value; to destroy the cluster, send %s", api.ActDecommissionCluster)
	}
	return g.endAll(c, node.Ending{})
}

// decommissionCluster has every node destroy what it has.
func (g lifecycle) decommissionCluster(c *httpx.Ctx, m *api.ActionMsg) error {
	var msg api.NodesMsg
	if err := m.Decode(&msg); err != nil {
		return err
	}
	if !msg.RmUserData {
		return errs.E("proxy.decommissionCluster", "rm_user_data", errs.Invalid,
			`must be true: this destroys every bucket and object of the cluster, and its nodes forget each other; to stop all nodes and keep everything, shut the cluster down`)
	}
	return g.endAll(c, node.Ending{Wipe: true})
}

// endPatience bounds what one node may take to say that it ends.
const endPatience = 10 * time.Second

// endAll tells every live node, this one last.
func (g lifecycle) endAll(c *httpx.Ctx, e node.Ending) error {
	v, err := g.newest(c.Context())
	if err != nil {
		return err
	}
	e.Cluster = v.Map.UUID
	g.node.Log.Warn("all nodes of the cluster are told to end", "wipe", e.Wipe)
	rep := api.Ended{Missing: map[string]string{}}
	var mu sync.Mutex
	told := func(n *cluster.Node, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			rep.Missing[string(n.ID)] = err.Error()
			return
		}
		rep.Nodes = append(rep.Nodes, string(n.ID))
	}
	var wg sync.WaitGroup
	for _, n := range v.Map.All() {
		switch {
		case n.ID == g.node.ID:
			told(n, nil)
			continue
		case !n.Alive:
			told(n, errors.New("offline"))
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(c.Context(), endPatience)
			defer cancel()
			told(n, g.node.Client.JSON(ctx, "POST", "http://"+n.IntraAddr+node.PathEnd, e, nil))
		})
	}
	wg.Wait()
	slices.Sort(rep.Nodes)
	if err := g.node.End(e); err != nil {
		return err
	}
	return c.JSON(&rep)
}
