package app

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"aistore/errs"
)

// certificate is a pair of files that is read again when they change, so that a renewed one needs no restart.
type certificate struct {
	cert, key string // paths
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	looked  time.Time // at the files
	version [2]stamp  // of the files, whether or not they could be used
}

// stamp tells one content of a file from another.
type stamp struct {
	size     int64
	modified time.Time
}

// lookEvery bounds how often the files are looked at.
const lookEvery = time.Second

// newCertificate reads the files, which must be right at the start.
func newCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	c := &certificate{cert: cert, key: key, log: log, looked: time.Now()}
	c.version = [2]stamp{stampOf(cert), stampOf(key)}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, errs.F("app.certificate", "tls_cert, tls_key", errs.Invalid, "cannot be used: %w", err)
	}
	c.pair = &pair
	return c, nil
}

func stampOf(path string) stamp {
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{st.Size(), st.ModTime()}
}

// get returns the present pair. Files that cannot be used leave the last good one in place.
func (c *certificate) get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked) < lookEvery {
		return c.pair, nil
	}
	c.looked = now
	is := [2]stamp{stampOf(c.cert), stampOf(c.key)}
	if is == c.version {
		return c.pair, nil
	}
	c.version = is
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		c.log.Error("the changed TLS certificate cannot be used: the last one stays", "op", "app.certificate", "tls_cert", c.cert, "tls_key", c.key, "err", err)
		return c.pair, nil
	}
	c.pair = &pair
	c.log.Info("TLS certificate read again", "tls_cert", c.cert)
	return c.pair, nil
}
