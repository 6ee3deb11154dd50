package edge_test

import (
	"io"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/httpx"
)

// addMute adds a target that takes what it is sent and answers nothing, as one that is paused or has lost its power. Each time that bytes come, it
// says so.
func (w *world) addMute(id cluster.NodeID) (heard <-chan struct{}) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = l.Close() })
	news := make(chan struct{}, 64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.t.Cleanup(func() { _ = c.Close() })
			go func() { _, _ = io.Copy(said(news), c) }()
		}
	}()
	w.remap(func(m *cluster.Map) {
		m.Nodes[id] = &cluster.Node{
			ID: id, Role: cluster.RoleTarget, State: cluster.Online, Alive: true, Weight: 100, Digest: cluster.NodeDigest(string(id)),
			PublicURL: "http://" + l.Addr().String(), IntraAddr: l.Addr().String(),
		}
	})
	return news
}

// said hears of what is written.
type said chan<- struct{}

// Write implements io.Writer.
func (s said) Write(p []byte) (int, error) {
	s <- struct{}{}
	return len(p), nil
}

// remap has all nodes see another cluster map.
func (w *world) remap(change func(*cluster.Map)) {
	p := w.plane
	p.mu.Lock()
	defer p.mu.Unlock()
	m := *p.machine.Map
	m.Version++
	m.Nodes = maps.Clone(m.Nodes)
	change(&m)
	p.machine.Map = &m
	p.machine.Index++
	p.view = p.machine.View()
	close(p.news)
	p.news = make(chan struct{})
}

// TestLostOwner: who waits for a target that is lost has an answer soon also where the request was not relayed to it: keys of a DeleteObjects, the source of
// a copy, the file of a form.
func TestLostOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	heard := w.addMute("t9")
	v := w.plane.View()
	key := func(owner cluster.NodeID, prefix string) string {
		for {
			prefix += "x"
			if v.Owner(v.Buckets.Get("", "data"), prefix).ID == owner {
				return prefix
			}
		}
	}
	lost, here := key("t9", ""), key("t1", "")
	w.want(200, "", call{method: "PUT", path: "/data/" + here, body: []byte("here")})
	answers := map[string]chan *answer{}
	for name, c := range map[string]call{
		"delete": {method: "POST", path: "/data?delete", body: []byte("<Delete><Object><Key>" + lost + "</Key></Object><Object><Key>" + here + "</Key></Object></Delete>")},
		"copy":   {method: "PUT", path: "/data/" + key("t1", "to"), header: []string{"x-amz-copy-source", "/data/" + lost}},
		"form":   newForm(key("t9", "up/"), text(20)).call(),
	} {
		done := make(chan *answer, 1)
		answers[name] = done
		go func() { done <- w.do(c) }()
		<-heard // one after the other, so that each has gone out
	}
	for range 20 { // and those who sent it wait for the answer
		w.want(200, "", call{method: "GET", path: "/data?location"})
	}
	alive := false
	w.remap(setAlive("t9", alive))
	// A call that was sent and did not wait yet is not among those that end soon: the node is lost once more then.
	again, late := time.NewTicker(3*httpx.Impatience/2), time.After(6*httpx.Impatience)
	defer again.Stop()
	for name, done := range answers {
		var a *answer
		for a == nil {
			select {
			case a = <-done:
			case <-again.C:
				alive = !alive
				w.remap(setAlive("t9", alive))
			case <-late:
				t.Fatalf("%s: no answer", name)
			}
		}
		if name != "delete" {
			if a.StatusCode != 503 || a.code() != "ServiceUnavailable" {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			}
			continue
		}
		if s := string(a.body); a.StatusCode != 200 || !strings.Contains(s, "<Deleted><Key>"+here+"</Key></Deleted>") || a.code() != "ServiceUnavailable" {
			t.Errorf("%s: %d %s", name, a.StatusCode, s)
		}
	}
}

func setAlive(id cluster.NodeID, alive bool) func(*cluster.Map) {
	return func(m *cluster.Map) {
		n := *m.Nodes[id]
		n.Alive = alive
		m.Nodes[id] = &n
	}
}
