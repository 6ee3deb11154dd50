package store

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// A name is moved home version by version, the oldest first: its blobs are copied and synced, without a lock; then, under the name's
// lock, the record is committed at home, and then removed where it was. So at every instant each version is on at least one
// mountpath, and it is no harm that a crash leaves it on two: of null versions the newest holds, versions with an id are the same.
//
// Of content in parts only the table moves; the parts stay where they are (moveparts.go moves those off a mountpath that leaves).

// moves is the part of a Store that moves names between mountpaths: what it adds to Store's methods is promoted.
type moves struct{ *Store }

// Moved is what a Move did.
type Moved struct {
	Versions int   // records that are at home now
	Bytes    int64 // of content that was copied
}

// moveName brings what a volume has of n to n's home. Nothing there is no fault, nor that it is at home.
func (s *moves) moveName(ctx context.Context, n object.Name, from *volume) (m Moved, err error) {
	mv := mover{s: s, n: n, from: from, sum: &m}
	if err := mv.run(ctx); err != nil {
		return m, errs.E("store.move", n, err)
	}
	return m, nil
}

// mover moves one name off one volume.
type mover struct {
	s    *moves
	n    object.Name
	from *volume
	sum  *Moved
}

// claims are blobs that movers are about to refer to: they must not be unlinked although they have no reference, or lose it.
type claims struct {
	mu    sync.RWMutex // held for reading while blobs are unlinked
	m     map[format.BlobID]*claim
	turns uint64 // grows whenever one is taken or given
}

type claim struct {
	copying sync.Mutex
	whole   bool // a mover has made it durable; set and read while copying is held
	users   int
}

func (c *claims) take(id format.BlobID) *claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[format.BlobID]*claim{}
	}
	x := c.m[id]
	if x == nil {
		x = &claim{}
		c.m[id] = x
	}
	x.users++
	c.turns++
	return x
}

func (c *claims) give(id format.BlobID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	if x := c.m[id]; x != nil {
		if x.users--; x.users == 0 {
			delete(c.m, id)
		}
	}
}

// turn is the number of changes so far.
func (c *claims) turn() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.turns
}

func (m *mover) run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err := m.step(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// next reads the version that moves next: the oldest of the older ones, then the current.
func (m *mover) next(f *found) (bool, error) {
	ok, err := f.readOldest(m.from, m.n)
	if err != nil || ok {
		return ok, err
	}
	return m.from.read(f, m.n)
}

// readOldest reads the oldest of the older versions.
func (f *found) readOldest(v *volume, n object.Name) (bool, error) {
	lower := append(format.ObjectKey(nil, format.FamVersion, n.Bucket, n.Key), 0)
	c, err := v.newCursor(lower, format.PrefixEnd(lower))
	if err != nil {
		return false, err
	}
	var id [16]byte
	ok := c.it.Last()
	if ok {
		_, _, id, _, ok = format.SplitIDKey(c.it.Key())
	}
	if err := errors.Join(c.it.Error(), c.close()); err != nil {
		return false, v.readError("store.readOldest", n, err)
	}
	if !ok {
		return false, nil
	}
	return f.readVersion(v, n, id)
}

// step moves one version; more says that there may be another.
func (m *mover) step(ctx context.Context) (more bool, err error) {
	home, err := m.s.home(m.n)
	if err != nil || home == m.from {
		return false, err
	}
	if err := m.from.err(); err != nil {
		return false, err
	}
	var f found
	ok, err := m.next(&f)
	if err != nil || !ok {
		return false, err
	}
	blobs := blobsOf(&f.Record)
	size := f.Size
	f.close()
	if err := home.space.admit(size + 4<<10); err != nil {
		return false, err
	}
	for i := range blobs {
		c := home.claims.take(blobs[i].Blob)
		defer home.claims.give(blobs[i].Blob)
		err := m.copyBlob(ctx, home, c, &blobs[i])
		if errors.Is(err, os.ErrNotExist) { // it was overwritten meanwhile, or is missing, and stays so at home
			m.s.log.Warn("a blob that is to be moved is not there", "mountpath", m.from.mp.Path(), "object", m.n.String(), "blob", blobs[i].Blob.String())
		} else if err != nil {
			return false, err
		}
	}
	if err := failpoint.Hit("move.blobs-copied"); err != nil {
		return false, err
	}
	done, err := m.locked(home, blobs)
	if err != nil {
		return false, err
	}
	if done {
		m.sum.Versions++
		m.sum.Bytes += size
	}
	return true, nil
}

// blobsOf are the blobs of a record's own.
func blobsOf(r *format.Record) (blobs []format.Content) {
	for i := range r.Parts {
		if r.Parts[i].Kind == format.RefBlob {
			c := r.Parts[i]
			c.CRCs = slices.Clone(c.CRCs)
			blobs = append(blobs, c)
		}
	}
	return blobs
}

// locked moves the next version under the name's lock, if it is the one whose blobs are at home.
func (m *mover) locked(home *volume, blobs []format.Content) (done bool, err error) {
	s := m.s
	lock := s.locks.of(m.n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	if _, gone := s.destroyed.Load(m.n.Bucket); gone {
		return false, errs.E("store.move", m.n, errs.NoBucket)
	}
	if now, err := s.home(m.n); err != nil || now != home {
		return false, err
	}
	var f found
	ok, err := m.next(&f)
	if err != nil || !ok {
		return false, err
	}
	defer f.close()
	if now := blobsOf(&f.Record); !slices.EqualFunc(now, blobs, func(a, b format.Content) bool { return a.Blob == b.Blob }) {
		return false, nil // another one: once more
	}
	s.moving.RLock()
	defer s.moving.RUnlock()
	lock.committing.Store(true)
	defer lock.committing.Store(false)
	in := homecoming{v: home, n: m.n, f: &f}
	defer in.close()
	if err := in.place(); err != nil {
		return false, err
	}
	_ = failpoint.Hit("move.after-commit") // past the commit: only a kill matters
	s.shifts.Add(1)                        // while it is on both: a walk that meets it on neither has seen this
	if err := f.leave(m.n, cluster.Local); err != nil {
		return false, err
	}
	_ = failpoint.Hit("move.after-remove") // past the commit: only a kill matters
	in.finish()
	return true, nil
}

// leave removes a version that is also elsewhere, or superseded, and its blobs here. Parts stay while anyone has their table.
func (f *found) leave(n object.Name, d cluster.Durability) error {
	if id, ok := f.Table(); ok {
		elsewhere, err := f.tableElsewhere(n, id)
		if err != nil {
			return err
		}
		f.moved = elsewhere
	}
	if err := f.remove(n, d, nil); err != nil {
		return err
	}
	f.unlinkBlobs()
	return nil
}

// tableElsewhere reports whether another of the name's homes has the same content in parts.
func (f *found) tableElsewhere(n object.Name, id [16]byte) (bool, error) {
	for _, v := range f.vol.all.now().homes(n, nil) {
		if v == f.vol || v.err() != nil {
			continue
		}
		_, err := v.getCopy(format.IDKey(nil, format.FamTable, n.Bucket, n.Key, id))
		if err == nil {
			return true, nil
		}
		if !errs.Is(err, errs.NotFound) {
			return false, err
		}
	}
	return false, nil
}

// homecoming is a version that comes to its name's home.
type homecoming struct {
	v    *volume
	n    object.Name
	f    *found // where it was
	gone []*found
}

// place commits the version where it belongs among those at home, durably, unless what is there supersedes it.
func (a *homecoming) place() error {
	v, n, f := a.v, a.n, a.f
	own := new(found)
	have, err := v.read(own, n)
	if err != nil {
		return err
	}
	a.gone = append(a.gone, own)
	own.stays = true
	b := v.db.NewBatch()
	defer closeBatch(b)
	newest := !have || f.Born().Compare(own.Born()) > 0
	inline := newest && len(f.Parts) == 1 && f.Parts[0].Kind == format.RefInline
	if f.Null() {
		done, err := a.replaceNull(b, own, have, inline)
		if err != nil || done {
			return err
		}
	} else if done, err := a.known(own, have); err != nil || done {
		return err
	}
	if have && newest && own.stays {
		if err := own.keep(b, n, inline); err != nil {
			return err
		}
	}
	if err := a.write(b, newest || have && !own.stays); err != nil {
		return err
	}
	return v.commit(b, cluster.Local)
}

// replaceNull makes room for a null version; done when the one at home is as new.
func (a *homecoming) replaceNull(b *pebble.Batch, own *found, have, inline bool) (done bool, err error) {
	if have && own.Null() {
		if own.Version.Compare(a.f.Version) >= 0 {
			return true, nil
		}
		own.stays = false
		return false, own.dropContent(b, a.n, inline)
	}
	old := new(found)
	ok, err := old.readNull(a.v, a.n)
	if err != nil || !ok {
		return false, err
	}
	a.gone = append(a.gone, old)
	if old.Version.Compare(a.f.Version) >= 0 {
		old.stays = true
		return true, nil
	}
	return false, old.dropVersion(b, a.n)
}

// known reports whether a version with an id is at home already.
func (a *homecoming) known(own *found, have bool) (bool, error) {
	if have && !own.Null() && own.Born() == a.f.Born() {
		return true, nil
	}
	old := new(found)
	ok, err := old.readVersion(a.v, a.n, format.Invert(a.f.Born()))
	old.close()
	return ok, err
}

// write adds the record and its content to the batch, as the current version or an older one.
func (a *homecoming) write(b *pebble.Batch, current bool) error {
	n, f := a.n, a.f
	rec := f.Record
	rec.Parts = slices.Clone(f.Parts)
	if len(rec.Parts) == 1 {
		p := &rec.Parts[0]
		from := *p
		if p.Kind == format.RefInline && !current {
			p.Kind = format.RefKept
		}
		switch p.Kind {
		case format.RefInline, format.RefKept:
			if err := f.copyKey(b, inlineKey(nil, n, &from), inlineKey(nil, n, p)); err != nil {
				return err
			}
		case format.RefTable:
			key := format.IDKey(nil, format.FamTable, n.Bucket, n.Key, p.Blob)
			if err := f.copyKey(b, key, key); err != nil {
				return err
			}
		}
	}
	for i := range rec.Parts {
		if rec.Parts[i].Kind == format.RefBlob {
			if err := b.Set(format.RefKey(nil, rec.Parts[i].Blob, n.Bucket, n.Key, rec.Owner()), nil, nil); err != nil {
				return err
			}
		}
	}
	val := format.AppendRecord(nil, &rec, n.Key)
	if current {
		return b.Set(format.ObjectKey(nil, format.FamRecord, n.Bucket, n.Key), val, nil)
	}
	id := format.Invert(rec.Born())
	if rec.Null() {
		if err := b.Set(format.ObjectKey(nil, format.FamNull, n.Bucket, n.Key), id[:], nil); err != nil {
			return err
		}
	}
	return b.Set(format.IDKey(nil, format.FamVersion, n.Bucket, n.Key, id), val, nil)
}

// copyKey puts a value of f's index into the batch as it is. One that is missing stays so: the object reads as damaged there as here.
func (f *found) copyKey(b *pebble.Batch, from, to []byte) error {
	val, err := f.vol.getCopy(from)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.Set(to, val, nil)
}

// finish removes the blobs of what was superseded.
func (a *homecoming) finish() {
	for _, f := range a.gone {
		f.unlinkBlobs()
	}
}

// close lets go what was looked at.
func (a *homecoming) close() {
	for _, f := range a.gone {
		f.close()
	}
	a.gone = nil
}

// copyBlob makes a blob durable on another volume, under the same id. One that is there and referred to is whole.
func (m *mover) copyBlob(ctx context.Context, to *volume, c *claim, content *format.Content) error {
	c.copying.Lock()
	defer c.copying.Unlock()
	if c.whole { // another name that shares it, and may refer to it by now: it must not be replaced by a copy that is not synced yet
		return nil
	}
	id := content.Blob
	if used, err := to.referenced(id); err != nil {
		return err
	} else if used {
		if _, err := to.mp.Stat(id.Path()); err == nil {
			return nil
		}
	}
	src, err := m.from.mp.OpenFile(id.Path(), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // opened for reading only
	bw := &blobWriter{v: to, id: id, name: "work/" + id.String(), blockSize: content.BlockSize}
	if bw.f, err = to.mp.OpenFile(bw.name, os.O_RDWR|os.O_CREATE|os.O_TRUNC); err != nil {
		return err
	}
	if err = m.copyVerified(ctx, bw.f, src, content); err == nil {
		err = bw.publish(true)
	}
	c.whole = err == nil
	_ = bw.f.Close() // synced already, or of no use
	if err != nil {
		_ = to.mp.Remove(bw.name) // else swept
	}
	return err
}

// copyVerified copies a whole blob file. Damage moves along and is reported: the object reads as damaged there as here.
func (m *mover) copyVerified(ctx context.Context, to fs.File, src fs.File, content *format.Content) error {
	fi, err := src.Stat()
	if err != nil {
		return err
	}
	bp, _ := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(bp)
	o := &Object{name: m.n, store: m.s.Store, vol: m.from}
	p := part{Content: *content, vol: m.from, f: src, page: -1}
	chunk := max(chunkSize/content.BlockSize, 1) * content.BlockSize
	end := format.BlobHeaderSize + content.Total
	for at := int64(0); at < fi.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(chunk, fi.Size()-at)
		switch {
		case at < format.BlobHeaderSize:
			n = min(n, format.BlobHeaderSize)
		case at < end:
			n = min(n, end-at)
		}
		b := (*bp)[:n]
		err := errs.E("store.move", m.n, errs.Corrupt)
		if at >= format.BlobHeaderSize && at < end {
			err = o.readBlocks(&p, b, at-format.BlobHeaderSize)
		}
		if errs.Is(err, errs.Corrupt) {
			err = format.ReadFull(src, b, at)
		}
		if err == nil {
			_, err = to.WriteAt(b, at)
		}
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}
