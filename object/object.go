// Package object holds the nouns of stored data: name, version, info, conditions and byte ranges.
//
// Pure code: no I/O, goroutine or clock. It knows nothing of HTTP or of where objects lie; parsing of
// header values lives here because the S3 and the native dialect share it.
//
// Start at Name and Info.
package object

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aistore/cksum"
	"aistore/errs"
)

// MaxKeyLen bounds an object key, in bytes of UTF-8 (the S3 limit).
const MaxKeyLen = 1024

// Name is the identity of an object inside the cluster. Bucket is the never-reused bucket id, so a
// bucket that is destroyed and created again shares no names with its former self.
type Name struct {
	Bucket uint64
	Key    string
}

// String returns "b<id>/key" for logs; messages to users name the bucket by its name instead.
func (n Name) String() string { return "b" + strconv.FormatUint(n.Bucket, 10) + "/" + n.Key }

// CheckKey refuses keys that no dialect can carry. Keys are bytes, not paths: "a" and "a/b" coexist,
// "." and ".." mean nothing.
func CheckKey(key string) error {
	const op = "object.CheckKey"
	switch {
	case key == "":
		return errs.E(op, "object name", errs.Invalid, "is empty: give at least one character")
	case len(key) > MaxKeyLen:
		return errs.F(op, "object name", errs.Invalid, "is %d bytes long, the limit is %d", len(key), MaxKeyLen)
	case !utf8.ValidString(key):
		return errs.E(op, "object name", errs.Invalid, "is not valid UTF-8: percent-encode the UTF-8 bytes of the name")
	case strings.IndexByte(key, 0) >= 0:
		return errs.E(op, "object name", errs.Invalid, "contains a NUL byte, which no client can read back")
	}
	return nil
}

// Version orders the states of one name: by the epoch of the cluster map under which it was written,
// then by a counter that the owner increments. Wall clock takes no part.
type Version struct {
	Epoch   uint64 `json:"epoch"`
	Counter uint64 `json:"counter"`
}

// IsZero reports whether v is "no version".
func (v Version) IsZero() bool { return v == Version{} }

// Compare returns -1, 0 or +1.
func (v Version) Compare(w Version) int {
	switch {
	case v.Epoch != w.Epoch:
		if v.Epoch < w.Epoch {
			return -1
		}
		return 1
	case v.Counter < w.Counter:
		return -1
	case v.Counter > w.Counter:
		return 1
	}
	return 0
}

// Next is the version a writer gives to the state that replaces v under epoch (which is never older than v's).
func (v Version) Next(epoch uint64) Version {
	if epoch > v.Epoch {
		return Version{Epoch: epoch, Counter: 1}
	}
	return Version{Epoch: v.Epoch, Counter: v.Counter + 1}
}

// String returns "epoch.counter", the form of the ais-version header.
func (v Version) String() string {
	return strconv.FormatUint(v.Epoch, 10) + "." + strconv.FormatUint(v.Counter, 10)
}

// ParseVersion is the inverse of String.
func ParseVersion(s string) (Version, error) {
	e, c, ok := strings.Cut(s, ".")
	ve, err1 := strconv.ParseUint(e, 10, 64)
	vc, err2 := strconv.ParseUint(c, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return Version{}, errs.F("object.ParseVersion", "version", errs.Invalid, "%q is not EPOCH.COUNTER", s)
	}
	return Version{ve, vc}, nil
}

// AppendBinary adds the 16-byte big-endian form, which sorts as Compare does.
func (v Version) AppendBinary(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, v.Epoch)
	return binary.BigEndian.AppendUint64(b, v.Counter)
}

// Info is what is known of one version of an object besides its content.
type Info struct {
	Key      string
	Version  Version
	Size     int64     // bytes
	Created  time.Time // when this version was committed (owner's clock; display and TTL only)
	Checksum cksum.Value
	ETag     string            // opaque, without quotes; never empty once committed
	Custom   map[string]string // the user's metadata (ais-custom-md, x-amz-meta-*)
	System   map[string]string // headers kept and echoed: Content-Type, Content-Encoding, Cache-Control ... (lower-case keys)
	Tags     map[string]string // S3 object tags

	VersionID    string // S3's: "" = written while the bucket had no versions, "null" = the null version, else the version it was written under
	DeleteMarker bool   // this version says that the name was deleted
	Latest       bool   // the current version of its name; set where versions are asked for
}

// NullVersion is the VersionID by which S3 asks for what was written while a bucket had no versions, or while they were suspended.
const NullVersion = "null"

// Conditions are the If-* headers of a request (RFC 9110 section 13). Times have second precision.
type Conditions struct {
	IfMatch           []string // ETags without quotes; "*" = any existing
	IfNoneMatch       []string // "*" = must not exist
	IfModifiedSince   time.Time
	IfUnmodifiedSince time.Time
	IfVersion         Version // no header: the only version that may be changed; zero = any

	IfModifiedAt time.Time // x-amz-if-match-last-modified-time: the second it was written in; zero = any
	IfSize       *int64    // x-amz-if-match-size; nil = any
	// MissingIsNotFound: what must match something and finds nothing is kind NotFound for writes too, as S3 answers.
	MissingIsNotFound bool
}

// IsZero reports whether there is nothing to check.
func (c *Conditions) IsZero() bool {
	return c == nil || len(c.IfMatch) == 0 && len(c.IfNoneMatch) == 0 && c.IfModifiedSince.IsZero() && c.IfUnmodifiedSince.IsZero() && c.IfVersion.IsZero() &&
		c.IfModifiedAt.IsZero() && c.IfSize == nil
}

// ParseETags splits an If-Match or If-None-Match value: `"a", W/"b"` or `*`. Unquoted tags are taken as they are.
func ParseETags(h string) []string { return parseETags(h, "") }

// StrongETags is ParseETags for the strong comparison of RFC 9110 (section 8.8.3.2): what is weak keeps its W/, so that it is no object's tag.
func StrongETags(h string) []string { return parseETags(h, "W/") }

func parseETags(h, weak string) []string {
	var tags []string
	for h = strings.TrimSpace(h); h != ""; h = strings.TrimLeft(h, " \t,") {
		mark := ""
		if rest, is := strings.CutPrefix(h, "W/"); is {
			h, mark = rest, weak
		}
		if h != "" && h[0] == '"' {
			end := strings.IndexByte(h[1:], '"')
			if end < 0 {
				return append(tags, mark+h[1:])
			}
			tags, h = append(tags, mark+h[1:1+end]), h[2+end:]
			continue
		}
		tag, rest, _ := strings.Cut(h, ",")
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, mark+tag)
		}
		h = rest
	}
	return tags
}

func matches(tags []string, cur *Info) bool {
	for _, t := range tags {
		if cur != nil && (t == "*" || t == cur.ETag) {
			return true
		}
	}
	return false
}

// Check evaluates c against the current state of the name; cur is nil when there is none. For reads a
// failed If-None-Match or If-Modified-Since is NotModified, for writes it is Precondition.
func (c *Conditions) Check(cur *Info, forRead bool) error {
	const op = "object.Conditions"
	if c.IsZero() {
		return nil
	}
	if !c.IfVersion.IsZero() && (cur == nil || cur.Version != c.IfVersion) {
		return errs.F(op, "version", errs.Precondition, "%v is not the object's version any more", c.IfVersion)
	}
	missing := errs.Precondition
	if c.MissingIsNotFound {
		missing = errs.NotFound
	}
	switch {
	case c.IfModifiedAt.IsZero() && c.IfSize == nil:
	case cur == nil:
		return errs.E(op, "object", missing, "the object does not exist")
	case !c.IfModifiedAt.IsZero() && !cur.Created.Truncate(time.Second).Equal(c.IfModifiedAt.Truncate(time.Second)):
		return errs.F(op, "time", errs.Precondition, "the object was written at %v", cur.Created.UTC())
	case c.IfSize != nil && cur.Size != *c.IfSize:
		return errs.F(op, "size", errs.Precondition, "the object has %d bytes", cur.Size)
	}
	if len(c.IfMatch) > 0 {
		if !matches(c.IfMatch, cur) {
			if cur == nil && !forRead {
				return errs.E(op, "If-Match", missing, "the object does not exist")
			}
			if cur == nil {
				return nil // the read itself reports NotFound
			}
			return errs.F(op, "If-Match", errs.Precondition, "the object's ETag is %q", cur.ETag)
		}
	} else if !c.IfUnmodifiedSince.IsZero() && cur != nil && cur.Created.Truncate(time.Second).After(c.IfUnmodifiedSince) {
		return errs.E(op, "If-Unmodified-Since", errs.Precondition, "the object was modified later")
	}
	kind := errs.Precondition
	if forRead {
		kind = errs.NotModified
	}
	if len(c.IfNoneMatch) > 0 {
		if matches(c.IfNoneMatch, cur) {
			return errs.F(op, "If-None-Match", kind, "the object exists with ETag %q", cur.ETag)
		}
	} else if forRead && !c.IfModifiedSince.IsZero() && cur != nil && !cur.Created.Truncate(time.Second).After(c.IfModifiedSince) {
		return errs.E(op, "If-Modified-Since", kind)
	}
	return nil
}

// Span is a resolved byte range: Length bytes from Start, inside the object.
type Span struct{ Start, Length int64 }

// MaxRanges bounds the ranges of one request; more are refused rather than merged.
const MaxRanges = 256

// ParseRange resolves a Range header against an object of size bytes (RFC 9110 section 14.1.2). No header,
// another unit or a syntax error gives nil: the whole object is served. Kind Range means that no part can be served.
// Overlapping spans are kept as asked, but their sum may not exceed twice the object, which stops amplification.
func ParseRange(h string, size int64) ([]Span, error) {
	spec, ok := strings.CutPrefix(strings.TrimSpace(h), "bytes=")
	if !ok {
		return nil, nil
	}
	var spans []Span
	var sum int64
	asked := 0
	for _, part := range strings.Split(spec, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			return nil, nil
		}
		if asked++; asked > MaxRanges {
			return nil, errs.F("object.ParseRange", "Range", errs.Range, "more than %d ranges in one request", MaxRanges)
		}
		sp, ok, valid := resolve(strings.TrimSpace(first), strings.TrimSpace(last), size)
		if !valid {
			return nil, nil
		}
		if ok {
			spans = append(spans, sp)
			sum += sp.Length
		}
	}
	if asked == 0 {
		return nil, nil
	}
	if len(spans) == 0 {
		return nil, errs.F("object.ParseRange", "Range", errs.Range, "%q lies outside the object of %d bytes", h, size)
	}
	if len(spans) > 1 && sum > 2*size {
		return nil, errs.E("object.ParseRange", "Range", errs.Range, "the ranges overlap so that more than twice the object would be sent")
	}
	return spans, nil
}

func resolve(first, last string, size int64) (sp Span, satisfiable, valid bool) {
	if first == "" { // suffix: the last n bytes
		n, err := parseOffset(last)
		if err != nil {
			return Span{}, false, false
		}
		n = min(n, size)
		return Span{size - n, n}, n > 0, true
	}
	start, err := parseOffset(first)
	if err != nil {
		return Span{}, false, false
	}
	end := size - 1
	if last != "" {
		if end, err = parseOffset(last); err != nil || end < start {
			return Span{}, false, false
		}
		end = min(end, size-1)
	}
	if start >= size {
		return Span{}, false, true
	}
	return Span{start, end - start + 1}, true, true
}

func parseOffset(s string) (int64, error) {
	if s == "" || s[0] == '+' || s[0] == '-' {
		return 0, fmt.Errorf("%q is not an offset", s)
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not an offset", s)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt64, nil // digits without end: beyond every object, which is all that matters
	}
	return n, err
}

// ContentRange formats the header of a 206 reply.
func (s Span) ContentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.Start, s.Start+s.Length-1, size)
}
