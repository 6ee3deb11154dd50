package owner_test

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // ETags are MD5s
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/auth/sigv4"
	"aistore/cluster"
	"aistore/fs"
	"aistore/httpx"
	"aistore/metrics"
	"aistore/node"
	"aistore/object"
	"aistore/s3"
	"aistore/s3/owner"
	"aistore/store"
	"aistore/target"
)

// plane is the control plane of a test: a view that the test changes.
type plane struct {
	mu   sync.Mutex
	view *cluster.View
	news chan struct{}
}

// set makes a newer view; change may replace what a View points to.
func (p *plane) set(change func(v *cluster.View)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := *p.view
	n.Index++
	b, c, m := *n.Buckets, *n.Config, *n.Map
	n.Buckets, n.Config, n.Map = &b, &c, &m
	b.Buckets = map[string]*cluster.Bucket{}
	for k, bk := range p.view.Buckets.Buckets {
		cp := *bk
		b.Buckets[k] = &cp
	}
	change(&n)
	p.view = (&cluster.View{Index: n.Index, Secret: n.Secret, Map: n.Map, Buckets: n.Buckets, Users: n.Users, Config: n.Config}).Freeze()
	close(p.news)
	p.news = make(chan struct{})
}

func (p *plane) get() *cluster.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view
}

// control is one node's end of the plane.
type control struct {
	*plane
	lease error
	seen  func(n int) // is told before the n-th look at the view
	views int
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

func (c *control) Ready() bool                                   { return true }
func (c *control) Latest(context.Context) (*cluster.View, error) { return c.get(), nil }

func (c *control) Lease() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease
}

func (c *control) setLease(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lease = err
}

func (c *control) Watch(after uint64) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.view.Index > after {
		done := make(chan struct{})
		close(done)
		return done
	}
	return c.news
}

// one is one target under test.
type one struct {
	id            cluster.NodeID
	public, intra string
	ctl           *control
	store         *store.Store
	owner         *owner.Owner
}

type world struct {
	t       testing.TB
	plane   *plane
	targets []*one
	onStart []func()
	turns   int // restless: how often names have gone to other targets
	rests   bool
	disks   fs.FS
	began   time.Time
}

var (
	alice  = s3.Caller{ID: "alice-id", Name: "alice", Access: "alice", Addr: "127.0.0.1", Host: "localhost"}
	bob    = s3.Caller{ID: "bob-id", Name: "bob", Access: "bob", Addr: "127.0.0.1", Host: "localhost"}
	nobody = s3.Caller{Addr: "127.0.0.1", Host: "localhost"}
)

// newWorld starts targets with real stores and listeners, and alice's buckets "plain", "kept" (versions enabled) and "other".
func newWorld(t testing.TB, n int) *world {
	t.Helper()
	if restless {
		n = 3
	}
	w := newWorldOn(t, n, fs.OS{})
	w.rests = !restless
	return w
}

// newWorldOn starts it on another file system; names stay where they are.
func newWorldOn(t testing.TB, n int, sys fs.FS) *world {
	t.Helper()
	w := &world{t: t, began: time.Now(), disks: sys, plane: &plane{news: make(chan struct{})}, rests: true}
	v := &cluster.View{
		Index: 1, Secret: []byte("secret"), Config: cluster.DefaultConfig(),
		Map:     &cluster.Map{Version: 1, Epoch: 1, UUID: "u", Nodes: map[cluster.NodeID]*cluster.Node{}},
		Buckets: &cluster.BucketMap{Version: 1, NextID: 100, Buckets: map[string]*cluster.Bucket{}},
		Users:   &cluster.UserMap{Version: 1, Users: map[string]*cluster.User{}},
	}
	for _, c := range []s3.Caller{alice, bob} {
		v.Users.Users[c.Name] = &cluster.User{Name: c.Name, ID: c.ID, Display: c.Name, Role: cluster.Plain, Email: c.Name + "@example.com",
			Keys: []cluster.AccessKey{{Access: c.Access, Secret: c.Name + "-secret"}}}
	}
	for i, name := range []string{"plain", "kept", "other"} {
		b := &cluster.Bucket{ID: uint64(i + 1), Name: name, Seed: uint64(i + 1), Owner: alice.ID, Props: cluster.DefaultBucketProps()}
		if name == "kept" {
			b.Props.S3.Versioning = cluster.VersioningEnabled
		}
		v.Buckets.Buckets[b.Key()] = b
	}
	for i := range n {
		w.targets = append(w.targets, w.start(cluster.NodeID(fmt.Sprintf("t%d", i+1)), v))
	}
	w.plane.view = v.Freeze()
	for _, f := range w.onStart {
		f()
	}
	return w
}

func (w *world) start(id cluster.NodeID, v *cluster.View) *one {
	t := w.t
	o := &one{id: id, ctl: &control{plane: w.plane}}
	dir := t.TempDir()
	cfg := store.Config{FS: w.disks, Mountpaths: []string{dir + "/1", dir + "/2"}, NodeID: string(id)}
	if _, held := w.disks.(*fs.Faulty); held { // a test makes calls wait: none is to be that of a look at the disks, for which reads wait
		cfg.HealthEvery = time.Hour
	}
	var err error
	if o.store, err = store.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	out := io.Discard
	level := "info"
	if testing.Verbose() {
		out = t.Output()
	}
	logs, err := node.NewLogs(out, level, "text")
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.NewClient(httpx.ClientConfig{})
	nd := node.New(node.Config{ID: id, Role: cluster.RoleTarget, Control: o.ctl, Client: client, Metrics: metrics.New(nil), Logs: logs, Disks: o.store.Mountpaths})
	tg := target.New(nd, o.store)
	o.owner = owner.New(nd, tg, sigv4.New())
	tg.AddRoutes(o.owner.Routes()...)
	var ls node.Listeners
	for _, ln := range []*net.Listener{&ls.Public, &ls.Intra} {
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	o.public, o.intra = "http://"+ls.Public.Addr().String(), "http://"+ls.Intra.Addr().String()
	v.Map.Nodes[id] = &cluster.Node{
		ID: id, Role: cluster.RoleTarget, State: cluster.Online, Alive: true, Weight: 100, Digest: cluster.NodeDigest(string(id)),
		PublicURL: o.public, IntraAddr: ls.Intra.Addr().String(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		<-ready
		done <- nd.Run(ctx, ls, append(nd.Routes(), tg.Routes()...), node.Part{Name: "target", Run: tg.Run})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", id, err)
		}
		client.Close()
		if err := o.store.Close(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	})
	w.onStart = append(w.onStart, func() { close(ready) })
	return o
}

func (w *world) bucket(name string) *cluster.Bucket { return w.plane.get().Buckets.Get("", name) }

// configure changes the S3 properties of a bucket.
func (w *world) configure(name string, change func(p *cluster.S3Props)) {
	w.plane.set(func(v *cluster.View) { change(&v.Buckets.Get("", name).Props.S3) })
}

func (w *world) ownerOf(bucket, key string) *one {
	v := w.plane.get()
	id := v.Owner(v.Buckets.Get("", bucket), key).ID
	for _, o := range w.targets {
		if o.id == id {
			return o
		}
	}
	panic("no owner")
}

// keyOf returns a name in bucket that o owns, in a restless world any name.
func (w *world) keyOf(o *one, bucket, prefix string) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint(prefix, i); !w.rests || w.ownerOf(bucket, key) == o {
			return key
		}
	}
}

// call is one request of a test; who is alice when nobody is named.
type call struct {
	method, bucket, key, query string
	body                       []byte
	stream                     io.Reader // in place of body
	header                     []string  // key, value, key, value ...
	who                        *s3.Caller
}

type answer struct {
	*http.Response
	body []byte
}

// code returns the code of an error document.
func (a *answer) code() string {
	_, rest, _ := strings.Cut(string(a.body), "<Code>")
	code, _, _ := strings.Cut(rest, "</Code>")
	return code
}

// element returns the text of the first element of the name.
func (a *answer) element(name string) string {
	_, rest, _ := strings.Cut(string(a.body), "<"+name+">")
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

// open sends a request and returns the reply with its body unread.
func (w *world) open(c call) *http.Response {
	w.t.Helper()
	if !w.rests {
		w.turn()
	}
	o := w.ownerOf(c.bucket, c.key)
	url := append([]byte(o.intra+s3.PathOwner), fmt.Sprintf("/%d/", w.bucket(c.bucket).ID)...)
	url = httpx.AppendPath(url, c.key)
	if c.query != "" {
		url = append(append(url, '?'), c.query...)
	}
	body := c.stream
	if body == nil {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), c.method, string(url), body)
	if err != nil {
		w.t.Fatal(err)
	}
	who := alice
	if c.who != nil {
		who = *c.who
	}
	if who.Body.Decoded == 0 {
		who.Body.Decoded = int64(len(c.body))
	}
	req.Header.Set(s3.HeaderCaller, string(who.Append(nil)))
	for i := 0; i+1 < len(c.header); i += 2 {
		req.Header.Add(c.header[i], c.header[i+1])
	}
	resp, err := plainHTTP.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", c.method, c.key, err)
	}
	return resp
}

func (w *world) do(c call) *answer {
	w.t.Helper()
	resp := w.open(c)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: body: %v", c.method, c.key, err)
	}
	return &answer{resp, b}
}

// want is do with a status and, for errors, a code.
func (w *world) want(status int, code string, c call) *answer {
	w.t.Helper()
	a := w.do(c)
	if a.StatusCode != status || status >= 400 && c.method != "HEAD" && a.code() != code {
		w.t.Fatalf("%s %s/%s?%s %q: status %d %s, want %d %s: %.400q", c.method, c.bucket, c.key, c.query, c.header, a.StatusCode, a.code(), status, code, a.body)
	}
	return a
}

var plainHTTP = &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 5 * time.Second, DisableCompression: true}}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32()) //nolint:gosec // any bytes do
	}
	return b
}

func etag(b []byte) string {
	sum := md5.Sum(b) //nolint:gosec // an ETag
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

const unsignedTrailer = sigv4.UnsignedTrailer

// versions counts what a bucket holds on a target.
func (o *one) versions(t testing.TB, bucket uint64) (versions, markers int) {
	t.Helper()
	err := o.store.ListVersions(t.Context(), store.VersionQuery{Bucket: bucket}, func(i *object.Info) bool {
		if i.DeleteMarker {
			markers++
		} else {
			versions++
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return versions, markers
}

func (w *world) name(bucket, key string) object.Name {
	return object.Name{Bucket: w.bucket(bucket).ID, Key: key}
}
