package proxy

import (
	"maps"
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

// rebalance answers what=rebalance, with id=g47 of an earlier one.
func (g *queries) rebalance(c *httpx.Ctx, v *cluster.View) error {
	epoch, err := epochOf(v.Map, &api.JobQuery{ID: c.Query(api.QueryID)})
	if err != nil {
		return err
	}
	if epoch == v.Map.Epoch {
		return c.JSON(g.rebalanceOf(c, v))
	}
	r, err := g.earlier(c, v, epoch)
	if err != nil {
		return err
	}
	return c.JSON(r)
}

// earlier gathers what targets remember of a rebalance before the newest.
func (g *queries) earlier(c *httpx.Ctx, v *cluster.View, epoch uint64) (*api.Rebalance, error) {
	id := cluster.GenerationID(epoch)
	r := &api.Rebalance{RebalanceStatus: api.RebalanceStatus{ID: id, Epoch: epoch}, Nodes: map[string]*api.RebalanceStatus{}}
	if v.Map.Superseded(epoch) {
		r.Superseded = v.Map.Generation()
	}
	nodes, failed := ask[api.RebalanceStatus](g.Gateway, c, targetsOf(v.Map), api.WhatRebalance+"&"+api.QueryID+"="+id, patience)
	r.Missing = map[string]string{}
	for node, err := range failed {
		if errs.Is(err, errs.NotFound) { // it was not there, or has been started again since
			r.Unknown = append(r.Unknown, node)
			continue
		}
		r.Missing[node] = err.Error()
	}
	slices.Sort(r.Unknown)
	for node, s := range nodes {
		if s.Epoch != epoch {
			continue
		}
		r.Nodes[string(node)] = s
		r.Close(s)
		r.Add(s)
		if r.Started.IsZero() || s.Started.Before(r.Started) {
			r.Started = s.Started
		}
		if s.Finished.After(r.Finished) {
			r.Finished = s.Finished
		}
	}
	if len(r.Nodes) == 0 {
		return nil, errs.F("proxy.rebalance", id, errs.NotFound,
			"no target remembers it: they know the last ten since they were started; the newest is %s", v.Map.Generation())
	}
	return r, nil
}

// epochOf returns the epoch of the rebalance that q names by its id, or of the newest if it names none.
func epochOf(m *cluster.Map, q *api.JobQuery) (uint64, error) {
	const op = "proxy.rebalance"
	if q.ID == "" {
		return m.Epoch, nil
	}
	epoch, ok := cluster.ParseGeneration(q.ID)
	switch {
	case !ok:
		return 0, errs.F(op, "id", errs.Invalid, "%.60q is no id of a rebalance: they are written g1, g2 ...; the newest is %s", q.ID, m.Generation())
	case epoch > m.Epoch:
		return 0, errs.F(op, q.ID, errs.NotFound, "there was none yet: the newest rebalance is %s", m.Generation())
	}
	return epoch, nil
}

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
		r.Close(s)
		r.Add(s)
		if s.LastError != "" {
			r.LastError = string(id) + ": " + s.LastError
		}
		for _, w := range s.Waiting {
			waiting[w] = true
		}
	}
	for id, s := range m.Sources {
		if !m.Nodes[id].Alive && (s.Stage == cluster.Moving || s.Stage == cluster.Moved && !s.Keeps) {
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
		if n := v.Map.Nodes[cluster.NodeID(id)]; n.Expendable() { // it may be off
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

// rebalanceJob sums up the rebalance of an epoch as a job. An earlier one than the newest is over.
func rebalanceJob(m *cluster.Map, epoch uint64) *api.JobStatus {
	s := &api.JobStatus{UUID: cluster.GenerationID(epoch), Kind: api.KindRebalance}
	switch {
	case m.Superseded(epoch):
		s.Aborted, s.Superseded, s.EndTime = true, m.Generation(), max(1, m.Began.UnixNano())
		s.Err = "superseded by " + s.Superseded + ", which goes on with what it had not moved"
	case epoch < m.Epoch || !m.Rebalancing():
		s.EndTime = max(1, m.Ended.UnixNano())
	default:
		s.Paused = m.Paused
	}
	return s
}

// isRebalance reports whether q asks for rebalances alone.
func isRebalance(q *api.JobQuery) bool {
	_, ok := cluster.ParseGeneration(q.ID)
	return ok || q.Kind == api.KindRebalance
}

// stopRebalance stops the newest one, which q may name.
func (g *Gateway) stopRebalance(c *httpx.Ctx, m *cluster.Map, q *api.JobQuery) error {
	const op = "proxy.stopRebalance"
	epoch, err := epochOf(m, q)
	id := cluster.GenerationID(epoch)
	switch {
	case err != nil:
		return err
	case epoch != m.Epoch:
		return errs.F(op, q.ID, errs.Conflict, "is not the newest rebalance, which is %s", m.Generation())
	case !m.Rebalancing() && !m.Began.IsZero():
		return errs.F(op, "rebalance", errs.Conflict, "none is running: %s has ended", id)
	}
	return g.propose(c, cluster.SetRebalance{})
}

// wantsRebalance reports whether the rebalances are among what q asks for.
func wantsRebalance(q *api.JobQuery, m *cluster.Map) bool {
	if m.Began.IsZero() || q.Active != nil && *q.Active && !m.Rebalancing() { // there was none, whatever the epoch; or none of those runs
		return false
	}
	return isRebalance(q) || q.ID == "" && q.Kind == "" && q.Bck == nil
}

// rebalanceSnaps are the shares of targets in the newest rebalance.
func (g *queries) rebalanceSnaps(c *httpx.Ctx, v *cluster.View) map[cluster.NodeID]*api.JobSnap {
	r := g.rebalanceOf(c, v)
	snaps := map[cluster.NodeID]*api.JobSnap{}
	ids := slices.Collect(maps.Keys(v.Map.Tallies)) // who has left among them
	for _, n := range targetsOf(v.Map) {
		ids = append(ids, n.ID)
	}
	for _, id := range ids {
		s := &api.JobSnap{ID: r.ID, Kind: api.KindRebalance, Start: r.Started, End: r.Finished, Node: string(id)}
		if st := r.Nodes[string(id)]; st != nil && st.Epoch == r.Epoch {
			s.Stats = api.JobStats{Objects: st.Objects, Bytes: st.Bytes, OutObjects: st.Objects, OutBytes: st.Bytes}
			s.Errors, s.Err = st.Errors, st.LastError
			if !st.Finished.IsZero() && r.Running {
				s.Idle = true
			}
		}
		s.Err = firstOf(s.Err, r.Missing[string(id)])
		snaps[id] = s
	}
	return snaps
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
