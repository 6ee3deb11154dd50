package store

import (
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// Versioning says what becomes of the state that a write or delete replaces.
type Versioning uint8

// The states of a bucket.
const (
	Unversioned Versioning = iota // it goes
	Versioned                     // it stays as an older version
	Suspended                     // the write becomes the null version and replaces the former null version; other versions stay
)

// Finish is what a write knows when its content is whole and nothing is sealed yet.
type Finish struct {
	Size  int64
	Sums  []cksum.Value // of the types asked for by Checksum, Also and Expect
	Parts []PartInfo    // of CompleteUpload, in order

	// These may be set; they begin as in PutOptions.
	ETag                 string
	Custom, System, Tags map[string]string
}

// Sum returns the checksum of a type; false when it was not asked for.
func (f *Finish) Sum(t cksum.Type) (cksum.Value, bool) {
	for _, v := range f.Sums {
		if v.Type == t {
			return v, true
		}
	}
	return cksum.Value{}, false
}

// finish lets the request see what came and add to it.
func (o *PutOptions) finish(size int64, sums []cksum.Value, parts []PartInfo) error {
	f := Finish{Size: size, Sums: sums, Parts: parts, ETag: o.ETag, Custom: o.Custom, System: o.System, Tags: o.Tags}
	if err := o.Finish(&f); err != nil {
		return err
	}
	o.ETag, o.Custom, o.System, o.Tags = f.ETag, f.Custom, f.System, f.Tags
	return nil
}

// sumsOf returns the checksums that o asks for of content that is in memory; whole is that of o.Checksum.
func (o *PutOptions) sumsOf(whole cksum.Value, data []byte) []cksum.Value {
	all := make([]cksum.Value, 0, 1+len(o.Also)+len(o.Expect))
	has := func(t cksum.Type) bool {
		return t == cksum.None || slices.ContainsFunc(all, func(v cksum.Value) bool { return v.Type == t })
	}
	if whole.Type != cksum.None {
		all = append(all, whole)
	}
	for _, v := range o.Expect { // they were found right
		if !has(v.Type) {
			all = append(all, v)
		}
	}
	for _, t := range o.Also {
		if !has(t) {
			all = append(all, cksum.Of(t, data))
		}
	}
	return all
}

// inlineKey appends the index key of content that lives in the index.
func inlineKey(dst []byte, n object.Name, p *format.Content) []byte {
	if p.Kind == format.RefKept {
		return format.IDKey(dst, format.FamKept, n.Bucket, n.Key, format.Invert(p.Tag))
	}
	return format.ObjectKey(dst, format.FamContent, n.Bucket, n.Key)
}

// identify gives the record its S3 version id.
func (w *write) identify() {
	switch w.o.Versioning {
	case Versioned:
		w.rec.SetVersionID(w.rec.Version)
	case Suspended:
		w.rec.SetNull()
	case Unversioned:
	}
}

// keepOld makes room for a write in a name that has versions, or gets them: what the home volume has as current moves aside or, as
// the null version that another null version replaces, goes. A volume's current record is always the newest of those it has; the
// name's is the newest of all volumes.
func (w *write) keepOld(b *pebble.Batch, old *found, exists bool) error {
	replacing := w.o.Versioning != Versioned // a null version
	old.stays = exists && (!replacing || !old.Null())
	own := old
	if exists && old.vol != w.vol {
		own = new(found)
		ok, err := w.vol.read(own, w.name)
		if err != nil {
			return err
		}
		w.gone = append(w.gone, own) // to be closed at least
		exists = ok
	}
	inline := w.inline != nil && w.o.Versioning != Versioned // under the key of the present content
	if !exists {
		if replacing {
			return w.dropNull(b)
		}
		return nil
	}
	if w.shares {
		own.Flags |= format.FlagShared // perhaps this one's
	}
	if replacing && own.Null() {
		return own.dropContent(b, w.name, inline)
	}
	if err := own.keep(b, w.name, inline); err != nil {
		return err
	}
	own.stays = true
	if replacing {
		return w.dropNull(b)
	}
	return nil
}

// dropNull removes the older version that is the null version, if there is one.
func (w *write) dropNull(b *pebble.Batch) error {
	f := new(found)
	ok, err := f.readNull(w.vol, w.name)
	if !ok || err != nil {
		return err
	}
	w.gone = append(w.gone, f)
	if w.shares {
		f.Flags |= format.FlagShared
	}
	return f.dropVersion(b, w.name)
}

// dropVersion takes an older version out of the index.
func (f *found) dropVersion(b *pebble.Batch, n object.Name) error {
	if err := f.dropContent(b, n, false); err != nil {
		return err
	}
	return f.dropVersionKeys(b, n)
}

// dropVersionKeys removes the record of an older version but not what it names.
func (f *found) dropVersionKeys(b *pebble.Batch, n object.Name) error {
	if err := b.Delete(format.IDKey(nil, format.FamVersion, n.Bucket, n.Key, f.id), nil); err != nil || !f.Null() {
		return err
	}
	return b.Delete(format.ObjectKey(nil, format.FamNull, n.Bucket, n.Key), nil)
}

// keep makes f, the current record of n, an older version. Its content under the key of the present content moves too; overwritten
// says that this key is about to be written.
func (f *found) keep(b *pebble.Batch, n object.Name, overwritten bool) error {
	const op = "store.keep"
	v := f.vol
	rec := f.Record
	rec.Parts = slices.Clone(f.Parts)
	if len(rec.Parts) == 1 && rec.Parts[0].Kind == format.RefInline {
		p := &rec.Parts[0]
		from := inlineKey(nil, n, p)
		if err := v.gate.Enter(); err != nil {
			return err
		}
		defer v.gate.Leave()
		val, closer, err := v.db.Get(from)
		if err != nil {
			return v.readError(op, n, err)
		}
		p.Kind = format.RefKept
		err = b.Set(inlineKey(nil, n, p), val, nil)
		if err = errors.Join(err, closer.Close()); err == nil && !overwritten {
			err = b.Delete(from, nil)
		}
		if err != nil {
			return err
		}
	}
	id := format.Invert(rec.Born())
	if rec.Null() {
		if err := b.Set(format.ObjectKey(nil, format.FamNull, n.Bucket, n.Key), id[:], nil); err != nil {
			return err
		}
	}
	return b.Set(format.IDKey(nil, format.FamVersion, n.Bucket, n.Key, id), format.AppendRecord(nil, &rec, n.Key), nil)
}

// unlinkOld removes the blobs of what a committed write replaced.
func (w *write) unlinkOld(old *found) {
	old.unlinkBlobs()
	for _, f := range w.gone {
		f.unlinkBlobs()
	}
	w.closeGone()
}

// closeGone lets go what was to go.
func (w *write) closeGone() {
	for _, f := range w.gone {
		f.close()
	}
	w.gone = nil
}

// key is the index key that f was read from.
func (f *found) key(n object.Name) []byte {
	if f.at == format.FamVersion {
		return format.IDKey(nil, format.FamVersion, n.Bucket, n.Key, f.id)
	}
	return format.ObjectKey(nil, format.FamRecord, n.Bucket, n.Key)
}

// readNull reads the older version that is the null version.
func (f *found) readNull(v *volume, n object.Name) (bool, error) {
	id, err := v.getCopy(format.ObjectKey(nil, format.FamNull, n.Bucket, n.Key))
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, v.readError("store.readNull", n, err)
	}
	if len(id) != len(f.id) {
		return false, v.readError("store.readNull", n, errs.E("store.readNull", n, errs.Corrupt, "the null version's place is unreadable"))
	}
	return f.readVersion(v, n, [16]byte(id))
}

// readVersion reads an older version.
func (f *found) readVersion(v *volume, n object.Name, id [16]byte) (bool, error) {
	ok, err := f.readAt(v, "store.readVersion", n, format.IDKey(nil, format.FamVersion, n.Bucket, n.Key, id), []byte(n.Key))
	f.at, f.id = format.FamVersion, id
	return ok, err
}

// readNewest reads the newest of the older versions.
func (f *found) readNewest(v *volume, n object.Name) (bool, error) {
	const op = "store.readNewest"
	lower := append(format.ObjectKey(nil, format.FamVersion, n.Bucket, n.Key), 0)
	if err := v.gate.Enter(); err != nil {
		return false, err
	}
	defer v.gate.Leave()
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: format.PrefixEnd(lower)})
	if err != nil {
		return false, v.readError(op, n, err)
	}
	var id [16]byte
	ok := it.First()
	if ok {
		_, _, id, _, ok = format.SplitIDKey(it.Key())
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return false, v.readError(op, n, err)
	}
	if !ok {
		return false, nil
	}
	return f.readVersion(v, n, id)
}

// version reads the version of n that a client names: "" is the current one, tombstones are returned like any record. The caller
// holds the name's lock, or is lookupVersion.
func (s *places) version(f *found, n object.Name, id string) (bool, error) {
	if id == "" {
		return s.current(f, n)
	}
	var want object.Version
	if id != object.NullVersion {
		v, err := object.ParseVersion(id)
		if err != nil || v.String() != id {
			return false, nil // never given
		}
		want = v
	}
	l := s.now()
	var buf [8]*volume
	for _, v := range l.homes(n, buf[:0]) {
		if err := v.err(); err != nil {
			if !want.IsZero() && l.below(v, want) {
				continue
			}
			f.close()
			return false, err // it may have it
		}
		var g found
		ok, err := g.readNamed(v, n, want)
		if err != nil {
			f.close()
			return false, err
		}
		if !ok {
			continue
		}
		if f.vol != nil && f.Born().Compare(g.Born()) >= 0 { // null versions that a crash left in former homes
			g.close()
			continue
		}
		f.close()
		*f = g
		if len(f.Parts) == 1 {
			f.Parts = f.One[:1]
		}
	}
	return f.vol != nil, nil
}

// readNamed reads the version that was born as want, or for zero the null version.
func (f *found) readNamed(v *volume, n object.Name, want object.Version) (bool, error) {
	ok, err := v.read(f, n)
	if err != nil {
		return false, err
	}
	if ok {
		if null := f.Null(); null && want.IsZero() || !null && !want.IsZero() && f.Born() == want {
			return true, nil
		}
		f.close()
	}
	*f = found{}
	if want.IsZero() {
		return f.readNull(v, n)
	}
	ok, err = f.readVersion(v, n, format.Invert(want))
	if ok && f.Null() { // its version is no id
		f.close()
		return false, nil
	}
	return ok, err
}

// lookupVersion is version for a reader, who is told only what is durable; kind NotFound.
func (s *places) lookupVersion(f *found, n object.Name, id string) error {
	for {
		l := s.now()
		err := s.lookupVersionOnce(f, n, id)
		if err == nil {
			return nil
		}
		f.close()
		if s.now() == l { // else it may have gone to a mountpath that was not known yet
			return err
		}
		*f = found{}
	}
}

func (s *places) lookupVersionOnce(f *found, n object.Name, id string) error {
	ok, err := s.version(f, n, id)
	lock := s.locks.of(n)
	lock.settle()
	if err == nil && !ok && (id != "" || !s.now().set.Settled()) { // it may have been on its way from one key to the other
		lock.mu.Lock()
		ok, err = s.version(f, n, id)
		lock.mu.Unlock()
	}
	if err == nil && s.now().broken(n) { // the commit waited for may have failed
		f.close()
		*f = found{}
		ok, err = s.version(f, n, id)
	}
	if err == nil && !ok {
		err = errs.E("store.read", n, errs.NotFound)
	}
	return err
}

// isLatest reports whether f is the current version.
func (s *places) isLatest(f *found, n object.Name) bool {
	if f.at != format.FamRecord {
		return false
	}
	if s.now().set.Settled() {
		return true
	}
	var cur found
	defer func() { cur.close() }()
	ok := false
	err := s.steady(func() (err error) {
		cur.close()
		cur = found{}
		ok, err = s.current(&cur, n)
		return err
	})
	return err == nil && ok && cur.Version == f.Version
}

// StatVersion describes a version of n, "" = the current one. Delete markers are told of (Info.DeleteMarker), not hidden; kind
// NotFound when there is no such version.
func (s *Store) StatVersion(n object.Name, versionID string) (info object.Info, err error) {
	const op = "store.StatVersion"
	if err := s.live(op, n); err != nil {
		return info, err
	}
	var f found
	if err := s.lookupVersion(&f, n, versionID); err != nil {
		return info, errs.E(op, n, err)
	}
	f.Info(&info, n.Key)
	info.Latest = s.isLatest(&f, n)
	f.close()
	return info, nil
}

// OpenVersion opens a version of n, "" = the current one. A delete marker opens as an object without content: look at
// Info().DeleteMarker. Close it.
func (s *Store) OpenVersion(n object.Name, versionID string) (*Object, error) {
	const op = "store.OpenVersion"
	if err := s.live(op, n); err != nil {
		return nil, err
	}
	o := &Object{name: n, store: s}
	for range 4 { // see Open
		l := s.now()
		var f found
		if err := s.lookupVersion(&f, n, versionID); err != nil {
			return nil, errs.E(op, n, err)
		}
		again, err := o.versionContent(&f)
		f.close()
		if err == nil {
			return o, nil
		}
		if !again && s.now() == l {
			return nil, errs.E(op, n, err)
		}
	}
	l := s.locks.of(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	var f found
	ok, err := s.version(&f, n, versionID)
	defer f.close()
	if err == nil && !ok {
		err = errs.E(op, n, errs.NotFound)
	}
	if err == nil {
		_, err = o.versionContent(&f)
	}
	if err != nil {
		return nil, errs.E(op, n, err)
	}
	return o, nil
}

func (o *Object) versionContent(f *found) (again bool, err error) {
	if f.Tombstone() {
		f.Info(&o.info, o.name.Key)
	} else if again, err = o.content(f); err != nil {
		return again, err
	}
	o.info.Latest = o.store.isLatest(f, o.name)
	return false, nil
}

// Empty reports whether a bucket has nothing here: no object, version or delete marker. Open uploads do not count.
func (s *Store) Empty(bucket uint64) (empty bool, err error) {
	err = s.steady(func() (err error) {
		empty, err = emptyIn(s.volumes(), bucket)
		return err
	})
	return empty, err
}

func emptyIn(vols []*volume, bucket uint64) (bool, error) {
	const op = "store.Empty"
	for _, v := range vols {
		empty, err := emptyBucket(v, bucket)
		if err != nil {
			return false, errs.E(op, v.mp.Path(), err)
		}
		if !empty {
			return false, nil
		}
	}
	for _, v := range vols { // what is gone must be so for good
		if err := v.settle(); err != nil {
			return false, errs.E(op, v.mp.Path(), err)
		}
	}
	return true, nil
}

func emptyBucket(v *volume, bucket uint64) (bool, error) {
	for _, fam := range []byte{format.FamRecord, format.FamVersion} {
		c, err := v.newCursor(format.ObjectKey(nil, fam, bucket, ""), format.BucketEnd(nil, fam, bucket))
		if err != nil {
			return false, err
		}
		some := c.it.First()
		if err := errors.Join(c.it.Error(), c.close()); err != nil || some {
			return false, err
		}
	}
	return true, nil
}
