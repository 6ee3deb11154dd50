package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aistore/cmd/aisnode/app"
	"aistore/errs"
)

// certificateFiles writes a certificate for 127.0.0.1 with the given name.
func certificateFiles(t *testing.T, dir, name string) {
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
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shown returns the name of the certificate that the node shows to a new connection.
func shown(t *testing.T, port int) string {
	t.Helper()
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // self-signed
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// await repeats f until it gives want.
func await(t *testing.T, want string, f func() string) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for f() != want {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("still %q, want %q", f(), want)
		}
	}
}

// TestTLS serves S3 and native routes over TLS, and takes over a changed certificate.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cfg := settings(t, dir)
	cfg.TLSPort = freePort(t)
	cfg = cfg.WithDefaults()
	if _, err := app.Open(t.Context(), cfg, app.Options{}); !errs.Is(err, errs.Invalid) {
		t.Fatalf("without a certificate: %v", err)
	}
	certificateFiles(t, dir, "first")
	start(t, cfg)
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // self-signed
	defer hc.CloseIdleConnections()
	for path, want := range map[string]int{"/v1/health": 200, "/": 200, "/nobucket/key": 404, "/v1/nothing": 404} {
		resp, err := hc.Get(fmt.Sprintf("https://127.0.0.1:%d%s", cfg.TLSPort, path))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	if name := shown(t, cfg.TLSPort); name != "first" {
		t.Errorf("the certificate is %q", name)
	}
	certificateFiles(t, dir, "second")
	await(t, "second", func() string { return shown(t, cfg.TLSPort) })
}
