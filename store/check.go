package store

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// What Check does with versions, multipart uploads and what was completed of them. Parts on other mountpaths are those mountpaths'
// to check.

// versions verifies every older version.
func (c *checker) versions(ctx context.Context) error {
	return c.scan(ctx, format.FamVersion, func(key, val []byte) {
		bucket, k, _, _, ok := format.SplitIDKey(key)
		n := object.Name{Bucket: bucket, Key: string(k)}
		var r format.Record
		if err := format.DecodeRecord(&r, val, k); !ok || err != nil {
			c.fault(Fault{Harmful: true, Name: n, What: "the record of an older version is damaged: " + text(err)})
			return
		}
		c.sum.Versions++
		if !r.Tombstone() {
			c.object(ctx, n, &r)
		}
	})
}

// table verifies the parts of a content that are here.
func (c *checker) table(ctx context.Context, n object.Name, id [16]byte, size int64) {
	_, parts, err := readTable(c.o.v, n, id)
	if err != nil {
		c.fault(Fault{Harmful: true, Name: n, What: "the table of its parts is missing or damaged: " + text(err)})
		return
	}
	for i := range parts {
		size -= parts[i].Size
		if parts[i].Mount == c.o.v.mount {
			c.part(ctx, n, id, &parts[i])
		}
	}
	if size != 0 {
		c.fault(Fault{Harmful: true, Name: n, What: "its parts do not add up to its size"})
	}
}

// part verifies one part's bytes, its blob's footer and its reference.
func (c *checker) part(ctx context.Context, n object.Name, id [16]byte, p *format.Part) {
	content := p.Content()
	o := &Object{name: n, store: c.o.s, vol: c.o.v}
	f, err := c.o.v.mp.OpenFile(p.Blob.Path(), os.O_RDONLY)
	if err == nil {
		h := cksum.NewMany(cksum.MD5)
		open := part{Content: content, vol: c.o.v, f: f, page: -1}
		if p.Size > 0 {
			err = o.writePart(ctxWriter{ctx, h}, &open, 0, p.Size)
		}
		if got := h.Sum(cksum.MD5).Value; err == nil && got != p.ETag() {
			err = errs.F("store.Check", n, errs.Corrupt, "part %d has MD5 %s, should have %s", p.Number, got, p.ETag())
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		c.fault(Fault{Harmful: true, Name: n, File: p.Blob.Path(), What: text(err)})
		return
	}
	c.sum.Bytes += p.Size
	c.blobOf(n, &content, owner(id))
}

type ctxWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w ctxWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

// parts verifies the parts of uploads.
func (c *checker) parts(ctx context.Context) error {
	return c.scan(ctx, format.FamPart, func(key, val []byte) {
		bucket, k, id, _, ok := format.SplitIDKey(key)
		n := object.Name{Bucket: bucket, Key: string(k)}
		var p format.Part
		if err := format.DecodePart(&p, val, key); !ok || err != nil {
			c.fault(Fault{Harmful: true, Name: n, What: "the entry of a part of an upload is damaged: " + text(err)})
			return
		}
		if _, parts, err := readTable(c.o.v, n, id); err == nil && slices.ContainsFunc(parts, func(q format.Part) bool { return q.Blob == p.Blob }) {
			return // verified as the object's; the node removes the entry
		}
		if u, err := c.o.s.findUpload(n, id); err == nil && u != nil && u.State != format.UploadOpen {
			return // the node removes it with its blob
		}
		c.part(ctx, n, id, &p)
	})
}

// kept looks for inline content of versions without a record.
func (c *checker) kept(ctx context.Context) error {
	return c.scan(ctx, format.FamKept, func(key, val []byte) {
		bucket, k, id, _, _ := format.SplitIDKey(key)
		n := object.Name{Bucket: bucket, Key: string(k)}
		_, tag, _, ok := format.SplitContent(val)
		if !ok || format.Invert(tag) != id {
			return // reported with the record
		}
		used, err := c.names(ctx, n, func(r *format.Record) bool {
			return len(r.Parts) == 1 && r.Parts[0].Kind == format.RefKept && r.Parts[0].Tag == tag
		})
		if err == nil && !used {
			c.fault(Fault{Name: n, What: "content of a version in the index belongs to no record"})
		}
	})
}

// marks looks at the marks of keys. A damaged one costs no bytes, but a state that holds no more may be taken for the newest.
func (c *checker) marks(ctx context.Context) error {
	return c.scan(ctx, format.FamMark, func(key, val []byte) {
		if _, err := format.DecodeMark(val, key); err != nil {
			bucket, k, _ := format.SplitObjectKey(key)
			c.fault(Fault{Harmful: true, Name: object.Name{Bucket: bucket, Key: string(k)}, What: text(err)})
		}
	})
}

// names reports whether a record of n, current or older, fits.
func (c *checker) names(ctx context.Context, n object.Name, fits func(*format.Record) bool) (bool, error) {
	r, err := c.recordOf(n)
	if err != nil || r != nil && fits(r) {
		return err == nil, err
	}
	lower := append(format.ObjectKey(nil, format.FamVersion, n.Bucket, n.Key), 0)
	used := false
	err = c.o.v.scan(ctx, lower, format.PrefixEnd(lower), func(_, val []byte) {
		var r format.Record
		used = used || format.DecodeRecord(&r, val, []byte(n.Key)) == nil && fits(&r)
	}, func(_ []byte, derr error) { err = derr })
	return used, err
}

// refs looks for references without a record or a file.
func (c *checker) refs(ctx context.Context) error {
	return c.scan(ctx, format.FamRef, func(key, _ []byte) {
		id, n, by, ok := format.SplitRefKey(key)
		if !ok {
			c.fault(Fault{What: "a reference in the index is unreadable"})
			return
		}
		if by.Kind == format.OwnerUpload {
			return // what it belongs to may be on another mountpath
		}
		used, err := c.names(ctx, n, func(r *format.Record) bool {
			return r.Owner() == by && slices.ContainsFunc(r.Parts, func(p format.Content) bool { return p.Kind == format.RefBlob && p.Blob == id })
		})
		if err == nil && !used { // an error was reported with the record
			c.fault(Fault{Name: n, File: id.Path(), What: "the index refers to a blob that no record names; its space is lost"})
		}
	})
}
