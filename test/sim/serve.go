package sim

import (
	"time"

	"aistore/cluster"
	"aistore/cluster/ownership"
)

// request is what a client wants of a key.
type request struct {
	op     op
	bucket uint64 // id
	name   string
	value  uint16
	epoch  uint64 // of the map that it was routed by
	serial uint64 // index of the view that it was routed by

	versioned bool // the bucket keeps versions
}

func (o *request) key() key { return key{o.bucket, o.name} }

// status is what became of a request.
type status uint8

const (
	silent     status = iota // no answer
	done                     // took effect, or was read
	refused                  // certainly without effect, to be tried again: 503
	wrongOwner               // belongs to another node
	noBucket
)

// reply is the answer to a request.
type reply struct {
	status status
	seen   picture // of the key when it was read
	index  uint64  // of the newest view of who answers
	at     time.Duration
}

// serving is a request on its way through a target.
type serving struct {
	n      *node
	req    *request
	answer func(reply)
	tries  int
}

// serve deals with a client's request.
func (n *node) serve(req *request, answer func(reply)) {
	s := &serving{n: n, req: req, answer: answer, tries: 4}
	s.admit()
}

func (s *serving) end(st status, p picture) {
	r := reply{status: st, seen: p, at: s.n.w.now}
	if s.n.view != nil {
		r.index = s.n.view.Index
	}
	s.answer(r)
}

// admit decides whether this node serves the request, and has it ask first if need be.
func (s *serving) admit() {
	n, k := s.n, s.req.key()
	if !n.mayServe() || s.tries == 0 {
		s.end(refused, "")
		return
	}
	s.tries--
	v := n.view
	b := v.BucketByID(s.req.bucket)
	if v.Map.Epoch < s.req.epoch || b == nil && v.Index < s.req.serial {
		n.latest(func(ok bool) {
			if !ok {
				s.tries = 0
			}
			s.admit()
		})
		return
	}
	if b == nil {
		s.end(noBucket, "")
		return
	}
	verdict, holders := ownership.Admit(nil, v, n.id, b, k.name, n.mark(k))
	if n.w.broken(AskNobody) && verdict == ownership.Ask {
		verdict = ownership.Serve
	}
	switch verdict {
	case ownership.Nobody:
		s.end(refused, "")
	case ownership.Elsewhere:
		s.end(wrongOwner, "")
	case ownership.Ask:
		(&touch{n: n, v: v, b: b, k: k, holders: holders, done: func(ok bool) {
			if !ok {
				s.tries = 0
			}
			s.admit()
		}}).ask()
	default:
		n.after(n.w.hiccup(), func() {
			if s.req.op.changes() {
				n.lock(k, func() { s.change(v) })
				return
			}
			n.spring()
			n.after(0, func() { s.read(v) })
		})
	}
}

// mark is the epoch in which this node last took the key over, as far as it knows.
func (n *node) mark(k key) uint64 {
	mark := n.touched[k]
	if mark > 0 && n.w.broken(TouchedForEver) {
		mark = n.view.Map.Epoch
	}
	return max(mark, n.disk.get(k).state().Mark)
}

// valid reports whether what was admitted by v may be done now.
func (s *serving) valid(v *cluster.View) (ok, bucket bool) {
	n, k := s.n, s.req.key()
	b := n.view.BucketByID(s.req.bucket)
	if b == nil {
		return false, false
	}
	return ownership.Commit(v, n.view, n.id, b, k.name, n.mark(k)), true
}

// read looks, and then whether it was still this node's to look.
func (s *serving) read(v *cluster.View) {
	p := s.n.disk.get(s.req.key()).picture()
	ok, bucket := s.valid(v)
	switch {
	case !bucket:
		s.end(noBucket, "")
	case !ok && !s.n.w.broken(ReadNotChecked):
		s.admit()
	case s.leaseOver():
		s.end(refused, "")
	default:
		s.end(done, p)
	}
}

// leaseOver is asked again after anything that may have taken long.
func (s *serving) leaseOver() bool {
	return !s.n.mayServe() && !s.n.w.broken(LeaseNotCheckedAgain)
}

// change holds the lock of the name.
func (s *serving) change(v *cluster.View) {
	n, k := s.n, s.req.key()
	ok, bucket := s.valid(v)
	if n.w.broken(CommitNotGuarded) {
		ok = true
	}
	if !bucket || !ok || s.leaseOver() {
		n.unlock(k)
		switch {
		case !bucket:
			s.end(noBucket, "")
		case !ok:
			s.admit()
		default:
			s.end(refused, "")
		}
		return
	}
	old := n.disk.get(k)
	next := s.req.apply(old, n.view.Map.Epoch)
	if next == nil {
		n.unlock(k)
		s.acknowledge(old)
		return
	}
	next.mark = n.newMark(old, next, v)
	if next.empty() {
		next = nil
	}
	if n.w.opt.Story != nil {
		n.tell("commits %v: %v, was %v", s.req, next, old)
	}
	n.write(k, next, n.view.Map.Epoch, func() {
		n.unlock(k)
		s.acknowledge(next)
	})
}

// newMark is what a change of old leaves as mark; then is the view that it was admitted by.
func (n *node) newMark(old, next *content, then *cluster.View) uint64 {
	mark := ownership.Mark(n.view)
	switch {
	case n.w.broken(NoMark):
		return 0
	case n.w.broken(NoTombstone) && len(next.records)+len(next.uploads) == 0:
		return 0
	case n.w.broken(KeepersSettled) && !n.view.Map.Rebalancing():
		mark = 0
	case n.w.broken(MarkLowered):
		return ownership.Mark(then)
	}
	return max(mark, old.state().Mark)
}

// acknowledge comes after the commit: a node that was paused must not claim that its change is the newest.
func (s *serving) acknowledge(c *content) {
	switch {
	case s.leaseOver():
		s.end(silent, "") // a 5xx: nobody knows
	case s.n.view.BucketByID(s.req.bucket) == nil:
		s.end(silent, "")
	default:
		s.end(done, c.picture())
	}
}
