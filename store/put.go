package store

import (
	"bytes"
	"context"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// PutOptions of a write. The zero value writes durably, under epoch 0, without a checksum of the whole.
type PutOptions struct {
	Epoch      uint64             // of the cluster map the request was routed with
	Durability cluster.Durability // "" = local
	Checksum   cksum.Type         // of the whole object, computed and kept
	Expect     []cksum.Value      // what the client says the content's checksums are; kind Checksum if not
	Size       int64              // what the client says the length is, -1 = unknown; kind Checksum if not

	Custom, System, Tags map[string]string
	ETag                 string // "" = derived: the checksum in hex, or for type none EPOCH.COUNTER
	Conditions           *object.Conditions

	Versioning Versioning          // of the bucket
	Also       []cksum.Type        // computed besides Checksum, for Finish
	Finish     func(*Finish) error // the content is whole and nothing is sealed: may set what Finish lets it; its error ends the write

	// Guard is called under the name's lock right before the commit (a lease check); its error ends the
	// write with nothing changed.
	Guard func() error
	Mark  bool // the same batch notes that the key was changed in this epoch
	// Newest, if it is not nil, is asked under the name's lock, before Guard: the epoch that the change is made in, if that is later than
	// Epoch, and in place of Mark whether a mark is left.
	Newest func() (epoch uint64, mark bool)
}

// Put writes data, replacing what n had. Up to Config.InlineMax bytes are one synced index batch. data is
// not kept.
func (s *Store) Put(ctx context.Context, n object.Name, data []byte, o PutOptions) (object.Info, error) {
	const op = "store.Put"
	if o.Size > 0 && o.Size != int64(len(data)) {
		return object.Info{}, errs.F(op, n, errs.Checksum, "%d bytes came, the request declared %d", len(data), o.Size)
	}
	if len(data) > s.cfg.InlineMax {
		o.Size = int64(len(data))
		return s.PutStream(ctx, n, bytes.NewReader(data), o)
	}
	return s.putInline(ctx, op, n, data, &o)
}

// putInline writes content that lives in the index.
func (s *Store) putInline(ctx context.Context, op string, n object.Name, data []byte, o *PutOptions) (info object.Info, err error) {
	if err := s.live(op, n); err != nil {
		return info, err
	}
	v, err := s.room(n, 3*int64(len(data)+len(n.Key)+200)) // log, table, one compaction
	if err != nil {
		return info, errs.E(op, n, err)
	}
	if data == nil { // an empty object has inline content too; nil is how a write of blobs is told
		data = []byte{}
	}
	sum := cksum.Of(o.Checksum, data)
	for _, want := range o.Expect {
		if got := cksum.Of(want.Type, data); got != want {
			return info, errs.F(op, n, errs.Checksum, "content has checksum %v, the request declared %v", got, want)
		}
	}
	if o.Finish != nil {
		if err := o.finish(int64(len(data)), o.sumsOf(sum, data), nil); err != nil {
			return info, errs.E(op, n, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return info, errs.E(op, n, err)
	}
	w := write{op: op, name: n, vol: v, o: o, sum: sum, inline: data}
	w.rec.Size = int64(len(data))
	w.rec.One[0] = format.Content{Kind: format.RefInline, Length: int64(len(data)), CRC: cksum.Block(data)}
	w.rec.Parts = w.rec.One[:1]
	return s.commitWrite(&w)
}

// write is one change of a name on its way into the index.
type write struct {
	op   string
	name object.Name
	vol  *volume
	o    *PutOptions
	sum  cksum.Value

	rec     format.Record
	inline  []byte                    // content for the index, nil for blobs
	version object.Version            // already promised (it stands in a blob's footer), zero = none
	blob    *blobWriter               // whose footer has it
	also    func(*pebble.Batch) error // adds to the batch

	shares bool     // the blobs are another record's as well
	here   bool     // what also adds is of this volume alone
	gone   []*found // what goes besides what was there
}

// commitWrite takes the name's lock, checks conditions, gives the version and commits. What the write
// replaced is removed afterwards.
func (s *Store) commitWrite(w *write) (info object.Info, err error) {
	lock := s.locks.of(w.name)
	lock.mu.Lock()
	var old found
	err = s.commitLocked(w, lock, &old, &info)
	lock.mu.Unlock()
	if err != nil {
		old.close()
		w.closeGone()
		return object.Info{}, errs.E(w.op, w.name, err)
	}
	_ = failpoint.Hit("put.after-commit") // past the commit: only a kill matters
	w.unlinkOld(&old)
	old.close()
	return info, nil
}

func (s *Store) commitLocked(w *write, lock *nameLock, old *found, info *object.Info) error {
	l, err := s.rehome(w)
	if err != nil {
		return err
	}
	exists, err := l.current(old, w.name)
	if err != nil {
		return err
	}
	if !w.o.Conditions.IsZero() { // otherwise what a mountpath that is away has is older, whatever it is
		if err := l.doubt(w.name, old, exists); err != nil {
			return err
		}
	}
	if err := checkConditions(w.o.Conditions, old, exists, w.name.Key); err != nil {
		return err
	}
	if w.shares {
		old.Flags |= format.FlagShared // perhaps with this write: a name may be written over itself
	}
	mark, err := s.raise(w.name, w.o.Mark, w.o.Newest, &w.o.Epoch)
	if err != nil {
		return err
	}
	if err := s.stamp(w, old, l.broken(w.name)); err != nil {
		return err
	}
	drop := w.dropOld
	if w.o.Versioning != Unversioned || len(old.S3ID) > 0 {
		drop = w.keepOld
		if w.o.Versioning == Unversioned { // by a node that has not heard of it yet
			w.rec.SetNull()
		}
	}
	w.rec.Info(info, w.name.Key)
	info.Custom, info.System, info.Tags = w.o.Custom, w.o.System, w.o.Tags
	b := w.vol.db.NewBatch()
	defer closeBatch(b)
	if err := drop(b, old, exists); err != nil { // first: a name may be written over itself
		return err
	}
	if err := w.encode(b); err != nil {
		return err
	}
	if err := mark.put(b); err != nil {
		return err
	}
	if w.also != nil {
		if err := w.also(b); err != nil {
			return err
		}
	}
	if err := s.live(w.op, w.name); err != nil { // the bucket may have gone while the content came
		return err
	}
	if w.o.Guard != nil {
		if err := w.o.Guard(); err != nil {
			return err
		}
	}
	if err := failpoint.Hit("put.before-commit"); err != nil {
		return err
	}
	lock.committing.Store(true)
	defer lock.committing.Store(false)
	return s.commitAt(l, w, b, w.class(old, exists))
}

// class is how w is committed: durably, whatever was asked for, if what it replaces is removed next.
func (w *write) class(old *found, exists bool) cluster.Durability {
	d := w.o.Durability
	if exists {
		d = old.removal(d)
		if old.vol != w.vol { // it goes by another log, which may be durable first
			d = cluster.Local
		}
	}
	for _, f := range w.gone {
		if !f.stays {
			d = f.removal(d)
		}
	}
	return d
}

// commitAt commits b at the name's home and then removes what former homes have of the name.
func (s *places) commitAt(l *layout, w *write, b *pebble.Batch, d cluster.Durability) error {
	if l.set.Settled() {
		return w.vol.commit(b, d)
	}
	s.moving.RLock()
	defer s.moving.RUnlock()
	if err := w.vol.commit(b, d); err != nil {
		return err
	}
	if w.o.Versioning != Versioned {
		if err := s.removeElsewhere(w.vol, w.name); err != nil { // the greater version holds
			w.vol.log.Warn("an older copy was not removed", "object", w.name.String(), "err", err)
		}
	}
	return nil
}

// bound reports whether w's content lies on its volume.
func (w *write) bound() bool {
	return w.shares || w.here || len(w.rec.Parts) > 0 && w.rec.Parts[0].Kind == format.RefBlob
}

func checkConditions(c *object.Conditions, old *found, exists bool, key string) error {
	if c.IsZero() {
		return nil
	}
	if !exists || old.Tombstone() {
		return c.Check(nil, false)
	}
	var cur object.Info
	old.Info(&cur, key)
	return c.Check(&cur, false)
}

// stamp gives the record its version, time and derived fields. blind says that a mountpath which is away may have versions as
// new as the one that was promised.
func (s *Store) stamp(w *write, old *found, blind bool) error {
	r := &w.rec
	switch {
	case w.version.IsZero():
		v, err := s.versions.next(old.Version, w.o.Epoch)
		if err != nil {
			return err
		}
		r.Version = v
	case blind || w.version.Compare(old.Version) <= 0: // another writer was faster
		v, err := s.versions.next(old.Version, w.o.Epoch)
		if err != nil {
			return err
		}
		if err := w.restamp(v); err != nil {
			return err
		}
	default:
		r.Version = w.version
	}
	if w.version.IsZero() {
		w.describe(time.Now())
	}
	if len(r.Parts) == 1 && r.Parts[0].Kind == format.RefInline {
		r.Parts[0].Tag = r.Version
		if w.o.Versioning == Versioned {
			r.Parts[0].Kind = format.RefKept // where it can stay
		}
	}
	return nil
}

// restamp gives the record another version than the one promised, which stands in the blob's footer.
func (w *write) restamp(v object.Version) error {
	w.rec.Version = v
	w.identify()
	err := w.blob.foot(w.name.Key, &w.rec)
	if err == nil && w.o.Durability != cluster.Volatile {
		err = w.blob.f.Sync()
	}
	return err
}

// describe fills the record with what the request said.
func (w *write) describe(now time.Time) {
	r := &w.rec
	r.Bucket = w.name.Bucket
	r.Created = now.UnixNano()
	r.SumType, r.Digest = w.sum.Type, w.sum.Raw()
	r.SetETag(w.o.ETag)
	r.Custom, r.System, r.Tags = format.EncodeMap(w.o.Custom), format.EncodeMap(w.o.System), format.EncodeMap(w.o.Tags)
	if w.o.Durability == cluster.Volatile && r.InBlobs() {
		r.SetUnsynced()
	}
	w.identify()
}

// dropOld removes from the home volume's index what belonged to the record there.
func (w *write) dropOld(b *pebble.Batch, old *found, exists bool) error {
	if !exists {
		return nil
	}
	if old.vol == w.vol {
		return old.dropContent(b, w.name, w.inline != nil)
	}
	var own found // the newest version is elsewhere; the home may have an older one
	ok, err := w.vol.read(&own, w.name)
	if !ok || err != nil {
		return err
	}
	defer own.close()
	return own.dropContent(b, w.name, w.inline != nil)
}

// encode adds the record, its content and its references to b.
func (w *write) encode(b *pebble.Batch) error {
	n := w.name
	kb := w.vol.keys.get()
	defer w.vol.keys.put(kb)
	rb := recordPool.get()
	defer recordPool.put(rb)
	rb.b = format.AppendRecord(rb.b[:0], &w.rec, n.Key)
	if err := b.Set(format.ObjectKey(kb[:0], format.FamRecord, n.Bucket, n.Key), rb.b, nil); err != nil {
		return err
	}
	for i := range w.rec.Parts {
		if p := &w.rec.Parts[i]; p.Kind == format.RefBlob {
			if err := b.Set(format.RefKey(nil, p.Blob, n.Bucket, n.Key, w.rec.Owner()), nil, nil); err != nil {
				return err
			}
		}
	}
	if w.inline == nil {
		return nil
	}
	key := inlineKey(kb[:0], n, &w.rec.Parts[0])
	op := b.SetDeferred(len(key), len(w.inline)+format.ContentTrailer)
	copy(op.Key, key)
	format.PutContent(op.Value, w.inline, w.rec.Version, w.rec.Parts[0].CRC)
	return op.Finish()
}

// dropContent removes the old record's content keys and blob references from the index. Inline content
// that is about to be replaced under the same key need not be removed.
func (f *found) dropContent(b *pebble.Batch, n object.Name, replaced bool) error {
	for i := range f.Parts {
		p := &f.Parts[i]
		var err error
		switch {
		case p.Kind == format.RefBlob:
			err = b.Delete(format.RefKey(nil, p.Blob, n.Bucket, n.Key, f.Owner()), nil)
		case p.Kind == format.RefTable:
			err = f.dropTable(b, n)
		case p.Kind == format.RefKept || !replaced:
			err = b.Delete(inlineKey(nil, n, p), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// closeBatch gives a batch back. Its error only says that it was in use, which would be a bug of ours.
func closeBatch(b *pebble.Batch) { _ = b.Close() }
