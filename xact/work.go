package xact

import (
	"context"
	"encoding/json"
	"strings"

	"golang.org/x/sync/errgroup"

	"aistore/api"
	"aistore/errs"
	"aistore/object"
)

// names is a source of object names; yield returns false when it wants no more.
type names func(ctx context.Context, yield func(key string) bool) error

// underPrefix yields what this target holds of the job's bucket.
func (j *run) underPrefix(prefix string) names {
	return func(ctx context.Context, yield func(string) bool) error {
		return j.rt.cfg.Objects.Names(ctx, j.from.ID, prefix, "", func(o *object.Info) bool { return yield(o.Key) })
	}
}

// selected yields this target's share of a selection. listed says that the names were given one by one, so that
// one that does not exist is an error.
func (j *run) selected(s *api.ObjectSelection) (src names, listed bool, err error) {
	mine := func(key string) bool {
		n := j.view.Owner(j.from, key)
		return n != nil && n.ID == j.rt.cfg.Self
	}
	if len(s.Names) > 0 {
		return func(_ context.Context, yield func(string) bool) error {
			for _, key := range s.Names {
				if mine(key) && !yield(key) {
					break
				}
			}
			return nil
		}, true, nil
	}
	t, err := api.ParseTemplate(s.Template)
	if err != nil {
		return nil, false, err
	}
	if t.IsPrefix() {
		return j.underPrefix(t.Prefix()), false, nil
	}
	return func(ctx context.Context, yield func(string) bool) error {
		n := 0
		for key := range t.Names() {
			if n++; n%4096 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if mine(key) && !yield(key) {
				break
			}
		}
		return nil
	}, false, nil
}

// each calls do for every name of src, with workers per mountpath so that a slow disk holds up its own names only.
// total > 0 is the number of workers wanted over all mountpaths, -1 a single one.
func (j *run) each(src names, total int, do func(ctx context.Context, key string) error) error {
	_, lanes := j.rt.cfg.Objects.Lane(object.Name{Bucket: j.from.ID})
	workers := perLane
	switch {
	case total < 0:
		lanes, workers = 1, 1
	case total > 0:
		workers = max(1, min(total, maxWorkers)/lanes)
	}
	j.workers.Store(int64(lanes * workers))
	g, ctx := errgroup.WithContext(j.ctx)
	queues := make([]chan string, lanes)
	for i := range queues {
		queues[i] = make(chan string, 16*workers)
		for range workers {
			g.Go(func() error {
				for key := range queues[i] {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					if err := do(ctx, key); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	g.Go(func() error {
		defer func() {
			for _, q := range queues {
				close(q)
			}
		}()
		return src(ctx, func(key string) bool {
			lane := 0
			if lanes > 1 {
				lane, _ = j.rt.cfg.Objects.Lane(object.Name{Bucket: j.from.ID, Key: key})
			}
			select {
			case queues[lane] <- key:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
	return g.Wait()
}

func (j *run) decode(v any) error {
	if len(j.spec.Message) == 0 {
		return nil
	}
	if err := json.Unmarshal(j.spec.Message, v); err != nil {
		return errs.E("xact.decode", "message of job "+j.spec.ID, errs.Invalid, err)
	}
	return nil
}

// deleteObjects removes the selected objects. One that is not there is what was wanted.
func (j *run) deleteObjects() error {
	var sel api.ObjectSelection
	if err := j.decode(&sel); err != nil {
		return err
	}
	src, _, err := j.selected(&sel)
	if err != nil {
		return err
	}
	return j.each(src, 0, func(ctx context.Context, key string) error {
		size, err := j.rt.cfg.Objects.Delete(ctx, j.from, key)
		switch {
		case err == nil:
			j.handled(size)
		case !errs.Is(err, errs.NotFound):
			return j.fail(key, err)
		}
		return nil
	})
}

func (j *run) copyBucket() error {
	var msg api.CopyMsg
	if err := j.decode(&msg); err != nil {
		return err
	}
	return j.copy(j.underPrefix(msg.Prefix), false, &msg)
}

func (j *run) copyObjects() error {
	var msg api.CopyObjectsMsg
	if err := j.decode(&msg); err != nil {
		return err
	}
	src, listed, err := j.selected(&msg.ObjectSelection)
	if err != nil {
		return err
	}
	return j.copy(src, listed, &msg.CopyMsg)
}

// copy copies what src yields. Without ContinueOn the first error ends the job.
func (j *run) copy(src names, listed bool, msg *api.CopyMsg) error {
	return j.each(src, msg.NumWorkers, func(ctx context.Context, key string) error {
		size, err := j.copyOne(ctx, key, msg)
		switch {
		case err == nil:
			j.handled(size)
			return nil
		case !listed && errs.Is(err, errs.NotFound):
			return nil // a number of the range without an object, or deleted since it was listed
		case !msg.ContinueOn:
			if fatal := j.fail(key, err); fatal != nil {
				return fatal
			}
			return errs.E("xact.copy", j.from.String()+"/"+key, err)
		}
		return j.fail(key, err)
	})
}

func (j *run) copyOne(ctx context.Context, key string, msg *api.CopyMsg) (int64, error) {
	if msg.DryRun {
		info, err := j.rt.cfg.Objects.Stat(object.Name{Bucket: j.from.ID, Key: key})
		return info.Size, err
	}
	to := msg.Prepend + newExt(key, msg.Ext)
	if err := object.CheckKey(to); err != nil {
		return 0, err
	}
	return j.rt.cfg.Objects.Copy(ctx, j.from, key, j.to, to)
}

// newExt replaces the extension of key; extensions may be given with or without their dot.
func newExt(key string, ext map[string]string) string {
	dot := strings.LastIndexByte(key, '.')
	if len(ext) == 0 || dot < strings.LastIndexByte(key, '/') || dot < 0 {
		return key
	}
	old := key[dot+1:]
	for _, k := range [...]string{old, "." + old} {
		if repl, ok := ext[k]; ok {
			if repl = strings.TrimPrefix(repl, "."); repl == "" {
				return key[:dot]
			}
			return key[:dot+1] + repl
		}
	}
	return key
}

// moveBucket has nothing to do: the control plane has renamed the bucket, and objects are found by the bucket's id.
// The job exists for clients that wait for it.
func (j *run) moveBucket() error { return nil }

// summary counts the objects under a prefix.
func (j *run) summary() error {
	var msg api.SummaryMsg
	if err := j.decode(&msg); err != nil {
		return err
	}
	if err := j.rt.cfg.Map.Lease(); err != nil {
		return err
	}
	n := 0
	var sizes Sizes
	err := j.rt.cfg.Objects.Names(j.ctx, j.from.ID, msg.Prefix, "", func(o *object.Info) bool {
		if n++; n == 1 || o.Size < sizes.Min {
			sizes.Min = o.Size
		}
		sizes.Max = max(sizes.Max, o.Size)
		j.handled(o.Size)
		return n%1024 != 0 || j.ctx.Err() == nil
	})
	j.mu.Lock()
	j.sizes = sizes
	j.mu.Unlock()
	return err
}
