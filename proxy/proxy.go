// Package proxy is the gateway: it answers clients of the native API about buckets, lists, jobs and the cluster,
// and sends requests for objects to their owner.
//
// A gateway keeps no state: the view comes from the control plane, names from the targets. An object request is
// resolved under one view and answered with a signed redirect, or served by the target in the same process
// (role all) without a socket. Reading and writing objects is package target's, queries about one node are
// package node's, the merge of lists is package list's, jobs are package xact's.
//
// A GET: routes.go -> object.go -> target. A list: routes.go -> bucket.go -> listing.go -> list.
// Start at New and (*Gateway).Routes.
package proxy

import (
	"context"
	"sync"

	"aistore/api"
	"aistore/cluster"
	"aistore/cluster/control"
	"aistore/errs"
	"aistore/httpx"
	"aistore/list"
	"aistore/node"
	"aistore/xact"
)

// Control is what a gateway asks of the control plane besides what every node does.
type Control interface {
	Latest(ctx context.Context) (*cluster.View, error)
	Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error)
	Health(ctx context.Context) ([]control.NodeHealth, error)
	Member() error
}

// Objects serves object requests in this process, and sends those for others' objects to them. *target.Target is the one real one.
type Objects interface {
	Serve(c *httpx.Ctx, o node.Object) error
}

// Config of a gateway. The last three are nil unless the node is a target too.
type Config struct {
	Node    *node.Node
	Control Control
	Objects Objects
	Lists   *list.Local
	Jobs    *xact.Runtime
}

// Gateway answers clients.
type Gateway struct {
	node    *node.Node
	ctl     Control
	objects Objects
	lister  *list.Lister
	jobs    *xact.Jobs
	buffers sync.Pool // *[]byte: encoded list pages
}

// New returns a gateway. It starts nothing.
func New(cfg Config) *Gateway {
	n := cfg.Node
	return &Gateway{
		node:    n,
		ctl:     cfg.Control,
		objects: cfg.Objects,
		lister:  list.NewLister(list.NewRemote(n.Client, n.ID, cfg.Lists)),
		jobs:    xact.NewJobs(xact.NewRemote(n.Client, n.ID, cfg.Jobs)),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
}

// What bodies of control requests are bounded by: the longest are lists of names.
const (
	maxMessage  = 16 << 20
	maxSettings = 1 << 20 // where there is none
)

// message reads the request's ActionMsg. No body at all is the zero message.
func message(c *httpx.Ctx) (m api.ActionMsg, err error) {
	b, err := c.ReadAll(maxMessage)
	if err != nil || len(b) == 0 {
		return m, err
	}
	if err := api.Unmarshal(`action message such as {"action":"list"}`, b, &m); err != nil {
		return m, err
	}
	if m.Action == "" && (len(m.Value) > 0 || m.Name != "") {
		return m, errs.E("proxy.message", "action", errs.Invalid, "is missing in the action message")
	}
	return m, nil
}

// unknownAction refuses an action that the route does not serve.
func unknownAction(m *api.ActionMsg, served string) error {
	const op = "proxy.action"
	if m.Action == "" {
		return errs.F(op, "action", errs.Invalid, "is missing: send a JSON action message with one of %s", served)
	}
	if why, known := api.UnsupportedActions()[m.Action]; known {
		return errs.F(op, "action", errs.Unsupported, "%q %s", m.Action, why)
	}
	return errs.F(op, "action", errs.Invalid, "%.60q is not served here: use one of %s", m.Action, served)
}

// text makes s the reply body.
func text(c *httpx.Ctx, s string) error {
	c.SetHeader("Content-Type", "text/plain; charset=utf-8")
	_, err := c.Write([]byte(s))
	return err
}

// bck reads which bucket the request is about from the path and the query; name may be "".
func bck(c *httpx.Ctx, name string) (api.Bck, error) {
	if err := api.CheckProvider(c.Query(api.QueryProvider)); err != nil {
		return api.Bck{}, err
	}
	ns, err := api.ParseNamespace(c.Query(api.QueryNamespace))
	return api.Bck{Name: name, Provider: api.ProviderAIS, Namespace: ns}, err
}
