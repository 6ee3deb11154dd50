package httpx_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aistore/errs"
	"aistore/httpx"
)

// pemFiles are the contents of a certificate's two files.
func pemFiles(t *testing.T, c *tls.Certificate) (cert, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TestCertificateRotation replaces the files in all the ways that happen, and looks at what clients get.
func TestCertificateRotation(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put := func(name string, data []byte) { // by rename, as tools that renew certificates do
		t.Helper()
		if err := os.WriteFile(name+".new", data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	cert1, key1 := pemFiles(t, selfSigned(t, "one"))
	cert2, key2 := pemFiles(t, selfSigned(t, "two"))
	cert3, key3 := pemFiles(t, selfSigned(t, "three"))
	put(certFile, cert1)
	put(keyFile, key1)
	var log bytes.Buffer
	c, err := httpx.OpenCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	expect := func(step, subject string, logged int) {
		t.Helper()
		for range 3 {
			got, err := c.Get()
			if err != nil || got.Leaf.Subject.CommonName != subject {
				t.Errorf("%s: %v, %v", step, got.Leaf.Subject, err)
			}
		}
		failures += logged
		if n := strings.Count(log.String(), "not usable"); n != failures {
			t.Errorf("%s: %d failures are logged, want %d:\n%s", step, n, failures, &log)
		}
	}
	expect("at first", "one", 0)
	put(certFile, cert2)
	expect("certificate without its key", "one", 1)
	put(keyFile, key2)
	expect("both", "two", 0)
	put(certFile, []byte("nonsense"))
	expect("nonsense", "two", 1)
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	expect("key removed", "two", 1)
	put(certFile, cert3)
	put(keyFile, key3)
	expect("mended", "three", 0)

	for name, files := range map[string][2]string{
		"no certificate": {filepath.Join(dir, "none"), keyFile}, "no key": {certFile, filepath.Join(dir, "none")}, "swapped": {keyFile, certFile},
	} {
		if _, err := httpx.OpenCertificate(files[0], files[1], slog.New(slog.DiscardHandler)); !errs.Is(err, errs.NotFound, errs.Invalid) ||
			strings.HasPrefix(name, "no ") && !strings.Contains(err.Error(), "none") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDrainEndsHandshakes does not wait for a client that has connected to a TLS port and says nothing.
func TestDrainEndsHandshakes(t *testing.T) {
	r, err := httpx.NewRouter(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := selfSigned(t, "one")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	ln := tls.NewListener(&told{tcp, begun}, httpx.TLSConfig(func() (*tls.Certificate, error) { return cert, nil }))
	s := httpx.NewServer(httpx.ServerConfig{HeaderTimeout: time.Hour, Limits: httpx.Limits{Drain: time.Hour}}, r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	quiet, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	<-begun
	cancel()
	if err := <-done; err != nil { // would take an hour
		t.Error(err)
	}
	if _, err := io.ReadAll(quiet); err != nil {
		t.Logf("the client's end: %v", err)
	}
}

// TestHandshakeTimeout cuts a client that does not say what a TLS client begins with.
func TestHandshakeTimeout(t *testing.T) {
	r, err := httpx.NewRouter(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := selfSigned(t, "one")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := tls.NewListener(tcp, httpx.TLSConfig(func() (*tls.Certificate, error) { return cert, nil }))
	s := httpx.NewServer(httpx.ServerConfig{HeaderTimeout: 50 * time.Millisecond}, r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	if n, err := dial().Read(make([]byte, 1)); n != 0 || err == nil { // would wait for ever
		t.Errorf("read %d bytes, %v", n, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// told says when a connection is read from for the first time.
type told struct {
	net.Listener
	begun chan struct{}
}

func (l *told) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &toldConn{c, l.begun}, nil
}

type toldConn struct {
	net.Conn
	begun chan struct{}
}

func (c *toldConn) NetConn() net.Conn { return c.Conn }

func (c *toldConn) Read(p []byte) (int, error) {
	if c.begun != nil {
		close(c.begun)
		c.begun = nil
	}
	return c.Conn.Read(p)
}

// TestPlainAtTLS tells a client that speaks plain HTTP to a TLS port so; anybody else who does not speak TLS is told nothing.
func TestPlainAtTLS(t *testing.T) {
	r, err := httpx.NewRouter(nil)
	if err != nil {
		t.Fatal(err)
	}
	cert := selfSigned(t, "one")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httpx.NewServer(httpx.ServerConfig{}, r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(ctx, tls.NewListener(tcp, httpx.TLSConfig(func() (*tls.Certificate, error) { return cert, nil })))
	}()
	for _, c := range []struct {
		method string
		size   int
	}{{"GET", 0}, {"PUT", 3_000_000}, {"DELETE", 0}, {"POST", 10}} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+tcp.Addr().String()+"/x", bytes.NewReader(make([]byte, c.size)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", c.method, err)
			continue
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 400 || !strings.Contains(string(b), "this port speaks TLS") {
			t.Errorf("%s: %d %s %v", c.method, resp.StatusCode, b, err)
		}
	}
	c, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
	if b, _ := io.ReadAll(c); strings.Contains(string(b), "HTTP") {
		t.Errorf("ssh is told %q", b)
	}
	_ = c.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
