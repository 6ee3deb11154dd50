package store

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// DeleteOptions of a Delete; the fields mean what they do in PutOptions.
type DeleteOptions struct {
	Epoch      uint64
	Durability cluster.Durability
	Conditions *object.Conditions
	Guard      func() error
	Mark       bool
	Newest     func() (epoch uint64, mark bool) // as in PutOptions

	Versioning Versioning // of the bucket
	VersionID  string     // "" = as Versioning says; otherwise this version goes, or this delete marker
}

// Deleted is what a Delete did.
type Deleted struct {
	object.Info        // what the name, or the version asked for, was; zero when a marker was put on nothing
	Marker      bool   // a delete marker was made, or was what went
	VersionID   string // of the marker that was made, or of what went
}

// Delete removes n and says what it was; kind NotFound when there was nothing. Where a bucket has versions, it puts a delete marker
// on top instead, also on nothing, or removes the one version asked for: the newest of the others is then the current one. It
// works on a full disk. The record goes first, durably; then its blobs, which open Objects go on reading.
func (s *Store) Delete(ctx context.Context, n object.Name, o DeleteOptions) (gone Deleted, err error) {
	const op = "store.Delete"
	if err := s.live(op, n); err != nil {
		return gone, err
	}
	if err := ctx.Err(); err != nil {
		return gone, errs.E(op, n, err)
	}
	lock := s.locks.of(n)
	lock.mu.Lock()
	var old found
	var marker *write
	if o.VersionID != "" {
		err = s.deleteVersion(n, &o, lock, &old, &gone)
	} else {
		marker, err = s.deleteLocked(n, &o, lock, &old, &gone)
	}
	lock.mu.Unlock()
	if err != nil {
		old.close()
		return Deleted{}, errs.E(op, n, err)
	}
	_ = failpoint.Hit("delete.after-commit")  // past the commit: only a kill matters
	_ = failpoint.Hit("delete.before-unlink") // past the commit: only a kill matters
	if marker != nil {
		marker.unlinkOld(&old)
	} else {
		old.unlinkBlobs()
	}
	old.close()
	return gone, nil
}

func (s *Store) deleteLocked(n object.Name, o *DeleteOptions, lock *nameLock, old *found, gone *Deleted) (marker *write, err error) {
	l := s.now()
	exists, err := l.current(old, n)
	if err != nil {
		return nil, err
	}
	blind := o.Versioning != Unversioned && o.Conditions.IsZero() // a marker goes on top of whatever is there
	if err := l.doubt(n, old, exists); err != nil && !blind {
		return nil, err
	}
	if err := checkDelete(o, old, exists, n.Key, &gone.Info); err != nil {
		return nil, err
	}
	if o.Versioning != Unversioned || len(old.S3ID) > 0 {
		return s.putMarker(n, o, lock, old, gone)
	}
	if !exists || old.Tombstone() {
		return nil, errs.E("store.delete", n, errs.NotFound)
	}
	mark, err := s.raise(n, o.Mark, o.Newest, &o.Epoch)
	if err != nil {
		return nil, err
	}
	if o.Guard != nil {
		if err := o.Guard(); err != nil {
			return nil, err
		}
	}
	if err := failpoint.Hit("delete.before-commit"); err != nil {
		return nil, err
	}
	lock.committing.Store(true)
	defer lock.committing.Store(false)
	if l.set.Settled() {
		return nil, old.vol.removeRecord(old, n, o.Durability, mark)
	}
	if l.broken(n) { // what is there comes back: it must find that it was deleted
		return s.putTombstone(n, o, lock, old, mark)
	}
	s.moving.RLock()
	defer s.moving.RUnlock()
	// The oldest first: a crash in between must leave the newest.
	if err := s.removeElsewhere(old.vol, n); err != nil {
		return nil, err
	}
	return nil, old.vol.removeRecord(old, n, o.Durability, mark)
}

// putTombstone deletes a name that a mountpath which is away may have: a record says that it was deleted, until all
// mountpaths are back or given up (see (*Store).Settle).
func (s *Store) putTombstone(n object.Name, o *DeleteOptions, lock *nameLock, old *found, mark *mark) (*write, error) {
	old.close()
	*old = found{}
	home, err := s.home(n)
	if err != nil {
		return nil, err
	}
	w := &write{op: "store.delete", name: n, vol: home, o: &PutOptions{Epoch: o.Epoch, Durability: o.Durability, Mark: mark != nil}}
	w.rec.SetTombstone()
	var info object.Info
	if err := s.commitLocked(w, lock, old, &info); err != nil {
		w.closeGone()
		return nil, err
	}
	return w, nil
}

// checkDelete checks a delete's conditions against f, of which it fills info. A delete marker is something too: S3 says so.
func checkDelete(o *DeleteOptions, f *found, exists bool, key string, info *object.Info) error {
	if !exists {
		return o.Conditions.Check(nil, false)
	}
	f.Info(info, key)
	if info.DeleteMarker && len(f.S3ID) == 0 {
		return o.Conditions.Check(nil, false)
	}
	return o.Conditions.Check(info, false)
}

// putMarker puts a delete marker on top of n: a version of its own, or the null version.
func (s *Store) putMarker(n object.Name, o *DeleteOptions, lock *nameLock, old *found, gone *Deleted) (*write, error) {
	const op = "store.putMarker"
	v, err := s.home(n)
	if err != nil {
		return nil, err
	}
	old.close()
	*old = found{}
	w := &write{op: op, name: n, vol: v, o: &PutOptions{Epoch: o.Epoch, Durability: o.Durability, Guard: o.Guard, Mark: o.Mark, Newest: o.Newest, Versioning: o.Versioning}}
	if w.o.Versioning == Unversioned {
		w.o.Versioning = Suspended
	}
	w.rec.SetTombstone()
	var info object.Info
	if err := s.commitLocked(w, lock, old, &info); err != nil {
		w.closeGone()
		return nil, err
	}
	gone.Marker, gone.VersionID = true, info.VersionID
	return w, nil
}

// deleteVersion removes one version of n, or one delete marker.
func (s *Store) deleteVersion(n object.Name, o *DeleteOptions, lock *nameLock, f *found, gone *Deleted) error {
	ok, err := s.version(f, n, o.VersionID)
	if err != nil {
		return err
	}
	if err := checkDelete(o, f, ok, n.Key, &gone.Info); err != nil {
		return err
	}
	if !ok {
		return errs.E("store.delete", n, errs.NotFound)
	}
	mark, err := s.raise(n, o.Mark, o.Newest, &o.Epoch)
	if err != nil {
		return err
	}
	gone.Marker, gone.VersionID = f.Tombstone(), o.VersionID
	if o.Guard != nil {
		if err := o.Guard(); err != nil {
			return err
		}
	}
	if err := failpoint.Hit("version.before-delete"); err != nil {
		return err
	}
	lock.committing.Store(true)
	defer lock.committing.Store(false)
	if !s.now().set.Settled() {
		s.moving.RLock()
		defer s.moving.RUnlock()
		if err := s.removeVersionElsewhere(f, n, o.Durability); err != nil {
			return err
		}
	}
	if !s.now().set.Settled() && f.Null() {
		if err := s.removeElsewhere(f.vol, n); err != nil {
			return err
		}
	}
	return f.remove(n, o.Durability, mark)
}

// remove takes a version out of the index, current or older. The newest of the older ones becomes current in its place.
func (f *found) remove(n object.Name, d cluster.Durability, mark *mark) error {
	v := f.vol
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := mark.put(b); err != nil {
		return err
	}
	if f.at == format.FamVersion {
		if err := f.dropVersion(b, n); err != nil {
			return err
		}
		return v.commit(b, f.removal(d))
	}
	var next found
	ok, err := next.readNewest(v, n)
	if err != nil {
		return err
	}
	defer next.close()
	if !ok {
		return v.removeRecord(f, n, d, mark)
	}
	if err := f.dropContent(b, n, false); err != nil {
		return err
	}
	if err := b.Set(format.ObjectKey(nil, format.FamRecord, n.Bucket, n.Key), next.value, nil); err != nil {
		return err
	}
	if err := next.dropVersionKeys(b, n); err != nil {
		return err
	}
	return v.commit(b, f.removal(d))
}

// removeRecord takes a record, its content and its references out of the index.
func (v *volume) removeRecord(f *found, n object.Name, d cluster.Durability, mark *mark) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := mark.put(b); err != nil {
		return err
	}
	if err := b.Delete(format.ObjectKey(nil, format.FamRecord, n.Bucket, n.Key), nil); err != nil {
		return err
	}
	if err := f.dropContent(b, n, false); err != nil {
		return err
	}
	return v.commit(b, f.removal(d))
}

// removal is the class under which f may be removed: blobs are unlinked next, so a record that has some
// must be gone for good.
func (f *found) removal(d cluster.Durability) cluster.Durability {
	if f.InBlobs() {
		return cluster.Local
	}
	return d
}

// removeElsewhere removes the copies of n that are not in keep, the oldest first: former homes of a name
// have some while the set of mountpaths is unsettled. Versions with an id of their own are no copies. Each goes durably, since logs of
// different mountpaths are not synced in any order, and keeps the parts of which keep has the table too.
func (s *places) removeElsewhere(keep *volume, n object.Name) error {
	var copies []*found
	defer func() {
		for _, c := range copies {
			c.close()
		}
	}()
	for _, v := range s.now().homes(n, nil) {
		if v == keep || v.err() != nil { // the greater version holds when it comes back
			continue
		}
		c := new(found)
		ok, err := c.readNamed(v, n, object.Version{})
		if err != nil {
			return err
		}
		if ok {
			copies = append(copies, c)
		}
	}
	slices.SortFunc(copies, func(a, b *found) int { return a.Version.Compare(b.Version) })
	for _, c := range copies {
		if err := c.leave(n, cluster.Local); err != nil {
			return err
		}
	}
	return nil
}

// removeVersionElsewhere removes what an interrupted move left of a version with an id of its own.
func (s *places) removeVersionElsewhere(keep *found, n object.Name, d cluster.Durability) error {
	if keep.Null() {
		return nil
	}
	for _, v := range s.now().homes(n, nil) {
		if v == keep.vol || v.err() != nil {
			continue
		}
		c := new(found)
		ok, err := c.readNamed(v, n, keep.Born())
		if err != nil || !ok {
			c.close()
			if err != nil {
				return err
			}
			continue
		}
		err = c.leave(n, d)
		c.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// unlinkBlobs removes the blobs of a record whose removal from the index is durable. What fails here is
// swept later.
func (f *found) unlinkBlobs() {
	if f.vol == nil || f.stays {
		return
	}
	if f.table != nil {
		f.vol.all.release(f.table)
		return
	}
	for i := range f.Parts {
		p := &f.Parts[i]
		switch {
		case p.Kind != format.RefBlob:
		case f.Shared():
			f.vol.unlinkUnreferenced(p.Blob)
		default:
			f.vol.unlink(p.Blob)
		}
	}
}

// unlink removes a blob, or lets the last who has it pinned do so. One that a mover claims stays.
func (v *volume) unlink(id format.BlobID) {
	v.claims.mu.RLock()
	defer v.claims.mu.RUnlock()
	if v.claims.m[id] == nil {
		unlinkClaimed(v, id)
	}
}

// unlinkClaimed is unlink for who holds the lock of the claims and has looked.
func unlinkClaimed(v *volume, id format.BlobID) {
	if !v.all.pins.leave(v, id) {
		removeBlob(v, id)
	}
}

func removeBlob(v *volume, id format.BlobID) {
	if err := v.mp.Remove(id.Path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		v.log.Warn("blob not removed; it will be swept", "mountpath", v.mp.Path(), "blob", id.String(), "err", err)
	}
}

// unlinkUnreferenced removes those blobs to which no record refers and returns how many. A reference can only be made
// from a reference, under the lock of its name, so a blob that has none now never will again, but by a mover that brings it back and
// claims it first. The index also shows removals that a crash would undo: they must be durable before the blob goes.
func (v *volume) unlinkUnreferenced(ids ...format.BlobID) int {
	if v.rebuilt.Load() {
		return 0 // swept when the references are complete
	}
	turn := v.claims.turn()
	free, err := unreferenced(v, ids)
	if err != nil || len(free) == 0 || v.settleAll() != nil {
		return 0
	}
	free = v.all.pins.postpone(v, free)
	v.claims.mu.RLock()
	defer v.claims.mu.RUnlock()
	free = slices.DeleteFunc(free, func(id format.BlobID) bool { return v.claims.m[id] != nil })
	if len(free) > 0 && turn != v.claims.turns { // who claimed one meanwhile may have referred to it
		if free, err = unreferenced(v, free); err != nil {
			return 0
		}
	}
	for _, id := range free {
		unlinkClaimed(v, id)
	}
	return len(free)
}

// referenced reports whether a record refers to the blob.
func (v *volume) referenced(id format.BlobID) (bool, error) {
	free, err := unreferenced(v, []format.BlobID{id})
	return len(free) == 0, err
}

// unreferenced returns those blobs to which no record refers.
func unreferenced(v *volume, ids []format.BlobID) (free []format.BlobID, err error) {
	if err := v.gate.Enter(); err != nil {
		return nil, err
	}
	defer v.gate.Leave()
	var it *pebble.Iterator
	for _, id := range ids {
		prefix := append([]byte{format.FamRef}, id[:]...)
		if it == nil {
			if it, err = v.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: format.PrefixEnd(prefix)}); err != nil {
				return nil, err
			}
		} else {
			it.SetBounds(prefix, format.PrefixEnd(prefix)) // else it would look through the references removed a moment ago
		}
		if !it.First() && it.Error() == nil {
			free = append(free, id)
		}
	}
	if it == nil {
		return nil, nil
	}
	return free, errors.Join(it.Error(), it.Close())
}
