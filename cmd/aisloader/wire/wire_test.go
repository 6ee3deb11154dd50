package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// canned is a connection that answers with fixed bytes, in pieces of a chosen size.
type canned struct {
	net.Conn
	r    io.Reader
	sent bytes.Buffer
}

func (c *canned) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *canned) Write(p []byte) (int, error) { return c.sent.Write(p) }
func (c *canned) SetDeadline(time.Time) error { return nil }
func (c *canned) Close() error                { return nil }
func answer(r io.Reader) *Conn                { return newConn(&canned{r: r}, "test", time.Minute) }
func bodyOf(c *Conn, r *Response) (string, error) {
	var b strings.Builder
	_, err := c.Body(r, func(p []byte) error { b.Write(p); return nil })
	return b.String(), err
}

func TestReplies(t *testing.T) {
	for name, c := range map[string]struct {
		method, text string
		status       int
		body         string
		close        bool
	}{
		"counted":    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
		"lower case": {"GET", "HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello", 200, "hello", false},
		"chunked":    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", 200, "hello", false},
		"until end":  {"GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", true},
		"head":       {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", false},
		"no content": {"DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false},
		"close":      {"GET", "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 404, "no", true},
		"old":        {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
		"old kept":   {"GET", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		"interim":    {"GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		"empty":      {"PUT", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", false},
	} {
		for how, r := range map[string]io.Reader{
			"at once":      strings.NewReader(c.text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
		} {
			conn := answer(r)
			resp, err := conn.Receive(c.method)
			if err != nil {
				t.Errorf("%s %s: %v", name, how, err)
				continue
			}
			got, err := bodyOf(conn, &resp)
			if err != nil || resp.Status != c.status || got != c.body {
				t.Errorf("%s %s: status %d body %q, %v", name, how, resp.Status, got, err)
			}
			if resp.Close != c.close {
				t.Errorf("%s %s: close is %v", name, how, resp.Close)
			}
		}
	}
}

func TestHeader(t *testing.T) {
	conn := answer(strings.NewReader("HTTP/1.1 307 Temporary Redirect\r\nX-Loc: no\r\nLOCATION:  http://a/b \r\nais-map-version:7\r\nContent-Length: 0\r\n\r\n"))
	resp, err := conn.Receive("GET")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"location": "http://a/b", "ais-map-version": "7", "etag": "", "loc": ""} {
		if got := string(resp.Header(name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestBroken(t *testing.T) {
	for name, text := range map[string]string{
		"short body":      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
		"short chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
		"no last chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"bad chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
		"long chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
		"bad length":      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
		"empty length":    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
		"not HTTP":        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
		"bad status":      "HTTP/1.1 2xx OK\r\n\r\n",
		"cut head":        "HTTP/1.1 200 OK\r\nContent-",
		"nothing":         "",
		"endless head":    "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 20000),
		"number too long": "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
	} {
		conn := answer(strings.NewReader(text))
		resp, err := conn.Receive("GET")
		if err == nil {
			_, err = bodyOf(conn, &resp)
			var broken *BrokenError
			if err == nil || !errors.As(err, &broken) {
				t.Errorf("%s: accepted with status %d: %v", name, resp.Status, err)
			}
		}
		if errors.Is(err, ErrStale) {
			t.Errorf("%s: a new connection is called stale: %v", name, err)
		}
	}
}

// TestStale closes a connection after one reply, which a caller may take for idleness, and inside one, which it may not.
func TestStale(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	for text, want := range map[string]bool{ok: true, ok + "HTTP/1.1 2": false} {
		conn := answer(strings.NewReader(text))
		if _, err := conn.Receive("GET"); err != nil {
			t.Fatal(err)
		}
		_, err := conn.Receive("GET")
		if err == nil || errors.Is(err, ErrStale) != want {
			t.Errorf("after %q: stale should be %v: %v", text[len(ok):], want, err)
		}
	}
}

// TestServer runs many requests against net/http: bodies both ways, in vectored writes, on one connection.
func TestServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(400)
		}
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(bytes.ToUpper(b))
	}))
	defer srv.Close()
	conn, err := Dial(t.Context(), srv.Listener.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	refused := errors.New("refused by the caller")
	for i, size := range []int{0, 1, 100, 70_000, 3_000_000, 5} {
		for _, path := range []string{"/", "/chunked"} {
			part := bytes.Repeat([]byte{'a' + byte(i)}, size)
			head := fmt.Appendf(nil, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, 2*size)
			if err := conn.Send(time.Now(), head, [][]byte{part, part}); err != nil {
				t.Fatal(err)
			}
			resp, err := conn.Receive("PUT")
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 1 { // the connection stays usable when the caller dislikes the body
				if n, err := conn.Body(&resp, func([]byte) error { return refused }); !errors.Is(err, refused) || n != int64(2*size) {
					t.Fatalf("read %d: %v", n, err)
				}
				continue
			}
			got, err := bodyOf(conn, &resp)
			if err != nil || got != strings.ToUpper(string(part)+string(part)) {
				t.Fatalf("%s %d: got %d bytes, %v", path, size, len(got), err)
			}
		}
	}
}

func TestContinue(t *testing.T) {
	conn := answer(strings.NewReader("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	if resp, err := conn.ReceiveContinue("PUT"); err != nil || resp.Status != 100 {
		t.Fatalf("status %d, %v", resp.Status, err)
	}
	if resp, err := conn.ReceiveContinue("PUT"); err != nil || resp.Status != 200 {
		t.Fatalf("status %d, %v", resp.Status, err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole, pieces := answer(bytes.NewReader(text)), answer(iotest.OneByteReader(bytes.NewReader(text)))
		a, errA := whole.Receive("GET")
		b, errB := pieces.Receive("GET")
		if (errA == nil) != (errB == nil) || a.Status != b.Status || a.Length != b.Length {
			t.Fatalf("depends on how it arrives: %v %v; %v %v", a, errA, b, errB)
		}
		if errA != nil {
			return
		}
		bodyA, errA := bodyOf(whole, &a)
		bodyB, errB := bodyOf(pieces, &b)
		if (errA == nil) != (errB == nil) || bodyA != bodyB {
			t.Fatalf("depends on how it arrives: %q %v; %q %v", bodyA, errA, bodyB, errB)
		}
		// What we accept as counted or chunked, the standard library reads alike.
		std, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
		if err == nil && errA == nil && std.StatusCode >= 200 && std.StatusCode == a.Status && a.Length >= 0 && std.ContentLength == a.Length {
			want, err := io.ReadAll(std.Body)
			if err == nil && string(want) != bodyA {
				t.Fatalf("body %q, net/http reads %q", bodyA, want)
			}
		}
	})
}
