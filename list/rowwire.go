package list

import (
	"encoding/binary"

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
	d, err := openQuery(op, "row query", msg, rowVersion)
	if err != nil {
		return nil, err
	}
	q := &RowQuery{Kind: Kind(d.string()), Bucket: d.uvarint(), Epoch: d.uvarint(), Stage: d.uvarint()}
	state := d.byte()
	q.State = state == 1
	limit := d.uvarint()
	q.Prefix, q.After, q.AfterID, q.Delimiter = d.string(), d.string(), d.string(), d.string()
	if !d.whole() || state > 1 {
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
	w.b = sealPage(w.b, rowPageHead, w.count, more)
	return w.b
}

// DecodeRowPage reads a page's message. All strings of the page share one copy of it.
func DecodeRowPage(msg []byte) (*RowPage, error) {
	const op, what = "list.DecodeRowPage", "row page"
	head, count, d, err := openPage(op, what, msg, rowVersion, rowPageHead)
	if err != nil {
		return nil, err
	}
	p := &RowPage{Rows: make([]Row, count), More: head[1] == 1}
	for i := range p.Rows {
		d.row(&p.Rows[i])
	}
	if !d.whole() {
		return nil, errs.E(op, what, errs.Corrupt, "is cut short or too long")
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
	r.Time = d.varint()
	r.ETag, r.Extra = d.string(), d.string()
}
