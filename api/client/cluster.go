package client

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// Smap returns the cluster map as AIStore writes it; View has ours.
func (c *Client) Smap(ctx context.Context) (*api.Smap, error) {
	var m api.Smap
	return &m, c.ask(ctx, "client.Smap", api.PathCluster, api.WhatSmap, &m)
}

// BMD returns the bucket map as AIStore writes it.
func (c *Client) BMD(ctx context.Context) (*api.BMD, error) {
	var m api.BMD
	return &m, c.ask(ctx, "client.BMD", api.PathCluster, api.WhatBMD, &m)
}

// Config returns the cluster's configuration.
func (c *Client) Config(ctx context.Context) (*cluster.Config, error) {
	v, err := c.View(ctx)
	if err != nil {
		return nil, err
	}
	return v.Config, nil
}

// SetConfig changes settings of the cluster by their dotted names.
func (c *Client) SetConfig(ctx context.Context, settings map[string]string) error {
	q := c.control("client.SetConfig", http.MethodPut, api.PathSetConfig)
	for k, v := range settings {
		q.query.Set(k, v)
	}
	return c.changed(ctx, q)
}

// ResetConfig gives every setting its default.
func (c *Client) ResetConfig(ctx context.Context) error {
	q := c.control("client.ResetConfig", http.MethodPut, api.PathCluster)
	if err := q.message(api.ActResetConfig, "", nil); err != nil {
		return err
	}
	return c.changed(ctx, q)
}

// SetPrimary hands the primary's part to another voter.
func (c *Client) SetPrimary(ctx context.Context, id string) error {
	q := c.control("client.SetPrimary", http.MethodPut, api.PathSetPrimary+"/"+url.PathEscape(id))
	q.name = id
	return c.changed(ctx, q)
}

// Nodes returns every node with its health and capacity.
func (c *Client) Nodes(ctx context.Context) ([]api.NodeInfo, error) {
	var ns []api.NodeInfo
	return ns, c.ask(ctx, "client.Nodes", api.PathCluster, api.WhatNodes, &ns)
}

// Ready tells whether the node at endpoint (one of Endpoints if "") may serve; kind Unavailable if it may not yet. It
// asks once.
func (c *Client) Ready(ctx context.Context, endpoint string) error {
	q := c.control("client.Ready", http.MethodGet, api.PathHealth)
	q.query.Set(api.QueryReadiness, "true")
	if endpoint == "" {
		endpoint = c.routes.prefer(c.opt.Endpoints, nil)[0]
	}
	rep, err := c.once(ctx, q, target{url: endpoint})
	if err != nil {
		return errs.E(q.op, "", err)
	}
	closeReply(rep)
	return nil
}

// SysInfo returns what every node knows of its machine and process.
func (c *Client) SysInfo(ctx context.Context) (*api.ClusterSysInfo, error) {
	var s api.ClusterSysInfo
	return &s, c.ask(ctx, "client.SysInfo", api.PathCluster, api.WhatSysInfo, &s)
}

// Stats returns every node's counters since it started.
func (c *Client) Stats(ctx context.Context) (*api.ClusterStats, error) {
	var s api.ClusterStats
	return &s, c.ask(ctx, "client.Stats", api.PathCluster, api.WhatStats, &s)
}

// NodeStatus returns the state and counters of one node.
func (c *Client) NodeStatus(ctx context.Context, id string) (*api.NodeStatus, error) {
	const op = "client.NodeStatus"
	v, err := c.routes.current(ctx)
	if err != nil {
		return nil, err
	}
	n := v.Map.Nodes[cluster.NodeID(id)]
	if n == nil {
		return nil, errs.E(op, "node "+id, errs.NotFound, "is not in the cluster map")
	}
	q := c.control(op, http.MethodGet, api.PathDaemon)
	q.name, q.node = id, n.PublicURL
	q.query.Set(api.QueryWhat, api.WhatNodeStatus)
	var s api.NodeStatus
	return &s, c.json(ctx, q, &s)
}

// Rate is what a node, operation or disk did per second between two samples.
type Rate struct {
	Ops     float64       // per second
	Bytes   float64       // per second
	Errors  float64       // per second
	Latency time.Duration // mean

	P50, P99 time.Duration // of an operation; 0 if the node does not tell
}

// Performance is the difference of two samples of the cluster's counters.
type Performance struct {
	Over    time.Duration
	Nodes   map[string]map[string]Rate // node id -> operation -> rate
	Disks   map[string]map[string]Rate // node id -> mountpath -> rate of reads and writes together
	Missing map[string]string          // nodes that did not answer, and why
}

// Performance samples the cluster's counters twice, span apart.
func (c *Client) Performance(ctx context.Context, span time.Duration) (*Performance, error) {
	a, err := c.Stats(ctx)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, span); err != nil {
		return nil, errs.E("client.Performance", "", err)
	}
	b, err := c.Stats(ctx)
	if err != nil {
		return nil, err
	}
	return Compare(a, b), nil
}

// Compare returns what happened between two samples. A node that was restarted in between counts from zero.
func Compare(a, b *api.ClusterStats) *Performance {
	p := &Performance{Nodes: map[string]map[string]Rate{}, Disks: map[string]map[string]Rate{}, Missing: b.Missing}
	for _, pair := range [][2]map[string]*api.NodeStats{{a.Proxies, b.Proxies}, {a.Targets, b.Targets}} {
		for id, now := range pair[1] {
			was := pair[0][id]
			if was == nil || now == nil || now.TimeNS <= was.TimeNS {
				continue
			}
			over := time.Duration(now.TimeNS - was.TimeNS)
			p.Over = max(p.Over, over)
			p.Nodes[id] = opRates(was, now, over.Seconds())
			if len(now.Disks) > 0 {
				p.Disks[id] = diskRates(was, now, over.Seconds())
			}
		}
	}
	return p
}

// grown is a counter's growth.
func grown(was, now uint64) float64 {
	if now < was {
		was = 0
	}
	return float64(now - was)
}

func opRates(was, now *api.NodeStats, sec float64) map[string]Rate {
	rates := map[string]Rate{}
	for op, n := range now.Ops {
		w := was.Ops[op]
		count := grown(w.Count, n.Count)
		r := Rate{Ops: count / sec, Bytes: grown(w.Bytes, n.Bytes) / sec, Errors: grown(w.Errors, n.Errors) / sec}
		if count > 0 {
			r.Latency = time.Duration(grown(w.LatencyNS, n.LatencyNS) / count)
		}
		between := grownBuckets(w.Latencies, n.Latencies)
		r.P50, r.P99 = quantile(between, 0.5), quantile(between, 0.99)
		rates[op] = r
	}
	return rates
}

// grownBuckets are the requests that were counted between two samples.
func grownBuckets(was, now []api.LatencyBucket) []api.LatencyBucket {
	old := make(map[uint64]uint64, len(was))
	for _, b := range was {
		old[b[0]] = b[2]
	}
	var all []api.LatencyBucket
	for _, b := range now {
		if b[2] < old[b[0]] { // the node was started again
			return now
		}
		if b[2] -= old[b[0]]; b[2] > 0 {
			all = append(all, b)
		}
		delete(old, b[0])
	}
	if len(old) > 0 {
		return now
	}
	return all
}

// quantile returns the latency that a share q (0 to 1) of the requests did not exceed, 0 without any.
func quantile(buckets []api.LatencyBucket, q float64) time.Duration {
	var total, below uint64
	for _, b := range buckets {
		total += b[2]
	}
	rank := uint64(math.Ceil(q * float64(total)))
	for _, b := range buckets {
		if from, to, n := b[0], max(b[0], b[1]), b[2]; below+n >= rank {
			return time.Duration(from) + time.Duration(float64(to-from)*float64(rank-below)/float64(n))
		}
		below += b[2]
	}
	return 0
}

func diskRates(was, now *api.NodeStats, sec float64) map[string]Rate {
	old := map[string]api.Mountpath{}
	for _, d := range was.Disks {
		old[d.Path] = d
	}
	rates := map[string]Rate{}
	for _, d := range now.Disks {
		w := old[d.Path]
		count := grown(w.ReadOps, d.ReadOps) + grown(w.WriteOps, d.WriteOps)
		r := Rate{
			Ops: count / sec, Bytes: (grown(w.ReadB, d.ReadB) + grown(w.WriteB, d.WriteB)) / sec, Errors: grown(w.Errors, d.Errors) / sec,
		}
		if count > 0 {
			r.Latency = time.Duration(grown(w.BusyNS, d.BusyNS) / count)
		}
		rates[d.Path] = r
	}
	return rates
}

// ask sends a query by its "what".
func (c *Client) ask(ctx context.Context, op, path, what string, v any) error {
	q := c.control(op, http.MethodGet, path)
	q.query.Set(api.QueryWhat, what)
	return c.json(ctx, q, v)
}
