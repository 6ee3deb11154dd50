package target_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/httpx"
	"aistore/metrics"
	"aistore/node"
	"aistore/store"
	"aistore/target"
)

// plane is the control plane of a test: a view that the test changes.
type plane struct {
	mu    sync.Mutex
	view  *cluster.View
	news  chan struct{}
	ahead *cluster.View // what Latest finds
}

func (p *plane) set(change func(v *cluster.View)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view = changed(p.view, change)
	p.ahead = nil
	close(p.news)
	p.news = make(chan struct{})
}

// setAhead makes a newer view that only Latest knows.
func (p *plane) setAhead(change func(v *cluster.View)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead = changed(p.view, change)
}

// changed copies v as deep as tests change it.
func changed(v *cluster.View, change func(v *cluster.View)) *cluster.View {
	n := &cluster.View{Index: v.Index + 1, Secret: v.Secret}
	m, b, c := *v.Map, *v.Buckets, *v.Config
	n.Map, n.Buckets, n.Config = &m, &b, &c
	m.Nodes = map[cluster.NodeID]*cluster.Node{}
	for id, nd := range v.Map.Nodes {
		cp := *nd
		m.Nodes[id] = &cp
	}
	b.Buckets = map[string]*cluster.Bucket{}
	for k, bk := range v.Buckets.Buckets {
		cp := *bk
		b.Buckets[k] = &cp
	}
	change(n)
	return n.Freeze()
}

func (p *plane) get() *cluster.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view
}

// control is one node's end of the plane.
type control struct {
	*plane
	mu    sync.Mutex
	lease error
	guard func(n int) error // what the n-th look at the lease finds
	looks int
	seen  func(n int) // is told before the n-th look at the view
	views int

	starting atomic.Bool // its start is not accepted yet
}

func (c *control) View() *cluster.View {
	c.mu.Lock()
	c.views++
	n, seen := c.views, c.seen
	c.mu.Unlock()
	if seen != nil {
		seen(n)
	}
	return c.get()
}

func (c *control) onView(seen func(n int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen, c.views = seen, 0
}

func (c *control) Ready() bool { return !c.starting.Load() }

func (c *control) Lease() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looks++
	if c.guard != nil {
		return c.guard(c.looks)
	}
	return c.lease
}

func (c *control) setLease(err error, guard func(int) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lease, c.guard, c.looks = err, guard, 0
}

func (c *control) Latest(context.Context) (*cluster.View, error) {
	c.plane.mu.Lock()
	defer c.plane.mu.Unlock()
	if c.ahead != nil {
		c.view, c.ahead = c.ahead, nil
		close(c.news)
		c.news = make(chan struct{})
	}
	return c.view, nil
}

func (c *control) Watch(after uint64) <-chan struct{} {
	c.plane.mu.Lock()
	defer c.plane.mu.Unlock()
	if c.view.Index > after {
		done := make(chan struct{})
		close(done)
		return done
	}
	return c.news
}

// one is one target under test.
type one struct {
	id    cluster.NodeID
	url   string
	ctl   *control
	store *store.Store
	dir   string
	node  cluster.Node // as it joins
	stop  func()

	target *target.Target
}

type world struct {
	t       testing.TB
	plane   *plane
	targets []*one
	onStart []func()
	disk    fs.FS // nil: the real one
}

// newWorld starts targets with real stores and listeners, and the buckets "b" (xxhash) and "plain" (no checksum).
func newWorld(t testing.TB, n int, disk ...fs.FS) *world {
	t.Helper()
	w := &world{t: t, disk: append(disk, nil)[0], plane: &plane{news: make(chan struct{})}}
	v := &cluster.View{
		Index: 1, Secret: []byte("secret"), Config: cluster.DefaultConfig(),
		Map:     &cluster.Map{Version: 1, Epoch: 1, UUID: "u", Nodes: map[cluster.NodeID]*cluster.Node{}},
		Buckets: &cluster.BucketMap{Version: 1, NextID: 100, Buckets: map[string]*cluster.Bucket{}},
	}
	for i, name := range []string{"bk", "plain", "volatile", "checked"} {
		b := &cluster.Bucket{ID: uint64(i + 1), Name: name, Seed: uint64(i + 1), Props: cluster.DefaultBucketProps()}
		switch name {
		case "plain":
			b.Props.Checksum = 0
		case "volatile":
			b.Props.Durability = cluster.Volatile
		case "checked":
			b.Props.ValidateOnGet = true
		}
		v.Buckets.Buckets[b.Key()] = b
	}
	for i := range n {
		w.targets = append(w.targets, w.start(cluster.NodeID(fmt.Sprintf("t%d", i+1)), v))
	}
	w.plane.mu.Lock()
	w.plane.view = v.Freeze()
	w.plane.mu.Unlock()
	for _, f := range w.onStart {
		f()
	}
	return w
}

func (w *world) start(id cluster.NodeID, v *cluster.View) *one {
	o := &one{id: id, ctl: &control{plane: w.plane}, dir: w.t.TempDir()}
	w.launch(o)
	nd := o.node
	v.Map.Nodes[id] = &nd
	return o
}

// launch opens o's store and listeners; the last of w.onStart serves.
func (w *world) launch(o *one) {
	t, id := w.t, o.id
	var err error
	if o.store, err = store.Open(t.Context(), store.Config{FS: w.disk, Mountpaths: []string{o.dir + "/1", o.dir + "/2"}, NodeID: string(id)}); err != nil {
		t.Fatal(err)
	}
	out := io.Discard
	if testing.Verbose() {
		out = t.Output()
	}
	level := "debug"
	if _, bench := t.(*testing.B); bench {
		level = "info"
	}
	logs, err := node.NewLogs(out, level, "text")
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.NewClient(httpx.ClientConfig{})
	nd := node.New(node.Config{ID: id, Role: cluster.RoleTarget, Control: o.ctl, Client: client, Metrics: metrics.New(nil), Logs: logs, Disks: o.store.Mountpaths})
	tg := target.New(nd, o.store)
	o.target = tg
	var ls node.Listeners
	for _, ln := range []*net.Listener{&ls.Public, &ls.Intra} {
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	o.url = "http://" + ls.Public.Addr().String()
	o.node = cluster.Node{
		ID: id, Role: cluster.RoleTarget, State: cluster.Online, Alive: true, Weight: 100, Digest: cluster.NodeDigest(string(id)),
		PublicURL: o.url, IntraAddr: ls.Intra.Addr().String(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		<-ready
		done <- nd.Run(ctx, ls, append(nd.Routes(), tg.Routes()...), node.Part{Name: "target", Run: tg.Run})
	}()
	st := o.store
	o.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", id, err)
		}
		client.Close()
		if err := st.Close(); err != nil && w.disk == nil {
			t.Errorf("%s: %v", id, err)
		}
	})
	t.Cleanup(o.stop)
	w.onStart = append(w.onStart, func() { close(ready) })
}

// owner returns the target that owns a name, and another one.
func (w *world) owner(bucket, key string) (mine, other *one) {
	v := w.plane.get()
	id := v.Owner(v.Buckets.Get("", bucket), key).ID
	for _, o := range w.targets {
		if o.id == id {
			mine = o
		} else {
			other = o
		}
	}
	return mine, other
}

// keyOf returns a name in bucket that o owns.
func (w *world) keyOf(o *one, bucket, prefix string) string {
	for i := 0; ; i++ {
		key := fmt.Sprint(prefix, i)
		if mine, _ := w.owner(bucket, key); mine == o {
			return key
		}
	}
}

// call is one request of a test.
type call struct {
	method, path string
	body         []byte
	header       []string // key, value, key, value ...
}

type answer struct {
	*http.Response
	body []byte
}

func (a *answer) kind() errs.Kind {
	if k := a.Header.Get("ais-error-kind"); k != "" {
		return errs.ParseKind(k)
	}
	return 0
}

// do sends a request with net/http, which follows no redirect.
func (o *one) do(t testing.TB, c call) *answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.method, o.url+c.path, bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(c.header); i += 2 {
		req.Header.Add(c.header[i], c.header[i+1])
	}
	resp, err := noFollow.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", c.method, c.path, err)
	}
	return &answer{resp, b}
}

func (o *one) want(t testing.TB, status int, c call) *answer {
	t.Helper()
	a := o.do(t, c)
	if a.StatusCode != status {
		t.Fatalf("%s %s %q: status %d, want %d: %.300q", c.method, c.path, c.header, a.StatusCode, status, a.body)
	}
	return a
}

var noFollow = &http.Client{
	Transport:     &http.Transport{ExpectContinueTimeout: 5e9, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
