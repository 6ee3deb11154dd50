package store

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// Export is a key on its way to another node: a frame of known length that says everything there is of it. It stays as it was when
// ExportKey returned, whatever becomes of the key. Close it.
type Export struct {
	s      *transfer
	name   object.Name
	state  KeyState
	head   []byte // and description
	inline []inlineExport
	blobs  []blobAt
	known  map[blobAt]bool    // those in blobs
	held   bool               // they are pinned
	frame  []format.FrameBlob // one for each of blobs
	crcs   [][]byte           // of each blob, nil = in its footer
	length int64
	snaps  map[*volume]*pebble.Snapshot
}

// inlineExport is content in an index.
type inlineExport struct {
	data []byte // verified; nil = still in the index
	buf  *byteBuf
	f    *found
}

// readInlineNow is how many bytes of content in the index are read at once; more are read when they are sent.
const readInlineNow = 1 << 20

// ExportKey reads all that there is of n under its lock: kind NotFound when there is nothing, not even a mark.
func (s *transfer) ExportKey(n object.Name) (*Export, error) {
	x := s.ExportKeys([]object.Name{n})[0]
	return x.Export, x.Err
}

// Exported is the outcome for one key: an Export, or why there is none.
type Exported struct {
	*Export
	Err error
}

// ExportKeys is ExportKey of some names at once, under the locks of all of them: less work for each.
func (s *transfer) ExportKeys(names []object.Name) []Exported {
	const op = "store.ExportKey"
	xs := make([]Exported, len(names))
	at := make([]int, 0, len(names)) // in xs, of those that are read
	live := make([]object.Name, 0, len(names))
	for i, n := range names {
		if xs[i].Err = s.live(op, n); xs[i].Err == nil {
			at, live = append(at, i), append(live, n)
		}
	}
	err := s.withKeys(live, nil, here, func(keys []*wholeKey) error {
		var contents *along
		if len(keys) > 1 {
			contents = &along{fam: format.FamContent}
		}
		defer contents.close()
		for i, w := range keys {
			x := &xs[at[i]]
			switch {
			case w.err != nil:
				x.Err = w.err
			case !w.exists() && w.mark == 0:
				x.Err = errs.E(op, w.n, errs.NotFound)
			default:
				x.Export = &Export{s: s, name: w.n}
				x.Err = x.take(w, contents)
			}
		}
		return nil
	})
	for i := range xs {
		x := &xs[i]
		if x.Err = errors.Join(x.Err, err); x.Err == nil {
			continue
		}
		x.Err = errs.E(op, names[i], x.Err)
		if x.Export != nil {
			x.Close()
			x.Export = nil
		}
	}
	return xs
}

// take describes w and keeps what it names. The caller holds the locks.
func (e *Export) take(w *wholeKey, inIndex *along) error {
	d := &format.Frame{Name: w.n, Mark: w.mark}
	e.state = w.state()
	for _, f := range w.versions() {
		d.Records = append(d.Records, format.FrameRecord{Mount: f.vol.mount, Value: f.value})
		if err := e.record(d, f); err != nil {
			return err
		}
	}
	for _, u := range w.movable() {
		if err := e.upload(d, u); err != nil {
			return err
		}
	}
	e.s.pins.hold(e.blobs)
	e.held = true
	d.Blobs = e.frame
	contents, err := e.contents(inIndex)
	if err != nil {
		return err
	}
	for i := range e.frame {
		contents += e.frame[i].Size()
	}
	e.head = format.AppendFrame(nil, d, contents)
	e.length = int64(len(e.head)) + contents
	return nil
}

// record adds what a record names.
func (e *Export) record(d *format.Frame, f *found) error {
	for i := range f.Parts {
		p := &f.Parts[i]
		switch p.Kind {
		case format.RefInline, format.RefKept:
			e.inline = append(e.inline, inlineExport{f: f})
		case format.RefBlob:
			e.blob(f.vol, p)
		case format.RefTable:
			val, parts, err := readTable(f.vol, e.name, p.Blob)
			if err != nil {
				if errs.Is(err, errs.NotFound) {
					err = errs.E("store.export", e.name, errs.Corrupt, "the table of parts is missing from the index")
				}
				return err
			}
			d.Tables = append(d.Tables, format.FrameTable{ID: p.Blob, Value: val})
			if err := e.parts(parts); err != nil {
				return err
			}
		}
	}
	return nil
}

// parts adds the blobs of parts.
func (e *Export) parts(parts []format.Part) error {
	for i := range parts {
		v, err := e.s.partVolume(e.name, &parts[i])
		if err != nil {
			return err
		}
		c := parts[i].Content()
		e.blob(v, &c)
	}
	return nil
}

// blob adds a blob once.
func (e *Export) blob(v *volume, c *format.Content) {
	at := blobAt{v, c.Blob}
	if e.known[at] {
		return
	}
	if e.known == nil {
		e.known = map[blobAt]bool{}
	}
	e.known[at] = true
	e.blobs = append(e.blobs, at)
	e.frame = append(e.frame, format.FrameBlob{Mount: v.mount, ID: c.Blob, Length: c.Total, BlockSize: c.BlockSize})
	e.crcs = append(e.crcs, c.CRCs)
}

// upload adds an upload with its parts.
func (e *Export) upload(d *format.Frame, u *openUpload) error {
	up := u.Upload
	up.Clean = up.State != format.UploadOpen // what it left stays here
	fu := format.FrameUpload{ID: u.id, Value: format.AppendUpload(nil, &up, u.key())}
	for i := range u.parts {
		p := &u.parts[i]
		fu.Parts = append(fu.Parts, format.AppendPart(nil, p, format.PartKey(nil, u.n.Bucket, u.n.Key, u.id, p.Number)))
	}
	d.Uploads = append(d.Uploads, fu)
	return e.parts(u.parts)
}

// contents reads what is in the index, or keeps the index as it is; it returns how many bytes that is.
func (e *Export) contents(inIndex *along) (sum int64, err error) {
	for i := range e.inline {
		sum += e.inline[i].f.Parts[0].Length
	}
	for i := range e.inline {
		x := &e.inline[i]
		v := x.f.vol
		if sum <= readInlineNow {
			x.buf = contentPool.get()
			if x.data, err = e.readNow(x.f, inIndex, x.buf.b[:0]); err != nil {
				return 0, err
			}
			x.buf.b = x.data
			continue
		}
		if e.snaps[v] != nil {
			continue
		}
		if err := v.gate.Enter(); err != nil {
			return 0, err
		}
		if e.snaps == nil {
			e.snaps = map[*volume]*pebble.Snapshot{}
		}
		e.snaps[v] = v.db.NewSnapshot()
	}
	return sum, nil
}

// readNow is read for who is not inside the gate yet.
func (e *Export) readNow(f *found, inIndex *along, b []byte) ([]byte, error) {
	if p := &f.Parts[0]; p.Kind == format.RefInline {
		if val, ok := inIndex.find(f.vol, e.name); ok {
			if data, ok := verified(p, val, b); ok {
				return data, nil
			}
		}
	}
	if err := f.vol.gate.Enter(); err != nil {
		return nil, err
	}
	defer f.vol.gate.Leave()
	return e.read(f, f.vol.db, b)
}

// read reads and verifies content in the index, into b's room. The caller is inside the gate, as who has a snapshot is.
func (e *Export) read(f *found, db pebble.Reader, b []byte) ([]byte, error) {
	const op = "store.export"
	p := &f.Parts[0]
	val, closer, err := db.Get(inlineKey(nil, e.name, p))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, e.damaged(f, errs.E(op, e.name, errs.Corrupt, "the content is missing from the index"))
	}
	if err != nil {
		return nil, f.vol.readError(op, e.name, err)
	}
	data, ok := verified(p, val, b)
	if err := closer.Close(); err != nil {
		return nil, f.vol.readError(op, e.name, err)
	}
	if !ok {
		return nil, e.damaged(f, errs.E(op, e.name, errs.Corrupt, "the content in the index does not match its checksum"))
	}
	return data, nil
}

// verified adds the content in val, an index value, to b if it is what p says.
func verified(p *format.Content, val, b []byte) (data []byte, ok bool) {
	content, tag, _, ok := format.SplitContent(val)
	data = append(b, content...)
	return data, ok && tag == p.Tag && int64(len(content)) == p.Length && cksum.Block(data[len(b):]) == p.CRC
}

func (e *Export) damaged(f *found, err error) error {
	f.vol.corruptions.Add(1)
	f.vol.log.Error("damaged object", "mountpath", f.vol.mp.Path(), "object", e.name.String(), "version", f.Version.String(), "err", err)
	e.s.suspects.add(e.name, f.Version)
	return err
}

// Name is the key's.
func (e *Export) Name() object.Name { return e.name }

// State is what the frame tells of the key.
func (e *Export) State() KeyState { return e.state }

// Len is the length of the frame.
func (e *Export) Len() int64 { return e.length }

// Small reports whether the frame is in memory: Bytes gives it.
func (e *Export) Small() bool { return len(e.blobs) == 0 && e.snaps == nil }

// AppendTo adds the whole frame to b, blobs read and verified. It is for frames that are not too long for memory.
func (e *Export) AppendTo(b []byte) ([]byte, error) {
	w := sliceWriter{b: b}
	_, err := e.WriteTo(&w)
	return w.b, err
}

// WriteTo writes the frame. Every byte was verified before it is written; damage is kind Corrupt, and concerns this key alone.
func (e *Export) WriteTo(w io.Writer) (n int64, err error) {
	const op = "store.Export"
	c := counter{w: w}
	sender, ok := w.(pageSender)
	var out io.Writer = &c
	if ok {
		out = &pageCounter{counter: &c, sender: sender}
	}
	err = e.write(out)
	if err == nil && c.n != e.length {
		err = errs.F(op, e.name, errs.Corrupt, "%d bytes were written of a frame of %d", c.n, e.length)
	}
	if err != nil {
		return c.n, errs.E(op, e.name, err)
	}
	return c.n, nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// pageCounter is a counter that can send pages.
type pageCounter struct {
	*counter
	sender pageSender
}

// SendPages is the writer's own.
func (c *pageCounter) SendPages(n int, fill func(pipe uintptr) error, check func(p []byte) error) (bool, error) {
	sent, err := c.sender.SendPages(n, fill, check)
	if sent && err == nil {
		c.n += int64(n)
	}
	return sent, err
}

func (e *Export) write(w io.Writer) error {
	if _, err := w.Write(e.head); err != nil {
		return err
	}
	for i := range e.inline {
		x := &e.inline[i]
		data := x.data
		if data == nil && x.f.Parts[0].Length > 0 {
			var err error
			if data, err = e.read(x.f, e.snaps[x.f.vol], nil); err != nil {
				return err
			}
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	for i := range e.blobs {
		if err := e.writeBlob(w, i); err != nil {
			return err
		}
	}
	return nil
}

// writeBlob writes the checksums of up to CrcsPerPage blocks, then the blocks, and so on.
func (e *Export) writeBlob(w io.Writer, i int) error {
	const op = "store.export"
	v, x := e.blobs[i].vol, &e.frame[i]
	if err := v.err(); err != nil {
		return err
	}
	o := &Object{name: e.name, store: e.s.Store, vol: v}
	o.info.Version = e.state.Version
	f, err := v.mp.OpenFile(x.ID.Path(), os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		err = o.damaged(op, "the blob "+x.ID.String()+" is missing")
		o.suspect(err)
		return err
	}
	if err != nil {
		return v.readError(op, e.name, err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	p := &part{Content: format.Content{Kind: format.RefBlob, Length: x.Length, Blob: x.ID, Total: x.Length, BlockSize: x.BlockSize, CRCs: e.crcs[i]},
		vol: v, f: f, page: -1}
	blocks := format.BlocksOf(x.Length, x.BlockSize)
	for page := int64(0); page*format.CrcsPerPage < blocks; page++ {
		first := page * format.CrcsPerPage
		n := min(blocks-first, format.CrcsPerPage)
		crcs := make([]byte, 0, 4*n+4)
		for j := range n {
			crc, err := o.blockSum(p, first+j)
			if err != nil {
				return err
			}
			crcs = binary.LittleEndian.AppendUint32(crcs, crc)
		}
		crcs = binary.LittleEndian.AppendUint32(crcs, format.TableCRC(x.ID, page, crcs))
		if _, err := w.Write(crcs); err != nil {
			return err
		}
		if err := o.writePart(w, p, first*x.BlockSize, min((first+n)*x.BlockSize, x.Length)); err != nil {
			return err
		}
	}
	return nil
}

// Close lets go what the frame names.
func (e *Export) Close() {
	if e.held {
		e.s.pins.letGo(e.blobs)
	}
	for v, snap := range e.snaps {
		_ = snap.Close() // gives memory back; nothing to lose
		v.gate.Leave()
	}
	for i := range e.inline {
		if x := &e.inline[i]; x.buf != nil {
			contentPool.put(x.buf)
			x.buf, x.data = nil, nil
		}
	}
	e.held, e.snaps = false, nil
}
