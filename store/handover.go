package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
	"aistore/store/format"
)

// An append session leaves with a node that leaves: the owner of its name takes it over with its id, so that the handle that the client has stays good.
//
//	session in transfer: format(u8 1) id(8 bytes) began(u64 Unix ns) bucket(u64) key length(u32) key, then all bytes of the session
//
// Numbers are little-endian. The bytes are checked at the flush, by the client's handle.

const (
	leavingVersion = 1
	leavingHead    = 1 + 8 + 8 + 8 + 4
)

// Appending is an append session that is here.
type Appending struct {
	Name object.Name
	id   sessionID
}

// String tells the name and the id.
func (a Appending) String() string { return a.Name.String() + " " + hex.EncodeToString(a.id[:]) }

// Appendings returns the append sessions on the mountpaths in service.
func (s *appends) Appendings() (all []Appending, err error) {
	err = s.steady(func() error {
		all = all[:0]
		for _, v := range s.volumes() {
			if v.err() != nil {
				continue
			}
			err := eachSession(v, func(id sessionID, val []byte) error {
				if len(val) > sessionHead {
					n := object.Name{Bucket: binary.LittleEndian.Uint64(val[9:]), Key: string(val[sessionHead:])}
					all = append(all, Appending{n, id})
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errs.E("store.Appendings", "append sessions", err)
	}
	return all, nil
}

// Leaving is an append session on its way to another node. Nothing is appended to it until Close.
type Leaving struct {
	s       *appends
	v       *volume
	id      sessionID
	head    []byte
	file    fs.File
	size    int64
	release func()
}

// LeaveAppend opens a session to be sent elsewhere: kind NotFound when it has ended, Conflict while an append to it is under way.
func (s *appends) LeaveAppend(ctx context.Context, a Appending) (_ *Leaving, err error) {
	const op = "store.LeaveAppend"
	v, release, err := s.session(ctx, a.Name, a.id)
	if err != nil {
		return nil, errs.E(op, a.Name, err)
	}
	l := &Leaving{s: s, v: v, id: a.id, release: release}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	val, err := v.getCopy(appendKey(a.id))
	if err != nil {
		return nil, errs.E(op, a.Name, err)
	}
	if l.file, err = v.mp.OpenFile(a.id.file(), os.O_RDONLY); err != nil {
		return nil, errs.E(op, a.Name, err)
	}
	fi, err := l.file.Stat()
	if err != nil {
		return nil, errs.E(op, a.Name, err)
	}
	l.size = max(fi.Size()-format.BlobHeaderSize, 0)
	l.head = append(append([]byte{leavingVersion}, a.id[:]...), val[1:sessionHead]...)
	l.head = append(binary.LittleEndian.AppendUint32(l.head, uint32(len(a.Name.Key))), a.Name.Key...) //nolint:gosec // at most object.MaxKeyLen
	return l, nil
}

// Len is how many bytes Send writes.
func (l *Leaving) Len() int64 { return int64(len(l.head)) + l.size }

// Send writes the session for TakeAppend.
func (l *Leaving) Send(w io.Writer) error {
	if _, err := w.Write(l.head); err != nil {
		return err
	}
	_, err := io.CopyN(w, io.NewSectionReader(l.file, format.BlobHeaderSize, l.size), l.size)
	return err
}

// End removes the session here: it is with another node.
func (l *Leaving) End() error { return l.s.sessions.drop(l.v, l.id) }

// Close lets the session go on, if it has not ended.
func (l *Leaving) Close() {
	if l.file != nil {
		_ = l.file.Close() // opened for reading only
	}
	l.release()
}

// TakeAppend takes over a session that another node sends in length bytes. One that is here already stays as it is: its client may have gone on with it.
// Nobody is refused because there are many: they are those of a node that leaves. guard is asked before anything is stored.
func (s *appends) TakeAppend(ctx context.Context, r io.Reader, length int64, guard func(object.Name) error) error {
	const op = "store.TakeAppend"
	id, n, began, err := readLeaving(r)
	if err != nil {
		return errs.E(op, "append session", err)
	}
	size := length - leavingHead - int64(len(n.Key))
	if size < 0 {
		return errs.F(op, n, errs.Invalid, "%d bytes cannot be a session", length)
	}
	if err := errors.Join(s.live(op, n), guard(n)); err != nil {
		return errs.E(op, n, err)
	}
	if _, busy := s.sessions.busy.LoadOrStore(id, nil); busy {
		return errs.E(op, n, errs.Busy, "this append session is in use")
	}
	defer func() {
		s.sessions.busy.Delete(id)
		s.freed.ring()
	}()
	has := false
	err = s.steady(func() (err error) {
		has, err = s.hasSession(id)
		return err
	})
	if has {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	if err != nil && !errs.Is(err, errs.Mountpath) {
		return errs.E(op, n, err)
	}
	v, err := s.room(n, format.BlobHeaderSize+size)
	if err != nil {
		return errs.E(op, n, err)
	}
	err = writeSession(ctx, v, id, r, size)
	if err == nil {
		err = s.keepSession(v, n, id, began, size)
	}
	if err != nil {
		return errs.E(op, n, errors.Join(err, ignoreAbsent(v.mp.Remove(id.file()))))
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// readLeaving reads what Send writes before the bytes.
func readLeaving(r io.Reader) (id sessionID, n object.Name, began uint64, err error) {
	var head [leavingHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return id, n, 0, err
	}
	length := binary.LittleEndian.Uint32(head[25:])
	if head[0] != leavingVersion || length > object.MaxKeyLen {
		return id, n, 0, errs.F("store.readLeaving", "format", errs.Invalid, "%d with a key of %d bytes is not known here", head[0], length)
	}
	key := make([]byte, length)
	if _, err := io.ReadFull(r, key); err != nil {
		return id, n, 0, err
	}
	copy(id[:], head[1:])
	return id, object.Name{Bucket: binary.LittleEndian.Uint64(head[17:]), Key: string(key)}, binary.LittleEndian.Uint64(head[9:]), nil
}

// writeSession writes the file of a session that the index does not know of yet.
func writeSession(ctx context.Context, v *volume, id sessionID, r io.Reader, size int64) error {
	f, err := v.mp.OpenFile(id.file(), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	got, err := io.Copy(io.NewOffsetWriter(f, format.BlobHeaderSize), io.LimitReader(r, size))
	if err == nil && got != size {
		err = fmt.Errorf("ended after %d bytes of %d: %w", got, size, io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = errors.Join(ctx.Err(), f.Sync())
	}
	return errors.Join(err, f.Close(), v.mp.SyncDir("work"))
}

// keepSession lets the index know of a session whose file is at v.
func (s *appends) keepSession(v *volume, n object.Name, id sessionID, began uint64, size int64) (err error) {
	s.sessions.begun.RLock()
	defer s.sessions.begun.RUnlock()
	if home, err := s.home(n); err != nil || home != v {
		return errors.Join(err, errs.F("store.TakeAppend", n, errs.Busy, "%w: send it again", errRehomed))
	}
	s.sessions.add(id, size)
	defer func() {
		if err != nil {
			s.sessions.end(id)
		}
	}()
	val := binary.LittleEndian.AppendUint64([]byte{format.RecordVersion}, began)
	val = binary.LittleEndian.AppendUint64(val, n.Bucket)
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set(appendKey(id), append(val, n.Key...), nil); err != nil {
		return err
	}
	return v.commit(b, cluster.Local)
}

// add counts a session that came from elsewhere.
func (a *sessions) add(id sessionID, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes += size - a.open[id].size
	a.open[id] = session{size, time.Now()}
}
