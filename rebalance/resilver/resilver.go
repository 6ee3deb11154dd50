// Package resilver moves names between the mountpaths of one node until each is at its home.
//
// It begins by itself whenever the set of mountpaths has changed, and after a restart that finds it unfinished: package store
// remembers where names may be and knows how to move one; this package decides how many move at once, how fast, and when it is
// done. A walker per mountpath reads the index in order; a pass that finds nothing ends it. Clients go first. It knows nothing of
// other nodes.
//
// Start at New and (*Resilver).Run.
package resilver

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"aistore/errs"
	"aistore/store"
)

// Config of a Resilver.
type Config struct {
	Store *store.Store
	// Workers per mountpath that move names: enough to share the syncs of its index. 0 = 8.
	Workers int
	// Limits are asked for again and again while it runs; nil = none.
	Limits func() Limits
	// Busy counts the requests of clients in flight; nil = there are none.
	Busy func() int64
	Log  *slog.Logger
}

// Limits of how much the disks are used.
type Limits struct {
	Bandwidth int64 // bytes per second, all mountpaths together; 0 = no limit
	Share     int   // percent of its time that a worker works while clients wait for answers; 0 = 25
}

// Status tells how far it is. Counts are of the present run, or of the last one.
type Status struct {
	ID      string // "" = there was none since the node started
	Running bool
	Waiting string // why the run does not come to its end by itself
	Started time.Time
	Ended   time.Time
	Scanned int64 // entries of indexes looked at
	Objects int64 // moved, with their versions and uploads
	Bytes   int64 // copied
	Failed  int64 // could not be moved in the pass before
	Planned int64 // things to move: what was moved before the mountpaths had changed last, and what was counted then; 0 = not counted yet, or none
	Done    int64 // of these

	ObjectsPerSecond, BytesPerSecond float64       // since they were counted
	ETA                              time.Duration // until all are moved at that rate; 0 = not known
	Mountpaths                       []Lane        // what goes off each
}

// Resilver is the work of one node.
type Resilver struct {
	cfg    Config
	bucket bucket

	scanned, objects, bytes, failed atomic.Int64
	total                           counters

	mu     sync.Mutex
	status Status
	plan   *plan // of the pass that was counted; nil = none yet
}

// counters are those of the process, for metrics.
type counters struct{ objects, bytes, failed atomic.Int64 }

// New returns a Resilver; Run does the work.
func New(cfg Config) *Resilver {
	if cfg.Workers == 0 {
		cfg.Workers = 8
	}
	if cfg.Limits == nil {
		cfg.Limits = func() Limits { return Limits{} }
	}
	if cfg.Busy == nil {
		cfg.Busy = func() int64 { return 0 }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Resilver{cfg: cfg}
}

// Status reports the present run or the last one. A run begins when the mountpaths have changed, whether or not Run has noticed: who
// asks right after a change is not told of the run before.
func (r *Resilver) Status() Status {
	if r.cfg.Store.Unsettled() {
		r.begin()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Scanned, s.Objects, s.Bytes, s.Failed = r.scanned.Load(), r.objects.Load(), r.bytes.Load(), r.failed.Load()
	r.plan.report(&s, time.Now())
	return s
}

// Totals are what was moved, and what could not be, since the process started.
func (r *Resilver) Totals() (objects, bytes, failed int64) {
	return r.total.objects.Load(), r.total.bytes.Load(), r.total.failed.Load()
}

// Pauses between attempts of a run that cannot end yet: a mountpath is full, an append holds what is to move, or someone reads what is to be
// released. They grow while nothing moves.
const (
	firstPause = 200 * time.Millisecond
	longPause  = 15 * time.Second
)

// What a run waits for that is no fault.
const (
	waitsForReaders = "what leaves is still being read"
	waitsForHolders = "appends or copies that are under way hold what is to move"
)

// Run works until ctx ends.
func (r *Resilver) Run(ctx context.Context) error {
	for rest := firstPause; ; {
		changed := r.cfg.Store.Watch()
		if !r.cfg.Store.Unsettled() {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			continue
		}
		freed := r.cfg.Store.Freed()
		began, before := time.Now(), r.objects.Load()
		why, err := r.passes(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.note(why, err)
		if why == "" && err == nil { // the set has changed: it is settled
			rest = firstPause
			continue
		}
		if r.objects.Load() > before {
			rest = firstPause
		}
		r.rest(ctx, rest, time.Since(began), changed, freed)
		rest = min(2*rest, longPause)
	}
}

// rest waits before another attempt: until the mountpaths change, or something was let go. The latter may happen all the time, and an attempt walks
// over whole indexes, so that is heeded only after as long as the last one took.
func (r *Resilver) rest(ctx context.Context, rest, took time.Duration, changed, freed <-chan struct{}) {
	end := time.NewTimer(rest)
	defer end.Stop()
	heed := time.NewTimer(max(took, firstPause))
	defer heed.Stop()
	for heeded := (<-chan struct{})(nil); ; {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			return
		case <-end.C:
			return
		case <-heeded:
			return
		case <-heed.C:
			heeded = freed
		}
	}
}

// begin starts a run, or goes on with one that waits.
func (r *Resilver) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.Running {
		return
	}
	now := time.Now()
	r.status = Status{ID: "resilver-" + strconv.FormatInt(now.UnixMilli(), 36), Running: true, Started: now}
	r.scanned.Store(0)
	r.objects.Store(0)
	r.bytes.Store(0)
	r.failed.Store(0)
	r.plan = nil
	r.cfg.Log.Info("resilver started", "id", r.status.ID)
}

// note writes down how an attempt ended.
func (r *Resilver) note(why string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.status.Waiting
	r.status.Waiting = ""
	switch {
	case err != nil:
		r.status.Waiting = err.Error()
	case why != "":
		r.status.Waiting = why
	default:
		r.status.Running, r.status.Ended = false, time.Now()
		r.cfg.Log.Info("resilver ended", "id", r.status.ID, "objects", r.objects.Load(), "bytes", r.bytes.Load(), "took", r.status.Ended.Sub(r.status.Started))
		return
	}
	if r.status.Waiting != was {
		r.cfg.Log.Warn("resilver waits", "id", r.status.ID, "why", r.status.Waiting)
	}
}

// passes walks until a pass has found nothing, or no less than the one before without moving anything. why says what has to be waited for before all is
// tried once more, "" that it was the end; an error why not all could be moved.
func (r *Resilver) passes(ctx context.Context) (why string, err error) {
	r.begin()
	for last := int64(math.MaxInt64); ; {
		p := r.cfg.Store.BeginPass()
		if err := r.count(ctx, p); err != nil {
			return "", err
		}
		before := r.objects.Load()
		found, err := r.pass(ctx, p)
		valid := p.Valid()
		switch {
		case err != nil && valid:
			return "", err
		case ctx.Err() != nil:
			return "", ctx.Err()
		case !valid:
			last = math.MaxInt64
		case found == 0:
			if again, err := p.End(ctx); again || err != nil {
				return waitsForReaders, err
			}
			return "", nil
		case found >= last && r.objects.Load() == before:
			return waitsForHolders, nil
		default:
			last = found
		}
	}
}

// pass walks once over all mountpaths. What cannot be moved keeps nothing else from moving.
func (r *Resilver) pass(ctx context.Context, p *store.Pass) (found int64, err error) {
	var n atomic.Int64
	var mu sync.Mutex
	var faults []error
	failed := int64(0)
	fail := func(m *store.Move, err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed++; len(faults) < 3 {
			faults = append(faults, errs.E("resilver", m.Name, err))
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for lane := range p.Lanes() {
		moves := make(chan store.Move)
		tally := r.tally(p, lane)
		for range r.cfg.Workers {
			g.Go(func() error {
				for m := range moves {
					if err := r.move(gctx, &m, tally); err != nil && gctx.Err() == nil && !errs.Is(err, errs.NoBucket) {
						fail(&m, err)
					}
				}
				return nil
			})
		}
		g.Go(func() error {
			defer close(moves)
			err := p.Each(gctx, lane, func(k int) { r.scanned.Add(int64(k)) }, func(m store.Move) error {
				n.Add(1)
				if !p.Valid() {
					return errChanged
				}
				select {
				case moves <- m:
					return nil
				case <-gctx.Done():
					return gctx.Err()
				}
			})
			if err != nil && !errors.Is(err, errChanged) && gctx.Err() == nil {
				mu.Lock()
				faults = append(faults, err) // this mountpath's; the others go on
				mu.Unlock()
			}
			return nil
		})
	}
	err = g.Wait()
	r.failed.Store(failed)
	r.total.failed.Add(failed)
	return n.Load(), errors.Join(append(faults, err, ctx.Err())...)
}

// errChanged ends a walk whose mountpaths have changed.
var errChanged = errors.New("the mountpaths changed")

// move brings one name home, at the pace that is allowed.
func (r *Resilver) move(ctx context.Context, m *store.Move, t *tally) error {
	began := time.Now()
	did, err := m.Run(ctx)
	if did.Versions > 0 {
		r.objects.Add(1)
		r.total.objects.Add(1)
		t.objects.Add(1)
	}
	t.bytes.Add(did.Bytes)
	r.bytes.Add(did.Bytes)
	r.total.bytes.Add(did.Bytes)
	if err != nil {
		return err
	}
	t.tried.Add(1)
	l := r.cfg.Limits()
	rest := r.bucket.take(time.Now(), did.Bytes, l.Bandwidth)
	if share := l.Share; r.cfg.Busy() > 0 && share < 100 { // clients first
		if share <= 0 {
			share = 25
		}
		rest = max(rest, time.Since(began)*time.Duration(100-share)/time.Duration(share))
	}
	return pause(ctx, rest)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bucket spreads bytes over time.
type bucket struct {
	mu   sync.Mutex
	free time.Time // when all that was taken is paid for
}

// take returns how long who moved n bytes has to rest.
func (b *bucket) take(now time.Time, n, perSecond int64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free.Before(now) || perSecond <= 0 {
		b.free = now
	}
	if perSecond <= 0 {
		return 0
	}
	b.free = b.free.Add(time.Duration(float64(n) / float64(perSecond) * float64(time.Second)))
	return b.free.Sub(now)
}
