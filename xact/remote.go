package xact

import (
	"context"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/httpx"
)

// Paths of the intra-cluster routes. Bodies are JSON: a Spec, an api.JobQuery, a sealing; replies: nothing, a number, []Snap.
const (
	pathStart = "/intra/job"
	pathStop  = "/intra/job/stop"
	pathQuery = "/intra/job/query"
	pathSeal  = "/intra/job/seal"
)

// sealing says how a job has ended.
type sealing struct {
	ID    string `json:"id"`
	Final Final  `json:"final"`
}

// maxSpec bounds a Spec: a million names of the longest kind would not fit, ten thousand of them do.
const maxSpec = 64 << 20

// Routes lets gateways act on this target's jobs.
func (r *Runtime) Routes() []httpx.Route {
	policy := httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassControl, MaxBody: 1 << 20}
	large := policy
	large.MaxBody = maxSpec
	return []httpx.Route{
		{Method: "POST", Path: pathStart, Op: "job-start", Policy: large, Handler: func(c *httpx.Ctx) error {
			var s Spec
			if err := c.ReadJSON(maxSpec, &s); err != nil {
				return err
			}
			return r.Start(c.Context(), s)
		}},
		{Method: "POST", Path: pathStop, Op: "job-stop", Policy: policy, Handler: func(c *httpx.Ctx) error {
			var q api.JobQuery
			if err := c.ReadJSON(policy.MaxBody, &q); err != nil {
				return err
			}
			return c.JSON(r.Stop(&q))
		}},
		{Method: "POST", Path: pathQuery, Op: "job-query", Policy: policy, Handler: func(c *httpx.Ctx) error {
			var q api.JobQuery
			if err := c.ReadJSON(policy.MaxBody, &q); err != nil {
				return err
			}
			return c.JSON(r.Query(&q))
		}},
		{Method: "POST", Path: pathSeal, Op: "job-seal", Policy: policy, Handler: func(c *httpx.Ctx) error {
			var s sealing
			if err := c.ReadJSON(policy.MaxBody, &s); err != nil {
				return err
			}
			return r.Seal(c.Context(), s.ID, s.Final)
		}},
	}
}

// patience bounds a call to a target: all are answered from memory, or when the ledger is written, see ledgerPatience.
const patience = 10 * time.Second

// Remote is the Peers of a node: other targets over the intra-cluster listener, itself directly.
type Remote struct {
	client *httpx.Client
	self   cluster.NodeID
	local  *Runtime
}

// NewRemote returns a Remote for the node self; local is nil unless the node is a target too.
func NewRemote(client *httpx.Client, self cluster.NodeID, local *Runtime) *Remote {
	return &Remote{client, self, local}
}

func (r *Remote) here(n *cluster.Node) bool { return r.local != nil && n.ID == r.self }

// Start begins n's share.
func (r *Remote) Start(ctx context.Context, n *cluster.Node, s *Spec) error {
	if r.here(n) {
		return r.local.Start(ctx, *s)
	}
	return r.call(ctx, n, pathStart, s, nil)
}

// Stop stops n's share.
func (r *Remote) Stop(ctx context.Context, n *cluster.Node, q *api.JobQuery) (stopped int, err error) {
	if r.here(n) {
		return r.local.Stop(q), nil
	}
	err = r.call(ctx, n, pathStop, q, &stopped)
	return stopped, err
}

// Query asks n what it knows.
func (r *Remote) Query(ctx context.Context, n *cluster.Node, q *api.JobQuery) (snaps []Snap, err error) {
	if r.here(n) {
		return r.local.Query(q), nil
	}
	err = r.call(ctx, n, pathQuery, q, &snaps)
	return snaps, err
}

// Seal tells n how the job has ended.
func (r *Remote) Seal(ctx context.Context, n *cluster.Node, id string, f Final) error {
	if r.here(n) {
		return r.local.Seal(ctx, id, f)
	}
	return r.call(ctx, n, pathSeal, sealing{id, f}, nil)
}

func (r *Remote) call(ctx context.Context, n *cluster.Node, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.client.JSON(ctx, "POST", "http://"+n.IntraAddr+path, in, out)
}
