package httpx

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// TLSConfig is how every TLS listener of the project speaks: TLS 1.2 and up, HTTP/1.1 only. cert is asked at every
// handshake.
func TLSConfig(cert func() (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert() },
	}
}

// handshake does what a TLS connection begins with, within the time a request's header may take.
func (cn *connection) handshake() bool {
	t, ok := cn.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	cn.idle.Store(true) // a drain need not wait for a client that has asked for nothing
	defer cn.idle.Store(false)
	if cn.s.draining.Load() { // the drain looks at idle after it has set draining
		return false
	}
	ctx, cancel := context.WithTimeout(cn.s.base, cn.s.cfg.HeaderTimeout)
	defer cancel()
	err := t.HandshakeContext(ctx)
	if err != nil {
		cn.s.cfg.Log.Debug("TLS handshake failed", "client", cn.RemoteAddr().String(), "err", err)
	}
	return err == nil && t.SetDeadline(time.Time{}) == nil
}

// closeWrite ends the sending direction of a connection; false if it has no such half.
func closeWrite(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		_ = t.CloseWrite() // says so to the peer; the plain close below counts
	}
	tcp, ok := rawConn(c).(*net.TCPConn)
	return ok && tcp.CloseWrite() == nil
}
