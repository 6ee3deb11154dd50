package rebalance

import (
	"context"
	"slices"
	"strconv"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/object"
	"aistore/store"
)

// handOver gives the append sessions of a node that owns nothing any more to the owners of their names: it may be off, or gone, when their clients go on.
// A node that stays keeps them, and is asked for them (target/adopt.go). False when ctx has ended before.
func (m *move) handOver(ctx context.Context) bool {
	if n := m.view.Map.Nodes[m.self]; n == nil || n.InService() {
		return true
	}
	var pause backoff
	for {
		waits := m.handOverOnce(ctx)
		if ctx.Err() != nil {
			return false
		}
		m.gen.setWaiting(waits)
		if len(waits) == 0 {
			return true
		}
		if !m.wait(ctx, pause.next(), waits) {
			return false
		}
	}
}

// handOverOnce tries each session once and returns who has to be waited for.
func (m *move) handOverOnce(ctx context.Context) (waits []string) {
	sessions, err := m.store.Appendings()
	if err != nil {
		m.gen.fault(err)
		m.log.Warn("rebalance: append sessions could not be read", "id", cluster.GenerationID(m.is.epoch), "err", err)
		return []string{string(m.self)}
	}
	for _, a := range sessions {
		b := m.view.BucketByID(a.Name.Bucket)
		if b == nil {
			continue // destroyed
		}
		owner := m.view.Owner(b, a.Name.Key)
		if owner == nil || owner.ID == m.self || slices.Contains(waits, string(owner.ID)) {
			continue
		}
		err := m.handOverOne(ctx, a, owner.ID)
		if ctx.Err() != nil {
			return nil
		}
		if id := m.blames(err, owner.ID); id != "" {
			waits = append(waits, string(id))
		}
		if err != nil && !errs.Is(err, errs.NotFound) {
			m.gen.fault(err)
			m.log.Warn("rebalance: an append session was not handed over", "id", cluster.GenerationID(m.is.epoch), "owner", string(owner.ID), "session", a.String(), "err", err)
		}
	}
	slices.Sort(waits)
	return slices.Compact(waits)
}

// unreadable is why a session cannot be read here.
type unreadable struct{ error }

// Unwrap lets its kind be seen.
func (u unreadable) Unwrap() error { return u.error }

// blames returns the node that a session waits for, "" if it does not wait: it is there, has ended, is lost here, or its owner's release knows nothing of
// this. No object waits for what nobody has flushed.
func (m *move) blames(err error, owner cluster.NodeID) cluster.NodeID {
	u, here := err.(unreadable) //nolint:errorlint // handOverOne's own
	switch {
	case err == nil || errs.Is(err, errs.NotFound, errs.NoBucket):
		return ""
	case here && errs.Is(u, errs.Conflict):
		return m.self // an append is under way
	case here:
		return ""
	}
	return owner
}

func (m *move) handOverOne(ctx context.Context, a store.Appending, owner cluster.NodeID) error {
	l, err := m.store.LeaveAppend(ctx, a)
	if err != nil {
		return unreadable{err}
	}
	defer l.Close()
	if err := m.gate.spend(ctx, l.Len()); err != nil {
		return err
	}
	if !m.flights.begin() {
		return errGrounded()
	}
	defer m.flights.end()
	n := m.control.View().Map.Nodes[owner]
	if n == nil || !n.Alive {
		return errs.E("rebalance.handOver", string(owner), errs.Unavailable, "does not answer")
	}
	ctx, stop := m.whileAlive(ctx, owner)
	defer stop()
	rep, err := m.client.Do(ctx, &httpx.Call{
		Method: "POST", URL: "http://" + n.IntraAddr + Path + "/" + strconv.FormatUint(m.is.epoch, 10) + "/" + string(m.self) + "/append",
		StreamLen: l.Len(), Source: l.Send,
	})
	if err != nil {
		return err
	}
	rep.Close()
	if err := l.End(); err != nil {
		return unreadable{err}
	}
	return nil
}

// whileAlive returns a context that ends when the node is lost, too. Call stop.
func (m *move) whileAlive(ctx context.Context, id cluster.NodeID) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		for ctx.Err() == nil {
			v := m.control.View()
			if n := v.Map.Nodes[id]; n == nil || !n.Alive {
				return
			}
			select {
			case <-m.control.Watch(v.Index):
			case <-ctx.Done():
			}
		}
	}()
	return ctx, func() { cancel(); <-done }
}

// appended takes an append session.
func (r *receiver) appended() error {
	size := r.c.BodyLen()
	if size < 0 {
		return errs.E("rebalance.receive", "body", errs.Invalid, "has no length")
	}
	if err := r.inbox.take(streamCost); err != nil {
		return err
	}
	defer r.inbox.give(streamCost)
	err := r.store.TakeAppend(r.c.Context(), r.c.Body(), size, func(n object.Name) error { return r.guard(n, store.KeyState{}) })
	if err != nil {
		return err
	}
	return r.c.SendBytes(nil)
}
