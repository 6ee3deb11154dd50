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

// RemoveKeys is ForgetKeys, after which the blobs are removed.
func (s *transfer) RemoveKeys(ctx context.Context, names []object.Name, guard func(object.Name) error) []error {
	remains, results := s.ForgetKeys(ctx, names, guard)
	remains.Remove(remains.Len())
	return results
}

// ForgetKeys removes from the indexes all that there is of the names here: records, contents, uploads, marks. Guard is called for each
// under its lock right before the commit; its error keeps the key, and is its result. A crash before Sync may bring keys back as they
// were, whole. What they had in blobs is in the Remains: it takes room until those are removed.
func (s *transfer) ForgetKeys(ctx context.Context, names []object.Name, guard func(object.Name) error) (*Remains, []error) {
	remains, results := &Remains{s: s}, make([]error, len(names))
	for from := 0; from < len(names); from += removeAtOnce {
		to := min(from+removeAtOnce, len(names))
		err := ctx.Err()
		if err == nil {
			err = s.forgetKeys(names[from:to], guard, results[from:to], remains)
		}
		for i := from; i < to && err != nil; i++ {
			results[i] = err
		}
	}
	return remains, results
}

// forgetKeys is one step. Its error is that of all keys.
func (s *transfer) forgetKeys(names []object.Name, guard func(object.Name) error, results []error, remains *Remains) error {
	r := removal{s: s, batches: map[*volume]*pebble.Batch{}, drops: map[*volume][]*dropping{}, keys: map[*volume][]int{}, results: results}
	defer r.close()
	err := s.withKeys(names, nil, here, func(keys []*wholeKey) error {
		for i, w := range keys {
			if results[i] = w.err; results[i] == nil {
				results[i] = s.live("store.ForgetKeys", w.n)
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
		for _, d := range drops {
			if d.inBlobs() {
				remains.keys = append(remains.keys, remainder{v, d})
			}
		}
	}
	return nil
}

// Remains are blobs that no key names any more. What is not removed when the process ends is swept by the next.
type Remains struct {
	s      *transfer
	keys   []remainder
	synced map[*volume]error // since the last Add
}

// remainder is what one mountpath has of one key.
type remainder struct {
	vol *volume
	*dropping
}

// Len is how many keys had them.
func (r *Remains) Len() int { return len(r.keys) }

// Add takes over what o has.
func (r *Remains) Add(o *Remains) {
	r.s, r.keys, r.synced = o.s, append(r.keys, o.keys...), nil
	o.keys = nil
}

// Remove removes the blobs of up to n keys, once it is durable that those are gone. What a failed mountpath has stays there.
func (r *Remains) Remove(n int) {
	few := r.keys[:min(n, len(r.keys))]
	r.keys = r.keys[len(few):]
	if r.synced == nil {
		r.synced = map[*volume]error{}
	}
	for _, x := range few {
		err, known := r.synced[x.vol]
		if !known {
			err = syncLog(x.vol)
			r.synced[x.vol] = err
		}
		if err == nil {
			x.unlink(r.s)
		}
	}
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
		if err := v.commit(b, cluster.Volatile); err != nil { // it can be done again
			for _, i := range r.keys[v] {
				r.results[i] = errors.Join(r.results[i], errs.E("store.ForgetKeys", names[i], err))
			}
			r.drops[v] = nil
		}
	}
	return nil
}

// Sync returns once everything that was committed before is durable, on every mountpath that works; an error is that of one that does
// not. Removals are not synced one by one.
func (s *transfer) Sync() error {
	return s.steady(func() error { return syncLogs(s.volumes()) })
}

func syncLogs(vols []*volume) error {
	const op = "store.Sync"
	var faults []error
	for _, v := range vols {
		if err := syncLog(v); err != nil {
			faults = append(faults, errs.E(op, v.mp.Path(), err))
		}
	}
	return errors.Join(faults...)
}

// syncLog makes durable all that was committed to v before.
func syncLog(v *volume) error {
	if err := v.err(); err != nil {
		return err
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	return v.commit(b, cluster.Local) // the log is durable up to here
}
