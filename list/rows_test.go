package list

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/object"
	"aistore/store"
)

// rowWorld is a bucket on real stores behind their routes, and the same by definition.
type rowWorld struct {
	t      *testing.T
	view   *cluster.View
	bucket *cluster.Bucket
	remote *Remote
	stores map[cluster.NodeID]*store.Store
	rows   map[Kind][]Row // in order
}

func newRowWorld(t *testing.T, targets int) *rowWorld {
	t.Helper()
	w := &rowWorld{t: t, stores: map[cluster.NodeID]*store.Store{}, rows: map[Kind][]Row{}}
	w.view, w.bucket = testView(targets)
	root := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for _, n := range w.view.Map.Targets() {
		dir := filepath.Join(root, string(n.ID))
		s, err := store.Open(ctx, store.Config{
			Mountpaths: []string{filepath.Join(dir, "mp1"), filepath.Join(dir, "mp2")}, NodeID: string(n.ID), CacheSize: 8 << 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.stores[n.ID] = s
		local := NewLocal(nil, &fakeTargets{view: w.view})
		addRows(local, s)
		router, err := httpx.NewRouter(local.Routes())
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n.IntraAddr = ln.Addr().String()
		wg.Go(func() {
			if err := errors.Join(httpx.NewServer(httpx.ServerConfig{Listener: httpx.Intra}, router).Serve(ctx, ln), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	client := httpx.NewClient(httpx.ClientConfig{})
	t.Cleanup(client.Close)
	w.remote = NewRemote(client, "gateway", nil)
	return w
}

func addRows(l *Local, s *store.Store) {
	l.AddRows(Versions, func(ctx context.Context, q *RowQuery, yield func(*Row) bool) error {
		return s.ListVersions(ctx, store.VersionQuery{Bucket: q.Bucket, Prefix: q.Prefix, After: q.After, AfterVersion: q.AfterID, Delimiter: q.Delimiter},
			func(o *object.Info) bool {
				return yield(&Row{Key: o.Key, Dir: o.VersionID == "", ID: o.VersionID, Version: o.Version, Latest: o.Latest, Marker: o.DeleteMarker, Size: o.Size})
			})
	})
	l.AddRows(Uploads, func(ctx context.Context, q *RowQuery, yield func(*Row) bool) error {
		return s.ListUploads(ctx, store.UploadQuery{Bucket: q.Bucket, Prefix: q.Prefix, After: q.After, AfterID: q.AfterID, Delimiter: q.Delimiter},
			func(u *store.Upload) bool {
				return yield(&Row{Key: u.Key, Dir: u.ID == "", ID: u.ID, Time: u.Initiated.UnixNano()})
			})
	})
}

// change does something to key, and to its rows: the newest version first, the newest upload last.
func (w *rowWorld) change(rng *rand.Rand, key string, state store.Versioning) {
	n := object.Name{Bucket: w.bucket.ID, Key: key}
	s := w.stores[w.view.Owner(w.bucket, key).ID]
	row := Row{Key: key}
	switch rng.IntN(4) {
	case 0:
		u, err := s.CreateUpload(w.t.Context(), n, store.UploadOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		w.rows[Uploads] = append(w.rows[Uploads], Row{Key: key, ID: u.ID, Time: u.Initiated.UnixNano()})
		return
	case 1:
		if state == store.Unversioned {
			return
		}
		gone, err := s.Delete(w.t.Context(), n, store.DeleteOptions{Epoch: 1, Versioning: state})
		if err != nil {
			w.t.Fatal(err)
		}
		row.ID, row.Marker = gone.VersionID, true
	default:
		info, err := s.Put(w.t.Context(), n, make([]byte, rng.IntN(9)), store.PutOptions{Epoch: 1, Versioning: state})
		if err != nil {
			w.t.Fatal(err)
		}
		row.ID, row.Size = info.VersionID, info.Size
	}
	if row.ID == "" || row.ID == object.NullVersion {
		row.ID = object.NullVersion
		w.rows[Versions] = slices.DeleteFunc(w.rows[Versions], func(r Row) bool { return r.Key == key && r.ID == object.NullVersion })
	}
	w.rows[Versions] = slices.Insert(w.rows[Versions], 0, row)
}

// sort ends the changes.
func (w *rowWorld) sort() {
	for _, rows := range w.rows {
		slices.SortStableFunc(rows, func(a, b Row) int { return strings.Compare(a.Key, b.Key) })
	}
	vs := w.rows[Versions]
	for i := range vs {
		vs[i].Latest = i == 0 || vs[i-1].Key != vs[i].Key
	}
}

// want is the listing by definition, without pages.
func (w *rowWorld) want(q RowQuery) (out []Row) {
	passed := false // the row of the marker
	for _, r := range w.rows[q.Kind] {
		at := r.Key == q.After && q.AfterID != ""
		behind := r.Key > q.After || at && passed
		passed = passed || at && r.ID == q.AfterID
		if !strings.HasPrefix(r.Key, q.Prefix) {
			continue
		}
		if head, _, found := strings.Cut(r.Key[len(q.Prefix):], q.Delimiter); found && q.Delimiter != "" {
			dir := q.Prefix + head + q.Delimiter
			if dir > q.After && !strings.HasPrefix(q.After, dir) && (len(out) == 0 || out[len(out)-1].Key != dir) {
				out = append(out, Row{Key: dir, Dir: true})
			}
			continue
		}
		if behind {
			out = append(out, r)
		}
	}
	return out
}

// TestRows compares random lists of random versions and uploads, page by page, with what they are by definition.
func TestRows(t *testing.T) {
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := newRowWorld(t, 1+int(seed))
		var keys []string
		for range 40 {
			k := ""
			for range 1 + rng.IntN(5) {
				k += []string{"a", "b", "/", "é", "//", "\x01"}[rng.IntN(6)]
			}
			keys = append(keys, k)
		}
		for i := range 400 {
			w.change(rng, keys[rng.IntN(len(keys))], []store.Versioning{store.Unversioned, store.Versioned, store.Suspended, store.Versioned}[i/100])
		}
		w.sort()
		for range 300 {
			q := RowQuery{
				Kind: []Kind{Versions, Uploads}[rng.IntN(2)], Limit: 1 + rng.IntN(30),
				Prefix: []string{"", "", "a", "é", "/", "a/"}[rng.IntN(6)], Delimiter: []string{"", "", "/", "//", "é", "éa", "b/a", "\xc3"}[rng.IntN(8)],
			}
			if rows := w.rows[q.Kind]; rng.IntN(3) == 0 {
				r := rows[rng.IntN(len(rows))]
				if q.After = r.Key; rng.IntN(2) == 0 {
					q.AfterID = r.ID
				}
			} else if rng.IntN(3) == 0 {
				q.After = []string{"a/", "a", "é", "/", "b//"}[rng.IntN(5)]
			}
			w.compare(q)
		}
	}
}

// compare asks for all pages behind q's marker.
func (w *rowWorld) compare(q RowQuery) {
	w.t.Helper()
	first, expect := q, w.want(q)
	var got []Row
	for {
		p, err := w.remote.Rows(w.t.Context(), w.view, w.bucket, q)
		if err != nil {
			w.t.Fatalf("%+v: %v", q, err)
		}
		if n := len(p.Rows); n > q.Limit || p.More && n < q.Limit {
			w.t.Fatalf("%+v: %d rows, more %v", q, n, p.More)
		}
		for _, r := range p.Rows {
			r.Version = object.Version{}
			got = append(got, r)
		}
		if p.More != (len(got) < len(expect)) || len(got) > len(expect) {
			break
		}
		if !p.More {
			break
		}
		q.After, q.AfterID = got[len(got)-1].Key, got[len(got)-1].ID
	}
	if !slices.Equal(got, expect) {
		w.t.Fatalf("%+v:\n got %+v\nwant %+v", first, got, expect)
	}
}

// rowsOf are targets with given rows, each with at most max of them in an answer.
type rowsOf struct {
	rows  map[cluster.NodeID][]Row
	fail  error
	calls map[cluster.NodeID]int
	mu    sync.Mutex
}

func (f *rowsOf) FetchRows(_ context.Context, n *cluster.Node, q *RowQuery) (*RowPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil && n.ID == "t1" {
		return nil, f.fail
	}
	if f.calls == nil {
		f.calls = map[cluster.NodeID]int{}
	}
	f.calls[n.ID]++
	rows := f.rows[n.ID]
	if q.After != "" {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.Key == q.After && r.ID == q.AfterID })
		rows = rows[i+1:]
	}
	k := min(q.Limit, len(rows))
	return &RowPage{Rows: rows[:k], More: k < len(rows)}, nil
}

func version(key string, counter uint64, latest bool) Row {
	v := object.Version{Epoch: 1, Counter: counter}
	return Row{Key: key, ID: v.String(), Version: v, Latest: latest}
}

// TestRowsOfMovingKeys: what two targets hold appears once, in the order of the versions, and only the newest is the latest.
func TestRowsOfMovingKeys(t *testing.T) {
	v, b := testView(2)
	null := func(counter uint64, size int64) Row {
		return Row{Key: "k", ID: object.NullVersion, Version: object.Version{Epoch: 1, Counter: counter}, Size: size}
	}
	f := &rowsOf{rows: map[cluster.NodeID][]Row{
		"t0": {version("k", 9, true), null(5, 50), version("k", 3, false), {Key: "p/", Dir: true}},
		"t1": {version("k", 10, true), version("k", 9, false), version("k", 4, false), null(2, 20), version("k", 1, false), {Key: "p/", Dir: true}},
	}}
	p, err := mergedRows(t.Context(), f, v, b, RowQuery{Kind: Versions, Limit: 100})
	if err != nil || p.More {
		t.Fatal(p, err)
	}
	want := []Row{version("k", 10, true), version("k", 9, false), null(5, 50), version("k", 4, false), version("k", 3, false), version("k", 1, false), {Key: "p/", Dir: true}}
	if !reflect.DeepEqual(p.Rows, want) {
		t.Errorf(" got %+v\nwant %+v", p.Rows, want)
	}
}

func TestRowsFailRatherThanShort(t *testing.T) {
	v, b := testView(3)
	f := &rowsOf{fail: errs.E("test", "t1", errs.Unavailable), rows: map[cluster.NodeID][]Row{"t0": {version("a", 1, true)}}}
	q := RowQuery{Kind: Versions, Limit: 5}
	if _, err := mergedRows(t.Context(), f, v, b, q); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "t1") {
		t.Errorf("a target that cannot answer: %v", err)
	}
	f.fail = nil
	v.Map.Nodes["t2"].Alive = false
	if _, err := mergedRows(t.Context(), f, v, b, q); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "t2") {
		t.Errorf("a dead target: %v", err)
	}
	v.Map.Nodes["t2"].Alive = true
	for _, bad := range []RowQuery{{Kind: Versions}, {Kind: Versions, Limit: MaxLimit + 1}, {Kind: Versions, Limit: 1, After: "a", AfterID: strings.Repeat("x", 65)}} {
		if _, err := mergedRows(t.Context(), f, v, b, bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	long := strings.Repeat("é", object.MaxKeyLen)
	if p, err := mergedRows(t.Context(), f, v, b, RowQuery{Kind: Versions, Limit: 5, Prefix: long}); err != nil || len(p.Rows) != 0 || p.More {
		t.Errorf("a prefix longer than keys: %+v %v", p, err)
	}
	if p, err := mergedRows(t.Context(), f, v, b, RowQuery{Kind: Versions, Limit: 5, Delimiter: long}); err != nil || len(p.Rows) != 1 {
		t.Errorf("a delimiter longer than keys: %+v %v", p, err)
	}
}

// TestRowsAskOnlyForTheShare: full pages take one request to each target, nearly always.
func TestRowsAskOnlyForTheShare(t *testing.T) {
	v, b := testView(3)
	f := &rowsOf{rows: map[cluster.NodeID][]Row{}}
	for i := range 3000 {
		key := fmt.Sprintf("%06d", i)
		id := v.Owner(b, key).ID
		f.rows[id] = append(f.rows[id], version(key, 1, true))
	}
	p, err := mergedRows(t.Context(), f, v, b, RowQuery{Kind: Versions, Limit: 1000})
	if err != nil || len(p.Rows) != 1000 || !p.More {
		t.Fatal(err)
	}
	if n := f.calls["t0"] + f.calls["t1"] + f.calls["t2"]; n > 4 {
		t.Errorf("%d requests for a page", n)
	}
}

// TestRowsRefused: a target answers only under the map it was asked under, with its lease, and what it knows.
func TestRowsRefused(t *testing.T) {
	w := newRowWorld(t, 1)
	n := w.view.Map.Nodes["t0"]
	for kind, q := range map[errs.Kind]RowQuery{
		errs.StaleMap:    {Kind: Versions, Bucket: w.bucket.ID, Epoch: 2, Limit: 1},
		errs.NoBucket:    {Kind: Uploads, Bucket: 8, Epoch: 1, Limit: 1},
		errs.Unsupported: {Kind: "x", Bucket: w.bucket.ID, Epoch: 1, Limit: 1},
		errs.Invalid:     {Kind: Versions, Bucket: w.bucket.ID, Epoch: 1, Limit: 1, After: "a", AfterID: "nonsense"},
	} {
		if _, err := w.remote.FetchRows(t.Context(), n, &q); !errs.Is(err, kind) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	f := &fakeTargets{view: w.view, lease: errs.E("test", "lease", errs.Unavailable)}
	local := NewLocal(nil, f)
	addRows(local, w.stores["t0"])
	if _, err := local.Rows(t.Context(), &RowQuery{Kind: Versions, Bucket: w.bucket.ID, Epoch: 1, Limit: 1}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("no lease: %v", err)
	}
}

func TestAfterMarker(t *testing.T) {
	for _, c := range []struct{ prefix, delimiter, marker, want string }{
		{"", "", "a/b", "a/b"}, {"", "/", "a", "a"}, {"", "/", "a/", "a/\xff"}, {"", "/", "a/b", "a/\xff"}, {"a/", "/", "a/b", "a/b"},
		{"a/", "/", "a/b/c", "a/b/\xff"}, {"b", "/", "a/b", "a/b"}, {"", "éa", "xéay", "xéa\xff"}, {"", "éa", "xé", "xé"},
	} {
		if got := AfterMarker(c.prefix, c.delimiter, c.marker); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// TestNamesWithMarkers: a page of names does with AfterMarker what S3 wants of a marker, for delimiters of any length.
func TestNamesWithMarkers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		v, b := testView(1 + rng.IntN(4))
		w := &rowWorld{t: t, rows: map[Kind][]Row{}}
		var names []string
		for range rng.IntN(80) {
			n := ""
			for range 1 + rng.IntN(5) {
				n += []string{"a", "/", "é", "//"}[rng.IntN(4)]
			}
			names = append(names, n)
		}
		slices.Sort(names)
		names = slices.Compact(names)
		for _, n := range names {
			w.rows[Versions] = append(w.rows[Versions], Row{Key: n})
		}
		q := RowQuery{
			Kind: Versions, Prefix: []string{"", "a", "/"}[rng.IntN(3)], Delimiter: []string{"/", "//", "é", "aé", "éa/"}[rng.IntN(5)],
			After: []string{"", "a/", "a/é", "éa//", "/", "aé"}[rng.IntN(6)],
		}
		res, err := NewLister(fill(v, b, names)).Page(t.Context(), v, b, Request{
			Prefix: q.Prefix, Delimiter: q.Delimiter, After: AfterMarker(q.Prefix, q.Delimiter, q.After), Limit: 200,
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []Row
		for _, e := range res.Entries {
			got = append(got, Row{Key: e.Name, Dir: e.Dir})
		}
		if want := w.want(q); !slices.Equal(got, want) {
			t.Fatalf("%+v of %q:\n got %+v\nwant %+v", q, names, got, want)
		}
	}
}

func sampleRows() *RowPage {
	return &RowPage{More: true, Rows: []Row{
		{Key: "a", ID: "1.2", Version: object.Version{Epoch: 1, Counter: 2}, Latest: true, Size: 1 << 40, Time: -3, ETag: "e", Extra: "x\x00y"},
		{Key: "a", ID: object.NullVersion, Marker: true},
		{Key: "é/", Dir: true},
	}}
}

func encodeRows(p *RowPage) []byte {
	var w rowWriter
	w.start()
	for i := range p.Rows {
		w.add(&p.Rows[i])
	}
	return slices.Clone(w.finish(p.More))
}

func TestRowWire(t *testing.T) {
	msg := encodeRows(sampleRows())
	if p, err := DecodeRowPage(msg); err != nil || !reflect.DeepEqual(p, sampleRows()) {
		t.Fatalf("%+v %v", p, err)
	}
	for i := range msg {
		msg[i] ^= 4
		if _, err := DecodeRowPage(msg); err == nil {
			t.Errorf("bit flipped in byte %d: accepted", i)
		}
		msg[i] ^= 4
	}
	q := &RowQuery{Kind: Uploads, Bucket: 1 << 63, Epoch: 9, Prefix: "p/", After: "x\xff", AfterID: "1.2", Delimiter: "é/", Limit: MaxLimit}
	if back, err := DecodeRowQuery(AppendRowQuery(nil, q)); err != nil || *back != *q {
		t.Errorf("%+v %v", back, err)
	}
	for _, bad := range [][]byte{nil, {1}, {9, 0}, append(AppendRowQuery(nil, q), 0), AppendRowQuery(nil, &RowQuery{}), AppendRowQuery(nil, &RowQuery{Limit: MaxLimit + 1})} {
		if _, err := DecodeRowQuery(bad); err == nil {
			t.Errorf("query %x accepted", bad)
		}
	}
}

func FuzzDecodeRowPage(f *testing.F) {
	f.Add(encodeRows(sampleRows())[:20], true)
	f.Add(encodeRows(sampleRows()), false)
	f.Fuzz(func(t *testing.T, body []byte, sum bool) {
		if sum && len(body) >= rowPageHead { // get past the checksum
			body = (&rowWriter{b: slices.Clone(body), count: uint32(len(body))}).finish(body[1] == 1)
		}
		p, err := DecodeRowPage(body)
		if err != nil {
			return
		}
		if got := encodeRows(p); len(got) > len(body) {
			t.Fatalf("%d bytes decode to what takes %d", len(body), len(got))
		}
	})
}

func FuzzDecodeRowQuery(f *testing.F) {
	f.Add(AppendRowQuery(nil, &RowQuery{Kind: Versions, Bucket: 1, Limit: 5, Prefix: "a", AfterID: "null"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := DecodeRowQuery(b)
		if err != nil {
			return
		}
		if back, err := DecodeRowQuery(AppendRowQuery(nil, q)); err != nil || *back != *q {
			t.Fatalf("%+v became %+v, %v", q, back, err)
		}
	})
}
