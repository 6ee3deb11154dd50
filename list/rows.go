package list

import (
	"context"
	"encoding/json"
	"sync"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// Kind names a listing of what belongs to names but is not the names themselves.
type Kind string

// The kinds.
const (
	Versions Kind = "versions" // of objects, the newest of a key first
	Uploads  Kind = "uploads"  // multipart uploads under way, the oldest of a key first
)

// MaxRows bounds a page of rows.
const MaxRows = 1001

// RowQuery asks one target for its next rows.
type RowQuery struct {
	Kind      Kind   `json:"kind"`
	Bucket    uint64 `json:"bucket"`
	Epoch     uint64 `json:"epoch"` // as Query's
	Prefix    string `json:"prefix,omitempty"`
	After     string `json:"after,omitempty"`    // keys up to and including it are left out; of a group: the whole group
	AfterID   string `json:"after_id,omitempty"` // with After: of that key only the rows up to and including this one
	Delimiter string `json:"delimiter,omitempty"`
	Limit     int    `json:"limit"` // 1..MaxRows
}

// Row is one version, delete marker, upload or group.
type Row struct {
	Key    string `json:"key"`
	Dir    bool   `json:"dir,omitempty"` // a group; only Key is set
	ID     string `json:"id,omitempty"`
	Latest bool   `json:"latest,omitempty"`
	Marker bool   `json:"marker,omitempty"`
	Size   int64  `json:"size,omitempty"`
	Time   int64  `json:"time,omitempty"` // unix nanoseconds
	ETag   string `json:"etag,omitempty"`
	Extra  string `json:"extra,omitempty"`
}

// Rows yields the rows of one target in order until yield returns false.
type Rows func(ctx context.Context, q *RowQuery, yield func(*Row) bool) error

// RowPage is one target's answer.
type RowPage struct {
	Rows []Row `json:"rows"`
	More bool  `json:"more,omitempty"`
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
	const op = "list.Rows"
	source := l.rows[q.Kind]
	if source == nil {
		return nil, errs.F(op, "kind", errs.Unsupported, "%.20q is not listed here", string(q.Kind))
	}
	if q.Limit < 1 || q.Limit > MaxRows {
		return nil, errs.F(op, "limit", errs.Invalid, "%d is outside 1..%d", q.Limit, MaxRows)
	}
	if err := l.check(ctx, q.Bucket, q.Epoch); err != nil {
		return nil, err
	}
	p := &RowPage{}
	err := source(ctx, q, func(r *Row) bool {
		if p.More = len(p.Rows) == q.Limit; p.More {
			return false
		}
		p.Rows = append(p.Rows, *r)
		return true
	})
	if err != nil {
		return nil, err
	}
	return p, l.cl.Lease() // as of names
}

const (
	rowPath     = "/intra/list-rows"
	maxRowQuery = 64 << 10
)

func (l *Local) rowRoute() httpx.Route {
	return httpx.Route{
		Method: "POST", Path: rowPath, Op: "list-rows",
		Policy: httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassData, MaxBody: maxRowQuery},
		Handler: func(c *httpx.Ctx) error {
			var q RowQuery
			if err := c.ReadJSON(maxRowQuery, &q); err != nil {
				return err
			}
			p, err := l.Rows(c.Context(), &q)
			if err != nil {
				return err
			}
			return c.JSON(p)
		},
	}
}

// FetchRows asks n.
func (r *Remote) FetchRows(ctx context.Context, n *cluster.Node, q *RowQuery) (*RowPage, error) {
	if r.local != nil && n.ID == r.self {
		return r.local.Rows(ctx, q)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, errs.E("list.FetchRows", string(n.ID), err)
	}
	rep, err := r.client.Do(ctx, &httpx.Call{Method: "POST", URL: "http://" + n.IntraAddr + rowPath, Body: body})
	if err != nil {
		return nil, err
	}
	msg, err := rep.ReadAll(maxPageBytes)
	if err != nil {
		return nil, errs.E("list.FetchRows", string(n.ID), err)
	}
	var p RowPage
	if err := json.Unmarshal(msg, &p); err != nil {
		return nil, errs.F("list.FetchRows", string(n.ID), errs.Corrupt, "the page is not the JSON that is wanted: %w", err)
	}
	return &p, nil
}

// Rows makes one page of q.Limit rows, less one than MaxRows at most, out of what every target in service answers; More says that
// others follow. Bucket and Epoch of q are filled in.
func (r *Remote) Rows(ctx context.Context, v *cluster.View, b *cluster.Bucket, q RowQuery) (*RowPage, error) {
	const op = "list.Rows"
	nodes, err := sources(v.Map, "")
	if err != nil {
		return nil, errs.E(op, b, err)
	}
	limit := q.Limit
	q.Bucket, q.Epoch = b.ID, v.Map.Epoch
	pctx, cancel := context.WithTimeout(ctx, patience(v))
	defer cancel()
	pages := make([]*RowPage, len(nodes))
	cctx, stop := context.WithCancelCause(pctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			p, err := r.FetchRows(cctx, n, &q)
			if err != nil {
				stop(errs.E(op, "target "+string(n.ID), err))
				return
			}
			pages[i] = p
		})
	}
	wg.Wait()
	err = context.Cause(cctx)
	if errs.Is(err, errs.Timeout) && ctx.Err() == nil {
		err = errs.F(op, b, errs.Unavailable, "not every target answers in time: %w", err)
	}
	if err != nil {
		return nil, errs.E(op, b, err)
	}
	return mergeRows(pages, limit), nil
}

// mergeRows takes rows by key until the page is full. A key's rows come from its owner; while it moves another target may
// have some too, of which those with a known id are left out.
func mergeRows(pages []*RowPage, limit int) *RowPage {
	out := &RowPage{}
	at := make([]int, len(pages))
	for {
		best := -1
		for i, p := range pages {
			if at[i] < len(p.Rows) && (best < 0 || p.Rows[at[i]].Key < pages[best].Rows[at[best]].Key) {
				best = i
			}
		}
		if best < 0 {
			for _, p := range pages {
				out.More = out.More || p.More
			}
			return out
		}
		row := &pages[best].Rows[at[best]]
		at[best]++
		if seen(out.Rows, row) {
			continue
		}
		if len(out.Rows) == limit {
			out.More = true
			return out
		}
		out.Rows = append(out.Rows, *row)
		if at[best] == len(pages[best].Rows) && pages[best].More { // what follows on this target is not known
			rest := false
			for i, p := range pages {
				rest = rest || i != best && at[i] < len(p.Rows)
			}
			if rest || len(out.Rows) < limit {
				out.More = true
				return out
			}
		}
	}
}

func seen(rows []Row, r *Row) bool {
	for i := len(rows) - 1; i >= 0 && rows[i].Key == r.Key; i-- {
		if rows[i].ID == r.ID && rows[i].Dir == r.Dir {
			return true
		}
	}
	return false
}
