package store

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// PartOptions of a PutPart; the fields mean what they do in PutOptions. The MD5 is always computed: it is the part's ETag.
type PartOptions struct {
	Durability cluster.Durability
	Size       int64
	Expect     []cksum.Value
	Also       []cksum.Type // computed and kept with the part
	Finish     func(*Finish) error
	Guard      func() error
	Epoch      uint64
	Mark       bool
	Newest     func() (epoch uint64, mark bool) // as in PutOptions
}

// PartInfo is what is known of a part, of an upload or of a completed object.
type PartInfo struct {
	Number   int
	Size     int64
	ETag     string        // MD5 in hex
	Sums     []cksum.Value // those kept with it
	Modified time.Time
}

// Sum returns the part's checksum of a type; false when it has none.
func (p *PartInfo) Sum(t cksum.Type) (cksum.Value, bool) {
	f := Finish{Sums: p.Sums}
	return f.Sum(t)
}

func partInfo(p *format.Part) PartInfo {
	return PartInfo{Number: p.Number, Size: p.Size, ETag: p.ETag(), Sums: p.Sums, Modified: p.Modified()}
}

func partInfos(parts []format.Part) []PartInfo {
	infos := make([]PartInfo, len(parts))
	for i := range parts {
		infos[i] = partInfo(&parts[i])
	}
	return infos
}

// PutPart stores part number (1 to MaxParts) of an upload; it replaces what was there under the number. The part is durable when
// PutPart returns. Kind NotFound when the upload is not under way.
//
// A part is a blob on any of the mountpaths, so that parts of one object keep all disks busy. Blob and directory are synced, then
// the part's entry and the blob's reference are committed in the blob's mountpath.
func (s *multipart) PutPart(ctx context.Context, n object.Name, id string, number int, r io.Reader, o PartOptions) (info PartInfo, err error) {
	const op = "store.PutPart"
	if err := s.live(op, n); err != nil {
		return info, err
	}
	if number < 1 || number > MaxParts {
		return info, errs.F(op, n, errs.Invalid, "part number %d is outside 1..%d", number, MaxParts)
	}
	u, err := s.lookUpload(op, n, id)
	if err != nil {
		return info, errs.E(op, n, err)
	}
	bw, err := s.partBlob(u.id, number, max(o.Size, chunkSize), func(v *volume) (*blobWriter, error) { return v.newBlob(s.cfg.BlockSize, o.Size) })
	if err != nil {
		return info, errs.E(op, n, err)
	}
	bw.lazy = o.Durability == cluster.Volatile
	committed := false
	defer func() { bw.finish(committed) }()
	if err := failpoint.Hit("part.work-created"); err != nil {
		return info, err
	}
	p, err := s.writePart(ctx, op, n, u.id, number, r, bw, &o)
	if err != nil {
		return info, errs.E(op, n, err)
	}
	if o.Durability == cluster.Volatile && !u.Unsynced {
		if err := s.noteUnsynced(op, n, id); err != nil {
			return info, errs.E(op, n, err)
		}
	}
	err = s.commitPart(op, u, p, bw.v, &o)
	for i := 0; i < 4 && errors.Is(err, errRehomed); i++ { // it must not go to a mountpath that leaves
		to, ferr := s.followPart(ctx, u, p, bw)
		if ferr != nil {
			return info, errs.E(op, n, ferr)
		}
		if to != bw {
			bw.finish(false)
			bw = to
		}
		err = s.commitPart(op, u, p, bw.v, &o)
	}
	if err != nil {
		return info, errs.E(op, n, settling(op, n, err))
	}
	committed = true
	return partInfo(p), nil
}

// partHome chooses where a part goes: the next mountpath for the next number, unless that one cannot take it.
func (s *multipart) partHome(id format.UploadID, number int, size int64) (v *volume, err error) {
	vols := s.now().serving()
	first := int(cksum.Digest64(id[:], 0)%uint64(len(vols))) + number
	for i := range vols {
		v := vols[(first+i)%len(vols)]
		verr := v.err()
		if verr == nil {
			verr = v.space.admit(size)
		}
		if verr == nil {
			return v, nil
		}
		if err == nil {
			err = verr
		}
	}
	return nil, err
}

// partBlob begins a blob where a part goes.
func (s *multipart) partBlob(id format.UploadID, number int, size int64, begin func(*volume) (*blobWriter, error)) (w *blobWriter, err error) {
	err = s.steady(func() error {
		v, err := s.partHome(id, number, size)
		if err == nil {
			w, err = begin(v)
		}
		return err
	})
	return w, err
}

// writePart writes the part's bytes, its footer, and publishes the blob.
func (s *multipart) writePart(ctx context.Context, op string, n object.Name, id format.UploadID, number int, r io.Reader, bw *blobWriter, o *PartOptions) (*format.Part, error) {
	bp, _ := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(bp)
	po := PutOptions{Checksum: cksum.MD5, Expect: o.Expect, Also: o.Also, Finish: o.Finish}
	h := newSums(&po)
	h.Share(&s.hashing)
	if err := bw.copyFrom(ctx, op, n, &prefixed{nil, r}, *bp, h, o.Size); err != nil {
		return nil, err
	}
	if err := failpoint.Hit("part.data-written"); err != nil {
		return nil, err
	}
	if err := h.check(op, n, o.Expect); err != nil {
		return nil, err
	}
	if o.Finish != nil {
		if err := po.finish(bw.length, h.Sums(), nil); err != nil {
			return nil, err
		}
	}
	if bw.inBlock > 0 {
		bw.endBlock()
	}
	p := &format.Part{
		Number: number, Size: bw.length, Created: time.Now().UnixNano(), Mount: bw.v.mount, Blob: bw.id, BlockSize: bw.blockSize,
		MD5: [16]byte(h.Sum(cksum.MD5).Raw()),
	}
	for _, t := range o.Also {
		if t != cksum.None && t != cksum.MD5 && !slices.ContainsFunc(p.Sums, func(v cksum.Value) bool { return v.Type == t }) {
			p.Sums = append(p.Sums, h.Sum(t))
		}
	}
	var err error
	if p.Version, err = s.versions.next(object.Version{}, 0); err != nil {
		return nil, err
	}
	if err := bw.footer(n.Key, format.AppendPartFoot(nil, n.Bucket, id, p)); err != nil {
		return nil, err
	}
	return p, bw.publish(o.Durability != cluster.Volatile)
}

// followPart brings a part's blob to a mountpath in service.
func (s *multipart) followPart(ctx context.Context, u *upload, p *format.Part, from *blobWriter) (*blobWriter, error) {
	to, err := s.partBlob(u.id, p.Number, p.Size, func(v *volume) (*blobWriter, error) { return from.copyTo(ctx, v, true) })
	if err == nil {
		p.Mount = to.v.mount
	}
	return to, err
}

// commitPart makes p the part of its number, if the upload is still under way.
func (s *multipart) commitPart(op string, u *upload, p *format.Part, v *volume, o *PartOptions) error {
	l := s.uploads.of(u.id)
	l.RLock()
	defer l.RUnlock()
	n := u.n
	if err := s.markFirst(n, o); err != nil {
		return err
	}
	key := format.PartKey(nil, n.Bucket, n.Key, u.id, p.Number)
	lock := s.places.parts.of(key) // against another of the same number
	lock.Lock()
	defer lock.Unlock()
	if err := s.live(op, n); err != nil {
		return err
	}
	if _, err := s.openUpload(op, n, u.id.String()); err != nil {
		return err
	}
	if !slices.Contains(s.now().serving(), v) {
		return errRehomed
	}
	if o.Guard != nil {
		if err := o.Guard(); err != nil {
			return err
		}
	}
	if err := failpoint.Hit("part.before-commit"); err != nil {
		return err
	}
	if err := u.replacePart(v, key, p); err != nil {
		return err
	}
	_ = failpoint.Hit("part.after-commit") // past the commit: only a kill matters
	for _, other := range s.volumes() {
		if other == v || other.err() != nil {
			continue
		}
		if err := u.replacePart(other, key, nil); err != nil { // the newer one holds
			s.log.Warn("a replaced part was not removed", "object", n.String(), "err", err)
		}
	}
	return nil
}

// noteUnsynced notes that the blobs of an upload's parts may not be durable: it may be completed under class local.
func (s *multipart) noteUnsynced(op string, n object.Name, id string) error {
	uid, _ := format.ParseUploadID(id) // looked up before
	l := s.uploads.of(uid)
	l.Lock()
	defer l.Unlock()
	u, err := s.openUpload(op, n, id)
	if err != nil || u.Unsynced {
		return err
	}
	u.Unsynced = true
	return u.put(cluster.Local, nil)
}

// syncParts makes the blobs of parts durable.
func (s *multipart) syncParts(n object.Name, parts []format.Part) error {
	for i := range parts {
		v, err := s.partVolume(n, &parts[i])
		if err != nil {
			return err
		}
		err = syncBlob(v, parts[i].Blob)
		if errors.Is(err, os.ErrNotExist) {
			err = errs.F("store.syncParts", n, errs.Corrupt, "the content of part %d is missing", parts[i].Number)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// partLocks serialise those who change the entry of a part.
type partLocks [256]sync.Mutex

func (l *partLocks) of(key []byte) *sync.Mutex { return &l[cksum.Digest64(key, 0)%uint64(len(l))] }

// dropEntry removes the entry of an upload's part if it names the blob: its reference is gone.
func (s *places) dropEntry(v *volume, t *table, p *format.Part) error {
	key := format.PartKey(nil, t.name.Bucket, t.name.Key, t.id, p.Number)
	if _, err := v.getCopy(key); err != nil { // nearly always
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		return err
	}
	lock := s.parts.of(key)
	lock.Lock()
	defer lock.Unlock()
	val, err := v.getCopy(key)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	var have format.Part
	if err == nil {
		err = format.DecodePart(&have, val, key)
	}
	if err != nil || have.Blob != p.Blob {
		return err
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Delete(key, nil); err != nil {
		return err
	}
	return v.commit(b, cluster.Local)
}

// replacePart writes p under its key, nil for nothing, and removes what was there.
func (u *upload) replacePart(v *volume, key []byte, p *format.Part) error {
	n, id := u.n, u.id
	var old format.Part
	val, err := v.getCopy(key)
	had := err == nil
	if had {
		err = format.DecodePart(&old, val, key)
	}
	if errs.Is(err, errs.NotFound) && p == nil {
		return nil
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return v.readError("store.replacePart", n, err)
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	if had {
		if err := b.Delete(format.RefKey(nil, old.Blob, n.Bucket, n.Key, owner(id)), nil); err != nil {
			return err
		}
	}
	if p == nil {
		err = b.Delete(key, nil)
	} else if err = b.Set(key, format.AppendPart(nil, p, key), nil); err == nil {
		err = b.Set(format.RefKey(nil, p.Blob, n.Bucket, n.Key, owner(id)), nil, nil)
	}
	if err != nil {
		return err
	}
	if err := v.commit(b, cluster.Local); err != nil {
		return err
	}
	if had {
		v.unlink(old.Blob)
	}
	return nil
}

// parts reads the entries of an upload's parts on v with numbers above after, up to limit (0 = all).
func (u *upload) parts(v *volume, after, limit int) ([]format.Part, error) {
	n, id := u.n, u.id
	lower := format.PartKey(nil, n.Bucket, n.Key, id, after+1)
	c, err := v.newCursor(lower, format.PrefixEnd(format.IDKey(nil, format.FamPart, n.Bucket, n.Key, id)))
	if err != nil {
		return nil, err
	}
	var parts []format.Part
	var fault error
	for ok := c.it.First(); ok && fault == nil && (limit == 0 || len(parts) < limit); ok = c.it.Next() {
		val, err := c.it.ValueAndErr()
		var p format.Part
		if err == nil {
			err = format.DecodePart(&p, val, c.it.Key())
		}
		if err == nil && p.Mount != v.mount {
			err = errs.E("store.parts", n, errs.Corrupt, "a part's entry is another mountpath's")
		}
		if fault = err; err == nil {
			parts = append(parts, p)
		}
	}
	if err := errors.Join(fault, c.it.Error(), c.close()); err != nil {
		return nil, v.readError("store.parts", n, err)
	}
	return parts, nil
}

// partsOf reads the parts of an upload, of each number the newest. Those on a mountpath that failed are not among them.
func (s *places) partsOf(u *upload) (map[int]format.Part, error) {
	all := map[int]format.Part{}
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		parts, err := u.parts(v, 0, 0)
		if err != nil {
			return nil, err
		}
		for i := range parts {
			if have, ok := all[parts[i].Number]; !ok || have.Version.Compare(parts[i].Version) < 0 {
				all[parts[i].Number] = parts[i]
			}
		}
	}
	return all, nil
}

// ListParts returns up to limit parts (0 = all) of an upload under way whose numbers are above after, and whether there are more.
func (s *multipart) ListParts(ctx context.Context, n object.Name, id string, after, limit int) (infos []PartInfo, more bool, err error) {
	const op = "store.ListParts"
	if err := errors.Join(ctx.Err(), s.live(op, n)); err != nil {
		return nil, false, errs.E(op, n, err)
	}
	ask := 0
	if limit > 0 {
		ask = limit + 1
	}
	parts, err := s.readParts(op, n, id, max(after, 0), ask)
	if err != nil {
		return nil, false, errs.E(op, n, err)
	}
	slices.SortFunc(parts, func(a, b format.Part) int { // of one number the newest first
		return cmp.Or(cmp.Compare(a.Number, b.Number), b.Version.Compare(a.Version))
	})
	parts = slices.CompactFunc(parts, func(a, b format.Part) bool { return a.Number == b.Number })
	if limit > 0 && len(parts) > limit {
		parts, more = parts[:limit], true
	}
	return partInfos(parts), more, nil
}

// readParts reads the parts of an upload under way on all mountpaths, as (*upload).parts does on one. No part goes from one to another
// meanwhile.
func (s *multipart) readParts(op string, n object.Name, id string, after, limit int) (parts []format.Part, err error) {
	uid, ok := format.ParseUploadID(id)
	if !ok {
		return nil, noUpload(op, n, id)
	}
	l := s.uploads.of(uid)
	l.RLock()
	defer l.RUnlock()
	u, err := s.openUpload(op, n, id)
	if err != nil || after >= MaxParts {
		return nil, err
	}
	for _, v := range s.volumes() {
		some, err := u.parts(v, after, limit)
		if err != nil { // also of a mountpath that failed: the list is never silently short
			return nil, err
		}
		parts = append(parts, some...)
	}
	for _, v := range s.volumes() {
		if err := v.settle(); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// Parts returns the parts of which a version of n ("" = the current) was completed; nil when it was not uploaded in parts.
func (s *multipart) Parts(n object.Name, versionID string) ([]PartInfo, error) {
	o, err := s.OpenVersion(n, versionID)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return o.Parts(), nil
}

// Parts returns the parts of which the object was completed; nil when it was not uploaded in parts.
func (o *Object) Parts() []PartInfo {
	if o.multi == nil {
		return nil
	}
	return partInfos(o.multi.parts)
}
