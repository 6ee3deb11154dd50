package xact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// Limits of a Runtime.
const (
	maxRunning = 64  // jobs at once
	maxEnded   = 512 // remembered after their end
	maxErrors  = 5   // objects named in a job's error; all are counted
	maxStopped = 64  // jobs remembered that were stopped, or had ended, before they came
	perLane    = 16  // workers of a mountpath, who share a sync of its index: 4 did a quarter of the deletes and copies
	leastLane  = 4   // and of one of very many
	maxWorkers = 256 // of a job on a node
)

// Objects is what jobs do to objects. Names are those this target holds; Delete, Copy and Size go to the owner of a name, and check what a
// client's request would.
type Objects interface {
	// Names yields objects in byte order, as list.Names does.
	Names(ctx context.Context, bucket uint64, prefix, after string, yield func(*object.Info) bool) error
	// Lane tells which of the node's mountpaths holds a name: an index below the number of lanes, which it also returns.
	Lane(n object.Name) (lane, lanes int)
	// Delete removes an object; kind NotFound if there is none.
	Delete(ctx context.Context, b *cluster.Bucket, key string) (size int64, err error)
	// Copy makes an object known under another name too, wherever the owner of that name is.
	Copy(ctx context.Context, from *cluster.Bucket, key string, to *cluster.Bucket, toKey string) (size int64, err error)
	// Size returns the bytes of an object; kind NotFound if there is none.
	Size(ctx context.Context, b *cluster.Bucket, key string) (int64, error)
}

// Found is a name that Pages lists.
type Found struct {
	Key  string
	Size int64
}

// Pages lists a bucket's names over all targets, as a client does: one page, and where the next one goes on, "" at the end.
type Pages func(ctx context.Context, bucket uint64, prefix, after string) (found []Found, next string, err error)

// Map is what jobs need of the control plane. *control.Control is the one real Map.
type Map interface {
	View() *cluster.View
	Latest(ctx context.Context) (*cluster.View, error)
	Lease() error
}

// Config of a Runtime.
type Config struct {
	Self    cluster.NodeID
	Objects Objects
	Map     Map
	Pages   Pages
	Peers   Peers            // the other targets; nil: nobody looks after jobs whose targets are lost
	Dir     string           // where jobs are kept for when all targets have ended; "": nowhere
	Log     *slog.Logger     // nil: none
	Now     func() time.Time // nil: time.Now
}

// Runtime runs this target's share of jobs.
type Runtime struct {
	cfg Config

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before it, after it, and from Leave on
	jobs    []*run          // the shares here, oldest first
	watches map[string]*watch
	undone  []string // ids of jobs that are not to begin any more, oldest first
	active  sync.WaitGroup

	ledger ledger

	alive atomic.Pointer[time.Time] // when the lease was last seen to hold, see fenced
}

// NewRuntime returns a Runtime that takes jobs once Run is called, and knows those in cfg.Dir.
func NewRuntime(cfg Config) *Runtime {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Runtime{cfg: cfg, watches: map[string]*watch{}}
	if cfg.Dir != "" {
		r.restore()
	}
	return r
}

// Run takes jobs, and looks after those whose targets are lost, until ctx ends; then it stops them. Every one has ended when Run returns.
func (r *Runtime) Run(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	var marks sync.WaitGroup
	defer marks.Wait()
	if r.cfg.Dir != "" {
		marks.Go(func() { r.saveMarks(ctx) })
	}
	r.guard(ctx)
	r.mu.Lock()
	r.ctx = nil
	r.mu.Unlock()
	r.active.Wait()
	return nil
}

// run is one share of a job on this target.
type run struct {
	of      cluster.NodeID // whose share it is
	spec    Spec
	row     Row
	rt      *Runtime
	shares  shares
	from    *cluster.Bucket
	to      *cluster.Bucket // nil for jobs with one bucket
	started time.Time
	cancel  context.CancelCauseFunc
	ctx     context.Context
	over    chan struct{} // closed when the work has ended

	objects, bytes, failed atomic.Int64
	workers                atomic.Int64
	trail                  trail
	leaves                 atomic.Bool // nothing more begins here: another goes on with the share

	mu    sync.Mutex
	ended time.Time
	errs  []string // of objects, the first few
	err   error    // why it stopped before its end
	left  bool     // it has not ended, but is another's to go on with
}

// errStopped is why a job ends that was told to.
var errStopped = errors.New("stopped on request")

// Start begins a share: this target's, or that of another which is given up there. Starting a share again that is known is no error.
func (r *Runtime) Start(ctx context.Context, s Spec) error {
	if err := r.start(ctx, s); err != nil {
		return err
	}
	r.save(s.ID)
	return nil
}

func (r *Runtime) start(ctx context.Context, s Spec) error {
	const op = "xact.Start"
	row, ok := rowOf(s.Kind)
	if !ok {
		return errs.F(op, "kind", errs.Invalid, "%q is unknown", s.Kind)
	}
	j := &run{spec: s, row: row, rt: r, of: s.Of, over: make(chan struct{})}
	if j.of == "" {
		j.of = r.cfg.Self
	}
	j.resume(s.From)
	var gone error
	if s.Ended == nil {
		err := j.bind(ctx)
		if s.Of != "" && errs.Is(err, errs.NoBucket) { // nobody can go on with it, here or elsewhere
			gone, err = err, nil
		}
		if err != nil {
			return errs.E(op, "job "+s.ID, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		return errs.E(op, "job "+s.ID, errs.Unavailable, "the node is starting or stopping")
	}
	if slices.Contains(r.undone, s.ID) {
		return errs.E(op, "job "+s.ID, errs.Canceled, errStopped)
	}
	running := map[string]bool{}
	for _, known := range r.jobs {
		if known.spec.ID == s.ID && known.of == j.of && !known.gone() {
			return nil
		}
		if known.running() {
			running[known.spec.ID] = true
		}
	}
	if len(running) >= maxRunning && !running[s.ID] {
		return errs.F(op, "job "+s.ID, errs.Busy, "%d jobs are running: wait for one to end", len(running))
	}
	r.forget(maxEnded)
	w := r.watch(&s)
	w.unsure = false // by whoever is sure
	switch {
	case w.final != nil || w.stopped:
		return nil // late
	case s.Ended != nil:
		w.known[j.of] = *s.Ended
		return nil
	case gone != nil:
		w.known[j.of] = r.endedBy(j, gone)
		return nil
	}
	if j.started = r.cfg.Now(); !w.restored.IsZero() {
		j.started = w.began
	}
	j.ctx, j.cancel = context.WithCancelCause(r.ctx)
	r.jobs = slices.DeleteFunc(r.jobs, func(o *run) bool { return o.spec.ID == s.ID && o.of == j.of }) // given up here before
	r.jobs = append(r.jobs, j)
	r.active.Go(j.do)
	return nil
}

// endedBy reports a share that ends, where it had come to, because of err; r.mu is held.
func (r *Runtime) endedBy(j *run, err error) Snap {
	j.from, j.to = &cluster.Bucket{ID: j.spec.Bucket}, nil
	for _, known := range r.jobs { // they had names
		if known.spec.ID == j.spec.ID {
			j.from, j.to = known.from, known.to
		}
	}
	j.started, j.ended, j.err = r.cfg.Now(), r.cfg.Now(), err
	return j.snap()
}

// remembers reports whether anything is known of a job.
func (r *Runtime) remembers(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watches[id] != nil
}

// forget drops the oldest ended shares until at most keep are left, and what is known of jobs that are over and have no share here; r.mu is held.
func (r *Runtime) forget(keep int) {
	ended := 0
	for _, j := range r.jobs {
		if !j.running() {
			ended++
		}
	}
	left := map[string]bool{}
	r.jobs = slices.DeleteFunc(r.jobs, func(j *run) bool {
		if ended <= keep || j.running() {
			left[j.spec.ID] = true
			return false
		}
		ended--
		return true
	})
	maps.DeleteFunc(r.watches, func(id string, w *watch) bool { return !left[id] && (w.final != nil || w.stopped) })
}

// resume makes the share go on behind a mark.
func (j *run) resume(m Mark) {
	j.trail.mark = m
	j.objects.Store(m.Objects)
	j.bytes.Store(m.Bytes)
	j.failed.Store(m.Errors)
	j.errs = slices.Clone(m.Faults)
}

// bind finds the buckets in this target's newest view.
func (j *run) bind(ctx context.Context) error {
	const op = "xact.bind"
	v := j.rt.cfg.Map.View()
	known := func() bool {
		return v != nil && v.Map.Epoch >= j.spec.Epoch && v.BucketByID(j.spec.Bucket) != nil &&
			(j.spec.To == 0 || v.BucketByID(j.spec.To) != nil)
	}
	if !known() {
		var err error
		if v, err = j.rt.cfg.Map.Latest(ctx); err != nil {
			return err
		}
	}
	j.shares, j.from = sharesOf(j.spec.Placement), v.BucketByID(j.spec.Bucket)
	switch {
	case j.from == nil:
		return errs.F(op, "bucket", errs.NoBucket, "id %d is gone", j.spec.Bucket)
	case j.spec.To != 0:
		if j.to = v.BucketByID(j.spec.To); j.to == nil {
			return errs.F(op, "destination bucket", errs.NoBucket, "id %d is gone", j.spec.To)
		}
	}
	return nil
}

// do runs the share to its end.
func (j *run) do() {
	defer close(j.over)
	log := j.rt.cfg.Log.With("job", j.spec.ID, "kind", j.spec.Kind, "bucket", j.from.String())
	log.Info("job started", "about", j.spec.About, "of", j.of)
	err := j.guarded()
	left := j.leaves.Load()
	if cause := context.Cause(j.ctx); cause != nil {
		err = cause
	} else if err != nil && !left {
		left = j.rt.fenced() != nil // what fails without a lease is no fault of the job
	}
	if errors.Is(err, errLeft) || errors.Is(context.Cause(j.ctx), context.Canceled) { // the second: this process ends
		left = true
	}
	j.cancel(nil)
	j.mu.Lock()
	j.err, j.left = err, left && !errors.Is(err, errStopped)
	j.ended = j.rt.cfg.Now()
	took := j.ended.Sub(j.started)
	j.mu.Unlock()
	j.rt.ended(j.spec.ID)
	j.rt.save(j.spec.ID)
	level := slog.LevelInfo
	if err != nil || j.failed.Load() > 0 {
		level = slog.LevelWarn
	}
	if err != nil {
		log = log.With("err", err)
	}
	log.Log(j.ctx, level, "job ended", "objects", j.objects.Load(), "bytes", j.bytes.Load(), "failed", j.failed.Load(), "took", took)
}

// guarded turns a panic of the work into the job's error: one job's fault must not end the node.
func (j *run) guarded() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.F("xact.run", "job "+j.spec.ID, errs.Other, "BUG: panic: %v", p)
		}
	}()
	return j.row.work(j)
}

func (j *run) running() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended.IsZero()
}

// gone reports whether the share was given up here, for another to go on with.
func (j *run) gone() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.left
}

// handled counts an object that was worked on; a size below 0 is not known.
func (j *run) handled(size int64) outcome {
	j.objects.Add(1)
	j.bytes.Add(max(size, 0))
	return outcome{done: true, bytes: size}
}

// fail counts an object that could not be worked on. An error that will meet every object alike is returned: the
// job cannot go on.
func (j *run) fail(key string, err error) (outcome, error) {
	if errs.Is(err, errs.NoBucket, errs.StaleMap, errs.WrongOwner, errs.Unavailable, errs.Full, errs.Canceled) {
		return outcome{}, err
	}
	fault := fmt.Sprintf("%s/%s: %v", j.from, key, err)
	j.failed.Add(1)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.errs) < maxErrors {
		j.errs = append(j.errs, fault)
	}
	return outcome{fault: fault}, nil
}

// snap reports the share as it is now.
func (j *run) snap() Snap {
	mark := j.trail.at()
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Snap{Targets: j.spec.Targets, Sizes: mark.Sizes, Of: j.of, Mark: mark, Left: j.left}
	s.ID, s.Kind, s.Start = j.spec.ID, j.spec.Kind, j.started
	s.Bck, s.Node, s.Ctl = api.BckOf(j.from), string(j.rt.cfg.Self), j.spec.About
	if j.to != nil {
		src, dst := api.BckOf(j.from), api.BckOf(j.to)
		s.Src, s.Dst = &src, &dst
	}
	s.Stats.Objects, s.Stats.Bytes = j.objects.Load(), j.bytes.Load()
	s.Errors = uint64(j.failed.Load())
	s.Packed = uint64(j.workers.Load()) << 10
	if n := s.Errors; n > 0 {
		s.Err = fmt.Sprintf("%d objects failed: %s", n, strings.Join(j.errs, "\n"))
	}
	if j.left {
		return s
	}
	s.End, s.Idle = j.ended, !j.ended.IsZero()
	if j.err != nil {
		s.Aborted, s.AbortErr = true, j.err.Error()
		s.Err = strings.TrimSuffix(s.AbortErr+"; "+s.Err, "; ")
	}
	return s
}

func (j *run) matches(q *api.JobQuery) bool {
	if q.ID != "" && q.ID != j.spec.ID || q.Kind != "" && KindOf(q.Kind) != j.spec.Kind {
		return false
	}
	if node := q.Node + q.DaemonID; node != "" && node != string(j.rt.cfg.Self) {
		return false
	}
	if q.Bck == nil || q.Bck.Name == "" {
		return true
	}
	is := func(b *cluster.Bucket) bool {
		return b != nil && b.Name == q.Bck.Name && b.Namespace == q.Bck.Namespace.Name
	}
	return is(j.from) || is(j.to)
}

// Query reports the shares that match, oldest first, and those that have ended elsewhere and that nobody else may know of any more. Those of jobs that
// may not be over are all active: of one share it cannot be told.
func (r *Runtime) Query(q *api.JobQuery) []Snap {
	snaps := []Snap{}
	told := map[string]bool{}
	active := q.Active != nil && *q.Active
	for _, j := range r.all() {
		if !j.matches(q) {
			continue
		}
		s := j.snap()
		elsewhere := r.about(&s)
		if active && s.Final != nil {
			continue
		}
		snaps = append(snaps, s)
		if q.Node+q.DaemonID == "" && !told[s.ID] {
			told[s.ID] = true
			snaps = append(snaps, elsewhere...)
		}
	}
	if q.ID != "" && len(snaps) == 0 && !active { // what others left here of a job that has no share here
		snaps = append(snaps, r.about(&Snap{JobSnap: api.JobSnap{ID: q.ID}})...)
	}
	return snaps
}

// Stop tells the running shares that match to stop and returns how many there were. A job that is not known is not begun any more: who starts it may have
// given it up while its start was on its way.
func (r *Runtime) Stop(q *api.JobQuery) int {
	n := 0
	for _, j := range r.known(q.ID) {
		if !j.matches(q) {
			continue
		}
		if r.stopped(j.spec.ID) {
			defer r.save(j.spec.ID)
		}
		if j.running() {
			j.cancel(errs.E("xact.Stop", "job "+j.spec.ID, errs.Canceled, errStopped))
			n++
		}
	}
	return n
}

// known returns all jobs, and notes the id if it is of none of them.
func (r *Runtime) known(id string) []*run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id != "" && !slices.ContainsFunc(r.jobs, func(j *run) bool { return j.spec.ID == id }) {
		r.never(id)
	}
	return slices.Clone(r.jobs)
}

// never has nothing begin here of a job that is not known; r.mu is held.
func (r *Runtime) never(id string) {
	r.undone = append(r.undone[max(0, len(r.undone)+1-maxStopped):], id)
}

func (r *Runtime) all() []*run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.jobs)
}
