package store

import (
	"context"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// dropping is the removal of all that a mountpath has of a key.
type dropping struct {
	gone   []*found // whose blobs go
	tables []*table // parts of uploads, on several mountpaths
	blobs  []blobAt // parts of uploads
}

// prepare takes out of the index, in b, the records and uploads of w that are in v.
func (d *dropping) prepare(b *pebble.Batch, v *volume, w *wholeKey) error {
	for _, f := range w.records {
		if f.vol != v {
			continue
		}
		d.gone = append(d.gone, f)
		if err := f.dropContent(b, w.n, false); err != nil {
			return err
		}
		if f.at == format.FamVersion {
			if err := f.dropVersionKeys(b, w.n); err != nil {
				return err
			}
		} else if err := b.Delete(format.ObjectKey(nil, format.FamRecord, w.n.Bucket, w.n.Key), nil); err != nil {
			return err
		}
	}
	for _, u := range w.uploads {
		if u.vol != v {
			continue
		}
		if err := d.upload(b, v, u); err != nil {
			return err
		}
	}
	return nil
}

// upload takes an upload and its parts out of the index. Those on other mountpaths go afterwards, announced.
func (d *dropping) upload(b *pebble.Batch, v *volume, u *openUpload) error {
	if err := b.Delete(u.key(), nil); err != nil {
		return err
	}
	var elsewhere []format.Part
	for _, parts := range [][]format.Part{u.parts, u.stale} {
		for i := range parts {
			p := &parts[i]
			if p.Mount != v.mount {
				elsewhere = append(elsewhere, *p)
				continue
			}
			if err := b.Delete(format.PartKey(nil, u.n.Bucket, u.n.Key, u.id, p.Number), nil); err != nil {
				return err
			}
			if err := b.Delete(format.RefKey(nil, p.Blob, u.n.Bucket, u.n.Key, owner(u.id)), nil); err != nil {
				return err
			}
			d.blobs = append(d.blobs, blobAt{v, p.Blob})
		}
	}
	if len(elsewhere) == 0 {
		return nil
	}
	t := &table{home: v, name: u.n, id: u.id}
	for _, f := range d.gone {
		if f.table != nil && f.table.id == t.id { // what the upload was completed as
			t = f.table
		}
	}
	if t.add(elsewhere); !t.remote {
		d.tables = append(d.tables, t)
	}
	return t.announce(b)
}

// inBlobs reports whether blobs go with it.
func (d *dropping) inBlobs() bool {
	return len(d.tables)+len(d.blobs) > 0 || slices.ContainsFunc(d.gone, func(f *found) bool { return f.InBlobs() })
}

// unlink removes the blobs, once the removal from the index is durable.
func (d *dropping) unlink(s *transfer) {
	for _, f := range d.gone {
		f.unlinkBlobs()
	}
	for _, t := range d.tables {
		s.release(t)
	}
	for _, at := range d.blobs {
		at.vol.unlinkUnreferenced(at.id)
	}
}

// removeAtOnce is how many keys are removed in one step.
const removeAtOnce = 512

// RemoveKeys removes all that there is of the names here: records, contents, uploads, marks. Guard is called for each under its lock
// right before the commit; its error keeps the key, and is its result. A crash may bring keys back as they were, whole; what has
// blobs is gone for good.
func (s *transfer) RemoveKeys(ctx context.Context, names []object.Name, guard func(object.Name) error) []error {
	results := make([]error, len(names))
	for from := 0; from < len(names); from += removeAtOnce {
		to := min(from+removeAtOnce, len(names))
		err := ctx.Err()
		if err == nil {
			err = s.removeKeys(names[from:to], guard, results[from:to])
		}
		for i := from; i < to && err != nil; i++ {
			results[i] = err
		}
	}
	return results
}

// removeKeys is one step. Its error is that of all keys.
func (s *transfer) removeKeys(names []object.Name, guard func(object.Name) error, results []error) error {
	r := removal{s: s, batches: map[*volume]*pebble.Batch{}, drops: map[*volume][]*dropping{}, keys: map[*volume][]int{}, results: results}
	defer r.close()
	err := s.withKeys(names, nil, func(keys []*wholeKey) error {
		for i, w := range keys {
			if results[i] = w.err; results[i] == nil {
				results[i] = s.live("store.RemoveKeys", w.n)
			}
			if results[i] == nil && guard != nil {
				results[i] = guard(w.n)
			}
			if results[i] == nil {
				results[i] = r.add(i, w)
			}
		}
		return r.commit(names)
	})
	if err != nil {
		return err
	}
	for v, drops := range r.drops {
		if v.err() == nil {
			for _, d := range drops {
				d.unlink(s)
			}
		}
	}
	return nil
}

// removal is some keys on their way out.
type removal struct {
	s       *transfer
	batches map[*volume]*pebble.Batch
	drops   map[*volume][]*dropping
	keys    map[*volume][]int
	results []error
}

func (r *removal) close() {
	for _, b := range r.batches {
		closeBatch(b)
	}
}

// add adds a key to the batches of its homes.
func (r *removal) add(i int, w *wholeKey) error {
	var buf [8]*volume
	for _, v := range r.s.now().homes(w.n, buf[:0]) {
		b, d := v.db.NewBatch(), &dropping{}
		err := d.prepare(b, v, w)
		if err == nil && slices.Contains(w.marked, v) {
			err = b.Delete(format.ObjectKey(nil, format.FamMark, w.n.Bucket, w.n.Key), nil)
		}
		if err == nil && !b.Empty() {
			if r.batches[v] == nil {
				r.batches[v] = v.db.NewBatch()
			}
			err = r.batches[v].Apply(b, nil)
			r.drops[v], r.keys[v] = append(r.drops[v], d), append(r.keys[v], i)
		}
		if closeBatch(b); err != nil {
			return err
		}
	}
	return nil
}

// commit commits the batches. The caller holds all locks.
func (r *removal) commit(names []object.Name) error {
	if err := failpoint.Hit("sweep.before-commit"); err != nil {
		return err
	}
	for _, n := range names {
		lock := r.s.locks.of(n)
		lock.committing.Store(true)
		defer lock.committing.Store(false)
	}
	for v, b := range r.batches {
		d := cluster.Volatile // it can be done again
		if slices.ContainsFunc(r.drops[v], (*dropping).inBlobs) {
			d = cluster.Local
		}
		if err := v.commit(b, d); err != nil {
			for _, i := range r.keys[v] {
				r.results[i] = errors.Join(r.results[i], errs.E("store.RemoveKeys", names[i], err))
			}
			r.drops[v] = nil
		}
	}
	return nil
}

// Sync returns once everything that was committed before is durable, on every mountpath that works; an error is that of one that does
// not. Removals are not synced one by one.
func (s *transfer) Sync() error {
	const op = "store.Sync"
	var faults []error
	for _, v := range s.volumes() {
		err := v.err()
		if err == nil {
			b := v.db.NewBatch()
			err = v.commit(b, cluster.Local) // the log is durable up to here
			closeBatch(b)
		}
		if err != nil {
			faults = append(faults, errs.E(op, v.mp.Path(), err))
		}
	}
	return errors.Join(faults...)
}
