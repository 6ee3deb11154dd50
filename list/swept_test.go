package list

import (
	"context"
	"slices"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// sweeping are two targets. t0 has moved its only key to t1, its owner, after t1 was asked, and removes it while it is asked itself.
type sweeping struct {
	*fakeTargets
	answered chan struct{} // closed once t1 has told what it has
	at       cluster.NodeID
}

// end is the end of the rebalance, as t0 learns of it.
func (s *sweeping) end() {
	later := *s.view
	m := *s.view.Map
	m.Stage, m.Sources = m.Stage+1, map[cluster.NodeID]cluster.Source{"t0": {Stage: cluster.Moved}}
	later.Map = &m
	s.view, s.at = later.Freeze(), "t1"
}

func (s *sweeping) local(id cluster.NodeID) *Local {
	has := func() bool {
		if id == "t0" {
			<-s.answered
			if s.at == id {
				s.end()
			}
		}
		return s.at == id
	}
	l := NewLocal(func(_ context.Context, _ uint64, _, _ string, yield func(*object.Info) bool) error {
		if has() {
			yield(&object.Info{Key: "k", Version: object.Version{Epoch: 1, Counter: 1}})
		}
		return nil
	}, s)
	l.SetMarks(func(context.Context, uint64, string, string, bool, func(string, uint64) bool) error { return nil })
	l.AddRows(Versions, func(_ context.Context, _ *RowQuery, yield func(*Row) bool) error {
		if has() {
			yield(&Row{Key: "k", ID: "1.1"})
		}
		return nil
	})
	return l
}

func (s *sweeping) Fetch(ctx context.Context, n *cluster.Node, q *Query) (*Page, error) {
	p, err := s.local(n.ID).Page(ctx, q)
	if n.ID == "t1" {
		close(s.answered)
	}
	return p, err
}

func (s *sweeping) FetchRows(ctx context.Context, n *cluster.Node, q *RowQuery) (*RowPage, error) {
	p, err := s.local(n.ID).Rows(ctx, q)
	if n.ID == "t1" {
		close(s.answered)
	}
	return p, err
}

// TestSweptMeanwhile: a key that goes from the one target to the other between their answers is not left out of the page: the page is refused, and
// asked for again under the later stage.
func TestSweptMeanwhile(t *testing.T) {
	for name, page := range map[string]func(s *sweeping, v *cluster.View, b *cluster.Bucket) (shown int, err error){
		"names": func(s *sweeping, v *cluster.View, b *cluster.Bucket) (int, error) {
			res, err := NewLister(s).Page(t.Context(), v, b, Request{Limit: 10})
			if err != nil {
				return 0, err
			}
			return len(res.Entries), nil
		},
		"rows": func(s *sweeping, v *cluster.View, b *cluster.Bucket) (int, error) {
			p, err := mergedRows(t.Context(), s, v, b, RowQuery{Kind: Versions, Limit: 10})
			if err != nil {
				return 0, err
			}
			return len(p.Rows), nil
		},
	} {
		for _, former := range []bool{true, false} {
			v, b := testView(2)
			v.Map.Stage, v.Map.Sources = 1, map[cluster.NodeID]cluster.Source{"t0": {Stage: cluster.Moving}}
			if former {
				v.Map.Former = []cluster.Placement{{Epoch: 1, Targets: []cluster.Placed{{ID: "t0", Weight: 100}}}}
			}
			v.Freeze()
			s := &sweeping{fakeTargets: &fakeTargets{view: v}, answered: make(chan struct{}), at: "t0"}
			if shown, err := page(s, v, b); !errs.Is(err, errs.StaleMap) {
				t.Errorf("%s, former placements %v: %d keys and %v, although one is there all the time", name, former, shown, err)
			}
			s.answered = make(chan struct{})
			if shown, err := page(s, s.view, b); err != nil || shown != 1 {
				t.Errorf("%s: %d keys and %v under the later stage", name, shown, err)
			}
		}
	}
}

// TestLongPage: the entry that makes a page full comes with it, however long it is.
func TestLongPage(t *testing.T) {
	custom := map[string]string{"k": string(slices.Repeat([]byte("x"), 8161))}
	v, b := testView(1)
	f := fill(v, b, nil)
	local := NewLocal(func(_ context.Context, _ uint64, _, after string, yield func(*object.Info) bool) error {
		for i := 'a'; i < 'a'+4000; i++ {
			if key := string(i); key > after && !yield(&object.Info{Key: key, Custom: custom}) {
				break
			}
		}
		return nil
	}, f)
	remote, stop := overWire(t, local, v)
	defer stop()
	p, err := remote.Fetch(t.Context(), v.Map.Nodes["t0"], &Query{Bucket: b.ID, Epoch: 1, Limit: MaxLimit, Fields: Custom})
	if err != nil || len(p.Entries) < 2000 || !p.More {
		t.Fatalf("%v", err)
	}
}
