package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// after lets the node do its work, then loses the answer; n times.
func (f *fake) afterwards(id cluster.NodeID, n int) *atomic.Int64 {
	var seen atomic.Int64
	f.setFault(id, func(w http.ResponseWriter, r *http.Request) bool {
		if seen.Add(1) > int64(n) {
			return false
		}
		node := f.nodes[id]
		if node.role(node.now()) == cluster.RoleProxy {
			node.bucket(nowhere{http.Header{}}, r, node.now())
		} else {
			node.object(nowhere{http.Header{}}, r, node.now())
		}
		cut(w)
		return true
	})
	return &seen
}

// nowhere is an answer that is lost.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header       { return n.h }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

// before cuts n connections before the node has seen anything of the body.
func (f *fake) before(id cluster.NodeID, n int) *atomic.Int64 {
	var seen atomic.Int64
	f.setFault(id, func(w http.ResponseWriter, _ *http.Request) bool {
		if seen.Add(1) > int64(n) {
			return false
		}
		cut(w)
		return true
	})
	return &seen
}

// TestMapChange moves a key to another target behind the client's back: one refusal, a new map, done. So it is when the
// answering node is the one that lags, and when a bucket was made by somebody else.
func TestMapChange(t *testing.T) {
	f := newFake(t, 1, 3)
	c := f.client(nil)
	b := c.Bucket("bkt")
	key := f.keyOf("t2")
	if _, err := b.Put(t.Context(), key, Bytes([]byte("1")), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	f.moveAway("t2")
	f.requests()
	big := bytes.Repeat([]byte("x"), 5<<20)
	for name, body := range map[string]Body{"bytes": Bytes([]byte("2")), "large": Bytes(big), "stream": Stream(io.MultiReader(bytes.NewReader(big)), -1)} {
		if _, err := b.Put(t.Context(), key, body, PutOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		now := f.owner(key).id
		path := "PUT /v1/objects/bkt/" + key
		if got, want := f.requests(), fmt.Sprintf("t2 %s; %s %s", path, now, path); got != want {
			t.Errorf("%s: requests %q, want %q", name, got, want)
		}
		f.change(func(v *cluster.View) { v.Map.Nodes["t2"].State = cluster.Online; v.Map.Epoch++ })
		if _, err := b.Put(t.Context(), key, Bytes(nil), PutOptions{}); err != nil { // teaches the client the map with t2
			t.Errorf("%s: back: %v", name, err)
		}
		f.moveAway("t2")
		f.requests()
	}

	// The client is ahead of the node.
	old := f.change(func(v *cluster.View) { v.Map.Nodes["t2"].State = cluster.Online; v.Map.Epoch++ })
	if _, err := c.View(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.nodes["t2"].old = old
	f.mu.Unlock()
	var once sync.Once
	f.setFault("t2", func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { // refuses once, with the old map; has caught up when asked again
			go func() { f.mu.Lock(); f.nodes["t2"].old = nil; f.mu.Unlock() }()
		})
		return false
	})
	if _, err := b.Put(t.Context(), key, Bytes([]byte("3")), PutOptions{}); err != nil {
		t.Errorf("node behind: %v", err)
	}

	f.change(func(v *cluster.View) { addBucket(v, "unheard-of") })
	if _, err := c.Bucket("unheard-of").Put(t.Context(), "k", Bytes(nil), PutOptions{}); err != nil {
		t.Errorf("a bucket made elsewhere: %v", err)
	}
}

// TestAnnounced: a map version in an answer makes the client fetch the map before the next request.
func TestAnnounced(t *testing.T) {
	f := newFake(t, 1, 3)
	c := f.client(nil)
	b := c.Bucket("bkt")
	if _, err := b.Put(t.Context(), "k", Bytes(nil), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	key := f.keyOf("t2")
	f.moveAway("t2")
	f.setFault("g0", func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("ais-map-version", fmt.Sprint(f.view.Map.Version))
		return false
	})
	if _, err := b.Props(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.requests()
	if _, err := b.Put(t.Context(), key, Bytes(nil), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := f.requests(); strings.Contains(got, "t2 ") || strings.Contains(got, "g0 ") {
		t.Errorf("requests %q, want one to the new owner", got)
	}
}

// TestRestart: the owner is down for a while and comes back at the same address.
func TestRestart(t *testing.T) {
	f := newFake(t, 2, 2)
	c := f.client(func(o *Options) { o.Retry.Attempts = 1000; o.Retry.Within = time.Minute })
	b := c.Bucket("bkt")
	key := f.keyOf("t1")
	if _, err := b.Put(t.Context(), key, Bytes([]byte("1")), PutOptions{}); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1000)
	back := f.fall("t1", asked)
	done := make(chan error, 1)
	go func() {
		data, _, err := b.GetBytes(t.Context(), key, GetOptions{})
		if err == nil && string(data) != "1" {
			err = fmt.Errorf("read %q", data)
		}
		done <- err
	}()
	for range 4 { // the gateway was asked four times in vain
		<-asked
	}
	back()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// fall takes a node off the net: its listener is closed, and the map says so. The returned function brings it
// back at another address, as a container would come back.
func (f *fake) fall(id cluster.NodeID, asked chan struct{}) func() {
	n := f.nodes[id]
	n.srv.CloseClientConnections()
	n.srv.Close()
	f.change(func(v *cluster.View) { v.Map.Nodes[id].Alive = false })
	f.setFault("g0", func(http.ResponseWriter, *http.Request) bool { asked <- struct{}{}; return false })
	return func() {
		again := &fakeNode{f: f, id: id, objs: n.objs}
		f.mu.Lock()
		f.nodes[id] = again
		f.mu.Unlock()
		again.srv = newServer(f.t, again)
		f.change(func(v *cluster.View) {
			v.Map.Nodes[id].Alive = true
			v.Map.Nodes[id].PublicURL = again.srv.URL
		})
	}
}

// TestGatewayLoss: the only configured gateway goes; the map names another. Then one endpoint of two never was.
func TestGatewayLoss(t *testing.T) {
	f := newFake(t, 3, 2)
	c := f.client(nil)
	if _, err := c.Buckets(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.nodes["g0"].srv.CloseClientConnections()
	f.nodes["g0"].srv.Close()
	for range 5 {
		if _, err := c.Buckets(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := c.Bucket("bkt").Put(t.Context(), "k", Bytes(nil), PutOptions{}); err != nil {
			t.Error(err)
		}
	}
	some := f.client(func(o *Options) { o.Endpoints = []string{"http://127.0.0.1:1", f.nodes["t0"].srv.URL} })
	for range 5 {
		if _, err := some.Buckets(t.Context()); err != nil {
			t.Errorf("one endpoint is no node, the other a target: %v", err)
		}
	}
	target := f.client(func(o *Options) { o.Endpoints = []string{f.nodes["t0"].srv.URL}; o.Retry.Attempts = 5 })
	if _, err := target.Buckets(t.Context()); err != nil {
		t.Errorf("through a target: %v", err)
	}
	for _, g := range []cluster.NodeID{"g1", "g2"} {
		f.nodes[g].srv.CloseClientConnections()
		f.nodes[g].srv.Close()
	}
	_, err := target.Buckets(t.Context())
	for _, want := range []string{"no gateway answers, of g0 g1 g2: http://127.0.0.1", "refused; gave up after 5 attempts"} {
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("no gateway left, and the endpoint is a target: %v does not say %q", err, want)
		}
	}
	none := f.client(func(o *Options) { o.Endpoints = []string{"http://127.0.0.1:1"}; o.Retry.Attempts = 2 })
	if _, err := none.Buckets(t.Context()); !errs.Is(err, errs.Unavailable) && !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := none.View(t.Context()); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), EnvEndpoint) {
		t.Errorf("nobody there: %v", err)
	}
}

// TestLostAnswers loses the answer of requests that were carried out.
func TestLostAnswers(t *testing.T) {
	f := newFake(t, 1, 1)
	c := f.client(nil)
	b := c.Bucket("bkt")
	put := func(body Body, o PutOptions) error { return second(b.Put(t.Context(), "k", body, o)) }
	if err := put(Bytes([]byte("1")), PutOptions{}); err != nil { // a connection to reuse
		t.Fatal(err)
	}

	f.afterwards("t0", 2)
	if err := put(Bytes([]byte("2")), PutOptions{}); err != nil {
		t.Errorf("unconditional put: %v", err)
	}
	f.afterwards("t0", 1)
	if err := b.Delete(t.Context(), "k", DeleteOptions{}); err != nil {
		t.Errorf("delete that was carried out: %v", err)
	}
	f.setFault("t0", nil)
	if err := b.Delete(t.Context(), "k", DeleteOptions{}); !errs.Is(err, errs.NotFound) {
		t.Errorf("delete of nothing: %v", err)
	}
	f.afterwards("g0", 1)
	if err := c.Bucket("fresh").Create(t.Context(), nil); err != nil {
		t.Errorf("create that was carried out: %v", err)
	}
	f.afterwards("g0", 1)
	if err := c.Bucket("fresh").Destroy(t.Context()); err != nil {
		t.Errorf("destroy that was carried out: %v", err)
	}

	for name, do := range map[string]func() error{
		"conditional put": func() error { return put(Bytes([]byte("3")), PutOptions{If: Conditions{IfNoneMatch: []string{"*"}}}) },
		"put once":        func() error { return put(Bytes([]byte("3")), PutOptions{Once: true}) },
		"conditional delete": func() error {
			return b.Delete(t.Context(), "k", DeleteOptions{If: Conditions{IfMatch: []string{"*"}}})
		},
		"append": func() error { return b.Append("k", "").Append(t.Context(), Bytes([]byte("3"))) },
		"rename": func() error { return b.Rename(t.Context(), "k", "l") },
	} {
		seen := f.afterwards("t0", 5)
		err := do()
		if err == nil || seen.Load() != 1 || !strings.Contains(err.Error(), "may have been carried out") {
			t.Errorf("%s: sent %d times: %v", name, seen.Load(), err)
		}
		if !errs.Is(err, errs.Unavailable, errs.Timeout) {
			t.Errorf("%s: kind %v", name, errs.KindOf(err))
		}
	}
}

// TestRefusals: what a server says it has not done is repeated, also when it must not be done twice.
func TestRefusals(t *testing.T) {
	f := newFake(t, 1, 1)
	b := f.client(nil).Bucket("bkt")
	for kind, status := range map[errs.Kind]int{errs.Busy: 503, errs.StaleMap: 503, errs.NotPrimary: 503, errs.WrongOwner: 421} {
		var n atomic.Int64
		f.setFault("t0", func(w http.ResponseWriter, r *http.Request) bool {
			if n.Add(1) > 2 {
				return false
			}
			refuse(w, r, status, kind, "not now")
			return true
		})
		if _, err := b.Put(t.Context(), "new-"+kind.String(), Bytes([]byte("x")), PutOptions{If: Conditions{IfNoneMatch: []string{"*"}}}); err != nil || n.Load() != 3 {
			t.Errorf("%v: sent %d times: %v", kind, n.Load(), err)
		}
	}
	for kind, status := range map[errs.Kind]int{errs.Full: 507, errs.Mountpath: 503, errs.Forbidden: 403, errs.Corrupt: 500, errs.Invalid: 400} {
		var n atomic.Int64
		f.setFault("t0", func(w http.ResponseWriter, r *http.Request) bool {
			n.Add(1)
			refuse(w, r, status, kind, "so it is")
			return true
		})
		_, err := b.Put(t.Context(), "k", Bytes([]byte("x")), PutOptions{})
		if !errs.Is(err, kind) || n.Load() != 1 || !strings.Contains(err.Error(), "so it is") {
			t.Errorf("%v: sent %d times: %v", kind, n.Load(), err)
		}
		if _, err := b.Head(t.Context(), "k", GetOptions{}); !errs.Is(err, kind) || !strings.Contains(err.Error(), "so it is") {
			t.Errorf("%v: head: %v", kind, err)
		}
	}
	for _, node := range []cluster.NodeID{"t0", "g0"} { // the second is asked as the first may have an old map
		f.setFault(node, func(w http.ResponseWriter, r *http.Request) bool {
			refuse(w, r, 404, errs.NoBucket, "no such bucket")
			return true
		})
	}
	if _, err := b.Put(t.Context(), "k", Bytes([]byte("x")), PutOptions{}); !errs.Is(err, errs.NoBucket) || strings.Contains(err.Error(), "attempts") {
		t.Errorf("an answer is taken for giving up: %v", err)
	}
	f.setFault("g0", nil)
	var n atomic.Int64
	f.setFault("t0", func(w http.ResponseWriter, r *http.Request) bool {
		n.Add(1)
		refuse(w, r, 503, errs.Busy, "overload")
		return true
	})
	if _, err := b.Put(t.Context(), "k", Bytes([]byte("x")), PutOptions{}); !errs.Is(err, errs.Busy) || n.Load() != 8 || !strings.Contains(err.Error(), "8 attempts") {
		t.Errorf("for ever busy: sent %d times: %v", n.Load(), err)
	}
}

// TestCutUploads cuts connections while the body is on its way.
func TestCutUploads(t *testing.T) {
	f := newFake(t, 1, 1)
	c := f.client(nil)
	c.own.ExpectContinueTimeout = time.Minute // a busy server is waited for
	b := c.Bucket("bkt")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	f.before("t0", 3)
	if _, err := b.Put(t.Context(), "k", Bytes(big), PutOptions{}); err != nil {
		t.Errorf("bytes: %v", err)
	}
	f.before("t0", 3)
	if _, err := b.Put(t.Context(), "k", Stream(io.MultiReader(bytes.NewReader(big)), -1), PutOptions{}); err != nil {
		t.Errorf("stream that the server has not asked for: %v", err)
	}
	var read atomic.Int64
	f.setFault("t0", func(w http.ResponseWriter, r *http.Request) bool {
		n, _ := io.CopyN(io.Discard, r.Body, 8<<20)
		read.Add(n)
		cut(w)
		return true
	})
	_, err := b.Put(t.Context(), "k", Stream(io.MultiReader(bytes.NewReader(big)), -1), PutOptions{})
	if err == nil || !strings.Contains(err.Error(), "stream that has gone on") || read.Load() != 8<<20 {
		t.Errorf("stream that was half read (%d): %v", read.Load(), err)
	}
	f.setFault("t0", nil)
	got, _, err := b.GetBytes(t.Context(), "k", GetOptions{})
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("after all: %d bytes, %v", len(got), err)
	}
}

func TestPause(t *testing.T) {
	r := Retry{}.WithDefaults()
	last := time.Duration(0)
	for n := 1; n < 200; n++ {
		top := min(r.Min<<min(n-1, 20), r.Max)
		for range 20 {
			if d := r.pause(n, 0); d < top/2 || d > top {
				t.Fatalf("pause %d is %v, outside %v..%v", n, d, top/2, top)
			}
		}
		if top < last {
			t.Fatalf("pause %d is shorter than the one before", n)
		}
		last = top
	}
	if d := r.pause(1, 7*time.Second); d != 7*time.Second {
		t.Errorf("Retry-After of 7s gives %v", d)
	}
	if d := r.pause(1, time.Hour); d != 10*r.Max {
		t.Errorf("Retry-After of an hour gives %v", d)
	}
}

// TestPolling: whenever a job ends, its end is noticed within 10 ms and a quarter of what it took, or a second.
func TestPolling(t *testing.T) {
	var waited time.Duration
	for n := 1; n < 40; n++ {
		pause := polling(n)
		if pause <= 0 || pause > min(10*time.Millisecond+waited/4+time.Microsecond, time.Second) {
			t.Errorf("question %d is asked after %v more, %v after the first", n, pause, waited)
		}
		waited += pause
	}
	if polling(40) != time.Second || polling(1<<40) != time.Second {
		t.Error("long jobs are asked more often than once a second")
	}
}
