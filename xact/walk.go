package xact

import (
	"context"
	"slices"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// shares gives every name to one of the targets that take part: to its owner when the job began.
type shares struct {
	of    []cluster.Placed
	cands []cluster.Candidate
}

func sharesOf(ps []cluster.Placed) shares {
	s := shares{of: ps}
	for _, p := range ps {
		s.cands = append(s.cands, cluster.Candidate{Digest: cluster.NodeDigest(string(p.ID)), Weight: p.Weight})
	}
	return s
}

// mine reports whether a name is of this share.
func (j *run) mine(key string) bool {
	i := cluster.Pick(cluster.Digest(j.from.Seed, key), j.shares.cands)
	return i >= 0 && j.shares.of[i].ID == j.of
}

// atHome reports whether all names of this share are on this target's own disks by v.
func (j *run) atHome(v *cluster.View) bool {
	if j.of != j.rt.cfg.Self || len(v.Map.Former) > 0 {
		return false
	}
	return slices.EqualFunc(v.Map.Targets(), j.shares.of, func(n *cluster.Node, p cluster.Placed) bool { return n.ID == p.ID && n.Weight == p.Weight })
}

// chunk is how many names are read at once from this target's own disks.
const chunk = 1024

// walk yields this share of the names under a prefix, in byte order behind after: from this target's own disks as long as the share is there, otherwise
// from the list that all targets make. Every name that is there from the walk's beginning to its end is yielded, also when names move meanwhile.
func (j *run) walk(ctx context.Context, prefix, after string, yield func(key string, size int64) bool) error {
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var some []Found
		var err error
		some, after, err = j.someNames(ctx, prefix, after)
		if err != nil {
			return err
		}
		for _, f := range some {
			if !yield(f.Key, f.Size) {
				return nil
			}
		}
		more = after != ""
	}
	return nil
}

// someNames returns the next names of the share and where to go on, "" at the end.
func (j *run) someNames(ctx context.Context, prefix, after string) (some []Found, next string, err error) {
	v := j.rt.cfg.Map.View()
	if j.atHome(v) {
		some, next, err = j.ownNames(ctx, prefix, after)
		// Names leave a disk only after the map has said that they may.
		if now := j.rt.cfg.Map.View(); err != nil || now.Map.Stage == v.Map.Stage && now.Map.Epoch == v.Map.Epoch {
			return some, next, err
		}
	}
	if j.rt.cfg.Pages == nil {
		return nil, "", errs.E("xact.walk", "job "+j.spec.ID, errs.StaleMap, "names have moved since the job began")
	}
	some, next, err = j.page(ctx, prefix, after)
	return slices.DeleteFunc(some, func(f Found) bool { return !j.mine(f.Key) }), next, err
}

// Patience of a walk whose list a target does not answer: it may be starting again.
const (
	listPatience = 2 * time.Minute
	listPause    = 500 * time.Millisecond
)

// page lists names over all targets, and waits for those that do not answer.
func (j *run) page(ctx context.Context, prefix, after string) (some []Found, next string, err error) {
	for until := j.rt.cfg.Now().Add(listPatience); ; {
		some, next, err = j.rt.cfg.Pages(ctx, j.from.ID, prefix, after)
		if err == nil || !errs.KindOf(err).Retryable() || j.leaves.Load() || j.rt.cfg.Now().After(until) {
			return some, next, err
		}
		select {
		case <-time.After(listPause):
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
}

// ownNames reads a chunk from this target's own disks.
func (j *run) ownNames(ctx context.Context, prefix, after string) (some []Found, next string, err error) {
	some = make([]Found, 0, chunk)
	err = j.rt.cfg.Objects.Names(ctx, j.from.ID, prefix, after, func(o *object.Info) bool {
		if len(some) == chunk {
			next = some[chunk-1].Key
			return false
		}
		some = append(some, Found{o.Key, o.Size})
		return true
	})
	if err == nil {
		err = j.rt.cfg.Map.Lease()
	}
	return some, next, err
}

// underPrefix yields this share of the names under a prefix.
func (j *run) underPrefix(prefix string) names {
	return func(ctx context.Context, from Mark, yield func(string, int64) bool) error {
		return j.walk(ctx, prefix, from.After, yield)
	}
}
