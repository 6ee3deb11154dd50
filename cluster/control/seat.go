package control

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster/control/statedir"
	"aistore/internal/durable"
	"aistore/internal/run"
)

// seat runs this node's copy of the log for as long as it has one, and makes one when invited.
func (c *Control) seat(ctx context.Context) error {
	cfg := memberConfig{
		node: c.cfg.Self.ID, dir: c.raftDir(), door: c.door, addrs: &c.book, publish: c.accept, timing: c.cfg.Timing, log: c.log, alert: ownDisk{c}.warn, stall: c.cfg.stall,
	}
	var guest *invitation
	for {
		there, err := durable.Exists(cfg.dir)
		if err != nil {
			return err
		}
		if !there {
			select {
			case inv := <-c.invite:
				guest = &inv
			case <-ctx.Done():
				return nil
			}
			if guest.found {
				err = statedir.Found(cfg.dir, cfg.node, cfg.door.addr)
			} else if err = statedir.Create(cfg.dir, cfg.node); err != nil {
				c.log.Warn("this node cannot begin a copy of the log: it goes on without a vote", "dir", cfg.dir, "err", err)
				guest.reply <- invited{err: err}
				guest = nil
				continue // it has promised nothing yet
			}
		}
		var m *member
		if err == nil {
			m, err = openMember(context.WithoutCancel(ctx), cfg) // ends with close
		}
		if guest != nil {
			r := invited{err: err}
			if err == nil {
				r.logID = string(m.id)
			}
			guest.reply <- r
			guest = nil
		}
		if err != nil {
			return err
		}
		err = c.sit(ctx, m)
		if errors.Is(err, errStuck) {
			if err = (ownDisk{c}).outlast(ctx, m); err == nil && ctx.Err() == nil {
				continue
			}
		}
		if err != nil || ctx.Err() != nil {
			return err
		}
		c.log.Info("this node no longer votes", "log", m.id)
		if err := statedir.Drop(cfg.dir); err != nil {
			return err
		}
		c.logID.Store(nil)
		ownDisk{c}.warn("")
	}
}

func (c *Control) raftDir() string { return statedir.LogDir(c.cfg.Dir) }

var errRetired = errors.New("the log is not counted on any more")

// sit takes part with m until ctx ends, m fails, or its log is not needed any more, which is nil. After errStuck m is not closed yet.
func (c *Control) sit(ctx context.Context, m *member) error {
	id := string(m.id)
	c.logID.Store(&id)
	c.member.Store(m)
	g := run.NewGroup(ctx)
	g.Log = c.log
	g.Go("reign", func(ctx context.Context) error { return c.supervise(ctx, m) })
	g.Go("fault", m.wait)
	g.Go("invitations", func(ctx context.Context) error {
		for {
			select {
			case inv := <-c.invite:
				inv.reply <- invited{logID: string(m.id)}
			case gen := <-c.retire:
				if gen == c.invited.Load() {
					return errRetired
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
	err := g.Wait()
	c.member.Store(nil)
	if errors.Is(err, errStuck) {
		return err
	}
	if m.raft.State() == raft.Leader { // leave without making others wait for a timeout
		tctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_ = await(tctx, m.raft.LeadershipTransfer()) // nobody to hand over to, or too slow: they find out
		cancel()
	}
	if cerr := m.close(); err == nil {
		err = cerr
	}
	if errors.Is(err, errRetired) {
		err = nil
	}
	return err
}
