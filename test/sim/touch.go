package sim

import (
	"time"

	"aistore/cluster"
	"aistore/cluster/ownership"
)

// askTime is how long an owner waits for those it asks.
const askTime = 250 * time.Millisecond

// touch is an owner's first touch of a key in an epoch: it asks who may know better, and takes the greatest state over.
type touch struct {
	n       *node
	v       *cluster.View // the view that it was admitted by
	b       *cluster.Bucket
	k       key
	holders []*cluster.Node
	done    func(ok bool)

	open    int
	failed  bool
	settled bool
	best    *content
	from    *node
	whole   bool // best is the state itself, not only what it says of itself
}

// told is the answer of a holder.
type told struct {
	ok    bool
	stale bool // it knows a newer map than the asker
	c     *content
}

func (t *touch) ask() {
	t.open = len(t.holders)
	t.whole = t.n.w.chance(0.5)
	for _, h := range t.holders {
		p := t.n.w.node(h.ID)
		epoch := t.v.Map.Epoch
		call(&t.n.endpoint, &p.endpoint, false, askTime, func(answer func(told)) { p.asked(t.k, epoch, answer) }, func(a told, ok bool) { t.heard(p, a, ok) })
	}
}

// asked tells what the node has of a key, after it has taken over a map of that epoch.
func (n *node) asked(k key, epoch uint64, answer func(told)) {
	if !n.ready() {
		return
	}
	ok, behind := ownership.Answers(n.view, epoch)
	switch {
	case n.bucketGone(k):
		answer(told{stale: true})
	case behind && n.w.broken(NoFence):
		answer(told{ok: true, c: n.disk.get(k)})
	case behind:
		n.latest(func(ok bool) {
			if ok {
				n.asked(k, epoch, answer)
			}
		})
	case !ok:
		answer(told{stale: true})
	case n.w.broken(AskedWithoutLock):
		answer(told{ok: true, c: n.disk.get(k)})
	default:
		n.lock(k, func() {
			c := n.disk.get(k)
			n.unlock(k)
			ok, _ := ownership.Answers(n.view, epoch)
			ok = ok && !n.bucketGone(k) // it may have gone while the lock was another's
			answer(told{ok: ok, stale: !ok, c: c})
		})
	}
}

// bucketGone reports whether there is nothing to tell of a key because its bucket was destroyed, which is not the same as having nothing.
func (n *node) bucketGone(k key) bool { return n.gone(k.bucket) && !n.w.broken(GoneIsNothing) }

// heard notes an answer; the last one decides.
func (t *touch) heard(p *node, a told, ok bool) {
	n := t.n
	t.open--
	switch {
	case t.settled:
		return
	case !ok && n.w.broken(SilenceIsAbsence):
	case !ok || !a.ok:
		t.failed = true
		if a.stale {
			n.latest(func(bool) {})
		}
	case n.w.broken(FirstAnswerWins):
		t.best, t.from, t.settled = a.c, p, true
		n.lock(t.k, t.decide)
		return
	case t.from == nil || a.c.state().Compare(t.best.state(), n.view.Map.Settled) > 0:
		t.best, t.from = a.c, p
	}
	if t.open > 0 {
		return
	}
	if t.failed {
		t.done(false)
		return
	}
	d := n.w.hiccup()
	if n.w.chaos && n.w.chance(n.w.mood.hiccup) {
		d = n.w.between(10*time.Millisecond, 1500*time.Millisecond)
	}
	n.after(d, func() { n.lock(t.k, t.decide) })
}

func (t *touch) end(ok bool) {
	t.n.unlock(t.k)
	t.done(ok)
}

// decide holds the lock: the greatest state is this node's own, or is taken over.
func (t *touch) decide() {
	n := t.n
	settled := n.view.Map.Settled
	own := n.disk.get(t.k)
	switch {
	case n.view.Map.Epoch != t.v.Map.Epoch && !n.w.broken(PullInNewEpoch):
		t.end(true) // is admitted again, by the newer map
	case t.from == nil || t.best.state().Compare(own.state(), settled) <= 0:
		n.touched[t.k] = t.v.Map.Epoch
		t.end(true)
	case t.whole:
		t.apply(t.best)
	default:
		epoch := t.v.Map.Epoch
		call(&n.endpoint, &t.from.endpoint, false, askTime, func(answer func(told)) { t.from.asked(t.k, epoch, answer) }, func(a told, ok bool) {
			switch {
			case !ok || !a.ok:
				t.end(false)
			case a.c.state().Compare(t.best.state(), settled) < 0: // cannot be, while the lock is held nothing is moved here: it has lost its disks
				t.end(true)
			default:
				t.apply(a.c)
			}
		})
	}
}

// apply takes over what another has, if that is still what there is to do.
func (t *touch) apply(c *content) {
	n, mark := t.n, t.v.Map.Epoch
	switch {
	case n.w.broken(PullInNewEpoch):
		mark = n.view.Map.Epoch
	case n.view.Map.Epoch != mark:
		t.end(true)
		return
	case !ownership.Pulls(n.view, n.id, t.from.id, t.b, t.k.name, n.mark(t.k)) && !n.w.broken(PullAfterSettled):
		t.end(true)
		return
	}
	if n.w.broken(MergedStates) {
		c = merge(n.disk.get(t.k), c)
	}
	c = c.withMark(mark)
	had := n.disk.get(t.k)
	n.tell("takes %v over from %s: %v, had %v", t.k, t.from.name, c, had)
	if !had.empty() {
		n.write(t.k, c, n.view.Map.Epoch, func() { t.end(true) })
		return
	}
	n.disk.set(t.k, c) // it was durable where it came from, and is there until this node says that it has it durably
	n.after(n.w.between(time.Millisecond, time.Second), func() { n.settle(t.k, c) })
	t.end(true)
}

// settle makes c durable, if that is still what there is.
func (n *node) settle(k key, c *content) {
	if n.disk.get(k) == c {
		n.disk.setSynced(k, c)
	}
}

// merge is what rule 1 forbids: the records of both.
func merge(a, b *content) *content {
	if a == nil {
		return b
	}
	m := *a
	for _, r := range b.records {
		has := false
		for _, o := range m.records {
			has = has || o.value == r.value
		}
		if !has {
			m.records = append([]record{r}, m.records...)
		}
	}
	return &m
}
