// Package rebalance moves keys to the targets that own them.
//
// When the owners of names change, every target that may hold what it does not own is a source. An Engine runs on each target: it
// follows the cluster map, and does what package ownership says is this node's duty. Move sends whole key states to their owners until a
// pass over the index has found none that is not acknowledged; Sweep removes them here once the map says that all has moved; Wipe
// removes everything of a node that leaves. The same Engine takes what other sources send.
//
// What holds of a key is not decided here: a move is a proposal, and the owner compares (docs/design/ownership.md). So everything may be
// repeated, interrupted and done twice; what is kept of a pass on disk only saves time. How it is done is docs/design/rebalance.md.
//
// Start at (*Engine).Run, (*move).pass and (*Engine).Routes.
package rebalance

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/httpx"
	"aistore/internal/spare"
	"aistore/store"
)

// Control is what an Engine asks of the control plane; *control.Control is the one real one.
type Control interface {
	View() *cluster.View
	Watch(after uint64) <-chan struct{}
	Latest(ctx context.Context) (*cluster.View, error)
	Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error)
	Ready() bool // this start is accepted and has a view of then, and its disks are those of the node
	AwaitReady(ctx context.Context) error
}

// Config of an Engine. Load and Memory may be zero.
type Config struct {
	Self    cluster.NodeID
	Store   *store.Store
	Control Control
	Client  *httpx.Client
	Load    func() Load
	Spare   func() spare.Reading // of the machine since it was asked last; nil: nothing is to be taken
	Memory  int64                // bytes that requests of sources may hold; 0 = 256 MiB
	Log     *slog.Logger
}

// Engine moves keys from and to this target.
type Engine struct {
	cfg     Config
	self    cluster.NodeID
	store   *store.Store
	control Control
	client  *httpx.Client
	log     *slog.Logger
	gate    *throttle
	book    book
	inbox   inbox
	flights flights
	litter  litter
	wiped   atomic.Bool // see Wiped
}

// New returns an Engine. It starts nothing.
func New(cfg Config) *Engine {
	if cfg.Memory == 0 {
		cfg.Memory = 256 << 20
	}
	workers := workersPerCore * runtime.GOMAXPROCS(0)
	gate := newThrottle(workers, cfg.Load)
	gate.spare = cfg.Spare
	return &Engine{
		cfg: cfg, self: cfg.Self, store: cfg.Store, control: cfg.Control, client: cfg.Client, log: cfg.Log,
		gate:  gate,
		inbox: inbox{limit: cfg.Memory, slots: make(slots, workers)}, litter: litter{came: make(chan struct{}, 1)},
	}
}

// what is the work that a view asks of this node. As long as it stays the same it goes on under newer views.
type what struct {
	epoch   uint64
	duty    ownership.Duty
	leaving bool // decommissioned: each key is checked once more
	keep    bool // and its data stays
}

func (e *Engine) whatOf(v *cluster.View) what {
	w := what{epoch: v.Map.Epoch, duty: ownership.DutyOf(v, e.self)}
	if n := v.Map.Nodes[e.self]; n != nil {
		w.leaving, w.keep = n.State == cluster.Decommissioned, n.KeepData
	}
	return w
}

// work is one duty under way.
type work struct {
	what
	cancel context.CancelFunc
	done   chan struct{}
}

func (w *work) stop() {
	if w != nil {
		w.cancel()
		<-w.done
	}
}

// Run does this node's duty until ctx ends. Another epoch, or a pause, ends what is under way at once. Nothing is done by the view that the node found
// on its disk: an earlier process may have answered for a newer one, in which this node owns again what it is to remove by the older.
func (e *Engine) Run(ctx context.Context) error {
	var now *work
	var tidying sync.WaitGroup
	defer tidying.Wait()
	defer func() { now.stop() }()
	tidying.Go(func() { e.tidy(ctx) })
	stopGate := e.gate.run(ctx)
	defer stopGate()
	var seen uint64
	for {
		if !e.control.Ready() {
			now.stop()
			if now = nil; e.control.AwaitReady(ctx) != nil {
				return nil
			}
		}
		if v := e.control.View(); v != nil {
			seen = v.Index
			e.gate.set(v.Config.Rebalance)
			e.book.follow(v)
			if next := e.whatOf(v); now == nil || next != now.what {
				now.stop()
				now = e.begin(ctx, next, v)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.control.Watch(seen):
		}
	}
}

// begin starts the work that v asks for.
func (e *Engine) begin(ctx context.Context, is what, v *cluster.View) *work {
	ctx, cancel := context.WithCancel(ctx)
	w := &work{is, cancel, make(chan struct{})}
	go func() {
		defer close(w.done)
		defer cancel()
		e.do(ctx, is, v)
	}()
	return w
}

func (e *Engine) do(ctx context.Context, is what, v *cluster.View) {
	switch is.duty {
	case ownership.Move:
		e.move(ctx, is)
	case ownership.Sweep:
		e.sweep(ctx, is)
	case ownership.Wipe:
		e.wipe(ctx, is, v)
	case ownership.Idle:
	}
}

// state is what package ownership needs to know of a key.
func state(k store.KeyState) ownership.State {
	return ownership.State{Mark: k.Authority, Version: k.Version, Present: k.Exists}
}
