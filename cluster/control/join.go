package control

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
)

// entrance is how this node becomes part of a cluster, and finds it again.
type entrance struct{ *Control }

// check refuses a node that is part of no cluster and has no way into one. What its mountpaths say counts: a node that lost its directory alone is
// told from one that never had a cluster.
func (c entrance) check() error {
	inside, err := c.inside()
	if err != nil || inside || len(c.cfg.Join) > 0 || c.cfg.Bootstrap || c.identity.Cluster != "" {
		return err
	}
	return errs.E("control.Open", "join", errs.Invalid,
		"is not set, and this node belongs to no cluster yet: start it with --join and the URL of any node of its cluster (http://HOST:PORT), or with --bootstrap if it is to found a new one")
}

// inside reports whether the node has state of a cluster.
func (c entrance) inside() (bool, error) {
	log, err := durable.Exists(c.raftDir())
	return log || c.View() != nil, err
}

// enter makes this node part of a cluster if it is part of none: it joins one, or founds one if it may.
// A node with state of its own never founds: it waits for its cluster.
func (c entrance) enter(ctx context.Context) error {
	if inside, err := c.inside(); err != nil || inside {
		return err
	}
	c.mu.Lock()
	belongs := c.identity.Cluster
	c.mu.Unlock()
	pause := 50 * time.Millisecond
	for tries := 0; ; tries++ {
		found, err := c.joinOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && found:
			return nil
		case errs.Is(err, errs.Forbidden, errs.Invalid):
			return err
		case !found && c.cfg.Bootstrap && belongs == "":
			c.log.Info("founding a new cluster", "node", c.cfg.Self.ID)
			_, err := c.takeSeat(ctx, true)
			return err
		}
		if tries&(tries-1) == 0 { // 0, 1, 2, 4 ...
			c.logOutside(belongs, err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		pause = min(2*pause, 2*time.Second)
	}
}

func (c entrance) logOutside(belongs string, err error) {
	if len(c.cfg.Join) > 0 {
		c.log.Warn("cannot join yet", "urls", c.cfg.Join, "err", err)
		return
	}
	c.log.Error("this node belongs to a cluster, but its directory does not hold the cluster's state: give it `join` URLs",
		"cluster", belongs, "dir", c.cfg.Dir)
}

// joinOnce asks every URL until one lets this node in. found reports whether any answered with a cluster.
func (c entrance) joinOnce(ctx context.Context) (found bool, err error) {
	const op = "control.join"
	var all []error
	for _, base := range c.cfg.Join {
		info, err := c.joinInfo(ctx, base)
		if err != nil {
			all = append(all, err)
			continue
		}
		found = true
		for _, n := range info.Nodes {
			if n.ID == c.cfg.Self.ID {
				continue
			}
			if nowhere(n.Addr) {
				all = append(all, errs.F(op, base, errs.Unavailable, "its node %s is to be called at %s, which is everybody's address: set its host to one of its own", n.ID, n.Addr))
				continue
			}
			err := c.joinAt(ctx, n.Addr)
			if err == nil || errs.Is(err, errs.Forbidden, errs.Invalid) || ctx.Err() != nil {
				return true, err
			}
			all = append(all, err)
		}
	}
	if err := errors.Join(all...); err != nil {
		return found, errs.E(op, string(c.cfg.Self.ID), errs.Unavailable, err)
	}
	return found, errs.E(op, string(c.cfg.Self.ID), errs.Unavailable, "no join URL leads to a cluster")
}

// nowhere reports whether an address leads to whoever calls it.
func nowhere(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsUnspecified()
}

func (c entrance) joinInfo(ctx context.Context, base string) (joinInfo, error) {
	var info joinInfo
	base = strings.TrimSuffix(base, "/")
	if base == c.cfg.Self.PublicURL {
		return info, errs.E("control.join", base, errs.Unavailable, "is this node itself")
	}
	err := c.call(ctx, 2*time.Second, "GET", base+pathJoinInfo, nil, &info)
	return info, err
}

// joinAt asks one member to let this node in, and takes the view from its answer.
func (c entrance) joinAt(ctx context.Context, addr string) error {
	c.mu.Lock()
	req := joinRequest{UUID: c.identity.Cluster, Node: c.announced()}
	c.mu.Unlock()
	var u cluster.Update
	if err := c.call(ctx, c.cfg.Timing.GiveUp+5*time.Second, "POST", "http://"+addr+pathJoin, req, &u); err != nil {
		return err
	}
	if err := c.take(u); err != nil {
		return err
	}
	c.log.Info("joined", "node", c.cfg.Self.ID, "cluster", u.UUID)
	return nil
}

// discover asks the join URLs where the members are now.
func (c entrance) discover(ctx context.Context) {
	v := c.View()
	for _, base := range c.cfg.Join {
		info, err := c.joinInfo(ctx, base)
		if err != nil || info.UUID != v.Map.UUID {
			continue
		}
		for _, n := range info.Nodes {
			if n.ID != c.cfg.Self.ID {
				c.book.learn(n.ID, n.Addr)
			}
		}
	}
}

// invitation asks for this node's copy of the log to be made, if there is none, and opened.
type invitation struct {
	found bool
	reply chan invited
}

type invited struct {
	logID string
	err   error
}

// takeSeat returns the id of this node's copy of the log, which it begins if need be.
func (c *Control) takeSeat(ctx context.Context, found bool) (string, error) {
	inv := invitation{found: found, reply: make(chan invited, 1)}
	select {
	case c.invite <- inv:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case r := <-inv.reply:
		return r.logID, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
