package s3

import (
	"encoding/base64"
	"strings"

	"aistore/auth/policy"
	"aistore/object"
)

// Headers are the headers of a request to an object, sorted out by Add in one pass.
type Headers struct {
	// kept with the object and sent again
	ContentType, ContentEncoding, ContentDisposition, ContentLanguage, CacheControl, Expires, Redirect string

	Meta                               map[string]string // x-amz-meta-*, names in lower case; nil = none
	ContentMD5                         string
	Tagging, Class                     string
	Grants                             policy.GrantHeaders
	Sums                               Checksums
	SDKAlgorithm                       string // x-amz-sdk-checksum-algorithm
	ChecksumAlgorithm, ChecksumType    string
	ChecksumMode                       string
	IfMatch, IfNoneMatch               string
	IfModifiedSince, IfUnmodifiedSince string
	IfRange, Range                     string
	IfSize, IfModifiedAt               string // of a DELETE
	MultiRange                         string // HeaderMultiRange
	Size                               string // x-amz-mp-object-size

	CopySource, CopyRange                      string
	CopyIfMatch, CopyIfNoneMatch               string
	CopyIfModifiedSince, CopyIfUnmodifiedSince string
	MetadataDirective, TaggingDirective        string
	ExpectedOwner, ExpectedSourceOwner         string
	Attributes, MaxParts, PartNumberMarker     string
	EmptySource                                bool   // x-amz-copy-source is there and names nothing
	Unserved                                   string // a header that asks for what is not served
	Encryption                                 Encryption
	Lock                                       string // a header of object lock
	UserAgent, Referer                         string

	metaSize   int
	emptyMD5   bool   // Content-MD5 is there and says nothing
	unknownSum string // an x-amz-checksum-* of an algorithm that is not served
}

// HeaderMultiRange of a request, with value "multipart", asks for several ranges as multipart/byteranges, which AWS never sends.
const HeaderMultiRange = "x-ais-multi-range"

// Add takes in one header. The name may be in any case; the value is kept.
func (h *Headers) Add(name, value string) {
	var buf [64]byte
	if len(name) > len(buf) {
		if len(name) > len(metaPrefix) && strings.EqualFold(name[:len(metaPrefix)], metaPrefix) {
			h.addMeta(strings.ToLower(name[len(metaPrefix):]), value)
		}
		return
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	key := buf[:len(name)]
	if len(key) > 6 && string(key[:6]) == "x-amz-" {
		h.addAmazon(key, value)
		return
	}
	if f := h.plain(key); f != nil {
		h.set(f, value)
	}
}

// AddPresigned takes in those parameters of a presigned URL that stand for headers, which some signers put there: x-amz-acl and x-amz-meta-*, in lower
// case. A header of the same name counts instead. Other headers S3 does not look for in the query, or, as checksums, ignores there.
func (h *Headers) AddPresigned(query string) {
	if !strings.Contains(query, "x-amz-") {
		return
	}
	for _, p := range ParseQuery(query) {
		name, isMeta := strings.CutPrefix(p.Name, metaPrefix)
		name = strings.ToLower(name)
		switch _, known := h.Meta[name]; {
		case p.Name == "x-amz-acl" && h.Grants.Canned == "":
			h.Grants.Canned = p.Value
		case isMeta && name != "" && !known:
			h.addMeta(name, p.Value)
		}
	}
}

// set gives a field its value. Lists may come in several lines (RFC 9110 section 5.3), as some SDKs send them; of anything else the
// last line counts.
func (h *Headers) set(f *string, value string) {
	switch f {
	case &h.Attributes, &h.ContentEncoding, &h.CacheControl, &h.IfMatch, &h.IfNoneMatch:
		if *f != "" {
			value = *f + "," + value
		}
	case &h.ContentMD5:
		h.emptyMD5 = value == ""
	}
	*f = value
}

const metaPrefix = "x-amz-meta-"

// plain returns the field of a header that is not Amazon's.
func (h *Headers) plain(key []byte) *string {
	switch string(key) {
	case "content-type":
		return &h.ContentType
	case "content-encoding":
		return &h.ContentEncoding
	case "content-disposition":
		return &h.ContentDisposition
	case "content-language":
		return &h.ContentLanguage
	case "cache-control":
		return &h.CacheControl
	case "expires":
		return &h.Expires
	case "content-md5":
		return &h.ContentMD5
	case "if-match":
		return &h.IfMatch
	case "if-none-match":
		return &h.IfNoneMatch
	case "if-modified-since":
		return &h.IfModifiedSince
	case "if-unmodified-since":
		return &h.IfUnmodifiedSince
	case "if-range":
		return &h.IfRange
	case "range":
		return &h.Range
	case "user-agent":
		return &h.UserAgent
	case "referer":
		return &h.Referer
	case HeaderMultiRange:
		return &h.MultiRange
	}
	return nil
}

func (h *Headers) addAmazon(key []byte, value string) {
	const prefix = len("x-amz-")
	switch rest := key[prefix:]; {
	case len(rest) > 5 && string(rest[:5]) == "meta-":
		h.addMeta(string(rest[5:]), value)
	case len(rest) > 9 && string(rest[:9]) == "checksum-":
		h.addChecksum(key, value)
	case len(rest) > 5 && string(rest[:5]) == "copy-":
		if f := h.copying(rest); f != nil {
			*f = value
			h.EmptySource = h.EmptySource || f == &h.CopySource && value == ""
		} else {
			h.addUnserved(key, value)
		}
	default:
		if f := h.amazon(rest); f != nil {
			h.set(f, value)
		} else {
			h.addUnserved(key, value)
		}
	}
}

func (h *Headers) addMeta(name, value string) {
	if h.Meta == nil {
		h.Meta = make(map[string]string, 4)
	}
	if old, ok := h.Meta[name]; ok { // repeated: one list, as HTTP has it
		value = old + "," + value
		h.metaSize -= len(name) + len(old)
	}
	h.Meta[name] = value
	h.metaSize += len(name) + len(value)
}

func (h *Headers) addChecksum(key []byte, value string) {
	switch string(key) {
	case "x-amz-checksum-algorithm":
		h.ChecksumAlgorithm = value
	case "x-amz-checksum-type":
		h.ChecksumType = value
	case "x-amz-checksum-mode":
		h.ChecksumMode = value
	default:
		for _, a := range Algorithms() {
			if string(key) == a.Header() {
				h.Sums.Set(a, value)
				return
			}
		}
		h.unknownSum = string(key)
	}
}

func (h *Headers) amazon(rest []byte) *string {
	switch string(rest) {
	case "acl":
		return &h.Grants.Canned
	case "grant-full-control":
		return &h.Grants.FullControl
	case "grant-read":
		return &h.Grants.Read
	case "grant-read-acp":
		return &h.Grants.ReadACP
	case "grant-write":
		return &h.Grants.Write
	case "grant-write-acp":
		return &h.Grants.WriteACP
	case "tagging":
		return &h.Tagging
	case "storage-class":
		return &h.Class
	case "sdk-checksum-algorithm":
		return &h.SDKAlgorithm
	case "metadata-directive":
		return &h.MetadataDirective
	case "tagging-directive":
		return &h.TaggingDirective
	case "expected-bucket-owner":
		return &h.ExpectedOwner
	case "source-expected-bucket-owner":
		return &h.ExpectedSourceOwner
	case "website-redirect-location":
		return &h.Redirect
	case "object-attributes":
		return &h.Attributes
	case "max-parts":
		return &h.MaxParts
	case "part-number-marker":
		return &h.PartNumberMarker
	case "mp-object-size":
		return &h.Size
	case "if-match-size":
		return &h.IfSize
	case "if-match-last-modified-time":
		return &h.IfModifiedAt
	}
	return nil
}

func (h *Headers) copying(rest []byte) *string {
	switch string(rest) {
	case "copy-source":
		return &h.CopySource
	case "copy-source-range":
		return &h.CopyRange
	case "copy-source-if-match":
		return &h.CopyIfMatch
	case "copy-source-if-none-match":
		return &h.CopyIfNoneMatch
	case "copy-source-if-modified-since":
		return &h.CopyIfModifiedSince
	case "copy-source-if-unmodified-since":
		return &h.CopyIfUnmodifiedSince
	}
	return nil
}

// addUnserved notes headers that ask for a service this endpoint has not: ignoring them would be a promise.
func (h *Headers) addUnserved(key []byte, value string) {
	switch k := string(key); {
	case strings.HasPrefix(k, encryptionPrefix):
		h.Unserved = k
		h.Encryption.add(k, value)
	case strings.HasPrefix(k, "x-amz-copy-source-server-side-encryption"):
		h.Unserved = k
	case k == "x-amz-write-offset-bytes":
		h.Unserved = k
	case strings.HasPrefix(k, "x-amz-object-lock-") && value != "":
		h.Lock = k
	}
}

// Limits of what a client may attach.
const (
	maxMeta   = 2 << 10 // of names and values together
	maxSystem = 8 << 10
)

// Check refuses what no operation takes: too much metadata, object lock.
func (h *Headers) Check() error {
	const op = "s3.Headers"
	switch {
	case h.metaSize > maxMeta:
		return E(op, "x-amz-meta", "MetadataTooLarge", "", Field{"Size", itoa(h.metaSize)}, Field{"MaxSizeAllowed", itoa(maxMeta)})
	case h.Lock != "":
		return E(op, h.Lock, "InvalidRequest", "Bucket is missing Object Lock Configuration")
	}
	return nil
}

// CheckServed refuses a request that asks for what is not served: with AWS's error if AWS would refuse it too, else as not implemented.
func (h *Headers) CheckServed(op Op) error {
	if h.Unserved == "" {
		return nil
	}
	if err := h.Encryption.check(op); err != nil {
		return err
	}
	return E("s3.Headers", h.Unserved, "NotImplemented", "The header "+h.Unserved+" asks for what is not implemented here.")
}

// Keys of object.Info.System that are this dialect's; native does not show them.
const (
	SystemChecksum = "s3.checksum" // Checksum.Encode
	SystemACL      = "s3.acl"      // policy.ACL.Encode; the owner is inside
	SystemClass    = "s3.class"
	SystemUpload   = "s3.upload"   // the upload id that made the object
	SystemRedirect = "s3.redirect" // x-amz-website-redirect-location
)

// Keys of an upload's System that are not the object's.
const (
	SystemInitiator = "s3.initiator" // canonical id of who began the upload
	SystemWanted    = "s3.sum"       // "CRC32C FULL_OBJECT": the checksum the object shall have
)

// Wanted returns the checksum that an upload's object shall have.
func Wanted(system map[string]string) (a Algorithm, t ChecksumType) {
	name, typ, _ := strings.Cut(system[SystemWanted], " ")
	a, err := ParseAlgorithm(name)
	if err != nil {
		return NoAlgorithm, ""
	}
	return a, ChecksumType(typ)
}

// System returns what is kept with the object of the headers of its content. A given map is filled, nil makes one when needed.
func (h *Headers) System(m map[string]string) (map[string]string, error) {
	total := 0
	put := func(k, v string) {
		if v == "" {
			return
		}
		if m == nil {
			m = make(map[string]string, 4)
		}
		m[k] = v
		total += len(v)
	}
	put("content-type", h.ContentType)
	put("content-encoding", withoutChunked(h.ContentEncoding))
	put("content-disposition", h.ContentDisposition)
	put("content-language", h.ContentLanguage)
	put("cache-control", h.CacheControl)
	put("expires", h.Expires)
	if err := h.checkRedirect(); err != nil {
		return m, err
	}
	put(SystemRedirect, h.Redirect)
	if total > maxSystem {
		return m, E("s3.Headers", "headers", "MetadataTooLarge", "")
	}
	class, err := CheckClass(h.Class)
	if err != nil {
		return m, err
	}
	if class != "STANDARD" {
		put(SystemClass, class)
	}
	return m, nil
}

// maxRedirect bounds x-amz-website-redirect-location.
const maxRedirect = 2 << 10

// checkRedirect refuses what no website could redirect to.
func (h *Headers) checkRedirect() error {
	const op = "s3.Headers"
	switch r := h.Redirect; {
	case r == "":
		return nil
	case len(r) > maxRedirect:
		return E(op, "x-amz-website-redirect-location", "InvalidRedirectLocation", "The length of website redirect location cannot exceed 2,048 characters.")
	case !strings.HasPrefix(r, "/") && !strings.HasPrefix(r, "http://") && !strings.HasPrefix(r, "https://"):
		return E(op, "x-amz-website-redirect-location", "InvalidRedirectLocation", "")
	}
	return nil
}

// withoutChunked removes "aws-chunked" from a Content-Encoding: it is of the transfer, not of the object. What else is there stays as it was sent.
func withoutChunked(v string) string {
	if !strings.Contains(v, "aws-chunked") {
		return v
	}
	var keep []string
	for _, p := range strings.Split(v, ",") {
		if name := strings.TrimSpace(p); name != "" && name != "aws-chunked" {
			keep = append(keep, p)
		}
	}
	return strings.TrimSpace(strings.Join(keep, ","))
}

// CheckClass returns the storage class: "" is STANDARD. Every class of AWS is kept as a name, without effect.
func CheckClass(c string) (string, error) {
	switch c {
	case "":
		return "STANDARD", nil
	case "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE":
		return c, nil
	}
	return "", E("s3.CheckClass", "x-amz-storage-class", "InvalidStorageClass", "")
}

func classOr(c string) string {
	if c == "" {
		return "STANDARD"
	}
	return c
}

// Class returns the storage class of an object.
func Class(info *object.Info) string { return classOr(info.System[SystemClass]) }

// MD5 returns the raw digest of a Content-MD5 header, nil without one.
func (h *Headers) MD5() ([]byte, error) {
	if h.ContentMD5 == "" && !h.emptyMD5 {
		return nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(h.ContentMD5)
	if err != nil || len(raw) != 16 {
		return nil, E("s3.Headers", "Content-MD5", "InvalidDigest", "The Content-MD5 you specified was invalid.")
	}
	return raw, nil
}

// ContentType returns the type of an object, or what overrides it (nil = nothing does).
func ContentType(info *object.Info, over *Overrides) string {
	if over != nil && over.ContentType != "" {
		return over.ContentType
	}
	return first(info.System["content-type"], "binary/octet-stream")
}

// AppendMeta appends the headers of an object that follow from its metadata, but for the Content-Type: content headers as kept or
// overridden, x-amz-meta-*, class, number of tags.
func AppendMeta(b []byte, info *object.Info, over *Overrides) []byte {
	if over == nil {
		over = &noOverrides
	}
	b = appendHeader(b, "Content-Encoding", first(over.ContentEncoding, info.System["content-encoding"]))
	b = appendHeader(b, "Content-Disposition", first(over.ContentDisposition, info.System["content-disposition"]))
	b = appendHeader(b, "Content-Language", first(over.ContentLanguage, info.System["content-language"]))
	b = appendHeader(b, "Cache-Control", first(over.CacheControl, info.System["cache-control"]))
	b = appendHeader(b, "Expires", first(over.Expires, info.System["expires"]))
	b = appendHeader(b, "x-amz-website-redirect-location", info.System[SystemRedirect])
	for k, v := range info.Custom {
		if !token(k) {
			continue // of native: no header can carry it
		}
		b = append(append(append(b, metaPrefix...), k...), ": "...)
		b = append(appendValue(b, v), "\r\n"...)
	}
	if c := info.System[SystemClass]; c != "" {
		b = appendHeader(b, "x-amz-storage-class", c)
	}
	if n := len(info.Tags); n > 0 {
		b = append(b, "x-amz-tagging-count: "...)
		b = append(append(b, itoa(n)...), "\r\n"...)
	}
	return b
}

func first(vs ...string) string {
	for _, v := range vs {
		if v != "" {
			return v
		}
	}
	return ""
}

func appendHeader(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(b, key...), ": "...)
	return append(appendValue(b, value), "\r\n"...)
}

// appendValue appends a header value; control characters, which would end the header, become spaces.
func appendValue(b []byte, v string) []byte {
	for i := range len(v) {
		if c := v[i]; c < ' ' || c == 0x7f {
			b = append(b, ' ')
		} else {
			b = append(b, c)
		}
	}
	return b
}

// token reports whether s can be part of the name of a header (RFC 9110, 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// Overrides are the response-* parameters of a GET.
type Overrides struct {
	ContentType, ContentEncoding, ContentDisposition, ContentLanguage, CacheControl, Expires string
}

var noOverrides Overrides

// ParseOverrides reads the response-* parameters of a query, nil without any.
func ParseOverrides(query string) *Overrides {
	if !strings.Contains(query, "response-") {
		return nil
	}
	var o Overrides
	found := false
	for _, p := range ParseQuery(query) {
		var f *string
		switch p.Name {
		case "response-content-type":
			f = &o.ContentType
		case "response-content-encoding":
			f = &o.ContentEncoding
		case "response-content-disposition":
			f = &o.ContentDisposition
		case "response-content-language":
			f = &o.ContentLanguage
		case "response-cache-control":
			f = &o.CacheControl
		case "response-expires":
			f = &o.Expires
		default:
			continue
		}
		*f, found = p.Value, true
	}
	if !found {
		return nil
	}
	return &o
}
