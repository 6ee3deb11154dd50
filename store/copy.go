package store

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// Link makes to a further name of from's content, replacing what to had: a Copy of the current version.
func (s *Store) Link(ctx context.Context, from, to object.Name, o PutOptions) (info object.Info, err error) {
	return s.Copy(ctx, from, "", to, o)
}

// Copy makes to a further name of the content of a version of from ("" = the current), replacing what to had. Blobs are shared by
// both where they can be; otherwise, for content in the index, and when o.Also asks for checksums, the bytes are copied.
// Custom, System and Tags of from are kept where o has none; its checksum, ETag and size always, unless o names an ETag.
// Conditions and Guard of o speak of to.
func (s *Store) Copy(ctx context.Context, from object.Name, versionID string, to object.Name, o PutOptions) (info object.Info, err error) {
	const op = "store.Copy"
	if err := s.live(op, from); err != nil {
		return info, err
	}
	src, err := s.OpenVersion(from, versionID)
	if err != nil {
		return info, errs.E(op, from, err)
	}
	defer src.Close()
	if src.info.DeleteMarker {
		return info, errs.E(op, from, errs.NotFound)
	}
	return s.CopyOpen(ctx, src, versionID, to, o)
}

// CopyOpen is Copy of the very state that is open as src, whatever its name has become meanwhile. versionID is the one it was opened with.
func (s *Store) CopyOpen(ctx context.Context, src *Object, versionID string, to object.Name, o PutOptions) (info object.Info, err error) {
	const op = "store.Copy"
	from := src.name
	if err := s.live(op, to); err != nil {
		return info, err
	}
	o = o.inherit(src.Info())
	v, err := s.home(to)
	if err != nil {
		return info, errs.E(op, to, err)
	}
	if src.multi == nil && src.parts == nil {
		return s.putInline(ctx, op, to, src.Bytes(), &o)
	}
	if len(o.Also) == 0 && (src.multi != nil && s.stay(src.multi.parts) || v == src.vol) {
		c := sharing{s: s, op: op, from: from, versionID: versionID, to: to, src: src, o: &o}
		info, err = c.run()
		if !errors.Is(err, errChanged) {
			return info, err
		}
	}
	o.Size = src.info.Size
	return s.PutStream(ctx, to, src.Reader(), o)
}

// stay reports whether all parts lie where more references to them may be made: not on a mountpath that leaves.
func (s *places) stay(parts []format.Part) bool {
	l := s.now()
	for i, v := range l.vols {
		if _, out := l.set.Out(i); out && slices.ContainsFunc(parts, func(p format.Part) bool { return p.Mount == v.mount }) {
			return false
		}
	}
	return true
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

// errChanged says that the source is no longer what was opened: its bytes must be copied, they are still there.
var errChanged = errors.New("the source changed while it was copied")

// sharing is one copy that shares blobs.
type sharing struct {
	s         *Store
	op        string
	from, to  object.Name
	versionID string
	src       *Object // open, so its blobs stay
	o         *PutOptions

	id [16]byte // of the copy's content, when it is in parts
	w  write
}

// run gives to the blobs of from, under the locks of both names: while from's is held, its record and so
// its references cannot go.
func (c *sharing) run() (info object.Info, err error) {
	s := c.s
	if c.o.Finish != nil {
		if err := c.o.finish(c.src.info.Size, nil, nil); err != nil {
			return info, errs.E(c.op, c.to, err)
		}
	}
	if c.src.unsynced && c.o.Durability != cluster.Volatile {
		if err := c.src.sync(); errors.Is(err, os.ErrNotExist) { // a part has moved
			return info, errChanged
		} else if err != nil {
			return info, errs.E(c.op, c.to, err)
		}
	}
	if c.src.multi != nil {
		_, _ = rand.Read(c.id[:]) // never fails (crypto/rand)
		s.sharing.Store(c.id, nil)
		defer func() {
			s.sharing.Delete(c.id)
			s.freed.ring()
		}()
	}
	_, lock, unlock := s.locks.pair(c.from, c.to)
	var src, old found
	defer src.close()
	defer old.close()
	undo, err := c.locked(&src, &old, lock, &info)
	unlock()
	if err != nil {
		if undo != nil && undo.home.err() == nil { // else the copy may have been committed, and what was announced there decides when it is back
			s.release(undo)
		}
		c.w.closeGone()
		return object.Info{}, errs.E(c.op, c.to, err)
	}
	c.w.unlinkOld(&old)
	return info, nil
}

// sync makes the blobs of o durable: they were written under class volatile, and are to be another's under class local.
func (o *Object) sync() error {
	if o.multi == nil {
		for i := range o.parts {
			if err := syncBlob(o.parts[i].vol, o.parts[i].Blob); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range o.multi.parts {
		p := &o.multi.parts[i]
		v := o.store.byMount(p.Mount)
		if v == nil {
			return errs.F("store.sync", o.name, errs.Mountpath, "part %d is on mountpath %016x, which is not here", p.Number, p.Mount)
		}
		if err := syncBlob(v, p.Blob); err != nil {
			return err
		}
	}
	return nil
}

// syncBlob makes a blob of v that has its place durable.
func syncBlob(v *volume, id format.BlobID) error {
	f, err := v.mp.OpenFile(id.Path(), os.O_RDONLY)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return v.dirs[id[6]].sync.do(func() error { return v.mp.SyncDir(id.Dir()) })
}

// locked is run under the locks. When it fails, undo is what it did to the references.
func (c *sharing) locked(src, old *found, lock *nameLock, info *object.Info) (undo *table, err error) {
	s := c.s
	ok, err := s.version(src, c.from, c.versionID)
	if err != nil {
		return nil, err
	}
	if !ok || src.Version != c.src.info.Version || src.vol != c.src.vol {
		return nil, errChanged
	}
	home, err := s.home(c.to)
	if err != nil {
		return nil, err
	}
	c.w = write{op: c.op, name: c.to, vol: home, o: c.o, shares: true}
	w := &c.w
	w.rec.Size, w.sum = src.Size, src.Sum()
	if _, ok := src.Table(); ok {
		if !s.stay(c.src.multi.parts) { // under the lock, it is what counts
			return nil, errChanged
		}
		w.rec.One[0] = format.Content{Kind: format.RefTable, Length: src.Size, Blob: c.id, Total: src.Parts[0].Total}
		w.rec.Parts = w.rec.One[:1]
		if undo, err = c.referElsewhere(home); err != nil {
			return undo, err
		}
		w.also = c.addTable
	} else {
		if home != src.vol {
			return nil, errChanged
		}
		w.rec.Flags, w.rec.Parts = format.FlagShared, src.Parts
		if !src.Shared() && !c.overwrites(src) {
			w.also = func(b *pebble.Batch) error {
				rec := src.Record
				rec.Flags |= format.FlagShared
				return b.Set(src.key(c.from), format.AppendRecord(nil, &rec, c.from.Key), nil)
			}
		}
	}
	if err = s.commitLocked(w, lock, old, info); errors.Is(err, errRehomed) {
		err = errChanged
	}
	return undo, err
}

// overwrites reports whether the write takes src out of its place: the flag is then set on its way.
func (c *sharing) overwrites(src *found) bool {
	return c.from == c.to && (src.at == format.FamRecord || src.Null() && c.o.Versioning != Versioned)
}

// referElsewhere makes the copy's references on other mountpaths, announced first as if they were to go.
func (c *sharing) referElsewhere(home *volume) (undo *table, err error) {
	parts := c.src.multi.parts
	refs := map[*volume]*pebble.Batch{}
	for i := range parts {
		v, err := c.s.partVolume(c.from, &parts[i])
		if err != nil {
			return nil, err
		}
		if v == home {
			continue
		}
		if refs[v] == nil {
			refs[v] = v.db.NewBatch()
			defer closeBatch(refs[v])
		}
		if err := refs[v].Set(format.RefKey(nil, parts[i].Blob, c.to.Bucket, c.to.Key, owner(c.id)), nil, nil); err != nil {
			return nil, err
		}
	}
	if len(refs) == 0 {
		return nil, nil
	}
	key := format.IDKey(nil, format.FamGone, c.to.Bucket, c.to.Key, c.id)
	b := home.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set(key, format.AppendTable(nil, parts, key), nil); err != nil {
		return nil, err
	}
	if err := home.commit(b, cluster.Local); err != nil {
		return nil, err
	}
	undo = &table{home: home, name: c.to, id: c.id, parts: parts, remote: true}
	if err := failpoint.Hit("copy.after-intent"); err != nil {
		return undo, err
	}
	for v, b := range refs {
		if err := v.commit(b, cluster.Local); err != nil {
			return undo, err
		}
	}
	return undo, failpoint.Hit("copy.refs-made")
}

// addTable adds the copy's table and its references at home to the batch, and takes back what was announced.
func (c *sharing) addTable(b *pebble.Batch) error {
	parts := c.src.multi.parts
	key := format.IDKey(nil, format.FamTable, c.to.Bucket, c.to.Key, c.id)
	if err := b.Set(key, format.AppendTable(nil, parts, key), nil); err != nil {
		return err
	}
	remote := false
	for i := range parts {
		if parts[i].Mount != c.w.vol.mount {
			remote = true
		} else if err := b.Set(format.RefKey(nil, parts[i].Blob, c.to.Bucket, c.to.Key, owner(c.id)), nil, nil); err != nil {
			return err
		}
	}
	if !remote {
		return nil
	}
	return b.Delete(format.IDKey(nil, format.FamGone, c.to.Bucket, c.to.Key, c.id), nil)
}

// RangeReader returns a part of the object's content as a stream; every byte was verified first. The span must lie inside the object.
func (o *Object) RangeReader(sp object.Span) io.Reader {
	return &reader{o: o, pos: sp.Start, end: sp.Start + sp.Length}
}
