package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aistore/api"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// awkward are keys that must arrive as they are.
func awkward() []string {
	return []string{"a", "a/b", "a//b", "a b+c%20&d=e?f#g", "é/日本", "..", "./x", "trailing/", "quote\"'", "tab\there", "~!@$^*()[]{}|\\;:,<>"}
}

func TestRoundTrip(t *testing.T) {
	f := newFake(t, 1, 3)
	c := f.client(nil)
	b := c.Bucket("bkt")
	for i, key := range awkward() {
		data := bytes.Repeat([]byte{byte(i)}, 1000*i)
		info, err := b.Put(t.Context(), key, Bytes(data), PutOptions{Custom: map[string]string{"k": "v,w", "a": "="}})
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		if info.ETag == "" || info.Durability != cluster.Local || info.Size != int64(len(data)) || info.Version != (object.Version{Epoch: 1, Counter: 1}) {
			t.Errorf("%q: info %+v", key, info)
		}
		got, _, err := b.GetBytes(t.Context(), key, GetOptions{})
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q: read %d bytes of %d, %v", key, len(got), len(data), err)
		}
		head, err := b.Head(t.Context(), key, GetOptions{})
		if err != nil || head.Size != int64(len(data)) || head.Custom["k"] != "v,w" || head.Custom["a"] != "=" {
			t.Errorf("%q: head %+v, %v", key, head, err)
		}
	}
	var listed []string
	for e, err := range b.List(t.Context(), ListOptions{PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, e.Name)
	}
	through := f.client(func(o *Options) { o.NoDirect = true }).Bucket("bkt")
	for i, key := range awkward() { // names must survive a redirect, too
		if got, _, err := through.GetBytes(t.Context(), key, GetOptions{}); err != nil || len(got) != 1000*i {
			t.Errorf("%q through the gateway: read %d bytes, %v", key, len(got), err)
		}
	}
	want := slices.Sorted(slices.Values(awkward()))
	if !slices.Equal(listed, want) {
		t.Errorf("listed %q, want %q", listed, want)
	}
	for _, key := range awkward() {
		if err := b.Delete(t.Context(), key, DeleteOptions{}); err != nil {
			t.Errorf("%q: %v", key, err)
		}
		if _, err := b.Head(t.Context(), key, GetOptions{}); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), key) {
			t.Errorf("%q after delete: %v", key, err)
		}
	}
}

// TestDirect counts requests: objects go to their owner at once, and with NoDirect through the gateway.
func TestDirect(t *testing.T) {
	f := newFake(t, 1, 3)
	for _, through := range []bool{false, true} {
		c := f.client(func(o *Options) { o.NoDirect = through })
		for _, id := range []cluster.NodeID{"t0", "t1", "t2"} {
			key := f.keyOf(id)
			f.requests()
			if _, err := c.Bucket("bkt").Put(t.Context(), key, Bytes([]byte("x")), PutOptions{}); err != nil {
				t.Fatal(err)
			}
			path := "PUT /v1/objects/bkt/" + key
			want := fmt.Sprintf("%s %s", id, path)
			if through {
				want = fmt.Sprintf("g0 %s; %s", path, want)
			}
			if got := f.requests(); got != want {
				t.Errorf("through %v: requests %q, want %q", through, got, want)
			}
		}
	}
}

func TestBodies(t *testing.T) {
	f := newFake(t, 1, 2)
	b := f.client(nil).Bucket("bkt")
	big := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16) // over the spool
	small := []byte("hello")
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, big, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fromFile, err := File(file)
	if err != nil {
		t.Fatal(err)
	}
	half := bytes.NewReader(big)
	if _, err := half.Seek(100, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	pipe := func(p []byte) io.Reader { return io.MultiReader(bytes.NewReader(p)) } // hides what it is
	for name, c := range map[string]struct {
		body Body
		want []byte
	}{
		"bytes": {Bytes(small), small}, "none": {Body{}, nil}, "big bytes": {Bytes(big), big}, "file": {fromFile, big},
		"stream": {Stream(pipe(big), -1), big}, "sized stream": {Stream(pipe(big), int64(len(big))), big},
		"short stream": {Stream(pipe(small), -1), small}, "empty stream": {Stream(pipe(nil), -1), nil},
		"reader": {Stream(half, -1), big[100:]}, "string": {Stream(strings.NewReader("x"), 1), []byte("x")},
		"buffer": {Stream(bytes.NewBuffer(small), -1), small},
	} {
		info, err := b.Put(t.Context(), name, c.body, PutOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, _, err := b.GetBytes(t.Context(), name, GetOptions{})
		if err != nil || !bytes.Equal(got, c.want) || info.Size != int64(len(c.want)) {
			t.Errorf("%s: read %d bytes, info says %d, want %d, %v", name, len(got), info.Size, len(c.want), err)
		}
	}
	for name, c := range map[string]struct {
		body Body
		o    PutOptions
		kind errs.Kind
	}{
		"short of its length":     {Stream(pipe(big), int64(len(big))+1), PutOptions{}, errs.Invalid},
		"small short":             {Stream(pipe(small), 6), PutOptions{}, errs.Invalid},
		"wrong checksum":          {Bytes(small), PutOptions{Checksum: cksum.Of(cksum.XXHash, big)}, errs.Checksum},
		"wrong checksum, stream":  {Stream(pipe(big), -1), PutOptions{Checksum: cksum.Of(cksum.XXHash, small)}, errs.Checksum},
		"custom with a line end":  {Bytes(small), PutOptions{Custom: map[string]string{"a": "b\r\nHost: x"}}, errs.Invalid},
		"custom without a name":   {Bytes(small), PutOptions{Custom: map[string]string{"": "b"}}, errs.Invalid},
		"custom with = in a name": {Bytes(small), PutOptions{Custom: map[string]string{"a=b": "c"}}, errs.Invalid},
	} {
		if _, err := b.Put(t.Context(), "bad/"+name, c.body, c.o); !errs.Is(err, c.kind) {
			t.Errorf("%s: want kind %v, got %v: %v", name, c.kind, errs.KindOf(err), err)
		}
		if _, err := b.Head(t.Context(), "bad/"+name, GetOptions{}); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: is there: %v", name, err)
		}
	}
	for _, key := range []string{"", strings.Repeat("x", 1025), "\xff"} {
		if _, err := b.Put(t.Context(), key, Bytes(small), PutOptions{}); !errs.Is(err, errs.Invalid) {
			t.Errorf("key %.10q: %v", key, err)
		}
	}
}

// TestDamage changes bytes on their way: the checksums notice.
func TestDamage(t *testing.T) {
	f := newFake(t, 1, 1)
	c := f.client(nil)
	b := c.Bucket("bkt")
	data := bytes.Repeat([]byte("x"), 100_000)
	if _, err := b.Put(t.Context(), "k", Bytes(data), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	f.nodes["t0"].objs["bkt/k"].data[50_000] ^= 4
	if _, _, err := b.GetBytes(t.Context(), "k", GetOptions{}); !errs.Is(err, errs.Checksum) {
		t.Errorf("read of damaged bytes: %v", err)
	}
	var w bytes.Buffer
	r, err := b.Get(t.Context(), "k", GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&w, r); !errs.Is(err, errs.Checksum) {
		t.Errorf("copy of damaged bytes: %v", err)
	}
	_ = r.Close()
	if _, _, err := b.GetBytes(t.Context(), "k", GetOptions{NoVerify: true}); err != nil {
		t.Errorf("unverified: %v", err)
	}
	// A server that stores something else than it was sent, from a body that is not in memory.
	f.setFault("t0", func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		(&fakeObject{etag: "0123456789abcdef"}).headers(w.Header())
		return true
	})
	if _, err := b.Put(t.Context(), "k", ReaderAt(bytes.NewReader(data), int64(len(data))), PutOptions{}); !errs.Is(err, errs.Checksum) {
		t.Errorf("put of damaged bytes: %v", err)
	}
}

func TestRanges(t *testing.T) {
	f := newFake(t, 1, 2)
	b := f.client(nil).Bucket("bkt")
	data := make([]byte, 10_000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	if _, err := b.Put(t.Context(), "k", Bytes(data), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		off, n     int64
		start, end int
		kind       errs.Kind
	}{
		{0, 1, 0, 1, 0},
		{100, 50, 100, 150, 0},
		{9_990, 50, 9_990, 10_000, 0},
		{9_000, -1, 9_000, 10_000, 0},
		{9_000, math.MaxInt64, 9_000, 10_000, 0},
		{-10, -1, 9_990, 10_000, 0},
		{10_000, 1, 0, 0, errs.Range},
		{5, 0, 0, 0, errs.Invalid},
		{-5, 2, 0, 0, errs.Invalid},
	} {
		r, err := b.GetRange(t.Context(), "k", c.off, c.n, GetOptions{})
		if c.kind != errs.Other {
			if !errs.Is(err, c.kind) {
				t.Errorf("%d+%d: %v", c.off, c.n, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d+%d: %v", c.off, c.n, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, data[c.start:c.end]) || r.Offset() != int64(c.start) || r.Size() != int64(c.end-c.start) || r.Info().Size != 10_000 {
			t.Errorf("%d+%d: got %d bytes at %d, size %d of %d, %v", c.off, c.n, len(got), r.Offset(), r.Size(), r.Info().Size, err)
		}
		_ = r.Close()
	}
	f.setFault(f.owner("k").id, func(w http.ResponseWriter, _ *http.Request) bool { // as of something in between that knows no ranges
		w.Header().Set("Content-Length", "10000")
		_, _ = w.Write(data)
		return true
	})
	if _, err := b.GetRange(t.Context(), "k", 100, 50, GetOptions{}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("the whole passes for a range: %v", err)
	}
}

// spans reads all parts; skip leaves every other part half read.
func readSpans(p *Parts, skip bool) ([][]byte, error) {
	var parts [][]byte
	for i := 0; ; i++ {
		s, err := p.Next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		n := s.Length
		if skip && i%2 == 0 {
			n /= 2
		}
		got, err := io.ReadAll(io.LimitReader(p, n))
		if err != nil {
			return parts, err
		}
		parts = append(parts, got)
	}
}

func TestMultiRange(t *testing.T) {
	f := newFake(t, 1, 2)
	b := f.client(nil).Bucket("bkt")
	data := make([]byte, 200_000)
	for i := range data {
		data[i] = byte(i * 7 / 3)
	}
	if _, err := b.Put(t.Context(), "k", Bytes(data), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	many := []object.Span{{Start: 10, Length: 5}, {Start: 100_000, Length: 50_000}, {Start: 3, Length: 1}, {Start: 199_990, Length: 100}}
	for name, c := range map[string]struct {
		spans []object.Span
		cuts  int
		skip  bool
	}{
		"many": {spans: many}, "one": {spans: many[1:2]}, "past the end": {spans: many[3:]},
		"to the end": {spans: []object.Span{{Start: 199_990, Length: math.MaxInt64}, {Start: 0, Length: 10}}},
		"skipping":   {spans: many, skip: true},
		"cut":        {spans: many, cuts: 3}, "one, cut": {spans: many[1:2], cuts: 2}, "cut, skipping": {spans: many, cuts: 1, skip: true},
	} {
		var left atomic.Int64
		left.Store(int64(c.cuts))
		f.setFault(f.owner("k").id, func(w http.ResponseWriter, r *http.Request) bool {
			if left.Add(-1) < 0 {
				return false
			}
			cutAfter(w, r, f, 60_000)
			return true
		})
		p, err := b.GetRanges(t.Context(), "k", c.spans, GetOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		parts, err := readSpans(p, c.skip)
		if err != nil || len(parts) != len(c.spans) {
			t.Errorf("%s: %d parts, %v", name, len(parts), err)
			continue
		}
		for i, s := range c.spans {
			end := s.Start + min(s.Length, int64(len(data))-s.Start)
			want := data[s.Start:end]
			if c.skip && i%2 == 0 {
				want = want[:len(want)/2]
			}
			if !bytes.Equal(parts[i], want) {
				t.Errorf("%s: part %d differs: %d bytes of %d", name, i, len(parts[i]), len(want))
			}
		}
		if p.Info().Size != int64(len(data)) {
			t.Errorf("%s: the object's size is %d", name, p.Info().Size)
		}
		_ = p.Close()
	}
	if _, err := b.GetRanges(t.Context(), "k", nil, GetOptions{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("no ranges: %v", err)
	}
	if _, err := b.GetRanges(t.Context(), "k", []object.Span{{Start: 1 << 30, Length: 1}}, GetOptions{}); !errs.Is(err, errs.Range) {
		t.Errorf("outside: %v", err)
	}
}

// cutAfter answers as the node would, but cuts the connection after n bytes of body.
func cutAfter(w http.ResponseWriter, r *http.Request, f *fake, n int) {
	f.mu.Lock()
	var o *fakeObject
	for _, node := range f.nodes {
		if found := node.objs[strings.TrimPrefix(r.URL.Path, api.PathObjects+"/")]; found != nil {
			o = found
		}
	}
	f.mu.Unlock()
	o.headers(w.Header())
	http.ServeContent(&cutting{ResponseWriter: w, left: n}, r, "", o.at, bytes.NewReader(o.data))
}

// cutting cuts the connection after so many bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	cut(c.ResponseWriter)
	return 0, io.ErrClosedPipe
}

// TestResume cuts reads, also while the object's owner changes, and while the object is replaced.
func TestResume(t *testing.T) {
	f := newFake(t, 1, 3)
	b := f.client(nil).Bucket("bkt")
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i >> 3)
	}
	key := f.keyOf("t1")
	if _, err := b.Put(t.Context(), key, Bytes(data), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	var cuts atomic.Int64
	f.setFault("t1", func(w http.ResponseWriter, r *http.Request) bool {
		if cuts.Add(1) > 3 {
			return false
		}
		cutAfter(w, r, f, 100_000)
		return true
	})
	got, _, err := b.GetBytes(t.Context(), key, GetOptions{})
	if err != nil || !bytes.Equal(got, data) || cuts.Load() != 4 {
		t.Errorf("cut thrice: %d bytes after %d requests, %v", len(got), cuts.Load(), err)
	}

	r, err := b.GetRange(t.Context(), key, 1000, 500_000, GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cuts.Store(2)
	f.nodes["t1"].srv.CloseClientConnections()
	got, err = io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data[1000:501_000]) {
		t.Errorf("range: %d bytes, %v", len(got), err)
	}

	cuts.Store(0)
	r, err = b.Get(t.Context(), key, GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.moveAway("t1")
	if got, err = io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("owner moved: %d bytes, %v", len(got), err)
	}

	to := f.owner(key)
	f.setFault(to.id, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.Header.Get("Range") != "" {
			return false
		}
		cutAfter(w, r, f, 100_000)
		return true
	})
	r, err = b.Get(t.Context(), key, GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), key, Bytes([]byte("new")), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err = io.ReadAll(r); !errs.Is(err, errs.Conflict) {
		t.Errorf("replaced while it was read: %v", err)
	}
}

// moveAway takes a target out of service and hands its objects to the new owners.
func (f *fake) moveAway(id cluster.NodeID) {
	f.change(func(v *cluster.View) { v.Map.Nodes[id].State = cluster.Maintenance; v.Map.Epoch++ })
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, o := range f.nodes[id].objs {
		bucket, key, _ := strings.Cut(name, "/")
		f.nodes[f.view.Owner(f.view.Buckets.Get("", bucket), key).ID].objs[name] = o
	}
	f.nodes[id].objs = map[string]*fakeObject{}
}

func TestConditions(t *testing.T) {
	f := newFake(t, 1, 2)
	b := f.client(nil).Bucket("bkt")
	none, any := Conditions{IfNoneMatch: []string{"*"}}, Conditions{IfMatch: []string{"*"}}
	if _, err := b.Put(t.Context(), "k", Bytes([]byte("1")), PutOptions{If: any}); !errs.Is(err, errs.Precondition) {
		t.Errorf("If-Match * on nothing: %v", err)
	}
	info, err := b.Put(t.Context(), "k", Bytes([]byte("1")), PutOptions{If: none})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "k", Bytes([]byte("2")), PutOptions{If: none}); !errs.Is(err, errs.Precondition) {
		t.Errorf("If-None-Match * on something: %v", err)
	}
	same := Conditions{IfNoneMatch: []string{info.ETag}}
	if _, err := b.Get(t.Context(), "k", GetOptions{If: same}); !errs.Is(err, errs.NotModified) {
		t.Errorf("read of what is known: %v", err)
	}
	if _, err := b.Head(t.Context(), "k", GetOptions{If: same}); !errs.Is(err, errs.NotModified) {
		t.Errorf("head of what is known: %v", err)
	}
	if err := b.Delete(t.Context(), "k", DeleteOptions{If: Conditions{IfMatch: []string{"other"}}}); !errs.Is(err, errs.Precondition) {
		t.Errorf("delete of another version: %v", err)
	}
	if err := b.Delete(t.Context(), "k", DeleteOptions{If: Conditions{IfMatch: []string{info.ETag}}}); err != nil {
		t.Errorf("delete of this version: %v", err)
	}
}

func TestBuckets(t *testing.T) {
	f := newFake(t, 1, 2)
	c := f.client(nil)
	b := c.Bucket("new-one")
	if err := b.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), nil); !errs.Is(err, errs.Exists) {
		t.Errorf("made twice: %v", err)
	}
	f.requests()
	if _, err := b.Put(t.Context(), "k", Bytes(nil), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := f.requests(); strings.Contains(got, "g0") {
		t.Errorf("the bucket just made is not routed directly: %q", got)
	}
	bs, err := c.Buckets(t.Context())
	if err != nil || len(bs) != 2 || bs[1].Name != "new-one" {
		t.Errorf("buckets: %v, %v", bs, err)
	}
	p, err := b.Props(t.Context())
	if err != nil || p.Durability != cluster.Local || p.Checksum.Type != cksum.XXHash {
		t.Errorf("props: %+v, %v", p, err)
	}
	s, err := b.Summary(t.Context(), "")
	if err != nil || s.ObjCount.Present != 42 {
		t.Errorf("summary: %+v, %v", s, err)
	}
	if err := b.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"destroy": b.Destroy(t.Context()),
		"put":     second(b.Put(t.Context(), "k", Bytes(nil), PutOptions{})),
		"props":   second(b.Props(t.Context())),
		"list":    second(b.ListPage(t.Context(), ListOptions{}, "")),
	} {
		if !errs.Is(err, errs.NoBucket) {
			t.Errorf("%s in a bucket that is gone: %v", what, err)
		}
	}
	if err := c.Bucket("Bad Name").Create(t.Context(), nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("bad name: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestDeleteMany(t *testing.T) {
	f := newFake(t, 1, 2)
	c := f.client(nil)
	b := c.Bucket("bkt")
	for _, k := range []string{"x", "y", "z"} {
		if _, err := b.Put(t.Context(), k, Bytes(nil), PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	job, err := b.DeleteObjects(t.Context(), api.ObjectSelection{Names: []string{"x", "z", "not there"}})
	if err != nil || job.ID != "job-1" {
		t.Fatalf("job %+v, %v", job, err)
	}
	if err := job.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	page, err := b.ListPage(t.Context(), ListOptions{}, "")
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Name != "y" {
		t.Errorf("left: %+v, %v", page, err)
	}
	if _, err := b.DeletePrefix(t.Context(), "a{1"); !errs.Is(err, errs.Invalid) {
		t.Errorf("prefix with a brace: %v", err)
	}
	if _, err := b.DeleteObjects(t.Context(), api.ObjectSelection{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("nothing selected: %v", err)
	}
}

func TestAppend(t *testing.T) {
	f := newFake(t, 1, 2)
	b := f.client(nil).Bucket("bkt")
	a := b.Append("k", "")
	if _, err := a.Flush(t.Context(), cksum.Value{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("flush of nothing: %v", err)
	}
	for _, s := range []string{"one", "two", "three"} {
		if err := a.Append(t.Context(), Bytes([]byte(s))); err != nil {
			t.Fatal(err)
		}
	}
	info, err := b.Append("k", a.Handle()).Flush(t.Context(), cksum.Value{})
	if err != nil || info.ETag == "" {
		t.Fatalf("%+v, %v", info, err)
	}
	if got, _, err := b.GetBytes(t.Context(), "k", GetOptions{}); err != nil || string(got) != "onetwothree" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCanceled(t *testing.T) {
	f := newFake(t, 1, 1)
	release := make(chan struct{})
	defer close(release)
	f.setFault("t0", func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	})
	b := f.client(nil).Bucket("bkt")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.Get(ctx, "k", GetOptions{}); !errs.Is(err, errs.Timeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	go cancel()
	if _, err := b.Get(ctx, "k", GetOptions{}); !errs.Is(err, errs.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	stalled := f.client(func(o *Options) { o.Stall = 20 * time.Millisecond; o.Retry.Attempts = 2 }).Bucket("bkt")
	if _, err := stalled.Get(t.Context(), "k", GetOptions{}); !errs.Is(err, errs.Timeout) || !strings.Contains(err.Error(), "no progress") {
		t.Errorf("stalled: %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Setenv(EnvEndpoint, " http://a:1/, b:2 ,")
	c, err := New(Options{})
	if err != nil || !slices.Equal(c.Endpoints(), []string{"http://a:1", "http://b:2"}) {
		t.Errorf("endpoints %q, %v", c.Endpoints(), err)
	}
	for _, o := range []Options{
		{Endpoints: []string{"ftp://a"}}, {Endpoints: []string{"http://a:0"}}, {Endpoints: []string{"http://a:65536"}}, {Endpoints: []string{"http://"}}, {Endpoints: []string{"http://a/path"}},
		{Retry: Retry{Attempts: -1}}, {Retry: Retry{Min: time.Second, Max: time.Millisecond}}, {Stall: -1},
	} {
		if _, err := New(o); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
