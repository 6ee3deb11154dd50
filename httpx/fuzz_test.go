package httpx

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzChunked compares the chunk reader with net/http's on what both accept, and never lets it read past the
// end of the body.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\nrest", "3;x\r\nabc\r\n0\r\nT: v\r\n\r\n", "zz", "ffffffffffffffff\r\n", "1\r\na\n0\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var b bodyReader
		br := bufio.NewReader(bytes.NewReader(in))
		b.reset(br, -1)
		got, err := io.ReadAll(&b)
		if err != nil {
			if _, again := b.Read(make([]byte, 1)); again == nil || again == io.EOF {
				t.Fatalf("after %v reading went on: %v", err, again)
			}
			return
		}
		want, werr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		if werr == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q, net/http reads %q", got, want)
		}
		rest, _ := io.ReadAll(br)
		if !bytes.HasSuffix(in, rest) || !bytes.HasSuffix(in[:len(in)-len(rest)], []byte("\r\n")) {
			t.Fatalf("body ends before %q", rest)
		}
	})
}

// FuzzEscapes compares with net/url, and takes what AppendPath and AppendQuery make back to what it was.
func FuzzEscapes(f *testing.F) {
	for _, s := range []string{"", "a", "a%20b", "%zz", "%", "+", "%2f", "a=b&c", "ü", "a/../b", "./."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, segment := range strings.Split(string(AppendPath(nil, s)), "/") {
			if segment == "." || segment == ".." {
				t.Errorf("path %q keeps a segment of dots, which clients would resolve", s)
			}
		}
		want, err := url.PathUnescape(s)
		if got, ok := unescape(s, unescapePath); ok != (err == nil) || ok && got != want {
			t.Errorf("path %q: %q %v, want %q %v", s, got, ok, want, err)
		}
		want, err = url.QueryUnescape(s)
		if got, ok := unescape(s, unescapeQuery); ok != (err == nil) || ok && got != want {
			t.Errorf("query %q: %q %v, want %q %v", s, got, ok, want, err)
		}
		if back, ok := unescape(string(AppendPath(nil, s)), unescapePath); !ok || back != s {
			t.Errorf("path %q came back as %q", s, back)
		}
		enc := string(AppendQuery(nil, s))
		if back, ok := lookup("x=1&"+enc+"="+enc+"&y=2", s); s != "x" && (!ok || back != s) {
			t.Errorf("query %q came back as %q", s, back)
		}
		if _, err := url.ParseQuery(enc); err != nil || strings.ContainsAny(enc, " \r\n\"<>#") {
			t.Errorf("%q encoded as %q", s, enc)
		}
	})
}

// FuzzServer throws bytes at a server over a connection in memory: whatever comes, it answers or closes, and ends.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /a HTTP/1.1\r\n\r\n",
		"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		"\r\n\r\n", "GET http://a/b HTTP/1.0\r\n\r\n", "GET /a HTTP/1.1\nHost: x\n\n", "GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", "HEAD /%00 HTTP/1.1\r\nRange: bytes=0-\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	p := Policy{Listener: Public, Class: ClassData, MaxBody: 1 << 20}
	r, err := NewRouter([]Route{
		{Method: "PUT", Path: "/*", Op: "put", Policy: p, Handler: func(c *Ctx) error {
			if b, ok := c.BodyBytes(); ok {
				return c.SendBytes(b)
			}
			_, err := io.Copy(c, c.Body())
			return err
		}},
		{Method: "GET", Path: "/*", Op: "get", Policy: p, Handler: func(c *Ctx) error {
			_, err := io.WriteString(c, c.Query("a")+c.Header("Range"))
			return err
		}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := NewServer(ServerConfig{HeaderTimeout: time.Second, IdleTimeout: time.Second}, r)
		s.base = context.Background()
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			(&connection{Conn: server, s: s}).serve()
		}()
		go func() {
			_, _ = client.Write(in)
			time.AfterFunc(time.Millisecond, func() { client.Close() })
		}()
		_, _ = io.Copy(io.Discard, client)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("the connection did not end")
		}
	})
}
