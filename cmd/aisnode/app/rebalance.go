package app

import (
	"aistore/api"
	"aistore/cluster"
	"aistore/internal/spare"
	"aistore/metrics"
	"aistore/node"
	"aistore/rebalance"
	"aistore/target"
)

// moveKeys wires in the engine that moves keys to their owners.
func (a *App) moveKeys(self cluster.NodeID, t *target.Target, reg *metrics.Registry) {
	var machine spare.Meter
	e := rebalance.New(rebalance.Config{
		Self: self, Store: a.store, Control: a.control, Client: a.client, Load: func() rebalance.Load { return a.clients(t) },
		Spare: func() spare.Reading { return machine.Look(a.store.FileSystems()) }, Log: a.log,
	})
	a.mover = e
	e.Metrics(reg)
	a.node.AddQuery(api.WhatRebalance, e.Query)
	a.node.AddQuery(api.WhatCheck, e.Check)
	t.AddRoutes(e.Routes()...)
	a.parts = append(a.parts, node.Part{Name: "rebalance", Run: e.Run})
}

// clients is what this node does for them.
func (a *App) clients(t *target.Target) rebalance.Load {
	l := a.node.Load()
	return rebalance.Load{Requests: l.Requests, Inflight: l.Inflight, Fetched: t.Fetched()}
}
