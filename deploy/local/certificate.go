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

// CertificateFiles are where MakeCertificate puts things: cert, with the authority behind the certificate, is also the bundle that clients are told to trust.
func CertificateFiles(dir string) (cert, key string) {
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

// MakeCertificate writes a new certificate for this machine's loopback, good for 10 years, and behind it the authority that signed it.
// The authority is made for this one certificate and its key forgotten. It is apart since clients built on rustls (object_store and
// what is on top of it) refuse a server whose own certificate is an authority's, however much they trust it.
func MakeCertificate(dir string) error {
	const op = "local.MakeCertificate"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errs.E(op, dir, err)
	}
	chain, key, err := signed()
	if err != nil {
		return errs.E(op, dir, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return errs.E(op, dir, err)
	}
	var text []byte
	for _, der := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	certFile, keyFile := CertificateFiles(dir)
	if err := writeFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return errs.E(op, keyFile, err)
	}
	if err := writeFile(certFile, text, 0o644); err != nil {
		return errs.E(op, certFile, err)
	}
	return nil
}

// signed returns a certificate and its authority's, in the order a server sends them, and the certificate's key. Both have
// all that strict clients ask for (RFC 5280 section 4.2.1).
func signed() (chain [2][]byte, key *ecdsa.PrivateKey, err error) {
	rootKey, root, err := template("aistore local authority")
	if err != nil {
		return chain, nil, err
	}
	root.IsCA, root.MaxPathLenZero, root.KeyUsage = true, true, x509.KeyUsageCertSign
	root.AuthorityKeyId = root.SubjectKeyId
	if chain[1], err = x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey); err != nil {
		return chain, nil, err
	}
	key, leaf, err := template("aistore local cluster")
	if err != nil {
		return chain, nil, err
	}
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.DNSNames, leaf.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	chain[0], err = x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	return chain, key, err
}

// template has what both certificates have, and a new key for it.
func template(name string) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	id := sha256.Sum256(public)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	return key, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, SubjectKeyId: id[:20],
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0), // an hour for clocks that differ
		BasicConstraintsValid: true,
	}, nil
}
