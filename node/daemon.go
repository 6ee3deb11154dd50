package node

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/metrics"
)

// queries answer GET /v1/daemon?what=...: what this node knows of itself and of its cluster.
func (n *Node) queries() map[string]httpx.Handler {
	reply := func(f func(*cluster.View) any) httpx.Handler {
		return func(c *httpx.Ctx) error {
			v, err := n.View()
			if err != nil {
				return err
			}
			return c.JSON(f(v))
		}
	}
	return map[string]httpx.Handler{
		api.WhatSmap:          reply(func(v *cluster.View) any { return api.SmapOf(v.Map) }),
		api.WhatBMD:           reply(func(v *cluster.View) any { return api.BMDOf(v) }),
		api.WhatClusterConfig: reply(func(v *cluster.View) any { return v.Config }),
		api.WhatSnode:         n.getSnode,
		api.WhatView:          reply(func(v *cluster.View) any { return v.Public() }),
		api.WhatNodeStatus:    reply(func(v *cluster.View) any { return n.status(v) }),
		api.WhatStatus:        reply(func(v *cluster.View) any { return n.status(v) }),
		api.WhatConfig:        func(c *httpx.Ctx) error { return c.JSON(n.cfg.Settings) },
		api.WhatStats:         func(c *httpx.Ctx) error { return c.JSON(n.stats(true)) },
		api.WhatSysInfo:       func(c *httpx.Ctx) error { return c.JSON(sysInfo()) },
		api.WhatMountpaths:    n.getMountpaths,
		api.WhatLog:           n.getLog,
	}
}

// AddQuery has another package answer GET /v1/daemon?what=WHAT. It is for whoever assembles the node, before Run.
func (n *Node) AddQuery(what string, h httpx.Handler) { n.what[what] = h }

func (n *Node) getDaemon(c *httpx.Ctx) error {
	what := c.Query(api.QueryWhat)
	if h := n.what[what]; h != nil {
		return h(c)
	}
	return errs.F("node.getDaemon", api.QueryWhat, errs.Invalid, "%.60q is unknown: use one of %s",
		what, strings.Join(slices.Sorted(maps.Keys(n.what)), ", "))
}

// getSnode answers for as long as the process is to stay: by it a gateway finds out whether the node can own names.
func (n *Node) getSnode(c *httpx.Ctx) error {
	v, err := n.View()
	if err != nil {
		return err
	}
	if n.cfg.Ends != nil && n.cfg.Ends() {
		return errs.E("node.getSnode", string(n.ID), errs.Unavailable, "its process ends")
	}
	return c.JSON(n.snode(v))
}

// snode is this node as AIStore's map shows it.
func (n *Node) snode(v *cluster.View) *api.Snode {
	me := v.Map.Nodes[n.ID]
	if me == nil {
		me = &cluster.Node{ID: n.ID, Role: n.Role}
	}
	if n.Role.Target() {
		return api.SnodeOf(me, api.TypeTarget)
	}
	return api.SnodeOf(me, api.TypeProxy)
}

func (n *Node) status(v *cluster.View) *api.NodeStatus {
	s := &api.NodeStatus{
		Snode: n.snode(v), SmapVersion: v.Map.Version, Version: n.cfg.Version, PID: os.Getpid(),
		UptimeNS: time.Since(n.started).Nanoseconds(), Stats: n.stats(false), Mountpaths: n.mountpaths(),
	}
	if s.Status = string(s.Snode.State); n.Ready() != nil {
		s.Status = "offline"
	}
	return s
}

// stats are this node's counters; each operation's latencies are many numbers, which are left out unless they are asked for.
func (n *Node) stats(latencies bool) *api.NodeStats {
	s := &api.NodeStats{
		Node: string(n.ID), Role: n.Role, TimeNS: time.Now().UnixNano(),
		Ops: map[string]api.OpStats{}, Sys: sysInfo(),
	}
	for _, o := range n.Metrics.Snapshot() {
		op := api.OpStats{
			Count: o.Count, Errors: o.Errors, Bytes: o.BytesIn + o.BytesOut,
			LatencyNS: count(int64(o.Latency)), P50NS: count(int64(o.P50)), P99NS: count(int64(o.P99)),
		}
		if latencies {
			for _, b := range o.Buckets {
				op.Latencies = append(op.Latencies, api.LatencyBucket{count(int64(b.From)), count(int64(b.To)), b.Count})
			}
		}
		s.Ops[o.Op] = op
	}
	if m := n.mountpaths(); m != nil {
		s.Disks = m.Details
	}
	return s
}

func (n *Node) getMountpaths(c *httpx.Ctx) error {
	m := n.mountpaths()
	if m == nil {
		return errs.E("node.getMountpaths", string(n.ID), errs.Invalid, "is a gateway and has no mountpaths")
	}
	return c.JSON(m)
}

// getLog sends the end of the node's log as text, or with all=true as a tar.gz.
func (n *Node) getLog(c *httpx.Ctx) error {
	severity := c.Query(api.QueryLogSeverity)
	b := n.cfg.Logs.Tail(severity)
	if c.Query(api.QueryAllLogs) != "true" {
		c.SetHeader("Content-Type", "text/plain; charset=utf-8")
		return c.SendBytes(b)
	}
	var z bytes.Buffer
	gz := gzip.NewWriter(&z)
	tw := tar.NewWriter(gz)
	// Writing to memory does not fail.
	_ = tw.WriteHeader(&tar.Header{Name: string(n.ID) + ".log", Mode: 0o644, Size: int64(len(b)), ModTime: time.Now()})
	_, _ = tw.Write(b)
	_ = tw.Close()
	_ = gz.Close()
	c.SetHeader("Content-Type", "application/gzip")
	return c.SendBytes(z.Bytes())
}

// health answers 200 while the process lives; with readiness=true or prr=true only when the node can serve.
func (n *Node) health(c *httpx.Ctx) error {
	c.SetHeader(api.HeaderNodeUptime, itoa(time.Since(n.started).Nanoseconds()))
	if v := n.control.View(); v != nil {
		c.SetHeader(api.HeaderClusterUptime, itoa(max(0, time.Since(v.Map.Created).Nanoseconds())))
	}
	if isTrue(c.Query(api.QueryReadiness)) || isTrue(c.Query(api.QueryReadyReb)) {
		return n.Ready()
	}
	return nil
}

func isTrue(s string) bool { return s == "true" || s == "1" || s == "yes" || s == "on" }

func (n *Node) getMetrics(c *httpx.Ctx) error {
	c.SetHeader("Content-Type", metrics.ContentType)
	return n.Metrics.WriteText(c)
}
