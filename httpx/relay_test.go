package httpx_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aistore/errs"
	"aistore/httpx"
)

// front relays everything to the server at url.
func front(t testing.TB, url string, cfg httpx.ClientConfig, opts ...serverOption) string {
	t.Helper()
	cl := client(t, cfg)
	addr := strings.TrimPrefix(url, "http://")
	route := func(method string) httpx.Route {
		return httpx.Route{Method: method, Path: "/*", Op: "relay", Policy: dataPolicy, Fault: teapot, Handler: func(c *httpx.Ctx) error {
			c.SetHeader("Server", "front")
			return c.Relay(cl, &httpx.Relay{
				Addr: addr, Target: c.Target(), Set: []httpx.Header{{"Ais-Who", "me"}},
				Drop: func(key string) bool { return strings.HasPrefix(strings.ToLower(key), "ais-") },
			})
		}}
	}
	at, _ := start(t, []httpx.Route{route("*")}, opts...)
	return at
}

// teapot words errors in its own way.
func teapot(c *httpx.Ctx, status int, err error) {
	c.Status(status)
	c.SetHeader("Kind", errs.KindOf(err).String())
	_, _ = fmt.Fprintf(c, "fault %d", status)
}

// behind is what stands behind the relay.
func behind() []httpx.Route {
	return append(basic(),
		httpx.Route{Method: "GET", Path: "/bytes", Op: "bytes", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
			var n, size int
			_, _ = fmt.Sscan(c.Query("n"), &n)
			if size = n; c.HasQuery("chunked") {
				size = -1
			}
			c.SetHeader("Server", "behind")
			c.SetHeader("X-Amz-Meta-B", "1")
			return c.Send(int64(size), &pieces{b: pattern(n), size: 100_000})
		}},
		httpx.Route{Method: "PUT", Path: "/echo", Op: "echo", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
			b, err := c.ReadAll(64 << 20)
			if err != nil {
				return err
			}
			if !bytes.Equal(b, pattern(len(b))) {
				return errs.E("test", "body", errs.Checksum)
			}
			return readSome(c, len(b))
		}},
		httpx.Route{Method: "GET", Path: "/headers", Op: "headers", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
			c.EachHeader(func(k, v string) { _, _ = fmt.Fprintf(c, "%s=%s\n", k, v) })
			return nil
		}},
		httpx.Route{Method: "GET", Path: "/none", Op: "none", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error { c.Status(204); return nil }},
		httpx.Route{Method: "GET", Path: "/same", Op: "same", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
			c.SetFailHeader("ETag", `"x"`)
			return errs.E("test", "x", errs.NotModified)
		}},
		httpx.Route{Method: "PUT", Path: "/elsewhere", Op: "elsewhere", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
			return errs.E("test", "x", errs.WrongOwner)
		}},
	)
}

func readSome(c *httpx.Ctx, n int) error {
	_, err := fmt.Fprintf(c, "%d", n)
	return err
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>9)
	}
	return b
}

// bothWays runs f with a client that relays by TCP alone and with one that finds its neighbours.
func bothWays(t *testing.T, f func(t *testing.T, cfg httpx.ClientConfig)) {
	t.Helper()
	var d net.Dialer
	byTCP := func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	t.Run("TCP", func(t *testing.T) { f(t, httpx.ClientConfig{Dial: byTCP}) })
	t.Run("local", func(t *testing.T) { f(t, httpx.ClientConfig{}) })
}

func TestRelayReplies(t *testing.T) { bothWays(t, testRelayReplies) }

func testRelayReplies(t *testing.T, cfg httpx.ClientConfig) {
	up, _ := start(t, behind())
	url := front(t, up, cfg)
	for _, n := range []int{0, 1, 4096, 16 << 10, 60_000, 64 << 10, 64<<10 + 1, 200_000, 5 << 20} {
		for _, how := range []string{"", "&chunked"} {
			resp, err := http.Get(fmt.Sprintf("%s/bytes?n=%d%s", url, n, how))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(b, pattern(n)) || resp.Header.Get("X-Amz-Meta-B") != "1" || resp.Header.Get("Server") != "front" {
				t.Errorf("%d bytes%s: %d came, %v, %v", n, how, len(b), err, resp.Header)
			}
			if len(resp.Header["Date"]) != 1 || len(resp.Header["X-Request-Id"]) != 1 || len(resp.Header["Content-Length"]) > 1 {
				t.Errorf("%v", resp.Header)
			}
		}
	}
	r := dial(t, url)
	for range 2 {
		r.send("HEAD /bytes?n=5000 HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := r.reply("HEAD"); resp.ContentLength != 5000 || body != "" {
			t.Errorf("HEAD: %d %q", resp.ContentLength, body)
		}
		r.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, _ := r.reply("GET"); resp.StatusCode != 204 {
			t.Errorf("204: %d", resp.StatusCode)
		}
		r.send("GET /same HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, _ := r.reply("GET"); resp.StatusCode != 304 || resp.Header.Get("ETag") != `"x"` {
			t.Errorf("304: %d", resp.StatusCode)
		}
		r.send("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := r.reply("GET"); resp.StatusCode != 404 || !strings.Contains(body, "no such route") || resp.Header.Get("ais-error-kind") != "" {
			t.Errorf("404: %d %s %v", resp.StatusCode, body, resp.Header)
		}
	}
}

func TestRelayHeaders(t *testing.T) {
	up, _ := start(t, behind())
	r := dial(t, front(t, up, httpx.ClientConfig{}))
	r.send("GET /headers HTTP/1.1\r\nHost: client\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nTE: trailers\r\nais-who: liar\r\nAIS-Other: 1\r\nX-Request-Id: id7\r\nRange:  bytes=1-2 \r\nx-amz-META-a: B\r\nDate: today\r\n\r\n")
	_, body := r.reply("GET")
	up = strings.TrimPrefix(up, "http://")
	want := "Host=" + up + "\nX-Request-Id=id7\nAis-Who=me\nX-Hop=1\nRange=bytes=1-2\nx-amz-META-a=B\nDate=today\n"
	if body != want {
		t.Errorf("upstream got\n%s\nwant\n%s", body, want)
	}
}

// TestRelayDropsHeadersOfTheConnection: none of them goes upstream, nearly the same names do.
func TestRelayDropsHeadersOfTheConnection(t *testing.T) {
	up, _ := start(t, behind())
	r := dial(t, front(t, up, httpx.ClientConfig{}))
	dropped := []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "TE", "Trailer", "Upgrade"}
	kept := []string{"Keep-Alivf", "Proxy-Connectioo", "Proxy-Authorizatioo", "Proxy-Authenticatf", "TF", "Trailes", "Upgradf", "Content-Lengti", "Transfer-Encodinh", "Expecu", "Hosu", "X-Request-Ie"}
	head := "GET /headers HTTP/1.1\r\nHost: client\r\n"
	for _, name := range append(dropped, kept...) {
		head += name + ":\t v \r\n"
	}
	r.send(head + "\r\n")
	_, body := r.reply("GET")
	for _, name := range dropped {
		if strings.Contains(strings.ToLower(body), strings.ToLower(name)+"=") {
			t.Errorf("%s was passed on", name)
		}
	}
	for _, name := range kept {
		if !strings.Contains(body, name+"=v\n") {
			t.Errorf("%s was not passed on", name)
		}
	}
}

func TestRelayBodies(t *testing.T) { bothWays(t, testRelayBodies) }

func testRelayBodies(t *testing.T, cfg httpx.ClientConfig) {
	up, _ := start(t, behind())
	url := front(t, up, cfg)
	r := dial(t, url)
	for _, n := range []int{0, 1, 4096, 64 << 10, 64<<10 + 1, 200_000, 9 << 20} {
		for _, expect := range []bool{false, true} {
			head := fmt.Sprintf("PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", n)
			if expect && n > 0 {
				r.send(head + "Expect: 100-continue\r\n\r\n")
				if line, _ := r.br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
					t.Fatalf("%d bytes: got %q", n, line)
				}
				_, _ = r.br.ReadString('\n')
				r.send(string(pattern(n)))
			} else {
				r.send(head + "\r\n" + string(pattern(n)))
			}
			if resp, body := r.reply("PUT"); resp.StatusCode != 200 || body != fmt.Sprint(n) {
				t.Errorf("%d bytes, expect %v: %d %s", n, expect, resp.StatusCode, body)
			}
		}
		r.send("PUT /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
		for b := pattern(n); len(b) > 0; {
			k := min(len(b), 70_001)
			r.send(fmt.Sprintf("%x\r\n%s\r\n", k, b[:k]))
			b = b[k:]
		}
		r.send("0\r\n\r\n")
		if resp, body := r.reply("PUT"); resp.StatusCode != 200 || body != fmt.Sprint(n) {
			t.Errorf("%d bytes chunked: %d %s", n, resp.StatusCode, body)
		}
	}
}

// TestRelayEarlyAnswers: what upstream says before the body has ended reaches a client that is still sending, or that has
// stopped to send.
func TestRelayEarlyAnswers(t *testing.T) {
	up, _ := start(t, behind())
	url := front(t, up, httpx.ClientConfig{})
	body := string(data(20 << 20))
	for _, head := range []string{"Content-Length: 20971520\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1400000\r\n"} {
		r := dial(t, url)
		r.send("PUT /refuse HTTP/1.1\r\nHost: x\r\n" + head + body)
		if strings.Contains(head, "chunked") {
			r.send("\r\n0\r\n\r\n")
		}
		resp, _ := r.reply("PUT")
		if resp.StatusCode != 403 {
			t.Errorf("%q: status %d", head, resp.StatusCode)
		}
		if !resp.Close {
			r.wantOpen("/ok")
		}
		r = dial(t, url)
		r.send("PUT /refuse HTTP/1.1\r\nHost: x\r\n" + head + body[:100_000]) // and no more
		if resp, _ := r.reply("PUT"); resp.StatusCode != 403 {
			t.Errorf("stalled %q: status %d", head, resp.StatusCode)
		}
	}
	r := dial(t, url)
	r.send("PUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if resp, _ := r.reply("PUT"); resp.StatusCode != 403 || !resp.Close {
		t.Errorf("instead of 100: status %d, close %v", resp.StatusCode, resp.Close)
	}
	r.wantClosed()
}

// TestRelayUpstreamDies: 503 before the reply has begun, a cut connection after.
func TestRelayUpstreamDies(t *testing.T) {
	long := "HTTP/1.1 200 OK\r\nx-close: 1\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 300_000)
	short := "HTTP/1.1 200 OK\r\nx-close: 1\r\nContent-Length: 50000\r\n\r\nx" // nothing of it has been passed on
	for name, c := range map[string]struct {
		answer string
		cut    bool
	}{"at once": {"", false}, "in a short body": {short, false}, "in a long body": {long, true}, "in the header": {"HTTP/1.1 200 OK\r\nx-close: ", false}} {
		for _, body := range []string{"Content-Length: 0\r\n\r\n", "Content-Length: 100\r\n\r\n" + strings.Repeat("b", 100), "Content-Length: 1000000\r\n\r\n" + strings.Repeat("b", 500_000)} {
			up, _ := script(t, c.answer)
			r := dial(t, front(t, up, httpx.ClientConfig{}))
			r.send("PUT /x HTTP/1.1\r\nHost: x\r\n" + body)
			if c.cut {
				resp, err := http.ReadResponse(r.br, nil)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if b, err := io.ReadAll(resp.Body); err == nil || len(b) >= 1_000_000 {
					t.Errorf("%s: a part was taken for the whole", name)
				}
				continue
			}
			if resp, b := r.reply("PUT"); resp.StatusCode != 503 || b != "fault 503" || resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %q", name, resp.StatusCode, b)
			}
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	r := dial(t, front(t, "http://"+ln.Addr().String(), httpx.ClientConfig{}))
	r.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, _ := r.reply("GET"); resp.StatusCode != 503 {
		t.Errorf("nobody there: %d", resp.StatusCode)
	}
}

// TestRelayUpstreamDiesInSplice: bytes of the body that were on their way within the kernel are lost when upstream's connection breaks. How much of
// the body is still to come is then not known, and what follows it must not be taken for it, nor it for a request.
func TestRelayUpstreamDiesInSplice(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			accepted <- c // and reads nothing
		}
	}()
	r := dial(t, front(t, "http://"+ln.Addr().String(), httpx.ClientConfig{}))
	body := data(64 << 20)
	r.send(fmt.Sprintf("PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(body)))
	for moved := 1; moved > 0; body = body[moved:] { // until nothing moves any more, on a busy machine too
		_ = r.c.SetWriteDeadline(time.Now().Add(time.Second))
		moved, _ = r.c.Write(body)
	}
	if len(body) == 0 {
		t.Fatal("all was taken by a server that does not read")
	}
	up, _ := (<-accepted).(*net.TCPConn)
	_ = up.SetLinger(0)
	_ = up.Close()
	if resp, b := r.reply("PUT"); resp.StatusCode != 503 || !resp.Close {
		t.Errorf("status %d, close %v: %s", resp.StatusCode, resp.Close, b)
	}
}

// TestRelayStaleConnection: a pooled connection that has died is replaced when no byte of body went out on it.
func TestRelayStaleConnection(t *testing.T) {
	for body, want := range map[string]int{"": 200, "x": 503} {
		up, n := script(t, plain, "", plain)
		r := dial(t, front(t, up, httpx.ClientConfig{}))
		r.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		r.reply("GET")
		r.send(fmt.Sprintf("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		if resp, _ := r.reply("PUT"); resp.StatusCode != want {
			t.Errorf("body %q: %d after %d requests", body, resp.StatusCode, n.Load())
		}
	}
}

// TestRelayElsewhere: a node that is not the owner leaves the request whole for the next one.
func TestRelayElsewhere(t *testing.T) {
	wrong, _ := start(t, behind())
	right, _ := start(t, []httpx.Route{{Method: "PUT", Path: "/elsewhere", Op: "right", Policy: dataPolicy, Handler: readAll}})
	cl := client(t, httpx.ClientConfig{})
	url, _ := start(t, []httpx.Route{{Method: "PUT", Path: "/*", Op: "relay", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
		r := &httpx.Relay{Addr: strings.TrimPrefix(wrong, "http://"), Target: c.Target()}
		err := c.Relay(cl, r)
		if errs.Is(err, errs.WrongOwner) {
			r.Addr = strings.TrimPrefix(right, "http://")
			err = c.Relay(cl, r)
		}
		return err
	}}})
	c := dial(t, url)
	for _, n := range []int{0, 5, 4096} {
		c.send(fmt.Sprintf("PUT /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", n, pattern(n)))
		if resp, body := c.reply("PUT"); resp.StatusCode != 200 || body != fmt.Sprint(n) {
			t.Errorf("%d bytes: %d %s", n, resp.StatusCode, body)
		}
	}
	c.send("PUT /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
	if line, _ := c.br.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	_, _ = c.br.ReadString('\n')
	c.send(string(pattern(1_000_000)))
	if resp, body := c.reply("PUT"); resp.StatusCode != 200 || body != "1000000" {
		t.Errorf("asked first: %d %s", resp.StatusCode, body)
	}
	c.send("PUT /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + string(pattern(1_000_000)))
	if resp, _ := c.reply("PUT"); resp.StatusCode != 503 {
		t.Errorf("with a part gone: %d", resp.StatusCode)
	}
}

// TestRelayClientGoes: upstream's request ends with its client, whatever it waits for.
func TestRelayClientGoes(t *testing.T) {
	began, ended := make(chan bool), make(chan error)
	up, _ := start(t, []httpx.Route{
		{Method: "GET", Path: "/wait", Op: "wait", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
			began <- true
			<-c.Context().Done()
			ended <- c.Context().Err()
			return c.Context().Err()
		}},
		{Method: "PUT", Path: "/read", Op: "read", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
			began <- true
			_, err := io.Copy(io.Discard, c.Body())
			ended <- err
			return err
		}},
	})
	url := front(t, up, httpx.ClientConfig{})
	for _, req := range []string{"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n", "PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + strings.Repeat("x", 300_000)} {
		r := dial(t, url)
		r.send(req)
		<-began
		r.c.Close()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%.10s: a part was taken for the whole", req)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%.10s: still served", req)
		}
	}
}

// TestRelayStalls: a client that stands still is given up in both directions; one that is slow is not.
func TestRelayStalls(t *testing.T) {
	up, _ := start(t, behind())
	cl := client(t, httpx.ClientConfig{})
	done := make(chan error, 1)
	relay := httpx.Route{Method: "*", Path: "/*", Op: "relay", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
		err := c.Relay(cl, &httpx.Relay{Addr: strings.TrimPrefix(up, "http://"), Target: c.Target()})
		done <- err
		return err
	}}
	url, _ := start(t, []httpx.Route{relay}, func(c *httpx.ServerConfig) { c.Limits.Progress = 200 * time.Millisecond })
	for _, head := range []string{"Content-Length: 9000000\r\n\r\n", "Content-Length: 9000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n100000\r\n"} {
		r := dial(t, url)
		r.send("PUT /read HTTP/1.1\r\nHost: x\r\n" + head + strings.Repeat("x", 8_000))
		if resp, _ := r.reply("PUT"); resp.StatusCode != 504 || !errs.Is(<-done, errs.Timeout) {
			t.Errorf("stalled body %q: %d", head, resp.StatusCode)
		}
	}
	for _, how := range []string{"", "&chunked"} {
		r := dial(t, url)
		r.send("GET /bytes?n=60000000" + how + " HTTP/1.1\r\nHost: x\r\n\r\n") // and reads nothing
		if err := <-done; !errs.Is(err, errs.Timeout) {
			t.Errorf("sending%s ended with %v", how, err)
		}
	}
	url, _ = start(t, []httpx.Route{relay}, func(c *httpx.ServerConfig) { c.Limits.Progress = 2 * time.Second })
	r := dial(t, url)
	r.send("PUT /read HTTP/1.1\r\nHost: x\r\nContent-Length: 250000\r\n\r\n")
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for range 25 { // longer than Progress in all, each step far below it
		<-pause.C
		r.send(strings.Repeat("x", 10_000))
	}
	if resp, body := r.reply("PUT"); resp.StatusCode != 200 || body != "250000" {
		t.Errorf("slow client: %d %s", resp.StatusCode, body)
	}
}

// TestRelayFaults: errors before the handler are in the route's own words too.
func TestRelayFaults(t *testing.T) {
	url, _ := start(t, []httpx.Route{{Method: "PUT", Path: "/small", Op: "small", Policy: smallPolicy, Fault: teapot, Handler: readAll}})
	r := dial(t, url)
	r.send("PUT /small HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000))
	if resp, body := r.reply("PUT"); resp.StatusCode != 413 || body != "fault 413" {
		t.Errorf("too large: %d %s", resp.StatusCode, body)
	}
	r.send("PUT /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n")
	if resp, body := r.reply("PUT"); resp.StatusCode != 400 || body != "fault 400" {
		t.Errorf("framing: %d %s", resp.StatusCode, body)
	}
}

// TestTLS serves one route table in the clear and over TLS; the certificate may change between connections.
func TestTLS(t *testing.T) {
	up, _ := start(t, behind())
	cl := client(t, httpx.ClientConfig{})
	r, err := httpx.NewRouter([]httpx.Route{
		{Method: "GET", Path: "/tls", Op: "tls", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error { _, err := fmt.Fprint(c, c.TLS()); return err }},
		{Method: "*", Path: "/*", Op: "relay", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
			return c.Relay(cl, &httpx.Relay{Addr: strings.TrimPrefix(up, "http://"), Target: c.Target()})
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var cert atomic.Pointer[tls.Certificate]
	cert.Store(selfSigned(t, "one"))
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httpx.NewServer(httpx.ServerConfig{}, r)
	done := make(chan error, 1)
	ctx := t.Context()
	go func() {
		done <- s.Serve(ctx, open, tls.NewListener(closed, httpx.TLSConfig(func() (*tls.Certificate, error) { return cert.Load(), nil })))
	}()
	for _, name := range []string{"one", "two"} {
		cert.Store(selfSigned(t, name))
		hc := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // self-signed
		for path, want := range map[string]string{"/tls": "true", "/bytes?n=3000000": string(pattern(3_000_000))} {
			resp, err := hc.Get("https://" + closed.Addr().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(b) != want || resp.ProtoMajor != 1 || resp.TLS.PeerCertificates[0].Subject.CommonName != name {
				t.Errorf("%s: %d bytes, %v, %s, %s", path, len(b), err, resp.Proto, resp.TLS.PeerCertificates[0].Subject)
			}
		}
		req, err := http.NewRequest("PUT", "https://"+closed.Addr().String()+"/echo", bytes.NewReader(pattern(3_000_000)))
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := hc.Do(req); err != nil || resp.StatusCode != 200 {
			t.Errorf("PUT: %v %v", resp, err)
		} else {
			resp.Body.Close()
		}
		hc.CloseIdleConnections()
	}
	plain, err := net.Dial("tcp", closed.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	_, _ = io.WriteString(plain, "GET /tls HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(plain), nil); err != nil || resp.StatusCode != 400 {
		t.Errorf("the TLS port answers %v in the clear (%v)", resp, err)
	}
	if _, err := tls.Dial("tcp", closed.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil { //nolint:gosec // is refused
		t.Error("TLS 1.1 is served")
	}
	if resp, err := http.Get("http://" + open.Addr().String() + "/tls"); err != nil {
		t.Error(err)
	} else if b, _ := io.ReadAll(resp.Body); string(b) != "false" {
		t.Errorf("in the clear: %s", b)
	}
	t.Cleanup(func() {
		if err := <-done; err != nil { // the test's context has ended
			t.Error(err)
		}
	})
}

func selfSigned(t testing.TB, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
