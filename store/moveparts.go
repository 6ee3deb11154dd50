package store

import (
	"context"
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

// What belongs to a name besides its versions, and what lies on a mountpath whoever's home it is: uploads, announced removals, parts of
// uploads and of contents, append sessions. As with versions it is durable in its new place before it goes from the old one.

// shift copies keys from one volume to another, durably, and then removes them. do adds to the batches.
func shift(from, to *volume, in, out func(*pebble.Batch) error) error {
	b := to.db.NewBatch()
	err := in(b)
	if err == nil {
		err = to.commit(b, cluster.Local)
	}
	closeBatch(b)
	if err != nil {
		return err
	}
	_ = failpoint.Hit("move.key-copied") // past the commit: only a kill matters
	from.all.shifts.Add(1)               // as for a version (move.go)
	b = from.db.NewBatch()
	defer closeBatch(b)
	if err := out(b); err != nil {
		return err
	}
	return from.commit(b, cluster.Local)
}

// moveUpload brings an upload, under way or ended, home. Its parts stay where they are.
func (s *moves) moveUpload(_ context.Context, from *volume, n object.Name, id format.UploadID) (m Moved, err error) {
	l := s.uploads.of(id)
	l.Lock()
	defer l.Unlock()
	lock := s.locks.of(n) // who holds it sees all uploads of the name
	lock.mu.Lock()
	defer lock.mu.Unlock()
	home, err := s.home(n)
	if err != nil || home == from {
		return m, err
	}
	u, there := &upload{vol: from, n: n, id: id}, &upload{vol: home, n: n, id: id}
	ok, err := u.load()
	if err != nil || !ok {
		return m, err
	}
	known, err := there.load()
	if err != nil {
		return m, err
	}
	s.moving.RLock()
	defer s.moving.RUnlock()
	err = shift(from, home, func(b *pebble.Batch) error {
		if known && there.State != format.UploadOpen {
			return nil // its end
		}
		return b.Set(u.key(), format.AppendUpload(nil, &u.Upload, u.key()), nil)
	}, func(b *pebble.Batch) error { return b.Delete(u.key(), nil) })
	m.Versions = 1
	return m, err
}

// load reads u from its volume and reports whether it is there.
func (u *upload) load() (bool, error) {
	val, err := u.vol.getCopy(u.key())
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	if err == nil {
		err = format.DecodeUpload(&u.Upload, val, u.key())
	}
	if err != nil {
		return false, u.vol.readError("store.upload", u.n, err)
	}
	return true, nil
}

// moveMark brings a mark home: the greatest of a key's marks counts, wherever it is.
func (s *moves) moveMark(from *volume, n object.Name) (m Moved, err error) {
	lock := s.locks.of(n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	home, err := s.home(n)
	if err != nil || home == from {
		return m, err
	}
	there, err := markIn(home, n)
	if err != nil {
		return m, err
	}
	epoch, err := markIn(from, n)
	if err != nil || epoch == 0 {
		return m, err
	}
	m.Versions = 1
	return m, shift(from, home, func(b *pebble.Batch) error {
		return (&mark{n, max(there, epoch)}).put(b)
	}, func(b *pebble.Batch) error {
		return b.Delete(format.ObjectKey(nil, format.FamMark, n.Bucket, n.Key), nil)
	})
}

// moveGone brings an announced removal home.
func (s *moves) moveGone(from *volume, n object.Name, id [16]byte) (m Moved, err error) {
	lock := s.locks.of(n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	home, err := s.home(n)
	if _, busy := s.sharing.Load(id); err != nil || busy || home == from {
		return m, err
	}
	key := format.IDKey(nil, format.FamGone, n.Bucket, n.Key, id)
	val, err := from.getCopy(key)
	if errs.Is(err, errs.NotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	parts, err := format.DecodeTable(val, key)
	if err != nil {
		return m, from.readError("store.move", n, err)
	}
	t := table{home: home, name: n, id: id, parts: parts}
	m.Versions = 1
	return m, shift(from, home, t.announce, func(b *pebble.Batch) error { return b.Delete(key, nil) })
}

// partMove is one blob of a part on its way.
type partMove struct {
	at   int // in the table
	from *volume
	to   *volume
	part format.Part // as it will be
}

// planParts chooses where parts go that lie on some volumes, unless those are in service again. Where follows from the blob, so an interrupted
// move goes on to the same place.
func (s *moves) planParts(parts []format.Part, off []*volume) (moves []partMove, err error) {
	l := s.now()
	serving := l.serving()
	for i := range parts {
		at := slices.IndexFunc(off, func(v *volume) bool { return v.mount == parts[i].Mount })
		if at < 0 || slices.Contains(serving, off[at]) { // a part has no place but its mountpath then, and would be removed from it
			continue
		}
		to := l.vols[l.set.Home(parts[i].Blob.String())]
		if err := to.err(); err != nil {
			return nil, err
		}
		p := parts[i]
		p.Mount = to.mount
		moves = append(moves, partMove{i, off[at], to, p})
	}
	return moves, nil
}

// copyParts makes the blobs durable where they go. release gives the claims back.
func (s *moves) copyParts(ctx context.Context, n object.Name, moves []partMove) (bytes int64, release func(), err error) {
	var claimed []func()
	release = func() {
		for _, f := range claimed {
			f()
		}
	}
	for i := range moves {
		mv := &moves[i]
		if err := mv.to.space.admit(mv.part.Size + 4<<10); err != nil {
			return bytes, release, err
		}
		c := mv.to.claims.take(mv.part.Blob)
		claimed = append(claimed, func() { mv.to.claims.give(mv.part.Blob) })
		content := mv.part.Content()
		m := mover{s: s, n: n, from: mv.from}
		if err := m.copyBlob(ctx, mv.to, c, &content); errors.Is(err, os.ErrNotExist) {
			s.log.Warn("a part that is to be moved is not there", "mountpath", mv.from.mp.Path(), "object", n.String(), "blob", mv.part.Blob.String())
		} else if err != nil {
			return bytes, release, err
		}
		bytes += mv.part.Size
	}
	return bytes, release, failpoint.Hit("move.parts-copied")
}

// moveParts moves those parts of a content that lie on volumes that leave. Its table is on v, the name's home: a copy of the table that
// a crash left elsewhere says nothing.
//
// The new references are announced first, as if they were to go (table.go): a crash before the table names them undoes them. The batch
// in which it does says in their place that the former ones must go.
func (s *moves) moveParts(ctx context.Context, v *volume, n object.Name, id [16]byte, off []*volume) (m Moved, err error) {
	_, parts, err := readTable(v, n, id)
	if errs.Is(err, errs.NotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	moves, err := s.planParts(parts, off)
	if err != nil || len(moves) == 0 {
		return m, err
	}
	note := format.IDKey(nil, format.FamGone, n.Bucket, n.Key, id)
	if _, err := v.getCopy(note); !errs.Is(err, errs.NotFound) {
		if err == nil {
			err = v.settleAll()
		}
		if err == nil {
			err = s.finishOne(v, note) // something of this content must go first
		}
		return m, err
	}
	if _, busy := s.sharing.LoadOrStore(id, nil); busy {
		return m, nil // being copied: once more
	}
	defer s.sharing.Delete(id)
	bytes, release, err := s.copyParts(ctx, n, moves)
	defer release()
	if err != nil {
		return m, err
	}
	done, err := s.switchParts(v, n, id, parts, moves)
	if done {
		m.Versions, m.Bytes = 1, bytes
	}
	return m, err
}

// switchParts lets the table name the new places, if it is still the one that was read.
func (s *moves) switchParts(v *volume, n object.Name, id [16]byte, parts []format.Part, moves []partMove) (done bool, err error) {
	ul := s.uploads.of(id)
	ul.Lock()
	defer ul.Unlock()
	lock := s.locks.of(n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	_, now, err := readTable(v, n, id)
	if errs.Is(err, errs.NotFound) {
		return false, nil // the object is gone, or at another home
	}
	if err != nil || !slices.EqualFunc(now, parts, func(a, b format.Part) bool { return a.Blob == b.Blob && a.Mount == b.Mount }) {
		return false, err
	}
	if home, err := s.home(n); err != nil || home != v {
		return false, err
	}
	next, to := slices.Clone(parts), make([]format.Part, len(moves))
	gone := table{home: v, name: n, id: id, remote: true}
	for i := range moves {
		mv := &moves[i]
		gone.parts = append(gone.parts, parts[mv.at])
		next[mv.at], to[i] = mv.part, mv.part
	}
	note := format.IDKey(nil, format.FamGone, n.Bucket, n.Key, id)
	if err := setKey(v, note, format.AppendTable(nil, to, note)); err != nil {
		return false, err
	}
	for i := range moves {
		if err := setKey(moves[i].to, format.RefKey(nil, to[i].Blob, n.Bucket, n.Key, owner(id)), nil); err != nil {
			return false, err
		}
	}
	if err := failpoint.Hit("move.parts-referred"); err != nil {
		return false, err
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	key := format.IDKey(nil, format.FamTable, n.Bucket, n.Key, id)
	if err := errors.Join(b.Set(key, format.AppendTable(nil, next, key), nil), b.Set(note, format.AppendTable(nil, gone.parts, note), nil)); err != nil {
		return false, err
	}
	if err := v.commit(b, cluster.Local); err != nil {
		return false, err
	}
	_ = failpoint.Hit("move.parts-switched") // past the commit: only a kill matters
	s.release(&gone)
	return true, nil
}

// setKey commits one key.
func setKey(v *volume, key, val []byte) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set(key, val, nil); err != nil {
		return err
	}
	return v.commit(b, cluster.Local)
}

// moveUploadParts moves the parts of an upload off a volume that leaves. What an ended upload left there is removed instead.
func (s *moves) moveUploadParts(ctx context.Context, from *volume, n object.Name, id format.UploadID) (m Moved, err error) {
	u, err := s.peekUpload(n, id)
	if err != nil {
		return m, err
	}
	switch {
	case u == nil:
		return m, s.cleanStray(n, id)
	case u.State != format.UploadOpen:
		return m, s.visitUpload(n, id, func(u *upload) error {
			if u.State != format.UploadOpen {
				s.clean(u)
			}
			return nil
		})
	}
	parts, err := u.parts(from, 0, 0)
	if err != nil {
		return m, err
	}
	moves, err := s.planParts(parts, []*volume{from})
	if err != nil || len(moves) == 0 {
		return m, err
	}
	bytes, release, err := s.copyParts(ctx, n, moves)
	defer release()
	if err != nil {
		return m, err
	}
	l := s.uploads.of(id)
	l.Lock()
	defer l.Unlock()
	if _, err := s.openUpload("store.move", n, id.String()); err != nil {
		if errs.Is(err, errs.NotFound) {
			err = nil // it ended meanwhile: once more
		}
		return m, err
	}
	for i := range moves {
		if err := s.switchUploadPart(u, &moves[i]); err != nil {
			return m, err
		}
	}
	m.Versions, m.Bytes = len(moves), bytes
	return m, nil
}

// switchUploadPart moves the entry of a part, unless another took its place meanwhile; the caller holds the upload's lock.
func (s *moves) switchUploadPart(u *upload, mv *partMove) error {
	n := u.n
	key := format.PartKey(nil, n.Bucket, n.Key, u.id, mv.part.Number)
	var now, there format.Part
	val, err := mv.from.getCopy(key)
	if err == nil {
		err = format.DecodePart(&now, val, key)
	}
	if errs.Is(err, errs.NotFound) || err == nil && now.Blob != mv.part.Blob {
		return nil
	}
	if err != nil {
		return err
	}
	newer := false
	if val, err := mv.to.getCopy(key); err == nil && format.DecodePart(&there, val, key) == nil {
		newer = there.Version.Compare(mv.part.Version) >= 0
	}
	ref := format.RefKey(nil, mv.part.Blob, n.Bucket, n.Key, owner(u.id))
	if !newer {
		if err := u.replacePart(mv.to, key, &mv.part); err != nil {
			return err
		}
	}
	b := mv.from.db.NewBatch()
	defer closeBatch(b)
	if err := errors.Join(b.Delete(key, nil), b.Delete(ref, nil)); err != nil {
		return err
	}
	if err := mv.from.commit(b, cluster.Local); err != nil {
		return err
	}
	mv.from.unlinkUnreferenced(mv.part.Blob)
	return nil
}

// moveSession moves an append session off a volume that leaves.
func (s *moves) moveSession(ctx context.Context, from *volume, n object.Name, id sessionID) (m Moved, err error) {
	moved := make(chan struct{})
	if _, busy := s.sessions.busy.LoadOrStore(id, moved); busy {
		return m, nil // once more
	}
	defer close(moved)
	defer s.sessions.busy.Delete(id)
	home, err := s.home(n)
	if err != nil || home == from {
		return m, err
	}
	val, err := from.getCopy(appendKey(id))
	if errs.Is(err, errs.NotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	size, err := copySession(ctx, from, home, id)
	if err != nil {
		return m, err
	}
	err = shift(from, home, func(b *pebble.Batch) error { return b.Set(appendKey(id), val, nil) }, func(b *pebble.Batch) error { return b.Delete(appendKey(id), nil) })
	if err == nil {
		err = from.mp.Remove(id.file())
	}
	m.Versions, m.Bytes = 1, size
	return m, err
}

func copySession(ctx context.Context, from, to *volume, id sessionID) (size int64, err error) {
	src, err := from.mp.OpenFile(id.file(), os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer func() { _ = src.Close() }() // opened for reading only
	fi, err := src.Stat()
	if err != nil {
		return 0, err
	}
	if err := to.space.admit(fi.Size() + 4<<10); err != nil {
		return 0, err
	}
	dst, err := to.mp.OpenFile(id.file(), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return 0, err
	}
	if err = copyFile(ctx, dst, io.NewSectionReader(src, 0, fi.Size()), fi.Size()); err == nil {
		err = dst.Sync()
	}
	return fi.Size(), errors.Join(err, dst.Close(), to.mp.SyncDir("work"))
}
