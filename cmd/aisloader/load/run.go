package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"aistore/cmd/aisloader/content"
	"aistore/cmd/aisloader/procstat"
	"aistore/cmd/aisloader/sigv4"
	"aistore/cmd/aisloader/wire"
)

// run is what the workers share.
type run struct {
	cfg    Config
	pool   *content.Pool
	routes *routes

	seq    atomic.Int64 // names given out in turn
	fresh  atomic.Int64 // names beyond Objects, for puts in a mix with deletes
	top    atomic.Int64 // names below this were put
	failed atomic.Int64

	durability string // that the fill was acknowledged with

	mu    sync.Mutex
	conns map[*wire.Conn]struct{} // to interrupt when the run is called off
}

func (r *run) track(c *wire.Conn) {
	r.mu.Lock()
	r.conns[c] = struct{}{}
	r.mu.Unlock()
}

func (r *run) untrack(c *wire.Conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
}

func (r *run) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Interrupt()
	}
}

// phase is a part of a run with its own bounds.
type phase struct {
	mix     Mix
	ops     int64         // 0 = not bounded by number
	lasting time.Duration // 0 = not bounded by time
	names   int64         // 0 = without end
	once    bool          // every name at most once: stop at the last
	random  bool
}

// Run prepares, warms up, measures and cleans up. The report is nil only when it could not begin; errors of operations are
// in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.MaxErrors == 0 {
		cfg.MaxErrors = 100
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, pool: content.NewPool(cfg.Seed), conns: map[*wire.Conn]struct{}{}}
	created := false
	var err error
	if cfg.Create {
		if created, err = createBucket(ctx, &cfg); err != nil {
			return nil, fmt.Errorf("create bucket %s: %w", cfg.Bucket, err)
		}
	}
	if cfg.Direct {
		r.routes = &routes{cfg: &r.cfg}
		if err := r.routes.refresh(ctx, nil); err != nil {
			return nil, fmt.Errorf("cluster map: %w", err)
		}
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { r.interrupt(); close(interrupted) })
	workers := r.workers()
	defer closeAll(workers)

	rep, err := r.measure(ctx, workers)
	if !stop() { // its connections are of no more use, and no other must be interrupted
		<-interrupted
		closeAll(workers)
	}
	if cfg.Cleanup {
		if cerr := r.cleanup(context.WithoutCancel(ctx), workers, created); cerr != nil {
			err = errors.Join(err, fmt.Errorf("cleanup: %w", cerr))
		}
	}
	return rep, err
}

// measure fills, warms up and runs the measured phase.
func (r *run) measure(ctx context.Context, workers []*worker) (*Report, error) {
	cfg := &r.cfg
	if cfg.Fill {
		r.phase(ctx, workers, phase{mix: Mix{Put: 1}, ops: cfg.Objects, names: cfg.Objects, once: true})
		if t := merge(workers); r.failed.Load() > 0 {
			return nil, fmt.Errorf("filling the bucket: %d errors, such as: %s", r.failed.Load(), strings.Join(t.samples, "; "))
		}
		r.seq.Store(0)
		r.durability = merge(workers).durability
		reset(workers)
	}
	op, single := cfg.Mix.only()
	main := phase{mix: cfg.Mix, ops: cfg.Ops, lasting: cfg.Duration, names: cfg.Objects, random: cfg.Random || !single}
	if single && op == Delete {
		main.once, main.ops = true, min(orAll(cfg.Ops, cfg.Objects), cfg.Objects)
	} else if cfg.Warmup > 0 {
		warm := main
		warm.ops, warm.lasting = 0, cfg.Warmup
		r.phase(ctx, workers, warm)
		if t := merge(workers); r.failed.Load() > 0 {
			return nil, fmt.Errorf("warm-up: %d errors, such as: %s", r.failed.Load(), strings.Join(t.samples, "; "))
		}
		reset(workers)
	}
	before, err := procstat.Read(cfg.ServerPIDs)
	if err != nil {
		return nil, fmt.Errorf("--server-pids: %w", err)
	}
	cpu, began := procstat.Self(), time.Now()
	r.phase(ctx, workers, main)
	elapsed := time.Since(began)
	cpu = procstat.Self() - cpu
	after, err := procstat.Read(cfg.ServerPIDs)
	rep := newReport(cfg, merge(workers), elapsed, cpu)
	if rep.Durability == "" {
		rep.Durability = r.durability
	}
	rep.MapFetches = r.mapFetches()
	if err != nil { // a server died under the load: the report says what it did until then
		return rep, fmt.Errorf("--server-pids: %w", err)
	}
	rep.addServers(before, after)
	return rep, ctx.Err()
}

func (r *run) mapFetches() int64 {
	if r.routes == nil {
		return 0
	}
	return r.routes.renewed.Load()
}

func orAll(n, all int64) int64 {
	if n == 0 {
		return all
	}
	return n
}

func (r *run) workers() []*worker {
	ws := make([]*worker, r.cfg.Concurrency)
	hs := hostsOf(r.cfg.Endpoints)
	r.fresh.Store(r.cfg.Objects)
	for i := range ws {
		p := plain{cfg: &r.cfg, hosts: hs, turn: i}
		w := &worker{
			run: r, conns: map[string]*wire.Conn{}, rng: rand.New(rand.NewPCG(r.cfg.Seed, uint64(i))), //nolint:gosec // not for secrets
			head: make([]byte, 0, inlineMax+4096),
		}
		switch r.cfg.API {
		case Native:
			w.d = &native{plain: p, routes: r.routes}
		case S3:
			w.d = &s3{plain: p, sign: sigv4.New(r.cfg.Credentials)}
		case HTTP:
			w.d = &p
		}
		ws[i] = w
	}
	return ws
}

func closeAll(ws []*worker) {
	for _, w := range ws {
		for _, c := range w.conns {
			w.drop(c)
		}
	}
}

func reset(ws []*worker) {
	for _, w := range ws {
		w.tally = tally{}
	}
}

// merge sums up all workers.
func merge(ws []*worker) *tally {
	var t tally
	for _, w := range ws {
		u := &w.tally
		for op := range opCount {
			t.lat[op].Merge(&u.lat[op])
			t.bytes[op] += u.bytes[op]
			t.errors[op] += u.errors[op]
		}
		if room := 5 - len(t.samples); room > 0 {
			t.samples = append(t.samples, u.samples[:min(room, len(u.samples))]...)
		}
		t.mismatches += u.mismatches
		t.redirects += u.redirects
		t.reconnects += u.reconnects
		t.pages += u.pages
		t.names += u.names
		if u.durability != "" {
			t.durability = u.durability
		}
	}
	return &t
}

// phase runs all workers until the phase's bounds are reached.
func (r *run) phase(ctx context.Context, workers []*worker, p phase) {
	var tickets atomic.Int64
	var until time.Time
	if p.lasting > 0 {
		until = time.Now().Add(p.lasting)
	}
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil && r.failed.Load() < r.cfg.MaxErrors {
				if p.ops > 0 && tickets.Add(1) > p.ops || p.lasting > 0 && !time.Now().Before(until) {
					return
				}
				op, index, ok := w.draw(&p)
				if !ok {
					return
				}
				w.do(ctx, op, index)
			}
		})
	}
	wg.Wait()
}

// draw chooses the next operation and name; false when every name had its turn.
func (w *worker) draw(p *phase) (Op, int64, bool) {
	op, single := p.mix.only()
	if !single {
		op = w.pick(p.mix)
	}
	switch {
	case op == List:
		return op, 0, true
	case !single && p.mix[Delete] > 0 && (op == Put || op == Delete):
		return w.own(op)
	case p.random && p.names > 0:
		return op, w.rng.Int64N(p.names), true
	}
	i := w.run.seq.Add(1) - 1
	if p.once && i >= p.names {
		return op, 0, false
	}
	if op == Put {
		w.run.raise(i + 1)
	}
	if p.names > 0 {
		i %= p.names
	}
	return op, i, true
}

// raise notes that names below n may have been put.
func (r *run) raise(n int64) {
	if r.cfg.Objects > 0 {
		n = min(n, r.cfg.Objects)
	}
	for old := r.top.Load(); n > old && !r.top.CompareAndSwap(old, n); {
		old = r.top.Load()
	}
}

// own draws for puts and deletes that meet: a put makes a name of its own, a delete takes one back, so that no read
// of the other names finds nothing. A delete with nothing to take puts.
func (w *worker) own(op Op) (Op, int64, bool) {
	if op == Delete && len(w.mine) > 0 {
		i := w.mine[len(w.mine)-1]
		w.mine = w.mine[:len(w.mine)-1]
		return Delete, i, true
	}
	i := w.run.fresh.Add(1) - 1
	w.mine = append(w.mine, i)
	return Put, i, true
}

func (w *worker) pick(m Mix) Op {
	n := w.rng.IntN(m.total())
	for op, share := range m {
		if n -= share; n < 0 {
			return Op(op)
		}
	}
	return Get
}

// cleanup deletes what the run has put, or the whole bucket if the run made it.
func (r *run) cleanup(ctx context.Context, workers []*worker, created bool) error {
	if created && r.cfg.API == Native {
		return destroyBucket(ctx, &r.cfg)
	}
	r.failed.Store(0)
	r.seq.Store(0)
	reset(workers)
	for _, w := range workers {
		w.lenient = true
	}
	if top := r.top.Load(); top > 0 {
		r.phase(ctx, workers, phase{mix: Mix{Delete: 1}, ops: top, names: top, once: true})
	}
	for _, w := range workers {
		for _, i := range w.mine {
			w.do(ctx, Delete, i)
		}
		w.mine = nil
	}
	if n := r.failed.Load(); n > 0 {
		return fmt.Errorf("%d objects were not deleted: %s", n, strings.Join(merge(workers).samples, "; "))
	}
	if created {
		return destroyBucket(ctx, &r.cfg)
	}
	return nil
}
