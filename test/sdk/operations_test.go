package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

func noise(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// TestOperations runs every operation on both routes against one cluster.
func TestOperations(t *testing.T) {
	c := start(t, 1, 3)
	for _, route := range []string{"direct", "gateway"} {
		cl := dial(t, c, func(o *client.Options) { o.NoDirect = route == "gateway" })
		for name, check := range map[string]func(*testing.T, *client.Client, *client.Bucket){
			"objects": objects, "ranges": ranges, "conditions": conditions, "metadata": metadata, "append": appending,
			"copies": copies, "lists": lists, "jobs": jobs, "buckets": buckets, "bodies": bodies,
		} {
			t.Run(route+" "+name, func(t *testing.T) {
				check(t, cl, bucket(t, cl, route+"-"+name, nil))
			})
		}
	}
	t.Run("cluster", func(t *testing.T) { clusterQueries(t, dial(t, c, nil)) })
}

func objects(t *testing.T, _ *client.Client, b *client.Bucket) {
	ctx := t.Context()
	keys := []string{"a", "a/b", "a//b", "x y+z%20&=?#", "é/日本", "..", "./x", "../up", "dir/", "\ttab", "{1..3}", strings.Repeat("k", 1024)}
	for i, key := range keys {
		for _, size := range []int{0, 1, 4096, 128 << 10, 5_000_001} {
			data := noise(uint64(i), size)
			info, err := b.Put(ctx, key, client.Bytes(data), client.PutOptions{})
			if err != nil {
				t.Fatalf("put %.20q of %d: %v", key, size, err)
			}
			if info.Checksum != cksum.Of(cksum.XXHash, data) || info.Durability != cluster.Local || info.ETag == "" || info.Version.IsZero() {
				t.Errorf("put %.20q of %d: %+v", key, size, info)
			}
			got, again, err := b.GetBytes(ctx, key, client.GetOptions{})
			if err != nil || !bytes.Equal(got, data) || again.Version != info.Version || again.ETag != info.ETag {
				t.Fatalf("get %.20q of %d: %d bytes, %+v, %v", key, size, len(got), again, err)
			}
			head, err := b.Head(ctx, key, client.GetOptions{})
			if err != nil || head.Size != int64(size) || head.ETag != info.ETag || head.Created.IsZero() {
				t.Errorf("head %.20q of %d: %+v, %v", key, size, head, err)
			}
			if size > 4096 && i > 1 {
				break
			}
		}
		if err := b.Delete(ctx, key, client.DeleteOptions{}); err != nil {
			t.Errorf("delete %.20q: %v", key, err)
		}
		for what, err := range map[string]error{
			"head": last(b.Head(ctx, key, client.GetOptions{})), "get": last(b.Get(ctx, key, client.GetOptions{})), "delete": b.Delete(ctx, key, client.DeleteOptions{}),
		} {
			if !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), key) {
				t.Errorf("%s of %.20q, which is gone: %v", what, key, err)
			}
		}
	}
	if _, err := b.Put(ctx, "k", client.Bytes([]byte("x")), client.PutOptions{Checksum: cksum.Of(cksum.MD5, []byte("y"))}); !errs.Is(err, errs.Checksum) {
		t.Errorf("put with a wrong checksum: %v", err)
	}
	if _, err := b.Put(ctx, "k", client.Bytes([]byte("x")), client.PutOptions{Checksum: cksum.Of(cksum.SHA256, []byte("x"))}); err != nil {
		t.Errorf("put with a checksum of another type: %v", err)
	}
}

func last[T any](_ T, err error) error { return err }

func bodies(t *testing.T, _ *client.Client, b *client.Bucket) {
	for _, size := range []int{0, 10, 1 << 20, 3<<20 + 1} {
		data := noise(uint64(size), size)
		hidden := func() io.Reader { return io.MultiReader(bytes.NewReader(data)) }
		for name, body := range map[string]client.Body{
			"reader at": client.ReaderAt(bytes.NewReader(data), int64(size)), "stream": client.Stream(hidden(), -1), "sized stream": client.Stream(hidden(), int64(size)),
		} {
			info, err := b.Put(t.Context(), "k", body, client.PutOptions{})
			if err != nil || info.Size != int64(size) {
				t.Fatalf("%s of %d: %+v, %v", name, size, info, err)
			}
			if got, _, err := b.GetBytes(t.Context(), "k", client.GetOptions{}); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%s of %d: read %d, %v", name, size, len(got), err)
			}
		}
	}
}

func ranges(t *testing.T, _ *client.Client, b *client.Bucket) {
	ctx := t.Context()
	for _, size := range []int64{1000, 3_000_000} {
		data := noise(uint64(size), int(size))
		if _, err := b.Put(ctx, "k", client.Bytes(data), client.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, r := range [][2]int64{{0, 1}, {10, 100}, {size - 1, 1}, {size - 10, 100}, {5, -1}, {-7, -1}, {0, size}} {
			rd, err := b.GetRange(ctx, "k", r[0], r[1], client.GetOptions{})
			if err != nil {
				t.Errorf("%v of %d: %v", r, size, err)
				continue
			}
			got, err := io.ReadAll(rd)
			from := r[0]
			if from < 0 {
				from += size
			}
			to := size
			if r[1] >= 0 {
				to = min(from+r[1], size)
			}
			if err != nil || !bytes.Equal(got, data[from:to]) || rd.Info().Size != size {
				t.Errorf("%v of %d: %d bytes, %+v, %v", r, size, len(got), rd.Info(), err)
			}
			rd.Close()
		}
		if _, err := b.GetRange(ctx, "k", size, 1, client.GetOptions{}); !errs.Is(err, errs.Range) {
			t.Errorf("beyond the end: %v", err)
		}
		spans := []object.Span{{Start: 3, Length: 5}, {Start: size / 2, Length: size / 3}, {Start: 0, Length: 1}, {Start: size - 2, Length: 50}}
		p, err := b.GetRanges(ctx, "k", spans, client.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range spans {
			if _, err := p.Next(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(p)
			if err != nil || !bytes.Equal(got, data[s.Start:min(s.Start+s.Length, size)]) {
				t.Errorf("%v of several of %d: %d bytes, %v", s, size, len(got), err)
			}
		}
		if _, err := p.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last range: %v", err)
		}
		p.Close()
	}
}

func conditions(t *testing.T, _ *client.Client, b *client.Bucket) {
	ctx := t.Context()
	absent, present := client.Conditions{IfNoneMatch: []string{"*"}}, client.Conditions{IfMatch: []string{"*"}}
	put := func(c client.Conditions) (*client.Info, error) {
		return b.Put(ctx, "k", client.Bytes([]byte("x")), client.PutOptions{If: c})
	}
	if _, err := put(present); !errs.Is(err, errs.Precondition) {
		t.Errorf("put over nothing: %v", err)
	}
	info, err := put(absent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(absent); !errs.Is(err, errs.Precondition) {
		t.Errorf("put over something: %v", err)
	}
	if _, err := put(client.Conditions{IfMatch: []string{info.ETag}}); err != nil {
		t.Errorf("put over what is known: %v", err)
	}
	for name, c := range map[string]client.Conditions{
		"same":      {IfNoneMatch: []string{info.ETag}},
		"not later": {IfModifiedSince: time.Now().Add(time.Hour)},
	} {
		if _, err := b.Get(ctx, "k", client.GetOptions{If: c}); !errs.Is(err, errs.NotModified) {
			t.Errorf("get, %s: %v", name, err)
		}
		if _, err := b.Head(ctx, "k", client.GetOptions{If: c}); !errs.Is(err, errs.NotModified) {
			t.Errorf("head, %s: %v", name, err)
		}
	}
	if _, err := b.Get(ctx, "k", client.GetOptions{If: client.Conditions{IfMatch: []string{"other"}}}); !errs.Is(err, errs.Precondition) {
		t.Errorf("get of another version: %v", err)
	}
	if err := b.Delete(ctx, "k", client.DeleteOptions{If: client.Conditions{IfMatch: []string{"other"}}}); !errs.Is(err, errs.Precondition) {
		t.Errorf("delete of another version: %v", err)
	}
}

func metadata(t *testing.T, _ *client.Client, b *client.Bucket) {
	ctx := t.Context()
	_, err := b.Put(ctx, "k", client.Bytes([]byte("x")), client.PutOptions{
		ContentType: "image/jpeg", Custom: map[string]string{"color": "blue", "list": "a,b,c", "eq": "a=b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetCustom(ctx, "k", map[string]string{"color": "red", "new": "1"}); err != nil {
		t.Fatal(err)
	}
	info, err := b.Head(ctx, "k", client.GetOptions{})
	want := map[string]string{"color": "red", "list": "a,b,c", "eq": "a=b", "new": "1"}
	if err != nil || fmt.Sprint(info.Custom) != fmt.Sprint(want) || info.System["content-type"] != "image/jpeg" {
		t.Errorf("%v %v, %v", info.Custom, info.System, err)
	}
	if err := b.ReplaceCustom(ctx, "k", map[string]string{"only": "this"}); err != nil {
		t.Fatal(err)
	}
	if info, err = b.Head(ctx, "k", client.GetOptions{}); err != nil || len(info.Custom) != 1 || info.Custom["only"] != "this" {
		t.Errorf("%v, %v", info.Custom, err)
	}
}

func appending(t *testing.T, _ *client.Client, b *client.Bucket) {
	ctx := t.Context()
	a := b.Append("k", "")
	var want []byte
	for i := range 4 {
		piece := noise(uint64(i), 100_000*i+1)
		want = append(want, piece...)
		if err := a.Append(ctx, client.Bytes(piece)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Head(ctx, "k", client.GetOptions{}); !errs.Is(err, errs.NotFound) {
			t.Errorf("visible before the flush: %v", err)
		}
	}
	info, err := b.Append("k", a.Handle()).Flush(ctx, cksum.Of(cksum.XXHash, want))
	if err != nil || info.Durability != cluster.Local {
		t.Fatalf("%+v, %v", info, err)
	}
	if got, _, err := b.GetBytes(ctx, "k", client.GetOptions{}); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if err := a.Append(ctx, client.Bytes([]byte("more"))); err == nil {
		t.Error("appended to what is flushed")
	}
	again := b.Append("k", "")
	if err := again.Append(ctx, client.Bytes([]byte("other"))); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Flush(ctx, cksum.Of(cksum.XXHash, want)); !errs.Is(err, errs.Checksum) {
		t.Errorf("flush with a wrong checksum: %v", err)
	}
}

func copies(t *testing.T, cl *client.Client, b *client.Bucket) {
	ctx := t.Context()
	to := bucket(t, cl, b.Bck().Name+"-to", nil)
	data := noise(1, 300_000)
	if _, err := b.Put(ctx, "from", client.Bytes(data), client.PutOptions{Custom: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Copy(ctx, "from", to, "x/y z"); err != nil {
		t.Fatal(err)
	}
	for i := range 8 { // to several targets
		if err := b.Rename(ctx, "from", "renamed"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Head(ctx, "from", client.GetOptions{}); !errs.Is(err, errs.NotFound) {
			t.Errorf("rename %d left the old name: %v", i, err)
		}
		if err := b.Rename(ctx, "renamed", "from"); err != nil {
			t.Fatal(err)
		}
	}
	for bck, key := range map[*client.Bucket]string{to: "x/y z", b: "from"} {
		got, info, err := bck.GetBytes(ctx, key, client.GetOptions{})
		if err != nil || !bytes.Equal(got, data) || info.Custom["a"] != "b" {
			t.Errorf("%v/%s: %d bytes, %+v, %v", bck, key, len(got), info, err)
		}
	}
	if err := b.Rename(ctx, "nothing", "x"); !errs.Is(err, errs.NotFound) {
		t.Errorf("rename of nothing: %v", err)
	}
}

func lists(t *testing.T, _ *client.Client, b *client.Bucket) {
	ctx := t.Context()
	var all []string
	for i := range 60 {
		all = append(all, fmt.Sprintf("d%d/e%d/%02d", i%3, i%2, i))
	}
	all = append(all, "top", "d1", "d1/")
	for _, k := range all {
		if _, err := b.Put(ctx, k, client.Bytes([]byte(k)), client.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(all)
	collect := func(o client.ListOptions) (names, groups []string) {
		t.Helper()
		for e, err := range b.List(ctx, o) {
			if err != nil {
				t.Fatal(err)
			}
			if e.IsDir() {
				groups = append(groups, e.Name)
			} else if names = append(names, e.Name); !o.NameOnly && e.Size != int64(len(e.Name)) {
				t.Errorf("%s has size %d", e.Name, e.Size)
			}
		}
		return names, groups
	}
	for _, page := range []int{0, 1, 7} {
		if names, _ := collect(client.ListOptions{PageSize: page, NameOnly: page == 7}); !slices.Equal(names, all) {
			t.Errorf("pages of %d: %d names of %d", page, len(names), len(all))
		}
	}
	if names, _ := collect(client.ListOptions{Prefix: "d2/e1", PageSize: 3}); len(names) != 10 || names[0] != "d2/e1/05" {
		t.Errorf("prefix: %q", names)
	}
	if names, _ := collect(client.ListOptions{StartAfter: "d2/e1/59"}); !slices.Equal(names, []string{"top"}) {
		t.Errorf("start after: %q", names)
	}
	for _, page := range []int{0, 1, 2} {
		names, groups := collect(client.ListOptions{Delimiter: "/", PageSize: page})
		if !slices.Equal(names, []string{"d1", "top"}) || !slices.Equal(groups, []string{"d0/", "d1/", "d2/"}) {
			t.Errorf("delimiter, pages of %d: names %q groups %q", page, names, groups)
		}
	}
	if names, groups := collect(client.ListOptions{Delimiter: "e", Prefix: "d0/"}); len(names) != 0 || !slices.Equal(groups, []string{"d0/e"}) {
		t.Errorf("other delimiter: names %q groups %q", names, groups)
	}
	if names, groups := collect(client.ListOptions{Delimiter: "/", NoGroups: true}); len(names) != 2 || len(groups) != 0 {
		t.Errorf("no groups: names %q groups %q", names, groups)
	}
	page, err := b.ListPage(ctx, client.ListOptions{PageSize: 1, Props: []string{api.PropName, api.PropChecksum, api.PropVersion}}, "")
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Checksum == "" || page.Entries[0].Version == "" {
		t.Errorf("props: %+v, %v", page, err)
	}
	if _, err := b.ListPage(ctx, client.ListOptions{}, "nonsense!"); !errs.Is(err, errs.Invalid) {
		t.Errorf("wrong token: %v", err)
	}
}

func jobs(t *testing.T, cl *client.Client, b *client.Bucket) {
	ctx := t.Context()
	fill := func() {
		t.Helper()
		for i := range 50 {
			if _, err := b.Put(ctx, fmt.Sprintf("a-%03d.bin", i), client.Bytes([]byte("12345")), client.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := func(b *client.Bucket) (n int) {
		t.Helper()
		for _, err := range b.List(ctx, client.ListOptions{NameOnly: true}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	fill()
	s, err := b.Summary(ctx, "a-00")
	if err != nil || s.ObjCount.Present != 10 || s.TotalSize.Present != 50 {
		t.Errorf("summary: %+v, %v", s, err)
	}
	for name, c := range map[string]struct {
		start func() (*client.Job, error)
		left  int
	}{
		"list": {func() (*client.Job, error) {
			return b.DeleteObjects(ctx, api.ObjectSelection{Names: []string{"a-001.bin", "a-002.bin", "none"}})
		}, 48},
		"template": {func() (*client.Job, error) {
			return b.DeleteObjects(ctx, api.ObjectSelection{Template: "a-{010..039..2}.bin"})
		}, 35},
		"prefix": {func() (*client.Job, error) { return b.DeletePrefix(ctx, "a-04") }, 40},
		"all":    {func() (*client.Job, error) { return b.DeletePrefix(ctx, "") }, 0},
	} {
		fill()
		j, err := c.start()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := j.Wait(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := left(b); n != c.left {
			t.Errorf("%s: %d objects are left, want %d", name, n, c.left)
		}
	}
	fill()
	to := bucket(t, cl, b.Bck().Name+"-to", nil)
	for name, c := range map[string]struct {
		start func() (*client.Job, error)
		want  int
	}{
		"copy bucket": {func() (*client.Job, error) { return b.CopyBucket(ctx, to, api.CopyMsg{Prepend: "bck/"}) }, 50},
		"copy objects": {func() (*client.Job, error) {
			return b.CopyObjects(ctx, api.CopyObjectsMsg{ObjectSelection: api.ObjectSelection{Template: "a-{000..009}.bin"}, CopyMsg: api.CopyMsg{Prepend: "some/"}, To: to.Bck()})
		}, 10},
	} {
		before := left(to)
		j, err := c.start()
		if err == nil {
			err = j.Wait(ctx)
		}
		if n := left(to) - before; err != nil || n != c.want {
			t.Errorf("%s: %d objects, want %d: %v", name, n, c.want, err)
		}
		if all, err := j.Snaps(ctx); err != nil || len(all) != 3 {
			t.Errorf("%s: snapshots of %d targets, %v", name, len(all), err)
		}
	}
}

func buckets(t *testing.T, cl *client.Client, b *client.Bucket) {
	ctx := t.Context()
	if err := b.Create(ctx, nil); !errs.Is(err, errs.Exists) {
		t.Errorf("made twice: %v", err)
	}
	if err := b.SetProps(ctx, client.Props{"checksum.type": "sha256"}); err != nil {
		t.Fatal(err)
	}
	p, err := b.Props(ctx)
	if err != nil || p.Checksum.Type != cksum.SHA256 {
		t.Errorf("props %+v, %v", p, err)
	}
	if err := b.SetProps(ctx, client.Props{"colour": "blue"}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "colour") {
		t.Errorf("unknown property: %v", err)
	}
	info, err := b.Put(ctx, "k", client.Bytes([]byte("x")), client.PutOptions{})
	if err != nil || info.Checksum.Type != cksum.SHA256 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := b.ResetProps(ctx); err != nil {
		t.Error(err)
	}
	to := cl.Bucket(b.Bck().Name + "-renamed")
	j, err := b.RenameBucket(ctx, to)
	if err == nil {
		err = j.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := to.GetBytes(ctx, "k", client.GetOptions{}); err != nil || string(got) != "x" {
		t.Errorf("after the rename: %q, %v", got, err)
	}
	if _, err := b.Head(ctx, "k", client.GetOptions{}); !errs.Is(err, errs.NoBucket) {
		t.Errorf("by the old name: %v", err)
	}
	all, err := cl.Buckets(ctx)
	if err != nil || !slices.Contains(all, to.Bck()) || slices.Contains(all, b.Bck()) {
		t.Errorf("buckets %v, %v", all, err)
	}
	// Destroyed and made again by another client, with other seed and owners: a stale map must not matter.
	other := b.Bck().Name + "-again"
	again := bucket(t, cl, other, nil)
	for i := range 20 {
		key := fmt.Sprint("k", i)
		if _, err := again.Put(ctx, key, client.Bytes([]byte(key)), client.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	second, err := client.New(client.Options{Endpoints: cl.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.Bucket(other).Destroy(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Head(ctx, "k1", client.GetOptions{}); !errs.Is(err, errs.NoBucket) {
		t.Errorf("after the destruction: %v", err)
	}
	if err := second.Bucket(other).Create(ctx, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		key := fmt.Sprint("k", i)
		if _, err := again.Head(ctx, key, client.GetOptions{}); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s in the new bucket: %v", key, err)
		}
		if _, err := again.Put(ctx, key, client.Bytes([]byte(key)), client.PutOptions{}); err != nil {
			t.Error(err)
		}
	}
}

func clusterQueries(t *testing.T, cl *client.Client) {
	ctx := t.Context()
	v, err := cl.View(ctx)
	if err != nil || len(v.Map.Nodes) != 4 || len(v.Secret) != 0 {
		t.Fatalf("view: %+v, %v", v, err)
	}
	m, err := cl.Smap(ctx)
	if err != nil || len(m.Tmap) != 3 || len(m.Pmap) != 1 || m.UUID != v.Map.UUID {
		t.Errorf("smap: %+v, %v", m, err)
	}
	if bmd, err := cl.BMD(ctx); err != nil || bmd.UUID != v.Map.UUID {
		t.Errorf("bmd: %+v, %v", bmd, err)
	}
	if ns, err := cl.Nodes(ctx); err != nil || len(ns) != 4 {
		t.Errorf("nodes: %+v, %v", ns, err)
	}
	if err := cl.Ready(ctx, ""); err != nil {
		t.Error(err)
	}
	if err := cl.SetConfig(ctx, map[string]string{"list.page_size": "77"}); err != nil {
		t.Error(err)
	}
	if c, err := cl.Config(ctx); err != nil || c.List.PageSize != 77 {
		t.Errorf("config: %+v, %v", c, err)
	}
	if err := cl.SetConfig(ctx, map[string]string{"list.page": "77"}); !errs.Is(err, errs.Invalid) {
		t.Errorf("unknown setting: %v", err)
	}
	if err := cl.ResetConfig(ctx); err != nil {
		t.Error(err)
	}
	if c, err := cl.Config(ctx); err != nil || c.List.PageSize != 1000 {
		t.Errorf("config after the reset: %+v, %v", c, err)
	}
	if s, err := cl.SysInfo(ctx); err != nil || len(s.Targets) != 3 || len(s.Proxies) != 1 {
		t.Errorf("sysinfo: %+v, %v", s, err)
	}
	p, err := cl.Performance(ctx, 50*time.Millisecond)
	if err != nil || len(p.Nodes) != 4 || len(p.Disks) != 3 || p.Over < 40*time.Millisecond {
		t.Errorf("performance: %+v, %v", p, err)
	}
	if stats, err := cl.Stats(ctx); err != nil || len(stats.Proxies["g1"].Ops["get-cluster"].Latencies) == 0 {
		t.Errorf("latencies: %+v, %v", stats.Proxies["g1"], err)
	}
	for id := range m.Tmap {
		if s, err := cl.NodeStatus(ctx, id); err != nil || s.Snode.ID != id || s.PID == 0 {
			t.Errorf("status of %s: %+v, %v", id, s, err)
		}
	}
	if _, err := cl.NodeStatus(ctx, "nobody"); !errs.Is(err, errs.NotFound) {
		t.Errorf("status of nobody: %v", err)
	}
	if kinds, err := cl.JobKinds(ctx); err != nil || len(kinds) == 0 {
		t.Errorf("kinds: %v, %v", kinds, err)
	}
	if _, err := cl.Job("no-such-job").Status(ctx); !errs.Is(err, errs.NotFound) {
		t.Errorf("status of no job: %v", err)
	}
}
