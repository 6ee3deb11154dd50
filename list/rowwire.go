package list

import (
	"encoding/binary"
	"hash/crc32"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
)

// The messages about rows, in the terms of wire.go.
//
//	row query:  format(1 byte) kind bucket epoch stage state(1 byte) limit prefix after after-id delimiter
//	row page:   format(1 byte) more(1 byte) count(4 bytes, little-endian), rows, CRC32C of all before (4 bytes, little-endian)
//	row:        flags(1 byte: 1 dir, 2 latest, 4 delete marker, 8 head) key; a head: mark; unless a dir or head: id epoch counter size time (zigzag varint) etag extra
const rowVersion = 2

const (
	rowDir = 1 << iota
	rowLatest
	rowMarker
	rowHead
	rowPageHead = 2 + 4
)

// AppendRowQuery adds q's message.
func AppendRowQuery(b []byte, q *RowQuery) []byte {
	b = appendString(append(b, rowVersion), string(q.Kind))
	b = binary.AppendUvarint(b, q.Bucket)
	b = binary.AppendUvarint(b, q.Epoch)
	b = binary.AppendUvarint(b, q.Stage)
	if q.State {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(q.Limit))
	b = appendString(b, q.Prefix)
	b = appendString(b, q.After)
	b = appendString(b, q.AfterID)
	return appendString(b, q.Delimiter)
}

// DecodeRowQuery reads a message and checks its limits.
func DecodeRowQuery(msg []byte) (*RowQuery, error) {
	const op = "list.DecodeRowQuery"
	if len(msg) > maxQueryBytes {
		return nil, errs.F(op, "row query", errs.Invalid, "has %d bytes, the limit is %d", len(msg), maxQueryBytes)
	}
	d := decoder{s: string(msg)}
	if v := d.byte(); v != rowVersion && !d.bad {
		return nil, errs.F(op, "row query", errs.Unsupported, "is of format %d, this node knows %d", v, rowVersion)
	}
	q := &RowQuery{Kind: Kind(d.string()), Bucket: d.uvarint(), Epoch: d.uvarint(), Stage: d.uvarint()}
	state := d.byte()
	q.State = state == 1
	limit := d.uvarint()
	q.Prefix, q.After, q.AfterID, q.Delimiter = d.string(), d.string(), d.string(), d.string()
	if d.bad || d.s != "" || state > 1 {
		return nil, errs.E(op, "row query", errs.Invalid, "is cut short or too long")
	}
	if limit < 1 || limit > MaxLimit {
		return nil, errs.F(op, "row query", errs.Invalid, "limit %d is out of range", limit)
	}
	q.Limit = int(limit)
	return q, nil
}

// rowWriter builds a page's message row by row.
type rowWriter struct {
	b     []byte
	count uint32
}

func (w *rowWriter) start() {
	w.b, w.count = append(w.b[:0], rowVersion, 0, 0, 0, 0, 0), 0
}

func (w *rowWriter) add(r *Row) {
	w.count++
	if r.Dir {
		w.b = appendString(append(w.b, rowDir), r.Key)
		return
	}
	if r.Head {
		w.b = binary.AppendUvarint(appendString(append(w.b, rowHead), r.Key), r.Mark)
		return
	}
	flags := byte(0)
	if r.Latest {
		flags |= rowLatest
	}
	if r.Marker {
		flags |= rowMarker
	}
	b := appendString(append(w.b, flags), r.Key)
	b = appendString(b, r.ID)
	b = binary.AppendUvarint(b, r.Version.Epoch)
	b = binary.AppendUvarint(b, r.Version.Counter)
	b = binary.AppendUvarint(b, uint64(r.Size))
	b = binary.AppendVarint(b, r.Time)
	b = appendString(b, r.ETag)
	w.b = appendString(b, r.Extra)
}

// finish returns the message, valid until the next start.
func (w *rowWriter) finish(more bool) []byte {
	if more {
		w.b[1] = 1
	}
	binary.LittleEndian.PutUint32(w.b[2:], w.count)
	w.b = binary.LittleEndian.AppendUint32(w.b, cksum.Block(w.b))
	return w.b
}

// DecodeRowPage reads a page's message. All strings of the page share one copy of it.
func DecodeRowPage(msg []byte) (*RowPage, error) {
	const op = "list.DecodeRowPage"
	if len(msg) < rowPageHead+crc32.Size {
		return nil, errs.F(op, "row page", errs.Corrupt, "has %d bytes", len(msg))
	}
	body, sum := msg[:len(msg)-crc32.Size], binary.LittleEndian.Uint32(msg[len(msg)-crc32.Size:])
	if cksum.Block(body) != sum {
		return nil, errs.E(op, "row page", errs.Corrupt, "does not match its checksum")
	}
	if body[0] != rowVersion {
		return nil, errs.F(op, "row page", errs.Unsupported, "is of format %d, this node knows %d", body[0], rowVersion)
	}
	count := binary.LittleEndian.Uint32(body[2:])
	d := decoder{s: string(body[rowPageHead:])}
	if count > MaxLimit || int(count) > len(d.s) || body[1] > 1 {
		return nil, errs.F(op, "row page", errs.Corrupt, "announces %d rows in %d bytes", count, len(d.s))
	}
	p := &RowPage{Rows: make([]Row, count), More: body[1] == 1}
	for i := range p.Rows {
		d.row(&p.Rows[i])
	}
	if d.bad || d.s != "" {
		return nil, errs.E(op, "row page", errs.Corrupt, "is cut short or too long")
	}
	return p, nil
}

func (d *decoder) row(r *Row) {
	flags := d.byte()
	r.Key = d.string()
	if flags == rowDir {
		r.Dir = true
		return
	}
	if flags == rowHead {
		r.Head, r.Mark = true, d.uvarint()
		return
	}
	d.bad = d.bad || flags&^(rowLatest|rowMarker) != 0
	r.Latest, r.Marker = flags&rowLatest != 0, flags&rowMarker != 0
	r.ID = d.string()
	r.Version = object.Version{Epoch: d.uvarint(), Counter: d.uvarint()}
	r.Size = int64(d.uvarint())
	u := d.uvarint()
	r.Time = int64(u>>1) ^ -int64(u&1)
	r.ETag, r.Extra = d.string(), d.string()
}
