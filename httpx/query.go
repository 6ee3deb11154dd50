package httpx

import "strings"

type escaping bool

const (
	unescapePath  escaping = false
	unescapeQuery escaping = true // "+" is a space
)

// unescape decodes percent escapes; without any it returns s itself.
func unescape(s string, e escaping) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && (e == unescapePath || strings.IndexByte(s, '+') < 0) {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+' && e == unescapeQuery:
			b = append(b, ' ')
		case c == '%':
			if i+2 >= len(s) {
				return s, false
			}
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi < 0 || lo < 0 {
				return s, false
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

// lookup finds the first value of key in a query string without building a map.
func lookup(query, key string) (string, bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k != key {
			if strings.IndexByte(k, '%') < 0 {
				continue
			}
			if k, _ = unescape(k, unescapeQuery); k != key {
				continue
			}
		}
		v, _ = unescape(v, unescapeQuery)
		return v, true
	}
	return "", false
}

const upperHex = "0123456789ABCDEF"

// AppendPath appends the path s to b with everything percent-encoded that a path may not carry as it is;
// "/" is kept. Segments of one or two dots are encoded too, because clients that follow a redirect resolve them
// (RFC 3986 section 5.2.4) and would ask for another name. It is what redirects and clients put into URLs.
func AppendPath(b []byte, s string) []byte {
	for {
		segment, rest, more := strings.Cut(s, "/")
		if segment == "." || segment == ".." {
			b = append(b, "%2E%2E"[:3*len(segment)]...)
		} else {
			b = appendEscaped(b, segment, "-._~!$'()*,:@")
		}
		if !more {
			return b
		}
		b, s = append(b, '/'), rest
	}
}

// AppendQuery appends s to b, percent-encoded for the value or key of a query.
func AppendQuery(b []byte, s string) []byte { return appendEscaped(b, s, "-._~") }

func appendEscaped(b []byte, s, keep string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(keep, c) >= 0 {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return b
}
