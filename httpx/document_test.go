package httpx_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/errs"
	"aistore/httpx"
)

// TestTricklingDocument: a client that sends its document a byte at a time, each well within the progress timeout, does not hold its place for as long as it likes.
func TestTricklingDocument(t *testing.T) {
	read := make(chan error, 1)
	url, _ := start(t, append(basic(), httpx.Route{
		Method: "POST", Path: "/document", Op: "document", Policy: httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData, MaxBody: 1 << 20},
		Handler: func(c *httpx.Ctx) error {
			_, err := c.ReadAll(1 << 20)
			read <- err
			return err
		},
	}), func(c *httpx.ServerConfig) { c.Limits.Progress = 200 * time.Millisecond })
	cn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer cn.Close()
	if _, err := io.WriteString(cn, "POST /document HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-read:
			if !errs.Is(err, errs.Timeout) {
				t.Errorf("the document was waited for: %v", err)
			}
			return
		case <-tick.C:
			_, _ = cn.Write([]byte("x")) // fails once the server has closed; read tells
		}
	}
}

// TestDocumentsAreBounded: requests that hold as much of long bodies as there is memory for leave none to the next, until they end. Short bodies need none.
func TestDocumentsAreBounded(t *testing.T) {
	const limit = 16 << 20
	hold, held := make(chan struct{}), make(chan struct{})
	url, _ := start(t, append(basic(), httpx.Route{
		Method: "POST", Path: "/document", Op: "document", Policy: httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData, MaxBody: limit},
		Handler: func(c *httpx.Ctx) error {
			if _, err := c.ReadAll(limit); err != nil {
				return err
			}
			if c.Query("hold") != "" {
				held <- struct{}{}
				<-hold
			}
			return nil
		},
	}))
	post := func(query string, size int) int {
		rep, err := http.Post(url+"/document"+query, "text/plain", io.MultiReader(bytes.NewReader(make([]byte, size)))) // chunked
		if err != nil {
			t.Error(err)
			return 0
		}
		rep.Body.Close()
		return rep.StatusCode
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if code := post("?hold=1", limit); code != http.StatusOK {
				t.Errorf("a document there was memory for: %d", code)
			}
		})
		<-held
	}
	if code := post("", limit); code != http.StatusServiceUnavailable {
		t.Errorf("one document too many: %d, want 503", code)
	}
	if code := post("", 100<<10); code != http.StatusOK {
		t.Errorf("a short one: %d", code)
	}
	close(hold)
	wg.Wait()
	if code := post("", limit); code != http.StatusOK {
		t.Errorf("after the others have ended: %d", code)
	}
}
