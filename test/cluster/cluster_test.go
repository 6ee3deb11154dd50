package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/config"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func acked(_ plain.Meta, err error) error { return err }

// sizes are around what is treated in different ways: nothing, one byte, one block, the index's limit, several blocks.
var sizes = []int64{0, 1, 8, 4096, 128 << 10, 128<<10 + 1, 1<<20 + 13}

// TestLifeCycle takes objects of every size through their life, each step through another node.
func TestLifeCycle(t *testing.T) {
	ctx := context.Background()
	for _, s := range []Spec{{Gateways: 2, Targets: 3, Mountpaths: 2}, {All: true}} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			c := Start(t, s)
			cs := c.Clients()
			must(t, cs[0].CreateBucket(ctx, "life"))
			turn := 0
			next := func() *plain.Client { turn++; return cs[turn%len(cs)] }
			for _, size := range sizes {
				for i := range len(cs) {
					turn = i
					name := fmt.Sprintf("o/%d/%d", size, i)
					live(t, cs[0], next, name, size)
				}
			}
		})
	}
}

// content returns what a value of the size holds, also where it is too short for its id.
func content(id uint64, size int64) []byte {
	return value.Value{ID: id, Size: max(size, value.Min)}.Bytes()[:size]
}

func live(t *testing.T, gw *plain.Client, next func() *plain.Client, name string, size int64) {
	t.Helper()
	ctx := context.Background()
	if _, _, err := next().Get(ctx, "life", name); plain.Status(err) != http.StatusNotFound {
		t.Fatalf("%s before it was written: %v", name, err)
	}
	var last string
	for id := uint64(1); id <= 2; id++ {
		want := content(id, size)
		put, err := next().Put(ctx, "life", name, want)
		must(t, err)
		if put.Durability != "local" || put.ETag == "" || put.Version == "" || put.Version == last {
			t.Errorf("%s: PUT answered %+v", name, put)
		}
		last = put.Version
		got, meta, err := next().Get(ctx, "life", name)
		if err != nil || !bytes.Equal(got, want) || meta.ETag != put.ETag || meta.Version != put.Version || meta.Checksum != put.Checksum {
			t.Fatalf("%s: GET gave %d bytes, %+v, %v after a PUT of %d bytes, %+v", name, len(got), meta, err, size, put)
		}
		head, err := next().Head(ctx, "life", name)
		if err != nil || head.Size != size || head.ETag != put.ETag || head.Version != put.Version {
			t.Errorf("%s: HEAD gave %+v, %v", name, head, err)
		}
		if size > 2 {
			off, n := size/3, size/2
			part, meta, err := next().Get(ctx, "life", name, plain.Range(off, n))
			if err != nil || !bytes.Equal(part, want[off:off+n]) || meta.Size != size {
				t.Errorf("%s: %d bytes from %d: %d bytes, %+v, %v", name, n, off, len(part), meta, err)
			}
			part, _, err = next().Get(ctx, "life", name, plain.H("Range", "bytes=-2"))
			if err != nil || !bytes.Equal(part, want[size-2:]) {
				t.Errorf("%s: the last two bytes: %x, %v", name, part, err)
			}
		}
		if _, _, err := next().Get(ctx, "life", name, plain.Range(size, 1)); plain.Status(err) != http.StatusRequestedRangeNotSatisfiable {
			t.Errorf("%s: a range behind the end: %v", name, err)
		}
		if _, _, err := next().Get(ctx, "life", name, plain.H("If-None-Match", `"`+put.ETag+`"`)); plain.Status(err) != http.StatusNotModified {
			t.Errorf("%s: If-None-Match of the ETag: %v", name, err)
		}
		if err := acked(next().Put(ctx, "life", name, want, plain.IfAbsent())); plain.Status(err) != http.StatusPreconditionFailed {
			t.Errorf("%s: a second creation: %v", name, err)
		}
	}
	must(t, next().Delete(ctx, "life", name))
	if _, err := next().Head(ctx, "life", name); plain.Status(err) != http.StatusNotFound {
		t.Errorf("%s after it was deleted: %v", name, err)
	}
	if err := next().Delete(ctx, "life", name); plain.Status(err) != http.StatusNotFound {
		t.Errorf("%s: second delete: %v", name, err)
	}
	must(t, acked(next().Put(ctx, "life", name, content(3, size), plain.IfAbsent())))
	es, err := gw.List(ctx, "life", plain.ListQuery{Prefix: name})
	if err != nil || len(es) != 1 || es[0].Name != name || es[0].Size != size {
		t.Errorf("%s: listed as %+v, %v", name, es, err)
	}
}

// TestBucketsEverywhereAtOnce creates and destroys one bucket again and again: from the acknowledgement on, every node
// knows, and nothing of a former bucket is left to a later one of its name.
func TestBucketsEverywhereAtOnce(t *testing.T) {
	ctx := context.Background()
	c := Start(t, Spec{Gateways: 3, Targets: 3})
	cs := c.Clients()
	for round := range 15 {
		must(t, cs[round%3].CreateBucket(ctx, "again"))
		each(t, c.Gateways(), func(_ int, cl *plain.Client) error {
			if es, err := cl.List(ctx, "again", plain.ListQuery{}); err != nil || len(es) != 0 {
				return fmt.Errorf("a new bucket holds %v (%w)", es, orSuccess(err))
			}
			return nil
		})
		each(t, cs, func(i int, cl *plain.Client) error {
			if _, _, err := cl.Get(ctx, "again", "same"); plain.Status(err) != http.StatusNotFound {
				return fmt.Errorf("the object of a former bucket: %w", orSuccess(err))
			}
			return nil
		})
		each(t, cs, func(i int, cl *plain.Client) error {
			if err := acked(cl.Put(ctx, "again", fmt.Sprintf("o-%d", i), content(1, 200_000))); err != nil {
				return err
			}
			return acked(cl.Put(ctx, "again", "same", content(uint64(i), 100)))
		})
		if es, err := cs[0].List(ctx, "again", plain.ListQuery{}); err != nil || len(es) != len(cs)+1 {
			t.Errorf("%d objects are listed (%v), want %d", len(es), err, len(cs)+1)
		}
		must(t, cs[(round+1)%3].DestroyBucket(ctx, "again"))
		each(t, cs, func(i int, cl *plain.Client) error {
			if err := acked(cl.Put(ctx, "again", "late", []byte("x"))); plain.Status(err) != http.StatusNotFound {
				return fmt.Errorf("a write to the destroyed bucket: %w", orSuccess(err))
			}
			if _, _, err := cl.Get(ctx, "again", "same"); plain.Status(err) != http.StatusNotFound {
				return fmt.Errorf("a read of the destroyed bucket: %w", orSuccess(err))
			}
			return nil
		})
		bs, err := cs[round%3].Buckets(ctx)
		if err != nil || slices.Contains(bs, "again") {
			t.Errorf("buckets after the destruction: %v, %v", bs, err)
		}
	}
}

// each runs f for all clients at once.
func each(t *testing.T, cs []*plain.Client, f func(i int, c *plain.Client) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i, c := range cs {
		wg.Go(func() {
			if err := f(i, c); err != nil {
				t.Errorf("%s: %v", c.Endpoint(), err)
			}
		})
	}
	wg.Wait()
}

// write fills a bucket and returns what reads it back through every node.
func write(t *testing.T, c *Cluster, bucket string, n int) (readBack func()) {
	t.Helper()
	ctx := context.Background()
	cl := c.Clients()[0]
	must(t, cl.CreateBucket(ctx, bucket))
	for i := range n {
		must(t, acked(cl.Put(ctx, bucket, fmt.Sprintf("o-%d", i), content(uint64(i), int64(10+i*7000)))))
	}
	return func() {
		t.Helper()
		each(t, c.Clients(), func(_ int, cl *plain.Client) error {
			for i := range n {
				b, _, err := cl.Get(ctx, bucket, fmt.Sprintf("o-%d", i))
				if err != nil || !bytes.Equal(b, content(uint64(i), int64(10+i*7000))) {
					return fmt.Errorf("o-%d: %d bytes, %w", i, len(b), orSuccess(err))
				}
			}
			return nil
		})
		each(t, c.Gateways(), func(_ int, cl *plain.Client) error {
			es, err := cl.List(ctx, bucket, plain.ListQuery{PageSize: 7})
			if err != nil || len(es) != n {
				return fmt.Errorf("list of %d objects, want %d: %w", len(es), n, orSuccess(err))
			}
			return nil
		})
	}
}

// TestJoin adds nodes to a cluster that has objects: nothing moves and all are served by the newcomers too.
func TestJoin(t *testing.T) {
	ctx := context.Background()
	c := Start(t, Spec{Gateways: 1, Targets: 2})
	readBack := write(t, c, "joined", 30)
	before, err := c.Client("g1").Smap(ctx)
	must(t, err)
	target, gateway := c.Add(config.RoleTarget, 2), c.Add(config.RoleProxy, 0)
	readBack()
	m, err := c.Client(gateway).Smap(ctx)
	must(t, err)
	if m.UUID != before.UUID || len(m.Targets) != 3 || len(m.Gateways) != 2 {
		t.Errorf("the map of %s after the newcomers joined: %+v", gateway, m)
	}
	if s := m.Targets[target].State; s != "standby" && s != "online" { // it is taken in after rebalance.join_delay
		t.Errorf("a target that joined a cluster with buckets is %q", s)
	}
	must(t, c.Client(gateway).CreateBucket(ctx, "newer"))
	must(t, acked(c.Client(target).Put(ctx, "newer", "x", []byte("x"))))
}

// TestRestart stops nodes, one by one and all together, and starts them with the same directories.
func TestRestart(t *testing.T) {
	ctx := context.Background()
	c := Start(t, Spec{Gateways: 1, Targets: 3, Mountpaths: 2})
	readBack := write(t, c, "kept", 40)
	before, err := c.Client("g1").Smap(ctx)
	must(t, err)
	for _, n := range c.Nodes() {
		c.Stop(n.Name())
		c.Up(n.Name())
		readBack()
	}
	c.Stop()
	c.Up()
	readBack()
	after, err := c.Client("g1").Smap(ctx)
	must(t, err)
	if after.UUID != before.UUID || len(after.Targets) != len(before.Targets) {
		t.Errorf("the cluster was %+v and is %+v", before, after)
	}
	must(t, c.Client("g1").CreateBucket(ctx, "afterwards"))
}

// TestIdentityFromMountpaths lets a target make its own id and takes its directory away: the mountpaths know who it is.
func TestIdentityFromMountpaths(t *testing.T) {
	ctx := context.Background()
	c := Start(t, Spec{Gateways: 1, Targets: 2, Mountpaths: 2, Unnamed: true})
	readBack := write(t, c, "kept", 30)
	before, err := c.Client("g1").Smap(ctx)
	must(t, err)
	c.Stop("t1")
	must(t, os.RemoveAll(c.Node("t1").Config.Dir))
	c.Up("t1")
	readBack()
	after, err := c.Client("g1").Smap(ctx)
	must(t, err)
	if len(after.Targets) != 2 {
		t.Errorf("the cluster has %d targets: %+v", len(after.Targets), after.Targets)
	}
	for id := range before.Targets {
		if after.Targets[id].ID != id {
			t.Errorf("target %s is gone: %+v", id, after.Targets)
		}
	}
}

// TestNames writes objects whose names are none for a file system.
func TestNames(t *testing.T) {
	ctx := context.Background()
	c := Start(t, Spec{Gateways: 1, Targets: 3, Mountpaths: 2})
	names := []string{
		"a", "a/b", "a/b/c", "a/", "a//b", "/a", "//", "/", ".", "..", "../..", "../etc/passwd", "a/../b", "a/./b", "./a", "...",
		"a b", " a", "a ", "a+b", "a%2Fb", "a%20b", "%", "%%", "%zz", "a?b", "a#b", "a&b=c", "a;b", "a:b", "a\\b", "a\"b", "a'b", "a<b>", "a|b", "a*b", "a~b", "[a]", "{a}", "a^b", "a`b", "a,b", "a@b", "a!b$c(d)",
		"ä", "日本語/ファイル", "🙂", "e\u0301", "\u00e9", "a\tb", "a\nb", "a\rb", "\x7f", "\x01", "\u200b", "\ufeff",
		"-", "--help", "_", "CON", "nul", "work", "blobs", ".ais.mountpath", strings.Repeat("n", 255), strings.Repeat("n", 256), strings.Repeat("ü", 512), strings.Repeat("a/", 512),
	}
	cs := c.Clients()
	must(t, cs[0].CreateBucket(ctx, "names"))
	for i, name := range names {
		if err := acked(cs[i%len(cs)].Put(ctx, "names", name, content(uint64(i), 50))); err != nil {
			t.Errorf("PUT %.40q: %v", name, err)
		}
	}
	for i, name := range names {
		for _, cl := range cs {
			b, m, err := cl.Get(ctx, "names", name)
			if err != nil || !bytes.Equal(b, content(uint64(i), 50)) {
				t.Errorf("GET %.40q via %s: %x, %v", name, cl.Endpoint(), b, err)
			}
			_ = m
		}
	}
	want := slices.Clone(names)
	slices.Sort(want)
	for _, size := range []int{0, 1, 3} {
		es, err := cs[0].List(ctx, "names", plain.ListQuery{PageSize: size})
		must(t, err)
		var got []string
		for _, e := range es {
			got = append(got, e.Name)
		}
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Errorf("in pages of %d: %d names, the %dth is %.60q; want %d, %.60q", size, len(got), i, got[min(i, len(got)-1)], len(want), want[min(i, len(want)-1)])
				break
			}
		}
	}
	es, err := cs[0].List(ctx, "names", plain.ListQuery{Prefix: "a/", StartAfter: "a/b"})
	if err != nil || len(es) != 1 || es[0].Name != "a/b/c" {
		t.Errorf("below a/ after a/b: %+v, %v", es, err)
	}
	for _, name := range names {
		must(t, cs[0].Delete(ctx, "names", name))
	}
	if es, err := cs[0].List(ctx, "names", plain.ListQuery{}); err != nil || len(es) != 0 {
		t.Errorf("after all were deleted: %+v, %v", es, err)
	}
}

// TestRawPaths sends paths as clients do that encode little: dots and doubled slashes are part of the name.
func TestRawPaths(t *testing.T) {
	ctx := context.Background()
	c := Start(t, Spec{All: true})
	cl := c.Client("a1")
	must(t, cl.CreateBucket(ctx, "raw"))
	for path, name := range map[string]string{
		"a/../b": "a/../b", "x//y": "x//y", "./z": "./z", "p%2fq": "p/q", "p%2Fr": "p/r", "plus+plus": "plus+plus", "%e4%bd%a0": "你",
		"star*": "star*", "colon:": "colon:", "eq=": "eq=", "a/b/../../../c": "a/b/../../../c",
	} {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(c.Node("a1").Config.Port))
		must(t, err)
		_, err = fmt.Fprintf(conn, "PUT /v1/objects/raw/%s HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", path)
		must(t, err)
		status, err := bufio.NewReader(conn).ReadString('\n')
		_ = conn.Close()
		if err != nil || !strings.Contains(status, " 200 ") {
			t.Errorf("PUT %s: %q, %v", path, status, err)
		}
		if b, _, err := cl.Get(ctx, "raw", name); err != nil || string(b) != "abc" {
			t.Errorf("%s was not written to %q: %q, %v", path, name, b, err)
		}
	}
}

// TestOverwritesNeverMix reads one object as fast as it can while others overwrite it with values of different sizes.
func TestOverwritesNeverMix(t *testing.T) {
	c := Start(t, Spec{Gateways: 1, Targets: 2})
	ctx := context.Background()
	cs := c.Clients()
	must(t, cs[0].CreateBucket(ctx, "mix"))
	must(t, acked(cs[0].Put(ctx, "mix", "x", content(1, 500))))
	var ids atomic.Uint64
	var reads atomic.Int64
	writing, stop := context.WithCancel(ctx)
	var readers, writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 60 {
				size := []int64{100, 5000, 100_000, 140_000, 2 << 20}[(i+w)%5]
				if err := acked(cs[(i+w)%len(cs)].Put(ctx, "mix", "x", content(ids.Add(1), size))); err != nil {
					t.Errorf("overwrite: %v", err)
				}
			}
		})
	}
	for r := range 4 {
		readers.Go(func() {
			for i := 0; writing.Err() == nil; i++ {
				b, m, err := cs[(i+r)%len(cs)].Get(ctx, "mix", "x")
				if err != nil {
					t.Errorf("read during overwrites: %v", err)
					continue
				}
				reads.Add(1)
				v, err := value.Parse(b)
				if err != nil {
					t.Errorf("read a mix: %v", err)
					continue
				}
				if i%4 > 0 || v.Size < 1000 {
					continue
				}
				part, pm, err := cs[r%len(cs)].Get(ctx, "mix", "x", plain.Range(100, 300), plain.IfMatch(m.ETag))
				if plain.Status(err) == http.StatusPreconditionFailed {
					continue
				}
				if err != nil || v.Check(part, 100) != nil || pm.ETag != m.ETag {
					t.Errorf("a range of %s: %v, %v", m.ETag, err, v.Check(part, 100))
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
	t.Logf("%d overwrites, %d reads", ids.Load(), reads.Load())
}

func TestMain(m *testing.M) { procs.Main(m) }

// orSuccess names the error that was missing.
func orSuccess(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}
