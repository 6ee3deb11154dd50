package control

import (
	"context"
	"fmt"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
)

// spaceKept is how much of the file system of the node's directory stays free of changes that somebody asks for and that make the
// state longer; on a small one it is a sixteenth. What the log has beyond it (logReserve) is for votes, and for changes that the
// cluster cannot do without: a snapshot, without which the log only grows, needs space as well, and a log that cannot be written ends
// the node.
const spaceKept = 8 << 20

// ailment is what is wrong with the node's directory: why changes that make the state longer are refused.
type ailment struct {
	kind errs.Kind
	text string
}

// examine returns what is wrong with the node's directory, nil if nothing is.
func (c ownDisk) examine() *ailment {
	if !durable.Same(c.lock) { // its files are written on, and nobody will find them again
		return &ailment{errs.Mountpath, fmt.Sprintf("its directory %s was removed or replaced while it runs: what it keeps of the cluster there is lost when it stops", c.cfg.Dir)}
	}
	free, total := c.cfg.space(c.cfg.Dir)
	if keep := min(spaceKept, total/16); free < keep {
		return &ailment{errs.Full, fmt.Sprintf("the disk of its directory %s is full: %d bytes are left, %d are kept for the replicated log: free some space", c.cfg.Dir, free, keep)}
	}
	return nil
}

// look makes what is wrong with the node's directory one of the report's alerts, and remembers it.
func (c ownDisk) look(ctx context.Context, r *Report) {
	var now *ailment
	if returned, _ := within(ctx, func() error { now = c.examine(); return nil }); !returned {
		return
	}
	if c.ails.Store(now); now != nil {
		r.Alerts = append(r.Alerts, now.text)
	}
}

// room refuses a change that makes the state longer while the directory of this node, the primary, does not keep it.
func (c ownDisk) room(cmd cluster.Command) error {
	if a := c.ails.Load(); a != nil && cluster.Lengthens(cmd) {
		return errs.F("control.room", cmd.Op(), a.kind, "%s: %s", c.cfg.Self.ID, a.text)
	}
	return nil
}
