package store

import (
	"bytes"
	"context"
	"errors"

	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// Marks yields the keys of a bucket that have a mark, begin with prefix and are greater than after, in byte order, with the epochs, until yield returns
// false; from includes after itself. What List says of failed mountpaths and of the moment holds here too.
func (s *transfer) Marks(ctx context.Context, bucket uint64, prefix, after string, from bool, yield func(key string, epoch uint64) bool) error {
	const op = "store.Marks"
	lower := format.ObjectKey(nil, format.FamMark, bucket, prefix)
	upper := format.PrefixEnd(lower)
	if prefix == "" {
		upper = format.BucketEnd(nil, format.FamMark, bucket)
	}
	if after >= prefix && after != "" {
		if lower = format.ObjectKey(nil, format.FamMark, bucket, after); !from {
			lower = append(lower, 0)
		}
	}
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	_, cursors, err := s.cursors([2][]byte{lower, upper})
	if err != nil {
		return errs.E(op, "", err)
	}
	defer func() {
		for _, c := range cursors {
			_ = c.close() // its error was looked at
		}
	}()
	for _, c := range cursors {
		c.it.First()
	}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return errs.E(op, "", ctx.Err())
		}
		key, epoch, err := leastMark(bucket, cursors)
		if err != nil {
			return errs.E(op, "", err)
		}
		if key == nil || !yield(string(key[format.ObjectPrefix:]), epoch) {
			return nil
		}
	}
}

// leastMark takes the smallest key that cursors stand on; nil at the end. Its greatest mark counts, and a damaged one says nothing.
func leastMark(bucket uint64, cursors []*cursor) (key []byte, epoch uint64, err error) {
	for _, c := range cursors {
		if !c.it.Valid() {
			if err := c.it.Error(); err != nil {
				return nil, 0, c.v.readError("store.Marks", object.Name{Bucket: bucket}, err)
			}
		} else if key == nil || bytes.Compare(c.it.Key(), key) < 0 {
			key = c.it.Key()
		}
	}
	key = bytes.Clone(key)
	for _, c := range cursors {
		if key == nil || !c.it.Valid() || !bytes.Equal(c.it.Key(), key) {
			continue
		}
		val, verr := c.it.ValueAndErr()
		if verr != nil {
			err = errors.Join(err, c.v.readError("store.Marks", object.Name{Bucket: bucket}, verr))
			continue
		}
		if e, derr := format.DecodeMark(val, key); derr == nil {
			epoch = max(epoch, e)
		}
		c.it.Next()
	}
	return key, epoch, err
}
