package s3

import (
	"strconv"
	"strings"
	"time"

	"aistore/auth/sigv4"
)

// HeaderCaller carries between nodes what the edge found out about a request: a Caller as text. Clients cannot send it.
const HeaderCaller = "Ais-S3-Caller"

// PathOwner serves S3 requests about one key to other nodes: PathOwner + "/BUCKETID/KEY", with the client's headers and HeaderCaller.
const PathOwner = "/intra/s3"

// PathDelete serves the keys of a DeleteObjects that a target owns: POST PathDelete + "/BUCKETID" with HeaderCaller. The body is the JSON of
// []DeleteItem, at most MaxKeys; the reply that of []Deleted in the same order.
const PathDelete = "/intra/s3-delete"

// Caller is who asks, and how the body is to be read.
type Caller struct {
	ID, Name          string // canonical id and user name; "" for anonymous
	Access            string // key that signed, "" for anonymous
	Admin, ReadOnly   bool
	Presigned, Secure bool   // signed in the query; over TLS
	V2, Posted        bool   // signed in the second version; by a POST form
	Addr              string // of the client, without the port
	Host              string // as the client wrote it, for Location
	View              uint64 // index of the view by which the request was routed: the owner must not know less
	Body              sigv4.Body
}

// Anonymous reports whether nobody signed.
func (c *Caller) Anonymous() bool { return c.ID == "" }

// Signature answers the condition keys of policies that are about how and when a request was signed, "" for one that nobody signed. Source:
// "Amazon S3 Signature Version 4 Authentication Specific Policy Keys". Age counts for URLs and forms of version 4, others are always young.
func (c *Caller) Signature(key string, now time.Time) string {
	if c.Anonymous() {
		return ""
	}
	switch key {
	case "s3:authtype":
		switch {
		case c.Posted:
			return "POST"
		case c.Presigned:
			return "REST-QUERY-STRING"
		}
		return "REST-HEADER"
	case "s3:signatureversion":
		if c.V2 {
			return "AWS"
		}
		return "AWS4-HMAC-SHA256"
	case "s3:signatureage":
		age := int64(0)
		if at, err := time.Parse("20060102T150405Z", c.Body.Date); err == nil && (c.Presigned || c.Posted) {
			age = max(now.Sub(at).Milliseconds(), 0)
		}
		return strconv.FormatInt(age, 10)
	}
	return ""
}

// Append appends c as one header value.
func (c *Caller) Append(b []byte) []byte {
	b = append(b, '1', ' ') // format
	flags := 0
	for i, f := range [...]bool{c.Admin, c.ReadOnly, c.Presigned, c.Secure, c.V2, c.Posted} {
		if f {
			flags |= 1 << i
		}
	}
	b = append(strconv.AppendInt(b, int64(flags), 16), ' ')
	for _, s := range [...]string{c.ID, c.Name, c.Access, c.Addr, c.Host} {
		b = append(appendField(b, s), ' ')
	}
	b = append(strconv.AppendUint(b, c.View, 10), ' ')
	return c.Body.Append(b)
}

// appendField appends s with escapes for what would end a field.
func appendField(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// ParseCaller is the inverse of Append.
func ParseCaller(s string) (Caller, error) {
	var c Caller
	bad := func() (Caller, error) {
		return Caller{}, E("s3.ParseCaller", HeaderCaller, "InternalError", "The header "+HeaderCaller+" is malformed.")
	}
	version, rest, _ := strings.Cut(s, " ")
	text, rest, _ := strings.Cut(rest, " ")
	flags, err := strconv.ParseUint(text, 16, 8)
	if err != nil || version != "1" {
		return bad()
	}
	for i, f := range [...]*bool{&c.Admin, &c.ReadOnly, &c.Presigned, &c.Secure, &c.V2, &c.Posted} {
		*f = flags>>i&1 == 1
	}
	for _, f := range [...]*string{&c.ID, &c.Name, &c.Access, &c.Addr, &c.Host} {
		var ok bool
		if text, rest, ok = strings.Cut(rest, " "); !ok {
			return bad()
		}
		*f = text
		if strings.IndexByte(text, '%') >= 0 {
			if *f, ok = unescape(text, false); !ok {
				return bad()
			}
		}
	}
	text, rest, _ = strings.Cut(rest, " ")
	if c.View, err = strconv.ParseUint(text, 10, 64); err != nil {
		return bad()
	}
	c.Body, err = sigv4.ParseBody(rest)
	return c, err
}
