package httpx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aistore/errs"
	"aistore/httpx"
)

func client(t testing.TB, cfg httpx.ClientConfig) *httpx.Client {
	cl := httpx.NewClient(cfg)
	t.Cleanup(cl.Close)
	return cl
}

// script is a server that answers each connection's requests with the given bytes, whatever is asked. An empty
// answer closes the connection.
func script(t testing.TB, answers ...string) (url string, requests *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			br := bufio.NewReader(c)
			for {
				line, err := br.ReadString('\n')
				for err == nil && line != "\r\n" {
					line, err = br.ReadString('\n')
				}
				i := int(requests.Add(1)) - 1
				if err != nil || i >= len(answers) || answers[i] == "" {
					break
				}
				_, _ = io.WriteString(c, answers[i])
				if strings.Contains(answers[i], "x-close") {
					break
				}
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return "http://" + ln.Addr().String(), requests
}

const plain = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestClientReadsReplies(t *testing.T) {
	for _, c := range []struct {
		name, answer, body string
		kind               errs.Kind
	}{
		{"length", plain, "ok", 0},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", "ok", 0},
		{"to the end", "HTTP/1.1 200 OK\r\nx-close: 1\r\n\r\nok", "ok", 0},
		{"interim", "HTTP/1.1 103 Early Hints\r\n\r\n" + plain, "ok", 0},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", "", 0},
		{"foreign error", "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nwait", "", errs.Unavailable},
		{"empty error", "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n", "", errs.NotFound},
		{"short", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nx-close: 1\r\n\r\nok", "", errs.Canceled},
		{"short chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-close: 1\r\n\r\n5\r\nok", "", errs.Canceled},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-close: 1\r\n\r\nhello\r\n", "", errs.Invalid},
		{"garbage", "\x00\x00x-close\r\n\r\n", "", errs.Unavailable},
		{"nothing", "", "", errs.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, _ := script(t, c.answer)
			rep, err := client(t, httpx.ClientConfig{}).Do(t.Context(), &httpx.Call{Method: "GET", URL: url + "/x"})
			var b []byte
			if err == nil {
				b, err = rep.ReadAll(1 << 20)
			}
			if errs.KindOf(err) != c.kind || err == nil && string(b) != c.body {
				t.Errorf("%q, %v; want %q, kind %v", b, err, c.body, c.kind)
			}
		})
	}
}

func TestClientKeepsConnections(t *testing.T) {
	url, n := script(t, plain, plain, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-close: 1\r\n\r\nok", plain, plain)
	cl := client(t, httpx.ClientConfig{})
	for i := range 5 {
		rep, err := cl.Do(t.Context(), &httpx.Call{Method: "GET", URL: url})
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if _, err := rep.ReadAll(10); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if n.Load() != 5 {
		t.Errorf("%d requests came", n.Load())
	}
}

// TestClientSendsBodiesOnce: a pooled connection that dies takes a call without body to a new one, never one with.
func TestClientSendsBodiesOnce(t *testing.T) {
	for _, c := range []struct {
		body string
		want int64
		kind errs.Kind
	}{{"", 3, 0}, {"x", 2, errs.Unavailable}} {
		url, n := script(t, plain, "", plain)
		cl := client(t, httpx.ClientConfig{})
		rep, err := cl.Do(t.Context(), &httpx.Call{Method: "GET", URL: url})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = rep.ReadAll(10)
		rep, err = cl.Do(t.Context(), &httpx.Call{Method: "PUT", URL: url, Body: []byte(c.body)})
		if err == nil {
			rep.Close()
		}
		if errs.KindOf(err) != c.kind || n.Load() != c.want {
			t.Errorf("body %q: %v after %d requests", c.body, err, n.Load())
		}
	}
}

func TestClientFailures(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := "http://" + ln.Addr().String() // accepts by backlog and never answers
	defer ln.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	closed.Close()

	cl := client(t, httpx.ClientConfig{Progress: 50 * time.Millisecond})
	slow := client(t, httpx.ClientConfig{})
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	gone, cancel2 := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel2)
	for _, c := range []struct {
		name string
		cl   *httpx.Client
		ctx  context.Context
		url  string
		kind errs.Kind
	}{
		{"nobody", cl, t.Context(), nobody, errs.Unavailable},
		{"no progress", cl, t.Context(), silent, errs.Timeout},
		{"deadline", slow, short, silent, errs.Timeout},
		{"canceled", slow, gone, silent, errs.Canceled},
		{"bad URL", cl, t.Context(), "ftp://x", errs.Invalid},
	} {
		if _, err := c.cl.Do(c.ctx, &httpx.Call{Method: "GET", URL: c.url}); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", c.name, err, c.kind)
		}
	}
}

type endless struct{ n atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n.Add(int64(len(p)))
	return len(p), nil
}

// TestClientStopsAtAnEarlyAnswer: a long stream is announced, and not sent to a server that does not want it.
func TestClientStopsAtAnEarlyAnswer(t *testing.T) {
	url, _ := start(t, basic())
	cl := client(t, httpx.ClientConfig{})
	for _, n := range []int64{1 << 40, -1} {
		var body endless
		put := func() (time.Duration, error) {
			body.n.Store(0)
			began := time.Now()
			_, err := cl.Do(t.Context(), &httpx.Call{Method: "PUT", URL: url + "/refuse", Stream: &body, StreamLen: n})
			return time.Since(began), err
		}
		took, err := put()
		for took > time.Second && body.n.Load() > 0 { // a busy server has not answered while it was waited for
			took, err = put()
		}
		if !errs.Is(err, errs.Forbidden) || body.n.Load() > 0 {
			t.Errorf("length %d: %v after %d bytes", n, err, body.n.Load())
		}
	}
}

// TestClientIsPatient: whoever asks for what takes long says so, and everything else is given up after Progress.
func TestClientIsPatient(t *testing.T) {
	entered, leave := make(chan bool, 2), make(chan bool)
	url, _ := start(t, []httpx.Route{{Method: "GET", Path: "/long", Op: "long", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
		entered <- true
		<-leave
		return ok(c)
	}}})
	cl := client(t, httpx.ClientConfig{Progress: 500 * time.Millisecond})
	ended := make(chan error)
	go func() {
		rep, err := cl.Do(context.Background(), &httpx.Call{Method: "GET", URL: url + "/long", Patience: time.Minute})
		if err == nil {
			_, err = rep.ReadAll(100)
		}
		ended <- err
	}()
	<-entered
	if _, err := cl.Do(context.Background(), &httpx.Call{Method: "GET", URL: url + "/long"}); !errs.Is(err, errs.Timeout) {
		t.Errorf("without patience: %v", err)
	}
	close(leave)
	if err := <-ended; err != nil {
		t.Errorf("with patience: %v", err)
	}
}

// TestProgressMayChange: pooled connections and new ones, calls and relays go by the limit of when they begin.
func TestProgressMayChange(t *testing.T) {
	entered, leave := make(chan bool, 4), make(chan bool)
	up, _ := start(t, []httpx.Route{{Method: "GET", Path: "/long", Op: "long", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
		entered <- true
		<-leave
		return ok(c)
	}}, {Method: "GET", Path: "/ok", Op: "ok", Policy: smallPolicy, Handler: ok}})
	cl := client(t, httpx.ClientConfig{Progress: 50 * time.Millisecond})
	front, _ := start(t, []httpx.Route{{Method: "GET", Path: "/*", Op: "relay", Policy: dataPolicy, Handler: func(c *httpx.Ctx) error {
		return c.Relay(cl, &httpx.Relay{Addr: strings.TrimPrefix(up, "http://"), Target: c.Target()})
	}}})
	get := func(cl *httpx.Client, url string) error {
		rep, err := cl.Do(context.Background(), &httpx.Call{Method: "GET", URL: url})
		if err == nil {
			rep.Close()
		}
		return err
	}
	err := get(cl, up+"/ok")         // a connection to be used again
	for errs.Is(err, errs.Timeout) { // a busy machine may need longer than the limit
		err = get(cl, up+"/ok")
	}
	if err != nil {
		t.Fatal(err)
	}
	cl.SetProgress(time.Minute)
	ended := make(chan error, 3)
	patient := client(t, httpx.ClientConfig{})
	for _, call := range []func() error{
		func() error { return get(cl, up+"/long") }, func() error { return get(cl, up+"/long") }, func() error { return get(patient, front+"/long") },
	} {
		go func() { ended <- call() }()
		<-entered
	}
	if err := get(client(t, httpx.ClientConfig{Progress: 50 * time.Millisecond}), up+"/long"); !errs.Is(err, errs.Timeout) {
		t.Errorf("as before: %v", err)
	}
	close(leave)
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestClientSourceFails(t *testing.T) {
	url, _ := start(t, basic())
	cl := client(t, httpx.ClientConfig{})
	boom := errors.New("boom")
	for name, call := range map[string]*httpx.Call{
		"stream": {Stream: io.MultiReader(strings.NewReader("abc"), failReader{boom}), StreamLen: 10},
		"short":  {Stream: strings.NewReader("abc"), StreamLen: 10},
		"source": {Source: func(io.Writer) error { return boom }, StreamLen: 10},
		"less":   {Source: func(io.Writer) error { return nil }, StreamLen: 10},
		"more": {Source: func(w io.Writer) error {
			_, err := w.Write(make([]byte, 11))
			return err
		}, StreamLen: 10},
	} {
		call.Method, call.URL = "PUT", url+"/read"
		if _, err := cl.Do(t.Context(), call); err == nil {
			t.Errorf("%s: no error", name)
		} else if (name == "stream" || name == "source") && !errors.Is(err, boom) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failReader struct{ err error }

func (f failReader) Read([]byte) (int, error) { return 0, f.err }

// TestCallCarriesIDAndDeadline: what a handler knows of its caller's context.
func TestCallCarriesIDAndDeadline(t *testing.T) {
	type seen struct {
		id   string
		left time.Duration
	}
	got := make(chan seen, 1)
	url, _ := start(t, []httpx.Route{{Method: "GET", Path: "/x", Op: "x", Policy: httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassData}, Handler: func(c *httpx.Ctx) error {
		s := seen{id: httpx.RequestID(c.Context())}
		if by, ok := c.Context().Deadline(); ok {
			s.left = time.Until(by)
		}
		got <- s
		return nil
	}}}, func(c *httpx.ServerConfig) { c.Listener = httpx.Intra })
	ctx, cancel := context.WithTimeout(httpx.WithRequestID(t.Context(), "id-1"), time.Hour)
	defer cancel()
	rep, err := client(t, httpx.ClientConfig{}).Do(ctx, &httpx.Call{Method: "GET", URL: url + "/x"})
	if err != nil {
		t.Fatal(err)
	}
	rep.Close()
	if s := <-got; s.id != "id-1" || s.left <= time.Minute || s.left > time.Hour {
		t.Errorf("%+v", s)
	}
}

func TestRouter(t *testing.T) {
	h := func(*httpx.Ctx) error { return nil }
	good := httpx.Route{Method: "GET", Path: "/a", Op: "a", Policy: smallPolicy, Handler: h}
	change := func(f func(*httpx.Route)) httpx.Route { r := good; f(&r); return r }
	for name, rs := range map[string][]httpx.Route{
		"double":          {good, good},
		"double wildcard": {change(func(r *httpx.Route) { r.Path = "/a/*" }), change(func(r *httpx.Route) { r.Path = "/a/*" })},
		"no policy":       {change(func(r *httpx.Route) { r.Policy = httpx.Policy{} })},
		"no class":        {change(func(r *httpx.Route) { r.Policy.Class = 0 })},
		"no listener":     {change(func(r *httpx.Route) { r.Policy.Listener = 0 })},
		"bad limit":       {change(func(r *httpx.Route) { r.Policy.MaxBody = -2 })},
		"no operation":    {change(func(r *httpx.Route) { r.Op = "" })},
		"no handler":      {change(func(r *httpx.Route) { r.Handler = nil })},
		"bad method":      {change(func(r *httpx.Route) { r.Method = "get" })},
		"bad path":        {change(func(r *httpx.Route) { r.Path = "a" })},
		"inner wildcard":  {change(func(r *httpx.Route) { r.Path = "/*/a" })},
		"half wildcard":   {change(func(r *httpx.Route) { r.Path = "/a*" })},
		"host and path":   {change(func(r *httpx.Route) { r.Method, r.Hosts = "*", func(string) bool { return true } })},
		"host and method": {change(func(r *httpx.Route) { r.Path, r.Hosts = "/*", func(string) bool { return true } })},
	} {
		if _, err := httpx.NewRouter(rs); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}

	route := func(method, path string, l httpx.Listener) httpx.Route {
		return httpx.Route{Method: method, Path: path, Op: "x", Policy: httpx.Policy{Listener: l, Class: httpx.ClassData}, Handler: func(c *httpx.Ctx) error {
			c.SetHeader("x-route", method+" "+path+" "+c.Rest())
			return nil
		}}
	}
	url, _ := start(t, []httpx.Route{
		route("GET", "/v1/objects/*", httpx.Public), route("PUT", "/v1/objects/*", httpx.Public), route("GET", "/v1/objects/list", httpx.Public),
		route("GET", "/v1/x", httpx.Intra), route("*", "/any/*", httpx.Both), route("GET", "/any/get/*", httpx.Public), route("*", "/*", httpx.Public),
	})
	cl := client(t, httpx.ClientConfig{})
	for _, c := range [][3]string{
		{"GET", "/v1/objects/b/a%2Fb%20c//d", "GET /v1/objects/* b/a/b c//d"},
		{"HEAD", "/v1/objects/b/o", "GET /v1/objects/* b/o"},
		{"PUT", "/v1/objects/", "PUT /v1/objects/*"},
		{"GET", "/v1/objects/list", "GET /v1/objects/list"},
		{"PUT", "/v1/objects/list", "PUT /v1/objects/* list"},
		{"BREW", "/any/x", "* /any/* x"},
		{"GET", "/any/get/x", "GET /any/get/* x"},
		{"GET", "/v1/x", "* /* v1/x"},
		{"DELETE", "/v1/objects/b/o", "405 GET, PUT"},
	} {
		rep, err := cl.Do(t.Context(), &httpx.Call{Method: c[0], URL: url + c[1]})
		got := ""
		var f *httpx.Fault
		if err == nil {
			got = rep.Header("x-route")
			rep.Close()
		} else if errors.As(err, &f) && f.Status == 405 {
			got = "405 " + f.Message[strings.Index(f.Message, "one of ")+7:strings.LastIndex(f.Message, " (")]
		}
		if got != c[2] {
			t.Errorf("%s %s went to %q (%v), want %q", c[0], c[1], got, err, c[2])
		}
	}
}
