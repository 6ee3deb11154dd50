package command

import (
	"context"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api/client"
	"aistore/cluster"
	"aistore/errs"
)

// waiting waits for rebalances, and says what they wait for themselves.
type waiting struct {
	rebalanceVerbs
	c    *cli.Context
	sdk  *client.Client
	said string // what was told last
}

const (
	lookEvery   = 2 * time.Second // between looks at what a rebalance waits for
	lookWithin  = 5 * time.Second // of the last look, when the time to wait is over
	noRebalance = "nothing to wait for: no rebalance was needed so far"
)

// one waits for the rebalance of that id.
func (w *waiting) one(id string) error {
	ctx, cancel := limited(w.c)
	defer cancel()
	if err := w.until(ctx, id); err != nil {
		return err
	}
	s, err := w.sdk.Life().RebalanceJob(ctx)
	switch {
	case err == nil && s.UUID == id && w.none(ctx):
		return w.waited("", noRebalance)
	case err == nil && s.UUID != id && s.EndTime == 0:
		return w.waited(id, "rebalance "+id+" has ended; the newest is "+s.UUID+", which has not")
	case err == nil && s.UUID != id:
		return w.waited(id, "rebalance "+id+" has ended; the newest is "+s.UUID)
	}
	return w.waited(id, "rebalance "+id+" has ended")
}

// newest waits for whichever is the newest when it ends.
func (w *waiting) newest() error {
	ctx, cancel := limited(w.c)
	defer cancel()
	for {
		id, err := w.sdk.Life().NewestRebalance(ctx)
		if err != nil {
			return err
		}
		err = w.until(ctx, id)
		switch {
		case err == nil && w.none(ctx):
			return w.waited("", noRebalance)
		case err == nil:
			return w.waited(id, "rebalance "+id+" has ended")
		}
		if s, serr := w.sdk.Job(id).Status(ctx); serr != nil || s.Superseded == "" {
			return err
		}
	}
}

// none reports whether the cluster has had no rebalance.
func (w *waiting) none(ctx context.Context) bool {
	v, err := w.sdk.View(ctx)
	return err == nil && v.Map.Began.IsZero() && !v.Map.Rebalancing()
}

// until returns when the rebalance has ended. What it waits for is told whenever that changes, and when the time is over.
func (w *waiting) until(ctx context.Context, id string) error {
	for {
		step, cancel := context.WithTimeout(ctx, lookEvery)
		err := w.sdk.Job(id).Wait(step)
		look := err != nil && step.Err() != nil
		cancel()
		switch {
		case !look || w.c.Context.Err() != nil:
			return err
		case ctx.Err() != nil:
			return w.late(ctx, id)
		}
		if now := w.blockers(ctx, id); now != "" && now != w.said {
			w.said = now
			if !w.out.JSON {
				w.out.Notef("wait: rebalance %s waits for %s", id, now)
			}
		}
	}
}

// late is the error of a rebalance that has not ended in time.
func (w *waiting) late(ctx context.Context, id string) error {
	last, cancel := context.WithTimeout(w.c.Context, lookWithin)
	defer cancel()
	text := "has not ended within " + w.c.Duration("timeout").String()
	if now := w.blockers(last, id); now != "" { //nolint:contextcheck // ctx is over
		text += ": it waits for " + now
	}
	return errs.F("", "rebalance "+id, errs.KindOf(ctx.Err()), "%s", text)
}

// blockers tells what the newest rebalance waits for, "" if that is not known, or it is another one.
func (w *waiting) blockers(ctx context.Context, id string) string {
	r, err := w.sdk.Life().Rebalance(ctx)
	if err != nil || r.ID != id {
		return ""
	}
	v, err := w.sdk.View(ctx)
	if err != nil {
		return ""
	}
	for i, name := range r.Waiting {
		if n := v.Map.Nodes[cluster.NodeID(name)]; n != nil && !n.Alive {
			r.Waiting[i] += " (offline)"
		}
	}
	return strings.Join(r.Waiting, ", ")
}
