package node

import (
	"context"
	"net"
	"strconv"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/httpx"
	"aistore/internal/run"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// Routes are the routes that every node has.
func (n *Node) Routes() []httpx.Route {
	health := httpx.Policy{Listener: httpx.Public, Class: httpx.ClassHealth}
	both := httpx.Policy{Listener: httpx.Both, Class: httpx.ClassHealth}
	control := httpx.Policy{Listener: httpx.Public, Class: httpx.ClassControl, MaxBody: 64 << 10}
	daemon := control
	daemon.Listener = httpx.Both // gateways ask other nodes, whose public URL may be TLS
	intra := httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassHealth}
	end := intra
	end.MaxBody = 4096
	rs := n.mountpathRoutes(control)
	return append(append(rs, []httpx.Route{
		{Method: "GET", Path: api.PathHealth, Op: "health", Policy: health, Handler: n.health},
		{Method: "GET", Path: "/" + api.PathHealth, Op: "health", Policy: health, Handler: n.health}, // as AIStore's documentation writes it
		{Method: "GET", Path: api.PathMetrics, Op: "metrics", Policy: both, Handler: n.getMetrics},
		{Method: "GET", Path: api.PathDaemon, Op: "get-daemon", Policy: daemon, Handler: n.getDaemon},
		{Method: "POST", Path: PathEnd, Op: "end", Policy: end, Handler: n.postEnd},
		{Method: "GET", Path: pathPprof + "*", Op: "pprof", Policy: intra, Handler: n.getProfile},
	}...), (&users{n}).routes(control)...)
}

// Part is a loop of the node that ends soon after its context.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// Listeners are the node's ports. Intra is the HTTP half of the intra-cluster port, Local the same for other nodes on the machine or nil, TLS a
// second public one or nil.
type Listeners struct{ Public, TLS, Intra, Local net.Listener }

// public are the listeners of one server: its limits count the connections and requests of both together.
func (ls Listeners) public() []net.Listener {
	if ls.TLS == nil {
		return []net.Listener{ls.Public}
	}
	return []net.Listener{ls.Public, ls.TLS}
}

func (ls Listeners) intra() []net.Listener {
	if ls.Local == nil {
		return []net.Listener{ls.Intra}
	}
	return []net.Listener{ls.Intra, ls.Local}
}

// Run serves routes until ctx ends or a part fails. parts start before the public listeners are served and
// stop after its last request has been answered: a request in flight at SIGTERM still finds its lease.
func (n *Node) Run(ctx context.Context, ls Listeners, routes []httpx.Route, parts ...Part) error {
	router, err := httpx.NewRouter(routes)
	if err != nil {
		return err
	}
	ops := clientOps(routes)
	public, intra := n.server(router, httpx.Public, ops), n.server(router, httpx.Intra, ops)
	n.load.servers.Store(&[2]*httpx.Server{public, intra})

	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g := run.NewGroup(inner)
	g.Log = n.Log
	g.Go("intra-http", func(ctx context.Context) error { return intra.Serve(ctx, ls.intra()...) })
	for _, p := range parts {
		g.Go(p.Name, p.Run)
	}
	g.Go("settings", func(ctx context.Context) error { n.follow(ctx, public, intra); return nil })
	g.Go("public-http", func(partCtx context.Context) error {
		front, end := context.WithCancel(partCtx) // a failed part ends it, and so does the caller
		defer end()
		defer context.AfterFunc(ctx, end)()
		defer stop() // after the drain everything else may go
		return public.Serve(front, ls.public()...)
	})
	return g.Wait()
}

func (n *Node) server(r *httpx.Router, l httpx.Listener, clientOps map[string]bool) *httpx.Server {
	return httpx.NewServer(httpx.ServerConfig{
		Listener: l, Node: string(n.ID), Log: n.Log,
		Meter: func(op string) httpx.Meter {
			name := op
			if l == httpx.Intra {
				name = "intra-" + op
			}
			if clientOps[op] {
				return counted{n.Metrics.Op(name), &n.load}
			}
			return n.Metrics.Op(name)
		},
	}, r)
}

// follow applies what the cluster's configuration says to logs and servers, at once and whenever it changes.
func (n *Node) follow(ctx context.Context, servers ...*httpx.Server) {
	var seen uint64
	var version uint64
	lost := map[cluster.NodeID]bool{}
	for {
		if v := n.control.View(); v != nil {
			seen = v.Index
			n.giveUp(v.Map, lost)
			if v.Config.Version != version {
				version = v.Config.Version
				n.apply(v.Config, servers)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-n.control.Watch(seen):
		}
	}
}

// giveUp lets nobody wait for nodes that are lost since it last looked.
func (n *Node) giveUp(m *cluster.Map, lost map[cluster.NodeID]bool) {
	for id, nd := range m.Nodes {
		if nd.Alive {
			delete(lost, id)
		} else if !lost[id] {
			lost[id] = true
			n.Client.Lost(nd.IntraAddr)
		}
	}
}

// leastProgress is what nodes always allow each other: the control plane's own limits are shorter, and its messages must not be cut by
// what is right for clients.
const leastProgress = time.Minute

func (n *Node) apply(c *cluster.Config, servers []*httpx.Server) {
	n.cfg.Logs.Follow(c.Log.Level)
	n.Client.SetProgress(max(c.Timeout.Request.D(), leastProgress))
	for _, s := range servers {
		s.SetLimits(httpx.Limits{
			Progress: c.Timeout.Request.D(), Drain: max(c.Timeout.Drain.D(), time.Millisecond),
			Inflight: [3]int{c.Limits.Inflight, c.Limits.Inflight, c.Limits.Inflight},
		})
	}
}
