package list

import (
	"context"
	"math"
	"strings"
	"sync"
	"time"

	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/errs"
	"aistore/object"
)

// Request asks for one page of a bucket.
type Request struct {
	Prefix    string
	After     string // from DecodeToken, or the client's start-after
	Delimiter string
	Limit     int // names of the page, 1..MaxLimit
	Fields    Fields
	NoDirs    bool           // leave the groups out
	Target    cluster.NodeID // not empty: only what this target holds
}

// normalize says the same in no more bytes than a query may have; false: no name matches.
func (r *Request) normalize() bool {
	if len(r.Prefix) > object.MaxKeyLen {
		return false
	}
	if len(r.Delimiter) > object.MaxKeyLen {
		r.Delimiter = "" // in no name
	}
	if len(r.After) > object.MaxKeyLen+1 {
		r.After = r.After[:object.MaxKeyLen+1] // no name tells it from the whole
	}
	return true
}

// Result is a page of the bucket.
type Result struct {
	Entries []*Entry
	Next    string // Request.After of the next page; "" at the end
}

// Lister makes pages out of what targets answer.
type Lister struct{ fetch Fetcher }

// NewLister returns a Lister that asks targets through f.
func NewLister(f Fetcher) *Lister { return &Lister{f} }

// share is how many names each of n targets is asked for, to fill a page of limit: names are spread by a hash, so
// a target's part is binomial; two standard deviations above the mean are rarely not enough and waste little.
func share(limit, n int) int {
	if n == 1 {
		return limit
	}
	mean := float64(limit) / float64(n)
	return min(limit, int(mean+2*math.Sqrt(mean))+4)
}

// Page makes one page under the view v, which also names the targets that are asked.
func (l *Lister) Page(ctx context.Context, v *cluster.View, b *cluster.Bucket, r Request) (*Result, error) {
	nodes, err := sources(v, r.Target)
	if err != nil {
		return nil, errs.E("list.Page", b, err)
	}
	if !r.normalize() {
		return &Result{}, nil
	}
	q := Query{
		Bucket: b.ID, Epoch: v.Map.Epoch, Stage: v.Map.Stage, Prefix: r.Prefix, After: r.After, Delimiter: r.Delimiter,
		Limit: share(r.Limit, len(nodes)), Fields: r.Fields,
	}
	join := merge
	if moving(v.Map) && r.Target == "" {
		q.Fields, q.Delimiter, join = q.Fields|State, "", mergeStates
	}
	pctx, cancel := context.WithTimeout(ctx, patience(v))
	defer cancel()
	var res *Result
	streams, err := l.first(pctx, nodes, q)
	if err == nil {
		res, err = join(pctx, streams, r)
	}
	if errs.Is(err, errs.Timeout) && ctx.Err() == nil {
		err = errs.F("list.Page", b, errs.Unavailable, "not every target answers in time: %w", err)
	}
	if err != nil {
		return nil, errs.E("list.Page", b, err)
	}
	return res, nil
}

// patience bounds the work on a page: a target that is silent for longer than its lease is lost by then, and a
// client that tries again hears so at once.
func patience(v *cluster.View) time.Duration { return v.Config.Timeout.Lease.D() * 4 / 3 }

// sources are the targets whose names make the page, or why there can be none now.
func sources(v *cluster.View, only cluster.NodeID) ([]*cluster.Node, error) {
	const op = "list.sources"
	nodes := ownership.Listed(v)
	if only != "" {
		n := v.Map.Nodes[only]
		if n == nil || !n.Role.Target() {
			return nil, errs.F(op, "target", errs.Invalid, "%q is no target of this cluster", only)
		}
		nodes = []*cluster.Node{n}
	}
	if len(nodes) == 0 {
		return nil, errs.E(op, "cluster", errs.Unavailable, "has no target in service")
	}
	for _, n := range nodes {
		if !n.Alive {
			return nil, errs.F(op, "target "+string(n.ID), errs.Unavailable, "does not answer, and without it the list would not be whole")
		}
	}
	return nodes, nil
}

// first asks all nodes at once.
func (l *Lister) first(ctx context.Context, nodes []*cluster.Node, q Query) ([]*stream, error) {
	streams := make([]*stream, len(nodes))
	if len(nodes) == 1 {
		streams[0] = &stream{l: l, node: nodes[0], q: q}
		return streams, streams[0].load(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i, n := range nodes {
		streams[i] = &stream{l: l, node: n, q: q}
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := streams[i].load(ctx); err != nil {
				cancel(err) // the first one counts; the others need not finish
			}
		}()
	}
	wg.Wait()
	return streams, context.Cause(ctx)
}

// stream is one target's names in order.
type stream struct {
	l     *Lister
	node  *cluster.Node
	q     Query
	page  *Page
	at    int
	ended bool
	skip  string // names below it are of no interest any more
}

func (s *stream) head() *Entry { return &s.page.Entries[s.at] }

// load asks for the next page. A target that says there is more and sends nothing breaks the protocol.
func (s *stream) load(ctx context.Context) error {
	p, err := s.l.fetch.Fetch(ctx, s.node, &s.q)
	if err != nil {
		return errs.E("list.fetch", "target "+string(s.node.ID), err)
	}
	if len(p.Entries) == 0 {
		if p.More {
			return errs.E("list.fetch", "target "+string(s.node.ID), errs.Corrupt, "sent an empty page with more to come")
		}
		s.ended = true
	}
	s.page, s.at = p, 0
	return nil
}

// next steps to the following name, asking the target again if its page ran out.
func (s *stream) next(ctx context.Context) error {
	last := s.head()
	if s.at++; s.at < len(s.page.Entries) {
		return nil
	}
	if !s.page.More {
		s.ended = true
		return nil
	}
	if s.q.After = last.After(); s.skip != "" && strings.HasPrefix(last.Name, s.skip) {
		s.q.After = AfterDir(s.skip)
	}
	return s.load(ctx)
}

// streamHeap is a binary heap of streams by their head: the smallest name is at index 0.
type streamHeap []*stream

func newHeap(streams []*stream) streamHeap {
	h := make(streamHeap, 0, len(streams))
	for _, s := range streams {
		if !s.ended {
			h = append(h, s)
		}
	}
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
	return h
}

// down restores the order after the head of h[i] has grown.
func (h streamHeap) down(i int) {
	s := h[i]
	name := s.head().Name
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		least := h[child].head().Name
		if right := child + 1; right < len(h) {
			if n := h[right].head().Name; n < least {
				child, least = right, n
			}
		}
		if name <= least {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = s
}

// merge takes names in order until the page is full. A group that several targets have appears once; so does a name, should one be
// where it is not looked for.
func merge(ctx context.Context, streams []*stream, r Request) (*Result, error) {
	h := newHeap(streams)
	res := &Result{Entries: make([]*Entry, 0, min(r.Limit, 1024))}
	var last *Entry // taken last, shown or not
	for len(h) > 0 {
		s := h[0]
		e := s.head()
		switch {
		case last != nil && e.Name == last.Name && e.Dir == last.Dir:
			if n := len(res.Entries); !e.Dir && last.Version.Compare(e.Version) < 0 && n > 0 {
				res.Entries[n-1], last = e, e
			}
		case len(res.Entries) == r.Limit:
			res.Next = last.After()
			return res, nil
		default:
			last = e
			if !e.Dir || !r.NoDirs {
				res.Entries = append(res.Entries, e)
			}
		}
		if err := s.next(ctx); err != nil {
			return nil, err
		}
		if s.ended {
			h[0] = h[len(h)-1]
			h = h[:len(h)-1]
		}
		if len(h) > 1 {
			h.down(0)
		}
	}
	return res, nil
}
