package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// An append session gathers an object's content over several requests. Nothing of it is visible before
// FlushAppend, which makes the bytes a new version of the object, durable like any PUT.
//
// The index remembers the session, a work file its bytes. The handle that each call returns says how
// many bytes are acknowledged and what their CRC32C is, so it stays good when the node restarts: what a failed call
// left behind its length is cut off, and bytes that a power loss took are noticed.

// appends is the part of a Store that appends: what it adds to Store's methods is promoted.
type appends struct{ *Store }

// sessionID names an append session.
type sessionID [8]byte

// sessionPrefix begins the names of work files of append sessions.
const sessionPrefix = "append-"

func parseSessionID(s string) (id sessionID, ok bool) {
	n, err := hex.Decode(id[:], []byte(s[:min(len(s), 2*len(id))]))
	return id, err == nil && n == len(id) && len(s) == 2*len(id)
}

func (id sessionID) file() string { return "work/" + sessionPrefix + hex.EncodeToString(id[:]) }

func appendKey(id sessionID) []byte { return append([]byte{format.FamAppend}, id[:]...) }

// An append session is given up so long after its begin, or after the node started or anything was last appended.
const (
	sessionTTL  = 7 * 24 * time.Hour
	sessionIdle = 24 * time.Hour
)

// handle is a decoded append handle.
type handle struct {
	id   sessionID
	size int64
	crc  uint32
}

// String is the handle as clients see it.
func (h handle) String() string { return fmt.Sprintf("%x.%x.%08x", h.id[:], h.size, h.crc) }

func parseHandle(s string) (h handle, err error) {
	bad := errs.F("store.parseHandle", "append handle", errs.Invalid, "%q is not one that this server gave", s)
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return h, bad
	}
	id, ok := parseSessionID(parts[0])
	if !ok {
		return h, bad
	}
	h.id = id
	if _, err := fmt.Sscanf(parts[1]+" "+parts[2], "%x %08x", &h.size, &h.crc); err != nil || h.size < 0 || h.String() != s {
		return h, bad
	}
	return h, nil
}

// BeginAppend starts a session for n and returns its first handle: kind Busy when the node has too many, Full when they hold
// too much.
func (s *appends) BeginAppend(ctx context.Context, n object.Name) (_ string, err error) {
	const op = "store.BeginAppend"
	if err := errors.Join(ctx.Err(), s.live(op, n)); err != nil {
		return "", errs.E(op, n, err)
	}
	s.sessions.begun.RLock()
	defer s.sessions.begun.RUnlock()
	v, err := s.room(n, format.BlobHeaderSize)
	if err != nil {
		return "", errs.E(op, n, err)
	}
	var h handle
	_, _ = rand.Read(h.id[:]) // never fails (crypto/rand)
	if err := s.sessions.begin(h.id); err != nil {
		return "", errs.E(op, n, err)
	}
	defer func() {
		if err != nil {
			s.sessions.end(h.id)
		}
	}()
	f, err := v.mp.OpenFile(h.id.file(), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err == nil {
		err = errors.Join(f.Close(), v.mp.SyncDir("work"))
	}
	if err != nil {
		return "", errs.E(op, n, err)
	}
	val := binary.LittleEndian.AppendUint64([]byte{format.RecordVersion}, uint64(time.Now().UnixNano()))
	val = binary.LittleEndian.AppendUint64(val, n.Bucket)
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set(appendKey(h.id), append(val, n.Key...), nil); err != nil {
		return "", errs.E(op, n, err)
	}
	if err := v.commit(b, cluster.Local); err != nil {
		return "", errs.E(op, n, err)
	}
	return h.String(), nil
}

const sessionHead = 1 + 8 + 8

// session finds the volume of a session and takes it for the caller, who must release it.
func (s *appends) session(ctx context.Context, n object.Name, id sessionID) (v *volume, release func(), err error) {
	const op = "store.session"
	for by, busy := s.sessions.busy.LoadOrStore(id, nil); busy; by, busy = s.sessions.busy.LoadOrStore(id, nil) {
		moved, moving := by.(chan struct{})
		if !moving {
			return nil, nil, errs.E(op, n, errs.Conflict, "another append with this handle is under way")
		}
		select {
		case <-moved: // no fault of the client's
		case <-ctx.Done():
			return nil, nil, errs.E(op, n, ctx.Err())
		}
	}
	release = func() {
		s.sessions.busy.Delete(id)
		s.freed.ring()
	}
	err = s.steady(func() (err error) { // from now on it stays where it is
		v, err = s.findSession(n, id)
		return err
	})
	if err != nil {
		release()
		return nil, nil, err
	}
	return v, release, nil
}

// findSession finds the volume of a session, which the caller has taken.
func (s *appends) findSession(n object.Name, id sessionID) (*volume, error) {
	const op = "store.session"
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		val, err := v.getCopy(appendKey(id))
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err == nil && (len(val) < sessionHead || binary.LittleEndian.Uint64(val[9:]) != n.Bucket || string(val[sessionHead:]) != n.Key) {
			err = errs.E(op, n, errs.Invalid, "the append handle is for another object")
		}
		if err != nil {
			return nil, err
		}
		return v, nil
	}
	if err := s.allUsable(); err != nil { // it may be where nobody can look
		return nil, errs.E(op, n, err)
	}
	return nil, errs.E(op, n, errs.NotFound, "the append handle was flushed, given up or has expired")
}

// Append adds what r gives to the session and returns the handle that stands for the bytes so far. When
// it fails, the handle it was called with stays good. The bytes are durable only once they are flushed.
func (s *appends) Append(ctx context.Context, n object.Name, token string, r io.Reader) (string, error) {
	const op = "store.Append"
	if err := s.live(op, n); err != nil {
		return "", err
	}
	h, err := parseHandle(token)
	if err != nil {
		return "", err
	}
	v, release, err := s.session(ctx, n, h.id)
	if err != nil {
		return "", errs.E(op, n, err)
	}
	defer release()
	f, err := v.mp.OpenFile(h.id.file(), os.O_RDWR)
	if err != nil {
		return "", errs.E(op, n, err)
	}
	bp, _ := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(bp)
	if err = s.sessions.resize(h.id, h.size); err == nil {
		err = f.Truncate(format.BlobHeaderSize + h.size)
	}
	for src, done := (prefixed{r: r}), false; err == nil && !done; {
		var got int
		chunk := (*bp)[:chunkSize]
		if got, err = src.fill(chunk); errors.Is(err, io.EOF) {
			done, err = true, nil
		}
		if err == nil {
			err = errors.Join(ctx.Err(), v.space.admit(int64(got)), s.sessions.resize(h.id, h.size+int64(got)))
		}
		if err == nil {
			_, err = f.WriteAt(chunk[:got], format.BlobHeaderSize+h.size)
		}
		h.crc = cksum.BlockUpdate(h.crc, chunk[:got])
		h.size += int64(got)
	}
	if err == nil {
		err = failpoint.Hit("append.data-written")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errs.E(op, n, err)
	}
	return h.String(), nil
}

// FlushAppend makes the session's bytes a new version of n and ends the session. When it fails, also by a
// crash, the session stays.
func (s *appends) FlushAppend(ctx context.Context, n object.Name, token string, o PutOptions) (info object.Info, err error) {
	const op = "store.FlushAppend"
	if err := s.live(op, n); err != nil {
		return info, err
	}
	h, err := parseHandle(token)
	if err != nil {
		return info, err
	}
	v, release, err := s.session(ctx, n, h.id)
	if err != nil {
		return info, errs.E(op, n, err)
	}
	defer release()
	home, err := s.home(n)
	if err != nil {
		return info, errs.E(op, n, err)
	}
	if home != v { // mountpaths came or went since the append began
		return s.flushElsewhere(ctx, n, v, h, o)
	}
	bw := &blobWriter{v: v, id: format.NewBlobID(v.blobCount.Add(1)), name: h.id.file(), blockSize: s.cfg.BlockSize}
	if bw.f, err = v.mp.OpenFile(bw.name, os.O_RDWR); err != nil {
		return info, errs.E(op, n, err)
	}
	v.writing.Store(bw.id, nil)
	info, err = s.flush(ctx, op, n, bw, h, &o)
	_ = bw.f.Close() // synced already, or of no use
	v.writing.Delete(bw.id)
	if errors.Is(err, errRehomed) {
		if bw.name == bw.id.Path() {
			v.unlink(bw.id)
		}
		return s.flushElsewhere(ctx, n, v, h, o)
	}
	if err != nil {
		if bw.name == bw.id.Path() {
			v.unlink(bw.id) // the session's file has another name
		}
		return info, errs.E(op, n, err)
	}
	s.sessions.end(h.id)
	_ = failpoint.Hit("append.before-unlink") // past the commit: only a kill matters
	if err := v.mp.Remove(h.id.file()); err != nil {
		v.log.Warn("append session not removed; it will be swept", "mountpath", v.mp.Path(), "err", err)
	}
	return info, nil
}

// flushElsewhere flushes a session whose file is not at the object's home: the bytes are written there like those of any PUT. A crash
// between the two steps leaves the session, which can be flushed again.
func (s *appends) flushElsewhere(ctx context.Context, n object.Name, v *volume, h handle, o PutOptions) (info object.Info, err error) {
	const op = "store.FlushAppend"
	f, err := v.mp.OpenFile(h.id.file(), os.O_RDWR)
	if err != nil {
		return info, errs.E(op, n, err)
	}
	defer func() { _ = f.Close() }() // its bytes are elsewhere, or it stays as it is
	bw := &blobWriter{v: v, f: f, blockSize: s.cfg.BlockSize}
	if _, err := bw.reread(ctx, h, newSums(&PutOptions{}), -1); err != nil {
		return info, errs.E(op, n, err)
	}
	if o.Size > 0 && o.Size != h.size {
		return info, errs.F(op, n, errs.Checksum, "%d bytes were appended, the request declared %d", h.size, o.Size)
	}
	o.Size = h.size
	if info, err = s.PutStream(ctx, n, io.NewSectionReader(f, format.BlobHeaderSize, h.size), o); err != nil {
		return info, err
	}
	return info, s.sessions.drop(v, h.id)
}

func (s *appends) flush(ctx context.Context, op string, n object.Name, bw *blobWriter, h handle, o *PutOptions) (info object.Info, err error) {
	sums := newSums(o)
	short, err := bw.reread(ctx, h, sums, s.cfg.InlineMax)
	if err != nil {
		return info, err
	}
	if err := sums.check(op, n, o.Expect); err != nil {
		return info, err
	}
	if o.Size > 0 && o.Size != h.size {
		return info, errs.F(op, n, errs.Checksum, "%d bytes were appended, the request declared %d", h.size, o.Size)
	}
	if o.Finish != nil {
		if err := o.finish(h.size, sums.Sums(), nil); err != nil {
			return info, err
		}
	}
	w := write{op: op, name: n, vol: bw.v, o: o, sum: sums.Sum(sums.whole), here: true}
	w.also = func(b *pebble.Batch) error { return b.Delete(appendKey(h.id), nil) }
	if short != nil {
		w.inline, w.rec.Size = short, h.size
		w.rec.One[0] = format.Content{Kind: format.RefInline, Length: h.size, CRC: h.crc}
		w.rec.Parts = w.rec.One[:1]
	} else {
		if _, err := bw.f.WriteAt(format.AppendBlobHeader(nil, bw.id, bw.blockSize), 0); err != nil {
			return info, err
		}
		bw.keepName = true
		if err := s.sealBlob(&w, bw); err != nil {
			return info, err
		}
	}
	if err := failpoint.Hit("append.before-commit"); err != nil {
		return info, err
	}
	return s.commitWrite(&w)
}

// reread takes all checksums of the session's bytes and compares them with the handle's. Up to
// inlineMax bytes are returned.
func (w *blobWriter) reread(ctx context.Context, h handle, sums *sums, inlineMax int) (short []byte, err error) {
	const op = "store.reread"
	bp, _ := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(bp)
	var crc uint32
	inline := h.size <= int64(inlineMax)
	if inline {
		short = make([]byte, 0, h.size)
	}
	for w.length < h.size {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := (*bp)[:min(chunkSize, h.size-w.length)]
		if err := format.ReadFull(w.f, b, format.BlobHeaderSize+w.length); err != nil {
			if errs.Is(err, errs.Corrupt) {
				return nil, errs.E(op, "append", errs.Conflict, "bytes of this append were lost in a crash: start it anew")
			}
			return nil, err
		}
		crc = cksum.BlockUpdate(crc, b)
		sums.write(b)
		w.take(b)
		if inline {
			short = append(short, b...)
		}
	}
	if crc != h.crc {
		return nil, errs.E(op, "append", errs.Conflict, "bytes of this append were lost in a crash: start it anew")
	}
	return short, w.f.Truncate(format.BlobHeaderSize + h.size)
}

// AbortAppend gives a session up.
func (s *appends) AbortAppend(ctx context.Context, n object.Name, token string) error {
	const op = "store.AbortAppend"
	h, err := parseHandle(token)
	if err != nil {
		return err
	}
	v, release, err := s.session(ctx, n, h.id)
	if err != nil {
		return errs.E(op, n, err)
	}
	defer release()
	if err := s.sessions.drop(v, h.id); err != nil {
		return errs.E(op, n, err)
	}
	return nil
}

func (a *sessions) drop(v *volume, id sessionID) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Delete(appendKey(id), nil); err != nil {
		return err
	}
	if err := v.commit(b, cluster.Local); err != nil {
		return err
	}
	a.end(id)
	if err := v.mp.Remove(id.file()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// expire gives up the sessions that began before sessionTTL or were not used for sessionIdle.
func (a *sessions) expire(v *volume, now time.Time) error {
	var old []sessionID
	err := eachSession(v, func(id sessionID, val []byte) error {
		if len(val) < sessionHead || int64(binary.LittleEndian.Uint64(val[1:])) < now.Add(-sessionTTL).UnixNano() || a.idle(id, now.Add(-sessionIdle)) {
			old = append(old, id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range old {
		if _, busy := a.busy.LoadOrStore(id, nil); busy {
			continue
		}
		err := a.drop(v, id)
		a.busy.Delete(id)
		if err != nil {
			return err
		}
	}
	return nil
}
