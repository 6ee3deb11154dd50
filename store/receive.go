package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"aistore/cksum"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// arrival is a key that came in a frame: checked, its blobs written and durable, nothing of it in the index yet.
type arrival struct {
	n       object.Name
	mark    uint64
	state   KeyState
	vol     *volume // its home: everything goes there
	records []arrivedRecord
	tables  []arrivedTable
	uploads []arrivedUpload
	blobs   []arrivedBlob
	byID    map[blobKey]int // which of blobs was which
	held    bool            // it is among the writers of its volume
	skipped bool            // the blobs were not read: what is here is not less
}

// arrivedBlob is a blob on its way.
type arrivedBlob struct {
	format.FrameBlob
	id   format.BlobID // here
	uses int           // by records
	foot []byte        // what its footer says: of what names it first
	crcs []byte        // what the records say that they are, nil = nothing
	w    *blobWriter   // nil: not begun
}

// blobKey names a blob where it came from.
type blobKey struct {
	mount uint64
	id    format.BlobID
}

type arrivedRecord struct {
	format.Record
	mount  uint64
	inline []byte // content for the index
}

type arrivedTable struct {
	id    [16]byte
	parts []format.Part
}

type arrivedUpload struct {
	format.Upload
	id    format.UploadID
	parts []format.Part
}

// ids are those of the arrival's uploads.
func (a *arrival) ids() (ids []format.UploadID) {
	for i := range a.uploads {
		ids = append(ids, a.uploads[i].id)
	}
	return ids
}

// finish ends the writing of the blobs; those of no use are removed.
func (a *arrival) finish(committed bool) {
	for i := range a.blobs {
		if w := a.blobs[i].w; w != nil {
			w.finish(committed)
		}
	}
	if a.held {
		a.held = false
		a.vol.writers.leave()
	}
}

// frameReader reads one frame and no byte more.
type frameReader struct {
	r     io.Reader
	left  int64  // of the frame
	whole []byte // what r, a *bytes.Reader, reads; nil: it is another
}

// inMemory reads a frame that lies in memory and stays there as long as anything that comes of it is used.
func inMemory(frame []byte) (*frameReader, *bytes.Reader) {
	r := bytes.NewReader(frame)
	return &frameReader{r: r, whole: frame}, r
}

// take is next without a copy, if that can be.
func (r *frameReader) take(n int64) ([]byte, error) {
	mem, ok := r.r.(*bytes.Reader)
	if r.whole == nil || !ok || n > r.left || n > int64(mem.Len()) {
		return r.next(nil, n)
	}
	at := int64(len(r.whole) - mem.Len())
	r.left -= n
	_, err := mem.Seek(n, io.SeekCurrent)
	return r.whole[at : at+n : at+n], err
}

// next reads the next n bytes into b's room.
func (r *frameReader) next(b []byte, n int64) ([]byte, error) {
	const op = "store.receive"
	if n > r.left {
		return nil, errs.E(op, "", errs.Corrupt, "a frame is shorter than what it describes")
	}
	if int64(cap(b)) < n {
		if n > 1<<20 { // believe no length before the bytes are there
			var buf bytes.Buffer
			got, err := io.CopyN(&buf, r.r, n)
			r.left -= got
			return buf.Bytes(), brokeOff(err)
		}
		b = make([]byte, n)
	}
	b = b[:n]
	got, err := io.ReadFull(r.r, b)
	r.left -= int64(got)
	return b, brokeOff(err)
}

// brokeOff is what the early end of a frame becomes.
func brokeOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errs.F("store.receive", "", errs.Canceled, "the frame broke off: %v", err)
	}
	return err
}

// receive reads a frame, and its blobs into work files unless wanted says that they are of no use.
func (s *transfer) receive(ctx context.Context, r *frameReader, wanted func(*arrival) (bool, error)) (a *arrival, err error) {
	const op = "store.receive"
	r.left = format.FrameHeadSize
	b, err := r.take(format.FrameHeadSize)
	if err != nil {
		return nil, err
	}
	h, err := format.DecodeFrameHead(b)
	if err != nil {
		return nil, err
	}
	r.left = h.Length - format.FrameHeadSize
	if b, err = r.take(h.Description); err != nil {
		return nil, err
	}
	var d format.Frame
	if err := format.DecodeFrame(&d, b); err != nil {
		return nil, err
	}
	if err := s.live(op, d.Name); err != nil {
		return nil, err
	}
	a = &arrival{n: d.Name, mark: d.Mark}
	defer func() {
		if err != nil {
			a.finish(false)
		}
	}()
	if err := a.describe(&d); err != nil {
		return a, err
	}
	blobs := a.blobBytes()
	if err := s.settleAt(a, 3*(h.Length-blobs)+blobs); err != nil { // log, table, one compaction
		return a, err
	}
	for i := range a.records {
		if err := a.records[i].read(a.n, r); err != nil {
			return a, err
		}
	}
	ok, err := wanted(a)
	if err != nil || !ok {
		a.skipped = !ok
		return a, err
	}
	if err := a.place(); err != nil {
		return a, err
	}
	if err := a.receiveBlobs(ctx, r); err != nil {
		return a, err
	}
	if r.left != 0 {
		return a, errs.E(op, a.n, errs.Corrupt, "a frame is longer than what it describes")
	}
	return a, nil
}

// settleAt gives a its volume, which is not released before a has finished. A key with nothing in it needs no more room than a delete.
func (s *transfer) settleAt(a *arrival, size int64) error {
	return s.steady(func() (err error) {
		if a.state.Exists {
			a.vol, err = s.room(a.n, size)
		} else {
			a.vol, err = s.home(a.n)
		}
		if err == nil {
			err = a.vol.writers.enter()
			a.held = err == nil
		}
		return err
	})
}

func (a *arrival) blobBytes() (sum int64) {
	for i := range a.blobs {
		sum += a.blobs[i].Length
	}
	return sum
}

// describe decodes what the description says, and checks that it holds together.
func (a *arrival) describe(d *format.Frame) error {
	a.state = KeyState{Authority: d.Mark, Exists: len(d.Records)+len(d.Uploads) > 0}
	if len(d.Blobs) > 0 {
		a.byID, a.blobs = make(map[blobKey]int, len(d.Blobs)), make([]arrivedBlob, len(d.Blobs))
	}
	for i := range d.Blobs {
		a.byID[blobKey{d.Blobs[i].Mount, d.Blobs[i].ID}] = i
		a.blobs[i].FrameBlob = d.Blobs[i]
	}
	if len(a.byID) != len(d.Blobs) {
		return a.malformed("a blob comes twice")
	}
	a.records = make([]arrivedRecord, len(d.Records))
	tables := map[[16]byte]int64{}
	born := make(map[object.Version]bool, len(d.Records))
	nulls := 0
	for i := range d.Records {
		if err := a.describeRecord(d, i, tables); err != nil {
			return err
		}
		if born[a.records[i].Born()] = true; a.records[i].Null() {
			nulls++
		}
	}
	if len(born) != len(d.Records) || nulls > 1 {
		return a.malformed("a version comes twice")
	}
	for i := range d.Tables {
		t := arrivedTable{id: d.Tables[i].ID}
		var err error
		if t.parts, err = format.DecodeTable(d.Tables[i].Value, format.IDKey(nil, format.FamTable, a.n.Bucket, a.n.Key, t.id)); err != nil {
			return err
		}
		if n, ok := tables[t.id]; !ok || n != int64(len(t.parts)) || n == 0 {
			return a.malformed("a table of parts is no record's")
		}
		delete(tables, t.id)
		if err := a.describeParts(t.parts); err != nil {
			return err
		}
		a.tables = append(a.tables, t)
	}
	if len(tables) > 0 {
		return a.malformed("a record's table of parts is missing")
	}
	return a.describeUploads(d)
}

func (a *arrival) malformed(what string) error {
	return errs.E("store.receive", a.n, errs.Corrupt, "the description of a frame is malformed: "+what)
}

func (a *arrival) describeRecord(d *format.Frame, i int, tables map[[16]byte]int64) error {
	r := &a.records[i]
	r.mount = d.Records[i].Mount
	if err := format.DecodeRecord(&r.Record, d.Records[i].Value, []byte(a.n.Key)); err != nil {
		return err
	}
	if r.Bucket != a.n.Bucket {
		return a.malformed("a record is of another bucket")
	}
	a.state.Size += r.Size
	if i == 0 {
		a.state.Version, a.state.Checksum, a.state.Deleted = r.Version, r.Sum(), r.Tombstone()
	}
	for j := range r.Parts {
		p := &r.Parts[j]
		switch p.Kind {
		case format.RefBlob:
			x := a.blob(r.mount, p.Blob, p.Total, p.BlockSize)
			if x == nil {
				return a.malformed("a record's blob is missing")
			}
			if x.uses++; len(p.CRCs) > 0 {
				x.crcs = p.CRCs
			}
		case format.RefTable:
			if len(r.Parts) != 1 {
				return a.malformed("a record has parts of two sorts")
			}
			if _, twice := tables[p.Blob]; twice {
				return a.malformed("two records have one table of parts")
			}
			tables[p.Blob] = p.Total
		default:
			if len(r.Parts) != 1 {
				return a.malformed("a record has parts of two sorts")
			}
			if i > 0 { // the place under the name is the current record's
				p.Kind = format.RefKept
			}
		}
	}
	return nil
}

func (a *arrival) describeParts(parts []format.Part) error {
	for i := range parts {
		if a.blob(parts[i].Mount, parts[i].Blob, parts[i].Size, parts[i].BlockSize) == nil {
			return a.malformed("the blob of a part is missing")
		}
	}
	return nil
}

// blob finds a blob by what it was called; nil when it is none of those that come, or another.
func (a *arrival) blob(mount uint64, id format.BlobID, length, blockSize int64) *arrivedBlob {
	k, ok := a.byID[blobKey{mount, id}]
	if !ok || a.blobs[k].Length != length || a.blobs[k].BlockSize != blockSize {
		return nil
	}
	return &a.blobs[k]
}

func (a *arrival) describeUploads(d *format.Frame) error {
	for i := range d.Uploads {
		fu := &d.Uploads[i]
		u := arrivedUpload{id: fu.ID, parts: make([]format.Part, len(fu.Parts))}
		if err := format.DecodeUpload(&u.Upload, fu.Value, format.IDKey(nil, format.FamUpload, a.n.Bucket, a.n.Key, fu.ID)); err != nil {
			return err
		}
		if u.State == format.UploadAborted || u.State == format.UploadCompleted && (!u.Clean || len(u.parts) > 0) {
			return a.malformed("an upload that ended has parts")
		}
		last := 0
		for j := range fu.Parts {
			p := &u.parts[j]
			// The number is inside what is sealed under it: it is read first without the seal.
			if err := format.DecodePartOf(p, fu.Parts[j], a.n, fu.ID); err != nil {
				return err
			}
			if p.Number <= last || p.Number > MaxParts {
				return a.malformed("the parts of an upload do not stand in their order")
			}
			last = p.Number
			a.state.Size += p.Size
		}
		if err := a.describeParts(u.parts); err != nil {
			return err
		}
		a.uploads = append(a.uploads, u)
	}
	return nil
}

// read reads and verifies the record's content in the index, if it has one.
func (r *arrivedRecord) read(n object.Name, fr *frameReader) error {
	const op = "store.receive"
	if len(r.Parts) != 1 || r.Parts[0].Kind != format.RefInline && r.Parts[0].Kind != format.RefKept {
		return nil
	}
	p := &r.Parts[0]
	if p.Length > maxInlineContent {
		return errs.F(op, n, errs.Corrupt, "content of %d bytes is too large for an index", p.Length)
	}
	b, err := fr.take(p.Length)
	if err != nil {
		return err
	}
	if cksum.Block(b) != p.CRC {
		return errs.E(op, n, errs.Corrupt, "content does not match its checksum")
	}
	if r.SumType == cksum.XXHash || r.SumType == cksum.CRC32C { // costs next to nothing
		if got := cksum.Of(r.SumType, b); got != r.Sum() {
			return errs.F(op, n, errs.Corrupt, "content has checksum %v, its record says %v", got, r.Sum())
		}
	}
	if r.inline = b; b == nil {
		r.inline = []byte{}
	}
	return nil
}

// maxInlineContent bounds what a frame may want to put into an index.
const maxInlineContent = 1 << 20

// receiveBlobs reads the blobs into work files and makes them durable, one after the other.
func (a *arrival) receiveBlobs(ctx context.Context, r *frameReader) error {
	if len(a.blobs) == 0 {
		return nil
	}
	bp, _ := chunkPool.Get().(*[]byte)
	defer chunkPool.Put(bp)
	for i := range a.blobs {
		x := &a.blobs[i]
		if x.Size() > r.left {
			return errs.E("store.receive", a.n, errs.Corrupt, "a frame is shorter than what it describes")
		}
		var err error
		if x.w, err = newBlobAs(a.vol, x.id, x.BlockSize, x.Length); err != nil {
			return err
		}
		if err := x.w.receive(ctx, a.n, &x.FrameBlob, r, *bp); err != nil {
			return err
		}
		if x.crcs != nil && !bytes.Equal(x.crcs, x.w.crcs) {
			return a.malformed("a record has other checksums than its blob")
		}
		if err := x.w.footer(a.n.Key, x.foot); err != nil {
			return err
		}
		if err := x.w.publish(true); err != nil {
			return err
		}
		x.w.shut()
	}
	return failpoint.Hit("import.blobs-synced")
}

// receive reads one blob: the checksums of up to CrcsPerPage blocks, the blocks, and so on.
func (w *blobWriter) receive(ctx context.Context, n object.Name, x *format.FrameBlob, r *frameReader, buf []byte) error {
	const op = "store.receive"
	page := format.AppendBlobHeader(buf[:0], w.id, w.blockSize)[:cap(buf)]
	if x.Length == 0 {
		return w.add(page, page[format.BlobHeaderSize:format.BlobHeaderSize])
	}
	var sums []byte
	for no := int64(0); w.length < x.Length; no++ {
		blocks := min(format.BlocksOf(x.Length-w.length, x.BlockSize), format.CrcsPerPage)
		var err error
		if sums, err = r.next(sums, 4*blocks+4); err != nil {
			return err
		}
		if format.TableCRC(x.ID, no, sums[:4*blocks]) != binary.LittleEndian.Uint32(sums[4*blocks:]) {
			return errs.E(op, n, errs.Corrupt, "the checksums of a blob are damaged")
		}
		end := min(w.length+blocks*x.BlockSize, x.Length)
		for w.length < end {
			if err := ctx.Err(); err != nil {
				return err
			}
			chunk := buf[format.BlobHeaderSize:]
			if chunk, err = r.next(chunk, min(int64(len(chunk)), end-w.length)); err != nil {
				return err
			}
			first := w.length == 0
			if !first {
				page = nil
			}
			if err := w.add(page, chunk); err != nil {
				return err
			}
		}
		if w.inBlock > 0 {
			w.endBlock()
		}
		if !bytes.Equal(w.crcs[no*4*format.CrcsPerPage:], sums[:4*blocks]) {
			return errs.E(op, n, errs.Corrupt, "a blob does not match its checksums")
		}
	}
	return nil
}

// place gives the blobs their ids here and lets everything name them so.
func (a *arrival) place() error {
	for i := range a.blobs {
		a.blobs[i].id = format.NewBlobID(a.vol.blobCount.Add(1))
	}
	for i := range a.records {
		r := &a.records[i]
		r.Flags &^= format.FlagShared
		var named []*arrivedBlob
		for j := range r.Parts {
			p := &r.Parts[j]
			if p.Kind != format.RefBlob {
				continue
			}
			x := a.blob(r.mount, p.Blob, p.Total, p.BlockSize)
			if p.Blob = x.id; x.uses > 1 {
				r.Flags |= format.FlagShared
			}
			named = append(named, x)
		}
		for _, x := range named {
			if x.foot == nil {
				x.foot = format.AppendRecord(nil, &r.Record, a.n.Key)
			}
		}
	}
	for i := range a.tables {
		a.placeParts(a.tables[i].parts, a.tables[i].id)
	}
	for i := range a.uploads {
		a.placeParts(a.uploads[i].parts, a.uploads[i].id)
	}
	for i := range a.blobs {
		if a.blobs[i].foot == nil {
			return a.malformed("a blob belongs to nothing")
		}
	}
	return nil
}

func (a *arrival) placeParts(parts []format.Part, id [16]byte) {
	for i := range parts {
		p := &parts[i]
		x := a.blob(p.Mount, p.Blob, p.Size, p.BlockSize)
		if p.Mount, p.Blob = a.vol.mount, x.id; x.foot == nil {
			x.foot = format.AppendPartFoot(nil, a.n.Bucket, id, p)
		}
	}
}
