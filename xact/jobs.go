package xact

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// Peers reaches the Runtimes of all targets.
type Peers interface {
	Start(ctx context.Context, n *cluster.Node, s *Spec) error
	Stop(ctx context.Context, n *cluster.Node, q *api.JobQuery) (int, error)
	Query(ctx context.Context, n *cluster.Node, q *api.JobQuery) ([]Snap, error)
}

// Jobs is the gateway's side: it acts on all targets and keeps nothing itself, so any gateway can be asked.
type Jobs struct{ peers Peers }

// NewJobs returns a Jobs that reaches targets through p.
func NewJobs(p Peers) *Jobs { return &Jobs{p} }

// NewID returns a job id: 10 characters that need no quoting anywhere.
func NewID() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789" // none that look alike
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	for i, r := range b {
		b[i] = alphabet[int(r)%len(alphabet)]
	}
	return string(b[:])
}

// Start begins the job on every target in service and returns its id. If one cannot begin, none goes on.
func (g *Jobs) Start(ctx context.Context, v *cluster.View, s Spec) (string, error) {
	const op = "xact.Start"
	targets := v.Map.Targets()
	if len(targets) == 0 {
		return "", errs.E(op, "cluster", errs.Unavailable, "has no target in service")
	}
	s.ID, s.Epoch = NewID(), v.Map.Epoch
	for _, n := range targets {
		s.Targets = append(s.Targets, n.ID)
		s.Placement = append(s.Placement, cluster.Placed{ID: n.ID, Weight: n.Weight})
		if !n.Alive {
			return "", errs.F(op, "target "+string(n.ID), errs.Unavailable, "does not answer, and a part of the job is its")
		}
	}
	eg, ectx := errgroup.WithContext(ctx)
	for _, n := range targets {
		eg.Go(func() error {
			if err := g.peers.Start(ectx, n, &s); err != nil {
				return errs.E(op, "target "+string(n.ID), err)
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		g.undo(ctx, targets, s.ID)
		return "", err
	}
	return s.ID, nil
}

// undo stops what has begun of a job that could not begin everywhere, as far as targets answer; where they do not,
// the job's other parts are missing and it reads as aborted.
func (g *Jobs) undo(ctx context.Context, targets []*cluster.Node, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, n := range targets {
		_, _ = g.peers.Stop(ctx, n, &api.JobQuery{ID: id})
	}
}

// Stop stops the running jobs that match on all targets.
func (g *Jobs) Stop(ctx context.Context, v *cluster.View, q *api.JobQuery) (stopped int, err error) {
	nodes, err := asked(v, q)
	if err != nil {
		return 0, err
	}
	counts := make([]int, len(nodes))
	eg, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		eg.Go(func() (err error) {
			counts[i], err = g.peers.Stop(ctx, n, q)
			return err
		})
	}
	err = eg.Wait()
	for _, n := range counts {
		stopped += n
	}
	return stopped, err
}

// asked lists the live targets that q is about. A target that is gone has forgotten its jobs.
func asked(v *cluster.View, q *api.JobQuery) ([]*cluster.Node, error) {
	only := cluster.NodeID(q.Node)
	if only == "" {
		only = cluster.NodeID(q.DaemonID)
	}
	if n := v.Map.Nodes[only]; only != "" && (n == nil || !n.Role.Target()) {
		return nil, errs.F("xact.asked", "node", errs.Invalid, "%q is no target of this cluster", only)
	}
	return slices.DeleteFunc(v.Map.All(), func(n *cluster.Node) bool {
		return !n.Role.Target() || !n.Alive || only != "" && n.ID != only
	}), nil
}

// Snaps gathers what live targets report of the matching jobs. Every target asked is a key.
func (g *Jobs) Snaps(ctx context.Context, v *cluster.View, q *api.JobQuery) (map[cluster.NodeID][]Snap, error) {
	nodes, err := asked(v, q)
	if err != nil {
		return nil, err
	}
	got := make([][]Snap, len(nodes))
	eg, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		eg.Go(func() (err error) {
			if got[i], err = g.peers.Query(ctx, n, q); err != nil {
				return errs.E("xact.Snaps", "target "+string(n.ID), err)
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return nil, err
	}
	all := make(map[cluster.NodeID][]Snap, len(nodes))
	for i, n := range nodes {
		all[n.ID] = got[i]
	}
	return all, nil
}

// Job is one job summed up over its targets.
type Job struct {
	api.JobStatus
	Start   time.Time
	Objects int64
	Bytes   int64
	Sizes   Sizes
}

// Status sums up the one job of that id; kind NotFound if no target knows it.
func (g *Jobs) Status(ctx context.Context, v *cluster.View, id string) (*Job, error) {
	jobs, err := g.List(ctx, v, &api.JobQuery{ID: id})
	if err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, errs.F("xact.Status", "job "+id, errs.NotFound, "no target knows it: it never was, or ended long ago")
	}
	return jobs[0], nil
}

// List sums up the matching jobs, oldest first. q.Active keeps those that still run somewhere.
func (g *Jobs) List(ctx context.Context, v *cluster.View, q *api.JobQuery) ([]*Job, error) {
	all := *q
	all.Active = nil // a share that has ended belongs to a job that has not
	snaps, err := g.Snaps(ctx, v, &all)
	if err != nil {
		return nil, err
	}
	byID := map[string][]Snap{}
	for _, of := range snaps {
		for _, s := range of {
			byID[s.ID] = append(byID[s.ID], s)
		}
	}
	jobs := make([]*Job, 0, len(byID))
	for _, shares := range byID {
		j := sum(shares, q.Node+q.DaemonID != "")
		if q.Active == nil || !*q.Active || j.EndTime == 0 {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, func(a, b *Job) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		return strings.Compare(a.UUID, b.UUID)
	})
	return jobs, nil
}

// sum makes one job of its shares. A target that took part and does not know the job any more (it restarted or is
// gone) makes it aborted, unless only some of the targets were asked.
func sum(shares []Snap, partial bool) *Job {
	slices.SortFunc(shares, func(a, b Snap) int { return strings.Compare(a.Node, b.Node) })
	first := shares[0]
	j := &Job{JobStatus: api.JobStatus{UUID: first.ID, Kind: first.Kind, Bck: &first.Bck}, Start: first.Start}
	var end time.Time
	running := false
	var faults []string
	missing := map[cluster.NodeID]bool{}
	for _, id := range first.Targets {
		missing[id] = true
	}
	for _, s := range shares {
		delete(missing, cluster.NodeID(s.Node))
		if s.Start.Before(j.Start) {
			j.Start = s.Start
		}
		if s.End.After(end) {
			end = s.End
		}
		running = running || s.End.IsZero()
		j.Aborted = j.Aborted || s.Aborted
		if s.Err != "" {
			faults = append(faults, "target "+s.Node+": "+s.Err)
		}
		if s.Stats.Objects > 0 {
			if j.Objects == 0 || s.Sizes.Min < j.Sizes.Min {
				j.Sizes.Min = s.Sizes.Min
			}
			j.Sizes.Max = max(j.Sizes.Max, s.Sizes.Max)
		}
		j.Objects += s.Stats.Objects
		j.Bytes += s.Stats.Bytes
	}
	if len(missing) > 0 && !partial {
		lost := make([]string, 0, len(missing))
		for id := range missing {
			lost = append(lost, string(id))
		}
		slices.Sort(lost)
		j.Aborted = true
		faults = append(faults, fmt.Sprintf("%s restarted since, or is gone, and knows nothing of it: what it had left to do, if anything, is not done", strings.Join(lost, ", ")))
	}
	if !running {
		j.EndTime = end.UnixNano()
	}
	j.Err = strings.Join(faults, "; ")
	return j
}
