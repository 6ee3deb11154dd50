package proxy

import (
	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/xact"
)

// jobQuery reads which jobs a request is about: the body, or uuid in the query.
func jobQuery(c *httpx.Ctx) (*api.JobQuery, error) {
	q := &api.JobQuery{ID: c.Query(api.QueryUUID)}
	b, err := c.ReadAll(1 << 20)
	if err != nil || len(b) == 0 {
		return q, err
	}
	if err := api.Unmarshal("job query", b, q); err != nil {
		return nil, err
	}
	return q, checkJobs(q)
}

func checkJobs(q *api.JobQuery) error {
	if q.Kind != "" && q.Kind != api.KindRebalance && xact.KindOf(q.Kind) == "" && q.ID == "" {
		return unknownKind(q.Kind)
	}
	if len(q.Buckets) == 1 && q.Bck == nil {
		q.Bck = &q.Buckets[0]
	}
	if q.Bck != nil && q.Bck.Name != "" {
		return api.CheckProvider(q.Bck.Provider)
	}
	return nil
}

// unknownKind tells kinds of AIStore that are not served from what is no kind at all.
func unknownKind(kind string) error {
	const op = "proxy.job"
	for _, known := range aisKinds() {
		if known == kind {
			return errs.F(op, "kind", errs.Unsupported, "jobs of kind %q are not served by this cluster", kind)
		}
	}
	return errs.F(op, "kind", errs.Invalid, "%.60q is no kind of job", kind)
}

// aisKinds are the kinds of AIStore that have no row in xact.Table.
func aisKinds() []string {
	return []string{
		"resilver", "election", "lru", "cleanup-store", "summary-shard", "rechunk", "index-shard", "ec-get", "ec-put",
		"ec-resp", "ec-encode", "put-copies", "make-n-copies", "archive", "etl-listrange", "evict-listrange", "prefetch-listrange",
		"blob-download", "download", "dsort", "promote", "etl-bck", "etl-inline", "evict-remote-bck", "list", "get-batch",
		"create-inventory", "load-lom-cache",
	}
}

// kinds is the table of jobs, with the one that package xact does not run.
func kinds() []api.JobKind {
	return append(xact.Kinds(), api.JobKind{
		Kind: api.KindRebalance, Name: api.KindRebalance, Scope: "cluster", Startable: true,
		Help: "bring every object to its owner; it starts by itself when nodes come and go",
	})
}

// oneJob answers what=status: one job summed up.
func (g *queries) oneJob(c *httpx.Ctx, v *cluster.View) error {
	q, err := jobQuery(c)
	if err != nil {
		return err
	}
	if isRebalance(q) {
		epoch, err := epochOf(v.Map, q)
		if errs.Is(err, errs.NotFound) { // v may be what this node knew before the primary went
			if v, err = g.ctl.Latest(c.Context()); err != nil {
				return err
			}
			epoch, err = epochOf(v.Map, q)
		}
		if err != nil {
			return err
		}
		return c.JSON(rebalanceJob(v.Map, epoch))
	}
	if q.ID != "" {
		j, err := g.jobs.Status(c.Context(), v, q.ID)
		if err != nil {
			return err
		}
		return c.JSON(&j.JobStatus)
	}
	if q.Kind == "" {
		return errs.E("proxy.queryJob", "id", errs.Invalid, "is missing: name a job, or a kind for its newest job")
	}
	jobs, err := g.jobs.List(c.Context(), v, q)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return errs.F("proxy.queryJob", "job", errs.NotFound, "there is none of kind %q", q.Kind)
	}
	return c.JSON(&jobs[len(jobs)-1].JobStatus)
}

// allJobs answers what=status_all.
func (g *queries) allJobs(c *httpx.Ctx, v *cluster.View) error {
	jobs, err := g.listJobs(c, v, nil)
	if err != nil {
		return err
	}
	all := make([]*api.JobStatus, len(jobs))
	copy(all, jobs)
	return c.JSON(all)
}

// running answers what=running_all: "kind[id]" of every running job.
func (g *queries) running(c *httpx.Ctx, v *cluster.View) error {
	yes := true
	jobs, err := g.listJobs(c, v, &yes)
	if err != nil {
		return err
	}
	names := make([]string, len(jobs))
	for i, j := range jobs {
		names[i] = j.Kind + "[" + j.UUID + "]"
	}
	return c.JSON(names)
}

// listJobs sums up the jobs of the query; a kind that is not served has none.
func (g *queries) listJobs(c *httpx.Ctx, v *cluster.View, active *bool) ([]*api.JobStatus, error) {
	q, err := jobQuery(c)
	if errs.Is(err, errs.Unsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if active != nil {
		q.Active = active
	} else if q.Active != nil && !*q.Active {
		q.Active = nil // AIStore's SDK says "not only active"
	}
	var all []*api.JobStatus
	if epoch, err := epochOf(v.Map, q); wantsRebalance(q, v.Map) && err == nil {
		all = append(all, rebalanceJob(v.Map, epoch))
	}
	if isRebalance(q) {
		return all, nil
	}
	jobs, err := g.jobs.List(c.Context(), v, q)
	for _, j := range jobs {
		all = append(all, &j.JobStatus)
	}
	return all, err
}

// jobStats answers what=qryxstats: snapshots by target.
func (g *queries) jobStats(c *httpx.Ctx, v *cluster.View) error {
	q, err := jobQuery(c)
	if errs.Is(err, errs.Unsupported) {
		return c.JSON(map[string][]api.JobSnap{})
	}
	if err != nil {
		return err
	}
	out := map[cluster.NodeID][]*api.JobSnap{}
	if !isRebalance(q) {
		snaps, err := g.jobs.Snaps(c.Context(), v, q)
		if err != nil {
			return err
		}
		for id, of := range snaps {
			out[id] = []*api.JobSnap{}
			for i := range of {
				out[id] = append(out[id], &of[i].JobSnap)
			}
		}
	}
	if epoch, err := epochOf(v.Map, q); wantsRebalance(q, v.Map) && err == nil && epoch == v.Map.Epoch {
		for id, s := range g.rebalanceSnaps(c, v) {
			out[id] = append(out[id], s)
		}
	}
	return c.JSON(out)
}

// startAlone starts a rebalance; every other kind is started by its own action.
func (g *Gateway) startAlone(c *httpx.Ctx, m *api.ActionMsg) error {
	var q api.JobQuery
	if err := m.Decode(&q); err != nil {
		return err
	}
	switch {
	case q.Kind == api.KindRebalance:
		return g.startRebalance(c)
	case q.Kind == "":
		return errs.E("proxy.startJob", "kind", errs.Invalid, "is missing in the value")
	case xact.KindOf(q.Kind) == "":
		return unknownKind(q.Kind)
	}
	return errs.F("proxy.startJob", "kind", errs.Invalid, "%q says nothing of what to work on: send its own action to /v1/buckets/BUCKET", q.Kind)
}

func (g *Gateway) stopJobs(c *httpx.Ctx, m *api.ActionMsg) error {
	var q api.JobQuery
	if err := m.Decode(&q); err != nil {
		return err
	}
	if q.ID == "" && q.Kind == "" {
		return errs.E("proxy.stopJobs", "value", errs.Invalid, "names no jobs: give id or kind")
	}
	if err := checkJobs(&q); err != nil {
		return err
	}
	v, err := g.ctl.Latest(c.Context())
	if err != nil {
		return err
	}
	if isRebalance(&q) {
		return g.stopRebalance(c, v.Map, &q)
	}
	if q.ID != "" {
		if _, err := g.jobs.Status(c.Context(), v, q.ID); errs.Is(err, errs.NotFound) {
			return err // stopping what has ended is no error, stopping what never was is; a target that does not answer keeps nobody from being told
		}
	}
	n, err := g.jobs.Stop(c.Context(), v, &q)
	if err != nil {
		return err
	}
	if n > 0 {
		g.node.Log.Info("jobs told to stop", "id", q.ID, "kind", q.Kind, "shares", n)
	}
	return nil
}
