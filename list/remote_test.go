package list

import (
	"context"
	"net"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// TestRemote runs the route on a real listener: pages and kinds cross the wire, and the node itself is asked directly.
func TestRemote(t *testing.T) {
	v, b := testView(1)
	f := fill(v, b, []string{"a", "b", "c"})
	local := NewLocal(f.scan("t0"), f)
	remote, stop := overWire(t, local, v)
	defer stop()
	ctx, client := t.Context(), remote.client

	for name, r := range map[string]*Remote{"remote": NewRemote(client, "gateway", nil), "self": NewRemote(client, "t0", local)} {
		res, err := NewLister(r).Page(ctx, v, b, Request{Limit: 2, Fields: Size})
		if err != nil || len(res.Entries) != 2 || res.Next != "b" || res.Entries[1].Name != "b" || res.Entries[1].Size != 1 {
			t.Errorf("%s: %+v %v", name, res, err)
		}
	}
	if _, err := remote.Fetch(ctx, v.Map.Nodes["t0"], &Query{Bucket: b.ID, Epoch: 9, Limit: 1}); !errs.Is(err, errs.StaleMap) {
		t.Errorf("kind lost on the way: %v", err)
	}
	if _, err := remote.Fetch(ctx, &cluster.Node{ID: "x", IntraAddr: "127.0.0.1:1"}, &Query{Limit: 1}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

// overWire serves local as t0 of v, on a real listener.
func overWire(t *testing.T, local *Local, v *cluster.View) (remote *Remote, stop func()) {
	t.Helper()
	router, err := httpx.NewRouter(local.Routes())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- httpx.NewServer(httpx.ServerConfig{Listener: httpx.Intra, Node: "t0"}, router).Serve(ctx, ln)
	}()
	v.Map.Nodes["t0"].IntraAddr = ln.Addr().String()
	client := httpx.NewClient(httpx.ClientConfig{})
	return NewRemote(client, "gateway", nil), func() {
		client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
