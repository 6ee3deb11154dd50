package edge_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"aistore/cluster"
)

// TestTricklingDocument: a document that comes a byte at a time, each well within timeout.request, is not waited for as long as its client likes.
func TestTricklingDocument(t *testing.T) {
	w := newWorld(t, 1)
	if _, err := w.plane.Propose(t.Context(), cluster.SetConfig{Set: map[string]string{"timeout.request": "1s"}}); err != nil {
		t.Fatal(err)
	}
	const tries = 5 // nodes may not know of the setting yet when a request begins
	for try := 1; ; try++ {
		err := trickle(w)
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || try == tries {
			t.Fatal(err)
		}
	}
}

// trickle sends a document a byte at a time, and waits up to 10 s for it to be refused.
func trickle(w *world) error {
	c, br := w.dial("POST /data?delete HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	answered := make(chan error, 1)
	go func() {
		resp, err := http.ReadResponse(br, nil)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != 400 { // RequestTimeout
				err = fmt.Errorf("status %d", resp.StatusCode)
			}
		}
		answered <- err
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-answered:
			return err
		case <-tick.C:
			_, _ = c.Write([]byte(" ")) // fails once the server has closed
		}
	}
}
