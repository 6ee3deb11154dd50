package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// walkAtOnce is how many keys are read before they are yielded: no index is held up by who looks at them.
const walkAtOnce = 4096

// Lanes is the number of mountpaths.
func (s *transfer) Lanes() int { return len(s.volumes()) }

// WalkKeys yields the names behind after of which anything exists on a mountpath (0 to Lanes()-1), a mark alone among it, in the order
// of the index: by bucket, then key. It ends when yield returns false, or at the end. Names that come or go meanwhile may be seen or
// not. While the set of mountpaths is unsettled a name may be on several of them. key is valid until yield returns.
func (s *transfer) WalkKeys(ctx context.Context, lane int, after object.Name, yield func(bucket uint64, key []byte) bool) error {
	const op = "store.WalkKeys"
	vols := s.volumes()
	if lane < 0 || lane >= len(vols) {
		return errs.F(op, "lane", errs.Invalid, "%d is not below %d", lane, len(vols))
	}
	v := vols[lane]
	bucket, gone := after.Bucket, s.gone(after.Bucket)
	w := walk{v: v, last: binary.BigEndian.AppendUint64(nil, after.Bucket)}
	w.last = append(w.last, after.Key...)
	for {
		if err := ctx.Err(); err != nil {
			return errs.E(op, v.mp.Path(), err)
		}
		if err := w.read(); err != nil {
			return errs.E(op, v.mp.Path(), err)
		}
		if len(w.ends) == 0 {
			return nil
		}
		from := 0
		for _, to := range w.ends {
			k := w.keys[from:to]
			from = to
			if b := binary.BigEndian.Uint64(k); b != bucket {
				bucket, gone = b, s.gone(b)
			}
			if !gone && !yield(bucket, k[8:]) {
				return nil
			}
		}
	}
}

// gone reports whether a bucket is being removed.
func (s *transfer) gone(bucket uint64) bool {
	_, gone := s.destroyed.Load(bucket)
	return gone
}

// walk is one run of WalkKeys. Names are bucket and key, as the families of the index have them behind their first byte.
type walk struct {
	v    *volume
	last []byte // name yielded last
	keys []byte // names read, one after the other
	ends []int  // where each ends
}

// walkFamilies are those in which every key has something, if there is anything of it: the others follow one of them.
func walkFamilies() []byte { return []byte{format.FamRecord, format.FamUpload, format.FamMark} }

// read reads the next names.
func (w *walk) read() (err error) {
	w.keys, w.ends = w.keys[:0], w.ends[:0]
	var cursors []*cursor
	defer func() {
		for _, c := range cursors {
			err = errors.Join(err, c.it.Error(), c.close())
		}
	}()
	for _, fam := range walkFamilies() {
		lower := append([]byte{fam}, w.last...)
		if lower = append(lower, 0); fam == format.FamUpload { // behind its uploads: 0 and an id
			lower[len(lower)-1] = 1
		}
		c, err := w.v.newCursor(lower, []byte{fam + 1})
		if err != nil {
			return err
		}
		if cursors = append(cursors, c); c.it.First() {
			c.key = nameIn(c.it.Key())
		}
	}
	for len(w.ends) < walkAtOnce {
		var least []byte
		for _, c := range cursors {
			if c.key != nil && (least == nil || bytes.Compare(c.key, least) < 0) {
				least = c.key
			}
		}
		if least == nil {
			break
		}
		start := len(w.keys)
		w.keys = append(w.keys, least...)
		w.ends = append(w.ends, len(w.keys))
		least = w.keys[start:]
		for _, c := range cursors {
			for c.key != nil && bytes.Equal(c.key, least) {
				c.key = nil
				if c.it.Next() {
					c.key = nameIn(c.it.Key())
				}
			}
		}
	}
	if n := len(w.ends); n > 0 {
		from := 0
		if n > 1 {
			from = w.ends[n-2]
		}
		w.last = append(w.last[:0], w.keys[from:]...)
	}
	return nil
}

// nameIn is the name in a key of an index: between the family and a NUL.
func nameIn(k []byte) []byte {
	if len(k) <= format.ObjectPrefix {
		return nil // no name: it ends the walk of this family
	}
	k = k[1:]
	if k0 := bytes.IndexByte(k[8:], 0); k0 >= 0 {
		return k[:8+k0]
	}
	return k
}
