package rebalance

import (
	"context"
	"sync"
	"time"

	"aistore/cluster"
)

// Load counts what this node does for its clients: requests that have been served, those that are being served, and the bytes of keys that
// their owners have fetched from here because they were asked for.
type Load struct {
	Requests uint64
	Inflight int64
	Fetched  int64
}

// throttle decides how fast keys move: how many are read or taken at the same time, and how much is sent in a second. Clients go first: while
// they ask for something, work is done in one place at a time and rests in between, so that it takes its weight's share.
type throttle struct {
	load func() Load // nil: there are no clients

	mu       sync.Mutex
	cfg      cluster.RebalanceCfg
	workers  int
	running  int
	busy     bool          // clients were there lately
	changed  chan struct{} // closed when something of the above has
	next     time.Time     // when the bandwidth lets the next byte go
	owed     int64         // bytes that were fetched and have not been taken from the bandwidth yet
	lastLoad Load
}

// Looks at the clients: how often, and how long they count after their last request.
const (
	lookEvery = 20 * time.Millisecond
	lastsFor  = 200 * time.Millisecond

	leastBatch = 16 << 10
	busyBatch  = 128 << 10 // while there are clients: what is done at once makes them wait

	mostRest = 20 * time.Millisecond // work that is rested from at once: the rest of it was waiting
)

func newThrottle(workers int, load func() Load) *throttle {
	return &throttle{load: load, workers: workers, cfg: cluster.DefaultConfig().Rebalance, changed: make(chan struct{})}
}

func (t *throttle) set(cfg cluster.RebalanceCfg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg != cfg {
		t.cfg, t.next, t.owed = cfg, time.Time{}, 0
		t.wake()
	}
}

// wake lets everyone who waits look again. The caller holds mu.
func (t *throttle) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// run watches the clients until the returned function is called.
func (t *throttle) run(ctx context.Context) (stop func()) {
	if t.load == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		var seen time.Time
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				seen = t.look(now, seen)
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// look notes whether there are clients; it returns when there were some last.
func (t *throttle) look(now, seen time.Time) time.Time {
	l := t.load()
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.Inflight > 0 || l.Requests != t.lastLoad.Requests {
		seen = now
	}
	t.owed = min(t.owed+l.Fetched-t.lastLoad.Fetched, t.cfg.Bandwidth) // what is older than a second is forgotten
	t.lastLoad = l
	if busy := now.Sub(seen) < lastsFor; busy != t.busy {
		t.busy = busy
		t.wake()
	}
	return seen
}

// parallel is how many requests may be on their way to one node.
func (t *throttle) parallel() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg.Parallel
}

// batch is how much may be sent together: no more than what an eighth of a second takes.
func (t *throttle) batch() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := batchBytes
	if t.cfg.Bandwidth > 0 {
		n = int(min(int64(n), max(t.cfg.Bandwidth/8, leastBatch)))
	}
	if t.busy {
		n = min(n, busyBatch)
	}
	return n
}

// work runs f when it is its turn, and then rests as long as clients are to have it.
func (t *throttle) work(ctx context.Context, f func()) error {
	if err := t.enter(ctx); err != nil {
		return err
	}
	began := time.Now()
	f()
	rest := t.rest(time.Since(began))
	var err error
	if rest > 0 {
		err = t.pause(ctx, rest)
	}
	t.leave()
	return err
}

// yield rests after having worked for so long outside of work.
func (t *throttle) yield(ctx context.Context, worked time.Duration) error {
	if rest := t.rest(min(worked, mostRest)); rest > 0 {
		return t.pause(ctx, rest)
	}
	return ctx.Err()
}

func (t *throttle) enter(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.mu.Lock()
		limit := t.workers
		if t.busy {
			limit = 1
		}
		if t.running < limit {
			t.running++
			t.mu.Unlock()
			return nil
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (t *throttle) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.wake()
}

// rest is how long to rest after working for so long.
func (t *throttle) rest(worked time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.busy || t.cfg.Weight >= 100 {
		return 0
	}
	return worked * time.Duration(100-t.cfg.Weight) / time.Duration(t.cfg.Weight)
}

// pause waits for d, or until there are no clients any more.
func (t *throttle) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		t.mu.Lock()
		busy, changed := t.busy, t.changed
		t.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-changed:
		}
	}
}

// mostOwed is how much of what was fetched is taken from the bandwidth with each byte that moves: a quarter is left to what moves, however
// much is fetched. Without it a rebalance would not end as long as its clients keep it busy, nor what they cause.
const mostOwed = 3

// spend waits until n more bytes may be sent. What owners fetch waits for nobody, and is taken from the same bandwidth.
func (t *throttle) spend(ctx context.Context, n int64) error {
	t.mu.Lock()
	bw := t.cfg.Bandwidth
	if bw <= 0 {
		t.mu.Unlock()
		return ctx.Err()
	}
	now := time.Now()
	if t.next.Before(now) {
		t.next = now
	}
	owed := min(t.owed, mostOwed*n)
	t.owed -= owed
	at := t.next.Add(takes(owed, bw))
	t.next = at.Add(takes(n, bw))
	t.mu.Unlock()
	for {
		t.mu.Lock()
		changed, same := t.changed, t.cfg.Bandwidth == bw
		t.mu.Unlock()
		left := time.Until(at)
		if left <= 0 || !same { // with another bandwidth the account begins anew
			return ctx.Err()
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-changed:
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// takes is how long n bytes take.
func takes(n, bandwidth int64) time.Duration {
	return time.Duration(float64(n) / float64(bandwidth) * float64(time.Second))
}
