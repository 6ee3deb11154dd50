package xact

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// Timing of those who look after jobs.
const (
	guardEvery     = time.Second
	guardPerTarget = 20 * time.Millisecond // less often where there are many to ask
	askWithin      = 3 * time.Second       // a target that has not told of its jobs by then is asked again later
	begunBy        = 2 * patience          // a share that has not been seen by then does not come any more
	leaveIn        = 10 * time.Second      // how long a target that ends waits for what it has begun
	maxAsked       = 32                    // targets at a time
)

// errLeft ends a share that another goes on with.
var errLeft = errors.New("is another target's to go on with")

// watch is what a target knows of a job as a whole.
type watch struct {
	spec    Spec // with the message, until the job has ended
	began   time.Time
	next    time.Time               // when it is looked after again
	known   map[cluster.NodeID]Snap // other targets' shares, as they were seen last
	stopped bool                    // on request
	final   *Final

	written  time.Time      // to the ledger
	cluster  string         // uuid of that in which it began, once it is in the ledger
	restored time.Time      // when it was read from the ledger; zero: it has come since this process began
	unsure   bool           // it is only known from the ledger, see confirm
	given    cluster.NodeID // whom shares were handed to, last, when this target left
}

// watch returns that of a job, and makes it; r.mu is held.
func (r *Runtime) watch(s *Spec) *watch {
	w := r.watches[s.ID]
	if w == nil {
		w = &watch{spec: *s, began: r.cfg.Now(), known: map[cluster.NodeID]Snap{}}
		w.spec.Of, w.spec.From, w.spec.Ended = "", Mark{}, nil
		r.watches[s.ID] = w
	}
	return w
}

// about completes s by what is known of its job, and returns the shares that ended elsewhere.
func (r *Runtime) about(s *Snap) (elsewhere []Snap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.watches[s.ID]
	if w == nil {
		return nil
	}
	s.Stopped, s.Final, s.Restored, s.Given = w.stopped, w.final, w.unsure, w.given
	for _, k := range w.known {
		if k.ended() {
			k.Stopped, k.Final, k.Restored = w.stopped, w.final, w.unsure
			elsewhere = append(elsewhere, k)
		}
	}
	return elsewhere
}

// stopped has nobody go on with what is missing of a job, and reports whether that is news.
func (r *Runtime) stopped(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.watches[id]
	if w == nil || w.final != nil || w.stopped {
		return false
	}
	w.stopped = true
	r.release(w)
	return true
}

// ended forgets what is only needed as long as shares may have to be begun: the message may be millions of bytes of names.
func (r *Runtime) ended(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.watches[id]; w != nil && (w.final != nil || w.stopped || r.cfg.Peers == nil) {
		r.release(w)
	}
}

// release forgets the message of a job of which no share will begin any more; r.mu is held.
func (r *Runtime) release(w *watch) {
	w.spec.Message = nil
	for _, j := range r.jobs {
		if j.spec.ID == w.spec.ID {
			j.mu.Lock()
			if !j.ended.IsZero() {
				j.spec.Message = nil
			}
			j.mu.Unlock()
		}
	}
}

// ended reports whether nothing is left to do of a share.
func (s *Snap) ended() bool { return !s.End.IsZero() && !s.Left }

// better chooses of two reports of one share: one that has ended, then one that runs, then what has come further.
func better(a, b *Snap) *Snap {
	rank := func(s *Snap) int {
		switch {
		case s.ended():
			return 2
		case !s.Left:
			return 1
		}
		return 0
	}
	if ra, rb := rank(a), rank(b); ra > rb || ra == rb && a.Stats.Objects >= b.Stats.Objects {
		return a
	}
	return b
}

// byShare keeps the best report of each share of one job.
func byShare(snaps []Snap) map[cluster.NodeID]*Snap {
	best := map[cluster.NodeID]*Snap{}
	for i := range snaps {
		s := &snaps[i]
		if b := best[s.Of]; b != nil {
			s = better(b, s)
		}
		best[s.Of] = s
	}
	return best
}

// fenced tells why this target may not go on with its shares: it may have been counted as lost, and others may have begun to go on with them. It
// stays so until guard has ended them.
func (r *Runtime) fenced() error {
	if r.cfg.Map.Lease() != nil {
		return errLeft
	}
	if t, v := r.alive.Load(), r.cfg.Map.View(); t != nil && v != nil && r.cfg.Now().Sub(*t) >= v.Config.Timeout.Lease.D() {
		return errLeft // the process stood still
	}
	return nil
}

// guard looks after the jobs until ctx ends.
func (r *Runtime) guard(ctx context.Context) {
	var checks sync.WaitGroup
	defer checks.Wait()
	free := make(chan struct{}, 1)
	free <- struct{}{}
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		if r.fenced() != nil {
			r.giveUp()
		}
		if r.cfg.Map.Lease() == nil {
			now := r.cfg.Now()
			r.alive.Store(&now)
			select {
			case <-free:
				checks.Go(func() {
					defer func() { free <- struct{}{} }()
					r.lookAfter(ctx)
				})
			default:
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// giveUp ends all shares here, so that others go on with them.
func (r *Runtime) giveUp() {
	for _, j := range r.all() {
		if j.running() {
			j.cancel(errLeft)
		}
	}
}

// lookAfter checks every job that is not over.
func (r *Runtime) lookAfter(ctx context.Context) {
	v := r.cfg.Map.View()
	if r.cfg.Peers == nil || v == nil {
		return
	}
	r.disown(v)
	r.mu.Lock()
	var open []*watch
	for _, w := range r.watches {
		if now := r.cfg.Now(); w.final == nil && !w.stopped && r.ctx != nil && !now.Before(w.next) {
			w.next = now.Add(time.Duration(len(w.spec.Targets)) * guardPerTarget)
			open = append(open, w)
		}
	}
	r.mu.Unlock()
	for _, w := range open {
		if r.guards(ctx, v, w) {
			r.check(ctx, v, w)
		}
	}
}

// guards reports whether this target is the one to look after a job: the first of those that know of it.
func (r *Runtime) guards(ctx context.Context, v *cluster.View, w *watch) bool {
	for _, id := range w.spec.Targets {
		n := v.Map.Nodes[id]
		switch {
		case id == r.cfg.Self:
			return true
		case n == nil || !n.Alive || !n.InService():
			continue
		}
		if snaps, err := r.ask(ctx, n, w.spec.ID); err != nil || len(snaps) > 0 {
			return false
		}
	}
	return true
}

func (r *Runtime) ask(ctx context.Context, n *cluster.Node, id string) ([]Snap, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return r.cfg.Peers.Query(ctx, n, &api.JobQuery{ID: id})
}

// others are the live targets but this one.
func (r *Runtime) others(v *cluster.View) []*cluster.Node {
	return slices.DeleteFunc(v.Map.All(), func(n *cluster.Node) bool { return !n.Role.Target() || !n.Alive || n.ID == r.cfg.Self })
}

// check begins here what nobody works on any more, and ends the job when all its shares have ended.
func (r *Runtime) check(ctx context.Context, v *cluster.View, w *watch) {
	id := w.spec.ID
	others := r.others(v)
	told := make([][]Snap, len(others))
	silent := make([]bool, len(others))
	var g errgroup.Group
	g.SetLimit(maxAsked)
	for i, n := range others {
		g.Go(func() error {
			var err error
			told[i], err = r.ask(ctx, n, id)
			silent[i] = err != nil
			return nil
		})
	}
	_ = g.Wait() // no error is returned
	all := slices.Concat(append(told, r.Query(&api.JobQuery{ID: id}))...)
	unsure := slices.Contains(silent, true)
	shares := byShare(all)
	lost := r.note(w, all, shares, unsure)
	if r.over(w) {
		r.save(id)
		return
	}
	if sure, why := r.confirm(v, w, others, told, silent); !sure {
		if why != "" {
			r.abandon(ctx, others, id, why)
		}
		return
	}
	for _, s := range lost {
		s.Epoch = v.Map.Epoch
		if err := r.goOn(ctx, v, w, &s); err != nil {
			r.cfg.Log.Warn("the share of a job could not be gone on with: it is tried again", "job", id, "of", s.Of, "err", err)
		}
	}
	if len(lost) > 0 || unsure {
		return
	}
	var each []Snap
	for _, of := range w.spec.Targets {
		s := shares[of]
		if s == nil || !s.ended() {
			return
		}
		each = append(each, *s)
	}
	if err := seal(ctx, r.cfg.Peers, others, id, finalOf(each)); err == nil {
		_ = r.Seal(ctx, id, finalOf(each)) // only ctx can end it
	}
}

// over reports whether no share of a job will begin any more.
func (r *Runtime) over(w *watch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return w.final != nil || w.stopped
}

// goOn begins a share that nobody works on: here, or, when all targets were restarted and each has its own to go on with, at its target.
func (r *Runtime) goOn(ctx context.Context, v *cluster.View, w *watch, s *Spec) error {
	n := v.Map.Nodes[s.Of]
	if !w.restored.IsZero() && n != nil && n.ID != r.cfg.Self && n.Alive && n.InService() {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		err := r.cfg.Peers.Start(ctx, n, s)
		cancel()
		if err == nil || r.cfg.Now().Sub(w.restored) < begunBy { // it may be starting
			return err
		}
	}
	r.cfg.Log.Warn("the share of a job is gone on with here", "job", s.ID, "of", s.Of, "objects", s.From.Objects)
	return r.Start(ctx, *s)
}

// note remembers what was told of the job, and returns the shares that have to be begun here.
func (r *Runtime) note(w *watch, all []Snap, shares map[cluster.NodeID]*Snap, unsure bool) []Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range all {
		switch s := &all[i]; {
		case w.final != nil || w.stopped:
			return nil
		case s.Final != nil:
			w.final = s.Final
			r.end(w, errLeft)
			return nil
		case s.Stopped:
			w.stopped = true
			r.end(w, errs.E("xact.Stop", "job "+w.spec.ID, errs.Canceled, errStopped))
			return nil
		}
	}
	var lost []Spec
	for _, of := range w.spec.Targets {
		s, before := shares[of], w.known[of]
		seen := before.ID != ""
		if s != nil && !s.Left {
			if s.Node != string(r.cfg.Self) {
				known := *s
				known.Targets = w.spec.Targets // of a thousand shares each would have its own thousand
				w.known[of] = known
			}
			continue
		}
		if unsure || s == nil && !seen && r.cfg.Now().Sub(w.began) < begunBy {
			continue
		}
		spec := w.spec
		spec.Of, spec.From = of, before.Mark
		if s != nil && s.Mark.Names >= before.Mark.Names {
			spec.From = s.Mark
		}
		lost = append(lost, spec)
	}
	return lost
}

// end ends what runs here of a job that is over, as others told; r.mu is held.
func (r *Runtime) end(w *watch, why error) {
	r.release(w)
	for _, j := range r.jobs {
		if j.spec.ID == w.spec.ID && j.running() {
			j.cancel(why)
		}
	}
}

// Seal notes how the job has ended. What still runs here of it, though others have done the same, is ended before.
func (r *Runtime) Seal(ctx context.Context, id string, f Final) error {
	r.mu.Lock()
	w := r.watches[id]
	if w == nil || w.final != nil {
		if w == nil {
			r.never(id)
		}
		r.mu.Unlock()
		return nil
	}
	w.final = &f
	var extra []*run
	r.jobs = slices.DeleteFunc(r.jobs, func(j *run) bool {
		if j.spec.ID != id || !j.running() && !j.gone() {
			return false
		}
		extra = append(extra, j)
		return true
	})
	r.release(w)
	r.mu.Unlock()
	defer r.save(id)
	for _, j := range extra {
		j.cancel(errLeft)
	}
	for _, j := range extra {
		select {
		case <-j.over:
		case <-ctx.Done():
			return errs.E("xact.Seal", "job "+id, errs.Timeout, "its last works have not ended")
		}
	}
	return nil
}

// Leave takes no more jobs, lets what is under way end, and has others go on with this target's shares. The target is about to end.
func (r *Runtime) Leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveIn)
	defer cancel()
	r.mu.Lock()
	r.ctx = nil
	mine := slices.Clone(r.jobs)
	r.mu.Unlock()
	for _, j := range mine {
		j.leaves.Store(true)
	}
	for _, j := range mine {
		select {
		case <-j.over:
		case <-ctx.Done():
			j.cancel(errLeft)
			<-j.over
		}
	}
	v := r.cfg.Map.View()
	if r.cfg.Peers == nil || v == nil {
		return
	}
	for _, j := range mine {
		r.mu.Lock()
		w := r.watches[j.spec.ID]
		var spec Spec
		closed := w == nil || w.final != nil || w.stopped
		if !closed {
			spec = w.spec
		}
		r.mu.Unlock()
		if closed {
			r.save(j.spec.ID)
			continue
		}
		s := j.snap()
		if spec.Of, spec.From = j.of, s.Mark; s.ended() {
			spec.Ended = &s
		}
		to := r.give(context.WithoutCancel(ctx), v, &spec)
		r.mu.Lock()
		if to != "" {
			w.given = to
		}
		r.mu.Unlock()
		r.save(j.spec.ID)
	}
}

// give has another target go on with a share: the one that looks after the job when this one is gone, or whoever is left. It returns which, or "".
func (r *Runtime) give(ctx context.Context, v *cluster.View, s *Spec) cluster.NodeID {
	others := slices.DeleteFunc(r.others(v), func(n *cluster.Node) bool { return !n.InService() })
	rank := func(n *cluster.Node) int {
		if i := slices.Index(s.Targets, n.ID); i >= 0 {
			return i
		}
		return len(s.Targets)
	}
	slices.SortStableFunc(others, func(a, b *cluster.Node) int { return rank(a) - rank(b) })
	for _, n := range others[:min(len(others), 3)] {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		err := r.cfg.Peers.Start(ctx, n, s)
		cancel()
		if err == nil {
			r.cfg.Log.Info("the share of a job goes on elsewhere", "job", s.ID, "of", s.Of, "at", n.ID)
			return n.ID
		}
		r.cfg.Log.Warn("the share of a job could not be given to another target", "job", s.ID, "of", s.Of, "at", n.ID, "err", err)
	}
	return ""
}

// seal tells all of nodes how the job has ended.
func seal(ctx context.Context, peers Peers, nodes []*cluster.Node, id string, f Final) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxAsked)
	for _, n := range nodes {
		g.Go(func() error { return peers.Seal(ctx, n, id, f) })
	}
	return g.Wait()
}
