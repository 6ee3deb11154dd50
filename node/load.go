package node

import (
	"sync/atomic"
	"time"

	"aistore/httpx"
)

// Load is what this node has done for clients since it started: requests of objects and lists, also those that another node relays.
// Work in the background looks at it to keep out of the way.
type Load struct {
	Requests uint64
	Latency  time.Duration // the sum over Requests
	Inflight int64
}

// load counts a Load.
type load struct {
	requests atomic.Uint64
	nanos    atomic.Int64
	servers  atomic.Pointer[[2]*httpx.Server]
}

// Load returns the counts.
func (n *Node) Load() Load {
	l := Load{Requests: n.load.requests.Load(), Latency: time.Duration(n.load.nanos.Load())}
	if ss := n.load.servers.Load(); ss != nil {
		for _, s := range ss {
			l.Inflight += s.Inflight(httpx.ClassData)
		}
	}
	return l
}

// counted is a meter that counts for the load, too.
type counted struct {
	httpx.Meter
	load *load
}

// Observe implements httpx.Meter.
func (c counted) Observe(status int, bytesIn, bytesOut int64, took time.Duration) {
	c.load.requests.Add(1)
	c.load.nanos.Add(int64(took))
	c.Meter.Observe(status, bytesIn, bytesOut, took)
}

// clientOps are the operations of routes for objects and lists.
func clientOps(routes []httpx.Route) map[string]bool {
	ops := map[string]bool{}
	for i := range routes {
		if routes[i].Policy.Class == httpx.ClassData {
			ops[routes[i].Op] = true
			for _, op := range routes[i].Ops {
				ops[op] = true
			}
		}
	}
	return ops
}
