package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

func sortIDs(ids []uint64) { slices.Sort(ids) }

// destroyBatch is how many names with blobs are removed in one step.
const destroyBatch = 512

// DestroyBucket removes a bucket with all its objects. From the moment it is called every operation on
// the bucket is kind NoBucket. The intent is durable first: after a crash, or when ctx ends, Run finishes
// what is left. So it does when a mountpath is away, which is an error; the others are rid of what they have. The id must never be used again.
func (s *Store) DestroyBucket(ctx context.Context, bucket uint64) error {
	const op = "store.DestroyBucket"
	s.destroyed.Store(bucket, nil)
	s.uploads.barrier() // writers that had looked before are through
	s.locks.barrier()
	if err := s.steady(func() error { return destroyEverywhere(ctx, s.volumes(), bucket) }); err != nil {
		return errs.E(op, "", err) // the bucket stays marked; another call goes on
	}
	return nil
}

func destroyEverywhere(ctx context.Context, vols []*volume, bucket uint64) error {
	var there []*volume
	var faults []error
	for _, v := range vols {
		err := v.err()
		if err == nil {
			err = setKey(v, format.DestroyKey(bucket), nil)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		there = append(there, v)
	}
	if err := failpoint.Hit("destroy.after-intent"); err != nil {
		return err
	}
	for _, v := range there {
		if err := v.destroyBucket(ctx, bucket); err != nil {
			faults = append(faults, err)
		}
	}
	for _, v := range there {
		if len(faults) > 0 { // the intent stays until nothing is left anywhere
			break
		}
		if err := forgetDestroyed(v, bucket); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func forgetDestroyed(v *volume, bucket uint64) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Delete(format.DestroyKey(bucket), nil); err != nil {
		return err
	}
	return v.commit(b, cluster.Local)
}

// destroyBucket removes records with blobs in steps, each durable before the blobs are unlinked, then
// all the rest at once, but for tables of which parts are out of reach.
func (v *volume) destroyBucket(ctx context.Context, bucket uint64) error {
	for _, fam := range []byte{format.FamRecord, format.FamVersion, format.FamPart} {
		for from := format.ObjectKey(nil, fam, bucket, ""); from != nil; {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if from, err = v.destroyStep(fam, bucket, from); err != nil {
				return err
			}
		}
	}
	away := map[byte]error{}
	for _, fam := range []byte{format.FamTable, format.FamGone} {
		var err error
		if away[fam], err = destroyTables(ctx, v, fam, bucket); err != nil {
			return err
		}
	}
	if err := failpoint.Hit("destroy.before-range"); err != nil {
		return err
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	for _, fam := range format.Families() {
		if fam == format.FamMeta || fam == format.FamRef || fam == format.FamAppend || away[fam] != nil {
			continue // not by bucket, or still needed
		}
		if err := b.DeleteRange(format.ObjectKey(nil, fam, bucket, ""), format.BucketEnd(nil, fam, bucket), nil); err != nil {
			return err
		}
	}
	if err := v.commit(b, cluster.Local); err != nil {
		return err
	}
	return errors.Join(away[format.FamTable], away[format.FamGone])
}

// destroyStep removes up to destroyBatch names, versions or parts of uploads with blobs from the key from on; it returns where to
// go on, nil at the end.
func (v *volume) destroyStep(fam byte, bucket uint64, from []byte) (next []byte, err error) {
	c, err := v.newCursor(from, format.BucketEnd(nil, fam, bucket))
	if err != nil {
		return nil, err
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	var blobs []format.BlobID
	for ok := c.it.First(); ok; ok = c.it.Next() {
		if len(blobs) >= destroyBatch {
			next = slices.Clone(c.it.Key())
			break
		}
		var ids []format.BlobID
		if ids, err = v.dropRefs(b, c.it); err != nil {
			break
		}
		blobs = append(blobs, ids...)
	}
	if err = errors.Join(err, c.it.Error(), c.close()); err != nil {
		return nil, err
	}
	if len(blobs) == 0 {
		return next, nil
	}
	if err := v.commit(b, cluster.Local); err != nil {
		return nil, err
	}
	if err := failpoint.Hit("destroy.before-unlink"); err != nil {
		return nil, err
	}
	v.unlinkUnreferenced(blobs...)
	return next, nil
}

// dropRefs removes the record on which it stands from the index if it has blobs, and returns them. A
// damaged record goes with the rest; its blobs stay until the index is rebuilt.
func (v *volume) dropRefs(b *pebble.Batch, it *pebble.Iterator) ([]format.BlobID, error) {
	val, err := it.ValueAndErr()
	if err != nil {
		return nil, err
	}
	bucket, key, _ := format.SplitObjectKey(it.Key())
	var id [16]byte
	if it.Key()[0] != format.FamRecord {
		bucket, key, id, _, _ = format.SplitIDKey(it.Key())
	}
	var r format.Record
	by := owner(id)
	if it.Key()[0] == format.FamPart {
		var p format.Part
		if format.DecodePart(&p, val, it.Key()) != nil {
			return nil, nil
		}
		r.Parts = []format.Content{p.Content()}
	} else {
		if format.DecodeRecord(&r, val, key) != nil {
			return nil, nil
		}
		by = r.Owner()
	}
	var ids []format.BlobID
	for i := range r.Parts {
		if p := &r.Parts[i]; p.Kind == format.RefBlob {
			ids = append(ids, p.Blob)
			if err := b.Delete(format.RefKey(nil, p.Blob, bucket, string(key), by), nil); err != nil {
				return nil, err
			}
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return ids, b.Delete(it.Key(), nil)
}

// destroyTables removes the blobs of contents in parts, wherever they are. The tables go with the rest, unless some of their parts could not be
// removed: away says why.
func destroyTables(ctx context.Context, v *volume, fam byte, bucket uint64) (away, err error) {
	c, err := v.newCursor(format.ObjectKey(nil, fam, bucket, ""), format.BucketEnd(nil, fam, bucket))
	if err != nil {
		return nil, err
	}
	for ok := c.it.First(); ok && err == nil; ok = c.it.Next() {
		var val []byte
		if val, err = c.it.ValueAndErr(); err != nil {
			break
		}
		parts, derr := format.DecodeTable(val, c.it.Key())
		_, key, id, _, good := format.SplitIDKey(c.it.Key())
		if derr != nil || !good {
			continue // its blobs stay until the index is rebuilt
		}
		if err = ctx.Err(); err == nil {
			uerr := v.all.unrefAll(&table{home: v, name: object.Name{Bucket: bucket, Key: string(key)}, id: id, parts: parts})
			away = cmp.Or(away, uerr)
		}
	}
	return away, errors.Join(err, c.it.Error(), c.close())
}

// loadDestroyed finds the buckets whose removal was interrupted.
func (s *Store) loadDestroyed() error {
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		ids, err := v.pendingDestroys()
		if err != nil {
			return err
		}
		for _, id := range ids {
			s.destroyed.Store(id, nil)
		}
	}
	return nil
}

func (v *volume) pendingDestroys() ([]uint64, error) {
	prefix := []byte(format.MetaDestroy)
	c, err := v.newCursor(prefix, format.PrefixEnd(prefix))
	if err != nil {
		return nil, err
	}
	var ids []uint64
	for ok := c.it.First(); ok; ok = c.it.Next() {
		if k := c.it.Key()[len(prefix):]; len(k) == 8 {
			ids = append(ids, binary.BigEndian.Uint64(k))
		}
	}
	return ids, errors.Join(c.it.Error(), c.close())
}
