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
		if key, value, ok := strings.Cut(line, ":"); ok {
			f(key, strings.Trim(value, " \t\r"))
		}
	}
}

// TLS reports whether the request came over TLS.
func (c *Ctx) TLS() bool {
	_, ok := c.cn.Conn.(*tls.Conn)
	return ok
}

// Sent reports whether bytes of the reply are out, so that an error can no more be answered.
func (c *Ctx) Sent() bool { return c.sent }
