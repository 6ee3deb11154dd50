package httpx_test

import (
	"io"
	"net"
	"strings"
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
