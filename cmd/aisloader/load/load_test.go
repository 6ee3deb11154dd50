package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aistore/api"
	"aistore/cmd/aisloader/sigv4"
)

func sizesOf(t *testing.T, s string) Sizes {
	z, err := ParseSizes(s)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// base is a small valid run against s.
func base(t *testing.T, s *servers, api API) Config {
	c := Config{
		API: api, Bucket: "bkt", Prefix: "p q/", Sizes: sizesOf(t, "0,100,20KiB,300KiB"), Objects: 40, Seed: 3, Concurrency: 4,
		Ops: 200, Fill: true, Create: true, Verify: true, PageSize: 7, Timeout: time.Minute,
		Credentials: sigv4.Credentials{AccessKey: "k", SecretKey: "s", Region: "r"},
	}
	switch api {
	case Native:
		c.Endpoints = []string{s.gateway.URL}
	case HTTP, S3:
		c.Endpoints = []string{s.t0.URL, s.t1.URL}
	}
	c.Create = api != HTTP
	return c
}

func TestOperations(t *testing.T) {
	for _, api := range []API{Native, S3, HTTP} {
		for _, mix := range []string{"put=1", "get=1", "head=1", "delete=1", "get=5,put=3,head=1,delete=2", "list"} {
			t.Run(fmt.Sprintf("%s %s", api, mix), func(t *testing.T) {
				s := newServers(t)
				c := base(t, s, api)
				if mix == "list" {
					c.Mix[List], c.Ops = 1, 5
				} else {
					m, err := ParseMix(mix)
					if err != nil {
						t.Fatal(err)
					}
					c.Mix = m
				}
				if api == HTTP && mix == "list" {
					if _, err := Run(t.Context(), c); err == nil {
						t.Error("plain HTTP listed")
					}
					return
				}
				want := uint64(c.Ops)
				if mix == "delete=1" {
					want = 40
				}
				rep, err := Run(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if rep.Errors != 0 || rep.Total.Count != want {
					t.Errorf("%d operations of %d, errors %d: %q", rep.Total.Count, want, rep.Errors, rep.Samples)
				}
				if mix == "list" && (rep.Names != 5*40 || rep.Pages != 5*6) {
					t.Errorf("listed %d names in %d pages", rep.Names, rep.Pages)
				}
				left := 40
				if mix == "delete=1" {
					left = 0
				}
				n := 0
				for k := range s.objects {
					if strings.HasPrefix(k, "bkt/p q/000000") && k < "bkt/p q/00000040" {
						n++
					}
				}
				if n != left {
					t.Errorf("%d objects are left, want %d", n, left)
				}
			})
		}
	}
}

func TestDirect(t *testing.T) {
	s := newServers(t)
	c := base(t, s, Native)
	c.Direct, c.Mix = true, Mix{Get: 1}
	rep, err := Run(t.Context(), c)
	if err != nil || rep.Errors != 0 || rep.Redirects != 0 || rep.Durability != "local" {
		t.Fatalf("%+v, %v", rep, err)
	}
	if s.counts["gw PUT"]+s.counts["gw GET"] != 1 || s.counts["t0 GET"] == 0 || s.counts["t1 GET"] == 0 {
		t.Errorf("requests %v", s.counts)
	}
}

// TestStaleMap lets the first requests meet a target that lost its names.
func TestStaleMap(t *testing.T) {
	s := newServers(t)
	c := base(t, s, Native)
	c.Direct, c.Mix, c.Fill, c.Concurrency = true, Mix{Put: 1}, false, 1
	evicted := false
	s.gateway.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serveGateway(w, r)
		if r.Method == http.MethodGet && !evicted { // right after the client has fetched its map
			evicted = true
			s.evict()
		}
	})
	rep, err := Run(t.Context(), c)
	if err != nil || rep.Errors != 0 || rep.Redirects != 1 || rep.MapFetches != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestGateway(t *testing.T) {
	s := newServers(t)
	c := base(t, s, Native)
	c.Mix = Mix{Put: 1}
	rep, err := Run(t.Context(), c)
	if err != nil || rep.Errors != 0 || rep.Redirects != 200 {
		t.Fatalf("%+v, %v", rep, err)
	}
	if s.expects == 0 || s.expects == s.counts["gw PUT"] {
		t.Errorf("%d of %d bodies waited to be asked for: want the large ones", s.expects, s.counts["gw PUT"])
	}
}

// TestRefusedConnections: a server that is not there is an error, and no redirect.
func TestRefusedConnections(t *testing.T) {
	t.Run("gateway", func(t *testing.T) {
		s := newServers(t)
		c := base(t, s, Native)
		c.Mix, c.Fill, c.Ops = Mix{Get: 1}, false, 20
		s.gateway.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, api.PathObjects) {
				http.Redirect(w, r, "http://127.0.0.1:1"+r.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			s.serveGateway(w, r)
		})
		rep, err := Run(t.Context(), c)
		if err != nil || rep.Errors == 0 || rep.Redirects != rep.Errors {
			t.Errorf("%+v, %v", rep, err)
		}
	})
	t.Run("target", func(t *testing.T) {
		s := newServers(t)
		c := base(t, s, Native)
		c.Direct, c.Mix, c.Fill, c.Ops = true, Mix{Put: 1}, false, 20
		s.t0.Close()
		s.t1.Close()
		rep, err := Run(t.Context(), c)
		if err != nil || rep.Errors == 0 || rep.Redirects != 0 {
			t.Errorf("%+v, %v", rep, err)
		}
	})
}

// TestMismatch: damaged bytes, another seed, and names that were never put are found.
func TestMismatch(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *servers, c *Config)
		mix   Mix
		mism  bool
	}{
		"flipped":    {func(s *servers, _ *Config) { s.damage = true }, Mix{Get: 1}, true},
		"other seed": {func(_ *servers, c *Config) { c.Seed = 99; c.Sizes = Sizes{list: []int64{100}} }, Mix{Get: 1}, true},
		"other size": {func(_ *servers, c *Config) { c.Sizes = Sizes{list: []int64{101}} }, Mix{Head: 1}, true},
		"not there":  {func(_ *servers, c *Config) { c.Prefix = "elsewhere/" }, Mix{Get: 1}, false},
	} {
		s := newServers(t)
		cfg := base(t, s, HTTP)
		cfg.Mix = Mix{Put: 1}
		if rep, err := Run(t.Context(), cfg); err != nil || rep.Errors != 0 {
			t.Fatal(err)
		}
		cfg.Fill, cfg.Mix, cfg.MaxErrors = false, c.mix, 10
		c.spoil(s, &cfg)
		rep, err := Run(t.Context(), cfg)
		if err != nil || rep.Errors < 10 || len(rep.Samples) == 0 {
			t.Errorf("%s: errors %d, samples %q, %v", name, rep.Errors, rep.Samples, err)
			continue
		}
		if c.mism && rep.Mismatches != rep.Errors || !c.mism && rep.Mismatches != 0 {
			t.Errorf("%s: %d mismatches of %d errors", name, rep.Mismatches, rep.Errors)
		}
	}
}

// TestCleanup leaves nothing behind, whoever made the bucket.
func TestCleanup(t *testing.T) {
	for _, api := range []API{Native, S3, HTTP} {
		for _, existed := range []bool{false, true} {
			s := newServers(t)
			c := base(t, s, api)
			c.Cleanup = true
			c.Mix, _ = ParseMix("get=1,put=1,delete=1")
			if existed && api != HTTP {
				if _, err := createBucket(t.Context(), &c); err != nil {
					t.Fatal(err)
				}
			}
			s.mu.Lock()
			s.objects["bkt/someone-else's"] = nil
			s.mu.Unlock()
			if rep, err := Run(t.Context(), c); err != nil || rep.Errors != 0 {
				t.Errorf("%s: %+v, %v", api, rep, err)
			}
			s.mu.Lock()
			delete(s.objects, "bkt/someone-else's")
			if len(s.objects) != 0 || len(s.buckets) != map[bool]int{true: 1}[existed && api != HTTP] {
				t.Errorf("%s, bucket existed %v: left %d objects, buckets %v", api, existed, len(s.objects), s.buckets)
			}
			s.mu.Unlock()
		}
	}
}

// TestCleanupCalledOff: a run that is called off cleans up all the same, with new connections.
func TestCleanupCalledOff(t *testing.T) {
	s := newServers(t)
	c := base(t, s, Native)
	c.Mix, c.Fill, c.Objects, c.Ops, c.Concurrency, c.Cleanup = Mix{Put: 1}, false, 2, 2, 2, true
	if _, err := createBucket(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	ctx, callOff := context.WithCancel(t.Context())
	stored := make(chan struct{})
	s.gateway.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "0") { // the other one's connections are kept, and idle
			_, _ = io.Copy(io.Discard, r.Body)
			<-stored
			callOff()
			<-r.Context().Done()
			return
		}
		s.serveGateway(w, r)
	})
	for _, srv := range []*httptest.Server{s.t0, s.t1} {
		serve := srv.Config.Handler
		srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			serve.ServeHTTP(w, r)
			if r.Method == http.MethodPut {
				close(stored)
			}
		})
	}
	_, err := Run(ctx, c)
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "cleanup") || len(s.objects) != 0 {
		t.Errorf("%v, %d objects left", err, len(s.objects))
	}
}

// TestRefusedUpload: a server that refuses a PUT without having asked for its body may still wait for it, so the connection is not used again.
func TestRefusedUpload(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var again atomic.Int64
	var serving sync.WaitGroup
	defer serving.Wait()
	defer ln.Close()
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				br := bufio.NewReader(nc)
				for n := 0; ; n++ {
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					if n > 0 {
						again.Add(1)
					}
					_, _ = io.WriteString(nc, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
				}
			})
		}
	})
	c := base(t, newServers(t), Native)
	c.Endpoints, c.Create, c.Fill = []string{"http://" + ln.Addr().String()}, false, false
	c.Mix, c.Ops, c.Sizes = Mix{Put: 1}, 12, sizesOf(t, "300KiB")
	rep, err := Run(t.Context(), c)
	if err != nil || rep.Errors != 12 || again.Load() != 0 {
		t.Errorf("%+v, %v; %d requests behind a refused one", rep, err, again.Load())
	}
}

func TestRedirected(t *testing.T) {
	if head, host, err := redirected(nil, Get, "http://h:1/a?b", 0); err != nil || host != "h:1" || !strings.HasPrefix(string(head), "GET /a?b ") {
		t.Errorf("%q to %q, %v", head, host, err)
	}
	for _, location := range []string{"", "/a", "http://h", "HTTP://h/a", "https://h/a", "http:///a"} {
		if _, host, err := redirected(nil, Get, location, 0); err == nil {
			t.Errorf("%q leads to %q", location, host)
		}
	}
}

func TestBounds(t *testing.T) {
	s := newServers(t)
	c := base(t, s, HTTP)
	c.Ops, c.Duration, c.Warmup, c.Mix = 0, 50*time.Millisecond, 10*time.Millisecond, Mix{Get: 1}
	c.ServerPIDs = []int{os.Getpid()}
	rep, err := Run(t.Context(), c)
	if err != nil || rep.Total.Count == 0 || rep.Seconds < 0.05 || len(rep.Servers) != 1 || rep.ServerRSS == 0 {
		t.Errorf("by time: %+v, %v", rep, err)
	}
	var out strings.Builder
	if err := rep.Print(&out); err != nil || !strings.Contains(out.String(), "get") || !strings.Contains(out.String(), "server CPU") {
		t.Errorf("printed %q, %v", out.String(), err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	c.Duration = time.Hour
	time.AfterFunc(30*time.Millisecond, cancel)
	if rep, err := Run(ctx, c); err == nil || rep == nil || rep.Errors != 0 {
		t.Errorf("called off: %+v, %v", rep, err)
	}
}

func TestValidate(t *testing.T) {
	s := newServers(t)
	for name, c := range map[string]struct {
		spoil func(c *Config)
		want  string
	}{
		"unbounded":      {func(c *Config) { c.Ops, c.Duration = 0, 0 }, "without end"},
		"no endpoint":    {func(c *Config) { c.Endpoints = nil }, "--endpoint"},
		"bad endpoint":   {func(c *Config) { c.Endpoints = []string{"https://x"} }, "--endpoint"},
		"no port":        {func(c *Config) { c.Endpoints = []string{"http://x"} }, `--endpoint: "http://x" is not http://HOST:PORT`},
		"a path":         {func(c *Config) { c.Bucket = "b/load" }, "--prefix"},
		"no bucket":      {func(c *Config) { c.Bucket = "" }, "--bucket"},
		"api":            {func(c *Config) { c.API = "ftp" }, "--api"},
		"direct s3":      {func(c *Config) { c.API, c.Direct = S3, true }, "--direct"},
		"no keys":        {func(c *Config) { c.API, c.Credentials.SecretKey = S3, "" }, "--s3-secret-key"},
		"no connections": {func(c *Config) { c.Concurrency = 0 }, "--concurrency"},
		"no names":       {func(c *Config) { c.Objects, c.Fill = 0, false }, "--objects"},
		"page":           {func(c *Config) { c.PageSize = 0 }, "--page-size"},
		"nothing to do":  {func(c *Config) { c.Mix = Mix{} }, "--op"},
		"timeout":        {func(c *Config) { c.Timeout = 1 }, "--timeout"},
	} {
		cfg := base(t, s, Native)
		cfg.Mix = Mix{Get: 1}
		c.spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"4096": "4KiB", "4KiB": "4KiB", "1k,2 mib": "1KiB,2MiB", "0": "0", "1KB": "1000", "1KiB-1MiB": "1KiB-1MiB", "7b": "7",
	} {
		if z, err := ParseSizes(in); err != nil || z.String() != want {
			t.Errorf("%q is %v, %v", in, z, err)
		}
	}
	for _, in := range []string{"", "x", "-1", "2-1", "1,,2", "9999GiB", "1.5KiB"} {
		if z, err := ParseSizes(in); err == nil {
			t.Errorf("accepted %q as %v", in, z)
		}
	}
	for _, in := range []string{"", "get", "get=x", "get=-1", "fly=1", "get=0", "list=1"} {
		if m, err := ParseMix(in); err == nil {
			t.Errorf("accepted %q as %v", in, m)
		}
	}
	z, seen := sizesOf(t, "1-10"), map[int64]int{}
	for h := range uint64(10_000) {
		n := z.of(h * 0x9e3779b97f4a7c15)
		seen[n]++
	}
	for n, count := range seen {
		if n < 1 || n > 10 || count < 800 {
			t.Errorf("size %d was drawn %d times of 10,000", n, count)
		}
	}
	for i, want := range map[int64]string{0: "p/00000000", 7: "p/00000007", 12345678: "p/12345678", 123456789: "p/123456789"} {
		if got := string(appendKey(nil, "p/", i)); got != want {
			t.Errorf("key %d is %q", i, got)
		}
	}
}

func TestSaying(t *testing.T) {
	for body, want := range map[string]string{
		`{"status_code":404,"message":"ais://b/o: object does not exist","kind":"not-found"}`:                                                         "ais://b/o: object does not exist",
		`<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>o</Key></Error>`: "NoSuchKey The specified key does not exist.",
		"<html>404</html>": "<html>404</html>",
		"":                 "",
	} {
		if got := saying(body); got != want {
			t.Errorf("%q says %q", body, got)
		}
	}
}
