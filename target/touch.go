package target

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/node"
	"aistore/object"
	"aistore/store"
)

// First touch (docs/design/ownership.md, rules 2 to 4): before an owner serves a key that others may know better it asks them, takes
// over the greatest state, and is then alone responsible for the key. Every operation of a client, a peer or a job on a key
// goes through Own before it looks at the store.

// Limits of first touches.
const (
	askWithin    = 3 * time.Second  // a holder that has not answered by then does not answer
	touchWait    = 20 * time.Second // a request waits no longer for a key that is on its way, and its client tries again
	askedAtOnce  = 64               // questions to one holder: those who wait for a silent one are in nobody else's way
	pulledAtOnce = 8                // keys that are too long to come with the answer
	flightsMost  = 4096
	touchTries   = 4 // views by which one request is judged, and transfers that it begins
)

// Own makes sure that this node knows the newest state of o's key, which it owns by o's view. It may judge o anew by a newer view. Its
// error is of kind WrongOwner when the key went elsewhere, of kind Busy when someone who may know better does not answer, or the key is
// still on its way here: nothing has begun, so that whoever asks may try again whatever he wants.
func (x *touches) Own(ctx context.Context, o *node.Object) error {
	if len(o.View.Map.Former) == 0 {
		return nil // nobody else can know
	}
	_, err := x.own(ctx, o, false)
	return err
}

// OwnToRead is Own for a read that another node can answer as well: while a long key is on its way here it returns the node that has
// it, which answers requests with HeaderHeld.
func (x *touches) OwnToRead(ctx context.Context, o *node.Object) (holder *cluster.Node, err error) {
	if len(o.View.Map.Former) == 0 {
		return nil, nil
	}
	return x.own(ctx, o, true)
}

// OwnToDelete is Own for a delete: nobody who wants less to be stored is told that the disk is full, but that it is for a while. MayBury says whether the
// delete can do without the key.
func (x *touches) OwnToDelete(ctx context.Context, o *node.Object) error {
	err := x.Own(ctx, o)
	if errs.Is(err, errs.Full) {
		return errs.F("target.touch", o, errs.Busy, "%w to be deleted: %w", errNoRoom, err)
	}
	return err
}

// Sure reports whether Own would ask nobody.
func (x *touches) Sure(o *node.Object) bool {
	if len(o.View.Map.Former) == 0 {
		return true
	}
	holders, err := x.holders(o)
	return err == nil && len(holders) == 0
}

// touches is the part of a Target that makes sure of keys: what it adds to Target's methods is promoted.
type touches struct {
	node  *node.Node
	store *store.Store
	known *touched
	pulls chan struct{} // slots of long keys
	ready chan struct{} // closed once run has begun: the listeners may have a moment before

	fetched atomic.Int64 // see Fetched

	mu      sync.Mutex
	ctx     context.Context // of run; nil before and after
	flights map[flightID]*flight
	asked   map[cluster.NodeID]chan struct{} // slots of questions
	wg      sync.WaitGroup
}

// flightID is a key that is being touched in an epoch.
type flightID struct {
	name  object.Name
	epoch uint64
}

func newTouches(n *node.Node, s *store.Store) *touches {
	return &touches{
		node: n, store: s, known: newTouched(), pulls: make(chan struct{}, pulledAtOnce), ready: make(chan struct{}),
		flights: map[flightID]*flight{}, asked: map[cluster.NodeID]chan struct{}{},
	}
}

// run lets touches be made until ctx ends, and waits for those under way. What was remembered of earlier epochs is dropped as soon as one begins.
func (x *touches) run(ctx context.Context) error {
	x.mu.Lock()
	x.ctx = ctx
	x.mu.Unlock()
	close(x.ready)
	var seen uint64
	for ctx.Err() == nil {
		if v := x.node.Control().View(); v != nil {
			seen = v.Index
			x.known.forget(v.Map.Epoch)
		}
		select {
		case <-ctx.Done():
		case <-x.node.Control().Watch(seen):
		}
	}
	x.mu.Lock()
	x.ctx = nil
	x.mu.Unlock()
	x.wg.Wait()
	return nil
}

// holders returns who must be asked before o is served; nobody when this node is sure.
func (x *touches) holders(o *node.Object) ([]*cluster.Node, error) {
	const op = "target.touch"
	verdict, hs := ownership.Admit(nil, o.View, x.node.ID, o.Bucket, o.Key, 0) // names that stayed need no look at the disk
	switch verdict {
	case ownership.Serve:
		return nil, nil
	case ownership.Ask:
	case ownership.Nobody:
		return nil, errs.E(op, o, errs.Unavailable, "no target is in service")
	case ownership.Elsewhere:
		return nil, errs.F(op, o, errs.WrongOwner, "is not this node's in version %d of the cluster map", o.View.Map.Version)
	}
	at := x.moment(o)
	if x.known.has(o.Name(), at) {
		return nil, nil
	}
	mark, err := x.store.Mark(o.Name())
	if err != nil {
		return nil, errs.E(op, o, err)
	}
	if verdict, hs = ownership.Admit(hs[:0], o.View, x.node.ID, o.Bucket, o.Key, mark); verdict == ownership.Ask {
		return hs, nil
	}
	x.known.add(o.Name(), at)
	return nil, nil
}

func (x *touches) moment(o *node.Object) moment { return moment{o.View.Map.Epoch, x.store.Openings()} }

// own is Own and OwnToRead. What broke off is begun again by the same request, as long as it waits: the holder answered just before, and most clients
// of a long key would have to begin anew.
func (x *touches) own(ctx context.Context, o *node.Object, reading bool) (*cluster.Node, error) {
	limit := time.NewTimer(touchWait)
	defer limit.Stop()
	for try := 1; ; try++ {
		hs, err := x.holders(o)
		if err != nil || len(hs) == 0 {
			return nil, err
		}
		select {
		case <-x.ready:
		case <-ctx.Done():
			return nil, errs.E("target.touch", o, ctx.Err())
		}
		f, err := x.join(o, hs)
		if err != nil {
			return nil, err
		}
		holder, brokeOff, err := f.wait(ctx, o, limit.C, reading)
		if try == touchTries || !brokeOff && !errs.Is(err, errs.StaleMap) {
			return holder, err
		}
		if err := x.node.Refresh(o); err != nil {
			return nil, err
		}
	}
}

// flight is one touch under way; requests for the same key share it, and it goes on when they leave.
type flight struct {
	o       node.Object
	holders []*cluster.Node

	done   chan struct{}
	err    error         // once done
	long   chan struct{} // closed when the newest state is holder's and comes for itself
	holder *cluster.Node // once long
}

// join returns the flight of o's key, a new one if there is none.
func (x *touches) join(o *node.Object, holders []*cluster.Node) (*flight, error) {
	const op = "target.touch"
	id := flightID{o.Name(), o.View.Map.Epoch}
	x.mu.Lock()
	defer x.mu.Unlock()
	if f := x.flights[id]; f != nil {
		return f, nil
	}
	switch {
	case x.ctx == nil || x.ctx.Err() != nil:
		return nil, errs.E(op, o, errs.Busy, "this node is stopping")
	case len(x.flights) >= flightsMost:
		return nil, errs.E(op, o, errs.Busy, "too many keys are being looked for at other nodes: retry after a second")
	}
	f := &flight{o: *o, holders: holders, done: make(chan struct{}), long: make(chan struct{})}
	x.flights[id] = f
	ctx := x.ctx
	x.wg.Add(1)
	go func() {
		defer x.wg.Done()
		f.err = x.touch(ctx, f)
		x.mu.Lock()
		delete(x.flights, id)
		x.mu.Unlock()
		close(f.done)
	}()
	return f, nil
}

// wait returns when the key is here, when a read may go to the holder, or when limit has passed. brokeOff says that the holder had begun to send the key.
func (f *flight) wait(ctx context.Context, o *node.Object, limit <-chan time.Time, reading bool) (holder *cluster.Node, brokeOff bool, err error) {
	const op = "target.touch"
	var long <-chan struct{}
	if reading {
		long = f.long
	}
	select {
	case <-f.done:
		if f.err != nil && reading && f.holder != nil && !errs.Is(f.err, errs.StaleMap) {
			return f.holder, false, nil // it could not be taken over; it can be read
		}
		return nil, f.holder != nil && errs.Is(f.err, errs.Busy), f.err
	case <-long:
		return f.holder, false, nil
	case <-limit:
		return nil, false, errs.E(op, o, errs.Busy, "is on its way to this node: retry after a second")
	case <-ctx.Done():
		return nil, false, errs.E(op, o, ctx.Err())
	}
}

// touch asks the holders and takes over the greatest state.
func (x *touches) touch(ctx context.Context, f *flight) error {
	const op = "target.touch"
	o := &f.o
	at := x.moment(o) // before anything is taken over
	best, err := x.askAll(ctx, o, f.holders)
	if err != nil {
		if errs.Is(err, errs.StaleMap, errs.NoBucket) { // whoever waits judges anew
			if _, lerr := x.node.Control().Latest(ctx); lerr != nil {
				return errs.F(op, o, errs.Busy, "%w: %w", err, lerr)
			}
		}
		return err
	}
	if err := failpoint.Hit("ask.after-answer"); err != nil {
		return err
	}
	greater := true
	if best.frame == nil {
		greater, err = x.greater(o, best) // after the answers: what a holder does not have any more has arrived before
	}
	if err == nil && greater {
		err = x.take(ctx, f, best)
	}
	if err != nil {
		return errs.E(op, o, err)
	}
	x.known.add(o.Name(), at)
	return nil
}

// StateOf is what a store's state of a key says of who has the newer one.
func StateOf(k *store.KeyState) ownership.State {
	return ownership.State{Mark: k.Authority, Version: k.Version, Present: k.Exists}
}

// greater reports whether the best answer holds against what is here.
func (x *touches) greater(o *node.Object, best *keyAnswer) (bool, error) {
	if best.state == (ownership.State{}) { // nothing is anywhere
		return false, nil
	}
	have, err := x.store.KeyState(o.Name())
	return err == nil && best.state.Compare(StateOf(&have), o.View.Map.Settled) > 0, err
}

// take imports what the best answer tells of, if it holds against what is here.
func (x *touches) take(ctx context.Context, f *flight, best *keyAnswer) error {
	o := &f.o
	if err := failpoint.Hit("touch.before-import"); err != nil {
		return err
	}
	opts := store.ImportOptions{
		Mark: o.View.Map.Epoch, Settled: o.View.Map.Settled, Lazy: true,
		Guard: func(_ object.Name, have store.KeyState) error { return x.mayTake(o, best.from.ID, have.Authority) },
	}
	if best.frame != nil {
		if err := x.store.Import(ctx, [][]byte{best.frame}, opts)[0].Err; err != nil {
			greater, gerr := x.greater(o, best)
			if gerr == nil && !greater {
				return nil
			}
			if greater {
				f.holder = best.from // where it can be read
			}
			return err
		}
	} else {
		f.holder = best.from
		close(f.long)
		if err := x.pull(ctx, o, best.from, opts); err != nil {
			return err
		}
	}
	return failpoint.Hit("touch.after-import")
}

// mayTake is evaluated under the key's lock: nobody but the owner of the newest epoch takes over anything. mark is the key's here.
func (x *touches) mayTake(o *node.Object, from cluster.NodeID, mark uint64) error {
	const op = "target.touch"
	v := x.node.Control().View()
	b := v.BucketByID(o.Bucket.ID)
	if b == nil {
		return errs.E(op, o.Bucket.String(), errs.NoBucket, "bucket was destroyed")
	}
	if v.Map.Epoch != o.View.Map.Epoch || !ownership.Pulls(v, x.node.ID, from, b, o.Key, mark) {
		return errs.F(op, o, errs.StaleMap, "is not to be taken from %s in version %d of the cluster map", from, v.Map.Version)
	}
	return nil
}
