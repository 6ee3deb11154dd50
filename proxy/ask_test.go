package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// other adds a target that answers with h.
func (w *world) other(id cluster.NodeID, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	w.t.Cleanup(s.Close)
	w.plane.must(w.t, cluster.Join{Node: cluster.Node{ID: id, Role: cluster.RoleTarget, PublicURL: "http://127.0.0.1:9", IntraAddr: s.Listener.Addr().String()}})
	w.plane.must(w.t, cluster.SetAlive{Back: []cluster.NodeID{id}})
	return s
}

// TestCheckIsWaitedFor: a target that looks through its index, and perhaps reads every byte, says nothing until it has ended.
func TestCheckIsWaitedFor(t *testing.T) {
	cfg := httpx.ClientConfig{Progress: 500 * time.Millisecond}
	w := startAs(t, cfg, true)
	checking, found := make(chan bool, 1), make(chan bool)
	silent := make(chan bool)
	at := w.other("t2", func(rw http.ResponseWriter, r *http.Request) {
		wait := silent
		if r.URL.Query().Get(api.QueryWhat) == api.WhatCheck {
			checking <- true
			wait = found
		}
		<-wait
		_, _ = rw.Write([]byte(`{"kept":7}`))
	})
	defer close(silent)
	report := make(chan string)
	go func() { report <- w.do("GET", "/v1/cluster?what=check&deep=true", nil).body }()
	<-checking
	cl := httpx.NewClient(cfg)
	defer cl.Close()
	if err := cl.JSON(t.Context(), "GET", at.URL+"/v1/daemon?what=stats", nil, nil); !errs.Is(err, errs.Timeout) { // as long as others are waited for
		t.Fatal(err)
	}
	close(found)
	if r := <-report; !strings.Contains(r, `"kept":7`) || strings.Contains(r, `"t2":"`) {
		t.Errorf("%s", r)
	}
}

// TestEndOfAllIsToldAtOnce: what is known of some nodes is noted while others answer (make race).
func TestEndOfAllIsToldAtOnce(t *testing.T) {
	w := start(t)
	for i := range 20 {
		id := cluster.NodeID(fmt.Sprintf("t%d", 10+i))
		w.other(id, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) })
		if i%2 == 0 {
			w.plane.must(t, cluster.SetAlive{Lost: []cluster.NodeID{id}})
		}
	}
	w.action(501, "PUT", "/v1/cluster", api.ActShutdownCluster, nil) // this process is not ended from outside
}
