package httpx_test

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/errs"
	"aistore/httpx"
)

// TestRelayLost: of relays to a node that is lost those that wait for its reply end soon, and others go on, as do those to other nodes.
func TestRelayLost(t *testing.T) {
	bothWays(t, func(t *testing.T, cfg httpx.ClientConfig) {
		entered, stand := make(chan struct{}, 8), make(chan struct{})
		defer close(stand)
		slow := func(c *httpx.Ctx) error {
			entered <- struct{}{}
			return c.Send(20, slowly{})
		}
		still := func(*httpx.Ctx) error {
			entered <- struct{}{}
			<-stand
			return nil
		}
		routes := []httpx.Route{
			{Method: "GET", Path: "/slow", Op: "slow", Policy: dataPolicy, Handler: slow},
			{Method: "*", Path: "/still", Op: "still", Policy: dataPolicy, Handler: still},
		}
		gone, _ := start(t, routes)
		other, _ := start(t, routes)
		cl := client(t, cfg)
		done := make(chan error, 8)
		relay := httpx.Route{Method: "*", Path: "/*", Op: "relay", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
			to, target := gone, c.Target()
			if rest, ok := strings.CutPrefix(target, "/other"); ok {
				to, target = other, rest
			}
			err := c.Relay(cl, &httpx.Relay{Addr: strings.TrimPrefix(to, "http://"), Target: target})
			if to == gone {
				done <- err
			}
			return err
		}}
		url, _ := start(t, []httpx.Route{relay})
		var wg sync.WaitGroup
		ask := func(method, path, body string, status int, want string) {
			wg.Go(func() {
				r := dial(t, url)
				r.send(method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + body)
				if status == 0 {
					return
				}
				if resp, got := r.reply(method); resp.StatusCode != status || want != "" && got != want {
					t.Errorf("%s %s: %d %q", method, path, resp.StatusCode, got)
				}
			})
		}
		ask("GET", "/slow", "\r\n", 200, strings.Repeat("x", 20))
		ask("GET", "/still", "\r\n", 503, "")
		ask("PUT", "/still", "Content-Length: 3\r\n\r\nabc", 503, "")
		ask("GET", "/other/still", "\r\n", 0, "")
		for range 4 {
			<-entered
		}
		since := time.Now()
		cl.Lost(strings.TrimPrefix(gone, "http://"))
		wg.Wait()
		failed := 0
		for range 3 {
			if err := <-done; errs.Is(err, errs.Unavailable) {
				failed++
			} else if err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(since); failed != 2 || took > 4*httpx.Impatience {
			t.Errorf("%d failed, after %v", failed, took)
		}
	})
}

// slowly is 20 bytes that come over a longer time than a relay may stand still.
type slowly struct{}

func (slowly) WriteBody(w io.Writer) error {
	f, _ := w.(interface{ Flush() error })
	step := time.NewTicker(httpx.Impatience / 15)
	defer step.Stop()
	for range 20 {
		<-step.C
		if _, err := io.WriteString(w, "x"); err != nil {
			return err
		}
		if err := f.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (slowly) Close() {}
