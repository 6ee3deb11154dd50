package control

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
)

// follow keeps this node's view new by asking a member for what is newer, again and again; the member holds
// its answer until there is something. Voters do so too: by the log alone they would learn of a commit only
// with the one after it.
func (c *Control) follow(ctx context.Context) error {
	if _, err := c.views.wait(ctx, 1); err != nil {
		return nil
	}
	failed := 0                              // times in a row
	silent := map[cluster.NodeID]time.Time{} // until when a member is left alone
	for ctx.Err() == nil {
		_, elsewhere := c.leader.get()
		v := c.View()
		id := c.source(v, silent)
		var pause time.Duration
		if c.reign.Load() != nil || id == "" {
			pause = time.Second
		} else if err := c.poll(ctx, id, c.cfg.Timing.LongPoll); err != nil && ctx.Err() == nil {
			c.log.Debug("a member is silent", "node", id, "err", err)
			silent[id] = time.Now().Add(silence)
			if failed++; failed > len(v.Map.Voters()) { // a round over the voters costs no time
				pause = min(time.Duration(failed)*20*time.Millisecond, time.Second)
			}
		} else {
			failed = 0
		}
		if pause > 0 {
			t := time.NewTimer(pause)
			select {
			case <-elsewhere:
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
		}
	}
	return nil
}

// silence is how long a member that did not answer is not asked again, if there is another.
const silence = 10 * time.Second

// source chooses the member to follow. A voter follows the primary, to be up to date for its own followers;
// the others spread over the voters.
func (c *Control) source(v *cluster.View, silent map[cluster.NodeID]time.Time) cluster.NodeID {
	now, self := time.Now(), c.cfg.Self.ID
	usable := func(id cluster.NodeID) bool { return id != self && now.After(silent[id]) }
	leader, _ := c.leader.get()
	if c.member.Load() != nil && leader != nil && usable(leader.id) {
		return leader.id
	}
	me := cluster.NodeDigest(string(self))
	nodes := v.Map.All()
	slices.SortStableFunc(nodes, func(a, b *cluster.Node) int {
		if a.Voter != b.Voter {
			return cmp.Compare(b2i(b.Voter), b2i(a.Voter))
		}
		if a.Alive != b.Alive {
			return cmp.Compare(b2i(b.Alive), b2i(a.Alive))
		}
		if al, bl := leader != nil && a.ID == leader.id, leader != nil && b.ID == leader.id; al != bl {
			return cmp.Compare(b2i(al), b2i(bl)) // the primary has enough to do
		}
		return cmp.Compare(cluster.Mix(me, a.Digest), cluster.Mix(me, b.Digest))
	})
	for _, n := range nodes {
		if usable(n.ID) && n.State != cluster.Decommissioned {
			return n.ID
		}
	}
	if leader != nil && leader.id != self {
		return leader.id
	}
	return ""
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// catchUp asks the primary itself: it told of a view that the member we follow does not give.
func (c *Control) catchUp(ctx context.Context) {
	l, _ := c.leader.get()
	if l == nil || l.id == c.cfg.Self.ID {
		return
	}
	if err := c.poll(ctx, l.id, 0); err != nil && ctx.Err() == nil {
		c.log.Debug("the primary gave no view", "node", l.id, "err", err)
	}
}

// poll asks one node for what is newer than this node's view.
func (c *Control) poll(ctx context.Context, id cluster.NodeID, hold time.Duration) error {
	v := c.View()
	q := sinceQuery(v.Since())
	q.Set("wait", hold.String())
	var u cluster.Update
	if err := c.call(ctx, hold+3*time.Second, "GET", "http://"+c.book.addr(id)+pathView+"?"+q.Encode(), nil, &u); err != nil {
		return err
	}
	return c.take(u)
}

// take applies an update to the view at hand.
func (c *Control) take(u cluster.Update) error {
	v, err := c.View().With(u)
	if err != nil {
		return err
	}
	c.accept(v)
	return nil
}

func sinceQuery(s cluster.Since) url.Values {
	return url.Values{"after": {uitoa(s.Index)}, "map": {uitoa(s.Map)}, "buckets": {uitoa(s.Buckets)}, "config": {uitoa(s.Config)}, "users": {uitoa(s.Users)}}
}

func uitoa(n uint64) string { return strconv.FormatUint(n, 10) }

// keepView writes the newest view to disk, at most twice a second, so that a restarted node knows whom to
// ask. Failure costs only that: the view is a copy.
func (c *Control) keepView(ctx context.Context) error {
	hangs := false   // the last write was left behind
	var saved uint64 // what is on disk; a voter may know more by now, from its log
	if v, err := statedir.LoadView(c.cfg.Dir); err == nil && v != nil {
		saved = v.Index
	}
	save := func() (pause time.Duration) {
		v := c.View()
		if v == nil || v.Index <= saved || hangs {
			return 500 * time.Millisecond
		}
		returned, err := within(ctx, func() error { return statedir.SaveView(c.cfg.Dir, v) })
		if hangs = !returned; hangs {
			c.log.Warn("the view is not kept: the disk does not answer", "dir", c.cfg.Dir)
			return 0
		}
		if err != nil {
			c.log.Warn("cannot keep the view on disk", "err", err)
			return 10 * time.Second
		}
		saved = v.Index
		return 500 * time.Millisecond
	}
	for {
		select {
		case <-c.Watch(saved):
		case <-ctx.Done():
			save()
			return nil
		}
		t := time.NewTimer(save())
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}
