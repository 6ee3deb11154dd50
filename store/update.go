package store

import (
	"context"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// UpdateOptions of an Update; the fields mean what they do in PutOptions.
type UpdateOptions struct {
	Epoch      uint64
	Durability cluster.Durability
	Conditions *object.Conditions
	Guard      func() error

	VersionID string // "" = the current version; another is changed in place
	InPlace   bool   // the version stays as it is (tags, ACL)
	Mark      bool
	Newest    func() (epoch uint64, mark bool) // as in PutOptions
}

// Update changes the metadata of n: change gets what is there and may alter Custom, System, Tags and
// ETag; nothing else of it is kept. The version grows, unless o says otherwise; content and creation time stay.
func (s *Store) Update(ctx context.Context, n object.Name, o UpdateOptions, change func(*object.Info) error) (info object.Info, err error) {
	const op = "store.Update"
	if err := s.live(op, n); err != nil {
		return info, err
	}
	if err := ctx.Err(); err != nil {
		return info, errs.E(op, n, err)
	}
	lock := s.locks.of(n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	var old found
	defer old.close()
	if err := s.updateLocked(n, &o, lock, &old, &info, change); err != nil {
		return object.Info{}, errs.E(op, n, err)
	}
	return info, nil
}

func (s *Store) updateLocked(n object.Name, o *UpdateOptions, lock *nameLock, old *found, info *object.Info, change func(*object.Info) error) error {
	exists, err := s.version(old, n, o.VersionID)
	if err != nil {
		return err
	}
	if err := checkConditions(o.Conditions, old, exists, n.Key); err != nil {
		return err
	}
	if !exists || old.Tombstone() {
		return errs.E("store.update", n, errs.NotFound)
	}
	v := old.vol
	if err := v.space.admit(1 << 10); err != nil {
		return err
	}
	old.Info(info, n.Key)
	if err := change(info); err != nil {
		return err
	}
	mark, err := s.raise(n, o.Mark, o.Newest, &o.Epoch)
	if err != nil {
		return err
	}
	rec := old.Record
	if !o.InPlace && o.VersionID == "" {
		if rec.Version, err = s.versions.next(old.Version, o.Epoch); err != nil {
			return err
		}
	}
	info.Key, info.Version = n.Key, rec.Version
	if info.ETag != "" { // a derived one is kept as it was: the content is the same
		rec.SetETag(info.ETag)
	}
	rec.Custom, rec.System, rec.Tags = format.EncodeMap(info.Custom), format.EncodeMap(info.System), format.EncodeMap(info.Tags)
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set(old.key(n), format.AppendRecord(nil, &rec, n.Key), nil); err != nil {
		return err
	}
	if err := mark.put(b); err != nil {
		return err
	}
	if o.Guard != nil {
		if err := o.Guard(); err != nil {
			return err
		}
	}
	if err := failpoint.Hit("update.before-commit"); err != nil {
		return err
	}
	lock.committing.Store(true)
	defer lock.committing.Store(false)
	if err := v.commit(b, o.Durability); err != nil {
		return err
	}
	rec.Info(info, n.Key)
	return nil
}
