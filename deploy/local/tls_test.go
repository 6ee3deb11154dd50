package local

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"testing"

	"aistore/errs"
)

// TestTLS: the nodes get ports of their own and one certificate that this machine's names fit.
func TestTLS(t *testing.T) {
	o := Options{Dir: t.TempDir(), Targets: 2, Port: 20300, TLS: true}.WithDefaults()
	c, err := create(o)
	if errs.Is(err, errs.Conflict) {
		t.Skip("ports are taken: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, n := range c.Nodes() {
		for _, p := range n.ports() {
			if p == 0 || seen[p] {
				t.Errorf("%s has port %d", n.ID, p)
			}
			seen[p] = true
		}
		if err := c.writeConfig(n); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(n.yaml())
		if err != nil || !strings.Contains(string(b), "tls_port: 2030") {
			t.Errorf("%v\n%s", err, b)
		}
	}
	if s := c.Status()[0]; s.TLS != "https://127.0.0.1:20303" {
		t.Errorf("status: %+v", s)
	}
	pair, err := tls.LoadX509KeyPair(certPath(c.dir), keyPath(c.dir))
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(keyPath(c.dir)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key can be read by others: %v %v", st.Mode(), err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _ = conn.(*tls.Conn).Handshake(); conn.Close() }() //nolint:forcetypeassert // of a TLS listener
		}
	}()
	pem, err := os.ReadFile(certPath(c.dir))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	for _, name := range []string{"127.0.0.1", "localhost", "bucket.localhost"} {
		raw, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}).Handshake(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		raw.Close()
	}
	if _, err := create(Options{Dir: t.TempDir(), Port: 65533, TLS: true}.WithDefaults()); !errs.Is(err, errs.Invalid) {
		t.Errorf("ports beyond the last: %v", err)
	}
}
