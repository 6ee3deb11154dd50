package httpx

import (
	"crypto/tls"
	"strings"
)

// Target returns the request target as it was received: signatures cover it so.
func (c *Ctx) Target() string { return c.target }

// EachHeader calls f for every line of the request header in the order of arrival: names as sent, in any case, values
// without the white space around them.
func (c *Ctx) EachHeader(f func(key, value string)) {
	if c.raw == "" {
		c.raw = string(c.hdr.RawHeaders()) // one string for all of them
	}
	for rest := c.raw; rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if colon := strings.IndexByte(line, ':'); colon >= 0 {
			f(line[:colon], trimField(line[colon+1:]))
		}
	}
}

// trimField takes the white space around a header's value away.
func trimField(v string) string {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	for len(v) > 0 && isSpace(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	return v
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// TLS reports whether the request came over TLS.
func (c *Ctx) TLS() bool {
	_, ok := c.cn.Conn.(*tls.Conn)
	return ok
}

// Sent reports whether bytes of the reply are out, so that an error can no more be answered.
func (c *Ctx) Sent() bool { return c.sent }
