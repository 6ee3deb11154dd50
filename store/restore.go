package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// verify checks every record that was taken over: its content must be there and right. The others go.
func (r *rebuilder) verify(ctx context.Context) error {
	var fault error
	for fam, one := range map[byte]func(key, val []byte) error{
		format.FamRecord: r.verifyRecord, format.FamVersion: r.verifyRecord, format.FamTable: r.verifyTable, format.FamPart: r.verifyPart,
	} {
		err := r.v.scan(ctx, []byte{fam}, []byte{fam + 1}, func(key, val []byte) {
			if fault == nil {
				fault = one(key, val)
			}
		}, func(_ []byte, err error) { fault = err })
		if err = errors.Join(err, fault); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuilder) verifyRecord(key, val []byte) error {
	bucket, k, _ := format.SplitObjectKey(key)
	if key[0] == format.FamVersion {
		bucket, k, _, _, _ = format.SplitIDKey(key)
	}
	n := object.Name{Bucket: bucket, Key: string(k)}
	f := found{vol: r.v}
	err := format.DecodeRecord(&f.Record, val, k)
	if err == nil {
		r.top = max(r.top, f.Version.Counter)
		if id, ok := f.Table(); ok {
			_, _, err = readTable(r.v, n, id)
		} else if !f.Tombstone() {
			o := &Object{name: n, store: r.s}
			_, err = o.content(&f)
			o.Close()
		}
	}
	if err == nil {
		r.sum.Kept++
		return r.refer(&f.Record, n)
	}
	r.sum.Lost++
	r.report(Fault{Harmful: true, Name: n, What: "is lost: " + err.Error()})
	err = r.v.db.Delete(key, pebble.NoSync)
	if key[0] == format.FamRecord {
		err = errors.Join(err, r.v.db.Delete(format.ObjectKey(nil, format.FamContent, bucket, n.Key), pebble.NoSync))
	}
	return err
}

func (r *rebuilder) refer(rec *format.Record, n object.Name) error {
	for i := range rec.Parts {
		if p := &rec.Parts[i]; p.Kind == format.RefBlob {
			if err := r.v.db.Set(format.RefKey(nil, p.Blob, n.Bucket, n.Key, rec.Owner()), nil, pebble.NoSync); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifyTable makes the references to the parts that are here.
func (r *rebuilder) verifyTable(key, val []byte) error {
	bucket, k, id, _, _ := format.SplitIDKey(key)
	parts, err := format.DecodeTable(val, key)
	if err != nil {
		return nil //nolint:nilerr // its record was reported as lost
	}
	n := object.Name{Bucket: bucket, Key: string(k)}
	for i := range parts {
		if parts[i].Mount != r.v.mount {
			continue
		}
		if _, err := r.v.mp.Stat(parts[i].Blob.Path()); err != nil {
			r.report(Fault{Harmful: true, Name: n, File: parts[i].Blob.Path(), What: fmt.Sprintf("part %d is lost: %v", parts[i].Number, err)})
		}
		if err := r.v.db.Set(format.RefKey(nil, parts[i].Blob, bucket, n.Key, owner(id)), nil, pebble.NoSync); err != nil {
			return err
		}
	}
	return nil
}

// verifyPart makes the reference of a part of an upload.
func (r *rebuilder) verifyPart(key, val []byte) error {
	bucket, k, id, _, _ := format.SplitIDKey(key)
	n := object.Name{Bucket: bucket, Key: string(k)}
	var p format.Part
	err := format.DecodePart(&p, val, key)
	if err == nil {
		_, err = r.v.mp.Stat(p.Blob.Path())
	}
	if err != nil {
		r.report(Fault{Harmful: true, Name: n, What: "a part of an upload is lost: " + err.Error()})
		return r.v.db.Delete(key, pebble.NoSync)
	}
	r.top = max(r.top, p.Version.Counter)
	return r.v.db.Set(format.RefKey(nil, p.Blob, bucket, n.Key, owner(id)), nil, pebble.NoSync)
}

// fromContents restores the objects whose content was taken over and whose record was not. A record and the content in the index that it names
// come and go in one batch, so the content is that of the object's newest state.
func (r *rebuilder) fromContents(ctx context.Context) error {
	var fault error
	err := r.v.scan(ctx, []byte{format.FamContent}, []byte{format.FamContent + 1}, func(key, val []byte) {
		if fault == nil {
			fault = r.fromContent(key, val)
		}
	}, func(_ []byte, err error) { fault = err })
	return errors.Join(err, fault)
}

func (r *rebuilder) fromContent(key, val []byte) error {
	bucket, k, _ := format.SplitObjectKey(key)
	n := object.Name{Bucket: bucket, Key: string(k)}
	for _, fam := range []byte{format.FamRecord, format.FamNull} { // with a null version among the older ones it was none
		if _, err := r.v.getCopy(format.ObjectKey(nil, fam, bucket, n.Key)); !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	if !wholeContent(val) {
		return nil // of no use, and of no harm
	}
	data, version, _, _ := format.SplitContent(val)
	rec := format.Record{Bucket: bucket, Version: version, Size: int64(len(data)), Created: time.Now().UnixNano()}
	rec.One[0] = format.Content{Kind: format.RefInline, Length: rec.Size, Tag: version, CRC: cksum.Block(data)}
	rec.Parts = rec.One[:1]
	sum := cksum.Of(cksum.XXHash, data)
	rec.SumType, rec.Digest = sum.Type, sum.Raw()
	rec.SetETag("")
	r.top = max(r.top, version.Counter)
	r.sum.Restored++
	r.report(Fault{Harmful: true, Name: n, What: fmt.Sprintf("its metadata is lost; restored version %v of %d bytes from its content", version, rec.Size)})
	return r.v.db.Set(format.ObjectKey(nil, format.FamRecord, bucket, n.Key), format.AppendRecord(nil, &rec, n.Key), pebble.NoSync)
}

// fromFooter restores the object for which a blob was written, unless a newer version of it is known.
func (r *rebuilder) fromFooter(id format.BlobID) error {
	r.sum.Blobs++
	if used, err := r.v.referenced(id); used || err != nil {
		return err
	}
	ft, err := r.foot(id)
	if err != nil {
		r.report(Fault{Harmful: true, File: id.Path(), What: "nothing can be restored from this blob: " + err.Error()})
		return nil
	}
	if bucket, upload, p, ok := format.DecodePartFoot(ft.Record); ok && p.Blob == id {
		return r.restorePart(object.Name{Bucket: bucket, Key: ft.Key}, upload, &p)
	}
	var rec format.Record
	if err := format.DecodeRecord(&rec, ft.Record, []byte(ft.Key)); err != nil || len(rec.Parts) != 1 || rec.Parts[0].Blob != id {
		r.report(Fault{Harmful: true, File: id.Path(), What: "nothing can be restored from this blob: its footer holds no record of it"})
		return nil
	}
	n := object.Name{Bucket: rec.Bucket, Key: ft.Key}
	r.top = max(r.top, rec.Version.Counter)
	b := r.v.db.NewBatch()
	defer closeBatch(b)
	if done, err := r.place(b, n, &rec, ft.Record); done || err != nil {
		return err
	}
	if err := b.Set(format.RefKey(nil, id, n.Bucket, n.Key, rec.Owner()), nil, nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	r.sum.Restored++
	r.report(Fault{Name: n, File: id.Path(), What: fmt.Sprintf("restored version %v of %d bytes from its blob", rec.Version, rec.Size)})
	return nil
}

// place puts a restored record where it belongs among what is known of n; done when it is of no use.
func (r *rebuilder) place(b *pebble.Batch, n object.Name, rec *format.Record, encoded []byte) (done bool, err error) {
	var have found
	ok, err := r.v.read(&have, n)
	if err != nil {
		return false, err
	}
	defer have.close()
	current := format.ObjectKey(nil, format.FamRecord, n.Bucket, n.Key)
	older := ok && have.Version.Compare(rec.Version) >= 0
	if rec.Null() && ok { // of which there is one
		if older && have.Null() {
			return true, nil
		}
		if done, err := r.placeNull(b, n, rec); done || err != nil {
			return done, err
		}
	}
	switch {
	case older:
		id := format.Invert(rec.Born())
		if rec.Null() {
			if err := b.Set(format.ObjectKey(nil, format.FamNull, n.Bucket, n.Key), id[:], nil); err != nil {
				return false, err
			}
		}
		return false, b.Set(format.IDKey(nil, format.FamVersion, n.Bucket, n.Key, id), encoded, nil)
	case ok && (!rec.Null() || !have.Null()):
		err = have.keep(b, n, false)
	case ok:
		r.sum.Restored-- // it replaces one restored, or kept, before
		err = have.dropContent(b, n, false)
	}
	if err != nil {
		return false, err
	}
	return false, b.Set(current, encoded, nil)
}

// placeNull makes room for a null version among the older versions; done when the one there is as new.
func (r *rebuilder) placeNull(b *pebble.Batch, n object.Name, rec *format.Record) (done bool, err error) {
	var null found
	ok, err := null.readNull(r.v, n)
	if err != nil || !ok {
		return false, err
	}
	defer null.close()
	if null.Version.Compare(rec.Version) >= 0 {
		return true, nil
	}
	r.sum.Restored-- // it replaces one restored, or kept, before
	return false, null.dropVersion(b, n)
}

// restorePart restores the entry of a part of an upload. The node removes it when the upload has ended.
func (r *rebuilder) restorePart(n object.Name, id format.UploadID, p *format.Part) error {
	r.top = max(r.top, p.Version.Counter)
	p.Mount = r.v.mount
	key := format.PartKey(nil, n.Bucket, n.Key, id, p.Number)
	if val, err := r.v.getCopy(key); err == nil {
		var have format.Part
		if format.DecodePart(&have, val, key) == nil && have.Version.Compare(p.Version) > 0 {
			return nil // replaced; its blob is swept
		}
		if err := r.v.db.Delete(format.RefKey(nil, have.Blob, n.Bucket, n.Key, owner(id)), pebble.NoSync); err != nil {
			return err
		}
	} else if !errs.Is(err, errs.NotFound) {
		return err
	}
	err := r.v.db.Set(key, format.AppendPart(nil, p, key), pebble.NoSync)
	if err == nil {
		err = r.v.db.Set(format.RefKey(nil, p.Blob, n.Bucket, n.Key, owner(id)), nil, pebble.NoSync)
	}
	r.sum.Restored++
	r.report(Fault{Name: n, File: p.Blob.Path(), What: fmt.Sprintf("restored part %d of an upload from its blob", p.Number)})
	return err
}

// referRebuilt makes the references from tables on other mountpaths to blobs on one whose index was rebuilt, which could not know of
// them. Until all tables can be read, nothing may be swept there.
func (s *places) referRebuilt(ctx context.Context) error {
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		_, err := v.getCopy([]byte(format.MetaRebuilt))
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err == nil {
			err = s.referTo(ctx, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *places) referTo(ctx context.Context, v *volume) error {
	v.rebuilt.Store(true)
	for _, from := range s.volumes() {
		if from.err() != nil {
			return nil // another time
		}
		if from == v {
			continue
		}
		var fault error
		b := v.db.NewBatch()
		err := from.scan(ctx, []byte{format.FamTable}, []byte{format.FamTable + 1}, func(key, val []byte) {
			bucket, k, id, _, ok := format.SplitIDKey(key)
			parts, err := format.DecodeTable(val, key)
			if !ok || err != nil {
				return // its object is damaged
			}
			for i := range parts {
				if parts[i].Mount == v.mount {
					fault = errors.Join(fault, b.Set(format.RefKey(nil, parts[i].Blob, bucket, string(k), owner(id)), nil, nil))
				}
			}
		}, func(_ []byte, err error) { fault = errors.Join(fault, err) })
		if err = errors.Join(err, fault); err == nil {
			err = v.commit(b, cluster.Local)
		}
		closeBatch(b)
		if err != nil {
			return err
		}
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Delete([]byte(format.MetaRebuilt), nil); err != nil {
		return err
	}
	if err := v.commit(b, cluster.Local); err != nil {
		return err
	}
	v.rebuilt.Store(false)
	return nil
}

// foot reads a blob's footer.
func (r *rebuilder) foot(id format.BlobID) (*format.Foot, error) {
	f, err := r.v.mp.OpenFile(id.Path(), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	ft, err := format.ReadFoot(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if ft.ID != id {
		return nil, errs.F("store.foot", id.Path(), errs.Corrupt, "the footer is that of blob %s", ft.ID)
	}
	return ft, nil
}
