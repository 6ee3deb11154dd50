package httpx_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/errs"
	"aistore/httpx"
)

var (
	dataPolicy  = httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData, MaxBody: httpx.NoLimit}
	smallPolicy = httpx.Policy{Listener: httpx.Public, Class: httpx.ClassControl, MaxBody: 1 << 10}
)

type serverOption func(*httpx.ServerConfig)

// start serves routes on a free port of the loopback, and to neighbours, until the test ends.
func start(t testing.TB, routes []httpx.Route, opts ...serverOption) (url string, stop func()) {
	t.Helper()
	r, err := httpx.NewRouter(routes)
	if err != nil {
		t.Fatal(err)
	}
	cfg := httpx.ServerConfig{Node: "n1", Listener: httpx.Public}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	for _, o := range opts {
		o(&cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := httpx.NewServer(cfg, r)
	lns := []net.Listener{ln}
	if local, err := httpx.ListenLocal(ctx, ln.Addr().String()); err == nil {
		lns = append(lns, local)
	} else if runtime.GOOS == "linux" {
		t.Fatal(err)
	}
	go func() { done <- s.Serve(ctx, lns...) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return "http://" + ln.Addr().String(), stop
}

func data(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

type pieces struct {
	b      []byte
	size   int
	failAt int
	closed int
}

func (p *pieces) WriteBody(w io.Writer) error {
	for i := 0; i < len(p.b); i += p.size {
		if p.failAt > 0 && i >= p.failAt {
			return errs.E("test", "block", errs.Corrupt)
		}
		if _, err := w.Write(p.b[i:min(i+p.size, len(p.b))]); err != nil {
			return err
		}
	}
	return nil
}

func (p *pieces) Close() { p.closed++ }

// TestBodyAfterBytes: a body that was taken as bytes can be read as a stream, as often as it is asked for.
func TestBodyAfterBytes(t *testing.T) {
	echo := func(c *httpx.Ctx) error {
		first, ok := c.BodyBytes()
		if !ok {
			return errs.E("test", "body", errs.Invalid, "is not at hand")
		}
		for range 2 {
			if b, err := io.ReadAll(c.Body()); err != nil || !bytes.Equal(b, first) {
				return errs.F("test", "body", errs.Invalid, "%d bytes after %d: %v", len(b), len(first), err)
			}
		}
		return c.SendBytes(first)
	}
	url, _ := start(t, []httpx.Route{{Method: "PUT", Path: "/echo/*", Op: "echo", Policy: dataPolicy, Handler: echo}})
	cl := httpx.NewClient(httpx.ClientConfig{})
	defer cl.Close()
	for _, n := range []int{0, 1, 100, 15 << 10, 64 << 10} { // some arrive together with the header, some do not
		body := data(n)
		rep, err := cl.Do(t.Context(), &httpx.Call{Method: "PUT", URL: url + "/echo/a", Body: body})
		if err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		if got, err := rep.ReadAll(1 << 20); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d: %d bytes came back, %v", n, len(got), err)
		}
	}
}

func TestEcho(t *testing.T) {
	echo := func(c *httpx.Ctx) error {
		c.SetHeader("x-len", c.Header("Content-Length"))
		if b, ok := c.BodyBytes(); ok {
			c.SetHeader("x-memory", "1")
			return c.SendBytes(b)
		}
		b, err := io.ReadAll(c.Body())
		if err != nil {
			return err
		}
		return c.Send(int64(len(b)), &pieces{b: b, size: 100_000})
	}
	url, _ := start(t, []httpx.Route{{Method: "PUT", Path: "/echo/*", Op: "echo", Policy: dataPolicy, Handler: echo}})
	cl := httpx.NewClient(httpx.ClientConfig{})
	defer cl.Close()
	for _, n := range []int{0, 1, 100, 4096, 15 << 10, 64 << 10, 128 << 10, 1 << 20, 5_000_001} {
		body := data(n)
		calls := map[string]*httpx.Call{
			"memory":  {Method: "PUT", URL: url + "/echo/a", Body: body},
			"stream":  {Method: "PUT", URL: url + "/echo/a", Stream: bytes.NewReader(body), StreamLen: int64(n)},
			"chunked": {Method: "PUT", URL: url + "/echo/a", Stream: bytes.NewReader(body), StreamLen: -1},
		}
		for name, call := range calls {
			rep, err := cl.Do(t.Context(), call)
			if err != nil {
				t.Fatalf("%s %d: %v", name, n, err)
			}
			got, err := rep.ReadAll(1 << 30)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s %d: %d bytes came back, %v", name, n, len(got), err)
			}
		}
		resp, err := http.DefaultClient.Do(must(http.NewRequestWithContext(t.Context(), "PUT", url+"/echo/b", bytes.NewReader(body))))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !bytes.Equal(got, body) {
			t.Errorf("net/http %d: %d bytes came back", n, len(got))
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestFaultCrossesTheWire(t *testing.T) {
	fail := func(c *httpx.Ctx) error {
		return errs.E("test.fail", "ais://b/"+c.Rest(), errs.ParseKind(c.Query("kind")), "because")
	}
	url, _ := start(t, []httpx.Route{
		{Method: "GET", Path: "/fail/*", Op: "fail", Policy: dataPolicy, Handler: fail},
		{Method: "POST", Path: "/fail/*", Op: "fail", Policy: dataPolicy, Handler: fail},
	})
	cl := httpx.NewClient(httpx.ClientConfig{})
	defer cl.Close()
	for _, k := range errs.Kinds() {
		for _, m := range []string{"GET", "HEAD", "POST"} {
			_, err := cl.Do(t.Context(), &httpx.Call{Method: m, URL: url + "/fail/o?kind=" + k.String()})
			if k == errs.NotModified {
				if err != nil {
					t.Errorf("%s %v: %v", m, k, err)
				}
				continue
			}
			if got := errs.KindOf(err); got != k || !strings.Contains(err.Error(), "ais://b/o: because") {
				t.Errorf("%s %v came back as %v: %v", m, k, got, err)
			}
			var f *httpx.Fault
			if m == "GET" && (!errors.As(err, &f) || f.Status != httpx.StatusOf(k) || f.Node != "n1" || f.Path != "/fail/o" || f.RequestID == "") {
				t.Errorf("%v: fault %+v", k, f)
			}
		}
	}
}

func TestShutdownDrains(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	url, stop := start(t, []httpx.Route{{Method: "GET", Path: "/slow", Op: "slow", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
		close(entered)
		<-leave
		_, err := c.Write([]byte("done"))
		return err
	}}})
	got := make(chan string)
	go func() {
		resp, err := http.Get(url + "/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		b, _ := io.ReadAll(resp.Body)
		got <- string(b)
	}()
	<-entered
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	select {
	case <-ended:
		t.Fatal("Serve returned while a request was in flight")
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	if s := <-got; s != "done" {
		t.Errorf("got %q", s)
	}
	<-ended
}

// TestLingers: who comes while a server is about to end is served, on a connection that has been there and on a new one, and told that the connection ends.
func TestLingers(t *testing.T) {
	url, stop := start(t, []httpx.Route{{Method: "GET", Path: "/x", Op: "x", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
		_, err := c.Write([]byte("done"))
		return err
	}}}, func(c *httpx.ServerConfig) { c.Linger = 2 * time.Second })
	get := func(on *http.Client) *http.Response {
		t.Helper()
		resp, err := on.Get(url + "/x")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "done" || err != nil {
			t.Fatalf("got %q: %v", b, err)
		}
		return resp
	}
	idle := &http.Client{Transport: &http.Transport{}}
	defer idle.CloseIdleConnections()
	get(idle)
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	for ends := false; !ends; {
		fresh := &http.Client{Transport: &http.Transport{}}
		ends = get(fresh).Close
		fresh.CloseIdleConnections()
	}
	if !get(idle).Close {
		t.Error("the client was not told that its connection ends")
	}
	<-ended
	if _, err := idle.Get(url + "/x"); err == nil {
		t.Error("served after the end")
	}
}

// gated is a listener that accepts nothing before its server ends.
type gated struct {
	*net.TCPListener
	once sync.Once
	open chan struct{}
}

func (g *gated) Accept() (net.Conn, error) {
	<-g.open
	return g.TCPListener.Accept()
}

func (g *gated) SetDeadline(by time.Time) error {
	defer g.once.Do(func() { close(g.open) })
	return g.TCPListener.SetDeadline(by)
}

func (g *gated) Close() error {
	defer g.once.Do(func() { close(g.open) })
	return g.TCPListener.Close()
}

// TestServesWhoWaits: a connection that the kernel has taken for a server is served although the server was told to end before it could accept it.
func TestServesWhoWaits(t *testing.T) {
	r, err := httpx.NewRouter([]httpx.Route{{Method: "GET", Path: "/x", Op: "x", Policy: smallPolicy, Handler: func(c *httpx.Ctx) error {
		_, err := c.Write([]byte("done"))
		return err
	}}})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &gated{TCPListener: tcp.(*net.TCPListener), open: make(chan struct{})} //nolint:forcetypeassert // of "tcp"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- httpx.NewServer(httpx.ServerConfig{}, r).Serve(ctx, ln) }()
	c := dial(t, "http://"+tcp.Addr().String())
	c.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	cancel()
	resp, err := http.ReadResponse(bufio.NewReader(c.c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); string(b) != "done" || !resp.Close || err != nil {
		t.Errorf("got %q, close %v: %v", b, resp.Close, err)
	}
	c.c.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTimes(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(1e9, 999999999), time.Unix(1709210096, 0).In(time.FixedZone("", 3600)), time.Unix(-1e11, 0), time.Unix(1e12, 0),
		time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		if got, want := string(httpx.AppendTime(nil, at)), httpx.Time(at); got != want {
			t.Errorf("%q, should be %q", got, want)
		}
	}
}
