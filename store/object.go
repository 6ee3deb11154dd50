package store

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
	"aistore/store/format"
)

// Object is one version of an object, open for reading. It stays whole whatever happens to the name.
// Its methods may be used by one goroutine at a time.
type Object struct {
	name  object.Name
	info  object.Info
	store *Store
	vol   *volume

	inline []byte    // verified
	closer io.Closer // of inline

	parts []part
	multi *multi // instead of parts, for content that was uploaded in parts

	unsynced bool // its blobs may not be durable
}

// part is one piece of an object's content that lies in a blob.
type part struct {
	format.Content
	vol   *volume
	start int64 // of the piece within the object
	f     fs.File
	table []byte // page of checksums read last, when they are in the footer
	page  int64
}

// Stat returns what is known of n; kind NotFound when there is nothing. It reads the record alone: whether the content can be read is not said.
func (s *Store) Stat(n object.Name) (info object.Info, err error) {
	const op = "store.Stat"
	if err := s.live(op, n); err != nil {
		return info, err
	}
	var f found
	if err := s.lookup(&f, n); err != nil {
		return info, errs.E(op, n, err)
	}
	f.Info(&info, n.Key)
	s.keep(&f, n, nil)
	f.close()
	return info, nil
}

// Open opens the current version of n: kind NotFound when there is none, Mountpath when the disk that
// has it cannot be used, Corrupt when what is stored is damaged. Close it.
func (s *Store) Open(n object.Name) (*Object, error) {
	const op = "store.Open"
	if err := s.live(op, n); err != nil {
		return nil, err
	}
	o := &Object{name: n, store: s}
	// The record and the content it names are read one after the other, without a lock: a writer may
	// replace both in between. Then the content is another's or gone, and the record is read again; so it is when the mountpath
	// left in between.
	for range 4 {
		l := s.now()
		again, err := o.open(n)
		if err == nil {
			return o, nil
		}
		if !again && (s.now() == l || errs.Is(err, errs.NotFound)) {
			return nil, errs.E(op, n, err)
		}
	}
	l := s.locks.of(n) // a name rewritten all the time: keep the writers out
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := o.openLocked(n); err != nil {
		return nil, errs.E(op, n, err)
	}
	return o, nil
}

func (o *Object) open(n object.Name) (again bool, err error) {
	var f found
	if err := o.store.lookup(&f, n); err != nil {
		return false, err
	}
	defer f.close()
	return o.content(&f)
}

func (o *Object) openLocked(n object.Name) (again bool, err error) {
	f := found{turn: ownTurn}
	ok, err := o.store.current(&f, n)
	if err == nil && (!ok || f.Tombstone()) {
		err = errs.E("store.read", n, errs.NotFound)
	}
	if err != nil {
		return false, err
	}
	defer f.close()
	return o.content(&f)
}

// content opens what the record names. again says that the record may be stale.
func (o *Object) content(f *found) (again bool, err error) {
	f.Info(&o.info, o.name.Key)
	o.vol, o.unsynced = f.vol, f.Unsynced()
	if len(f.Parts) == 1 {
		switch f.Parts[0].Kind {
		case format.RefInline, format.RefKept:
			return o.readInline(f)
		case format.RefTable:
			return o.openTable(f)
		}
	}
	return o.openBlobs(f)
}

// readInline reads and verifies content in the index.
func (o *Object) readInline(f *found) (again bool, err error) {
	const op = "store.readInline"
	v, p := f.vol, &f.Parts[0]
	val, closer, err := o.inlineValue(f)
	if errors.Is(err, pebble.ErrNotFound) {
		return true, o.damaged(op, "the content is missing from the index")
	}
	if err != nil {
		return false, v.readError(op, o.name, err)
	}
	data, tag, _, ok := format.SplitContent(val)
	if ok && tag != p.Tag {
		err, again = o.damaged(op, "the content in the index is of another version"), true
	} else if !ok || int64(len(data)) != p.Length || cksum.Block(data) != p.CRC {
		err = o.damaged(op, "the content in the index does not match its checksum")
	}
	if err != nil && closer == nil { // damaged in memory: the index has it
		o.store.hot.Forget(f.hot)
		return true, err
	}
	if err != nil {
		unread := closer.Close()
		v.gate.Leave()
		if unread != nil { // pebble's Get tells only here that it could not read a value that lies in a file of its own
			return false, v.readError(op, o.name, unread)
		}
		if !again {
			o.suspect(err)
		}
		return again, err
	}
	if closer != nil {
		o.store.keep(f, o.name, val)
	}
	o.inline, o.closer = data, closer
	return false, nil
}

// inlineValue returns the index's value for content. A nil closer says that it is a copy that hot keeps.
func (o *Object) inlineValue(f *found) (val []byte, closer io.Closer, err error) {
	if f.hot != nil && f.hot.Content != nil {
		return f.hot.Content, nil, nil
	}
	v := f.vol
	if err := v.gate.Enter(); err != nil {
		return nil, nil, err
	}
	kb := v.keys.get()
	val, closer, err = v.db.Get(inlineKey(kb[:0], o.name, &f.Parts[0]))
	v.keys.put(kb)
	if err != nil {
		v.gate.Leave()
	}
	return val, closer, err
}

func (o *Object) openBlobs(f *found) (again bool, err error) {
	const op = "store.openBlobs"
	var at int64
	for i := range f.Parts {
		p := part{Content: f.Parts[i], vol: f.vol, start: at, page: -1}
		if p.Role != 0 {
			continue
		}
		if p.Kind != format.RefBlob {
			err = errs.E(op, o.name, errs.Unsupported, "content is partly in the index")
			break
		}
		p.CRCs = append([]byte(nil), p.CRCs...)
		if p.f, err = f.vol.mp.OpenFile(p.Blob.Path(), os.O_RDONLY); err != nil {
			break
		}
		o.parts = append(o.parts, p)
		at += p.Length
	}
	if err == nil {
		o.store.keep(f, o.name, nil)
		return false, nil
	}
	o.closeParts()
	if errors.Is(err, os.ErrNotExist) {
		return true, o.damaged(op, "the blob is missing")
	}
	return false, f.vol.readError(op, o.name, err)
}

func (o *Object) damaged(op, what string) error { return errs.E(op, o.name, errs.Corrupt, what) }

// suspect counts and remembers damage.
func (o *Object) suspect(err error) {
	o.vol.corruptions.Add(1)
	o.vol.log.Error("damaged object", "mountpath", o.vol.mp.Path(), "object", o.name.String(), "version", o.info.Version.String(), "err", err)
	o.store.suspects.add(o.name, o.info.Version)
}

// Info describes the version that is open.
func (o *Object) Info() *object.Info { return &o.info }

// Bytes returns content that lives in the index, verified; nil when it is in blobs. Valid until Close.
func (o *Object) Bytes() []byte { return o.inline }

// WriteSpan writes the bytes of sp to w. Every byte was verified before it is written; damage is kind
// Corrupt, and what was written up to then is right. The span must lie inside the object.
func (o *Object) WriteSpan(w io.Writer, sp object.Span) error {
	const op = "store.WriteSpan"
	if sp.Start < 0 || sp.Length < 0 || sp.Start > o.info.Size-sp.Length {
		return errs.F(op, o.name, errs.Range, "%d+%d lies outside the object of %d bytes", sp.Start, sp.Length, o.info.Size)
	}
	if sp.Length == 0 {
		return nil
	}
	if o.multi != nil {
		return o.writeParts(w, sp)
	}
	if o.parts == nil {
		_, err := w.Write(o.inline[sp.Start : sp.Start+sp.Length])
		return err
	}
	for i := range o.parts {
		p := &o.parts[i]
		from := max(sp.Start, p.start)
		to := min(sp.Start+sp.Length, p.start+p.Length)
		if from >= to {
			continue
		}
		if err := o.writePart(w, p, from-p.start, to-p.start); err != nil {
			return err
		}
	}
	return nil
}

// writePart writes the bytes [from, to) of a part, reading whole blocks.
func (o *Object) writePart(w io.Writer, p *part, from, to int64) error {
	from, to = from+p.Offset, to+p.Offset // within the blob's content
	from, err := o.sendPages(w, p, from, to)
	if err != nil || from == to {
		return err
	}
	bp, _ := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(bp)
	size := max(chunkSize/p.BlockSize, 1) * p.BlockSize
	for at := from / p.BlockSize * p.BlockSize; at < to; at += size {
		n := min(size, p.Total-at, (to-at+p.BlockSize-1)/p.BlockSize*p.BlockSize)
		b := (*bp)[:n]
		if err := o.readBlocks(p, b, at); err != nil {
			return err
		}
		if _, err := w.Write(b[max(from-at, 0):min(to-at, n)]); err != nil {
			return err
		}
	}
	return nil
}

// pageSender is a writer that can send a file's pages without copying them: fill moves n bytes into a pipe, check sees
// them there, then they go out. False: nothing was sent, which must be written instead.
type pageSender interface {
	SendPages(n int, fill func(pipe uintptr) error, check func(p []byte) error) (bool, error)
}

// sendPages sends as many whole blocks from the start of [from, to) as w can send without a copy; it returns where what is
// left begins. A blob is never written again once a record names it, so pages that were checked stay as they are.
func (o *Object) sendPages(w io.Writer, p *part, from, to int64) (int64, error) {
	sender, ok := w.(pageSender)
	file, piper := p.f.(fs.Piper)
	if !ok || !piper || p.BlockSize > pageChunk || from%p.BlockSize != 0 {
		return from, nil
	}
	at := from
	var n int64
	fill := func(pipe uintptr) error { return file.PipeTo(pipe, format.BlobHeaderSize+at, int(n)) }
	check := func(b []byte) error { return o.checkBlocks(p, b, at) }
	for at < to {
		n = min(pageChunk/p.BlockSize*p.BlockSize, p.Total-at)
		if at+n > to { // what ends inside a block
			break
		}
		sent, err := sender.SendPages(int(n), fill, check)
		if !sent || err != nil {
			return at, err
		}
		at += n
	}
	return at, nil
}

// readBlocks reads the blocks at off, a multiple of the block size, and verifies each.
func (o *Object) readBlocks(p *part, b []byte, off int64) error {
	const op = "store.readBlocks"
	if err := format.ReadFull(p.f, b, format.BlobHeaderSize+off); err != nil {
		if errs.Is(err, errs.Corrupt) {
			o.suspect(err)
			return errs.E(op, o.name, err)
		}
		return p.vol.readError(op, o.name, err)
	}
	return o.checkBlocks(p, b, off)
}

// checkBlocks verifies b, the blocks at off.
func (o *Object) checkBlocks(p *part, b []byte, off int64) error {
	const op = "store.checkBlocks"
	for i := off / p.BlockSize; len(b) > 0; i++ {
		n := min(int64(len(b)), p.BlockSize)
		want, err := o.blockSum(p, i)
		if err != nil {
			return err
		}
		if got := cksum.Block(b[:n]); got != want {
			err := errs.F(op, o.name, errs.Corrupt, "block %d of blob %s has checksum %08x, should have %08x", i, p.Blob, got, want)
			o.suspect(err)
			return err
		}
		b = b[n:]
	}
	return nil
}

// blockSum returns the checksum of the blob's i-th block, from the record or from the footer.
func (o *Object) blockSum(p *part, i int64) (uint32, error) {
	const op = "store.blockSum"
	if len(p.CRCs) > 0 {
		return format.BlockCRC(p.CRCs, i), nil
	}
	page, at := i/format.CrcsPerPage, i%format.CrcsPerPage
	if p.page != page {
		if err := p.readTable(page); err != nil {
			if errs.Is(err, errs.Corrupt) {
				o.suspect(err)
			}
			return 0, errs.E(op, o.name, err)
		}
	}
	return format.BlockCRC(p.table, at), nil
}

// readTable reads a page of the checksums in the blob's footer.
func (p *part) readTable(page int64) error {
	n := min(format.BlocksOf(p.Total, p.BlockSize)-page*format.CrcsPerPage, format.CrcsPerPage)
	b := make([]byte, 4*n+4)
	if err := format.ReadFull(p.f, b, format.BlobHeaderSize+p.Total+4*page*(format.CrcsPerPage+1)); err != nil {
		return err
	}
	if format.TableCRC(p.Blob, page, b[:4*n]) != binary.LittleEndian.Uint32(b[4*n:]) {
		return errs.F("store.readTable", "", errs.Corrupt, "the checksums of blob %s are damaged", p.Blob)
	}
	p.table, p.page = b[:4*n], page
	return nil
}

// Close ends the use of the object.
func (o *Object) Close() {
	if o.closer != nil {
		_ = o.closer.Close() // gives a cached block back; nothing to lose
		o.closer, o.inline = nil, nil
		o.vol.gate.Leave()
	}
	o.closeParts()
	if o.multi != nil {
		o.multi.close()
		o.multi = nil
	}
}

func (o *Object) closeParts() {
	for i := range o.parts {
		_ = o.parts[i].f.Close() // opened for reading only
	}
	o.parts = nil
}

// reader reads a part of an object from start to end, verified.
type reader struct {
	o        *Object
	pos, end int64
	buf      []byte
}

// Reader returns the object's content as a stream; every byte was verified first.
func (o *Object) Reader() io.Reader { return &reader{o: o, end: o.info.Size} }

func (r *reader) Read(b []byte) (int, error) {
	if len(r.buf) == 0 {
		n := min(r.end-r.pos, chunkSize)
		if n <= 0 {
			return 0, io.EOF
		}
		w := sliceWriter{b: r.buf[:0]}
		if err := r.o.WriteSpan(&w, object.Span{Start: r.pos, Length: n}); err != nil {
			return 0, err
		}
		r.buf, r.pos = w.b, r.pos+n
	}
	n := copy(b, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}
