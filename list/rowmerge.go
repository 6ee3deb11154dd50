package list

import (
	"context"
	"strings"
	"sync"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/object"
)

const rowPath = "/intra/list-rows"

func (l *Local) rowRoute() httpx.Route {
	writers := &sync.Pool{New: func() any { return new(rowWriter) }}
	return httpx.Route{
		Method: "POST", Path: rowPath, Op: "list-rows",
		Policy: httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassData, MaxBody: maxQueryBytes},
		Handler: func(c *httpx.Ctx) error {
			body, err := c.ReadAll(maxQueryBytes)
			if err != nil {
				return err
			}
			q, err := DecodeRowQuery(body)
			if err != nil {
				return err
			}
			w := writers.Get().(*rowWriter)
			defer writers.Put(w)
			msg, err := l.encodedRows(c.Context(), q, w)
			if err != nil {
				return err
			}
			return c.SendBytes(msg)
		},
	}
}

// FetchRows asks n.
func (r *Remote) FetchRows(ctx context.Context, n *cluster.Node, q *RowQuery) (*RowPage, error) {
	if r.local != nil && n.ID == r.self {
		return r.local.Rows(ctx, q)
	}
	rep, err := r.client.Do(ctx, &httpx.Call{
		Method: "POST", URL: "http://" + n.IntraAddr + rowPath, Body: AppendRowQuery(make([]byte, 0, 256), q),
	})
	if err != nil {
		return nil, err
	}
	msg, err := rep.ReadAll(maxReplyBytes)
	if err != nil {
		return nil, errs.E("list.FetchRows", string(n.ID), err)
	}
	return DecodeRowPage(msg)
}

// rowFetcher asks one target. *Remote is the one real rowFetcher.
type rowFetcher interface {
	FetchRows(ctx context.Context, n *cluster.Node, q *RowQuery) (*RowPage, error)
}

// Rows makes one page of q.Limit rows out of what every target in service holds; it is exact or fails, as pages of names are. q is
// as a client asks: its markers may be in a group (AfterMarker); Bucket and Epoch are filled in.
func (r *Remote) Rows(ctx context.Context, v *cluster.View, b *cluster.Bucket, q RowQuery) (*RowPage, error) {
	return mergedRows(ctx, r, v, b, q)
}

func mergedRows(ctx context.Context, f rowFetcher, v *cluster.View, b *cluster.Bucket, q RowQuery) (*RowPage, error) {
	const op = "list.Rows"
	nodes, err := sources(v, "")
	if err != nil {
		return nil, errs.E(op, b, err)
	}
	if q.Limit < 1 || q.Limit > MaxLimit {
		return nil, errs.F(op, b, errs.Invalid, "limit %d is outside 1..%d", q.Limit, MaxLimit)
	}
	if len(q.AfterID) > 64 {
		return nil, errs.E(op, b, errs.Invalid, "the marker within a key is none of ours")
	}
	if !q.normalize() {
		return &RowPage{}, nil
	}
	limit := q.Limit
	q.Bucket, q.Epoch, q.Stage, q.Limit = b.ID, v.Map.Epoch, v.Map.Stage, share(limit, len(nodes))
	join := func(ctx context.Context, streams []*rowStream) (*RowPage, error) {
		return mergeRows(ctx, streams, q.Kind, limit)
	}
	if moving(v.Map) {
		join = newRowStates(&q, limit).merge
	}
	pctx, cancel := context.WithTimeout(ctx, patience(v))
	defer cancel()
	var p *RowPage
	streams, err := firstRows(pctx, f, nodes, q)
	if err == nil {
		p, err = join(pctx, streams)
	}
	if errs.Is(err, errs.Timeout) && ctx.Err() == nil {
		err = errs.F(op, b, errs.Unavailable, "not every target answers in time: %w", err)
	}
	if err != nil {
		return nil, errs.E(op, b, err)
	}
	return p, nil
}

// normalize says the same in no more bytes than a query may have; false: no key matches.
func (q *RowQuery) normalize() bool {
	if len(q.Prefix) > object.MaxKeyLen {
		return false
	}
	if len(q.Delimiter) > object.MaxKeyLen {
		q.Delimiter = "" // in no key
	}
	after := AfterMarker(q.Prefix, q.Delimiter, q.After)
	if len(after) > object.MaxKeyLen+1 {
		after = after[:object.MaxKeyLen+1] // no key tells it from the whole
	}
	if after != q.After || after == "" {
		q.After, q.AfterID = after, ""
	}
	return true
}

// firstRows asks all nodes at once.
func firstRows(ctx context.Context, f rowFetcher, nodes []*cluster.Node, q RowQuery) ([]*rowStream, error) {
	streams := make([]*rowStream, len(nodes))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i, n := range nodes {
		streams[i] = &rowStream{f: f, node: n, q: q}
		wg.Go(func() {
			if err := streams[i].load(ctx); err != nil {
				cancel(err) // the first one counts; the others need not finish
			}
		})
	}
	wg.Wait()
	return streams, context.Cause(ctx)
}

// rowStream is one target's rows in order.
type rowStream struct {
	f    rowFetcher
	node *cluster.Node
	q    RowQuery
	page *RowPage
	at   int
	skip string // keys below it are of no interest any more
}

// head is the row it stands on; nil at the end.
func (s *rowStream) head() *Row {
	if s.at == len(s.page.Rows) {
		return nil
	}
	return &s.page.Rows[s.at]
}

func (s *rowStream) load(ctx context.Context) error {
	p, err := s.f.FetchRows(ctx, s.node, &s.q)
	if err != nil {
		return errs.E("list.fetch", "target "+string(s.node.ID), err)
	}
	if len(p.Rows) == 0 && p.More {
		return errs.E("list.fetch", "target "+string(s.node.ID), errs.Corrupt, "sent an empty page with more to come")
	}
	s.page, s.at = p, 0
	return nil
}

// next steps to the following row, asking the target again if its page ran out.
func (s *rowStream) next(ctx context.Context) error {
	last := s.head()
	if s.at++; s.at < len(s.page.Rows) || !s.page.More {
		return nil
	}
	if s.q.After, s.q.AfterID = last.Key, last.ID; last.Dir {
		s.q.After = AfterDir(last.Key)
	} else if last.Head {
		s.q.AfterID = s.q.Kind.fromStart()
	}
	if s.skip != "" && strings.HasPrefix(last.Key, s.skip) {
		s.q.After, s.q.AfterID = AfterDir(s.skip), ""
	}
	return s.load(ctx)
}

// place orders a version among those of its key.
func (r *Row) place() object.Version {
	if v, err := object.ParseVersion(r.ID); err == nil {
		return v
	}
	return r.Version
}

// compare orders rows of a kind.
func (r *Row) compare(o *Row, k Kind) int {
	if c := strings.Compare(r.Key, o.Key); c != 0 {
		return c
	}
	if k == Versions {
		if c := o.place().Compare(r.place()); c != 0 {
			return c
		}
	}
	return strings.Compare(r.ID, o.ID)
}

// mergeRows takes rows in order until the page is full. What several targets hold (its key is moving) appears once: a group, a
// version, an upload; and of null versions, of which a key has one, the newest. What was passed is not taken again, should a target
// have lost the place where it was to go on.
func mergeRows(ctx context.Context, streams []*rowStream, k Kind, limit int) (*RowPage, error) {
	out := &RowPage{Rows: make([]Row, 0, min(limit, 1024))}
	hasNull := false // among the rows of the last key
	for {
		var s *rowStream
		for _, x := range streams {
			if h := x.head(); h != nil && (s == nil || h.compare(s.head(), k) < 0) {
				s = x
			}
		}
		if s == nil {
			return out, nil
		}
		r := s.head()
		fresh, known := true, false
		if n := len(out.Rows); n > 0 {
			last := &out.Rows[n-1]
			fresh = r.Key != last.Key
			known = r.compare(last, k) <= 0 || !fresh && hasNull && r.ID == object.NullVersion
		}
		if !known {
			if len(out.Rows) == limit {
				out.More = true
				return out, nil
			}
			hasNull = hasNull && !fresh || r.ID == object.NullVersion
			out.Rows = append(out.Rows, *r)
			row := &out.Rows[len(out.Rows)-1]
			row.Latest = row.Latest && fresh
		}
		if err := s.next(ctx); err != nil {
			return nil, err
		}
	}
}
