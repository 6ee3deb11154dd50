package xact

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"aistore/api"
	"aistore/errs"
	"aistore/object"
)

// names is a source of object names behind a mark; yield returns false when it wants no more. size is -1 where it is not known.
type names func(ctx context.Context, from Mark, yield func(key string, size int64) bool) error

// selected yields this share's names of a selection. listed says that the names were given one by one, so that
// one that does not exist is an error.
func (j *run) selected(s *api.ObjectSelection) (src names, listed bool, err error) {
	if len(j.spec.Message) == 0 { // nothing selected must never read as everything
		return nil, false, errs.E("xact.selected", "message of job "+j.spec.ID, errs.Invalid, "is missing")
	}
	if len(s.Names) > 0 {
		return j.given(slices.Values(s.Names)), true, nil
	}
	t, err := api.ParseTemplate(s.Template)
	if err != nil {
		return nil, false, err
	}
	if t.IsPrefix() {
		return j.underPrefix(t.Prefix()), false, nil
	}
	return j.given(t.Names()), false, nil
}

// given yields the share's names of those that were given.
func (j *run) given(all iter.Seq[string]) names {
	return func(ctx context.Context, from Mark, yield func(string, int64) bool) error {
		n, passed := 0, from.Names
		for key := range all {
			if n++; n%4096 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if !j.mine(key) {
				continue
			}
			if passed--; passed >= 0 {
				continue
			}
			if !yield(key, -1) {
				break
			}
		}
		return nil
	}
}

// spread returns how many lanes work, and how many workers each has. total > 0 is the number of workers wanted over all mountpaths, -1 a
// single one; 0 leaves it to us.
func spread(total, mountpaths int) (lanes, workers int) {
	switch {
	case total < 0:
		return 1, 1
	case total > 0:
		return mountpaths, max(1, min(total, maxWorkers)/mountpaths)
	}
	return mountpaths, max(leastLane, min(perLane, maxWorkers/mountpaths))
}

// each calls do for every name of src, with workers per mountpath so that a slow disk holds up its own names only. total is spread's. An
// error of do ends the share; the name's own is an outcome.
func (j *run) each(src names, total int, do func(ctx context.Context, key string, size int64) (outcome, error)) error {
	_, mountpaths := j.rt.cfg.Objects.Lane(object.Name{Bucket: j.from.ID})
	lanes, workers := spread(total, mountpaths)
	j.workers.Store(int64(lanes * workers))
	g, ctx := errgroup.WithContext(j.ctx)
	type task struct {
		*step
		size int64
	}
	queues := make([]chan task, lanes)
	for i := range queues {
		queues[i] = make(chan task, 16*workers)
		for range workers {
			g.Go(func() error {
				for t := range queues[i] {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					if j.leaves.Load() {
						continue // what is under way ends, the rest is another's
					}
					if err := j.rt.fenced(); err != nil {
						return err
					}
					o, err := do(ctx, t.key, t.size)
					if err != nil {
						return err
					}
					j.trail.end(t.step, o)
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
		return src(ctx, j.spec.From, func(key string, size int64) bool {
			if j.leaves.Load() {
				return false
			}
			lane := 0
			if lanes > 1 {
				lane, _ = j.rt.cfg.Objects.Lane(object.Name{Bucket: j.from.ID, Key: key})
			}
			select {
			case queues[lane] <- task{j.trail.begin(key), size}:
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
	return j.each(src, 0, func(ctx context.Context, key string, size int64) (outcome, error) {
		done, err := j.rt.cfg.Objects.Delete(ctx, j.from, key)
		switch {
		case err == nil:
			return j.handled(max(done, size)), nil
		case errs.Is(err, errs.NotFound):
			return outcome{}, nil
		}
		return j.fail(key, err)
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
	return j.each(src, msg.NumWorkers, func(ctx context.Context, key string, size int64) (outcome, error) {
		done, err := j.copyOne(ctx, key, size, msg)
		switch {
		case err == nil:
			return j.handled(max(done, size)), nil
		case !listed && errs.Is(err, errs.NotFound):
			return outcome{}, nil // a number of the range without an object, or deleted since it was listed
		case !msg.ContinueOn:
			if _, fatal := j.fail(key, err); fatal != nil {
				return outcome{}, fatal
			}
			return outcome{}, errs.E("xact.copy", j.from.String()+"/"+key, err)
		}
		return j.fail(key, err)
	})
}

func (j *run) copyOne(ctx context.Context, key string, size int64, msg *api.CopyMsg) (int64, error) {
	if msg.DryRun && size >= 0 {
		return size, nil
	}
	if msg.DryRun {
		return j.rt.cfg.Objects.Size(ctx, j.from, key)
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
	return j.walk(j.ctx, msg.Prefix, j.spec.From.After, func(key string, size int64) bool {
		j.trail.end(j.trail.begin(key), j.handled(size))
		return !j.leaves.Load()
	})
}
