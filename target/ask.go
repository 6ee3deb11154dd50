package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/httpx"
	"aistore/node"
	"aistore/object"
	"aistore/store"
)

// pathKeys tells an owner of epoch E what this node has of a key: GET pathKeys + "/BUCKETID/KEY?epoch=E". The reply's header headerKeyState is the
// state; the body is the whole key as package store exports it if that is short or "whole=1" asks for it, else empty.
const pathKeys = "/intra/keys"

const (
	queryEpoch = "epoch"
	queryWhole = "whole"

	headerKeyState = "Ais-Key-State" // "MARK VERSION PRESENT": two numbers in decimal around a version, 0 or 1
)

// shortFrame is what comes with the answer to a question.
const shortFrame = 256 << 10

// keyAnswer is what a holder has of a key.
type keyAnswer struct {
	from  *cluster.Node
	state ownership.State
	frame []byte // nil: there is nothing, or it must be pulled
}

func appendKeyState(s *ownership.State) string {
	present := 0
	if s.Present {
		present = 1
	}
	return fmt.Sprintf("%d %s %d", s.Mark, s.Version, present)
}

func parseKeyState(text string) (s ownership.State, err error) {
	const op = "target.parseKeyState"
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return s, errs.F(op, headerKeyState, errs.Invalid, "%q is not MARK VERSION PRESENT", text)
	}
	mark, err1 := strconv.ParseUint(fields[0], 10, 64)
	version, err2 := object.ParseVersion(fields[1])
	present, err3 := strconv.ParseUint(fields[2], 10, 1)
	if err := errors.Join(err1, err2, err3); err != nil {
		return s, errs.E(op, headerKeyState, errs.Invalid, err)
	}
	return ownership.State{Mark: mark, Version: version, Present: present == 1}, nil
}

// askAll asks all holders at once and returns the greatest answer. All must answer; kind Corrupt says that all did, and that what one has is damaged.
func (x *touches) askAll(ctx context.Context, o *node.Object, holders []*cluster.Node) (*keyAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answers := make([]keyAnswer, len(holders))
	faults := make(chan error, len(holders))
	for i, h := range holders[1:] {
		go func() { faults <- x.ask(ctx, o, h, &answers[i+1]) }()
	}
	faults <- x.ask(ctx, o, holders[0], &answers[0])
	var silent, damaged error
	for range holders {
		err := <-faults
		switch {
		case errs.Is(err, errs.StaleMap, errs.NoBucket):
			silent = err // says more than who is silent
		case errs.Is(err, errs.Corrupt): // an answer, too
			damaged = err
		case err != nil && silent == nil:
			silent = err
		}
	}
	if err := cmp.Or(silent, damaged); err != nil {
		return nil, err
	}
	best := &answers[0]
	for i := range answers {
		if a := &answers[i]; a.state.Compare(best.state, o.View.Map.Settled) > 0 {
			best = a
		}
	}
	return best, nil
}

// ask asks one holder.
func (x *touches) ask(ctx context.Context, o *node.Object, h *cluster.Node, a *keyAnswer) error {
	const op = "target.ask"
	silent := func(err error) error {
		return errs.F(op, o, errs.Busy, "%s, which may have it, does not answer: %w", h.ID, err)
	}
	if !h.Alive {
		return errs.F(op, o, errs.Busy, "%s, which may have it, does not answer", h.ID)
	}
	slots := x.slots(h.ID)
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return silent(ctx.Err())
	}
	a.from = h
	rep, err := x.node.Client.Do(ctx, &httpx.Call{Method: "GET", URL: keyURL(o, h, false)})
	if err != nil {
		if errs.Is(err, errs.StaleMap, errs.NoBucket, errs.Corrupt, errs.Mountpath) {
			return errs.E(op, o, err)
		}
		return silent(err)
	}
	if a.state, err = parseKeyState(rep.Header(headerKeyState)); err != nil {
		rep.Close()
		return errs.E(op, o, err)
	}
	b, err := rep.ReadAll(shortFrame)
	if err != nil {
		return silent(err)
	}
	if len(b) > 0 {
		a.frame = b
	}
	return nil
}

// slots bounds the questions to one node.
func (x *touches) slots(id cluster.NodeID) chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.asked[id]
	if s == nil {
		s = make(chan struct{}, askedAtOnce)
		x.asked[id] = s
	}
	return s
}

func keyURL(o *node.Object, h *cluster.Node, whole bool) string {
	b := append([]byte("http://"), h.IntraAddr...)
	b = strconv.AppendUint(append(b, pathKeys+"/"...), o.Bucket.ID, 10)
	b = httpx.AppendPath(append(b, '/'), o.Key)
	b = strconv.AppendUint(append(b, "?"+queryEpoch+"="...), o.View.Map.Epoch, 10)
	if whole {
		b = append(b, "&"+queryWhole+"=1"...)
	}
	return string(b)
}

// pull imports a long key.
func (x *touches) pull(ctx context.Context, o *node.Object, h *cluster.Node, opts store.ImportOptions) error {
	const op = "target.pull"
	select {
	case x.pulls <- struct{}{}:
		defer func() { <-x.pulls }()
	case <-ctx.Done():
		return errs.E(op, o, errs.Busy, ctx.Err())
	}
	ctx, stop := x.whileAlive(ctx, h.ID)
	defer stop()
	rep, err := x.node.Client.Do(ctx, &httpx.Call{Method: "GET", URL: keyURL(o, h, true)})
	if err == nil && rep.Len == 0 { // it has moved, and been swept
		rep.Close()
		return errs.F(op, o, errs.StaleMap, "is not with %s any more", h.ID)
	}
	if err == nil {
		_, err = x.store.ImportStream(ctx, &current{x: x, o: o, from: h.ID, r: rep.Body}, opts)
		rep.Close()
	}
	if errs.Is(err, errs.Canceled, errs.Timeout, errs.Unavailable) { // the holder's doing, not the client's
		return errs.F(op, o, errs.Busy, "%s %w: %w", h.ID, errStopped, err)
	}
	return err
}

// whileAlive returns a context that ends when a node is lost: who waits for a machine whose power is gone keeps others from their keys.
func (x *touches) whileAlive(ctx context.Context, id cluster.NodeID) (alive context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			v := x.node.Control().View()
			if n := v.Map.Nodes[id]; n == nil || !n.Alive {
				cancel()
				return
			}
			select {
			case <-x.node.Control().Watch(v.Index):
			case <-ctx.Done():
			}
		}
	})
	return ctx, func() { cancel(); wg.Wait() }
}

// errStopped is that a long key did not come whole.
var errStopped = errors.New("stopped sending it")

// current is a frame on its way, which is worth nothing any more once an epoch begins.
type current struct {
	x    *touches
	o    *node.Object
	from cluster.NodeID
	r    io.Reader
}

// Read implements io.Reader.
func (r *current) Read(p []byte) (int, error) {
	mark, err := r.x.store.Mark(r.o.Name())
	if err == nil {
		err = r.x.mayTake(r.o, r.from, mark)
	}
	if err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// serveKey answers an owner's question. From the answer on this node commits nothing under a map that is older than the owner's: whoever commits
// looks at the newest map under the key's lock, and the export takes that lock.
func (x *touches) serveKey(c *httpx.Ctx) error {
	const op = "target.serveKey"
	epoch, err := strconv.ParseUint(c.Query(queryEpoch), 10, 64)
	if err != nil {
		return errs.F(op, queryEpoch, errs.Invalid, "%q is not a number", c.Query(queryEpoch))
	}
	o, err := x.node.ResolveByID(c, c.Rest())
	if err != nil {
		return err
	}
	if err := x.fence(c.Context(), &o, epoch); err != nil {
		return err
	}
	e, err := x.store.ExportKey(o.Name())
	switch {
	case errs.Is(err, errs.NotFound):
		if err := x.fence(c.Context(), &o, epoch); err != nil { // that its bucket has gone just now is not the same as having nothing
			return err
		}
		c.SetHeader(headerKeyState, appendKeyState(&ownership.State{}))
		return c.SendBytes(nil)
	case err != nil:
		return errs.E(op, &o, err)
	}
	defer e.Close()
	if err := x.fence(c.Context(), &o, epoch); err != nil { // it may have become the owner's own meanwhile
		return err
	}
	state := e.State()
	s := StateOf(&state)
	c.SetHeader(headerKeyState, appendKeyState(&s))
	switch {
	case c.HasQuery(queryWhole):
		return c.Send(e.Len(), exported{e, &x.fetched})
	case e.Len() > shortFrame:
		return c.SendBytes(nil)
	}
	b, err := e.AppendTo(make([]byte, 0, e.Len()))
	if err != nil {
		return errs.E(op, &o, err)
	}
	x.fetched.Add(int64(len(b)))
	return c.SendBytes(b)
}

// Fetched is how many bytes of keys their owners have fetched from here.
func (x *touches) Fetched() int64 { return x.fetched.Load() }

// exported is a key as a reply.
type exported struct {
	*store.Export
	sent *atomic.Int64 // bytes
}

// WriteBody implements httpx.Source.
func (x exported) WriteBody(w io.Writer) error {
	n, err := x.WriteTo(w)
	x.sent.Add(n)
	return err
}

// Close implements httpx.Source; who made the export closes it.
func (exported) Close() {}

// fence resolves o in a view of exactly the epoch, the newest: an older one is left behind for ever, and in a newer one the question is stale.
func (x *touches) fence(ctx context.Context, o *node.Object, epoch uint64) error {
	const op = "target.fence"
	if !x.node.Control().Ready() {
		return errs.E(op, o, errs.Unavailable, "this node has not been accepted by its cluster yet")
	}
	v := x.node.Control().View()
	ok, behind := ownership.Answers(v, epoch)
	if behind {
		var err error
		if v, err = x.node.Control().Latest(ctx); err != nil {
			return errs.E(op, "cluster map", err)
		}
		ok, _ = ownership.Answers(v, epoch)
	}
	if !ok {
		return errs.F(op, o, errs.StaleMap, "was asked for in epoch %d, this node knows epoch %d", epoch, v.Map.Epoch)
	}
	b := v.BucketByID(o.Bucket.ID)
	if b == nil {
		return errs.E(op, o.Bucket.String(), errs.NoBucket, "bucket was destroyed")
	}
	o.View, o.Bucket, o.Owner = v, b, v.Owner(b, o.Key)
	return nil
}
