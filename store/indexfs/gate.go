package indexfs

import (
	"sync"
	"sync/atomic"
	"time"

	"aistore/errs"
)

// Gate counts who is inside an index: pebble's memory may not go while anyone is. Idle it costs two atomic additions a call.
type Gate struct {
	inside  atomic.Int64 // from gateShut up once no one may enter any more
	shut    chan struct{}
	onShut  sync.Once
	empty   chan struct{}
	onEmpty sync.Once
}

// gateShut is added to the count when the gate is shut.
const gateShut = -1 << 40

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{shut: make(chan struct{}), empty: make(chan struct{})} }

// Enter lets the caller in, who must leave; or it is kind Unavailable.
func (g *Gate) Enter() error {
	if g.inside.Add(1) > 0 {
		return nil
	}
	g.Leave()
	return errClosing()
}

func errClosing() error {
	return errs.E("indexfs.Enter", "", errs.Unavailable, "the mountpath, or the store, is closing")
}

// Leave undoes Enter.
func (g *Gate) Leave() {
	if g.inside.Add(-1) == gateShut {
		g.onEmpty.Do(func() { close(g.empty) })
	}
}

// Drain shuts the gate and reports whether everyone left within the bound. Of those who did not, letGo is told; they get a
// little longer.
func (g *Gate) Drain(bound time.Duration, letGo func()) bool {
	g.onShut.Do(func() {
		close(g.shut)
		g.inside.Add(gateShut + 1)
		g.Leave()
	})
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case <-g.empty:
		return true
	case <-late.C:
	}
	letGo()
	late.Reset(bound / 4)
	select {
	case <-g.empty:
		return true
	case <-late.C:
		return false
	}
}
