package store

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// PutStream writes what r gives until its end, replacing what n had. Short content goes into the index
// as with Put. Longer content follows these steps: a work file is written while it is hashed; length
// and checksums are compared with what the client declared; the file gets its footer and its place
// among the blobs; file and directory are synced; the record is committed. A failure on the way
// leaves nothing behind; a crash leaves a file that no record names, which is swept.
func (s *Store) PutStream(ctx context.Context, n object.Name, r io.Reader, o PutOptions) (info object.Info, err error) {
	const op = "store.PutStream"
	if err := s.live(op, n); err != nil {
		return info, err
	}
	bp, _ := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(bp)
	buf := (*bp)[format.BlobHeaderSize:]
	if o.Size < 0 || o.Size <= int64(s.cfg.InlineMax) {
		limit := s.cfg.InlineMax + 1
		got, err := readFull(r, buf[:limit])
		if err == nil {
			if o.Size >= 0 {
				return info, tooLong(op, n, o.Size)
			}
			return s.putBlob(ctx, op, n, &prefixed{buf[:got], r}, bp, &o)
		}
		if !errors.Is(err, io.EOF) {
			return info, errs.E(op, n, err)
		}
		if o.Size >= 0 && o.Size != int64(got) {
			return info, errs.F(op, n, errs.Checksum, "%d bytes came, the request declared %d", got, o.Size)
		}
		return s.putInline(ctx, op, n, buf[:got], &o)
	}
	return s.putBlob(ctx, op, n, &prefixed{nil, r}, bp, &o)
}

func tooLong(op string, n object.Name, declared int64) error {
	return errs.F(op, n, errs.Checksum, "more bytes came than the %d the request declared", declared)
}

// prefixed is a reader some of whose bytes were read already and lie at the start of the buffer.
type prefixed struct {
	head []byte
	r    io.Reader
}

// fill reads into b until it is full or the input ends. The head must be b's own start.
func (p *prefixed) fill(b []byte) (int, error) {
	have := len(p.head)
	p.head = nil
	n, err := readFull(p.r, b[have:])
	return have + n, err
}

// readFull reads into b until it is full or r ends, which is io.EOF. Unlike io.ReadFull it does not take a
// source that broke off (io.ErrUnexpectedEOF, or an io.EOF inside another error) for one that ended: half an
// upload of unknown length would become an object.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	switch {
	case n == len(b):
		return n, nil
	case err == io.EOF: //nolint:errorlint // only io.EOF itself is the end
		return n, err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		kind := errs.KindOf(err)
		if kind == errs.Other {
			kind = errs.Canceled
		}
		return n, errs.F("store.readFull", "content", kind, "broke off: %v", err)
	}
	return n, err
}

// sums are the checksums computed while content streams by.
type sums struct {
	cksum.Many
	whole cksum.Type
}

func newSums(o *PutOptions) *sums {
	h := &sums{whole: o.Checksum}
	h.Add(o.Checksum)
	h.Add(o.Also...)
	for _, want := range o.Expect {
		h.Add(want.Type)
	}
	return h
}

func (h *sums) write(p []byte) { _, _ = h.Write(p) } // never fails

func (h *sums) check(op string, n object.Name, want []cksum.Value) error {
	for _, w := range want {
		if got := h.Sum(w.Type); got != w {
			return errs.F(op, n, errs.Checksum, "content has checksum %v, the request declared %v", got, w)
		}
	}
	return nil
}

// blobWriter writes one blob. Its bytes are nobody's until the record that names it is committed.
type blobWriter struct {
	v         *volume
	id        format.BlobID
	f         fs.File
	name      string // where the file is now
	inside    bool   // it is among the volume's writers
	keepName  bool   // publish leaves the file under its present name as well
	lazy      bool   // it is not going to be synced
	blockSize int64
	length    int64
	out       int64 // bytes of the file that are on their way to the disk
	crcs      []byte
	crc       uint32 // of the block under way
	inBlock   int64
}

func (v *volume) newBlob(blockSize, sizeHint int64) (*blobWriter, error) {
	return newBlobAs(v, format.NewBlobID(v.blobCount.Add(1)), blockSize, sizeHint)
}

func newBlobAs(v *volume, id format.BlobID, blockSize, sizeHint int64) (*blobWriter, error) {
	if err := v.writers.enter(); err != nil {
		return nil, err
	}
	w := &blobWriter{v: v, id: id, name: "work/" + id.String(), blockSize: blockSize, inside: true}
	if sizeHint > 0 {
		w.crcs = make([]byte, 0, 4*min(format.BlocksOf(sizeHint, blockSize), 1<<20))
	}
	var err error
	if w.f, err = v.mp.OpenFile(w.name, os.O_RDWR|os.O_CREATE|os.O_EXCL); err != nil {
		v.writers.leave()
		return nil, err
	}
	v.writing.Store(id, nil)
	return w, nil
}

// add writes p, whose checksums it takes. For the first call page is the header's page, right before
// p in memory, and goes out with it.
func (w *blobWriter) add(page, p []byte) error {
	off := format.BlobHeaderSize + w.length
	w.take(p)
	if page != nil {
		p, off = page[:format.BlobHeaderSize+len(p)], 0
	}
	if _, err := w.f.WriteAt(p, off); err != nil {
		return err
	}
	if end := off + int64(len(p)); end-w.out >= writeOut && !w.lazy {
		w.f.WriteOut(w.out, end-w.out)
		w.out = end
	}
	return nil
}

// writeOut is how much of a long blob goes to the disk at once while the rest still comes: else the disk would have nothing to do
// until the blob is synced, and whoever waits for that everything.
const writeOut = 2 << 20

// take counts p and takes the checksums of its blocks.
func (w *blobWriter) take(p []byte) {
	w.length += int64(len(p))
	for len(p) > 0 {
		n := min(int64(len(p)), w.blockSize-w.inBlock)
		w.crc = cksum.BlockUpdate(w.crc, p[:n])
		p = p[n:]
		if w.inBlock += n; w.inBlock == w.blockSize {
			w.endBlock()
		}
	}
}

func (w *blobWriter) endBlock() {
	w.crcs = append(w.crcs, byte(w.crc), byte(w.crc>>8), byte(w.crc>>16), byte(w.crc>>24))
	w.crc, w.inBlock = 0, 0
}

// content describes the whole blob as an object's content.
func (w *blobWriter) content() format.Content {
	c := format.Content{Kind: format.RefBlob, Length: w.length, Total: w.length, Blob: w.id, BlockSize: w.blockSize}
	if len(w.crcs) <= 4*format.MaxCRCs {
		c.CRCs = w.crcs
	}
	return c
}

// foot writes the footer.
func (w *blobWriter) foot(key string, rec *format.Record) error {
	return w.footer(key, format.AppendRecord(nil, rec, key))
}

func (w *blobWriter) footer(key string, record []byte) error {
	f := format.Foot{ID: w.id, Length: w.length, BlockSize: w.blockSize, Key: key, Record: record}
	b := format.AppendFooter(make([]byte, 0, len(w.crcs)+len(w.crcs)/1000+len(f.Record)+len(key)+256), &f, w.crcs)
	_, err := w.f.WriteAt(b, format.BlobHeaderSize+w.length)
	return err
}

// publish gives the blob its place and makes it durable. The name is given before the file is synced:
// one journal commit of the file system then covers both, and no record names the blob yet.
func (w *blobWriter) publish(durable bool) error {
	d := &w.v.dirs[w.id[6]]
	if err := w.v.makeBlobDir(w.id); err != nil {
		return err
	}
	place := w.v.mp.Rename
	if w.keepName {
		place = w.v.mp.Link
	}
	if err := place(w.name, w.id.Path()); err != nil {
		return err
	}
	w.name = w.id.Path()
	if err := failpoint.Hit("put.blob-linked"); err != nil {
		return err
	}
	if !durable {
		return nil
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	if err := failpoint.Hit("put.blob-synced"); err != nil {
		return err
	}
	if err := d.sync.do(func() error { return w.v.mp.SyncDir(w.id.Dir()) }); err != nil {
		return err
	}
	return failpoint.Hit("put.dir-synced")
}

// makeBlobDir makes the blob's directory once.
func (v *volume) makeBlobDir(id format.BlobID) error {
	d := &v.dirs[id[6]]
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.made {
		return nil
	}
	if err := v.mp.Mkdir(id.Dir()); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := v.mp.SyncDir("blobs"); err != nil {
		return err
	}
	d.made = true
	return nil
}

// shut closes the file before finish.
func (w *blobWriter) shut() {
	if w.f != nil {
		_ = w.f.Close() // synced already, or of no use
		w.f = nil
	}
}

// finish closes the file and, unless the blob was committed, removes it.
func (w *blobWriter) finish(committed bool) {
	w.shut()
	if !committed {
		_ = w.v.mp.Remove(w.name) // else swept
	}
	w.v.writing.Delete(w.id)
	if w.inside {
		w.inside = false
		w.v.writers.leave()
	}
}

// putBlob writes content that gets a file of its own. bp is a chunk buffer; what src has already read
// is at its content's start.
func (s *Store) putBlob(ctx context.Context, op string, n object.Name, src *prefixed, bp *[]byte, o *PutOptions) (info object.Info, err error) {
	bw, err := blobAtHome(&s.places, n, max(o.Size, chunkSize), func(v *volume) (*blobWriter, error) { return v.newBlob(s.cfg.BlockSize, o.Size) })
	if err != nil {
		return info, errs.E(op, n, err)
	}
	bw.lazy = o.Durability == cluster.Volatile
	committed := false
	w := write{op: op, name: n, o: o, blob: bw}
	defer func() { w.blob.finish(committed) }()
	if err := failpoint.Hit("put.work-created"); err != nil {
		return info, err
	}
	h := newSums(o)
	h.Share(&s.hashing)
	if err := bw.copyFrom(ctx, op, n, src, *bp, h, o.Size); err != nil {
		return info, errs.E(op, n, err)
	}
	if err := failpoint.Hit("put.data-written"); err != nil {
		return info, err
	}
	if err := h.check(op, n, o.Expect); err != nil {
		return info, err
	}
	if o.Finish != nil {
		if err := o.finish(bw.length, h.Sums(), nil); err != nil {
			return info, errs.E(op, n, err)
		}
	}
	w.vol, w.sum = bw.v, h.Sum(h.whole)
	if err := s.sealBlob(&w, bw); err != nil {
		return info, errs.E(op, n, err)
	}
	for range 4 { // mountpaths do not come and go all the time
		if info, err = s.commitWrite(&w); !errors.Is(err, errRehomed) {
			break
		}
		if err := s.follow(ctx, &w); err != nil {
			return info, errs.E(op, n, err)
		}
	}
	committed = err == nil
	return info, settling(op, n, err)
}

// settling turns errRehomed, which is met again and again only while somebody changes the mountpaths all the time, into what a client
// may act on.
func settling(op string, n object.Name, err error) error {
	if errors.Is(err, errRehomed) {
		return errs.E(op, n, errs.Busy, "the mountpaths change faster than its content can follow them: retry")
	}
	return err
}

// follow brings the blob of w to the mountpath that has become the name's home.
func (s *places) follow(ctx context.Context, w *write) error {
	to, err := blobAtHome(s, w.name, w.rec.Size, func(v *volume) (*blobWriter, error) { return w.blob.copyTo(ctx, v, w.o.Durability != cluster.Volatile) })
	if err != nil || to == w.blob {
		return err
	}
	w.blob.finish(false)
	w.blob, w.vol = to, to.v
	return nil
}

// copyTo makes the same blob, published but not committed, on another volume. It is w itself if that is where it should go: a mountpath that
// was about to leave has been taken back.
func (w *blobWriter) copyTo(ctx context.Context, v *volume, durable bool) (*blobWriter, error) {
	if v == w.v {
		return w, nil
	}
	to, err := v.newBlob(w.blockSize, w.length)
	if err != nil {
		return nil, err
	}
	v.writing.Store(w.id, nil)
	v.writing.Delete(to.id)
	to.id, to.length, to.crcs = w.id, w.length, w.crcs
	fi, err := w.f.Stat()
	if err == nil {
		err = copyFile(ctx, to.f, w.f, fi.Size())
	}
	if err == nil {
		err = to.publish(durable)
	}
	if err != nil {
		to.finish(false)
		return nil, err
	}
	return to, nil
}

// copyFile copies size bytes.
func copyFile(ctx context.Context, to io.WriterAt, from io.ReaderAt, size int64) error {
	bp, _ := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(bp)
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := (*bp)[:min(chunkSize, size-at)]
		if err := format.ReadFull(from, b, at); err != nil {
			return err
		}
		if _, err := to.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

// sealBlob fills w's record with the blob as its content, writes the footer under a version of its own,
// and publishes the blob.
func (s *Store) sealBlob(w *write, bw *blobWriter) error {
	var err error
	if w.version, err = s.versions.next(object.Version{}, w.o.Epoch); err != nil {
		return err
	}
	if bw.inBlock > 0 {
		bw.endBlock()
	}
	r := &w.rec
	r.Size, r.Version = bw.length, w.version
	r.One[0] = bw.content()
	r.Parts = r.One[:1]
	w.describe(time.Now())
	if err := bw.foot(w.name.Key, r); err != nil {
		return err
	}
	w.blob = bw
	return bw.publish(w.o.Durability != cluster.Volatile)
}

// copyFrom moves the whole of src into the blob. declared is the length the client gave, or -1.
func (w *blobWriter) copyFrom(ctx context.Context, op string, n object.Name, src *prefixed, buf []byte, h *sums, declared int64) error {
	page := format.AppendBlobHeader(buf[:0], w.id, w.blockSize)[:cap(buf)]
	for first, done := true, false; !done; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := buf[format.BlobHeaderSize : format.BlobHeaderSize+chunkSize]
		if len(src.head) > len(chunk) {
			chunk = buf[format.BlobHeaderSize:]
		}
		got, err := src.fill(chunk)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		done = err != nil
		if got == 0 && !first {
			break
		}
		if declared >= 0 && w.length+int64(got) > declared {
			return tooLong(op, n, declared)
		}
		if declared < 0 {
			if err := w.v.space.admit(int64(got)); err != nil {
				return err
			}
		}
		if first {
			err = w.add(page, chunk[:got])
		} else {
			err = w.add(nil, chunk[:got])
		}
		if err != nil {
			return err
		}
		h.write(chunk[:got])
	}
	if declared >= 0 && w.length != declared {
		return errs.F(op, n, errs.Checksum, "%d bytes came, the request declared %d", w.length, declared)
	}
	return nil
}
