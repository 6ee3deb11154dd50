package list

import (
	"context"
	"strings"

	"aistore/errs"
	"aistore/object"
)

// Kind names a listing of what belongs to names but is not the names themselves.
type Kind string

// The kinds.
const (
	Versions Kind = "versions" // of objects and delete markers, the newest of a key first
	Uploads  Kind = "uploads"  // multipart uploads under way, the oldest of a key first
)

// RowQuery asks one target for its next rows.
type RowQuery struct {
	Kind      Kind
	Bucket    uint64
	Epoch     uint64 // as Query's
	Stage     uint64 // as Query's
	State     bool   // every key begins with a row that has its mark, and AfterID may be fromStart: see rowstate.go
	Prefix    string
	After     string // keys up to and including it are left out; see AfterMarker
	AfterID   string // with After: of that key only the rows up to and including this one
	Delimiter string
	Limit     int // 1..MaxLimit
}

// Row is one version, delete marker, upload or group.
type Row struct {
	Key     string
	Dir     bool // a group; only Key is set
	ID      string
	Version object.Version // orders what has no version of its own as ID: null versions
	Latest  bool
	Marker  bool
	Size    int64
	Time    int64 // unix nanoseconds
	ETag    string
	Extra   string

	Head bool   // with RowQuery.State: begins a key; only Key and Mark are set
	Mark uint64 // as Entry's
}

// Rows yields the rows of one target in order until yield returns false. The Row may be reused.
type Rows func(ctx context.Context, q *RowQuery, yield func(*Row) bool) error

// RowPage is one target's answer, or all of theirs merged.
type RowPage struct {
	Rows []Row
	More bool // others follow
}

// AfterMarker is the Query.After of an S3 marker: a group is left out that does not come behind the marker, be that the group
// itself or a key of it.
func AfterMarker(prefix, delimiter, marker string) string {
	if delimiter != "" && strings.HasPrefix(marker, prefix) {
		if i := strings.Index(marker[len(prefix):], delimiter); i >= 0 {
			return AfterDir(marker[:len(prefix)+i+len(delimiter)])
		}
	}
	return marker
}

// AddRows makes f the source of a kind. Call it before the first page.
func (l *Local) AddRows(k Kind, f Rows) {
	if l.rows == nil {
		l.rows = map[Kind]Rows{}
	}
	l.rows[k] = f
}

// Rows answers q.
func (l *Local) Rows(ctx context.Context, q *RowQuery) (*RowPage, error) {
	p := &RowPage{}
	err := l.scanRows(ctx, q, func(r *Row) int {
		p.Rows = append(p.Rows, *r)
		return len(p.Rows)
	}, &p.More)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// encodedRows is Rows in its wire form, written into w's memory.
func (l *Local) encodedRows(ctx context.Context, q *RowQuery, w *rowWriter) ([]byte, error) {
	w.start()
	more := false
	err := l.scanRows(ctx, q, func(r *Row) int {
		w.add(r)
		if len(w.b) > maxPageBytes {
			return q.Limit
		}
		return int(w.count)
	}, &more)
	if err != nil {
		return nil, err
	}
	return w.finish(more), nil
}

// scanRows calls emit for every row of the page. emit returns how much of the limit is used up.
func (l *Local) scanRows(ctx context.Context, q *RowQuery, emit func(*Row) int, more *bool) error {
	source := l.rows[q.Kind]
	if source == nil {
		return errs.F("list.Rows", "kind", errs.Unsupported, "%.20q is not listed here", string(q.Kind))
	}
	if err := l.check(ctx, q.Bucket, q.Epoch, q.Stage); err != nil {
		return err
	}
	used := 0
	if q.State {
		source = l.stateRows
	}
	err := source(ctx, q, func(r *Row) bool {
		if *more = used >= q.Limit; *more {
			return false
		}
		used = emit(r)
		return true
	})
	if err != nil {
		return err
	}
	return l.still(q.Epoch, q.Stage)
}
