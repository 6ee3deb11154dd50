package list

import (
	"context"

	"aistore/errs"
)

// Names makes one page of names and sizes by cl's newest view, again while that changes: what jobs read while names move.
func (l *Lister) Names(ctx context.Context, cl Map, bucket uint64, prefix, after string) (*Result, error) {
	v := cl.View()
	for try := 0; ; try++ {
		b := v.BucketByID(bucket)
		if b == nil {
			return nil, errs.F("list.Names", "bucket", errs.NoBucket, "id %d is gone", bucket)
		}
		res, err := l.Page(ctx, v, b, Request{Prefix: prefix, After: after, Limit: 10_000, Fields: Size})
		if !errs.Is(err, errs.StaleMap) || try == MaxStale {
			return res, err
		}
		if v, err = cl.Latest(ctx); err != nil {
			return nil, errs.E("list.Names", "cluster map", err)
		}
	}
}
