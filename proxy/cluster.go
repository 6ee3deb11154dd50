package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/cluster/control"
	"aistore/config"
	"aistore/errs"
	"aistore/httpx"
)

// queries answer GET /v1/cluster?what=...
type queries struct{ *Gateway }

// table lists every query by its name.
func (g *queries) table() map[string]func(*httpx.Ctx, *cluster.View) error {
	return map[string]func(*httpx.Ctx, *cluster.View) error{
		api.WhatSmap:          func(c *httpx.Ctx, v *cluster.View) error { return c.JSON(api.SmapOf(v.Map)) },
		api.WhatBMD:           func(c *httpx.Ctx, v *cluster.View) error { return c.JSON(api.BMDOf(v)) },
		api.WhatConfig:        func(c *httpx.Ctx, v *cluster.View) error { return c.JSON(v.Config) },
		api.WhatClusterConfig: func(c *httpx.Ctx, v *cluster.View) error { return c.JSON(v.Config) },
		api.WhatView:          func(c *httpx.Ctx, v *cluster.View) error { return c.JSON(v.Public()) },
		api.WhatTargetIPs:     queryTargetIPs,
		api.WhatRemote:        func(c *httpx.Ctx, _ *cluster.View) error { return c.JSON(map[string]any{"a": []any{}, "ver": 0}) },
		api.WhatKinds:         func(c *httpx.Ctx, _ *cluster.View) error { return c.JSON(kinds()) },
		api.WhatNodes:         g.nodes,
		api.WhatHealth:        g.health,
		api.WhatStats:         g.stats,
		api.WhatSysInfo:       g.sysInfo,
		api.WhatMountpaths:    g.mountpaths,
		api.WhatAllMountpaths: g.mountpaths,
		api.WhatStatus:        g.oneJob,
		api.WhatAllStatus:     g.allJobs,
		api.WhatAllRunning:    g.running,
		api.WhatJobStats:      g.jobStats,
		api.WhatRebalance:     g.rebalance,
		api.WhatCheck:         g.check,
	}
}

func (g *Gateway) getCluster(c *httpx.Ctx) error {
	what := c.Query(api.QueryWhat)
	table := (&queries{g}).table()
	q, ok := table[what]
	if !ok {
		names := make([]string, 0, len(table))
		for n := range table {
			names = append(names, n)
		}
		sort.Strings(names)
		return errs.F("proxy.getCluster", api.QueryWhat, errs.Invalid, "%.60q is unknown: use one of %s", what, strings.Join(names, ", "))
	}
	v, err := g.newest(c.Context())
	if err != nil {
		return err
	}
	return q(c, v)
}

// patience bounds what a query waits for other nodes.
const patience = 5 * time.Second

// newest is the primary's view, or while there is none this node's own: queries are to be answered above all when
// something is wrong. Only what clients act on is left to the barrier.
func (g *Gateway) newest(ctx context.Context) (*cluster.View, error) {
	qctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := g.ctl.Latest(qctx)
	if err != nil && ctx.Err() == nil {
		return g.node.View()
	}
	return v, err
}

func queryTargetIPs(c *httpx.Ctx, v *cluster.View) error {
	var ips []string
	for _, n := range v.Map.Targets() {
		ips = append(ips, api.SnodeOf(n, api.TypeTarget).PublicNet.IPAddr)
	}
	return text(c, strings.Join(ips, ","))
}

func (g *queries) health(c *httpx.Ctx, _ *cluster.View) error {
	health, err := g.ctl.Health(c.Context())
	if err != nil {
		return err
	}
	return c.JSON(health)
}

// nodes is the map's entries with what nodes last told the primary.
func (g *queries) nodes(c *httpx.Ctx, v *cluster.View) error {
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	health, err := g.ctl.Health(ctx)
	if err != nil {
		g.node.Log.Debug("no health without a primary", "err", err)
	}
	byID := map[cluster.NodeID]*control.NodeHealth{}
	for i := range health {
		byID[health[i].ID] = &health[i]
	}
	infos := []api.NodeInfo{}
	for _, n := range v.Map.All() {
		i := api.NodeInfo{Node: n, Digest: fmt.Sprintf("%016x", n.Digest), Primary: n.ID == v.Map.Primary, Health: n.Describe()}
		switch {
		case err != nil && n.ID != g.node.ID: // whether it lives is the primary's to know
			i.Node, i.Health = presumed(n), api.HealthUnknown
			if n.State != cluster.Online {
				i.Health = n.Describe() + ", " + api.HealthUnknown
			}
		case !n.Alive && n.State == cluster.Online:
			i.Health = api.HealthOffline
		case !n.Alive:
			i.Health += ", " + api.HealthOffline
		}
		if h := byID[n.ID]; h != nil {
			i.UptimeNS, i.Version, i.Alerts = int64(h.Uptime), h.Version, alerts(h)
			if h.Heard >= 0 {
				i.LastSeen = time.Now().Add(-h.Heard.D()).UTC()
			}
			for _, mp := range disks(h) {
				i.Total += uint64(mp.Total)
				i.Used += uint64(mp.Used)
				if mp.Total > mp.Used {
					i.Avail += uint64(mp.Total - mp.Used)
				}
			}
		}
		infos = append(infos, i)
	}
	return c.JSON(infos)
}

// presumed is n as long as nobody can tell whether it lives.
func presumed(n *cluster.Node) *cluster.Node {
	p := *n
	p.Alive = false
	return &p
}

// alerts is what a node reports that somebody should look at.
func alerts(h *control.NodeHealth) []string {
	as := slices.Clone(h.Alerts)
	for _, mp := range h.Mountpaths {
		if mp.Disabled != "" {
			as = append(as, "mountpath "+mp.Path+" is disabled: "+mp.Disabled)
		}
		if mp.Alert != "" {
			as = append(as, "mountpath "+mp.Path+" "+mp.Alert)
		}
	}
	return as
}

// disks is a node's mountpaths with each file system once: those that share one share its bytes.
func disks(h *control.NodeHealth) []control.Mountpath {
	counted := map[uint64]bool{}
	var one []control.Mountpath
	for _, mp := range h.Mountpaths {
		if mp.FS != 0 && counted[mp.FS] {
			continue
		}
		counted[mp.FS] = true
		one = append(one, mp)
	}
	return one
}

// gather asks every live node's PathDaemon and decodes the replies. What a node answered is out[id]; missing tells why
// others did not.
func gather[T any](g *Gateway, c *httpx.Ctx, nodes []*cluster.Node, what string) (out map[cluster.NodeID]*T, missing map[string]string) {
	return gatherWithin[T](g, c, nodes, what, patience)
}

func gatherWithin[T any](g *Gateway, c *httpx.Ctx, nodes []*cluster.Node, what string, limit time.Duration) (out map[cluster.NodeID]*T, missing map[string]string) {
	out, failed := ask[T](g, c, nodes, what, limit)
	missing = map[string]string{}
	for id, err := range failed {
		missing[id] = err.Error()
	}
	return out, missing
}

// ask is gatherWithin with the errors as they are.
func ask[T any](g *Gateway, c *httpx.Ctx, nodes []*cluster.Node, what string, limit time.Duration) (out map[cluster.NodeID]*T, failed map[string]error) {
	out, failed = map[cluster.NodeID]*T{}, map[string]error{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(c.Context(), limit)
	defer cancel()
	for _, n := range nodes {
		if !n.Alive {
			mu.Lock()
			failed[string(n.ID)] = errors.New("offline")
			mu.Unlock()
			continue
		}
		wg.Go(func() {
			v := new(T)
			err := askOne(ctx, g.node.Client, n, what, limit, v)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[string(n.ID)] = err
				return
			}
			out[n.ID] = v
		})
	}
	wg.Wait()
	return out, failed
}

// maxAnswer bounds what one node answers.
const maxAnswer = 64 << 20

// askOne asks one node, which may work on its answer without a word for as long as limit.
func askOne(ctx context.Context, c *httpx.Client, n *cluster.Node, what string, limit time.Duration, v any) error {
	rep, err := c.Do(ctx, &httpx.Call{Method: "GET", URL: "http://" + n.IntraAddr + api.PathDaemon + "?" + api.QueryWhat + "=" + what, Patience: limit})
	if err != nil {
		return err
	}
	b, err := rep.ReadAll(maxAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return errs.F("proxy.ask", string(n.ID), errs.Other, "answers what is not the JSON that is wanted: %w", err)
	}
	return nil
}

// split sorts what nodes answered into gateways and targets; a node that is both is in both.
func split[T any](m *cluster.Map, of map[cluster.NodeID]*T) (proxies, targets map[string]*T) {
	proxies, targets = map[string]*T{}, map[string]*T{}
	for id, v := range of {
		if m.Nodes[id].Role.Gateway() {
			proxies[string(id)] = v
		}
		if m.Nodes[id].Role.Target() {
			targets[string(id)] = v
		}
	}
	return proxies, targets
}

func (g *queries) stats(c *httpx.Ctx, v *cluster.View) error {
	of, missing := gather[api.NodeStats](g.Gateway, c, v.Map.All(), api.WhatStats)
	s := api.ClusterStats{Missing: missing}
	s.Proxies, s.Targets = split(v.Map, of)
	return c.JSON(&s)
}

func (g *queries) sysInfo(c *httpx.Ctx, v *cluster.View) error {
	of, missing := gather[api.SysInfo](g.Gateway, c, v.Map.All(), api.WhatSysInfo)
	s := api.ClusterSysInfo{Missing: missing}
	s.Proxies, s.Targets = split(v.Map, of)
	return c.JSON(&s)
}

func (g *queries) mountpaths(c *httpx.Ctx, v *cluster.View) error {
	of, missing := gather[api.Mountpaths](g.Gateway, c, targetsOf(v.Map), api.WhatMountpaths)
	if len(missing) > 0 && len(of) == 0 {
		return errs.F("proxy.queryMountpaths", "targets", errs.Unavailable, "none answers: %v", missing)
	}
	return c.JSON(of)
}

// putCluster changes the configuration, starts and stops jobs.
func (g *Gateway) putCluster(c *httpx.Ctx) error {
	m, err := message(c)
	if err != nil {
		return err
	}
	switch m.Action {
	case api.ActSetConfig:
		return g.setConfig(c, &m)
	case api.ActResetConfig:
		return g.propose(c, cluster.SetConfig{Set: cluster.DefaultConfig().Keys()})
	case api.ActStart:
		return g.startAlone(c, &m)
	case api.ActStop:
		return g.stopJobs(c, &m)
	}
	actions := lifecycle{g}.actions()
	if act := actions[m.Action]; act != nil {
		return act(c, &m)
	}
	return unknownAction(&m, strings.Join(append([]string{api.ActSetConfig, api.ActResetConfig, api.ActStart, api.ActStop}, slices.Sorted(maps.Keys(actions))...), ", "))
}

func (g *Gateway) propose(c *httpx.Ctx, cmd cluster.Command) error {
	_, err := g.ctl.Propose(c.Context(), cmd)
	return err
}

// setConfig takes {"name":KEY,"value":TEXT} or {"value":{...}} with nested or dotted keys.
func (g *Gateway) setConfig(c *httpx.Ctx, m *api.ActionMsg) error {
	const op = "proxy.setConfig"
	if m.Name == "" {
		if len(m.Value) == 0 {
			return errs.E(op, "value", errs.Invalid, "is missing: give name and value, or an object of settings as value")
		}
		set, err := api.Flatten("configuration", m.Value)
		if err != nil {
			return err
		}
		if len(set) == 0 {
			return errs.E(op, "value", errs.Invalid, "names no settings")
		}
		return g.configure(c, set)
	}
	var v any
	if err := json.Unmarshal(m.Value, &v); err != nil {
		return errs.E(op, "value", errs.Invalid, "is missing or is not JSON")
	}
	switch v.(type) {
	case string, float64, bool:
	default:
		return errs.F(op, "value", errs.Invalid, "of %s must be a text, number or boolean", m.Name)
	}
	set, err := api.Flatten("configuration", json.RawMessage(`{`+quoted(m.Name)+`:`+string(m.Value)+`}`))
	if err != nil {
		return err
	}
	return g.configure(c, set)
}

// configure proposes settings. Numbers of bytes may be written as 64MiB: the replicated log, which older nodes read too, has them plain.
func (g *Gateway) configure(c *httpx.Ctx, set map[string]string) error {
	for key, text := range set {
		if _, err := strconv.ParseInt(text, 10, 64); err == nil || !cluster.CountsBytes(key) {
			continue
		}
		n, err := config.ParseSize(text)
		if err != nil {
			return errs.E("proxy.configure", key, errs.Invalid, err)
		}
		set[key] = strconv.FormatInt(int64(n), 10)
	}
	return g.propose(c, cluster.SetConfig{Set: set})
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // strings always marshal
	return string(b)
}

// setConfigQuery takes the settings from the query.
func (g *Gateway) setConfigQuery(c *httpx.Ctx) error {
	const op = "proxy.setConfig"
	q, err := url.ParseQuery(c.RawQuery())
	if err != nil {
		return errs.F(op, "query", errs.Invalid, "%w", err)
	}
	set := map[string]string{}
	for k, vs := range q {
		if len(vs) != 1 {
			return errs.F(op, k, errs.Invalid, "is given %d times", len(vs))
		}
		set[k] = vs[0]
	}
	if len(set) == 0 {
		return errs.E(op, "query", errs.Invalid, "names no settings: want ?KEY=VALUE")
	}
	return g.configure(c, set)
}

func (g *Gateway) setPrimary(c *httpx.Ctx) error {
	id := cluster.NodeID(strings.TrimSuffix(c.Rest(), "/"))
	v, err := g.ctl.Latest(c.Context())
	if err != nil {
		return err
	}
	if v.Map.Nodes[id] == nil {
		return errs.F("proxy.setPrimary", "node", errs.NotFound, "%.60q is not in the cluster map", id)
	}
	if v.Map.Primary == id {
		return nil
	}
	return g.propose(c, cluster.SetPrimary{ID: id})
}

// reverse asks the node that the header names, for clients that cannot reach it.
func (g *Gateway) reverse(c *httpx.Ctx) error {
	const op = "proxy.reverse"
	id := cluster.NodeID(c.Header(api.HeaderNodeID))
	if id == "" {
		return errs.E(op, api.HeaderNodeID, errs.Invalid, "is missing: it names the node to ask")
	}
	v, err := g.node.View()
	if err != nil {
		return err
	}
	n := v.Map.Nodes[id]
	if n == nil {
		if v, err = g.ctl.Latest(c.Context()); err != nil {
			return err
		}
		if n = v.Map.Nodes[id]; n == nil {
			return errs.F(op, api.HeaderNodeID, errs.NotFound, "node %.60q is not in the cluster map", id)
		}
	}
	if !n.Alive {
		return errs.F(op, "node "+string(id), errs.Unavailable, "does not answer")
	}
	u := "http://" + n.IntraAddr + api.PathDaemon
	if q := c.RawQuery(); q != "" {
		u += "?" + q
	}
	rep, err := g.node.Client.Do(c.Context(), &httpx.Call{Method: "GET", URL: u})
	if err != nil {
		return errs.E(op, "node "+string(id), err)
	}
	if t := rep.Header("Content-Type"); t != "" {
		c.SetHeader("Content-Type", t)
	}
	return c.Send(rep.Len, relayed{rep})
}

// relayed is another node's reply as the source of ours.
type relayed struct{ *httpx.Reply }

// WriteBody copies the reply's body.
func (r relayed) WriteBody(w io.Writer) error {
	_, err := io.Copy(w, r.Body)
	return err
}
