package local

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"aistore/errs"
)

// certificateDir of a cluster holds the one certificate of its nodes.
func certificateDir(cluster string) string { return filepath.Join(cluster, "tls") }

// CertificateFiles are where MakeCertificate puts things: cert is also the bundle that clients are told to trust.
func CertificateFiles(dir string) (cert, key string) {
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

// MakeCertificate writes a new certificate for this machine's loopback, which signs itself and is good for 10 years.
func MakeCertificate(dir string) error {
	const op = "local.MakeCertificate"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errs.E(op, dir, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return errs.E(op, dir, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return errs.E(op, dir, err)
	}
	der, err := selfSigned(key)
	if err != nil {
		return errs.E(op, dir, err)
	}
	certFile, keyFile := CertificateFiles(dir)
	if err := writeFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return errs.E(op, keyFile, err)
	}
	if err := writeFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return errs.E(op, certFile, err)
	}
	return nil
}

// selfSigned has all that strict clients ask of a root (RFC 5280 section 4.2.1): they are told to trust it as one.
func selfSigned(key *ecdsa.PrivateKey) ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(public)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "aistore local cluster"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), // an hour for clocks that differ
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		SubjectKeyId: id[:20], AuthorityKeyId: id[:20],
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	return x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
}
