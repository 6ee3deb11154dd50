package rebalance

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/httpx"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store"
)

// Path of the intra-cluster routes; wire.go draws what is said there.
const Path = "/intra/rebalance"

// maxBody bounds a request of frames in memory: one batch, and the frame that made it full.
const maxBody = 8 << 20

// streamCost is the memory that a frame takes which is not kept whole.
const streamCost = 2 << 20

// Routes lets other targets send what this one owns.
func (e *Engine) Routes() []httpx.Route {
	p := httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassControl, MaxBody: httpx.NoLimit} // each handler bounds what it keeps
	check := p
	check.MaxBody = maxOffer
	return []httpx.Route{
		{Method: "POST", Path: Path + "/*", Op: "rebalance", Policy: p, Handler: e.receive},
		{Method: "POST", Path: PathCheck, Op: "rebalance-check", Policy: check, Handler: e.told},
	}
}

// inbox bounds what requests of sources hold.
type inbox struct {
	used  atomic.Int64
	limit int64
	slots slots     // imports
	pool  sync.Pool // of *[]byte: bodies of batches, as they come and as they go
}

func (in *inbox) take(n int64) error {
	if in.used.Add(n) > in.limit {
		in.used.Add(-n)
		return errs.E("rebalance.receive", "memory", errs.Busy, "too much is coming at the same time: retry after a second")
	}
	return nil
}

func (in *inbox) give(n int64) { in.used.Add(-n) }

// buffer returns an empty buffer for a batch.
func (in *inbox) buffer() []byte {
	if bp, ok := in.pool.Get().(*[]byte); ok {
		return (*bp)[:0]
	}
	return make([]byte, 0, batchBytes+batchBytes/4)
}

func (in *inbox) putBuffer(b []byte) { in.pool.Put(&b) }

// slots bounds what goes on at the same time.
type slots chan struct{}

func (s slots) enter(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slots) leave() { <-s }

// receive takes what a source sends in its epoch.
func (e *Engine) receive(c *httpx.Ctx) error {
	const op = "rebalance.receive"
	text, rest, _ := strings.Cut(c.Rest(), "/")
	from, what, _ := strings.Cut(rest, "/")
	epoch, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return errs.F(op, c.Path(), errs.Invalid, "%q is not an epoch", text)
	}
	v, err := e.fence(c.Context(), epoch)
	if err != nil {
		return err
	}
	r := &receiver{Engine: e, c: c, epoch: epoch, from: cluster.NodeID(from), settled: v.Map.Settled}
	if what != "offer" {
		if err := failpoint.Hit("reb.before-apply"); err != nil {
			return err
		}
	}
	switch what {
	case "":
		return r.frames()
	case "stream":
		return r.stream()
	case "offer":
		return r.offer()
	case "append":
		return r.appended()
	}
	return errs.F(op, c.Path(), errs.NotFound, "there is no %q here", what)
}

// fence takes over a map of the epoch, and refuses what comes in an older one.
func (e *Engine) fence(ctx context.Context, epoch uint64) (*cluster.View, error) {
	const op = "rebalance.fence"
	v := e.control.View()
	if v == nil || !e.control.Ready() {
		return nil, errs.E(op, "cluster map", errs.Unavailable, "the node has not been accepted by its cluster yet")
	}
	ok, behind := ownership.Answers(v, epoch)
	if behind {
		var err error
		if v, err = e.control.Latest(ctx); err != nil {
			return nil, errs.E(op, "cluster map", err)
		}
		ok, _ = ownership.Answers(v, epoch)
	}
	if !ok {
		return nil, errs.F(op, "epoch", errs.StaleMap, "%d is sent, this node is at %d", epoch, v.Map.Epoch)
	}
	return v, nil
}

// receiver is one request of a source.
type receiver struct {
	*Engine
	c       *httpx.Ctx
	epoch   uint64
	from    cluster.NodeID
	settled uint64
}

func (r *receiver) options() store.ImportOptions {
	return store.ImportOptions{
		Settled: r.settled, Guard: r.guard,
		Greater: func(offered, have store.KeyState) bool { return state(offered).Compare(state(have), r.settled) > 0 },
	}
}

// guard makes sure, under the name's lock, that this node owns the key in the source's epoch.
func (r *receiver) guard(n object.Name, _ store.KeyState) error {
	const op = "rebalance.guard"
	v := r.control.View()
	b := v.BucketByID(n.Bucket)
	if b == nil {
		return errs.E(op, n, errs.NoBucket, "bucket was destroyed")
	}
	if !ownership.Accepts(v, r.self, r.from, b, n.Key, r.epoch) {
		return errs.F(op, n, errs.StaleMap, "is not this node's to take from %s in epoch %d; the map is at %d", r.from, r.epoch, v.Map.Epoch)
	}
	return nil
}

// frames takes a batch of small keys.
func (r *receiver) frames() error {
	size := r.c.BodyLen()
	if size < 0 || size > maxBody {
		return errs.F("rebalance.receive", "body", errs.TooLarge, "is %d bytes long, the limit is %d", size, maxBody)
	}
	if err := r.inbox.take(2 * size); err != nil {
		return err
	}
	defer r.inbox.give(2 * size)
	body, release, err := r.body(size)
	if err != nil {
		return err
	}
	defer release()
	frames, err := splitFrames(body)
	if err != nil {
		return err
	}
	if err := r.inbox.slots.enter(r.c.Context()); err != nil {
		return err
	}
	var results []store.ImportResult
	err = r.gate.work(r.c.Context(), func() { results = r.store.Import(r.c.Context(), frames, r.options()) })
	r.inbox.slots.leave()
	if err != nil && results == nil {
		return err
	}
	return r.reply(results)
}

// body reads the request's body; it is good until release.
func (r *receiver) body(size int64) (b []byte, release func(), err error) {
	if b, ok := r.c.BodyBytes(); ok {
		return b, func() {}, nil
	}
	if b = r.inbox.buffer(); int64(cap(b)) < size {
		b = make([]byte, size)
	}
	b = b[:size]
	if _, err := io.ReadFull(r.c.Body(), b); err != nil {
		r.inbox.putBuffer(b)
		return nil, nil, err
	}
	return b, func() { r.inbox.putBuffer(b) }, nil
}

// stream takes one key of any size.
func (r *receiver) stream() error {
	if err := r.inbox.take(streamCost); err != nil {
		return err
	}
	defer r.inbox.give(streamCost)
	res, err := r.store.ImportStream(r.c.Context(), r.c.Body(), r.options())
	if err != nil {
		return err
	}
	return r.reply([]store.ImportResult{res})
}

// reply acknowledges what became of keys, all of which is durable.
func (r *receiver) reply(results []store.ImportResult) error {
	if err := failpoint.Hit("reb.after-apply"); err != nil {
		return err
	}
	as := make([]answer, len(results))
	var applied int64
	for i := range results {
		as[i].state, as[i].err = results[i].State, results[i].Err
		switch results[i].Outcome {
		case store.Applied:
			as[i].outcome = outApplied
			applied++
		case store.Had:
			as[i].outcome = outHad
		case store.Lower:
			as[i].outcome = outLower
		case store.Failed:
			if errs.Is(as[i].err, errs.StaleMap) { // nothing in this epoch can be done any more
				return as[i].err
			}
		}
	}
	r.Engine.book.of(r.epoch).received.Add(applied)
	return r.c.SendBytes(appendAnswers(nil, as))
}

// offer answers which of the source's keys are greater than what is here.
func (r *receiver) offer() error {
	size := r.c.BodyLen()
	if size < 0 || size > maxOffer {
		return errs.F("rebalance.receive", "body", errs.TooLarge, "is %d bytes long, the limit is %d", size, maxOffer)
	}
	if err := r.inbox.take(4 * size); err != nil {
		return err
	}
	defer r.inbox.give(4 * size)
	body, release, err := r.body(size)
	if err != nil {
		return err
	}
	defer release()
	keys, err := decodeOffer(body)
	if err != nil {
		return err
	}
	as := make([]answer, len(keys))
	err = r.store.Settled(namesOf(keys), func() error {
		return r.gate.work(r.c.Context(), func() {
			for i := range keys {
				as[i] = r.compare(&keys[i])
			}
		})
	})
	if err != nil {
		return err
	}
	if v := r.control.View(); v.Map.Epoch != r.epoch { // what was looked at may not hold any more
		return errs.F("rebalance.receive", "epoch", errs.StaleMap, "%d is sent, this node is at %d", r.epoch, v.Map.Epoch)
	}
	return r.c.SendBytes(appendAnswers(nil, as))
}

func namesOf(keys []offered) []object.Name {
	names := make([]object.Name, len(keys))
	for i := range keys {
		names[i] = keys[i].name
	}
	return names
}

// compare looks at what is here of a key that is offered.
func (r *receiver) compare(k *offered) answer {
	if err := r.guard(k.name, store.KeyState{}); err != nil {
		return answer{err: err}
	}
	have, err := r.store.KeyState(k.name)
	if err != nil {
		return answer{err: err}
	}
	a := answer{state: have, outcome: outHad}
	switch c := state(k.state).Compare(state(have), r.settled); {
	case c > 0:
		if err := r.store.Room(k.name, k.state.Size); err != nil { // a long key would come for nothing
			return answer{err: err}
		}
		a.outcome = outWanted
	case c < 0:
		a.outcome = outLower
	}
	return a
}
