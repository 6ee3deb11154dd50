package control

import (
	"context"
	"sync"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
)

// Disks are a target's own, which know of its starts (docs/design/ownership.md, rule 11).
type Disks interface {
	// Boot is the id of this start. It is on every disk.
	Boot() string
	// Judge reports whether the disks know of the start that was accepted last; "" = none was. If not, what they hold is of an earlier time, and the process
	// is about to end and put it aside. twin is where another process served under the node's id while this one waited, "" = none did: the node's own disks are
	// with that one, if those here do not know; an error ends the process.
	Judge(last, twin string) (known bool, err error)
}

// starter is how a start of this target is let in.
type starter struct{ *Control }

// isStart reports whether n, as the map has it, is what this process may stand for: its own start was accepted, or no start is noted yet.
func (c starter) isStart(n *cluster.Node) bool {
	return c.cfg.Disks == nil || n.Boot == "" || n.Boot == c.cfg.Disks.Boot()
}

// open reports whether this start has not been accepted.
func (c starter) open(n *cluster.Node) bool {
	return c.cfg.Disks != nil && n != nil && n.Boot != c.cfg.Disks.Boot()
}

// tell hands on what the primary says was accepted last. What it said before is of no use any more.
func (c starter) tell(last string) {
	select {
	case <-c.told:
	default:
	}
	select {
	case c.told <- last:
	default: // only one tells, so there is room
	}
}

// announce has the primary accept this start of a target. A start that was accepted in between makes it a question for the disks again.
func (c starter) announce(ctx context.Context) error {
	if c.cfg.Disks == nil {
		return nil
	}
	for {
		var last string
		select {
		case last = <-c.told:
		case <-ctx.Done():
			return nil
		}
		twin := ""
		if at := c.twin.Load(); at != nil {
			twin = *at
		}
		known, err := c.cfg.Disks.Judge(last, twin)
		if err != nil {
			return err
		}
		if !known {
			<-ctx.Done()
			return nil
		}
		if err := failpoint.Hit("start.before-accept"); err != nil {
			return err
		}
		_, err = c.Propose(ctx, cluster.AcceptStart{ID: c.cfg.Self.ID, Last: last, Boot: c.cfg.Disks.Boot()})
		if err != nil && ctx.Err() == nil && !errs.Is(err, errs.Conflict) { // another start was: the next answer tells which
			c.log.Warn("this start is not accepted yet", "node", c.cfg.Self.ID, "err", err)
		}
		_ = failpoint.Hit("start.after-accept") // only a kill matters
		c.beatNow()
	}
}

// startOpen reports whether the sender's start is still to be accepted. It is not asked for while somebody runs a release that knows nothing of
// starts: then none was noted, and nobody can tell disks from their copies.
func (r *reign) startOpen(n *cluster.Node, hb heartbeat) bool {
	if !n.Role.Target() || hb.Start == n.Boot {
		return false
	}
	m := r.m.fsm.machine().Map
	if m.Starts() {
		return true
	}
	needs := cluster.Needs(cluster.AcceptStart{})
	for _, level := range r.led.levels(m) {
		if level < needs {
			return false
		}
	}
	return true
}

// turns wakes who waits for Ready.
type turns struct {
	mu sync.Mutex
	ch chan struct{} // nil = nobody waits
}

func (t *turns) tell() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ch != nil {
		close(t.ch)
		t.ch = nil
	}
}

func (t *turns) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ch == nil {
		t.ch = make(chan struct{})
	}
	return t.ch
}

// AwaitReady returns when Ready is true, or ctx has ended.
func (c *Control) AwaitReady(ctx context.Context) error {
	for {
		turn := c.turns.next() // before the look
		if c.Ready() {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
