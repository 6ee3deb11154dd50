package list

import (
	"encoding/binary"
	"hash/crc32"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// The messages between gateway and target. Integers are unsigned varints unless said otherwise, strings a varint
// length and bytes.
//
//	query:  format(1 byte) bucket epoch stage limit fields(1 byte) prefix after delimiter
//	page:   format(1 byte) more(1 byte) fields(1 byte) count, entries, CRC32C of all before (4 bytes, little-endian)
//	entry:  kind(1 byte: 0 object, 1 dir) name; an object goes on with epoch counter and the fields in the order of
//	        their bits: size, checksum, created (zigzag varint), custom, etag, extra, mark. Kind 2 is a key without an
//	        object, and goes on with its mark alone
const wireVersion = 2

// maxQueryBytes bounds an encoded query.
const maxQueryBytes = 4*object.MaxKeyLen + 64

// AppendQuery adds q's message.
func AppendQuery(b []byte, q *Query) []byte {
	b = append(b, wireVersion)
	b = binary.AppendUvarint(b, q.Bucket)
	b = binary.AppendUvarint(b, q.Epoch)
	b = binary.AppendUvarint(b, q.Stage)
	b = binary.AppendUvarint(b, uint64(q.Limit))
	b = append(b, byte(q.Fields))
	b = appendString(b, q.Prefix)
	b = appendString(b, q.After)
	return appendString(b, q.Delimiter)
}

// openQuery checks the length and the format of a query.
func openQuery(op, what string, msg []byte, version byte) (d decoder, err error) {
	if len(msg) > maxQueryBytes {
		return d, errs.F(op, what, errs.Invalid, "has %d bytes, the limit is %d", len(msg), maxQueryBytes)
	}
	d.s = string(msg)
	if v := d.byte(); v != version && !d.bad {
		return d, errs.F(op, what, errs.Unsupported, "is of format %d, this node knows %d", v, version)
	}
	return d, nil
}

// DecodeQuery reads a message and checks its limits.
func DecodeQuery(msg []byte) (*Query, error) {
	const op = "list.DecodeQuery"
	d, err := openQuery(op, "list query", msg, wireVersion)
	if err != nil {
		return nil, err
	}
	q := &Query{Bucket: d.uvarint(), Epoch: d.uvarint(), Stage: d.uvarint()}
	limit := d.uvarint()
	q.Fields = Fields(d.byte())
	q.Prefix, q.After, q.Delimiter = d.string(), d.string(), d.string()
	if !d.whole() {
		return nil, errs.E(op, "list query", errs.Invalid, "is cut short or too long")
	}
	if limit < 1 || limit > MaxLimit || q.Fields&^allFields != 0 {
		return nil, errs.F(op, "list query", errs.Invalid, "limit %d or fields %#x out of range", limit, q.Fields)
	}
	q.Limit = int(limit)
	return q, nil
}

// pageWriter builds a page's message entry by entry.
type pageWriter struct {
	b      []byte
	count  uint32
	fields Fields
}

// The count is written last, as 4 bytes, because it is not known before.
const pageHead = 3 + 4

func (w *pageWriter) start(f Fields) {
	w.b = append(w.b[:0], wireVersion, 0, byte(f), 0, 0, 0, 0)
	w.count, w.fields = 0, f
}

func (w *pageWriter) add(e *Entry) {
	w.count++
	if e.Dir {
		w.b = appendString(append(w.b, 1), e.Name)
		return
	}
	if e.Gone {
		w.b = binary.AppendUvarint(appendString(append(w.b, 2), e.Name), e.Mark)
		return
	}
	b := appendString(append(w.b, 0), e.Name)
	b = binary.AppendUvarint(b, e.Version.Epoch)
	b = binary.AppendUvarint(b, e.Version.Counter)
	if w.fields&Size != 0 {
		b = binary.AppendUvarint(b, uint64(e.Size))
	}
	if w.fields&Checksum != 0 {
		b = appendString(b, e.Checksum)
	}
	if w.fields&Created != 0 {
		b = binary.AppendVarint(b, e.Created)
	}
	if w.fields&Custom != 0 {
		b = appendString(b, e.Custom)
	}
	if w.fields&ETag != 0 {
		b = appendString(b, e.ETag)
	}
	if w.fields&Extra != 0 {
		b = appendString(b, e.Extra)
	}
	if w.fields&State != 0 {
		b = binary.AppendUvarint(b, e.Mark)
	}
	w.b = b
}

// finish returns the message, valid until the next start.
func (w *pageWriter) finish(more bool) []byte {
	w.b = sealPage(w.b, pageHead, w.count, more)
	return w.b
}

// sealPage completes a page's message: more in its second byte, the count in the last 4 bytes of its head, the checksum at the end.
func sealPage(b []byte, head int, count uint32, more bool) []byte {
	if more {
		b[1] = 1
	}
	binary.LittleEndian.PutUint32(b[head-4:], count)
	return binary.LittleEndian.AppendUint32(b, cksum.Block(b))
}

// openPage is the inverse: it returns the head, the count in it, and what follows.
func openPage(op, what string, msg []byte, version byte, headLen int) (head []byte, count uint32, rest decoder, err error) {
	if len(msg) < headLen+crc32.Size {
		return nil, 0, rest, errs.F(op, what, errs.Corrupt, "has %d bytes", len(msg))
	}
	body, sum := msg[:len(msg)-crc32.Size], binary.LittleEndian.Uint32(msg[len(msg)-crc32.Size:])
	if cksum.Block(body) != sum {
		return nil, 0, rest, errs.E(op, what, errs.Corrupt, "does not match its checksum")
	}
	head = body[:headLen]
	if head[0] != version {
		return nil, 0, rest, errs.F(op, what, errs.Unsupported, "is of format %d, this node knows %d", head[0], version)
	}
	count = binary.LittleEndian.Uint32(head[headLen-4:])
	rest.s = string(body[headLen:])
	if count > MaxLimit || int(count) > len(rest.s) || head[1] > 1 {
		return nil, 0, rest, errs.F(op, what, errs.Corrupt, "announces %d entries in %d bytes", count, len(rest.s))
	}
	return head, count, rest, nil
}

// DecodePage reads a page's message. All strings of the page share one copy of it.
func DecodePage(msg []byte) (*Page, error) {
	const op, what = "list.DecodePage", "list page"
	head, count, d, err := openPage(op, what, msg, wireVersion, pageHead)
	if err != nil {
		return nil, err
	}
	fields := Fields(head[2])
	if fields&^allFields != 0 {
		return nil, errs.F(op, what, errs.Corrupt, "has fields %#x", fields)
	}
	p := &Page{Entries: make([]Entry, count), More: head[1] == 1}
	for i := range p.Entries {
		d.entry(&p.Entries[i], fields)
	}
	if !d.whole() {
		return nil, errs.E(op, what, errs.Corrupt, "is cut short or too long")
	}
	return p, nil
}

// decoder consumes s; after the first fault it yields zeroes.
type decoder struct {
	s   string
	bad bool
}

func (d *decoder) entry(e *Entry, fields Fields) {
	kind := d.byte()
	e.Name = d.string()
	if kind == 1 {
		e.Dir = true
		return
	}
	if kind == 2 && fields&State != 0 {
		e.Gone, e.Mark = true, d.uvarint()
		return
	}
	d.bad = d.bad || kind != 0
	e.Version = object.Version{Epoch: d.uvarint(), Counter: d.uvarint()}
	if fields&Size != 0 {
		e.Size = int64(d.uvarint())
	}
	if fields&Checksum != 0 {
		e.Checksum = d.string()
	}
	if fields&Created != 0 {
		e.Created = d.varint()
	}
	if fields&Custom != 0 {
		e.Custom = d.string()
	}
	if fields&ETag != 0 {
		e.ETag = d.string()
	}
	if fields&Extra != 0 {
		e.Extra = d.string()
	}
	if fields&State != 0 {
		e.Mark = d.uvarint()
	}
}

func (d *decoder) byte() byte {
	if d.s == "" {
		d.bad = true
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	if len(d.s) > 0 && d.s[0] < 0x80 { // most
		c := d.s[0]
		d.s = d.s[1:]
		return uint64(c)
	}
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		c := d.byte()
		if shift == 63 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	d.bad, d.s = true, ""
	return 0
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// whole reports whether everything was read, and was right.
func (d *decoder) whole() bool { return !d.bad && d.s == "" }

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.s)) {
		d.bad, d.s = true, ""
		return ""
	}
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
