package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// stores are the settings in which every operation must behave alike.
func stores() map[string]func(t *testing.T) *Store {
	small := func(c Config) Config {
		c.InlineMax, c.BlockSize = 1<<10, 4<<10
		return c
	}
	return map[string]func(t *testing.T) *Store{
		"one mountpath in memory": func(t *testing.T) *Store { return testStore(t, small(Config{})) },
		"three mountpaths in memory": func(t *testing.T) *Store {
			return testStore(t, small(Config{Mountpaths: []string{"/a", "/b", "/c"}}))
		},
		"two mountpaths on disk": func(t *testing.T) *Store {
			return testStore(t, small(Config{FS: fs.OS{}, Mountpaths: []string{t.TempDir(), t.TempDir()}}))
		},
		"all in blobs": func(t *testing.T) *Store { return testStore(t, Config{InlineMax: -1, BlockSize: 4 << 10}) },
		// Former homes: the set grew, and nobody moved what was there before.
		"unsettled": func(t *testing.T) *Store { return unsettled(t, small(Config{})) },
	}
}

// unsettled is a store some of whose names lie where an earlier set of mountpaths put them.
func unsettled(t *testing.T, cfg Config) *Store { return unsettledFrom(t, cfg, [2]int{100, 100}) }

// unsettledFrom is unsettled whose older names were written under two InlineMax in turns.
func unsettledFrom(t *testing.T, cfg Config, inline [2]int) *Store {
	mem := fs.NewMem()
	cfg.FS, cfg.NodeID, cfg.Mountpaths = mem, "node1", []string{"/a"}
	for odd := range 2 {
		first := cfg
		first.InlineMax = inline[odd]
		s, err := Open(t.Context(), first)
		must(t, err)
		for i := odd; i < 100; i += 2 {
			_, err := s.Put(t.Context(), object.Name{Bucket: 99, Key: fmt.Sprintf("old%d", i)}, []byte("old"), PutOptions{Size: -1})
			must(t, err)
		}
		must(t, s.Close())
	}
	cfg.Mountpaths = []string{"/a", "/b", "/c"}
	return testStore(t, cfg)
}

func forEachStore(t *testing.T, f func(t *testing.T, s *Store)) {
	for name, open := range stores() {
		t.Run(name, func(t *testing.T) { f(t, open(t)) })
	}
}

func put(t testing.TB, s *Store, key string, data []byte) object.Info {
	t.Helper()
	info, err := s.Put(context.Background(), object.Name{Bucket: 1, Key: key}, data, PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: -1})
	must(t, err)
	return info
}

func b1(key string) object.Name { return object.Name{Bucket: 1, Key: key} }

var sizes = []int{0, 1, 1000, 1024, 1025, 4096, 5000, 100_000, 600_000}

func TestWholeLife(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		var last object.Version
		for i, size := range append(sizes, 10, 70_000, 20) { // from inline to blob and back
			data := random(size)
			info := put(t, s, "k", data)
			if info.Size != int64(size) || info.Version.Compare(last) <= 0 || info.ETag != cksum.Of(cksum.XXHash, data).Value {
				t.Fatalf("%d bytes: %+v after %v", size, info, last)
			}
			last = info.Version
			if got := get(t, s, b1("k")); !bytes.Equal(got, data) {
				t.Fatalf("%d bytes: wrong content", size)
			}
			if i%3 == 2 {
				was, err := s.Delete(t.Context(), b1("k"), DeleteOptions{})
				if err != nil || was.Version != info.Version {
					t.Fatalf("delete: %+v %v", was, err)
				}
				for _, err := range []error{second(s.Stat(b1("k"))), second(s.Open(b1("k"))), second(s.Delete(t.Context(), b1("k"), DeleteOptions{}))} {
					if !errs.Is(err, errs.NotFound) {
						t.Fatalf("after delete: %v", err)
					}
				}
			}
		}
		_, _ = s.Delete(t.Context(), b1("k"), DeleteOptions{})
		if n := leftFiles(t, s); n != 0 {
			t.Errorf("%d files left", n)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func leftFiles(t *testing.T, s *Store) (n int) {
	t.Helper()
	for _, v := range s.volumes() {
		names, err := v.mp.ReadDir("work")
		must(t, err)
		n += len(names) + len(blobFiles(t, v.mp))
	}
	return n
}

func TestRanges(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for _, size := range sizes {
			data := random(size)
			put(t, s, "k", data)
			o, err := s.Open(b1("k"))
			must(t, err)
			for _, sp := range []object.Span{{}, {Length: int64(size)}, {Start: int64(size) / 2, Length: int64(size) - int64(size)/2},
				{Start: int64(size) / 3, Length: min(5, int64(size)-int64(size)/3)}, {Start: 4095, Length: 2}, {Start: 4096, Length: 4096}, {Start: int64(size) - 1, Length: 1},
				{Start: -1, Length: 1}, {Start: 0, Length: int64(size) + 1}, {Start: int64(size) + 1}, {Start: 1, Length: -1}, {Start: 1 << 62, Length: 1 << 62}} {
				var b bytes.Buffer
				err := o.WriteSpan(&b, sp)
				if sp.Start < 0 || sp.Length < 0 || sp.Start > int64(size) || sp.Length > int64(size)-sp.Start {
					if !errs.Is(err, errs.Range) {
						t.Errorf("%d bytes, %v: %v", size, sp, err)
					}
					continue
				}
				if err != nil || !bytes.Equal(b.Bytes(), data[sp.Start:sp.Start+sp.Length]) {
					t.Errorf("%d bytes, %v: %d bytes, %v", size, sp, b.Len(), err)
				}
			}
			o.Close()
		}
	})
}

// TestOpenObjectStaysWhole reads an object that is overwritten and deleted meanwhile.
func TestOpenObjectStaysWhole(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for _, size := range []int{500, 300_000} {
			data := random(size)
			put(t, s, "k", data)
			o, err := s.Open(b1("k"))
			must(t, err)
			put(t, s, "k", random(size))
			_, err = s.Delete(t.Context(), b1("k"), DeleteOptions{})
			must(t, err)
			var b bytes.Buffer
			must(t, o.WriteSpan(&b, object.Span{Length: int64(size)}))
			if !bytes.Equal(b.Bytes(), data) {
				t.Errorf("%d bytes changed under the reader", size)
			}
			o.Close()
		}
	})
}

func TestPutRefuses(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		guard := errors.New("lease lost")
		good := func(d []byte) []cksum.Value { return []cksum.Value{cksum.Of(cksum.MD5, d), cksum.Of(cksum.XXHash, d)} }
		for _, size := range []int{500, 300_000} {
			data := random(size)
			bad := good(random(10))
			before := put(t, s, "k", random(size))
			for _, c := range []struct {
				name string
				o    PutOptions
				kind errs.Kind
			}{
				{"checksum", PutOptions{Checksum: cksum.XXHash, Expect: bad[:1], Size: -1}, errs.Checksum},
				{"second checksum", PutOptions{Checksum: cksum.XXHash, Expect: []cksum.Value{good(data)[0], bad[1]}, Size: -1}, errs.Checksum},
				{"too short", PutOptions{Size: int64(size) + 1}, errs.Checksum},
				{"too long", PutOptions{Size: int64(size) - 1}, errs.Checksum},
				{"guard", PutOptions{Size: -1, Guard: func() error { return errs.E("t", "", errs.Unavailable, guard) }}, errs.Unavailable},
				{"if-none-match", PutOptions{Size: -1, Conditions: &object.Conditions{IfNoneMatch: []string{"*"}}}, errs.Precondition},
				{"if-match", PutOptions{Size: -1, Conditions: &object.Conditions{IfMatch: []string{"other"}}}, errs.Precondition},
			} {
				if _, err := s.Put(t.Context(), b1("k"), data, c.o); !errs.Is(err, c.kind) {
					t.Errorf("put %d bytes, %s: %v", size, c.name, err)
				}
				if _, err := s.PutStream(t.Context(), b1("k"), bytes.NewReader(data), c.o); !errs.Is(err, c.kind) {
					t.Errorf("stream %d bytes, %s: %v", size, c.name, err)
				}
			}
			torn := iotest.TimeoutReader(bytes.NewReader(data))
			if _, err := s.PutStream(t.Context(), b1("k"), torn, PutOptions{Size: int64(size)}); !errors.Is(err, iotest.ErrTimeout) {
				t.Errorf("torn stream: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := s.PutStream(ctx, b1("k"), bytes.NewReader(data), PutOptions{Size: -1}); !errs.Is(err, errs.Canceled) {
				t.Errorf("canceled: %v", err)
			}
			after, err := s.Stat(b1("k"))
			if err != nil || after.Version != before.Version {
				t.Errorf("a refused write changed the object: %+v %v", after, err)
			}
			ok := PutOptions{Checksum: cksum.CRC32C, Expect: good(data), Size: int64(size), Conditions: &object.Conditions{IfMatch: []string{before.ETag}}}
			if _, err := s.PutStream(t.Context(), b1("k"), iotest.HalfReader(bytes.NewReader(data)), ok); err != nil {
				t.Errorf("good put: %v", err)
			}
		}
		for _, n := range []object.Name{{Bucket: 1}, {Bucket: 1, Key: strings.Repeat("x", object.MaxKeyLen+1)}} {
			if _, err := s.Put(t.Context(), n, nil, PutOptions{}); !errs.Is(err, errs.Invalid) {
				t.Errorf("name of %d bytes: %v", len(n.Key), err)
			}
		}
		_, err := s.Delete(t.Context(), b1("k"), DeleteOptions{})
		must(t, err)
		if n := leftFiles(t, s); n != 0 {
			t.Errorf("refused writes left %d files", n)
		}
	})
}

func TestUpdate(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for _, size := range []int{500, 300_000} {
			for _, sum := range []cksum.Type{cksum.None, cksum.SHA256} {
				data := random(size)
				before, err := s.Put(t.Context(), b1("k"), data, PutOptions{Checksum: sum, Size: -1, System: map[string]string{"content-type": "x/y"}})
				must(t, err)
				after, err := s.Update(t.Context(), b1("k"), UpdateOptions{}, func(i *object.Info) error {
					i.Custom = map[string]string{"a": "1", "b": ""}
					i.Tags = map[string]string{"t": "u"}
					i.Size = 3 // ignored
					return nil
				})
				must(t, err)
				want := before
				want.Version, want.Custom, want.Tags = after.Version, map[string]string{"a": "1", "b": ""}, map[string]string{"t": "u"}
				if after.Version.Compare(before.Version) <= 0 || !sameInfo(after, want) {
					t.Errorf("update gave %+v, want %+v", after, want)
				}
				if st, err := s.Stat(b1("k")); err != nil || !sameInfo(st, want) {
					t.Errorf("stat gave %+v %v", st, err)
				}
				if !bytes.Equal(get(t, s, b1("k")), data) {
					t.Error("update changed the content")
				}
				no := errors.New("no")
				if _, err := s.Update(t.Context(), b1("k"), UpdateOptions{}, func(*object.Info) error { return no }); !errors.Is(err, no) {
					t.Errorf("refused update: %v", err)
				}
			}
		}
		if _, err := s.Update(t.Context(), b1("none"), UpdateOptions{}, func(*object.Info) error { return nil }); !errs.Is(err, errs.NotFound) {
			t.Errorf("update of nothing: %v", err)
		}
	})
}

// sameInfo compares; times by instant.
func sameInfo(a, b object.Info) bool {
	same := a.Created.Equal(b.Created)
	a.Created = b.Created
	return same && reflect.DeepEqual(a, b)
}

func TestLink(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for _, size := range []int{500, 300_000} {
			data := random(size)
			_, err := s.Put(t.Context(), b1("from"), data, PutOptions{Checksum: cksum.MD5, Size: -1, Custom: map[string]string{"k": "v"}})
			must(t, err)
			src, err := s.Stat(b1("from"))
			must(t, err)
			for _, to := range []object.Name{b1("to"), b1("to2"), {Bucket: 2, Key: "from"}, b1("from")} {
				info, err := s.Link(t.Context(), b1("from"), to, PutOptions{Epoch: 1})
				if err != nil || info.ETag != src.ETag || info.Checksum != src.Checksum || info.Custom["k"] != "v" {
					t.Fatalf("link: %+v %v", info, err)
				}
				if !bytes.Equal(get(t, s, to), data) {
					t.Fatal("link has another content")
				}
			}
			if _, err := s.Link(t.Context(), b1("from"), b1("to"), PutOptions{Conditions: &object.Conditions{IfNoneMatch: []string{"*"}}}); !errs.Is(err, errs.Precondition) {
				t.Errorf("link over an object: %v", err)
			}
			// One name after the other goes; the rest must stay whole.
			names := []object.Name{b1("from"), b1("to"), {Bucket: 2, Key: "from"}, b1("to2")}
			for i, n := range names {
				if i%2 == 0 {
					_, err = s.Delete(t.Context(), n, DeleteOptions{})
				} else {
					_, err = s.Put(t.Context(), n, []byte("short"), PutOptions{})
				}
				must(t, err)
				for _, left := range names[i+1:] {
					if !bytes.Equal(get(t, s, left), data) {
						t.Fatalf("%v lost its content with %v", left, n)
					}
				}
			}
			for _, n := range []string{"to", "to2"} {
				_, err = s.Delete(t.Context(), b1(n), DeleteOptions{})
				must(t, err)
			}
		}
		if _, err := s.Link(t.Context(), b1("none"), b1("to"), PutOptions{}); !errs.Is(err, errs.NotFound) {
			t.Errorf("link of nothing: %v", err)
		}
		if n := leftFiles(t, s); n != 0 {
			t.Errorf("%d files left", n)
		}
	})
}

func TestAppend(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for _, sizes := range [][]int{{}, {100, 200}, {5000, 0, 1}, {300_000, 1, 300_000}} {
			h, err := s.BeginAppend(t.Context(), b1("k"))
			must(t, err)
			var want []byte
			for _, n := range sizes {
				data := random(n)
				torn := iotest.TimeoutReader(bytes.NewReader(random(n + 10000)))
				if _, err := s.Append(t.Context(), b1("k"), h, torn); !errors.Is(err, iotest.ErrTimeout) {
					t.Fatalf("torn append: %v", err)
				}
				h, err = s.Append(t.Context(), b1("k"), h, bytes.NewReader(data))
				must(t, err)
				want = append(want, data...)
			}
			if _, err := s.Stat(b1("k")); !errs.Is(err, errs.NotFound) {
				t.Fatalf("visible before the flush: %v", err)
			}
			if _, err := s.Append(t.Context(), b1("other"), h, bytes.NewReader(nil)); !errs.Is(err, errs.Invalid) {
				t.Errorf("handle of another name: %v", err)
			}
			info, err := s.FlushAppend(t.Context(), b1("k"), h, PutOptions{Checksum: cksum.XXHash, Size: -1})
			if err != nil || info.Checksum != cksum.Of(cksum.XXHash, want) {
				t.Fatalf("flush: %+v %v", info, err)
			}
			if !bytes.Equal(get(t, s, b1("k")), want) {
				t.Fatal("flushed content is wrong")
			}
			if _, err := s.FlushAppend(t.Context(), b1("k"), h, PutOptions{}); !errs.Is(err, errs.NotFound) {
				t.Errorf("flushed twice: %v", err)
			}
			_, err = s.Delete(t.Context(), b1("k"), DeleteOptions{})
			must(t, err)
		}
		h, err := s.BeginAppend(t.Context(), b1("k"))
		must(t, err)
		must(t, s.AbortAppend(t.Context(), b1("k"), h))
		for _, bad := range []string{"", "x", "..", h + "0", strings.ToUpper(h) + "Z", "00.00.00"} {
			if _, err := s.Append(t.Context(), b1("k"), bad, nil); !errs.Is(err, errs.Invalid) {
				t.Errorf("handle %q: %v", bad, err)
			}
		}
		if n := leftFiles(t, s); n != 0 {
			t.Errorf("%d files left", n)
		}
	})
}

func list(t testing.TB, s *Store, q ListQuery) (names []string) {
	t.Helper()
	must(t, s.List(context.Background(), q, func(i *object.Info) bool {
		if i.Version.IsZero() != (q.Delimiter != "" && strings.HasSuffix(i.Key, q.Delimiter) && !strings.HasSuffix(i.Key, "obj/")) {
			t.Errorf("%q: version %v", i.Key, i.Version)
		}
		names = append(names, i.Key)
		return true
	}))
	return names
}

func TestListTable(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for _, k := range []string{"a", "a/b", "a/b/c", "a/d", "a!", "b", "c/1", "c/2", "c/x/3", "d//e", "é", "z/obj/"} {
			put(t, s, k, []byte(k))
			_, err := s.Put(t.Context(), object.Name{Bucket: 2, Key: "other" + k}, nil, PutOptions{})
			must(t, err)
		}
		all := []string{"a", "a!", "a/b", "a/b/c", "a/d", "b", "c/1", "c/2", "c/x/3", "d//e", "z/obj/", "é"}
		for _, c := range []struct {
			q    ListQuery
			want []string
		}{
			{ListQuery{}, all},
			{ListQuery{Limit: 3}, all[:3]},
			{ListQuery{After: "a/b"}, all[3:]},
			{ListQuery{After: "a/a"}, all[2:]},
			{ListQuery{After: "zz"}, all[11:]},
			{ListQuery{After: "\xff\xff"}, nil},
			{ListQuery{Prefix: "a/"}, all[2:5]},
			{ListQuery{Prefix: "a/", After: "a/b"}, all[3:5]},
			{ListQuery{Prefix: "a/", After: "0"}, all[2:5]},
			{ListQuery{Prefix: "a/", After: "b"}, nil},
			{ListQuery{Prefix: "nothing"}, nil},
			{ListQuery{Delimiter: "/"}, []string{"a", "a!", "a/", "b", "c/", "d/", "z/", "é"}},
			{ListQuery{Delimiter: "/", Limit: 3}, []string{"a", "a!", "a/"}},
			{ListQuery{Delimiter: "/", After: "a/"}, []string{"b", "c/", "d/", "z/", "é"}},
			{ListQuery{Delimiter: "/", After: "a/b"}, []string{"a/", "b", "c/", "d/", "z/", "é"}},
			{ListQuery{Delimiter: "/", After: "c/x/"}, []string{"c/", "d/", "z/", "é"}},
			{ListQuery{Delimiter: "/", Prefix: "a/"}, []string{"a/b", "a/b/", "a/d"}},
			{ListQuery{Delimiter: "/", Prefix: "a/b"}, []string{"a/b", "a/b/"}},
			{ListQuery{Delimiter: "/", Prefix: "a/", After: "a/b/"}, []string{"a/d"}},
			{ListQuery{Delimiter: "/", Prefix: "c/"}, []string{"c/1", "c/2", "c/x/"}},
			{ListQuery{Delimiter: "/", Prefix: "d/"}, []string{"d//"}},
			{ListQuery{Delimiter: "/", Prefix: "z/obj/"}, []string{"z/obj/"}},
			{ListQuery{Delimiter: "/b", Prefix: ""}, []string{"a", "a!", "a/b", "a/d", "b", "c/1", "c/2", "c/x/3", "d//e", "z/obj/", "é"}},
		} {
			c.q.Bucket = 1
			var got []string
			must(t, s.List(t.Context(), c.q, func(i *object.Info) bool { got = append(got, i.Key); return true }))
			if !slices.Equal(got, c.want) {
				t.Errorf("%+v: %q, want %q", c.q, got, c.want)
			}
			// Page by page, continuing after the last entry, it must be the same.
			got = nil
			for after := c.q.After; ; {
				q := c.q
				q.After, q.Limit = after, 1
				page := []string{}
				must(t, s.List(t.Context(), q, func(i *object.Info) bool { page = append(page, i.Key); return true }))
				if len(page) == 0 || c.q.Limit > 0 && len(got) == c.q.Limit {
					break
				}
				got, after = append(got, page...), page[0]
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%+v by pages: %q, want %q", c.q, got, c.want)
			}
		}
		if got, err := s.Buckets(); err != nil || !slices.Contains(got, 1) || !slices.Contains(got, 2) {
			t.Errorf("buckets %v %v", got, err)
		}
		n, size, err := s.Usage(t.Context(), 1, "a")
		if err != nil || n != 5 || size != int64(len("a"+"a!"+"a/b"+"a/b/c"+"a/d")) {
			t.Errorf("usage %d %d %v", n, size, err)
		}
		names := list(t, s, ListQuery{Bucket: 1, Delimiter: "/"})
		if len(names) != 8 {
			t.Errorf("%q", names)
		}
	})
}

func TestDestroyBucket(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		for i := range 30 {
			put(t, s, fmt.Sprintf("k%d", i), random(i*400))
			_, err := s.Put(t.Context(), object.Name{Bucket: 2, Key: fmt.Sprintf("k%d", i)}, random(i*400), PutOptions{})
			must(t, err)
		}
		_, err := s.Link(t.Context(), b1("k29"), object.Name{Bucket: 2, Key: "k29"}, PutOptions{})
		must(t, err)
		kept := get(t, s, b1("k29"))
		before := leftFiles(t, s)
		must(t, s.DestroyBucket(t.Context(), 1))
		for _, err := range []error{second(s.Stat(b1("k1"))), second(s.Open(b1("k1"))), second(s.Put(t.Context(), b1("k1"), nil, PutOptions{})),
			s.List(t.Context(), ListQuery{Bucket: 1}, func(*object.Info) bool { return true })} {
			if !errs.Is(err, errs.NoBucket) {
				t.Errorf("after destroy: %v", err)
			}
		}
		if n, _, err := s.Usage(t.Context(), 2, ""); n != 30 || err != nil {
			t.Errorf("the other bucket has %d objects, %v", n, err)
		}
		if !bytes.Equal(get(t, s, object.Name{Bucket: 2, Key: "k29"}), kept) {
			t.Error("shared content went with the bucket")
		}
		if after := leftFiles(t, s); after >= before && before > 0 {
			t.Errorf("%d files before, %d after", before, after)
		}
		if ids, err := s.Buckets(); err != nil || slices.Contains(ids, 1) {
			t.Errorf("buckets: %v %v", ids, err)
		}
	})
}

// TestConcurrent lets writers, readers, listers and deleters meet on a few names; every content names
// its key, so a mixture would show.
func TestConcurrent(t *testing.T) {
	forEachStore(t, func(t *testing.T, s *Store) {
		content := func(key string, n int) []byte {
			return bytes.Repeat([]byte(key+";"), n)
		}
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 60 {
					key := fmt.Sprintf("key%d", (w+i)%5)
					switch i % 4 {
					case 0:
						put(t, s, key, content(key, 1+i*w*20))
					case 1, 2:
						o, err := s.Open(b1(key))
						if errs.Is(err, errs.NotFound) {
							continue
						}
						if err != nil {
							t.Error(err)
							continue
						}
						var b bytes.Buffer
						if err := o.WriteSpan(&b, object.Span{Length: o.Info().Size}); err != nil {
							t.Error(err)
						}
						if !bytes.Equal(b.Bytes(), content(key, b.Len()/5)) || int64(b.Len()) != o.Info().Size {
							t.Errorf("%s has a content of %d bytes that is not its own", key, b.Len())
						}
						o.Close()
					case 3:
						if i%8 == 3 {
							if _, err := s.Delete(context.Background(), b1(key), DeleteOptions{}); err != nil && !errs.Is(err, errs.NotFound) {
								t.Error(err)
							}
						} else if names := list(t, s, ListQuery{Bucket: 1}); !slices.IsSorted(names) || len(names) > 5 {
							t.Errorf("list gave %q", names)
						}
					}
				}
			})
		}
		wg.Wait()
	})
}
