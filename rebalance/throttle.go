package rebalance

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"aistore/cluster"
	"aistore/internal/spare"
)

// Load counts what this node does for its clients: requests that have been served, those that are being served, and the bytes of keys that
// their owners have fetched from here because they were asked for.
type Load struct {
	Requests uint64
	Inflight int64
	Fetched  int64
}

// throttle decides how fast keys move: how many are read or taken at the same time, and how much is sent in a second. Clients go first: while
// they ask for something, work takes its weight of the processors' time, and more as long as processors and disks are idle.
type throttle struct {
	load  func() Load          // nil: there are no clients
	spare func() spare.Reading // since it was asked last; nil: nothing is

	mu       sync.Mutex
	cfg      cluster.RebalanceCfg
	workers  int
	running  int
	busy     bool          // clients were there lately
	share    float64       // percent of one worker's time that work takes while they are; 200 = two work
	worked   bool          // something did since share was looked at
	stirred  bool          // something did since clients were looked at
	weighed  time.Time     // when that was
	changed  chan struct{} // closed when something of the above has
	next     time.Time     // when the bandwidth lets the next byte go
	owed     int64         // bytes that were fetched and have not been taken from the bandwidth yet
	lastLoad Load
}

// Looks at the clients: how often while something works, and how long they count after their last request, which is how often otherwise.
const (
	lookEvery = 20 * time.Millisecond
	lastsFor  = 200 * time.Millisecond

	leastBatch = 16 << 10
	busyBatch  = 128 << 10 // while there are clients: what is done at once makes them wait

	mostRest = 20 * time.Millisecond // work that is rested from at once: the rest of it was waiting
)

// Looks at the machine: how often, and how the share follows. It gives way much faster than it takes.
const (
	weighEvery = 200 * time.Millisecond

	take     = 1.25 // times the share, while more is idle than is to be
	giveBack = 0.25 // while less is
	band     = 0.25 // of what is to be idle, on both sides of it: there the share stays
)

func newThrottle(workers int, load func() Load) *throttle {
	cfg := cluster.DefaultConfig().Rebalance
	t := &throttle{load: load, workers: workers, cfg: cfg, changed: make(chan struct{})}
	t.share = t.least()
	return t
}

// workersPerCore is how many work at the same time: most of them wait for a disk.
const workersPerCore = 4

// least is the share that work takes however much clients ask for: its weight of the processors. The caller holds mu.
func (t *throttle) least() float64 {
	return float64(t.cfg.Weight) * max(1, float64(t.workers)/workersPerCore)
}

func (t *throttle) set(cfg cluster.RebalanceCfg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg != cfg {
		t.cfg, t.next, t.owed = cfg, time.Time{}, 0
		t.share = t.least()
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
				if t.due(now) {
					t.weigh(t.spare())
				}
				tick.Reset(t.pace())
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
		t.busy, t.share = busy, t.least()
		t.wake()
	}
	return seen
}

// pace is how soon to look again. A node at rest, which is what most are most of the time, is not to be woken for nothing.
func (t *throttle) pace() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	stirred := t.stirred || t.running > 0
	if t.stirred = false; stirred {
		return lookEvery
	}
	return lastsFor
}

// due reports whether it is time to look at the machine: clients are there, and something has worked.
func (t *throttle) due(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.busy || t.spare == nil || now.Sub(t.weighed) < weighEvery {
		return false
	}
	worked := t.worked
	t.weighed, t.worked = now, false
	return worked
}

// weigh lets the share follow what is idle.
func (t *throttle) weigh(r spare.Reading) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !r.Known || !t.busy {
		return
	}
	cores := max(r.Cores*float64(t.cfg.Spare)/100, min(1, r.Cores/2)) // that are to be idle: of few one, so that a client finds it
	disk := 1 - float64(t.cfg.Spare)/100                              // that may be at work
	was := t.share
	switch {
	case r.Idle < cores*(1-band) || r.Disk > disk+band*(1-disk):
		t.share *= giveBack
	case r.Idle > cores*(1+band) && r.Disk < disk-band*(1-disk):
		t.share *= take
	}
	if t.share = min(max(t.share, t.least()), 100*float64(t.workers)); t.share != was {
		t.wake()
	}
}

// places is in how many places work is done. The caller holds mu.
func (t *throttle) places() int {
	if !t.busy {
		return t.workers
	}
	return min(int(math.Ceil(t.share/100)), t.workers)
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
	err := t.pause(ctx, time.Since(began))
	t.leave()
	return err
}

// yield rests after having worked for so long outside of work.
func (t *throttle) yield(ctx context.Context, worked time.Duration) error {
	return errors.Join(t.pause(ctx, min(worked, mostRest)), ctx.Err())
}

func (t *throttle) enter(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.mu.Lock()
		if t.running < t.places() {
			t.running++
			t.worked, t.stirred = true, true
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

// rest is how long to rest after working for so long. The caller holds mu.
func (t *throttle) rest(worked time.Duration) time.Duration {
	if !t.busy {
		return 0
	}
	each := t.share / 100 / float64(t.places()) // of its time each works
	return time.Duration(float64(worked) * (1 - each) / each)
}

// pause rests after having worked for so long: as long as the share asks for, whatever it becomes meanwhile.
func (t *throttle) pause(ctx context.Context, worked time.Duration) error {
	began := time.Now()
	for {
		t.mu.Lock()
		t.worked, t.stirred = true, true
		left, changed := t.rest(worked)-time.Since(began), t.changed
		t.mu.Unlock()
		if left <= 0 {
			return nil
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
