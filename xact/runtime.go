package xact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	maxStopped = 64  // jobs remembered that were stopped before they came
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
	Log     *slog.Logger     // nil: none
	Now     func() time.Time // nil: time.Now
}

// Runtime runs this target's share of jobs.
type Runtime struct {
	cfg Config

	mu     sync.Mutex
	ctx    context.Context // of Run; nil before it and after
	jobs   []*run          // oldest first
	undone []string        // ids of jobs that are not to begin any more, oldest first
	active sync.WaitGroup
}

// NewRuntime returns a Runtime that takes jobs once Run is called.
func NewRuntime(cfg Config) *Runtime {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Runtime{cfg: cfg}
}

// Run takes jobs until ctx ends, then stops them; every one has ended when Run returns.
func (r *Runtime) Run(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	r.ctx = nil
	r.mu.Unlock()
	r.active.Wait()
	return nil
}

// run is one job on this target.
type run struct {
	spec    Spec
	row     Row
	rt      *Runtime
	shares  shares
	from    *cluster.Bucket
	to      *cluster.Bucket // nil for jobs with one bucket
	started time.Time
	cancel  context.CancelCauseFunc
	ctx     context.Context

	objects, bytes, failed atomic.Int64
	workers                atomic.Int64

	mu    sync.Mutex
	ended time.Time
	errs  []error // of objects, the first few
	err   error   // why it stopped before its end
	sizes Sizes
}

// errStopped is why a job ends that was told to.
var errStopped = errors.New("stopped on request")

// Start begins this target's share. Starting a job again that is known is no error.
func (r *Runtime) Start(ctx context.Context, s Spec) error {
	const op = "xact.Start"
	row, ok := rowOf(s.Kind)
	if !ok {
		return errs.F(op, "kind", errs.Invalid, "%q is unknown", s.Kind)
	}
	j := &run{spec: s, row: row, rt: r}
	if err := j.bind(ctx); err != nil {
		return errs.E(op, "job "+s.ID, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		return errs.E(op, "job "+s.ID, errs.Unavailable, "the node is starting or stopping")
	}
	if slices.Contains(r.undone, s.ID) {
		return errs.E(op, "job "+s.ID, errs.Canceled, errStopped)
	}
	running := 0
	for _, known := range r.jobs {
		if known.spec.ID == s.ID {
			return nil
		}
		if known.running() {
			running++
		}
	}
	if running >= maxRunning {
		return errs.F(op, "job "+s.ID, errs.Busy, "%d jobs are running: wait for one to end", running)
	}
	j.started = r.cfg.Now()
	j.ctx, j.cancel = context.WithCancelCause(r.ctx)
	r.forget(maxEnded)
	r.jobs = append(r.jobs, j)
	r.active.Go(j.do)
	return nil
}

// forget drops the oldest ended jobs until at most keep are left.
func (r *Runtime) forget(keep int) {
	ended := 0
	for _, j := range r.jobs {
		if !j.running() {
			ended++
		}
	}
	r.jobs = slices.DeleteFunc(r.jobs, func(j *run) bool {
		if ended <= keep || j.running() {
			return false
		}
		ended--
		return true
	})
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

// do runs the job to its end.
func (j *run) do() {
	log := j.rt.cfg.Log.With("job", j.spec.ID, "kind", j.spec.Kind, "bucket", j.from.String())
	log.Info("job started", "about", j.spec.About)
	err := j.guarded()
	if cause := context.Cause(j.ctx); cause != nil {
		err = cause
	}
	j.cancel(nil)
	j.mu.Lock()
	j.err = err
	j.ended = j.rt.cfg.Now()
	j.spec.Message = nil // may be millions of bytes of names, and many jobs are remembered
	took := j.ended.Sub(j.started)
	j.mu.Unlock()
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

// handled counts an object that was worked on; a size below 0 is not known.
func (j *run) handled(size int64) {
	j.objects.Add(1)
	j.bytes.Add(max(size, 0))
}

// fail counts an object that could not be worked on. An error that will meet every object alike is returned: the
// job cannot go on.
func (j *run) fail(key string, err error) error {
	if errs.Is(err, errs.NoBucket, errs.StaleMap, errs.WrongOwner, errs.Unavailable, errs.Full, errs.Canceled) {
		return err
	}
	j.failed.Add(1)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.errs) < maxErrors {
		j.errs = append(j.errs, fmt.Errorf("%s/%s: %w", j.from, key, err))
	}
	return nil
}

// snap reports the job as it is now.
func (j *run) snap() Snap {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Snap{Targets: j.spec.Targets, Sizes: j.sizes}
	s.ID, s.Kind, s.Start, s.End = j.spec.ID, j.spec.Kind, j.started, j.ended
	s.Bck, s.Node, s.Ctl = api.BckOf(j.from), string(j.rt.cfg.Self), j.spec.About
	if j.to != nil {
		src, dst := api.BckOf(j.from), api.BckOf(j.to)
		s.Src, s.Dst = &src, &dst
	}
	s.Stats.Objects, s.Stats.Bytes = j.objects.Load(), j.bytes.Load()
	s.Errors = uint64(j.failed.Load())
	s.Idle = !j.ended.IsZero()
	s.Packed = uint64(j.workers.Load()) << 10
	if j.err != nil {
		s.Aborted, s.AbortErr, s.Err = true, j.err.Error(), j.err.Error()
	}
	if n := s.Errors; n > 0 {
		s.Err = fmt.Sprintf("%d objects failed: %v", n, errors.Join(j.errs...))
		if s.Aborted {
			s.Err = s.AbortErr + "; " + s.Err
		}
	}
	return s
}

func (j *run) matches(q *api.JobQuery) bool {
	if q.ID != "" && q.ID != j.spec.ID || q.Kind != "" && KindOf(q.Kind) != j.spec.Kind {
		return false
	}
	if q.Active != nil && *q.Active && !j.running() {
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

// Query reports the jobs that match, oldest first.
func (r *Runtime) Query(q *api.JobQuery) []Snap {
	snaps := []Snap{}
	for _, j := range r.all() {
		if j.matches(q) {
			snaps = append(snaps, j.snap())
		}
	}
	return snaps
}

// Stop tells the running jobs that match to stop and returns how many there were. One that is not known is not begun any more: who starts it may have
// given it up while its start was on its way.
func (r *Runtime) Stop(q *api.JobQuery) int {
	n := 0
	for _, j := range r.known(q.ID) {
		if j.matches(q) && j.running() {
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
		r.undone = append(r.undone[max(0, len(r.undone)+1-maxStopped):], id)
	}
	return slices.Clone(r.jobs)
}

func (r *Runtime) all() []*run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.jobs)
}
