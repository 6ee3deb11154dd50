package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"aistore/cluster"
)

// Options say what to simulate.
type Options struct {
	Seed  uint64
	Fault Fault                            // the rule to break; "" = none
	Story func(format string, args ...any) // told what happens; nil = nobody listens
}

// Outcome is what a run came to.
type Outcome struct {
	Violations []string // empty: every oracle is content
	Ops        int      // operations of clients that ended
	Events     int      // steps of the event loop
	Epochs     uint64   // of the last map
	Losses     int      // keys that lost what only one disk had
	Histories  []*register
}

// world is one simulated cluster and everything around it.
type world struct {
	opt    Options
	rng    *rand.Rand
	now    time.Duration // since the beginning
	queue  queue
	events int

	ctl     *control
	nodes   []*node // in order of creation
	gates   []*gateway
	clients []*client
	net     network
	hist    history

	chaos      bool // faults may happen
	mood       mood
	violations []string
	nextValue  uint16
}

// mood is what a seed is like: some clusters are slow in one thing, some in another.
type mood struct {
	lag    float64       // of views that do not reach a node until its next heartbeat
	hiccup float64       // of steps inside a node that take long
	pace   time.Duration // of sources between two keys
	hot    float64       // of requests for the first names
	lists  float64       // of lists among the requests
}

func (w *world) newMood() mood {
	pick := func(most float64) float64 {
		if w.chance(0.4) {
			return 0
		}
		return most * w.rng.Float64()
	}
	m := mood{lag: pick(0.6), hiccup: pick(0.5) * w.rng.Float64(), hot: pick(1), lists: 0.06, pace: 4 * time.Millisecond}
	if w.chance(0.5) { // everything at once, and at the same names
		m = mood{lag: 0.2 + 0.5*w.rng.Float64(), hiccup: 0.03 + 0.12*w.rng.Float64(), hot: 0.6 + 0.4*w.rng.Float64(), lists: 0.15, pace: m.pace}
	}
	switch w.rng.IntN(3) {
	case 1:
		m.pace = 40 * time.Millisecond
	case 2:
		m.pace = 200 * time.Millisecond
	}
	return m
}

// hiccup is how long a step inside a node takes: next to nothing, or long enough for everything else to have changed.
func (w *world) hiccup() time.Duration {
	if w.chaos && w.chance(w.mood.hiccup) {
		return w.between(10*time.Millisecond, 1200*time.Millisecond)
	}
	return w.between(0, 500*time.Microsecond)
}

// broken reports whether the run breaks the rule f.
func (w *world) broken(f Fault) bool { return w.opt.Fault == f }

func (w *world) tell(format string, args ...any) {
	if w.opt.Story != nil {
		w.opt.Story("%9.4fs  %s", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// violate notes that an oracle is not content.
func (w *world) violate(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	w.violations = append(w.violations, s)
	w.tell("VIOLATION: %s", s)
}

// chance is true with probability p.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// between returns a duration of [lo, hi).
func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(max(1, hi-lo))))
}

// after has fn run d from now.
func (w *world) after(d time.Duration, fn func()) {
	w.queue.push(event{at: w.now + max(0, d), fn: fn})
}

// run goes on until the time is over, or until is true.
func (w *world) run(end time.Duration, until func() bool) {
	for len(w.queue.heap) > 0 && w.queue.heap[0].at <= end {
		e := w.queue.pop()
		w.now = e.at
		w.events++
		e.fn()
		if until != nil && until() {
			return
		}
	}
	w.now = max(w.now, end)
}

func (w *world) node(id cluster.NodeID) *node {
	for _, n := range w.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// event is something that happens at a time; equal times keep the order of planning.
type event struct {
	at  time.Duration
	seq uint64
	fn  func()
}

func (e event) before(o event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap of events.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	for i := len(q.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.heap[i].before(q.heap[up]) {
			break
		}
		q.heap[i], q.heap[up] = q.heap[up], q.heap[i]
		i = up
	}
}

func (q *queue) pop() event {
	top := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if q.heap[c].before(q.heap[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		q.heap[i], q.heap[least] = q.heap[least], q.heap[i]
		i = least
	}
}
