package rebalance

import (
	"context"
	"slices"
	"sync"
	"time"

	"aistore/cluster"
	"aistore/internal/failpoint"
	"aistore/object"
)

// move sends everything that others own in an epoch to them.
type move struct {
	*Engine
	is    what
	view  *cluster.View // of the epoch; knows every bucket that anything here belongs to
	gen   *generation
	dests map[cluster.NodeID]*destination
	lanes int    // mountpaths
	lies  uint64 // store.Shifts when the walk began
	here  here
}

// namesAtOnce is how many keys are sent together at most.
const namesAtOnce = 1024

// namesBytes bounds the names of a batch.
const namesBytes = 64 << 10

// move is the duty Move.
func (e *Engine) move(ctx context.Context, is what) {
	v := e.latest(ctx, is.epoch)
	if v == nil {
		return
	}
	e.store.Barrier() // what began under an older map has ended, or finds that it may not commit
	e.log.Info("rebalance: moving", "id", cluster.GenerationID(is.epoch))
	began := time.Now()
	m := newMove(e, v, is)
	defer m.count(ctx)()
	ok := m.whole(ctx)
	for ; !ok && ctx.Err() == nil; ok = m.whole(ctx) { // keys went from one mountpath to another: the walk may have passed some by
		if sleep(ctx, afterShift) != nil {
			break
		}
		m = newMove(e, v, is)
	}
	if !ok {
		e.log.Info("rebalance: interrupted", "id", cluster.GenerationID(is.epoch), "objects", m.gen.objects.Load(), "bytes", m.gen.bytes.Load(), "present", m.gen.presentObjects())
		return
	}
	if failpoint.Hit("reb.before-moved") != nil {
		return
	}
	e.log.Info("rebalance: moved", "id", cluster.GenerationID(is.epoch), "walked", m.gen.walked.Load(), "objects", m.gen.objects.Load(),
		"bytes", m.gen.bytes.Load(), "present", m.gen.presentObjects(), "errors", m.gen.errors.Load(), "took", time.Since(began).Round(time.Millisecond))
	e.report(ctx, is.epoch, cluster.Moved)
	_ = failpoint.Hit("reb.after-moved") // only a kill matters
}

// afterShift is the pause before a walk begins anew because something was moved between mountpaths.
const afterShift = 200 * time.Millisecond

func newMove(e *Engine, v *cluster.View, is what) *move {
	m := &move{
		Engine: e, is: is, view: v, gen: e.book.of(is.epoch), dests: map[cluster.NodeID]*destination{},
		lies: e.store.Shifts(), lanes: e.store.Lanes(),
	}
	for _, n := range v.Map.Targets() {
		if n.ID != e.self {
			m.dests[n.ID] = newDestination(m, n.ID)
		}
	}
	return m
}

// whole moves everything; false when it was interrupted, or cannot know that it has seen everything.
func (m *move) whole(ctx context.Context) bool {
	ok := m.until(ctx, m.pass) && m.handOver(ctx)
	if ok && m.is.leaving {
		ok = m.confirm(ctx)
	}
	return ok && m.store.Shifts() == m.lies
}

// until repeats pass until nothing is left; false when ctx has ended before.
func (m *move) until(ctx context.Context, pass func(context.Context)) bool {
	var pause backoff
	for {
		before := m.gen.objects.Load() + m.gen.presentObjects()
		pass(ctx)
		if ctx.Err() != nil || m.store.Shifts() != m.lies {
			return false
		}
		owners, own := m.waiting()
		m.gen.setWaiting(slices.Concat(owners, own))
		if len(owners)+len(own) == 0 {
			return true
		}
		if m.gen.objects.Load()+m.gen.presentObjects() > before {
			pause = backoff{}
		}
		if !m.wait(ctx, pause.next(), owners) {
			return false
		}
	}
}

// wait waits for a while. While all owners that are waited for are lost, it waits for one of them to come back.
func (m *move) wait(ctx context.Context, pause time.Duration, ids []string) bool {
	if sleep(ctx, pause) != nil {
		return false
	}
	if m.here.any() {
		return true
	}
	for {
		v := m.control.View()
		for _, id := range ids {
			if n := v.Map.Nodes[cluster.NodeID(id)]; n != nil && n.Alive {
				return true
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-m.control.Watch(v.Index):
		}
	}
}

// pass walks every mountpath once, from where all is acknowledged.
func (m *move) pass(ctx context.Context) {
	var acknowledged tally
	for _, d := range m.dests {
		acknowledged.add(d.fronts.acknowledged())
	}
	m.gen.beginPass(acknowledged)
	m.here.begin()
	var senders, watchers, joggers sync.WaitGroup
	for _, d := range m.dests {
		d.begin(ctx, &senders, &watchers)
	}
	for lane := range m.lanes {
		joggers.Go(func() {
			j := &jogger{move: m, lane: lane, pending: map[cluster.NodeID]*batch{}}
			if err := j.run(ctx); err != nil && ctx.Err() == nil {
				m.here.met(err)
				m.gen.fault(err)
				m.log.Warn("rebalance: a mountpath could not be read to its end", "id", cluster.GenerationID(m.is.epoch), "err", err)
			}
		})
	}
	joggers.Wait()
	for _, d := range m.dests {
		d.end()
	}
	senders.Wait()
	for _, d := range m.dests {
		d.abandon()
	}
	watchers.Wait()
	if ctx.Err() != nil {
		return
	}
	for _, d := range m.dests {
		for lane := range m.lanes {
			d.fronts.end(lane)
		}
	}
}

// confirm asks once more for every key whether its owner has it: nothing of this node will be left to take it from.
func (m *move) confirm(ctx context.Context) bool {
	for {
		for _, d := range m.dests {
			d.fronts.reset()
			d.recheck = true
		}
		before := m.gen.objects.Load()
		if !m.until(ctx, m.pass) {
			return false
		}
		if m.gen.objects.Load() == before {
			return true
		}
	}
}

// jogger walks one mountpath.
type jogger struct {
	*move
	lane    int
	pending map[cluster.NodeID]*batch // not sent yet
	bucket  *cluster.Bucket           // of the last key
	last    uint64                    // its id
	seen    int64
	rested  time.Time
}

func (j *jogger) run(ctx context.Context) error {
	j.rested = time.Now()
	from, any := object.Name{}, false
	for _, d := range j.dests {
		j.again(ctx, d)
		after, needed := d.fronts.start(j.lane)
		if needed && (!any || compareNames(after, from) < 0) {
			from = after
		}
		any = any || needed
	}
	if !any {
		return nil
	}
	err := j.store.WalkKeys(ctx, j.lane, from, func(bucket uint64, key []byte) bool { return j.key(ctx, bucket, key) })
	j.gen.walked.Add(j.seen)
	j.seen = 0
	if err == nil {
		err = ctx.Err()
	}
	for id, b := range j.pending {
		j.dests[id].send(ctx, b)
	}
	if err != nil {
		for _, d := range j.dests {
			d.fronts.freeze(j.lane)
		}
	}
	return err
}

// again sends what failed one by one in the last pass.
func (j *jogger) again(ctx context.Context, d *destination) {
	for names := range slices.Chunk(d.fronts.retry(j.lane), namesAtOnce) {
		d.send(ctx, &batch{lane: j.lane, names: names, again: true})
	}
}

// key looks at one key; false ends the walk.
func (j *jogger) key(ctx context.Context, bucket uint64, key []byte) bool {
	if j.seen++; j.seen == 1024 {
		j.gen.walked.Add(j.seen)
		j.seen = 0
		if j.gate.yield(ctx, time.Since(j.rested)) != nil {
			return false
		}
		j.rested = time.Now()
	}
	if bucket != j.last || j.bucket == nil {
		if j.bucket, j.last = j.view.BucketByID(bucket), bucket; j.bucket == nil {
			return true // destroyed: what is left of it goes with it
		}
	}
	owner := j.view.Owner(j.bucket, string(key))
	if owner == nil || owner.ID == j.self {
		return true
	}
	d := j.dests[owner.ID]
	n := object.Name{Bucket: bucket, Key: string(key)}
	if after, needed := d.fronts.start(j.lane); !needed || compareNames(n, after) <= 0 {
		return true
	}
	b := j.pending[owner.ID]
	if b == nil {
		b = &batch{lane: j.lane, names: make([]object.Name, 0, namesAtOnce)}
		j.pending[owner.ID] = b
	}
	b.names = append(b.names, n)
	if b.bytes += len(key); len(b.names) == namesAtOnce || b.bytes >= namesBytes {
		delete(j.pending, owner.ID)
		d.send(ctx, b)
	}
	return ctx.Err() == nil
}
