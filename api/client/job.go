package client

import (
	"context"
	"io"
	"net/http"
	"strings"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// Job is work that the cluster does in the background.
type Job struct {
	ID   string
	Kind string

	c *Client
}

// Job returns the handle of a job by its id.
func (c *Client) Job(id string) *Job { return &Job{ID: id, c: c} }

// start sends a call whose answer is a job id.
func (c *Client) start(ctx context.Context, q *call, kind string) (*Job, error) {
	rep, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	defer closeReply(rep)
	raw, err := io.ReadAll(io.LimitReader(rep.Body, 4096))
	if err != nil {
		return nil, errs.E(q.op, q.name, err)
	}
	return &Job{ID: strings.Trim(strings.TrimSpace(string(raw)), `"`), Kind: kind, c: c}, nil
}

// StartJob starts a job of a kind that can be started by itself.
func (c *Client) StartJob(ctx context.Context, j api.JobQuery) (*Job, error) {
	q := c.control("client.StartJob", http.MethodPut, api.PathCluster)
	q.name, q.repeat = j.Kind, harmful
	if err := q.message(api.ActStart, "", j); err != nil {
		return nil, err
	}
	return c.start(ctx, q, j.Kind)
}

// StopJobs stops the jobs that match.
func (c *Client) StopJobs(ctx context.Context, j api.JobQuery) error {
	q := c.control("client.StopJobs", http.MethodPut, api.PathCluster)
	if err := q.message(api.ActStop, "", j); err != nil {
		return err
	}
	return c.forget(ctx, q)
}

// Jobs returns the snapshots of the jobs that match, by target.
func (c *Client) Jobs(ctx context.Context, j api.JobQuery) (map[string][]api.JobSnap, error) {
	var snaps map[string][]api.JobSnap
	return snaps, c.askJobs(ctx, "client.Jobs", api.WhatJobStats, j, &snaps)
}

// JobStatuses returns the state of the jobs that match, over all targets.
func (c *Client) JobStatuses(ctx context.Context, j api.JobQuery) ([]api.JobStatus, error) {
	var all []api.JobStatus
	return all, c.askJobs(ctx, "client.JobStatuses", api.WhatAllStatus, j, &all)
}

// JobKinds returns the kinds of jobs that the cluster knows.
func (c *Client) JobKinds(ctx context.Context) ([]api.JobKind, error) {
	var kinds []api.JobKind
	return kinds, c.ask(ctx, "client.JobKinds", api.PathCluster, api.WhatKinds, &kinds)
}

func (c *Client) askJobs(ctx context.Context, op, what string, j api.JobQuery, v any) error {
	q := c.control(op, http.MethodGet, api.PathCluster)
	if q.name = j.ID; j.ID != "" && !isGeneration(j.ID) {
		q.name = "job " + j.ID
	}
	q.query.Set(api.QueryWhat, what)
	if err := q.json(j); err != nil {
		return err
	}
	return c.json(ctx, q, v)
}

// isGeneration reports whether an id is that of a rebalance, which errors call by it alone, as all that show rebalances do.
func isGeneration(id string) bool {
	_, ok := cluster.ParseGeneration(id)
	return ok
}

// Status returns the job's state over all targets.
func (j *Job) Status(ctx context.Context) (*api.JobStatus, error) {
	var s api.JobStatus
	if err := j.c.askJobs(ctx, "client.JobStatus", api.WhatStatus, api.JobQuery{ID: j.ID}, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Snaps returns the job's progress by target.
func (j *Job) Snaps(ctx context.Context) (map[string][]api.JobSnap, error) {
	return j.c.Jobs(ctx, api.JobQuery{ID: j.ID})
}

// Stop ends the job.
func (j *Job) Stop(ctx context.Context) error {
	return j.c.StopJobs(ctx, api.JobQuery{ID: j.ID})
}

// Wait returns when the job has ended or, for kinds that only idle, has nothing left to do; an error if it failed or was
// stopped. ctx bounds the wait. A job without an id is done.
func (j *Job) Wait(ctx context.Context) error {
	const op = "client.WaitJob"
	if j.ID == "" {
		return nil
	}
	for n, idle := 1, 0; ; n++ {
		s, err := j.Status(ctx)
		if err != nil {
			return err
		}
		switch {
		case s.Superseded != "":
			return errs.F(op, j.ID, errs.Conflict, "was superseded by %s, which goes on with what it had not moved: `ais wait rebalance %s` waits for that", s.Superseded, s.Superseded)
		case s.EndTime != 0 && s.Aborted: // not before: some targets may have stopped, or failed, and others still be at work
			return errs.F(op, "job "+j.ID, errs.Canceled, "was stopped: %s", s.Err)
		case s.EndTime != 0 && s.Err != "":
			return errs.F(op, "job "+j.ID, errs.Other, "failed: %s", s.Err)
		case s.EndTime != 0:
			return nil
		case s.Paused:
			return errs.F(op, j.ID, errs.Conflict, "is stopped: `ais start rebalance` goes on")
		}
		quiet, err := j.idle(ctx)
		if err != nil {
			return err
		}
		if idle++; !quiet {
			idle = 0
		}
		if idle == 2 { // twice in a row: between two pieces of work a job looks idle for a moment
			return nil
		}
		if err := sleep(ctx, polling(n)); err != nil {
			return errs.F(op, "job "+j.ID, errs.KindOf(err), "still runs: %w", err)
		}
	}
}

// idle reports whether every target that works on the job says it has nothing to do.
func (j *Job) idle(ctx context.Context) (bool, error) {
	byTarget, err := j.Snaps(ctx)
	if err != nil {
		return false, err
	}
	n := 0
	for _, snaps := range byTarget {
		for i := range snaps {
			if n++; !snaps[i].Idle {
				return false, nil
			}
		}
	}
	return n > 0, nil
}
