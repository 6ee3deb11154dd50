package store

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

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

	VersionID string // "" = the current version
	InPlace   bool   // the version stays as it is (tags, ACL)
}

// Update changes the metadata of n: change gets what is there and may alter Custom, System, Tags and
// ETag; nothing else of it is kept. The version grows; content and creation time stay.
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
	exists, err := s.current(old, n)
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
	rec := old.Record
	if rec.Version, err = s.versions.next(old.Version, o.Epoch); err != nil {
		return err
	}
	info.Key, info.Version = n.Key, rec.Version
	if info.ETag != "" { // a derived one is kept as it was: the content is the same
		rec.SetETag(info.ETag)
	}
	rec.Custom, rec.System, rec.Tags = format.EncodeMap(info.Custom), format.EncodeMap(info.System), format.EncodeMap(info.Tags)
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set(format.ObjectKey(nil, format.FamRecord, n.Bucket, n.Key), format.AppendRecord(nil, &rec, n.Key), nil); err != nil {
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

// Link makes to a further name of from's content, replacing what to had. On one mountpath the blob is
// shared by both; otherwise, and for content in the index, the bytes are copied. Custom, System and Tags
// of from are kept where o has none; its checksum, ETag and size always, unless o names an ETag.
// Conditions and Guard of o speak of to.
func (s *Store) Link(ctx context.Context, from, to object.Name, o PutOptions) (info object.Info, err error) {
	const op = "store.Link"
	if err := errors.Join(s.live(op, from), s.live(op, to)); err != nil {
		return info, err
	}
	src, err := s.Open(from)
	if err != nil {
		return info, errs.E(op, from, err)
	}
	defer src.Close()
	o = o.inherit(src.Info())
	v, err := s.home(to)
	if err != nil {
		return info, errs.E(op, to, err)
	}
	switch {
	case src.parts == nil:
		return s.putInline(ctx, op, to, src.Bytes(), &o)
	case v != src.vol:
		o.Size = src.info.Size
		return s.PutStream(ctx, to, src.Reader(), o)
	}
	return s.share(op, from, to, &o)
}

// inherit fills what o leaves open from the object that is copied.
func (o PutOptions) inherit(i *object.Info) PutOptions {
	o.Checksum, o.Size, o.Expect = i.Checksum.Type, -1, nil
	if o.ETag == "" {
		o.ETag = i.ETag
	}
	if o.Custom == nil {
		o.Custom = i.Custom
	}
	if o.System == nil {
		o.System = i.System
	}
	if o.Tags == nil {
		o.Tags = i.Tags
	}
	return o
}

// share gives to the blobs of from, under the locks of both names: while from's is held, its record and so
// its reference cannot go.
func (s *Store) share(op string, from, to object.Name, o *PutOptions) (info object.Info, err error) {
	_, lock, unlock := s.locks.pair(from, to)
	var src, old found
	defer src.close()
	defer old.close()
	err = func() error {
		defer unlock()
		ok, err := s.current(&src, from)
		if err != nil {
			return err
		}
		if !ok || src.Tombstone() {
			return errs.E(op, from, errs.NotFound)
		}
		w := write{op: op, name: to, vol: src.vol, o: o}
		if len(src.Parts) == 1 && src.Parts[0].Kind == format.RefInline {
			return errs.E(op, from, errs.Conflict, "was overwritten while it was copied")
		}
		if home, err := s.home(to); err != nil || home != src.vol {
			return errors.Join(errs.E(op, from, errs.Conflict, "moved while it was copied"), err)
		}
		w.rec.Flags, w.rec.Size, w.rec.Parts = format.FlagShared, src.Size, src.Parts
		w.sum = src.Sum()
		if from != to && !src.Shared() {
			w.also = func(b *pebble.Batch) error {
				rec := src.Record
				rec.Flags |= format.FlagShared
				return b.Set(format.ObjectKey(nil, format.FamRecord, from.Bucket, from.Key), format.AppendRecord(nil, &rec, from.Key), nil)
			}
		}
		return s.commitLocked(&w, lock, &old, &info)
	}()
	if err != nil {
		return object.Info{}, errs.E(op, to, err)
	}
	old.unlinkBlobs()
	return info, nil
}
