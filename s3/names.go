package s3

import (
	"strings"
	"unicode/utf8"
)

// MaxKeyLen bounds a key, in bytes of UTF-8.
const MaxKeyLen = 1024

// CheckBucketName applies the rules for names of new buckets ("Bucket naming rules" of the S3 user guide): labels
// of lower-case letters, digits and dashes between dots, 3 to 63 characters, no IP address.
func CheckBucketName(name string) error {
	bad := E("s3.CheckBucketName", name, "InvalidBucketName", "", Field{"BucketName", name})
	if len(name) < 3 || len(name) > 63 || isIP(name) {
		return bad
	}
	for _, prefix := range [...]string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return bad
		}
	}
	for _, suffix := range [...]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return bad
		}
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return bad
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				return bad
			}
		}
	}
	return nil
}

func isIP(name string) bool {
	parts := strings.Split(name, ".")
	if len(parts) != 4 {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// CheckKey refuses keys that cannot be.
func CheckKey(key string) error {
	const op = "s3.CheckKey"
	switch {
	case len(key) > MaxKeyLen:
		return E(op, "key", "KeyTooLongError", "", Field{"Size", itoa(len(key))}, Field{"MaxSizeAllowed", itoa(MaxKeyLen)})
	case key == "" || !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0:
		return E(op, "key", "InvalidURI", "The key is not valid UTF-8 or contains a NUL.")
	}
	return nil
}

// CopySource is what x-amz-copy-source names. A "+" in it is a space, as with AWS, and so s5cmd writes one; programs that escape a path themselves often
// leave a plus as it is: Literal is the key to look for when there is none so, "" if no "+" was sent.
type CopySource struct{ Bucket, Key, VersionID, Literal string }

// ParseCopySource reads "/bucket/key?versionId=id": percent-encoded, with or without the first slash. The
// "?versionId=" is told from a question mark in the key by being sent unescaped and last.
func ParseCopySource(h string) (CopySource, error) {
	bad := func() (CopySource, error) {
		return CopySource{}, E("s3.ParseCopySource", "x-amz-copy-source", "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
			Field{"ArgumentName", "x-amz-copy-source"}, Field{"ArgumentValue", h})
	}
	var s CopySource
	path := h
	if i := strings.LastIndex(h, "?versionId="); i >= 0 {
		path = h[:i]
		v, ok := unescape(h[i+len("?versionId="):], false)
		if !ok {
			return bad()
		}
		s.VersionID = v
	}
	literal, _ := unescape(path, false)
	path, ok := unescape(path, true)
	if !ok {
		return bad()
	}
	s.Bucket, s.Key, ok = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || s.Bucket == "" || s.Key == "" {
		return bad()
	}
	if literal != path {
		_, s.Literal, _ = strings.Cut(strings.TrimPrefix(literal, "/"), "/") // no bucket has a plus in its name
	}
	return s, CheckKey(s.Key)
}

// EncodeKey appends a name as encoding-type=url wants it: percent escapes of all but letters, digits, "-", "_", ".", "~",
// "*" and "/". A space is "%20", which every decoder reads alike.
func EncodeKey(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' || c == '*' || c == '/' {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}
