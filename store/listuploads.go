package store

import (
	"bytes"
	"context"
	"strings"

	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// UploadQuery says which uploads of a bucket to list.
type UploadQuery struct {
	Bucket    uint64
	Prefix    string
	After     string // keys up to and including it are left out; a common prefix here leaves out all keys below it
	AfterID   string // with After: only the uploads of After up to and including this one are left out
	Delimiter string
	Limit     int // uploads and common prefixes; 0 = all
}

// ListUploads yields the uploads under way by key, then by when they began, until yield returns false. A common prefix comes as an
// Upload that has only a Key.
func (s *multipart) ListUploads(ctx context.Context, q UploadQuery, yield func(*Upload) bool) error {
	const op = "store.ListUploads"
	if _, gone := s.destroyed.Load(q.Bucket); gone {
		return errs.F(op, "", errs.NoBucket, "bucket %d is gone", q.Bucket)
	}
	if err := s.listUploads(ctx, q, yield); err != nil {
		return errs.E(op, "", err)
	}
	return nil
}

func (s *multipart) listUploads(ctx context.Context, q UploadQuery, yield func(*Upload) bool) error {
	f := folder{q.Prefix, q.Delimiter}
	from, ok := f.start(q.After, q.AfterID == "")
	if !ok || !strings.HasPrefix(from, q.Prefix) && from > q.Prefix {
		return nil
	}
	lower := format.ObjectKey(nil, format.FamUpload, q.Bucket, from)
	if from == q.After && q.AfterID != "" {
		id, ok := format.ParseUploadID(q.AfterID)
		if !ok {
			return errs.F("store.ListUploads", "upload", errs.Invalid, "%q is no upload", q.AfterID)
		}
		lower = append(format.IDKey(nil, format.FamUpload, q.Bucket, from, id), 0)
	}
	upper := format.PrefixEnd(format.ObjectKey(nil, format.FamUpload, q.Bucket, q.Prefix))
	if q.Prefix == "" {
		upper = format.BucketEnd(nil, format.FamUpload, q.Bucket)
	}
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	_, cursors, err := s.cursors([2][]byte{lower, upper})
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range cursors {
			_ = c.close() // its error was looked at
		}
	}()
	for _, c := range cursors {
		c.it.First()
	}
	return s.mergeUploads(ctx, q, f, cursors, yield)
}

// peekUpload is findUpload for who does not hold the upload's lock.
func (s *multipart) peekUpload(n object.Name, id format.UploadID) (*upload, error) {
	l := s.uploads.of(id)
	l.RLock()
	defer l.RUnlock()
	return s.findUpload(n, id)
}

// mergeUploads yields what the cursors stand on, the smallest first.
func (s *multipart) mergeUploads(ctx context.Context, q UploadQuery, f folder, cursors []*cursor, yield func(*Upload) bool) error {
	var last []byte
	for n := 0; q.Limit <= 0 || n < q.Limit; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var c *cursor
		for _, x := range cursors {
			if err := x.it.Error(); err != nil {
				return x.v.readError("store.ListUploads", object.Name{Bucket: q.Bucket}, err)
			}
			if x.it.Valid() && (c == nil || bytes.Compare(x.it.Key(), c.it.Key()) < 0) {
				c = x
			}
		}
		if c == nil {
			return nil
		}
		_, key, id, _, ok := format.SplitIDKey(c.it.Key())
		if !ok {
			return c.v.readError("store.ListUploads", object.Name{Bucket: q.Bucket}, errs.E("store.ListUploads", "", errs.Corrupt, "an index key is unreadable"))
		}
		twice := bytes.Equal(last, c.it.Key())
		last = append(last[:0], c.it.Key()...)
		u, err := s.peekUpload(object.Name{Bucket: q.Bucket, Key: string(key)}, id)
		if err != nil {
			return err
		}
		if twice || u == nil || u.State != format.UploadOpen {
			c.it.Next()
			continue
		}
		out := u.info()
		if p := f.common(key); p > 0 {
			out = Upload{Key: string(key[:p])}
			end := format.PrefixEnd(format.ObjectKey(nil, format.FamUpload, q.Bucket, out.Key))
			for _, x := range cursors {
				if x.it.Valid() && bytes.Compare(x.it.Key(), end) < 0 {
					x.it.SeekGE(end)
				}
			}
		} else {
			c.it.Next()
		}
		n++
		if !yield(&out) {
			return nil
		}
	}
	return nil
}
