package xact

import (
	"context"
	"crypto/rand"
	"maps"
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
	Seal(ctx context.Context, n *cluster.Node, id string, f Final) error
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

// undo stops what has begun of a job that could not begin everywhere. All targets are told at once: one that hangs keeps the word from no other, of which
// one would go on with the whole job, and is told by those that have heard it.
func (g *Jobs) undo(ctx context.Context, targets []*cluster.Node, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var eg errgroup.Group
	for _, n := range targets {
		eg.Go(func() error {
			_, _ = g.peers.Stop(ctx, n, &api.JobQuery{ID: id})
			return nil
		})
	}
	_ = eg.Wait() // no error is returned
}

// Stop stops the running jobs that match on all targets.
func (g *Jobs) Stop(ctx context.Context, v *cluster.View, q *api.JobQuery) (stopped int, err error) {
	nodes, err := asked(v, q)
	if err != nil {
		return 0, err
	}
	counts := make([]int, len(nodes))
	var eg errgroup.Group // one that does not answer keeps no other from being told
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

// Snaps gathers what live targets report of the matching jobs: each share once. Every target asked is a key. A share that nobody reports, as another
// target has yet to go on with it, is reported as running; what a job that has ended had done where no target reports it any more is one more report, of no share.
func (g *Jobs) Snaps(ctx context.Context, v *cluster.View, q *api.JobQuery) (map[cluster.NodeID][]Snap, error) {
	all, err := g.shares(ctx, v, q)
	if q.Active != nil && *q.Active {
		for id := range all {
			all[id] = slices.DeleteFunc(all[id], func(s Snap) bool { return s.ended() })
		}
	}
	return all, err
}

// shares is Snaps with the shares that have ended of jobs that are active.
func (g *Jobs) shares(ctx context.Context, v *cluster.View, q *api.JobQuery) (map[cluster.NodeID][]Snap, error) {
	nodes, err := asked(v, q)
	if err != nil {
		return nil, err
	}
	got := make([][]Snap, len(nodes))
	eg, ectx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		eg.Go(func() (err error) {
			if got[i], err = g.peers.Query(ectx, n, q); err != nil {
				return errs.E("xact.Snaps", "target "+string(n.ID), err)
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return nil, err
	}
	all := make(map[cluster.NodeID][]Snap, len(nodes))
	byID := map[string][]Snap{}
	for i, n := range nodes {
		all[n.ID] = []Snap{}
		for _, s := range got[i] {
			byID[s.ID] = append(byID[s.ID], s)
		}
	}
	for id, snaps := range byID {
		shares := byShare(snaps)
		if q.Node+q.DaemonID == "" {
			g.complete(ctx, v, id, shares, &snaps[0])
		}
		on := goesOn(shares)
		for _, of := range slices.Sorted(maps.Keys(shares)) {
			s := shares[of]
			s.Aborted = s.Aborted && !on // AIStore's clients take one that was for the end of the job
			at := cluster.NodeID(s.Node)
			if all[at] == nil { // of a target that is gone
				at = nodes[0].ID
			}
			all[at] = append(all[at], *s)
		}
	}
	for _, snaps := range all {
		slices.SortStableFunc(snaps, func(a, b Snap) int { return a.Start.Compare(b.Start) })
	}
	return all, nil
}

// goesOn reports whether one of a job's shares is still worked on, or will be.
func goesOn(shares map[cluster.NodeID]*Snap) bool {
	open := false
	for _, s := range shares {
		if s.Final != nil {
			return false
		}
		open = open || !s.ended() && !(s.Left && s.Stopped)
	}
	return open
}

// complete adds to the shares of a job what nobody reports. A job whose shares have all ended has ended once every live target knows that, so that none goes on
// with it any more; until then one of its shares is said to run.
func (g *Jobs) complete(ctx context.Context, v *cluster.View, id string, shares map[cluster.NodeID]*Snap, first *Snap) {
	blank := func(of cluster.NodeID) *Snap {
		s := &Snap{Targets: first.Targets, Of: of}
		s.ID, s.Kind, s.Bck, s.Src, s.Dst, s.Ctl, s.Start = first.ID, first.Kind, first.Bck, first.Src, first.Dst, first.Ctl, first.Start
		return s
	}
	over := false // it has ended, and that is known, or was stopped
	for _, s := range shares {
		over = over || s.Final != nil || s.Stopped
	}
	if !over {
		var each []Snap
		for _, of := range first.Targets {
			switch s := shares[of]; {
			case s == nil:
				shares[of] = blank(of)
			case s.ended():
				each = append(each, *s)
			}
		}
		if len(each) < len(first.Targets) {
			return
		}
		f := finalOf(each)
		if nodes, err := asked(v, &api.JobQuery{}); err != nil || seal(ctx, g.peers, nodes, id, f) != nil {
			last := shares[first.Targets[0]]
			last.End, last.Idle = time.Time{}, false
			return
		}
		for _, s := range shares {
			s.Final = &f
		}
	}
	if rest := unreported(shares, blank("")); rest != nil {
		shares[""] = rest
	}
}

// unreported makes of rest what a job that has ended did in shares that no target reports any more; nil if there is none.
func unreported(shares map[cluster.NodeID]*Snap, rest *Snap) *Snap {
	var f *Final
	for _, s := range shares {
		if s.Final != nil {
			f = s.Final
		}
		rest.Stats.Objects -= s.Stats.Objects
		rest.Stats.Bytes -= s.Stats.Bytes
		rest.Errors -= s.Errors
	}
	if f == nil || f.Objects+rest.Stats.Objects <= 0 && f.Errors+rest.Errors == 0 {
		return nil
	}
	rest.Stats.Objects += f.Objects
	rest.Stats.Bytes += f.Bytes
	rest.Errors += f.Errors
	rest.End, rest.Idle, rest.Final = f.End, true, f
	return rest
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
	snaps, err := g.shares(ctx, v, q)
	if err != nil {
		return nil, err
	}
	byID := map[string][]Snap{}
	for _, of := range snaps {
		for _, s := range of {
			if s.Of != "" {
				byID[s.ID] = append(byID[s.ID], s)
			}
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

// finalOf sums up the shares of a job that has ended.
func finalOf(shares []Snap) Final {
	slices.SortFunc(shares, func(a, b Snap) int { return strings.Compare(string(a.Of), string(b.Of)) })
	var f Final
	var faults []string
	for i := range shares {
		s := &shares[i]
		if s.End.After(f.End) {
			f.End = s.End
		}
		f.Aborted = f.Aborted || s.Aborted
		if s.Err != "" {
			faults = append(faults, "target "+string(s.Of)+": "+s.Err)
		}
		if s.Stats.Objects > 0 {
			if f.Objects == 0 || s.Sizes.Min < f.Sizes.Min {
				f.Sizes.Min = s.Sizes.Min
			}
			f.Sizes.Max = max(f.Sizes.Max, s.Sizes.Max)
		}
		f.Objects += s.Stats.Objects
		f.Bytes += s.Stats.Bytes
		f.Errors += s.Errors
	}
	f.Err = strings.Join(faults, "; ")
	return f
}

// sum makes one job of its shares, each of which is there once; partial says that only some of the targets were asked.
func sum(shares []Snap, partial bool) *Job {
	first := shares[0]
	j := &Job{JobStatus: api.JobStatus{UUID: first.ID, Kind: first.Kind, Bck: &first.Bck}, Start: first.Start}
	running, stopped, done := false, false, map[cluster.NodeID]bool{}
	var final *Final
	for _, s := range shares {
		if s.Start.Before(j.Start) {
			j.Start = s.Start
		}
		if s.Final != nil {
			final = s.Final
		}
		stopped = stopped || s.Stopped
		running = running || !s.ended() && !(s.Left && s.Stopped)
		done[s.Of] = s.ended()
	}
	f := finalOf(shares)
	switch {
	case partial:
	case final != nil:
		f, running = *final, false
	case stopped && !f.Aborted && slices.ContainsFunc(first.Targets, func(id cluster.NodeID) bool { return !done[id] }):
		f.Aborted = true
		f.Err = strings.TrimPrefix(f.Err+"; "+errStopped.Error(), "; ")
	}
	j.Objects, j.Bytes, j.Sizes, j.Aborted, j.Err = f.Objects, f.Bytes, f.Sizes, f.Aborted, f.Err
	if !running {
		j.EndTime = f.End.UnixNano()
		if f.End.IsZero() { // stopped, and all that had begun was on its way to others
			j.EndTime = time.Now().UnixNano()
		}
	}
	return j
}
