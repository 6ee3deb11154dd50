package sigv4

import (
	"strconv"
	"strings"

	"aistore/errs"
)

// Append appends b as text without spaces or control characters, for ParseBody:
//
//	mode;decoded;sha256;seed;date;scope;trailer,trailer
func (b *Body) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(b.Mode), 10)
	dst = append(dst, ';')
	dst = strconv.AppendInt(dst, b.Decoded, 10)
	for _, part := range []string{b.SHA256, b.Seed, b.Date, b.Scope} {
		dst = append(append(dst, ';'), part...)
	}
	for i, name := range b.Trailer {
		if i == 0 {
			dst = append(dst, ';')
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, name...)
	}
	return dst
}

// ParseBody is the inverse of Append.
func ParseBody(text string) (Body, error) {
	bad := func(what string) (Body, error) {
		return Body{}, errs.F("sigv4.ParseBody", text, errs.Invalid, "%s", what)
	}
	parts := strings.Split(text, ";")
	if len(parts) != 6 && len(parts) != 7 {
		return bad("not six or seven parts")
	}
	mode, err := strconv.ParseUint(parts[0], 10, 8)
	if err != nil || Mode(mode) > UnsignedTrailer {
		return bad("unknown mode")
	}
	decoded, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || decoded < -1 {
		return bad("not a length")
	}
	b := Body{Mode: Mode(mode), Decoded: decoded, SHA256: parts[2], Seed: parts[3], Date: parts[4], Scope: parts[5]}
	if len(parts) == 7 {
		b.Trailer = strings.Split(parts[6], ",")
	}
	return b, nil
}
