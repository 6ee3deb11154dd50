package edge_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"aistore/cluster"
)

// TestBodyIsReadOnce: a target that has read a body as the owner, and finds that the key has gone to another and come back meanwhile, asks the client to try
// again. It does not serve what is left of the body.
func TestBodyIsReadOnce(t *testing.T) {
	w := newWorld(t, 2)
	v := w.plane.View()
	key := ""
	for i := 0; key == "" || v.Owner(v.Buckets.Get("", "data"), key).ID != "t1"; i++ {
		key = fmt.Sprint("k", i)
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(w.urls[1], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	body := bytes.Repeat([]byte("x"), 1<<20)
	target := w.presigned("PUT", "/data/"+key, 0, 1)
	if _, err := fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", target, c.RemoteAddr(), len(body)); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 100 { // the owner reads
		t.Fatalf("%v %v", resp, err)
	}
	for _, step := range []cluster.Transition{cluster.StartMaintenance, cluster.StopMaintenance} {
		if _, err := w.plane.Propose(t.Context(), cluster.MoveNodes{IDs: []cluster.NodeID{"t1"}, Step: step}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write(body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 503 {
		t.Errorf("status %d, want 503", resp.StatusCode)
	}
}
