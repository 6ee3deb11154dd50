//go:build linux && !race

package httpx_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aistore/errs"
	"aistore/httpx"
)

// paged is a body whose pieces are pages of a file.
type paged struct {
	t      *testing.T
	file   *os.File
	size   int64
	sparse bool  // the file cannot be piped
	bad    int64 // the piece from here on is damaged; -1: none
	sent   int   // pieces that went uncopied

	closed chan struct{} // closed when the server is done with it, if it is one's reply
}

type pageSender interface {
	SendPages(n int, fill func(pipe uintptr) error, check func(p []byte) error) (bool, error)
}

func (p *paged) Close() {
	if p.closed != nil {
		close(p.closed)
	}
}

func (p *paged) WriteBody(w io.Writer) error {
	ps, ok := w.(pageSender)
	if !ok {
		p.t.Fatal("the reply's writer cannot send pages")
	}
	for at := int64(0); at < p.size; {
		n := min(httpx.PagesMax, p.size-at)
		b := make([]byte, n)
		if _, err := p.file.ReadAt(b, at); err != nil {
			return err
		}
		sent, err := ps.SendPages(int(n), func(pipe uintptr) error { return p.fill(pipe, at, n) }, func(got []byte) error {
			if !bytes.Equal(got, b) {
				p.t.Errorf("the piece at %d was shown wrong", at)
			}
			if at == p.bad {
				return errs.E("test", "piece", errs.Corrupt)
			}
			return nil
		})
		if sent {
			p.sent++
		} else if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (p *paged) fill(pipe uintptr, at, n int64) error {
	if p.sparse {
		n /= 2 // what was moved until it failed must go nowhere
	}
	for n > 0 {
		k, err := unix.Splice(int(p.file.Fd()), &at, int(pipe), nil, int(n), 0)
		if err != nil {
			return err
		}
		n -= k
	}
	if p.sparse {
		return errors.New("not this file")
	}
	return nil
}

func TestSendPages(t *testing.T) {
	const size = 4<<20 + 4321 // more than the kernel takes while nobody reads
	content := data(size)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var body *paged
	url, _ := start(t, append(basic(), httpx.Route{
		Method: "GET", Path: "/pages", Op: "pages", Policy: httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData},
		Handler: func(c *httpx.Ctx) error { return c.Send(body.size, body) },
	}))
	get := func(t *testing.T, p *paged) (*raw, int, []byte, error) {
		body = p
		p.t, p.file, p.closed = t, file, make(chan struct{})
		r := dialFrom(t, url, "127.0.0.2") // as if from another machine
		r.send("GET /pages HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(r.br, &http.Request{Method: "GET"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		<-p.closed // the last piece arrives before it is counted
		return r, resp.StatusCode, b, err
	}
	t.Run("whole", func(t *testing.T) {
		p := &paged{size: size, bad: -1}
		r, status, b, err := get(t, p)
		if status != 200 || err != nil || !bytes.Equal(b, content) || p.sent != size/httpx.PagesMax+1 {
			t.Errorf("status %d, %d bytes, %d pieces uncopied, %v", status, len(b), p.sent, err)
		}
		r.wantOpen("/ok")
	})
	t.Run("to this machine", func(t *testing.T) {
		p := &paged{size: size, bad: -1, t: t, file: file, closed: make(chan struct{})}
		body = p
		r := dial(t, url)
		r.send("GET /pages HTTP/1.1\r\nHost: x\r\n\r\n")
		_, got := r.reply("GET")
		if <-p.closed; got != string(content) || p.sent != 0 {
			t.Errorf("%d bytes, %d pieces uncopied", len(got), p.sent)
		}
	})
	t.Run("short", func(t *testing.T) {
		r, status, b, err := get(t, &paged{size: 10, bad: -1})
		if status != 200 || err != nil || !bytes.Equal(b, content[:10]) {
			t.Errorf("status %d, %q, %v", status, b, err)
		}
		r.wantOpen("/ok")
	})
	t.Run("cannot be piped", func(t *testing.T) {
		p := &paged{size: size, sparse: true, bad: -1}
		r, status, b, err := get(t, p)
		if status != 200 || err != nil || !bytes.Equal(b, content) || p.sent != 0 {
			t.Errorf("status %d, %d bytes, %d pieces uncopied, %v", status, len(b), p.sent, err)
		}
		r.wantOpen("/ok")
	})
	t.Run("first piece damaged", func(t *testing.T) {
		r, status, _, err := get(t, &paged{size: size, bad: 0})
		if status != 500 || err != nil {
			t.Errorf("status %d, %v", status, err)
		}
		r.wantOpen("/ok")
	})
	t.Run("later piece damaged", func(t *testing.T) {
		r, status, b, err := get(t, &paged{size: size, bad: 2 * httpx.PagesMax})
		if status != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(b, content[:2*httpx.PagesMax]) {
			t.Errorf("status %d, %d bytes, %v", status, len(b), err)
		}
		r.wantClosed()
	})
}

// TestSendPagesToNobody gives up on a client that reads nothing, and serves the next.
func TestSendPagesToNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := data(32 << 20)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	failed := make(chan error, 1)
	url, _ := start(t, append(basic(), httpx.Route{
		Method: "GET", Path: "/pages", Op: "pages", Policy: httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData},
		Handler: func(c *httpx.Ctx) error {
			err := c.Send(int64(len(content)), &paged{t: t, file: file, size: int64(len(content)), bad: -1})
			failed <- err
			return err
		},
	}), func(c *httpx.ServerConfig) { c.Limits.Progress = 50 * time.Millisecond })
	dialFrom(t, url, "127.0.0.2").send("GET /pages HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-failed; !errs.Is(err, errs.Timeout) {
		t.Errorf("sent to a client that does not read: %v", err)
	}
	dial(t, url).wantOpen("/ok")
}

// TestClientSendPages sends pages as the body of a request.
func TestClientSendPages(t *testing.T) {
	const size = 4<<20 + 4321
	content := data(size)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var got []byte
	url, _ := start(t, append(basic(), httpx.Route{
		Method: "POST", Path: "/pages", Op: "pages", Policy: httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData, MaxBody: httpx.NoLimit},
		Handler: func(c *httpx.Ctx) (err error) {
			if got, err = io.ReadAll(c.Body()); err != nil {
				return err
			}
			return c.SendBytes(nil)
		},
	}))
	client := httpx.NewClient(httpx.ClientConfig{})
	defer client.Close()
	post := func(p *paged) error {
		p.t, p.file, got = t, file, nil
		rep, err := client.Do(t.Context(), &httpx.Call{Method: "POST", URL: url + "/pages", Source: p.WriteBody, StreamLen: p.size})
		if err == nil {
			rep.Close()
		}
		return err
	}
	for _, p := range []*paged{{size: size, bad: -1}, {size: 10, bad: -1}, {size: size, sparse: true, bad: -1}} {
		if err := post(p); err != nil || !bytes.Equal(got, content[:p.size]) || (p.sent > 0) == p.sparse {
			t.Errorf("%+v: %d bytes arrived, %v", p, len(got), err)
		}
	}
	if err := post(&paged{size: size, bad: 2 * httpx.PagesMax}); !errs.Is(err, errs.Corrupt) || bytes.Equal(got, content) {
		t.Errorf("a damaged piece: %v", err)
	}
	if err := post(&paged{size: size, bad: -1}); err != nil || !bytes.Equal(got, content) {
		t.Errorf("after a damaged one: %v", err)
	}
}

// openPipes counts the descriptors of pipes that this process has.
func openPipes(t *testing.T) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// TestClientClosedMeanwhile: what a call has in use when the client is closed is given back when the call ends.
func TestClientClosedMeanwhile(t *testing.T) {
	const size = 4 * httpx.PagesMax
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data(size), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	url, _ := start(t, append(basic(), httpx.Route{
		Method: "POST", Path: "/pages", Op: "pages", Policy: httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData, MaxBody: httpx.NoLimit},
		Handler: func(c *httpx.Ctx) error {
			if _, err := io.Copy(io.Discard, c.Body()); err != nil {
				return err
			}
			return c.SendBytes(nil)
		},
	}))
	before := openPipes(t)
	client := httpx.NewClient(httpx.ClientConfig{})
	p := &paged{t: t, file: file, size: size, bad: -1}
	rep, err := client.Do(t.Context(), &httpx.Call{Method: "POST", URL: url + "/pages", StreamLen: size, Source: func(w io.Writer) error {
		return p.WriteBody(closing{w.(pageSender), w, client})
	}})
	if err != nil {
		t.Fatal(err)
	}
	rep.Close()
	if now := openPipes(t); now != before || p.sent == 0 {
		t.Errorf("%d descriptors of pipes, before %d; %d pieces uncopied", now, before, p.sent)
	}
}

// closing closes the client while a piece is in a pipe.
type closing struct {
	pageSender
	io.Writer
	client *httpx.Client
}

func (c closing) SendPages(n int, fill func(pipe uintptr) error, check func(p []byte) error) (bool, error) {
	return c.pageSender.SendPages(n, fill, func(p []byte) error {
		c.client.Close()
		return check(p)
	})
}
