package httpx

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"

	"aistore/errs"
)

// Certificate is a server's certificate in two files, which are read again when they change: renewing one needs no
// restart. Files that do not fit together, as between the replacement of one and of the other, change nothing.
//
// It looks at the files when a client connects, not by a timer: two stats are little beside a handshake.
type Certificate struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	now    *tls.Certificate
	looked [2]fileState // when the files were read last, whatever came of it
}

// fileState tells one content of a file from another.
type fileState struct{ info os.FileInfo }

func (a fileState) same(b fileState) bool {
	if a.info == nil || b.info == nil {
		return a.info == b.info
	}
	return os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
}

// OpenCertificate reads the PEM files of a certificate, with what leads to its root behind it, and of its key.
func OpenCertificate(cert, key string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key, log: log}
	c.looked = c.look()
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// Get returns the certificate that the files hold, or the last good one they held; for TLSConfig.
func (c *Certificate) Get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.look()
	if state[0].same(c.looked[0]) && state[1].same(c.looked[1]) {
		return c.now, nil
	}
	c.looked = state // a bad pair is tried, and logged, once
	if err := c.read(); err != nil {
		c.log.Error("new certificate not usable: the old one stays", "err", err)
	}
	return c.now, nil
}

// look comes before the read: a change in between is seen the next time.
func (c *Certificate) look() (s [2]fileState) {
	for i, name := range []string{c.cert, c.key} {
		s[i].info, _ = os.Stat(name) // nil: reading it gives the reason
	}
	return s
}

func (c *Certificate) read() error {
	const op = "httpx.Certificate"
	cert, err := os.ReadFile(c.cert)
	if err != nil {
		return errs.E(op, c.cert, err)
	}
	key, err := os.ReadFile(c.key)
	if err != nil {
		return errs.E(op, c.key, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return errs.F(op, c.cert+", "+c.key, errs.Invalid, "%w", err)
	}
	c.now = &pair
	c.log.Info("certificate read", "file", c.cert, "subject", pair.Leaf.Subject.String(), "not_after", pair.Leaf.NotAfter)
	return nil
}
