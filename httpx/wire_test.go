package httpx_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aistore/errs"
	"aistore/httpx"
)

// raw is a client that writes what no HTTP library would.
type raw struct {
	t  testing.TB
	c  net.Conn
	br *bufio.Reader
}

func dial(t testing.TB, url string) *raw {
	t.Helper()
	return dialFrom(t, url, "127.0.0.1")
}

func dialFrom(t testing.TB, url, ip string) *raw {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // a test that hangs fails
	return &raw{t, c, bufio.NewReader(c)}
}

// answered returns a connection on which /ok has been answered. Where connections are idle for a short time only, one may end before its
// request has come, and there is another.
func answered(t testing.TB, url string) *raw {
	t.Helper()
	for {
		r := dial(t, url)
		if _, err := io.WriteString(r.c, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
			if resp, err := http.ReadResponse(r.br, nil); err == nil && resp.StatusCode == 200 {
				_, _ = io.Copy(io.Discard, resp.Body)
				return r
			}
		}
	}
}

func (r *raw) send(s string) {
	r.t.Helper()
	if _, err := io.WriteString(r.c, s); err != nil {
		r.t.Fatalf("send: %v", err)
	}
}

// reply reads one reply to a request of the given method.
func (r *raw) reply(method string) (*http.Response, string) {
	r.t.Helper()
	resp, err := http.ReadResponse(r.br, &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("reply: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("reply body: %v after %q", err, b)
	}
	return resp, string(b)
}

func (r *raw) wantClosed() {
	r.t.Helper()
	if b, err := r.br.ReadByte(); err == nil {
		r.t.Errorf("connection is open and sent %q", b)
	} else if !errors.Is(err, io.EOF) {
		r.t.Errorf("connection ended with %v", err)
	}
}

func (r *raw) wantOpen(path string) {
	r.t.Helper()
	r.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, _ := r.reply("GET"); resp.StatusCode != 200 {
		r.t.Errorf("the connection's next request got %d", resp.StatusCode)
	}
}

func ok(c *httpx.Ctx) error {
	_, err := c.Write([]byte("ok"))
	return err
}

func readAll(c *httpx.Ctx) error {
	n, err := io.Copy(io.Discard, c.Body())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c, "%d", n)
	return err
}

func refuse(c *httpx.Ctx) error { return errs.E("test", "all", errs.Forbidden, "no") }

func basic() []httpx.Route {
	return []httpx.Route{
		{Method: "GET", Path: "/ok", Op: "ok", Policy: smallPolicy, Handler: ok},
		{Method: "PUT", Path: "/read", Op: "read", Policy: dataPolicy, Handler: readAll},
		{Method: "PUT", Path: "/limited", Op: "limited", Policy: smallPolicy, Handler: readAll},
		{Method: "PUT", Path: "/refuse", Op: "refuse", Policy: dataPolicy, Handler: refuse},
		{Method: "PUT", Path: "/redirect", Op: "redirect", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
			c.Redirect("http://elsewhere/x")
			return nil
		}},
		{Method: "GET", Path: "/intra", Op: "intra", Policy: httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassData}, Handler: ok},
	}
}

func TestMalformed(t *testing.T) {
	url, _ := start(t, basic())
	for _, c := range []struct {
		name, request string
		status        int // 0: closed without an answer
	}{
		{"garbage", "\x00\x01\x02\x03\r\n\r\n", 400},
		{"no version", "GET /ok\r\n\r\n", 400},
		{"bad version", "GET /ok HTTP/9.9\r\nHost: x\r\n\r\n", 505},
		{"blank in header name", "GET /ok HTTP/1.1\r\nHost : x\r\n\r\n", 400},
		{"no colon", "GET /ok HTTP/1.1\r\nHost\r\n\r\n", 400},
		{"bare LF behind the request line", "GET /ok HTTP/1.1\nHost: x\r\n\r\n", 400},
		{"bare LF behind a header", "GET /ok HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400},
		{"bare LF at the end", "GET /ok HTTP/1.1\r\nHost: x\r\n\n", 400},
		{"bare LFs alone", "GET /ok HTTP/1.1\nHost: x\n\n", 400},
		{"bare LF before the request line", "\nGET /ok HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"bare CR", "GET /ok HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", 400},
		{"folded line", "GET /ok HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400},
		{"line folded with a tab", "GET /ok HTTP/1.1\r\nHost: x\r\nA: b\r\n\tContent-Length: 5\r\n\r\n", 400},
		{"folded first line", "GET /ok HTTP/1.1\r\n Host: x\r\n\r\n", 400},
		{"header without a name", "GET /ok HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", 400},
		{"control in a header's name", "GET /ok HTTP/1.1\r\nHost: x\r\nA\x01: b\r\n\r\n", 400},
		{"no token in a header's name", "GET /ok HTTP/1.1\r\nHost: x\r\nA(b): b\r\n\r\n", 400},
		{"blank within a header's name", "GET /ok HTTP/1.1\r\nHost: x\r\nA b: b\r\n\r\n", 400},
		{"no ASCII in a header's name", "GET /ok HTTP/1.1\r\nHost: x\r\nÄ: b\r\n\r\n", 400},
		{"NUL in a header's value", "GET /ok HTTP/1.1\r\nHost: x\r\nA: \x00b\r\n\r\n", 400},
		{"two lengths", "PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		{"negative length", "PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
		{"huge length", "PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		{"unknown coding", "PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
		{"two codings", "PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"identity coding", "PUT /read HTTP/1.1\r\nHost: x\r\ntransfer-encoding: identity\r\n\r\nab", 400},
		{"length beside chunks", "PUT /read HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 400},
		{"chunks beside length", "PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n1\r\na\r\n0\r\n\r\n", 400},
		{"bad chunk size", "PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"bare LF in chunk", "PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", 400},
		{"overlong chunk size", "PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 40) + "1\r\na\r\n0\r\n\r\n", 400},
		{"bad escape", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"not a path", "GET ok HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"no such route", "GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"route of the other listener", "GET /intra HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"wrong method", "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405},
		{"unknown method", "BREW /ok HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"body over the limit", "PUT /limited HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n" + strings.Repeat("a", 1025), 413},
		{"chunked body over the limit", "PUT /limited HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + strings.Repeat("a", 0x800) + "\r\n0\r\n\r\n", 413},
		{"long header", "GET /ok HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 20<<10) + "\r\n\r\n", 431},
		{"many headers", "GET /ok HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 5000) + "\r\n", 431},
		{"long target", "GET /" + strings.Repeat("a", 20<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		{"empty lines before", "\r\n\r\nGET /ok HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"tabs and bytes in a value", "GET /ok HTTP/1.1\r\nHost: x\r\nA: \ta\tü\xff\r\nB:\r\n\r\n", 200},
		{"absolute target", "GET http://x/ok HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"lower-case header", "PUT /read HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na", 200},
		{"chunk extension and trailer", "PUT /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\nT: v\r\n\r\n", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := dial(t, url)
			r.t = t
			go func() { _, _ = io.WriteString(r.c, c.request) }() // the server may answer before it has read all
			resp, body := r.reply("GET")
			if resp.StatusCode != c.status {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, c.status, body)
			}
			if c.status >= 400 && (!strings.Contains(body, `"status_code":`) || resp.Header.Get("ais-error-kind") == "") {
				t.Errorf("no error body: %s", body)
			}
		})
	}
	dial(t, url).wantOpen("/ok") // the server lives
}

// TestBadTargetWithBody: what follows a request that is refused for its target is its body, never the next request.
func TestBadTargetWithBody(t *testing.T) {
	url, _ := start(t, basic())
	const inner = "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, target := range []string{"/%zz", "/read%", "http://x"} {
		for _, body := range []string{
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(inner), inner),
			fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(inner), inner),
		} {
			r := dial(t, url)
			r.send("PUT " + target + " HTTP/1.1\r\nHost: x\r\n" + body)
			if resp, b := r.reply("PUT"); resp.StatusCode != 400 || !resp.Close {
				t.Errorf("%s: status %d, close %v: %s", target, resp.StatusCode, resp.Close, b)
			}
			r.wantClosed()
		}
	}
}

// TestClientEndsConnection: "close" may stand in any case and among others (RFC 9110 section 7.6.1, RFC 9112 section 9.6).
func TestClientEndsConnection(t *testing.T) {
	url, _ := start(t, basic())
	for value, close := range map[string]bool{"close": true, "Close": true, "TE, close": true, "CLOSE , TE": true, "keep-alive": false, "closed, TE": false} {
		r := dial(t, url)
		r.send("GET /ok HTTP/1.1\r\nHost: x\r\nConnection: " + value + "\r\n\r\n")
		if resp, _ := r.reply("GET"); resp.StatusCode != 200 || resp.Close != close {
			t.Errorf("%s: status %d, close %v", value, resp.StatusCode, resp.Close)
		}
		if close {
			r.wantClosed()
		} else {
			r.wantOpen("/ok")
		}
	}
}

// TestUnreadHeads lets the route word what is wrong with a head that cannot be read, if its first line tells which route that is.
func TestUnreadHeads(t *testing.T) {
	routes := append(basic(), httpx.Route{Method: "*", Path: "/own/*", Op: "own", Policy: dataPolicy, Handler: ok, Fault: func(c *httpx.Ctx, status int, err error) {
		c.Status(status)
		_, _ = fmt.Fprintf(c, "own words: %d %v", status, errs.KindOf(err))
	}})
	url, _ := start(t, routes)
	for request, want := range map[string]string{
		"GET /own/x?y HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 20<<10) + "\r\n\r\n": "own words: 431 too-large",
		"PUT /own/" + strings.Repeat("a", 20<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n":           "own words: 431 too-large",
		"PUT /own/x HTTP/1.1\r\nHost: x\nA: b\r\n\r\n":                                       "own words: 400 invalid",
		"\r\nPUT /own/x HTTP/1.1\r\nHost: x\r\nA\r\n\r\n":                                    "own words: 400 invalid",
		"PUT /ok HTTP/1.1\r\nHost: x\nA: b\r\n\r\n":                                          `"status_code":400`,
		"PUT /nope HTTP/1.1\r\nHost: x\nA: b\r\n\r\n":                                        `"status_code":400`,
		"/own/x\r\n\r\n": `"status_code":400`,
	} {
		r := dial(t, url)
		go func() { _, _ = io.WriteString(r.c, request) }()
		if _, body := r.reply("GET"); !strings.Contains(body, want) {
			t.Errorf("%.60q: %s, want %s", request, body, want)
		}
	}
}

func TestSlowHeaderIsCut(t *testing.T) {
	url, _ := start(t, basic(), func(c *httpx.ServerConfig) { c.HeaderTimeout = 50 * time.Millisecond })
	r := dial(t, url)
	r.send("GET /ok HT")
	if resp, _ := r.reply("GET"); resp.StatusCode != 408 {
		t.Errorf("status %d", resp.StatusCode)
	}
	r.wantClosed()
}

func TestStalledBodyIsCut(t *testing.T) {
	url, _ := start(t, basic(), func(c *httpx.ServerConfig) { c.Limits.Progress = 50 * time.Millisecond })
	r := dial(t, url)
	r.send("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
	if resp, body := r.reply("PUT"); resp.StatusCode != 504 {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
	r.wantClosed()
}

func TestTooManyConnections(t *testing.T) {
	url, _ := start(t, basic(), func(c *httpx.ServerConfig) { c.MaxConns = 2 })
	for range 2 {
		dial(t, url).wantOpen("/ok")
	}
	r := dial(t, url)
	if resp, _ := r.reply("GET"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d %v", resp.StatusCode, resp.Header)
	}
}

// TestIdleWithoutBuffers takes the buffers away between all requests.
func TestIdleWithoutBuffers(t *testing.T) {
	url, stop := start(t, basic(), func(c *httpx.ServerConfig) { c.IdleBuffer, c.IdleTimeout = 1, time.Minute })
	r := dial(t, url)
	for range 3 {
		r.wantOpen("/ok")
		r.send("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcPUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		for _, status := range []int{200, 403} {
			if resp, _ := r.reply("PUT"); resp.StatusCode != status {
				t.Errorf("status %d, want %d", resp.StatusCode, status)
			}
		}
	}
	stop()
	r.wantClosed()

	url, _ = start(t, basic(), func(c *httpx.ServerConfig) { c.IdleBuffer, c.IdleTimeout = 1, 50*time.Millisecond })
	answered(t, url).wantClosed()
}

// TestSlowReaderIsCut: a client that does not read its reply does not hold the node's memory for ever.
func TestSlowReaderIsCut(t *testing.T) {
	done := make(chan error, 1)
	big := &pieces{b: make([]byte, 64<<20), size: 1 << 20}
	url, _ := start(t, []httpx.Route{{Method: "GET", Path: "/big", Op: "big", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
		err := c.Send(int64(len(big.b)), big)
		done <- err
		return err
	}}}, func(c *httpx.ServerConfig) { c.Limits.Progress = 100 * time.Millisecond })
	r := dial(t, url)
	r.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-done; !errs.Is(err, errs.Timeout) {
		t.Errorf("sending ended with %v", err)
	}
}

func TestIdleConnectionEnds(t *testing.T) {
	url, _ := start(t, basic(), func(c *httpx.ServerConfig) { c.IdleTimeout = 50 * time.Millisecond })
	answered(t, url).wantClosed()
}

// TestEarlyReply is a client that sends its whole body before it looks at the reply, as Python's does.
func TestEarlyReply(t *testing.T) {
	url, _ := start(t, basic())
	body := string(data(20 << 20))
	for _, framing := range []string{
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body),
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
	} {
		for path, status := range map[string]int{"/redirect": 307, "/refuse": 403, "/nope": 404} {
			r := dial(t, url)
			r.send("PUT " + path + " HTTP/1.1\r\nHost: x\r\n" + framing)
			if resp, _ := r.reply("PUT"); resp.StatusCode != status {
				t.Errorf("%s: status %d", path, resp.StatusCode)
			}
			r.wantOpen("/ok")
		}
	}
}

// TestEarlyReplyBeyondLimit: more than the server is willing to drop. The reply arrives all the same, and says close.
func TestEarlyReplyBeyondLimit(t *testing.T) {
	url, _ := start(t, basic(), func(c *httpx.ServerConfig) { c.Limits.MaxDiscard = 1 << 20 })
	r := dial(t, url)
	r.send("PUT /redirect HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n" + string(data(20_000_000)))
	resp, _ := r.reply("PUT")
	if resp.StatusCode != 307 || !resp.Close {
		t.Errorf("status %d, close %v", resp.StatusCode, resp.Close)
	}
	r.wantClosed()
}

func TestContinue(t *testing.T) {
	url, _ := start(t, basic())
	const expect = " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	t.Run("wanted", func(t *testing.T) {
		r := dial(t, url)
		r.send("PUT /read" + expect)
		if line, _ := r.br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
		_, _ = r.br.ReadString('\n')
		r.send("hello")
		if resp, body := r.reply("PUT"); resp.StatusCode != 200 || body != "5" || resp.Close {
			t.Errorf("status %d: %s", resp.StatusCode, body)
		}
		r.wantOpen("/ok")
	})
	t.Run("in any case", func(t *testing.T) {
		r := dial(t, url)
		r.send("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nexpect: 100-Continue\r\n\r\n")
		if line, _ := r.br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
	})
	t.Run("nothing follows", func(t *testing.T) { // botocore: the first line must not be the final status
		r := dial(t, url)
		r.send("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n")
		if line, _ := r.br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q", line)
		}
		_, _ = r.br.ReadString('\n')
		if resp, body := r.reply("PUT"); resp.StatusCode != 200 || body != "0" || resp.Close {
			t.Errorf("status %d: %s", resp.StatusCode, body)
		}
		r.wantOpen("/ok")
	})
	t.Run("not wanted", func(t *testing.T) {
		for path, status := range map[string]int{"/refuse": 403, "/redirect": 307, "/limited2": 404} {
			r := dial(t, url)
			r.send("PUT " + path + expect)
			resp, _ := r.reply("PUT") // and not 100
			if resp.StatusCode != status || !resp.Close {
				t.Errorf("%s: status %d, close %v", path, resp.StatusCode, resp.Close)
			}
			r.wantClosed()
		}
	})
	t.Run("not waited for", func(t *testing.T) {
		r := dial(t, url)
		r.send("PUT /read" + expect + "hello")
		resp, err := http.ReadResponse(r.br, nil)
		if err == nil && resp.StatusCode == 100 {
			resp, err = http.ReadResponse(r.br, nil)
		}
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("%v %v", resp, err)
		}
	})
}

func TestPipelineAndOldClients(t *testing.T) {
	url, _ := start(t, basic())
	r := dial(t, url)
	one := "PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	r.send(one + one + "PUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + one)
	for _, status := range []int{200, 200, 403, 200} {
		if resp, body := r.reply("PUT"); resp.StatusCode != status || status == 200 && body != "3" {
			t.Errorf("status %d: %s", resp.StatusCode, body)
		}
	}
	r.send("GET /ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if resp, body := r.reply("GET"); body != "ok" || resp.Header.Get("Connection") != "keep-alive" {
		t.Errorf("HTTP/1.0 keep-alive: %v %q", resp.Header, body)
	}
	r.send("GET /ok HTTP/1.0\r\n\r\n")
	if _, body := r.reply("GET"); body != "ok" {
		t.Errorf("HTTP/1.0: %q", body)
	}
	r.wantClosed()
}

func TestReplies(t *testing.T) {
	size := 300_000
	content := data(size)
	src := &pieces{b: content, size: 70_000}
	failing := &pieces{b: content, size: 70_000, failAt: 140_000}
	early := &pieces{b: content, size: 10, failAt: 20}
	short := &pieces{b: content[:1000], size: 100}
	log := &logCount{}
	route := func(path string, h httpx.Handler) httpx.Route {
		return httpx.Route{Method: "GET", Path: path, Op: "r", Policy: smallPolicy, Handler: h}
	}
	url, stop := start(t, []httpx.Route{
		route("/whole", func(c *httpx.Ctx) error { return c.Send(int64(size), src) }),
		route("/unknown", func(c *httpx.Ctx) error { return c.Send(-1, src) }),
		route("/failing", func(c *httpx.Ctx) error { return c.Send(int64(size), failing) }),
		route("/failing-unknown", func(c *httpx.Ctx) error { return c.Send(-1, failing) }),
		route("/early", func(c *httpx.Ctx) error { return c.Send(int64(size), early) }),
		route("/short", func(c *httpx.Ctx) error { return c.Send(int64(size), short) }),
		route("/panic", func(*httpx.Ctx) error { panic("on purpose") }),
		route("/late-panic", func(c *httpx.Ctx) error {
			_ = c.Send(int64(size), src)
			panic("on purpose")
		}),
		route("/headers", func(c *httpx.Ctx) error {
			c.SetHeader("x-a", "1")
			c.SetHeader("x-a", "2\r\nx-evil: 1")
			c.AddHeaders(httpx.AppendHeader(nil, "x-b", "\x003"))
			c.SetFailHeader("x-c", "4")
			c.Status(201)
			return nil
		}),
		route("/ok", ok),
	}, func(c *httpx.ServerConfig) { c.Log = slog.New(log) })

	get := func(method, path string) (*http.Response, []byte, error) {
		resp, err := http.DefaultClient.Do(must(http.NewRequest(method, url+path, nil)))
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp, b, err
	}
	for _, path := range []string{"/whole", "/unknown"} {
		resp, b, err := get("GET", path)
		if err != nil || !bytes.Equal(b, content) {
			t.Errorf("%s: %d bytes, %v", path, len(b), err)
		}
		if path == "/whole" && resp.ContentLength != int64(size) {
			t.Errorf("%s: length %d", path, resp.ContentLength)
		}
		if resp, b, err = get("HEAD", path); err != nil || len(b) != 0 || resp.StatusCode != 200 {
			t.Errorf("HEAD %s: %v %v", path, resp, err)
		}
	}
	for _, path := range []string{"/failing", "/failing-unknown", "/short"} {
		if _, b, err := get("GET", path); err == nil && path != "/short" {
			t.Errorf("%s: a broken reply of %d bytes looks whole", path, len(b))
		}
	}
	if resp, _, err := get("GET", "/early"); err != nil || resp.StatusCode != 500 || resp.Header.Get("ais-error-kind") != "corrupt" {
		t.Errorf("early failure: %v %v", resp, err)
	}
	log.errors.Store(0)
	if resp, b, err := get("GET", "/panic"); err != nil || resp.StatusCode != 500 || strings.Contains(string(b), "on purpose") {
		t.Errorf("panic: %v %s %v", resp, b, err)
	}
	if log.errors.Load() < 1 || !log.stack.Load() {
		t.Errorf("panic was logged %d times, with stack: %v", log.errors.Load(), log.stack.Load())
	}
	if _, b, err := get("GET", "/late-panic"); err == nil && !bytes.Equal(b, content) {
		t.Errorf("late panic: %d bytes, %v", len(b), err)
	}
	resp, _, err := get("GET", "/headers")
	if err != nil || resp.StatusCode != 201 || resp.Header.Get("x-a") != "2  x-evil: 1" || resp.Header.Get("x-evil") != "" ||
		resp.Header.Get("x-b") != "3" || resp.Header.Get("x-c") != "" {
		t.Errorf("headers: %v %v", resp.Header, err)
	}
	for id, same := range map[string]bool{"abc-123": true, "with blank": false, strings.Repeat("a", 200): false, "": false} {
		req := must(http.NewRequest("GET", url+"/ok", nil))
		req.Header.Set("X-Request-Id", id)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("X-Request-Id"); got == "" || (got == id) != same {
			t.Errorf("request id %q came back as %q", id, got)
		}
	}
	stop()
	for s, want := range map[*pieces]int{src: 5, failing: 2, early: 1, short: 1} {
		if s.closed != want {
			t.Errorf("source closed %d times, want %d", s.closed, want)
		}
	}
}

func TestOverload(t *testing.T) {
	entered, leave := make(chan struct{}, 8), make(chan struct{})
	hold := func(c *httpx.Ctx) error {
		entered <- struct{}{}
		<-leave
		return nil
	}
	health := httpx.Policy{Listener: httpx.Public, Class: httpx.ClassHealth}
	url, _ := start(t, []httpx.Route{
		{Method: "GET", Path: "/data", Op: "d", Policy: dataPolicy, Handler: hold},
		{Method: "GET", Path: "/control", Op: "c", Policy: smallPolicy, Handler: ok},
		{Method: "GET", Path: "/health", Op: "h", Policy: health, Handler: ok},
	}, func(c *httpx.ServerConfig) { c.Limits.Inflight = [3]int{2, 2, 1} })
	done := make(chan int, 2)
	for range 2 {
		go func() {
			resp, err := http.Get(url + "/data")
			if err != nil {
				done <- 0
				return
			}
			resp.Body.Close()
			done <- resp.StatusCode
		}()
		<-entered
	}
	for path, status := range map[string]int{"/data": 503, "/control": 200, "/health": 200} {
		resp, err := http.Get(url + path)
		if err != nil || resp.StatusCode != status || status == 503 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v %v", path, resp, err)
		}
		resp.Body.Close()
	}
	close(leave)
	for range 2 {
		if s := <-done; s != 200 {
			t.Errorf("held request got %d", s)
		}
	}
}

func TestAbortedBody(t *testing.T) {
	got := make(chan error, 1)
	url, _ := start(t, []httpx.Route{{Method: "PUT", Path: "/p", Op: "p", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
		_, err := io.Copy(io.Discard, c.Body())
		got <- err
		return err
	}}, {Method: "GET", Path: "/ok", Op: "ok", Policy: smallPolicy, Handler: ok}})
	for _, start := range []string{"Content-Length: 1000000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n100\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
		r := dial(t, url)
		r.send("PUT /p HTTP/1.1\r\nHost: x\r\n" + start)
		r.c.Close()
		if err := <-got; !errs.Is(err, errs.Canceled) {
			t.Errorf("aborted body: %v", err)
		}
	}
	dial(t, url).wantOpen("/ok")
}

// TestContextEndsWithTheClient waits in a handler for nothing but the client's going away.
func TestContextEndsWithTheClient(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan error, 1)
	url, _ := start(t, []httpx.Route{{Method: "GET", Path: "/wait", Op: "w", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
		ctx := c.Context()
		close(entered)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}})
	r := dial(t, url)
	r.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	r.c.Close()
	if err := <-ended; !errs.Is(err, errs.Canceled) {
		t.Errorf("context ended with %v", err)
	}
}

func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	url, stop := start(t, []httpx.Route{{Method: "GET", Path: "/wait", Op: "w", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
		close(entered)
		<-c.Context().Done()
		close(ended)
		return c.Context().Err()
	}}}, func(c *httpx.ServerConfig) { c.Limits.Drain = 20 * time.Millisecond })
	idle := dial(t, url)
	r := dial(t, url)
	r.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	stop()
	<-ended
	idle.wantClosed()
}

type logCount struct {
	slog.Handler
	errors atomic.Int64
	stack  atomic.Bool
}

func (l *logCount) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (l *logCount) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		l.errors.Add(1)
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "stack" && strings.Contains(a.Value.String(), "wire_test.go") {
			l.stack.Store(true)
		}
		return true
	})
	return nil
}
