package control

import (
	"context"
	"slices"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// Times of the loop that takes nodes in.
const (
	takeInLook  = 100 * time.Millisecond // between looks at who waits, whose disks no view tells of
	takeInRetry = 5 * time.Second        // after a refusal
)

// takeIn joins the targets that stand by and did not ask to be left alone. Those that come within rebalance.join_delay of each other are
// taken in together, so that names move once.
func (r *reign) takeIn(ctx context.Context) error {
	var w waiting
	for {
		v := r.c.View()
		changed := r.c.Watch(v.Index)
		now, others := r.newcomers(v)
		ids, pause := w.due(now, others, v.Config.Rebalance.JoinDelay.D(), time.Now())
		if len(ids) > 0 {
			mv := cluster.MoveNodes{IDs: ids, Step: cluster.JoinNode, Still: true}
			mv.Still = r.understood(mv) == nil
			if res, err := r.propose(ctx, "", mv); err != nil && ctx.Err() == nil {
				r.c.log.Warn("cannot take new targets into service yet", "nodes", ids, "err", err)
				pause = takeInRetry
			} else if err == nil {
				r.c.log.Info("new targets taken into service", "nodes", ids, "rebalance", res.Rebalance)
				continue
			}
		}
		if pause == 0 {
			pause = time.Hour // a view that changes ends it
		}
		t := time.NewTimer(pause)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
		}
		if t.Stop(); ctx.Err() != nil {
			return nil
		}
	}
}

// newcomers lists who may be taken in: alive, and with disks that hold nothing of an earlier membership. waits reports whether there are
// others, which the next look may find.
func (r *reign) newcomers(v *cluster.View) (ids []cluster.NodeID, waits bool) {
	for _, n := range v.Map.All() {
		if n.State != cluster.Standby || n.Phase != "" || n.Manual {
			continue
		}
		if n.Alive && r.led.era(n.ID) == n.Era {
			ids = append(ids, n.ID)
		} else {
			waits = true
		}
	}
	return ids, waits
}

// waiting collects newcomers.
type waiting struct {
	ids   []cluster.NodeID
	first time.Time // when the first of them came
	last  time.Time // when the last did
}

// maxDelays bounds how often a newcomer may make the others wait for one more.
const maxDelays = 10

// due returns who is to be taken in now, and when to look again at the latest; 0 = when the view changes.
func (w *waiting) due(now []cluster.NodeID, others bool, delay time.Duration, at time.Time) (ids []cluster.NodeID, pause time.Duration) {
	if len(now) == 0 {
		*w = waiting{}
		if others {
			return nil, takeInLook
		}
		return nil, 0
	}
	if len(w.ids) == 0 {
		w.first = at
	}
	if !slices.Equal(w.ids, now) {
		w.ids, w.last = now, at
	}
	end := w.last.Add(delay)
	if latest := w.first.Add(maxDelays * delay); latest.Before(end) {
		end = latest
	}
	if at.Before(end) {
		return nil, min(end.Sub(at), max(takeInLook, delay/4))
	}
	return now, takeInLook
}

// sameEra refuses to take nodes in whose disks still hold what they had before they were removed from the map, or what was superseded.
func (r *reign) sameEra(cmd cluster.Command) error {
	mv, ok := cmd.(cluster.MoveNodes)
	if !ok || mv.Step != cluster.JoinNode && mv.Step != cluster.StopMaintenance {
		return nil
	}
	m := r.m.fsm.machine().Map
	for _, id := range mv.IDs {
		if n := m.Nodes[id]; n != nil && n.Role.Target() && n.Alive && r.led.era(id) != n.Era {
			return errs.E("control.Propose", string(id), errs.Conflict, "has not yet set aside what its disks hold of an earlier time: try again in a moment")
		}
	}
	return nil
}
