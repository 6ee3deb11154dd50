package app

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCertificateBroken: files that cannot be used leave the last pair in place and are told of once.
func TestCertificateBroken(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c"), filepath.Join(dir, "k")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair := func() (string, string) {
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, pub, priv)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := x509.MarshalPKCS8PrivateKey(priv)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	}
	c1, k1 := pair()
	write(cert, c1)
	write(key, k1)
	var log bytes.Buffer
	c, err := newCertificate(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first := c.pair
	look := func() {
		c.looked = time.Time{}
		if _, err := c.get(); err != nil {
			t.Fatal(err)
		}
	}
	write(key, "broken")
	look()
	look()
	if c.pair != first || strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("after a broken key: %v\n%s", c.pair == first, &log)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	look()
	if c.pair != first {
		t.Error("a missing file was taken over")
	}
	c2, k2 := pair()
	write(cert, c2+"\n")
	write(key, k2+"\n")
	look()
	if c.pair == first {
		t.Error("a new pair was not taken over")
	}
}
