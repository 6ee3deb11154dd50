package list

import (
	"encoding/base64"
	"strings"

	"aistore/errs"
	"aistore/object"
)

// tokenVersion is the first byte of every continuation token. A token of another version is refused, so that a
// cluster in the middle of an upgrade never continues a listing at a wrong place.
const tokenVersion = 1

// EncodeToken makes the continuation token that clients hand back: base64url of the format version and the
// Query.After of the next page. "" is the end of the listing.
func EncodeToken(after string) string {
	if after == "" {
		return ""
	}
	raw := make([]byte, 0, 1+len(after))
	return base64.RawURLEncoding.EncodeToString(append(append(raw, tokenVersion), after...))
}

// DecodeToken is the inverse of EncodeToken.
func DecodeToken(token string) (after string, err error) {
	const op = "list.DecodeToken"
	if token == "" {
		return "", nil
	}
	if len(token) > 2*object.MaxKeyLen {
		return "", errs.F(op, "continuation_token", errs.Invalid, "has %d characters: it is not one of ours", len(token))
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 2 || strings.ContainsAny(token, "\r\n") { // which base64 skips
		return "", errs.F(op, "continuation_token", errs.Invalid, "%.40q is not one of ours: pass back what the last page gave", token)
	}
	if raw[0] != tokenVersion {
		return "", errs.F(op, "continuation_token", errs.Invalid, "is of format %d, this node knows %d: begin the listing again", raw[0], tokenVersion)
	}
	return string(raw[1:]), nil
}
