package sim

import (
	"time"

	"aistore/cluster"
	"aistore/cluster/ownership"
)

// duty is what a node is doing as a source. A new value of it makes the old work end.
type duty struct {
	what  ownership.Duty
	epoch uint64
	run   uint64
}

// work takes up what the newest view asks for, unless it is under way.
func (n *node) work() {
	if !n.ready() {
		return
	}
	what, epoch := ownership.DutyOf(n.view, n.id), n.view.Map.Epoch
	if what == ownership.Wipe {
		epoch = 0
	}
	if what == n.duty.what && epoch == n.duty.epoch {
		return
	}
	n.duty = duty{what, epoch, n.duty.run + 1}
	switch what {
	case ownership.Move:
		n.sent = map[key]bool{}
		w := &walk{n: n, duty: n.duty, acked: map[key]*content{}}
		n.after(n.pace(), w.begin)
	case ownership.Sweep:
		s := &sweep{n: n, duty: n.duty, keys: n.misplaced()}
		n.after(n.pace(), s.next)
	case ownership.Wipe:
		n.wipe()
	}
}

// pace is how long a walker takes between two keys: foreground work comes first.
func (n *node) pace() time.Duration {
	if n.w.chance(0.1) {
		return n.w.between(0, 5*n.w.mood.pace)
	}
	return n.w.between(0, n.w.mood.pace)
}

// walk is a source's search for what it does not own, pass after pass until one has found nothing left.
type walk struct {
	n     *node
	duty  duty
	acked map[key]*content // what the owners of this epoch have confirmed

	todo   []key
	failed int
}

func (w *walk) over() bool { return w.n.duty != w.duty }

// begin starts a pass, once every commit under an older map has ended.
func (w *walk) begin() {
	if w.over() {
		return
	}
	for _, x := range w.n.commits {
		if x.epoch < w.duty.epoch && !w.n.w.broken(MovedBeforeCommitsEnd) {
			w.n.after(2*time.Millisecond, w.begin)
			return
		}
	}
	w.todo, w.failed = w.n.disk.keys(), 0
	w.next()
}

// next deals with one key after the other.
func (w *walk) next() {
	n := w.n
	for !w.over() {
		if len(w.todo) == 0 {
			w.end()
			return
		}
		k := w.todo[0]
		w.todo = w.todo[1:]
		b := n.view.BucketByID(k.bucket)
		if b == nil {
			continue
		}
		owner, misplaced := ownership.Misplaced(n.view, n.id, b, k.name)
		if !misplaced || owner == nil {
			continue
		}
		n.lock(k, func() {
			c := n.disk.get(k)
			n.unlock(k)
			w.push(k, c, n.w.node(owner.ID))
		})
		return
	}
}

// push proposes a state to the owner.
func (w *walk) push(k key, c *content, to *node) {
	n := w.n
	tombstone := c != nil && len(c.records)+len(c.uploads) == 0
	if w.over() || c.state().Nothing(n.view.Map.Settled) || w.acked[k] == c || tombstone && n.w.broken(TombstonesStay) {
		w.next()
		return
	}
	n.sent[k] = true
	p := &push{from: n.id, k: k, c: c, epoch: w.duty.epoch}
	call(&n.endpoint, &to.endpoint, false, 300*time.Millisecond, func(answer func(bool)) { to.pushed(p, answer) }, func(applied, ok bool) {
		if ok && applied {
			w.acked[k] = c
		} else {
			w.failed++
		}
		n.after(n.pace(), w.next)
	})
}

// end of a pass: another one, or the report.
func (w *walk) end() {
	n := w.n
	if w.failed > 0 && !n.w.broken(MovedInSpiteOfFailures) {
		n.after(n.w.between(30*time.Millisecond, 100*time.Millisecond), w.begin)
		return
	}
	n.report(w.duty, cluster.Moved)
}

// report tells the control plane how far this source is, until its view says so.
func (n *node) report(d duty, s cluster.Stage) {
	if n.duty != d {
		return
	}
	ctl, epoch := n.w.ctl, d.epoch
	call(&n.endpoint, &ctl.endpoint, false, 200*time.Millisecond, func(answer func(bool)) {
		if n.w.broken(ReportOfAnyEpoch) {
			epoch = ctl.m.Map.Epoch
		}
		_, err := ctl.commit(cluster.ReportSource{ID: n.id, Epoch: epoch, Stage: s})
		answer(err == nil)
	}, func(bool, bool) {
		n.after(n.w.between(50*time.Millisecond, 150*time.Millisecond), func() { n.report(d, s) })
	})
}

// push is a proposal on its way.
type push struct {
	from  cluster.NodeID
	k     key
	c     *content
	epoch uint64
}

// pushed is asked to take a state: true once what this node has is durable and not older.
func (n *node) pushed(p *push, answer func(bool)) {
	if !n.ready() {
		return
	}
	ok, behind := ownership.Answers(n.view, p.epoch)
	switch {
	case n.w.broken(PushOfAnyEpoch):
	case behind:
		n.latest(func(ok bool) {
			if ok {
				n.pushed(p, answer)
			}
		})
		return
	case !ok:
		answer(false)
		return
	}
	n.lock(p.k, func() { n.receive(p, answer) })
}

// receive holds the lock.
func (n *node) receive(p *push, answer func(bool)) {
	end := func(ok bool) {
		n.unlock(p.k)
		answer(ok)
	}
	b := n.view.BucketByID(p.k.bucket)
	if b == nil {
		end(n.gone(p.k.bucket))
		return
	}
	if !n.accepts(p, b) {
		end(false)
		return
	}
	own, settled := n.disk.get(p.k), n.view.Map.Settled
	if p.c.state().Compare(own.state(), settled) <= 0 && !n.w.broken(PushAlwaysApplied) {
		if !n.w.broken(HadBeforeSync) {
			n.settle(p.k, own)
		}
		end(true)
		return
	}
	c := p.c.withMark(p.c.state().Authority(settled))
	if n.w.broken(MergedStates) {
		c = merge(own, c)
	}
	n.tell("receives %v from %s: %v, had %v", p.k, p.from, c, own)
	if n.w.broken(RemovedBeforeSynced) {
		n.disk.set(p.k, c)
		n.after(n.w.between(5*time.Millisecond, 900*time.Millisecond), func() {
			n.settle(p.k, c)
		})
		end(true)
		return
	}
	n.write(p.k, c, n.view.Map.Epoch, func() { end(true) })
}

func (n *node) accepts(p *push, b *cluster.Bucket) bool {
	from, epoch := p.from, p.epoch
	if n.w.broken(PushOfAnyEpoch) {
		owner := n.view.Owner(b, p.k.name)
		return owner != nil && owner.ID == n.id
	}
	if n.w.broken(PushAfterSettled) {
		owner := n.view.Owner(b, p.k.name)
		return n.view.Map.Epoch == epoch && owner != nil && owner.ID == n.id
	}
	return ownership.Accepts(n.view, n.id, from, b, p.k.name, epoch)
}

// sweep removes what a source has moved.
type sweep struct {
	n    *node
	duty duty
	keys []key
}

// misplaced returns what the node holds and does not own by its present view.
func (n *node) misplaced() []key {
	var ks []key
	for _, k := range n.disk.keys() {
		if b := n.view.BucketByID(k.bucket); b != nil {
			if _, misplaced := ownership.Misplaced(n.view, n.id, b, k.name); misplaced {
				ks = append(ks, k)
			}
		}
	}
	return ks
}

func (s *sweep) next() {
	n := s.n
	for len(s.keys) > 0 && n.view.BucketByID(s.keys[0].bucket) == nil {
		s.keys = s.keys[1:]
	}
	switch {
	case n.duty != s.duty && !n.w.broken(SweepNotChecked):
		return
	case len(s.keys) == 0:
		s.end()
		return
	}
	k := s.keys[0]
	s.keys = s.keys[1:]
	n.lock(k, func() {
		b := n.view.BucketByID(k.bucket)
		if b != nil && (ownership.Removable(n.view, n.id, b, k.name, s.duty.epoch) || n.w.broken(SweepNotChecked)) {
			n.disk.set(k, nil)
		}
		n.unlock(k)
		n.after(n.pace(), s.next)
	})
}

// end makes the removals durable and says so.
func (s *sweep) end() {
	n := s.n
	if n.w.broken(SweptBeforeSync) {
		n.report(s.duty, cluster.Swept)
		return
	}
	n.after(n.w.between(time.Millisecond, 10*time.Millisecond), func() {
		n.disk.sync()
		n.report(s.duty, cluster.Swept)
	})
}

// wipe removes everything; the report takes the node out of the map.
func (n *node) wipe() {
	n.after(n.w.between(time.Millisecond, 20*time.Millisecond), func() {
		if n.duty.what != ownership.Wipe {
			return
		}
		n.tell("wipes its disks")
		for _, k := range n.disk.keys() {
			n.disk.set(k, nil)
		}
		n.disk.sync()
		n.report(n.duty, cluster.Wiped)
	})
}
