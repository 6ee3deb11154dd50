package rebalance

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store"
)

// Sizes of what is sent.
const (
	batchBytes  = 2 << 20   // frames of one request, about
	largeFrame  = 512 << 10 // longer frames have a request of their own
	maxSenders  = 16        // to one node, whatever the configuration says
	queueLength = 4         // batches that wait for one node

	stallAfter   = 10 * time.Second // without any progress a node is left to the next pass
	abandonAfter = time.Minute      // and what is on its way to it is given up; twice as long the next time
	offerShare   = 0.25             // of keys that their owner had already, from which it is asked first
	probeKeys    = 16               // that it is asked about before the first batch goes out
)

// destination is an owner of keys that are here.
type destination struct {
	m      *move
	id     cluster.NodeID
	fronts fronts

	recheck bool // ask for every key, whatever was found before

	queue    chan *batch
	streams  slots              // keys that have a request of their own
	down     atomic.Bool        // left to the next pass
	refused  atomic.Bool        // it did not take something in this pass
	abandon  context.CancelFunc // gives up what is on its way in this pass
	patience time.Duration      // until that is done without any progress
	active   atomic.Int32       // requests on their way
	moved    atomic.Int64       // when one made progress last, in Unix nanoseconds
	mu       sync.Mutex
	had      float64 // share of keys that it had already, lately
	heard    bool    // there is a share

	probing sync.Mutex
	probed  bool // had tells something; under probing
}

func newDestination(m *move, id cluster.NodeID) *destination {
	return &destination{m: m, id: id, fronts: fronts{lanes: make([]front, m.lanes)}, patience: abandonAfter}
}

func (d *destination) complete() bool { return d.fronts.complete() }

// begin starts a pass.
func (d *destination) begin(ctx context.Context, senders, watchers *sync.WaitGroup) {
	ctx, d.abandon = context.WithCancel(ctx)
	d.fronts.begin()
	d.queue = make(chan *batch, queueLength)
	d.streams = make(slots, min(d.m.gate.parallel(), maxSenders))
	n := d.m.control.View().Map.Nodes[d.id]
	d.down.Store(n == nil || !n.Alive)
	d.refused.Store(false)
	for range min(d.m.gate.parallel(), maxSenders) {
		senders.Go(func() { d.run(ctx) })
	}
	watchers.Go(func() { d.watch(ctx) })
}

// watch gives the node up for this pass if nothing moves, and what is on its way to it when it is lost, or nothing has moved for very long:
// who waits for the answer of a machine whose power is gone waits for many minutes, also when it has long been back.
func (d *destination) watch(ctx context.Context) {
	tick := time.NewTicker(stallAfter / 4)
	defer tick.Stop()
	for ctx.Err() == nil {
		v := d.m.control.View()
		idle := time.Duration(0)
		if d.active.Load() > 0 {
			idle = time.Since(time.Unix(0, d.moved.Load()))
		}
		lost := v.Map.Nodes[d.id] == nil || !v.Map.Nodes[d.id].Alive
		switch {
		case lost:
			d.giveUp(errs.E("rebalance.send", string(d.id), errs.Unavailable, "is lost"))
			d.abandon()
		case idle > stallAfter:
			d.giveUp(errs.F("rebalance.send", string(d.id), errs.Timeout, "has taken nothing for %v", idle.Round(time.Second)))
			if idle > d.patience {
				d.patience *= 2 // it may only be slow, and must have an end
				d.abandon()
			}
		}
		select {
		case <-tick.C:
		case <-d.m.control.Watch(v.Index):
		case <-ctx.Done():
		}
	}
}

// end says that nothing more will be sent in this pass.
func (d *destination) end() { close(d.queue) }

// send hands b to the senders. It waits for them as long as they make progress.
func (d *destination) send(ctx context.Context, b *batch) {
	d.fronts.sent(b)
	for !d.down.Load() && ctx.Err() == nil {
		t := time.NewTimer(stallAfter / 4)
		select {
		case d.queue <- b:
			t.Stop()
			return
		case <-ctx.Done():
		case <-t.C: // the node may have been given up
		}
		t.Stop()
	}
	d.fronts.settle(b, nil, true)
}

// giveUp leaves the node to the next pass.
func (d *destination) giveUp(err error) {
	if !d.down.Swap(true) {
		d.m.gen.fault(err)
		d.m.log.Warn("rebalance: an owner takes nothing: its keys wait", "id", cluster.GenerationID(d.m.is.epoch), "owner", string(d.id), "err", err)
	}
}

func (d *destination) progress() { d.moved.Store(time.Now().UnixNano()) }

// run sends batches until there are no more.
func (d *destination) run(ctx context.Context) {
	s := &sender{destination: d}
	defer s.close()
	for b := range d.queue {
		if d.down.Load() || ctx.Err() != nil {
			d.fronts.settle(b, nil, true)
			continue
		}
		s.failed, s.acked = s.failed[:0], tally{}
		err := s.batch(ctx, b)
		if err != nil && ctx.Err() == nil {
			d.giveUp(err)
		}
		b.acked = s.acked
		d.fronts.settle(b, s.failed, err != nil)
	}
}

// sender sends one batch at a time.
type sender struct {
	*destination
	body   []byte
	msg    []byte
	sent   []offered // in body
	usual  int       // bytes of the last frame that was read: the next may be like it
	failed []object.Name
	acked  tally // of the batch
}

// close gives back what s holds.
func (s *sender) close() {
	if s.body != nil {
		s.m.inbox.putBuffer(s.body)
	}
}

// note notes that a key could not be moved.
func (s *sender) note(n object.Name, err error) {
	s.failed = append(s.failed, n)
	s.m.gen.fault(err)
	s.m.log.Warn("rebalance: a key did not move; it is tried again", "id", cluster.GenerationID(s.m.is.epoch), "owner", string(s.id), "key", n.String(), "err", err)
}

// batch moves the keys of b. Its error says that nothing is known of them; what concerns single keys is in failed.
func (s *sender) batch(ctx context.Context, b *batch) error {
	names := b.names
	if err := s.probe(ctx, names); err != nil {
		return err
	}
	if b.again || s.offering() { // what could not be read here may not be wanted any more
		var err error
		if names, err = s.offer(ctx, names); err != nil {
			return err
		}
	}
	if s.body == nil {
		s.body = s.m.inbox.buffer()
	}
	var large []object.Name
	s.body, s.sent = s.body[:0], s.sent[:0]
	for len(names) > 0 {
		var n int
		if err := s.m.gate.work(ctx, func() { n, large = s.read(names, large) }); err != nil {
			return err
		}
		names = names[n:]
		if len(s.sent) > 0 {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
	return s.large(ctx, large)
}

// readAtOnce is how many keys are read under one set of locks at most.
const readAtOnce = 128

// read adds frames to the body until it is long enough; it returns how many names it looked at.
func (s *sender) read(names, large []object.Name) (int, []object.Name) {
	limit := s.m.gate.batch()
	read := 0
	for read < len(names) && len(s.body) < limit {
		few := min(readAtOnce, len(names)-read, 1+(limit-len(s.body))/max(leastFrame, s.usual))
		for _, x := range s.m.store.ExportKeys(names[read : read+few]) {
			n := names[read]
			switch {
			case len(s.body) >= limit: // they are longer than the last one was; the rest is read again
			case errs.Is(x.Err, errs.NotFound, errs.NoBucket): // its bucket is gone
				read++
			case x.Err != nil:
				s.unread(n, x.Err)
				read++
			case x.Len() > largeFrame:
				large = append(large, n)
				s.usual = largeFrame
				read++
			default:
				s.add(n, x.Export)
				s.usual = int(x.Len())
				read++
			}
			if x.Export != nil {
				x.Close()
			}
		}
	}
	return read, large
}

// leastFrame is how short frames are taken to be at least.
const leastFrame = 512

// add appends the frame of n to the body.
func (s *sender) add(n object.Name, x *store.Export) {
	at := len(s.body)
	var err error
	if s.body, err = x.AppendTo(s.body); err != nil {
		s.body = s.body[:at]
		s.unread(n, err)
		return
	}
	s.sent = append(s.sent, offered{n, x.State()})
}

// flush sends the body.
func (s *sender) flush(ctx context.Context) error {
	if err := s.m.gate.spend(ctx, int64(len(s.body))); err != nil {
		return err
	}
	as, err := s.call(ctx, "", len(s.sent), func(c *httpx.Call) { c.Body = s.body })
	if err != nil {
		return err
	}
	s.judgeAll(s.sent, as)
	s.body, s.sent = s.body[:0], s.sent[:0]
	return nil
}

// probe finds out how much the owner may have already, once: whether it pays to ask before sending.
func (s *sender) probe(ctx context.Context, names []object.Name) error {
	s.probing.Lock()
	defer s.probing.Unlock()
	if s.probed || s.recheck {
		return nil
	}
	few := make([]object.Name, 0, probeKeys)
	for i := 0; i < len(names); i += max(1, len(names)/probeKeys) {
		few = append(few, names[i])
	}
	_, as, err := s.propose(ctx, few)
	if err != nil {
		return err
	}
	had := 0
	for i := range as {
		if as[i].outcome == outHad || as[i].outcome == outLower {
			had++
		}
	}
	s.share(had, len(as))
	s.probed = true
	return nil
}

// share notes how much of what was sent or offered the owner had already.
func (s *sender) share(had, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	share := float64(had) / float64(max(1, of))
	if s.heard {
		share = 0.5*s.had + 0.5*share
	}
	s.had, s.heard = share, true
}

// offering reports whether the owner is asked what it has before anything is sent.
func (s *sender) offering() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recheck || s.had >= offerShare
}

// offer tells the owner what there is, and returns the names that it wants.
func (s *sender) offer(ctx context.Context, names []object.Name) (wanted []object.Name, err error) {
	keys, as, err := s.propose(ctx, names)
	if err != nil {
		return nil, err
	}
	s.judgeAll(keys, as)
	for i := range as {
		if as[i].outcome == outWanted {
			wanted = append(wanted, keys[i].name)
		}
	}
	return wanted, nil
}

// propose tells the owner what there is of names, and returns what it says.
func (s *sender) propose(ctx context.Context, names []object.Name) (keys []offered, as []answer, err error) {
	keys = make([]offered, 0, len(names))
	err = s.m.gate.work(ctx, func() {
		for _, n := range names {
			k, err := s.m.store.KeyState(n)
			switch {
			case errs.Is(err, errs.NoBucket):
			case err != nil:
				s.unread(n, err)
			case k.Exists || k.Authority > 0:
				keys = append(keys, offered{n, k})
			}
		}
	})
	if err != nil || len(keys) == 0 {
		return nil, nil, err
	}
	s.msg = appendOffer(s.msg[:0], keys)
	as, err = s.call(ctx, "/offer", len(keys), func(c *httpx.Call) { c.Body = s.msg })
	return keys, as, err
}

// large sends keys each in a request of its own, those that the owner wants, several at the same time.
func (s *sender) large(ctx context.Context, names []object.Name) error {
	if len(names) == 0 {
		return nil
	}
	wanted, err := s.offer(ctx, names)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, n := range wanted {
		if s.streams.enter(ctx) != nil {
			break
		}
		all.Go(func() {
			defer s.streams.leave()
			one := &sender{destination: s.destination}
			serr := one.stream(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			s.failed = append(s.failed, one.failed...)
			s.acked.add(one.acked)
			if err == nil {
				err = serr
			}
		})
	}
	all.Wait()
	return errors.Join(err, ctx.Err())
}

// stream sends one key.
func (s *sender) stream(ctx context.Context, n object.Name) error {
	var x *store.Export
	var xerr error
	if err := s.m.gate.work(ctx, func() { x, xerr = s.m.store.ExportKey(n) }); err != nil {
		return err
	}
	switch {
	case errs.Is(xerr, errs.NotFound, errs.NoBucket):
		return nil
	case xerr != nil:
		s.unread(n, xerr)
		return nil
	}
	defer x.Close()
	out := &paced{ctx: ctx, s: s}
	as, err := s.call(ctx, "/stream", 1, func(c *httpx.Call) {
		c.StreamLen = x.Len()
		c.Source = func(w io.Writer) error {
			out.w = w
			_, err := x.WriteTo(out)
			out.err = err
			return err
		}
	})
	if errs.Is(out.err, errs.Corrupt, errs.Mountpath) { // the owner has no part in it
		s.unread(n, out.err)
		return nil
	}
	if concernsKey(err) {
		as = []answer{{err: err}}
	} else if err != nil {
		return err
	}
	s.judgeAll([]offered{{n, x.State()}}, as)
	return nil
}

// concernsKey reports whether an owner that does not take a key may take others.
func concernsKey(err error) bool {
	return errs.Is(err, errs.Full, errs.Mountpath, errs.Corrupt, errs.Conflict, errs.NoBucket)
}

// paced is where a long frame is written: it goes out as fast as it may.
type paced struct {
	ctx context.Context
	s   *sender
	w   io.Writer
	err error
}

func (p *paced) Write(b []byte) (n int, err error) {
	if err := p.s.m.gate.spend(p.ctx, int64(len(b))); err != nil {
		return 0, err
	}
	began := time.Now()
	n, err = p.w.Write(b)
	p.s.progress()
	return n, errors.Join(err, p.s.m.gate.yield(p.ctx, time.Since(began)))
}

// SendPages lets the pages of a blob go out uncopied where w can do that.
func (p *paced) SendPages(n int, fill func(pipe uintptr) error, check func(b []byte) error) (sent bool, err error) {
	w, ok := p.w.(interface {
		SendPages(n int, fill func(pipe uintptr) error, check func(b []byte) error) (bool, error)
	})
	if !ok {
		return false, nil
	}
	began := time.Now()
	sent, err = w.SendPages(n, fill, func(b []byte) error { // it goes out when this returns
		if err := errors.Join(check(b), p.s.m.gate.spend(p.ctx, int64(n))); err != nil {
			return err
		}
		began = time.Now()
		return nil
	})
	if !sent {
		return false, err
	}
	p.s.progress()
	return true, errors.Join(err, p.s.m.gate.yield(p.ctx, time.Since(began)))
}

// call asks the owner. A busy one is asked again for a while.
func (s *sender) call(ctx context.Context, what string, keys int, body func(*httpx.Call)) ([]answer, error) {
	var pause backoff
	for try := 0; ; try++ {
		n := s.m.control.View().Map.Nodes[s.id]
		if n == nil {
			return nil, errs.E("rebalance.call", string(s.id), errs.Unavailable, "is not in the cluster map any more")
		}
		c := &httpx.Call{Method: "POST", URL: "http://" + n.IntraAddr + Path + "/" + strconv.FormatUint(s.m.is.epoch, 10) + "/" + string(s.m.self) + what}
		body(c)
		as, err := s.ask(ctx, c, keys)
		switch {
		case err == nil:
			return as, nil
		case errs.Is(err, errs.StaleMap):
			if _, lerr := s.m.control.Latest(ctx); lerr != nil { // Run sees the new epoch, and ends this
				return nil, lerr
			}
			return nil, err
		case !errs.Is(err, errs.Busy) || try == 8 || c.Source != nil:
			return nil, err
		}
		if err := sleep(ctx, pause.next()); err != nil {
			return nil, err
		}
	}
}

func (s *sender) ask(ctx context.Context, c *httpx.Call, keys int) ([]answer, error) {
	if !s.m.flights.begin() {
		return nil, errGrounded()
	}
	defer s.m.flights.end()
	s.progress()
	s.active.Add(1)
	defer func() { s.active.Add(-1); s.progress() }()
	if err := failpoint.Hit("reb.before-send"); err != nil {
		return nil, err
	}
	rep, err := s.m.client.Do(ctx, c)
	if err != nil {
		return nil, err
	}
	msg, err := rep.ReadAll(maxAnswers)
	if err != nil {
		return nil, err
	}
	if err := failpoint.Hit("reb.after-send"); err != nil {
		return nil, err
	}
	return decodeAnswers(msg, keys)
}

// judgeAll notes what the owner said of keys.
func (s *sender) judgeAll(keys []offered, as []answer) {
	settled := s.m.view.Map.Settled
	var applied, had tally
	for i := range as {
		k, a := &keys[i], &as[i]
		switch {
		case a.outcome == outWanted:
			continue
		case a.outcome == outFailed && errs.Is(a.err, errs.NoBucket):
			if s.m.control.View().BucketByID(k.name.Bucket) != nil {
				s.fail(k.name, a.err)
			}
			continue
		case a.outcome == outFailed:
			s.fail(k.name, a.err)
			continue
		}
		if err := holds(k, a, settled); err != nil {
			s.fail(k.name, err)
			continue
		}
		if a.outcome == outApplied {
			applied.add(tally{1, k.state.Size})
		} else {
			had.add(tally{1, k.state.Size})
		}
	}
	s.m.gen.taken(applied)
	s.m.gen.recognised(had)
	s.acked.add(applied)
	s.acked.add(had)
	s.share(int(had.objects), len(as))
}

// holds checks that what the owner says it has is as good as what was sent.
func holds(k *offered, a *answer, settled uint64) error {
	const op = "rebalance.holds"
	c := state(a.state).Compare(state(k.state), settled)
	if a.outcome == outApplied && c > 0 { // its mark was greater
		c = 0
	}
	switch {
	case c < 0 || a.outcome == outLower && c == 0:
		return errs.F(op, k.name, errs.Conflict, "the owner acknowledges an older state than it was sent")
	case c == 0 && a.state.Version == k.state.Version && a.state.Checksum != k.state.Checksum:
		return errs.F(op, k.name, errs.Conflict, "the owner has version %v with checksum %v, here it is %v", a.state.Version, a.state.Checksum, k.state.Checksum)
	}
	return nil
}
