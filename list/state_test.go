package list

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// movingTargets are targets of which several may have a state of a key; they are asked through a Local and the wire formats.
type movingTargets struct {
	view  *cluster.View
	nodes map[cluster.NodeID]*movingTarget
}

// movingTarget is what one target has, in order.
type movingTarget struct {
	*fakeTargets
	marks []marked
	rows  map[Kind][]Row
}

func (m *movingTargets) local(id cluster.NodeID) *Local {
	t := m.nodes[id]
	l := NewLocal(t.scan(id), t)
	l.SetMarks(func(_ context.Context, _ uint64, prefix, after string, from bool, yield func(string, uint64) bool) error {
		for _, k := range t.marks {
			if strings.HasPrefix(k.key, prefix) && (k.key > after || from && k.key == after) && !yield(k.key, k.mark) {
				break
			}
		}
		return nil
	})
	for _, k := range []Kind{Versions, Uploads} {
		l.AddRows(k, func(_ context.Context, q *RowQuery, yield func(*Row) bool) error {
			from := Row{Key: q.After, ID: q.AfterID}
			if i := slices.IndexFunc(t.rows[k], func(r Row) bool { return r.Key == q.After && r.ID == q.AfterID }); i >= 0 {
				from = t.rows[k][i]
			}
			for _, r := range t.rows[k] {
				if !strings.HasPrefix(r.Key, q.Prefix) || r.Key < q.After || r.Key == q.After && (q.AfterID == "" || r.compare(&from, k) <= 0) {
					continue
				}
				if row := r; !yield(&row) {
					break
				}
			}
			return nil
		})
	}
	return l
}

func (m *movingTargets) Fetch(ctx context.Context, n *cluster.Node, q *Query) (*Page, error) {
	q, err := DecodeQuery(AppendQuery(nil, q))
	if err != nil {
		return nil, err
	}
	var w pageWriter
	msg, err := m.local(n.ID).encoded(ctx, q, &w)
	if err != nil {
		return nil, err
	}
	return DecodePage(msg)
}

func (m *movingTargets) FetchRows(ctx context.Context, n *cluster.Node, q *RowQuery) (*RowPage, error) {
	q, err := DecodeRowQuery(AppendRowQuery(nil, q))
	if err != nil {
		return nil, err
	}
	var w rowWriter
	msg, err := m.local(n.ID).encodedRows(ctx, q, &w)
	if err != nil {
		return nil, err
	}
	return DecodeRowPage(msg)
}

// newMoving makes targets of random states, and what lists must show of them: of each key the state with the greatest mark.
func newMoving(rng *rand.Rand) (m *movingTargets, b *cluster.Bucket, names []Entry, rows map[Kind][]Row) {
	v, b := testView(2 + rng.IntN(3))
	v.Map.Former = []cluster.Placement{{Epoch: 1, Targets: []cluster.Placed{{ID: "t0", Weight: 100}}}}
	v.Map.Epoch, v.Map.Stage, v.Map.Settled = 9, 5, 2
	v.Map.Nodes["t0"].State = cluster.Maintenance
	v.Map.Sources = map[cluster.NodeID]cluster.Source{"t0": {Stage: cluster.Moving}}
	v.Freeze()
	m = &movingTargets{view: v, nodes: map[cluster.NodeID]*movingTarget{}}
	var ids []cluster.NodeID
	for id := range v.Map.Nodes {
		ids = append(ids, id)
		m.nodes[id] = &movingTarget{fakeTargets: &fakeTargets{names: map[cluster.NodeID][]Entry{}, view: v}, rows: map[Kind][]Row{}}
	}
	slices.Sort(ids)
	keys := map[string]bool{}
	for range rng.IntN(120) {
		k := ""
		for range 1 + rng.IntN(4) {
			k += string("ab/"[rng.IntN(3)])
		}
		keys[k] = true
	}
	rows = map[Kind][]Row{}
	sorted := make([]string, 0, len(keys))
	for k := range keys {
		sorted = append(sorted, k)
	}
	slices.Sort(sorted)
	for _, k := range sorted {
		rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		copies := 1 + rng.IntN(len(ids))
		mark := uint64(9) // the first has the greatest state
		for i, id := range ids[:copies] {
			t := m.nodes[id]
			if mark > 0 {
				t.marks = append(t.marks, marked{k, mark})
			}
			var name *Entry
			var vs, us []Row
			for n := rng.IntN(4); n > 0; n-- {
				ver := object.Version{Epoch: mark, Counter: uint64(10*n + len(ids) - i)}
				vs = append(vs, Row{Key: k, ID: ver.String(), Version: ver, Latest: len(vs) == 0})
			}
			if len(vs) > 0 {
				name = &Entry{Name: k, Version: vs[0].Version}
				if rng.IntN(3) == 0 {
					vs[rng.IntN(len(vs))].ID = object.NullVersion
				}
				t.names[id] = append(t.names[id], *name)
			}
			for n := range rng.IntN(3) {
				us = append(us, Row{Key: k, ID: fmt.Sprintf("%032x", 100*n+int(mark)+1)})
			}
			t.rows[Versions] = append(t.rows[Versions], vs...)
			t.rows[Uploads] = append(t.rows[Uploads], us...)
			if i == 0 {
				if name != nil {
					names = append(names, *name)
				}
				rows[Versions] = append(rows[Versions], vs...)
				rows[Uploads] = append(rows[Uploads], us...)
			}
			if mark = uint64(rng.IntN(int(max(mark, 1)))); mark <= 2 {
				if rng.IntN(2) == 0 {
					break
				}
				mark = 1 // settled: says nothing
			}
			if mark == 1 && i+1 < copies { // one more that has nothing to say
				t := m.nodes[ids[i+1]]
				t.marks = append(t.marks, marked{k, 1})
				break
			}
		}
	}
	return m, b, names, rows
}

func TestPagesOfMovingNames(t *testing.T) {
	shown := 0
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 3))
		m, b, truth, _ := newMoving(rng)
		r := Request{Limit: 1 + rng.IntN(20), Delimiter: []string{"", "/"}[rng.IntN(2)], Prefix: []string{"", "a", "b/"}[rng.IntN(3)]}
		r.NoDirs = r.Delimiter != "" && rng.IntN(3) == 0
		var names []string
		for _, e := range truth {
			names = append(names, e.Name)
		}
		expect := want(names, r)
		var got []string
		for {
			res, err := NewLister(m).Page(t.Context(), m.view, b, r)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, e := range res.Entries {
				got = append(got, e.Name)
				if i := slices.IndexFunc(truth, func(x Entry) bool { return x.Name == e.Name }); !e.Dir && truth[i].Version != e.Version {
					t.Fatalf("seed %d: %s is of version %v, want %v", seed, e.Name, e.Version, truth[i].Version)
				}
			}
			if len(res.Entries) > r.Limit {
				t.Fatalf("seed %d: %d entries, the limit is %d", seed, len(res.Entries), r.Limit)
			}
			if r.After = res.Next; r.After == "" {
				break
			}
		}
		if !slices.Equal(got, expect) {
			t.Fatalf("seed %d: %+v:\n got %v\nwant %v", seed, r, got, expect)
		}
		shown += len(got)
	}
	if shown < 5000 {
		t.Errorf("only %d names were shown", shown)
	}
}

func TestRowsOfMovingNames(t *testing.T) {
	shown := 0
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 4))
		m, b, _, rows := newMoving(rng)
		q := RowQuery{Kind: []Kind{Versions, Uploads}[rng.IntN(2)], Limit: 1 + rng.IntN(12), Delimiter: []string{"", "/"}[rng.IntN(2)], Prefix: []string{"", "a"}[rng.IntN(2)]}
		var expect []Row
		for _, r := range rows[q.Kind] {
			if !strings.HasPrefix(r.Key, q.Prefix) {
				continue
			}
			if i := strings.Index(r.Key[len(q.Prefix):], "/"); q.Delimiter != "" && i >= 0 {
				r = Row{Key: r.Key[:len(q.Prefix)+i+1], Dir: true}
				if n := len(expect); n > 0 && expect[n-1].Key == r.Key {
					continue
				}
			}
			expect = append(expect, r)
		}
		var got []Row
		for page := q; ; {
			p, err := mergedRows(t.Context(), m, m.view, b, page)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if len(p.Rows) > q.Limit || p.More && len(p.Rows) == 0 {
				t.Fatalf("seed %d: %d rows, more %v, the limit is %d", seed, len(p.Rows), p.More, q.Limit)
			}
			got = append(got, p.Rows...)
			if !p.More {
				break
			}
			last := got[len(got)-1]
			page.After, page.AfterID = last.Key, last.ID
		}
		if !reflect.DeepEqual(got, expect) && len(got)+len(expect) > 0 {
			t.Fatalf("seed %d: %+v:\n got %v\nwant %v", seed, q, got, expect)
		}
		shown += len(got)
	}
	if shown < 5000 {
		t.Errorf("only %d rows were shown", shown)
	}
}

// TestStaleStage asks a target that knows more than the one who asks.
func TestStaleStage(t *testing.T) {
	m, b, _, _ := newMoving(rand.New(rand.NewPCG(1, 1)))
	old := *m.view
	stage := *old.Map
	stage.Stage--
	old.Map = &stage
	old.Freeze()
	if _, err := NewLister(m).Page(t.Context(), &old, b, Request{Limit: 5}); !errs.Is(err, errs.StaleMap) {
		t.Errorf("a page of an earlier stage: %v", err)
	}
	if _, err := mergedRows(t.Context(), m, &old, b, RowQuery{Kind: Versions, Limit: 5}); !errs.Is(err, errs.StaleMap) {
		t.Errorf("rows of an earlier stage: %v", err)
	}
}
