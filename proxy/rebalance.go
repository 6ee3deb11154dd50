package proxy

import (
	"slices"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// startRebalance starts one, or goes on with the one that was stopped.
func (g *Gateway) startRebalance(c *httpx.Ctx) error {
	res, err := g.ctl.Propose(c.Context(), cluster.SetRebalance{Run: true})
	if err != nil {
		return err
	}
	id := res.Rebalance
	if v := g.node.Control().View(); id == "" && v != nil && v.Map.Rebalancing() {
		id = v.Map.Generation()
	}
	return text(c, id)
}

// targetsOf lists the nodes that have mountpaths.
func targetsOf(m *cluster.Map) []*cluster.Node {
	return slices.DeleteFunc(m.All(), func(n *cluster.Node) bool { return !n.Role.Target() })
}

// rebalance answers what=rebalance.
func (g *queries) rebalance(c *httpx.Ctx, v *cluster.View) error { return c.JSON(g.rebalanceOf(c, v)) }

// rebalanceOf gathers how far targets are with the newest rebalance.
func (g *queries) rebalanceOf(c *httpx.Ctx, v *cluster.View) *api.Rebalance {
	m := v.Map
	r := &api.Rebalance{RebalanceStatus: api.RebalanceStatus{
		ID: m.Generation(), Epoch: m.Epoch, Running: m.Rebalancing(), Paused: m.Paused, Started: m.Began,
	}}
	if !r.Running {
		r.Finished = m.Ended
	}
	nodes, missing := gather[api.RebalanceStatus](g.Gateway, c, targetsOf(m), api.WhatRebalance)
	r.Nodes, r.Missing = map[string]*api.RebalanceStatus{}, missing
	for id := range m.Tallies { // what it moved is known, whether it answers or not
		delete(missing, string(id))
	}
	for id, t := range m.Tallies { // who has left, or began anew since, knows it no more
		if s := nodes[id]; s == nil || s.Epoch != m.Epoch || s.Objects+s.PresentObjects < t.Objects+t.Present {
			nodes[id] = &api.RebalanceStatus{
				ID: r.ID, Epoch: m.Epoch, Paused: m.Paused, Objects: t.Objects, Bytes: t.Bytes, PresentObjects: t.Present,
				TotalObjects: t.Objects + t.Present, TotalBytes: t.Bytes, Errors: t.Errors,
			}
		}
	}
	waiting := map[string]bool{}
	for id, s := range nodes {
		s.Stage = m.Sources[id].Stage
		r.Nodes[string(id)] = s
		if s.Epoch != m.Epoch {
			continue // of an earlier one: it has not begun yet
		}
		r.Objects += s.Objects
		r.Bytes += s.Bytes
		r.PresentObjects += s.PresentObjects
		r.PresentBytes += s.PresentBytes
		r.TotalObjects += s.TotalObjects
		r.TotalBytes += s.TotalBytes
		r.Rate += s.Rate
		r.Errors += s.Errors
		r.ETANS = max(r.ETANS, s.ETANS)
		if s.LastError != "" {
			r.LastError = string(id) + ": " + s.LastError
		}
		for _, w := range s.Waiting {
			waiting[w] = true
		}
	}
	for id := range m.Sources {
		if n := m.Nodes[id]; m.Sources[id].Stage == cluster.Moving && !n.Alive {
			waiting[string(id)] = true
		}
	}
	for w := range waiting {
		r.Waiting = append(r.Waiting, w)
	}
	slices.Sort(r.Waiting)
	return r
}

// check answers what=check: every target walks its own index.
func (g *queries) check(c *httpx.Ctx, v *cluster.View) error {
	what := api.WhatCheck
	if c.Query(api.QueryDeep) == "true" {
		what += "&" + api.QueryDeep + "=true"
	}
	rep := api.CheckReport{Rebalancing: v.Map.Rebalancing(), Paused: v.Map.Paused, Nodes: map[string]*api.NodeCheck{}, Kept: map[string]string{}}
	found, missing := gatherWithin[api.NodeCheck](g.Gateway, c, targetsOf(v.Map), what, checkPatience)
	for id := range missing {
		if n := v.Map.Nodes[cluster.NodeID(id)]; n.Phase == cluster.Drained { // it may be off, and nobody needs what it has
			rep.Kept[id] = n.Describe()
			delete(missing, id)
		}
	}
	rep.Unchecked = missing
	for id, n := range found {
		rep.Nodes[string(id)] = n
		rep.Add(n.CheckCounts)
	}
	return c.JSON(&rep)
}

// checkPatience bounds the walk over all indexes of a target: some minutes for hundreds of millions of names.
const checkPatience = time.Hour

// generation returns the epoch that a job id names, if it is one of a rebalance.
func generation(q *api.JobQuery) (epoch uint64, ok bool) {
	if q.ID == "" {
		return 0, false
	}
	return cluster.ParseGeneration(q.ID)
}

// rebalanceJob sums up the newest rebalance as a job, or an earlier one that it goes on with: what an epoch has not moved, the next does.
func rebalanceJob(m *cluster.Map, epoch uint64) (*api.JobStatus, error) {
	id := cluster.GenerationID(epoch)
	if epoch > m.Epoch {
		return nil, errs.F("proxy.rebalanceJob", "job "+id, errs.NotFound, "there was none yet: the newest rebalance is %s", m.Generation())
	}
	s := &api.JobStatus{UUID: id, Kind: api.KindRebalance, Paused: m.Rebalancing() && m.Paused}
	if !m.Rebalancing() {
		s.EndTime = max(1, m.Ended.UnixNano())
	}
	return s, nil
}

// isRebalance reports whether q asks for rebalances alone.
func isRebalance(q *api.JobQuery) bool {
	_, ok := generation(q)
	return ok || q.Kind == api.KindRebalance
}

// wantsRebalance reports whether the rebalances are among what q asks for.
func wantsRebalance(q *api.JobQuery, m *cluster.Map) bool {
	if q.Active != nil && *q.Active && !m.Rebalancing() {
		return false
	}
	return isRebalance(q) || q.ID == "" && q.Kind == "" && q.Bck == nil && !m.Began.IsZero()
}

// rebalanceSnaps are the shares of targets in the newest rebalance.
func (g *queries) rebalanceSnaps(c *httpx.Ctx, v *cluster.View) map[cluster.NodeID]*api.JobSnap {
	r := g.rebalanceOf(c, v)
	snaps := map[cluster.NodeID]*api.JobSnap{}
	for _, n := range targetsOf(v.Map) {
		s := &api.JobSnap{ID: r.ID, Kind: api.KindRebalance, Start: r.Started, End: r.Finished, Node: string(n.ID)}
		if st := r.Nodes[string(n.ID)]; st != nil && st.Epoch == r.Epoch {
			s.Stats = api.JobStats{Objects: st.Objects, Bytes: st.Bytes, OutObjects: st.Objects, OutBytes: st.Bytes}
			s.Errors, s.Err = st.Errors, st.LastError
			if !st.Finished.IsZero() && r.Running {
				s.Idle = true
			}
		}
		s.Err = firstOf(s.Err, r.Missing[string(n.ID)])
		snaps[n.ID] = s
	}
	return snaps
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
