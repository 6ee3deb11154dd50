package list

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// fakeTargets holds names in sorted slices; each is asked through a Local and the wire format, as real ones are.
type fakeTargets struct {
	names map[cluster.NodeID][]Entry
	fail  map[cluster.NodeID]error
	view  *cluster.View
	lease error
	calls atomic.Int64
}

func (f *fakeTargets) View() *cluster.View                           { return f.view }
func (f *fakeTargets) Latest(context.Context) (*cluster.View, error) { return f.view, nil }
func (f *fakeTargets) Lease() error                                  { return f.lease }

func (f *fakeTargets) Fetch(ctx context.Context, n *cluster.Node, q *Query) (*Page, error) {
	f.calls.Add(1)
	if err := f.fail[n.ID]; err != nil {
		return nil, err
	}
	q, err := DecodeQuery(AppendQuery(nil, q))
	if err != nil {
		return nil, err
	}
	var w pageWriter
	msg, err := NewLocal(f.scan(n.ID), f).encoded(ctx, q, &w)
	if err != nil {
		return nil, err
	}
	return DecodePage(msg)
}

func (f *fakeTargets) scan(id cluster.NodeID) Names {
	return func(_ context.Context, _ uint64, prefix, after string, yield func(*object.Info) bool) error {
		var o object.Info
		for _, e := range f.names[id] {
			if strings.HasPrefix(e.Name, prefix) && e.Name > after {
				o = object.Info{Key: e.Name, Size: e.Size, Version: e.Version}
				if !yield(&o) {
					break
				}
			}
		}
		return nil
	}
}

func testView(targets int) (*cluster.View, *cluster.Bucket) {
	b := &cluster.Bucket{ID: 7, Name: "bck", Seed: 99}

	m := &cluster.Map{Version: 1, Epoch: 1, Nodes: map[cluster.NodeID]*cluster.Node{}}
	for i := range targets {
		id := cluster.NodeID(fmt.Sprintf("t%d", i))
		m.Nodes[id] = &cluster.Node{
			ID: id, Role: cluster.RoleTarget, State: cluster.Online, Alive: true, Weight: 100, Digest: cluster.NodeDigest(string(id)),
		}
	}
	v := &cluster.View{Map: m, Buckets: &cluster.BucketMap{Buckets: map[string]*cluster.Bucket{b.Key(): b}}, Config: cluster.DefaultConfig()}
	return v.Freeze(), b
}

func fill(v *cluster.View, b *cluster.Bucket, names []string) *fakeTargets {
	f := &fakeTargets{names: map[cluster.NodeID][]Entry{}, fail: map[cluster.NodeID]error{}, view: v}
	for _, n := range names {
		id := v.Owner(b, n).ID
		f.names[id] = append(f.names[id], Entry{Name: n, Size: int64(len(n)), Version: object.Version{Epoch: 1, Counter: 1}})
	}
	for _, es := range f.names {
		slices.SortFunc(es, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	}
	return f
}

// want is the listing by definition.
func want(names []string, r Request) []string {
	var out []string
	for _, n := range names {
		if !strings.HasPrefix(n, r.Prefix) || n <= r.After {
			continue
		}
		if r.Delimiter != "" {
			if head, _, found := strings.Cut(n[len(r.Prefix):], r.Delimiter); found {
				if r.NoDirs {
					continue
				}
				n = r.Prefix + head + r.Delimiter
			}
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestPagesAreExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		v, b := testView(1 + rng.IntN(5))
		var names []string
		for range rng.IntN(400) {
			n := ""
			for range 1 + rng.IntN(4) {
				n += string("abc/é"[rng.IntN(4)])
			}
			names = append(names, n)
		}
		slices.Sort(names)
		names = slices.Compact(names)
		f := fill(v, b, names)
		r := Request{Limit: 1 + rng.IntN(60)}
		if rng.IntN(2) == 0 {
			r.Delimiter, r.NoDirs = "/", rng.IntN(3) == 0
		}
		if rng.IntN(2) == 0 {
			r.Prefix = []string{"a", "ab", "/", "b/"}[rng.IntN(4)]
		}
		if rng.IntN(3) == 0 {
			r.After = []string{"a", "b/c", "zz"}[rng.IntN(3)]
		}
		expect := want(names, r)
		var got []string
		l := NewLister(f)
		for pages := 0; ; pages++ {
			res, err := l.Page(context.Background(), v, b, r)
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Entries) > r.Limit {
				t.Fatalf("round %d: %d entries in a page of %d", round, len(res.Entries), r.Limit)
			}
			if len(res.Entries) < r.Limit && res.Next != "" {
				t.Fatalf("round %d: a short page with more behind it", round)
			}
			for _, e := range res.Entries {
				got = append(got, e.Name)
			}
			if res.Next == "" {
				break
			}
			if pages > 500 {
				t.Fatal("endless listing")
			}
			if r.After, err = DecodeToken(EncodeToken(res.Next)); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, expect) {
			t.Fatalf("round %d %+v:\n got %q\nwant %q", round, r, got, expect)
		}
	}
}

// TestAsksOnlyForTheShare: a page of 1,000 over three targets takes one request each, nearly always.
func TestAsksOnlyForTheShare(t *testing.T) {
	v, b := testView(3)
	var names []string
	for i := range 20_000 {
		names = append(names, fmt.Sprintf("bench/%08d", i))
	}
	f := fill(v, b, names)
	l := NewLister(f)
	r := Request{Limit: 1000}
	pages := int64(0)
	for {
		res, err := l.Page(context.Background(), v, b, r)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		if r.After = res.Next; r.After == "" {
			break
		}
	}
	if calls := f.calls.Load(); pages != 20 || calls > 3*pages+pages/2 {
		t.Errorf("%d pages took %d requests", pages, calls)
	}
	if s := share(1000, 3); s > 400 {
		t.Errorf("asks each of 3 targets for %d names of a page of 1000", s)
	}
}

func TestFailsRatherThanShort(t *testing.T) {
	v, b := testView(3)
	f := fill(v, b, []string{"a", "b", "c", "d"})
	l := NewLister(f)
	f.fail["t1"] = errs.E("test", "t1", errs.Unavailable)
	if _, err := l.Page(context.Background(), v, b, Request{Limit: 10}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "t1") {
		t.Errorf("a target that cannot answer: %v", err)
	}
	delete(f.fail, "t1")
	v.Map.Nodes["t2"].Alive = false
	if _, err := l.Page(context.Background(), v, b, Request{Limit: 10}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "t2") {
		t.Errorf("a dead target: %v", err)
	}
	if _, err := l.Page(context.Background(), v, b, Request{Limit: 10, Target: "t0"}); err != nil {
		t.Errorf("another target alone: %v", err)
	}
	if _, err := l.Page(context.Background(), v, b, Request{Limit: 10, Target: "x"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("no such target: %v", err)
	}
	none, b := testView(0)
	if _, err := l.Page(context.Background(), none, b, Request{Limit: 10}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("no targets: %v", err)
	}
}

// TestMovingName: while a name moves two targets hold it; the listing shows its greatest version once.
func TestMovingName(t *testing.T) {
	v, b := testView(2)
	f := &fakeTargets{view: v, names: map[cluster.NodeID][]Entry{
		"t0": {{Name: "a", Version: object.Version{Epoch: 1, Counter: 9}, Size: 1}, {Name: "b", Size: 1}},
		"t1": {{Name: "a", Version: object.Version{Epoch: 2, Counter: 1}, Size: 2}, {Name: "c", Size: 1}},
	}}
	for limit := 1; limit < 5; limit++ {
		res, err := NewLister(f).Page(context.Background(), v, b, Request{Limit: limit, Fields: Size})
		if err != nil {
			t.Fatal(err)
		}
		if e := res.Entries[0]; e.Name != "a" || e.Size != 2 {
			t.Errorf("limit %d: first is %+v", limit, e)
		}
		if limit > 1 && res.Entries[1].Name != "b" {
			t.Errorf("limit %d: second is %+v", limit, res.Entries[1])
		}
	}
}

// TestTargetRefuses: without a lease, under another map, or for a bucket that is gone, a target does not answer.
func TestTargetRefuses(t *testing.T) {
	v, b := testView(1)
	f := fill(v, b, []string{"a"})
	local := NewLocal(f.scan("t0"), f)
	ask := func(bucket, epoch uint64) error {
		_, err := local.Page(context.Background(), &Query{Bucket: bucket, Epoch: epoch, Limit: 1})
		return err
	}
	if err := ask(b.ID, 1); err != nil {
		t.Errorf("in order: %v", err)
	}
	if err := ask(b.ID, 2); !errs.Is(err, errs.StaleMap) {
		t.Errorf("newer epoch: %v", err)
	}
	if err := ask(b.ID, 0); !errs.Is(err, errs.StaleMap) {
		t.Errorf("older epoch: %v", err)
	}
	if err := ask(b.ID+1, 1); !errs.Is(err, errs.NoBucket) {
		t.Errorf("no bucket: %v", err)
	}
	f.lease = errs.E("test", "lease", errs.Unavailable)
	if err := ask(b.ID, 1); !errs.Is(err, errs.Unavailable) {
		t.Errorf("no lease: %v", err)
	}
}

// TestGroupsAreSkipped: a group of many names costs a seek, not a walk.
func TestGroupsAreSkipped(t *testing.T) {
	v, b := testView(1)
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("%d/%05d", i/5000, i))
	}
	f := fill(v, b, names)
	seen := 0
	scan := f.scan("t0")
	local := NewLocal(func(ctx context.Context, bucket uint64, prefix, after string, yield func(*object.Info) bool) error {
		return scan(ctx, bucket, prefix, after, func(o *object.Info) bool { seen++; return yield(o) })
	}, f)
	p, err := local.Page(context.Background(), &Query{Bucket: b.ID, Epoch: 1, Limit: 10, Delimiter: "/"})
	if err != nil || len(p.Entries) != 2 || p.More || seen > 200 {
		t.Errorf("%+v %v after looking at %d names", p, err, seen)
	}
}

func TestBrokenTarget(t *testing.T) {
	v, b := testView(1)
	l := NewLister(brokenFetcher{})
	if _, err := l.Page(context.Background(), v, b, Request{Limit: 1}); !errs.Is(err, errs.Corrupt) {
		t.Errorf("an empty page with more to come: %v", err)
	}
}

type brokenFetcher struct{}

func (brokenFetcher) Fetch(context.Context, *cluster.Node, *Query) (*Page, error) {
	return &Page{More: true}, nil
}

func samplePage() *Page {
	return &Page{More: true, Entries: []Entry{
		{Name: "a", Version: object.Version{Epoch: 3, Counter: 1 << 40}, Size: 1 << 50, Created: -5, Checksum: "00ff", Custom: "k=v", ETag: "e", Extra: "x"},
		{Name: "dir/", Dir: true},
		{Name: "é"},
	}}
}

func encodePage(p *Page, f Fields) []byte {
	var w pageWriter
	w.start(f)
	for i := range p.Entries {
		w.add(&p.Entries[i])
	}
	return slices.Clone(w.finish(p.More))
}

func TestWire(t *testing.T) {
	p, err := DecodePage(encodePage(samplePage(), allFields))
	if err != nil || !reflect.DeepEqual(p, samplePage()) {
		t.Fatalf("%+v %v", p, err)
	}
	msg := encodePage(samplePage(), allFields)
	for i := range msg { // a flipped bit anywhere is noticed
		msg[i] ^= 4
		if _, err := DecodePage(msg); err == nil {
			t.Errorf("bit flipped in byte %d: accepted", i)
		}
		msg[i] ^= 4
	}
	q := &Query{Bucket: 1 << 63, Epoch: 9, Prefix: "p/", After: "x\xff", Delimiter: "/", Limit: MaxLimit, Fields: Size | Custom}
	back, err := DecodeQuery(AppendQuery(nil, q))
	if err != nil || *back != *q {
		t.Errorf("%+v %v", back, err)
	}
	for _, bad := range [][]byte{nil, {1}, {9, 0}, append(AppendQuery(nil, q), 0), AppendQuery(nil, &Query{}), AppendQuery(nil, &Query{Limit: MaxLimit + 1})} {
		if _, err := DecodeQuery(bad); err == nil {
			t.Errorf("query %x accepted", bad)
		}
	}
}

func TestToken(t *testing.T) {
	for _, s := range []string{"", "a", "a/\xff", strings.Repeat("x", object.MaxKeyLen)} {
		if got, err := DecodeToken(EncodeToken(s)); err != nil || got != s {
			t.Errorf("%q: %q %v", s, got, err)
		}
	}
	for _, bad := range []string{"A", "AA", "!!!!", "AmFiYw", strings.Repeat("A", 5000)} {
		if _, err := DecodeToken(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("token %.20q: %v", bad, err)
		}
	}
}

func FuzzDecodePage(f *testing.F) {
	f.Add(encodePage(samplePage(), allFields)[:20], true)
	f.Add(encodePage(samplePage(), Size), false)
	f.Fuzz(func(t *testing.T, body []byte, sum bool) {
		if sum && len(body) >= pageHead { // get past the checksum
			body = (&pageWriter{b: slices.Clone(body), count: uint32(len(body))}).finish(body[1] == 1)
		}
		p, err := DecodePage(body)
		if err != nil {
			return
		}
		if got := encodePage(p, Fields(body[2])); len(got) > len(body) {
			t.Fatalf("%d bytes decode to what takes %d", len(body), len(got))
		}
	})
}

func FuzzDecodeQuery(f *testing.F) {
	f.Add(AppendQuery(nil, &Query{Bucket: 1, Limit: 5, Prefix: "a"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := DecodeQuery(b)
		if err != nil {
			return
		}
		if back, err := DecodeQuery(AppendQuery(nil, q)); err != nil || *back != *q {
			t.Fatalf("%+v became %+v, %v", q, back, err)
		}
	})
}

func FuzzDecodeToken(f *testing.F) {
	f.Add(EncodeToken("a/b"))
	f.Add("AX0\r")
	f.Fuzz(func(t *testing.T, s string) {
		after, err := DecodeToken(s)
		if err == nil && EncodeToken(after) != s {
			t.Fatalf("%q decodes to %q, which encodes to %q", s, after, EncodeToken(after))
		}
	})
}

func BenchmarkPage1000(b *testing.B) {
	v, bck := testView(3)
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("bench/object-%08d", i))
	}
	msgs := map[cluster.NodeID][]byte{}
	for id, es := range fill(v, bck, names).names {
		msgs[id] = encodePage(&Page{Entries: es}, Size)
	}
	l := NewLister(wireFetcher(msgs))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Page(context.Background(), v, bck, Request{Limit: 1000, Fields: Size}); err != nil {
			b.Fatal(err)
		}
	}
}

type wireFetcher map[cluster.NodeID][]byte

func (f wireFetcher) Fetch(_ context.Context, n *cluster.Node, _ *Query) (*Page, error) {
	return DecodePage(f[n.ID])
}
