package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// MaxParts is the greatest number of a part.
const MaxParts = 10_000

// UploadOptions of a CreateUpload. The metadata is that of the object to be, unless CompleteUpload says otherwise.
type UploadOptions struct {
	Custom, System, Tags map[string]string
	Guard                func() error
	Epoch                uint64
	Mark                 bool
	Newest               func() (epoch uint64, mark bool) // as in PutOptions
}

// AbortOptions of an AbortUpload; the fields mean what they do in PutOptions.
type AbortOptions struct {
	Epoch  uint64
	Guard  func() error
	Mark   bool
	Newest func() (epoch uint64, mark bool) // as in PutOptions
}

// Upload is a multipart upload under way.
type Upload struct {
	Key                  string
	ID                   string // 32 hex digits
	Initiated            time.Time
	Custom, System, Tags map[string]string
}

// multipart is the part of a Store that knows multipart uploads: what it adds to Store's methods is promoted.
type multipart struct {
	*Store
	uploads uploadLocks
}

// uploadLocks let parts of an upload arrive together, and its end alone. They are taken before a name's lock.
type uploadLocks [256]sync.RWMutex

func (l *uploadLocks) of(id format.UploadID) *sync.RWMutex { return &l[id[15]] }

// barrier returns after all who held a lock have let it go once.
func (l *uploadLocks) barrier() {
	for i := range l {
		l[i].Lock()
		l[i].Unlock() //nolint:staticcheck // waiting is the purpose
	}
}

// upload is an upload as found in an index.
type upload struct {
	format.Upload
	vol *volume
	id  format.UploadID
	n   object.Name
}

func (u *upload) key() []byte { return format.IDKey(nil, format.FamUpload, u.n.Bucket, u.n.Key, u.id) }

func (u *upload) info() Upload {
	return Upload{
		Key: u.n.Key, ID: u.id.String(), Initiated: time.Unix(0, u.Initiated),
		Custom: format.DecodeMap(u.Custom), System: format.DecodeMap(u.System), Tags: format.DecodeMap(u.Tags),
	}
}

func noUpload(op string, n object.Name, id string) error {
	return errs.F(op, n, errs.NotFound, "upload %q is not under way: it was completed, aborted or never begun", id)
}

// findUpload reads an upload, whose lock the caller holds; nil when there is none. One that has ended speaks before its former self in a
// former home.
func (s *places) findUpload(n object.Name, id format.UploadID) (*upload, error) {
	const op = "store.findUpload"
	var best *upload
	var away error
	var buf [8]*volume
	for _, v := range s.now().homes(n, buf[:0]) {
		if away = v.err(); away != nil {
			break // what is found at home, or nearer to it in time, is newer
		}
		u := &upload{vol: v, id: id, n: n}
		key := u.key()
		val, err := v.getCopy(key)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err == nil {
			err = format.DecodeUpload(&u.Upload, val, key)
		}
		if err != nil {
			return nil, v.readError(op, n, err)
		}
		if best == nil || best.State == format.UploadOpen {
			best = u
		}
	}
	if best == nil && away != nil {
		return nil, away
	}
	return best, nil
}

// lookUpload is openUpload for who does not hold the upload's lock.
func (s *multipart) lookUpload(op string, n object.Name, id string) (*upload, error) {
	uid, ok := format.ParseUploadID(id)
	if !ok {
		return nil, noUpload(op, n, id)
	}
	l := s.uploads.of(uid)
	l.RLock()
	defer l.RUnlock()
	return s.openUpload(op, n, id)
}

// openUpload reads an upload under way, whose lock the caller holds; kind NotFound.
func (s *places) openUpload(op string, n object.Name, id string) (*upload, error) {
	uid, ok := format.ParseUploadID(id)
	if !ok {
		return nil, noUpload(op, n, id)
	}
	u, err := s.findUpload(n, uid)
	if err == nil && (u == nil || u.State != format.UploadOpen) {
		err = noUpload(op, n, id)
	}
	if err != nil {
		return nil, err
	}
	return u, nil
}

// put writes u into the index of its volume, and the mark if there is one.
func (u *upload) put(d cluster.Durability, mark *mark) error {
	b := u.vol.db.NewBatch()
	defer closeBatch(b)
	if err := mark.put(b); err != nil {
		return err
	}
	key := u.key()
	if err := b.Set(key, format.AppendUpload(nil, &u.Upload, key), nil); err != nil {
		return err
	}
	return u.vol.commit(b, d)
}

// CreateUpload begins a multipart upload of n, durably.
func (s *multipart) CreateUpload(ctx context.Context, n object.Name, o UploadOptions) (Upload, error) {
	const op = "store.CreateUpload"
	_, err := s.room(n, 4<<10)
	if err = errors.Join(ctx.Err(), err); err != nil {
		return Upload{}, errs.E(op, n, err)
	}
	u := &upload{n: n}
	now := time.Now().UnixNano()
	binary.BigEndian.PutUint64(u.id[:], uint64(now))
	_, _ = rand.Read(u.id[8:]) // never fails (crypto/rand)
	u.Upload = format.Upload{
		State: format.UploadOpen, Initiated: now,
		Custom: format.EncodeMap(o.Custom), System: format.EncodeMap(o.System), Tags: format.EncodeMap(o.Tags),
	}
	l := s.uploads.of(u.id)
	l.RLock()
	defer l.RUnlock()
	lock := s.locks.of(n) // who holds it sees all uploads of the name
	lock.mu.Lock()
	defer lock.mu.Unlock()
	if u.vol, err = s.home(n); err != nil { // under the locks, it is what counts
		return Upload{}, errs.E(op, n, err)
	}
	if err := s.live(op, n); err != nil {
		return Upload{}, err
	}
	mark, err := s.raise(n, o.Mark, o.Newest, &o.Epoch)
	if err != nil {
		return Upload{}, errs.E(op, n, err)
	}
	if o.Guard != nil {
		if err := o.Guard(); err != nil {
			return Upload{}, errs.E(op, n, err)
		}
	}
	if err := failpoint.Hit("upload.before-commit"); err != nil {
		return Upload{}, err
	}
	if err := u.put(cluster.Local, mark); err != nil {
		return Upload{}, errs.E(op, n, err)
	}
	return u.info(), nil
}

// Upload describes an upload under way; kind NotFound when it was completed, aborted, swept or never begun.
func (s *multipart) Upload(n object.Name, id string) (Upload, error) {
	const op = "store.Upload"
	if err := s.live(op, n); err != nil {
		return Upload{}, err
	}
	uid, ok := format.ParseUploadID(id)
	if !ok {
		return Upload{}, noUpload(op, n, id)
	}
	l := s.uploads.of(uid)
	l.RLock()
	defer l.RUnlock()
	u, err := s.openUpload(op, n, id)
	if err == nil {
		err = u.vol.settle()
	}
	if err != nil {
		return Upload{}, errs.E(op, n, err)
	}
	return u.info(), nil
}

// AbortUpload gives an upload up and removes its parts; kind NotFound when it is not under way.
func (s *multipart) AbortUpload(ctx context.Context, n object.Name, id string, o AbortOptions) error {
	const op = "store.AbortUpload"
	if err := errors.Join(ctx.Err(), s.live(op, n)); err != nil {
		return errs.E(op, n, err)
	}
	uid, ok := format.ParseUploadID(id)
	if !ok {
		return noUpload(op, n, id)
	}
	l := s.uploads.of(uid)
	l.Lock()
	defer l.Unlock()
	u, err := s.openUpload(op, n, id)
	if err == nil {
		err = s.abort(u, o)
	}
	if err != nil {
		return errs.E(op, n, err)
	}
	return nil
}

// abort ends u; the caller holds its lock.
func (s *multipart) abort(u *upload, o AbortOptions) error {
	if err := s.commitAbort(u, o); err != nil {
		return err
	}
	_ = failpoint.Hit("upload.after-abort") // past the commit: only a kill matters
	s.clean(u)
	return nil
}

func (s *multipart) commitAbort(u *upload, o AbortOptions) error {
	lock := s.locks.of(u.n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	mark, err := s.raise(u.n, o.Mark, o.Newest, &o.Epoch)
	if err != nil {
		return err
	}
	if o.Guard != nil {
		if err := o.Guard(); err != nil {
			return err
		}
	}
	u.State, u.Ended = format.UploadAborted, time.Now().UnixNano()
	if err := failpoint.Hit("upload.before-abort"); err != nil {
		return err
	}
	return u.put(cluster.Local, mark)
}

// clean removes what an ended upload left: the entries of its parts, and those parts that are not the object's. The caller holds its
// lock. What fails is done by Run.
func (s *multipart) clean(u *upload) {
	all := true
	blobs := s.tableBlobs(u)
	for _, v := range s.volumes() {
		if v.err() != nil {
			all = false
			continue
		}
		if err := s.cleanParts(v, u, blobs); err != nil {
			all = false
			v.log.Warn("parts of an upload were not removed yet", "mountpath", v.mp.Path(), "object", u.n.String(), "err", err)
		}
	}
	if !all {
		return
	}
	var err error
	if u.State == format.UploadCompleted {
		u.Clean = true
		err = u.put(cluster.Volatile, nil) // if it is lost, all is done once more
	} else {
		err = s.forgetAborted(u)
	}
	if err != nil {
		u.vol.log.Warn("an upload will be cleaned once more", "object", u.n.String(), "err", err)
	}
}

// forgetAborted removes u from the indexes: a move that a crash interrupted has left it in two of the name's homes, open in the one where it was not
// aborted. That one goes first.
func (s *multipart) forgetAborted(u *upload) error {
	var buf [8]*volume
	for _, v := range s.now().homes(u.n, buf[:0]) {
		if v == u.vol {
			continue
		}
		b := v.db.NewBatch()
		_, err := v.getCopy(u.key())
		if err == nil {
			err = errors.Join(b.Delete(u.key(), nil), v.commit(b, cluster.Local))
		} else if errs.Is(err, errs.NotFound) {
			err = nil
		}
		if closeBatch(b); err != nil {
			return err
		}
	}
	return u.forget()
}

// forget removes u from the index.
func (u *upload) forget() error {
	b := u.vol.db.NewBatch()
	defer closeBatch(b)
	if err := b.Delete(u.key(), nil); err != nil {
		return err
	}
	return u.vol.commit(b, cluster.Volatile)
}

// cleanParts is clean on one volume.
func (s *multipart) cleanParts(v *volume, u *upload, blobs map[format.BlobID]bool) error {
	parts, err := u.parts(v, 0, 0)
	if err != nil || len(parts) == 0 {
		return err
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	var ids []format.BlobID
	for i := range parts {
		p := &parts[i]
		if err := b.Delete(format.PartKey(nil, u.n.Bucket, u.n.Key, u.id, p.Number), nil); err != nil {
			return err
		}
		if u.Uses(p.Number) && (blobs == nil || blobs[p.Blob]) {
			continue
		}
		ids = append(ids, p.Blob)
		if err := b.Delete(format.RefKey(nil, p.Blob, u.n.Bucket, u.n.Key, owner(u.id)), nil); err != nil {
			return err
		}
	}
	if err := v.commit(b, cluster.Local); err != nil {
		return err
	}
	_ = failpoint.Hit("upload.before-unlink") // past the commit: only a kill matters
	v.unlinkUnreferenced(ids...)
	return nil
}

// tableBlobs returns the blobs that became the object's: a crash may have left one of the same number that was replaced by a part on
// another mountpath. nil when the object is gone.
func (s *multipart) tableBlobs(u *upload) map[format.BlobID]bool {
	if len(u.Used) == 0 {
		return nil
	}
	_, parts, err := readTable(u.vol, u.n, u.id)
	if err != nil {
		return nil // then all that were used are kept: better too much than too little
	}
	blobs := make(map[format.BlobID]bool, len(parts))
	for i := range parts {
		blobs[parts[i].Blob] = true
	}
	return blobs
}

// SweepUploads aborts the uploads that were begun, and got their last part, before then, and forgets those completed before then; it returns
// how many were aborted.
func (s *multipart) SweepUploads(ctx context.Context, before time.Time) (aborted int, err error) {
	const op = "store.SweepUploads"
	err = s.eachUpload(ctx, func(u *upload) error {
		switch {
		case u.State == format.UploadOpen && u.Initiated < before.UnixNano():
			if idle, err := s.idleSince(u, before); !idle || err != nil {
				return err
			}
			aborted++
			return s.abort(u, AbortOptions{})
		case u.State != format.UploadOpen && !u.Clean:
			s.clean(u)
		case u.State == format.UploadCompleted && u.Ended < before.UnixNano():
			return u.forget()
		}
		return nil
	})
	if err != nil {
		return aborted, errs.E(op, "", err)
	}
	return aborted, nil
}

// idleSince reports whether u, whose lock the caller holds, got no part since then. With a mountpath away nobody knows.
func (s *multipart) idleSince(u *upload, then time.Time) (bool, error) {
	if s.allUsable() != nil {
		return false, nil
	}
	parts, err := s.partsOf(u)
	for _, p := range parts {
		if p.Created >= then.UnixNano() {
			return false, nil
		}
	}
	return err == nil, err
}

// eachUpload visits every upload, also those that ended, under its lock.
func (s *multipart) eachUpload(ctx context.Context, visit func(*upload) error) error {
	return s.steady(func() error { return s.eachUploadOnce(ctx, visit) })
}

func (s *multipart) eachUploadOnce(ctx context.Context, visit func(*upload) error) error {
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		c, err := v.newCursor([]byte{format.FamUpload}, []byte{format.FamUpload + 1})
		if err != nil {
			return err
		}
		var fault error
		for ok := c.it.First(); ok && fault == nil; ok = c.it.Next() {
			bucket, key, id, _, ok := format.SplitIDKey(c.it.Key())
			if !ok {
				continue
			}
			if fault = ctx.Err(); fault == nil {
				fault = s.visitUpload(object.Name{Bucket: bucket, Key: string(key)}, id, visit)
			}
		}
		if err := errors.Join(fault, c.it.Error(), c.close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *multipart) visitUpload(n object.Name, id format.UploadID, visit func(*upload) error) error {
	if _, gone := s.destroyed.Load(n.Bucket); gone {
		return nil
	}
	l := s.uploads.of(id)
	l.Lock()
	defer l.Unlock()
	u, err := s.findUpload(n, id)
	if err != nil || u == nil {
		return err
	}
	return visit(u)
}

// cleanUploads does what is left to do for uploads that ended, and removes parts of none.
func (s *multipart) cleanUploads(ctx context.Context) error {
	err := s.eachUpload(ctx, func(u *upload) error {
		if u.State != format.UploadOpen && !u.Clean {
			s.clean(u)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.steady(func() error {
		if s.allUsable() != nil {
			return nil // the upload, or the object, may be there
		}
		for _, v := range s.volumes() {
			if err := s.cleanStrays(ctx, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// cleanStrays removes the entries of parts on v whose upload nobody knows: its object has the blobs it needs by reference.
func (s *multipart) cleanStrays(ctx context.Context, v *volume) error {
	c, err := v.newCursor([]byte{format.FamPart}, []byte{format.FamPart + 1})
	if err != nil {
		return err
	}
	var fault error
	for ok := c.it.First(); ok && fault == nil; {
		bucket, key, id, _, good := format.SplitIDKey(c.it.Key())
		if !good {
			ok = c.it.Next()
			continue
		}
		n := object.Name{Bucket: bucket, Key: string(key)}
		if fault = ctx.Err(); fault == nil {
			fault = s.cleanStray(n, id)
		}
		ok = c.it.SeekGE(format.PrefixEnd(format.IDKey(nil, format.FamPart, bucket, n.Key, id)))
	}
	return errors.Join(fault, c.it.Error(), c.close())
}

func (s *multipart) cleanStray(n object.Name, id format.UploadID) error {
	if _, gone := s.destroyed.Load(n.Bucket); gone {
		return nil
	}
	l := s.uploads.of(id)
	l.Lock()
	defer l.Unlock()
	u, err := s.findUpload(n, id)
	if err != nil || u != nil {
		return err
	}
	u = &upload{n: n, id: id}
	u.State = format.UploadAborted
	var buf [8]*volume
	homes := s.now().homes(n, buf[:0])
	for _, v := range homes {
		if err := v.settleAll(); err != nil { // that it is not there must hold
			return err
		}
	}
	for _, v := range homes {
		u.vol = v
		_, parts, err := readTable(u.vol, n, id)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		for i := range parts {
			u.Use(parts[i].Number)
		}
		break
	}
	s.clean(u)
	return nil
}
