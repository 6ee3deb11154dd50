package control

import (
	"context"
	"fmt"

	"aistore/cluster"
	"aistore/errs"
)

// spaceKept is how much of the file system of the node's directory stays free of changes that somebody asks for and that make the
// state longer; on a small one it is a sixteenth. What the log has beyond it (logReserve) is for votes, and for changes that the
// cluster cannot do without: a snapshot, without which the log only grows, needs space as well, and a log that cannot be written ends
// the node.
const spaceKept = 8 << 20

// space is the free space of the file system of dir and its size, in bytes; 0 and 0 where that cannot be told.
type space func(dir string) (free, total int64)

// cramped says that the disk of the node's directory is full; "" if it is not.
func (c ownDisk) cramped() string {
	free, total := c.cfg.space(c.cfg.Dir)
	if keep := min(spaceKept, total/16); free < keep {
		return fmt.Sprintf("the disk of its directory %s is full: %d bytes are left, %d are kept for the replicated log: free some space", c.cfg.Dir, free, keep)
	}
	return ""
}

// look makes a report of the disk of the node's directory one of its alerts, and remembers it.
func (c ownDisk) look(ctx context.Context, r *Report) {
	var text string
	if returned, _ := within(ctx, func() error { text = c.cramped(); return nil }); !returned {
		return
	}
	c.full.Store(&text)
	if text != "" {
		r.Alerts = append(r.Alerts, text)
	}
}

// room refuses a change that makes the state longer while this node's disk is full: kind Full.
func (c ownDisk) room(cmd cluster.Command) error {
	switch cmd.(type) {
	case cluster.CreateBucket, cluster.SetBucketProps, cluster.AddUser, cluster.SetUser, cluster.AddKey:
	default:
		return nil
	}
	if text := c.full.Load(); text != nil && *text != "" {
		return errs.F("control.room", cmd.Op(), errs.Full, "%s: %s", c.cfg.Self.ID, *text)
	}
	return nil
}
