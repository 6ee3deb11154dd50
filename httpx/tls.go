package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"aistore/errs"
	"aistore/internal/jsonx"
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
	if cn.s.closing.Load() { // the drain looks at idle after it has set closing
		return false
	}
	ctx, cancel := context.WithTimeout(cn.s.base, cn.s.cfg.HeaderTimeout)
	defer cancel()
	err := t.HandshakeContext(ctx)
	if err != nil {
		cn.answerPlain(err)
		cn.s.cfg.Log.Debug("TLS handshake failed", "client", cn.RemoteAddr().String(), "err", err)
	}
	return err == nil && t.SetDeadline(time.Time{}) == nil
}

// answerPlain answers a client that speaks plain HTTP to a TLS port, so that its user learns why nothing works.
func (cn *connection) answerPlain(err error) {
	var re tls.RecordHeaderError
	if !errors.As(err, &re) || re.Conn == nil {
		return
	}
	switch string(re.RecordHeader[:]) { // the beginning of a request line
	case "GET /", "HEAD ", "PUT /", "POST ", "DELET", "OPTIO", "PATCH":
	default:
		return
	}
	f := Fault{
		Status: 400, Message: "this port speaks TLS and the request is plain HTTP: write https:// for http://, or give the port of plain HTTP",
		Kind: errs.Invalid.String(), Node: cn.s.cfg.Node, OldStatus: 400,
	}
	body, err := jsonx.Marshal(f)
	if err != nil { // strings always marshal
		return
	}
	if re.Conn.SetDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = fmt.Fprintf(re.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: %s\r\nConnection: close\r\n\r\n%s",
		len(body), headerKind, errs.Invalid, body) // whoever does not read it has ended
	if tcp, ok := rawConn(re.Conn).(*net.TCPConn); ok && tcp.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, re.Conn, lingerBytes) // a reset for what was not read could overtake the reply
	}
}

// closeWrite ends the sending direction of a connection; false if it has no such half.
func closeWrite(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		_ = t.CloseWrite() // says so to the peer; the plain close below counts
	}
	s := streamOf(rawConn(c))
	return s != nil && s.CloseWrite() == nil
}
