package list

import (
	"context"
	"strings"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// Names yields the objects of a bucket that begin with prefix and are greater than after, in byte order, until
// yield returns false. What it calls yield with may be reused. (*store.Store).List is the one real source; a name
// whose mountpath failed is an error, never left out.
type Names func(ctx context.Context, bucket uint64, prefix, after string, yield func(*object.Info) bool) error

// Map is what Local needs of the control plane. *control.Control is the one real Map.
type Map interface {
	View() *cluster.View
	Latest(ctx context.Context) (*cluster.View, error) // read barrier through the primary
	Lease() error                                      // nil while this target may answer as owner
}

// Local cuts pages from this target's own names.
type Local struct {
	names    Names
	rows     map[Kind]Rows
	marks    Marks
	describe func(*object.Info) string
	cl       Map
}

// NewLocal returns a Local over names.
func NewLocal(names Names, cl Map) *Local { return &Local{names: names, cl: cl} }

// Describe makes f the source of the field Extra. Call it before the first page.
func (l *Local) Describe(f func(*object.Info) string) { l.describe = f }

// Page answers q.
func (l *Local) Page(ctx context.Context, q *Query) (*Page, error) {
	p := &Page{Entries: make([]Entry, 0, min(q.Limit, 1024))}
	more, err := l.scan(ctx, q, func(e *Entry) int {
		p.Entries = append(p.Entries, *e)
		return len(p.Entries)
	})
	p.More = more
	return p, err
}

// Encoded is Page in its wire form, written into w's memory.
func (l *Local) encoded(ctx context.Context, q *Query, w *pageWriter) ([]byte, error) {
	w.start(q.Fields)
	more, err := l.scan(ctx, q, func(e *Entry) int {
		w.add(e)
		if len(w.b) > maxPageBytes {
			return q.Limit
		}
		return int(w.count)
	})
	if err != nil {
		return nil, err
	}
	return w.finish(more), nil
}

// check tells whether this target may answer: it holds its lease, and its map is the one that the query was routed with.
func (l *Local) check(ctx context.Context, bucket, epoch, stage uint64) error {
	const op = "list.check"
	if err := l.cl.Lease(); err != nil {
		return err
	}
	v := l.cl.View()
	if v == nil || v.Map.Epoch < epoch || v.Map.Stage < stage || v.BucketByID(bucket) == nil {
		var err error
		if v, err = l.cl.Latest(ctx); err != nil {
			return errs.E(op, "cluster map", err)
		}
	}
	if v.Map.Epoch != epoch || v.Map.Stage != stage {
		return errs.F(op, "cluster map", errs.StaleMap, "is at epoch %d and stage %d here, the request is of %d and %d", v.Map.Epoch, v.Map.Stage, epoch, stage)
	}
	if v.BucketByID(bucket) == nil {
		return errs.F(op, "bucket", errs.NoBucket, "id %d is gone", bucket)
	}
	return nil
}

// still tells whether what was read since check may be told. Paused meanwhile, this target may not speak for its names any more; and in a later stage it
// may have removed names, of which their owners, asked a moment before, did not know yet.
func (l *Local) still(epoch, stage uint64) error {
	if err := l.cl.Lease(); err != nil {
		return err
	}
	if m := l.cl.View().Map; m.Epoch != epoch || m.Stage != stage {
		return errs.F("list.still", "cluster map", errs.StaleMap, "went on to epoch %d and stage %d, the request is of %d and %d", m.Epoch, m.Stage, epoch, stage)
	}
	return nil
}

// skipBySeek is how many names of one group are stepped over before the scan begins anew behind the group.
const skipBySeek = 48

// scan calls emit for every entry of the page. emit returns how much of the limit is used up.
func (l *Local) scan(ctx context.Context, q *Query, emit func(*Entry) int) (more bool, err error) {
	if err := l.check(ctx, q.Bucket, q.Epoch, q.Stage); err != nil {
		return false, err
	}
	if q.Fields&State != 0 {
		return l.scanStates(ctx, q, emit)
	}
	var (
		e       Entry
		used    int
		dir     string // the group that was emitted last
		skipped int
	)
	for after := q.After; ; after = AfterDir(dir) {
		again := false
		err := l.names(ctx, q.Bucket, q.Prefix, after, func(o *object.Info) bool {
			if dir != "" && strings.HasPrefix(o.Key, dir) {
				skipped++
				again = skipped >= skipBySeek
				return !again
			}
			if used >= q.Limit {
				more = true
				return false
			}
			if q.Delimiter != "" {
				if i := strings.Index(o.Key[len(q.Prefix):], q.Delimiter); i >= 0 {
					dir, skipped = strings.Clone(o.Key[:len(q.Prefix)+i+len(q.Delimiter)]), 0
					e = Entry{Name: dir, Dir: true}
					used = emit(&e)
					return true
				}
			}
			l.fill(&e, o, q.Fields)
			used = emit(&e)
			return true
		})
		if err != nil {
			return false, err
		}
		if again {
			continue
		}
		return more, l.still(q.Epoch, q.Stage)
	}
}

// fill makes e of what f asks for.
func (l *Local) fill(e *Entry, o *object.Info, f Fields) {
	*e = Entry{Name: o.Key, Version: o.Version}
	if f&Size != 0 {
		e.Size = o.Size
	}
	if f&Checksum != 0 {
		e.Checksum = o.Checksum.Value
	}
	if f&Created != 0 {
		e.Created = o.Created.UnixNano()
	}
	if f&Custom != 0 && len(o.Custom) > 0 {
		e.Custom = api.FormatCustom(o.Custom)
	}
	if f&ETag != 0 {
		e.ETag = o.ETag
	}
	if f&Extra != 0 && l.describe != nil {
		e.Extra = l.describe(o)
	}
}
