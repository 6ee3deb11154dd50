package sigv4

// textKind says which bytes of an escaped text stand for others.
type textKind uint8

const (
	queryText textKind = iota // a plus is a space
	pathText                  // a plus is a plus, a slash stays
)

const upperHex = "0123456789ABCDEF"

// appendEscaped appends raw (escaped in any way) as AWS escapes it: all but A-Z a-z 0-9 - . _ ~ as upper-case %XX. A
// percent sign that begins no escape is taken for itself.
func appendEscaped(dst []byte, raw string, kind textKind) []byte {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '%' && i+2 < len(raw):
			hi, lo := unhex(raw[i+1]), unhex(raw[i+2])
			if hi|lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		case c == '+' && kind == queryText:
			c = ' '
		}
		if unreserved(c) || c == '/' && kind == pathText {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// unescape is the inverse of appendEscaped.
func unescape(escaped []byte) string {
	out := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' {
			c = unhex(escaped[i+1])<<4 | unhex(escaped[i+2])
			i += 2
		}
		out = append(out, c)
	}
	return string(out)
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// unhex returns the value of a hexadecimal digit, 255 for another byte.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// decodeHex decodes text, which must be exactly two digits a byte of dst.
func decodeHex(dst []byte, text string) bool {
	if len(text) != 2*len(dst) {
		return false
	}
	for i := range dst {
		hi, lo := unhex(text[2*i]), unhex(text[2*i+1])
		if hi|lo > 15 {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

// equalLower reports whether name is lower but for the case of ASCII letters.
func equalLower(name, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// trim removes spaces and tabs at both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// appendValue appends a header's value trimmed, with each run of spaces as one.
func appendValue(dst []byte, value string) []byte {
	value = trim(value)
	for i := range len(value) {
		if value[i] == ' ' && i > 0 && value[i-1] == ' ' {
			continue
		}
		dst = append(dst, value[i])
	}
	return dst
}
