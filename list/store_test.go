package list

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"aistore/api"
	"aistore/cluster"
	"aistore/httpx"
	"aistore/object"
	"aistore/store"
)

// realTargets are stores with two mountpaths each behind their intra-cluster routes.
func realTargets(t testing.TB, v *cluster.View, b *cluster.Bucket, names int) (Fetcher, []string) {
	t.Helper()
	root := t.TempDir() // before the cleanup that closes the stores, hence removed after it
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	stores := map[cluster.NodeID]*store.Store{}
	for _, n := range v.Map.Targets() {
		dir := filepath.Join(root, string(n.ID))
		s, err := store.Open(ctx, store.Config{
			Mountpaths: []string{filepath.Join(dir, "mp1"), filepath.Join(dir, "mp2")}, NodeID: string(n.ID), CacheSize: 64 << 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		stores[n.ID] = s
		local := NewLocal(func(ctx context.Context, bucket uint64, prefix, after string, yield func(*object.Info) bool) error {
			return s.List(ctx, store.ListQuery{Bucket: bucket, Prefix: prefix, After: after}, yield)
		}, &fakeTargets{view: v})
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
			_ = httpx.NewServer(httpx.ServerConfig{Listener: httpx.Intra}, router).Serve(ctx, ln)
			_ = s.Close()
		})
	}
	all := make([]string, names)
	for i := range all {
		all[i] = fmt.Sprintf("bench/%03d/object-%08d", i%7, i)
	}
	var puts sync.WaitGroup
	for w := range 8 {
		puts.Go(func() {
			for i := w; i < len(all); i += 8 {
				n := object.Name{Bucket: b.ID, Key: all[i]}
				_, err := stores[v.Owner(b, n.Key).ID].Put(ctx, n, []byte("data"), store.PutOptions{Epoch: 1, Durability: cluster.Volatile, Checksum: b.Props.Checksum})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	puts.Wait()
	client := httpx.NewClient(httpx.ClientConfig{})
	t.Cleanup(client.Close)
	return NewRemote(client, "gateway", nil), all
}

// TestRealStores lists what real stores hold, through their routes.
func TestRealStores(t *testing.T) {
	v, b := testView(3)
	f, names := realTargets(t, v, b, 3000)
	l := NewLister(f)
	for _, r := range []Request{
		{Limit: 1000}, {Limit: 7, Prefix: "bench/003/"}, {Limit: 3, Delimiter: "/"}, {Limit: 2, Prefix: "bench/", Delimiter: "/"},
		{Limit: 900, After: "bench/004/object-00000100"},
	} {
		r.Fields = Size
		expect := want(names, r)
		var got []string
		for {
			res, err := l.Page(context.Background(), v, b, r)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range res.Entries {
				got = append(got, e.Name)
				if !e.Dir && e.Size != 4 {
					t.Fatalf("%+v", e)
				}
			}
			if r.After = res.Next; r.After == "" {
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(expect) {
			t.Errorf("%+v: %d names, want %d", r, len(got), len(expect))
		}
	}
}

// BenchmarkList100k is a whole listing of 100,000 names in pages of 1,000 from 3 targets with 2 mountpaths each,
// over sockets and with the encoding for the client.
func BenchmarkList100k(b *testing.B) {
	v, bck := testView(3)
	f, names := realTargets(b, v, bck, 100_000)
	l := NewLister(f)
	var buf []byte
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		seen := 0
		for r := (Request{Limit: 1000, Fields: Size}); ; {
			res, err := l.Page(context.Background(), v, bck, r)
			if err != nil {
				b.Fatal(err)
			}
			p := api.ListPage{Entries: make([]api.ListEntry, len(res.Entries))}
			for i, e := range res.Entries {
				p.Entries[i] = api.ListEntry{Name: e.Name, Size: e.Size, Flags: api.EntryIsCached}
			}
			buf = p.AppendMsg(buf[:0])
			seen += len(res.Entries)
			if r.After = res.Next; r.After == "" {
				break
			}
		}
		if seen != len(names) {
			b.Fatalf("%d names of %d", seen, len(names))
		}
	}
}
