package node

import (
	"context"
	"net"
	"strings"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

type fakeControl struct{ v *cluster.View }

func (f *fakeControl) View() *cluster.View                           { return f.v }
func (f *fakeControl) Watch(uint64) <-chan struct{}                  { return nil }
func (f *fakeControl) Latest(context.Context) (*cluster.View, error) { return f.v, nil }
func (f *fakeControl) Lease() error                                  { return nil }
func (f *fakeControl) Ready() bool                                   { return true }

func testView() *cluster.View { return viewOf(7) }

// viewOf is a view whose bucket b has that id.
func viewOf(id uint64) *cluster.View {
	b := &cluster.Bucket{ID: id, Name: "b", Seed: 1, Props: cluster.DefaultBucketProps()}
	nd := &cluster.Node{ID: "t1", Role: cluster.RoleTarget, State: cluster.Online, Alive: true, PublicURL: "http://127.0.0.1:9", Weight: 100, Digest: cluster.NodeDigest("t1")}
	v := &cluster.View{
		Map:     &cluster.Map{Version: 3, Epoch: 2, Nodes: map[cluster.NodeID]*cluster.Node{"t1": nd}},
		Buckets: &cluster.BucketMap{Buckets: map[string]*cluster.Bucket{b.Key(): b}},
		Config:  cluster.DefaultConfig(),
		Secret:  []byte("secret"),
	}
	return v.Freeze()
}

// TestRedirect lets one handler redirect and another check what comes back, whole and damaged.
func TestRedirect(t *testing.T) {
	control := &fakeControl{testView()}
	n := &Node{ID: "t1", control: control}
	var got Routing
	serve := func(c *httpx.Ctx) error {
		o, err := n.ResolveObject(c, c.Rest())
		if err != nil {
			return err
		}
		if c.HasQuery("go") {
			c.Redirect(n.RedirectURL(c, &o))
			return nil
		}
		got, err = n.ReadRouting(c, &o)
		c.SetHeader("key", o.Key)
		return err
	}
	p := httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData}
	r, err := httpx.NewRouter([]httpx.Route{{Method: "*", Path: "/v1/objects/*", Op: "o", Policy: p, Handler: serve}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- httpx.NewServer(httpx.ServerConfig{}, r).Serve(ctx, ln) }()
	defer func() { cancel(); <-done }()
	base := "http://" + ln.Addr().String()
	cl := httpx.NewClient(httpx.ClientConfig{})
	defer cl.Close()
	do := func(method, url string) (*httpx.Reply, error) {
		rep, err := cl.Do(ctx, &httpx.Call{Method: method, URL: url})
		if err == nil {
			rep.Close()
		}
		return rep, err
	}

	for _, key := range []string{"a", "a/b//c", "with space?&=#%", "ünï/../.."} {
		path := string(httpx.AppendPath([]byte("/v1/objects/b/"), key))
		rep, err := do("GET", base+path+"?go&ais-s=stale&x=1")
		if err != nil || rep.Status != 307 {
			t.Fatalf("%q: %v", key, err)
		}
		loc := strings.Replace(rep.Header("Location"), "http://127.0.0.1:9", base, 1)
		loc = strings.Replace(loc, "&go", "", 1)
		if rep, err = do("GET", loc); err != nil || rep.Header("key") != key || !got.Signed || got.Epoch != 2 {
			t.Errorf("%q: %+v %v at %s", key, got, err, loc)
		}
		for name, bad := range map[string]string{
			"other name":   strings.Replace(loc, "?", "x?", 1),
			"other epoch":  strings.Replace(loc, "ais-e=2", "ais-e=3", 1),
			"other bucket": strings.Replace(loc, "ais-b=7", "ais-b=8", 1),
			"later expiry": strings.Replace(loc, "ais-x=1", "ais-x=2", 1),
			"no expiry":    strings.Replace(loc, "ais-x=", "ais-z=", 1),
		} {
			if _, err := do("GET", bad); !errs.Is(err, errs.Unauthorized) {
				t.Errorf("%q, %s: %v", key, name, err)
			}
		}
		if _, err := do("DELETE", loc); !errs.Is(err, errs.Unauthorized) {
			t.Errorf("%q, other method: %v", key, err)
		}
		for _, id := range []uint64{6, 8} { // it may be this node that is behind
			control.v = viewOf(id)
			if _, err := do("GET", loc); !errs.Is(err, errs.StaleMap) {
				t.Errorf("%q, routed by bucket 7 where it is %d: %v", key, id, err)
			}
		}
		control.v = testView()
	}
	for path, kind := range map[string]errs.Kind{
		"/v1/objects/":                  errs.Invalid,
		"/v1/objects/b":                 errs.Invalid,
		"/v1/objects/b/":                errs.Invalid,
		"/v1/objects/nope/a":            errs.NoBucket,
		"/v1/objects/b/a?provider=aws":  errs.Unsupported,
		"/v1/objects/b/a?provider=what": errs.Invalid,
		"/v1/objects/b/%00":             errs.Invalid,
		"/v1/objects/b/%ff":             errs.Invalid,
		"/v1/objects/b/%zz":             errs.Invalid,
	} {
		if _, err := do("GET", base+path); !errs.Is(err, kind) {
			t.Errorf("%s: %v, want %v", path, err, kind)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	var ss signers
	v := testView()
	var buf [64]byte
	b.ReportAllocs()
	for b.Loop() {
		ss.of(v).append(buf[:0], "GET", 7, 2, 1234567890, "some/object/name")
	}
}
