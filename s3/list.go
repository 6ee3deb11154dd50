package s3

import (
	"encoding/base64"
	"strings"
	"time"
)

// Entry is one line of a list: an object, a version, a delete marker or a common prefix.
type Entry struct {
	Key       string // of a prefix: the prefix
	Prefix    bool
	ETag      string
	Size      int64
	Modified  time.Time
	Class     string
	Owner     Owner
	Algorithm Algorithm    // NoAlgorithm: not shown
	Type      ChecksumType // with Algorithm

	VersionID string // of ListObjectVersions; "" is shown as "null"
	Latest    bool
	Marker    bool // delete marker
}

// List is the reply to ListObjects, ListObjectsV2 and ListObjectVersions. What the client sent is echoed.
type List struct {
	Bucket, Prefix, Delimiter string
	MaxKeys                   int
	URL                       bool // encoding-type=url
	Truncated                 bool
	Entries                   []Entry // in order; prefixes among them

	Marker, NextMarker             string // v1; of versions: key-marker
	VersionMarker, NextVersion     string // versions
	Token, NextToken, StartAfter   string // v2; tokens as sent
	HasToken, HasAfter, FetchOwner bool   // v2: the parameter was there
}

func (l *List) name(b []byte, element, s string) []byte {
	b = append(append(append(b, '<'), element...), '>')
	if l.URL {
		b = EncodeKey(b, s)
	} else {
		b = AppendXMLText(b, s)
	}
	return append(append(append(b, "</"...), element...), '>')
}

func (l *List) head(b []byte, root string) []byte {
	b = append(append(append(b, xmlHeader+"<"...), root...), xmlns+">"...)
	b = appendText(b, "Name", l.Bucket)
	return l.name(b, "Prefix", l.Prefix)
}

func (l *List) limits(b []byte) []byte {
	b = appendInt(b, "MaxKeys", int64(l.MaxKeys))
	if l.Delimiter != "" {
		b = l.name(b, "Delimiter", l.Delimiter)
	}
	if l.URL {
		b = append(b, "<EncodingType>url</EncodingType>"...)
	}
	return appendTruth(b, "IsTruncated", truth(l.Truncated))
}

// AppendListV1 appends the reply to a ListObjects.
func AppendListV1(b []byte, l *List) []byte {
	b = append(b, xmlHeader+"<ListBucketResult"+xmlns+">"...)
	b = appendText(b, "Name", l.Bucket)
	if l.URL && strings.ContainsFunc(l.Prefix, noText) {
		b = l.name(b, "Prefix", l.Prefix) // for else parsers of XML 1.0, which SDKs have, refuse the document
	} else {
		b = appendText(b, "Prefix", l.Prefix) // as sent, with encoding-type too: no SDK decodes it here
	}
	b = l.name(b, "Marker", l.Marker)
	if l.Truncated && l.NextMarker != "" {
		b = l.name(b, "NextMarker", l.NextMarker)
	}
	b = l.limits(b)
	return append(l.contents(b, true), "</ListBucketResult>"...)
}

// AppendListV2 appends the reply to a ListObjectsV2.
func AppendListV2(b []byte, l *List) []byte {
	b = l.head(b, "ListBucketResult")
	b = appendInt(b, "KeyCount", int64(len(l.Entries)))
	if l.HasToken {
		b = appendText(b, "ContinuationToken", l.Token)
	}
	if l.NextToken != "" {
		b = appendText(b, "NextContinuationToken", l.NextToken)
	}
	if l.HasAfter {
		b = l.name(b, "StartAfter", l.StartAfter)
	}
	b = l.limits(b)
	return append(l.contents(b, truth(l.FetchOwner)), "</ListBucketResult>"...)
}

func (l *List) contents(b []byte, owner truth) []byte {
	prefixes := 0
	for i := range l.Entries {
		e := &l.Entries[i]
		if e.Prefix {
			prefixes++
			continue
		}
		b = append(b, "<Contents>"...)
		b = l.name(b, "Key", e.Key)
		b = appendTime(b, "LastModified", e.Modified)
		b = appendETag(b, e.ETag)
		if e.Algorithm != NoAlgorithm {
			b = appendText(b, "ChecksumAlgorithm", e.Algorithm.Name())
			b = appendText(b, "ChecksumType", string(e.Type.or()))
		}
		b = appendInt(b, "Size", e.Size)
		if owner {
			b = appendOwner(b, "Owner", e.Owner)
		}
		b = append(b, "<StorageClass>"...)
		b = append(append(b, classOr(e.Class)...), "</StorageClass></Contents>"...)
	}
	return l.prefixes(b, prefixes)
}

func (l *List) prefixes(b []byte, n int) []byte {
	if n == 0 {
		return b
	}
	for i := range l.Entries {
		if e := &l.Entries[i]; e.Prefix {
			b = append(b, "<CommonPrefixes>"...)
			b = l.name(b, "Prefix", e.Key)
			b = append(b, "</CommonPrefixes>"...)
		}
	}
	return b
}

// AppendVersions appends the reply to a ListObjectVersions.
func AppendVersions(b []byte, l *List) []byte {
	b = l.head(b, "ListVersionsResult")
	b = l.name(b, "KeyMarker", l.Marker)
	b = appendText(b, "VersionIdMarker", l.VersionMarker)
	if l.Truncated {
		b = l.name(b, "NextKeyMarker", l.NextMarker)
		b = appendSome(b, "NextVersionIdMarker", l.NextVersion)
	}
	b = l.limits(b)
	prefixes := 0
	for i := range l.Entries {
		e := &l.Entries[i]
		if e.Prefix {
			prefixes++
			continue
		}
		b = l.version(b, e)
	}
	return append(l.prefixes(b, prefixes), "</ListVersionsResult>"...)
}

func (l *List) version(b []byte, e *Entry) []byte {
	element := "Version"
	if e.Marker {
		element = "DeleteMarker"
	}
	b = append(append(append(b, '<'), element...), '>')
	b = l.name(b, "Key", e.Key)
	b = appendText(b, "VersionId", ShownVersion(e.VersionID))
	b = appendTruth(b, "IsLatest", truth(e.Latest))
	b = appendTime(b, "LastModified", e.Modified)
	if !e.Marker {
		b = appendETag(b, e.ETag)
		if e.Algorithm != NoAlgorithm {
			b = appendText(b, "ChecksumAlgorithm", e.Algorithm.Name())
			b = appendText(b, "ChecksumType", string(e.Type.or()))
		}
		b = appendInt(b, "Size", e.Size)
		b = appendText(b, "StorageClass", classOr(e.Class))
	}
	b = appendOwner(b, "Owner", e.Owner)
	return append(append(append(b, "</"...), element...), '>')
}

// ShownVersion is how lists name a version: one without an id is the null version.
func ShownVersion(id string) string {
	if id == "" {
		return "null"
	}
	return id
}

// UploadEntry is one line of a ListMultipartUploads.
type UploadEntry struct {
	Key, UploadID    string
	Prefix           bool
	Initiator, Owner Owner
	Class            string
	Initiated        time.Time
	Algorithm        Algorithm
	Type             ChecksumType
}

// UploadList is the reply to a ListMultipartUploads.
type UploadList struct {
	Bucket, Prefix, Delimiter   string
	KeyMarker, IDMarker         string
	NextKeyMarker, NextIDMarker string
	Max                         int
	URL, Truncated              bool
	Entries                     []UploadEntry
}

// AppendUploads appends the document of u.
func AppendUploads(b []byte, u *UploadList) []byte {
	l := List{URL: u.URL}
	b = append(b, xmlHeader+"<ListMultipartUploadsResult"+xmlns+">"...)
	b = appendText(b, "Bucket", u.Bucket)
	b = l.name(b, "KeyMarker", u.KeyMarker)
	b = appendText(b, "UploadIdMarker", u.IDMarker)
	if u.Truncated {
		b = l.name(b, "NextKeyMarker", u.NextKeyMarker)
		b = appendText(b, "NextUploadIdMarker", u.NextIDMarker)
	}
	b = l.name(b, "Prefix", u.Prefix)
	if u.Delimiter != "" {
		b = l.name(b, "Delimiter", u.Delimiter)
	}
	if u.URL {
		b = append(b, "<EncodingType>url</EncodingType>"...)
	}
	b = appendInt(b, "MaxUploads", int64(u.Max))
	b = appendTruth(b, "IsTruncated", truth(u.Truncated))
	for i := range u.Entries {
		e := &u.Entries[i]
		if e.Prefix {
			continue
		}
		b = append(b, "<Upload>"...)
		b = l.name(b, "Key", e.Key)
		b = appendText(b, "UploadId", e.UploadID)
		b = appendOwner(b, "Initiator", e.Initiator)
		b = appendOwner(b, "Owner", e.Owner)
		b = appendText(b, "StorageClass", classOr(e.Class))
		b = appendTime(b, "Initiated", e.Initiated)
		if e.Algorithm != NoAlgorithm {
			b = appendText(b, "ChecksumAlgorithm", e.Algorithm.Name())
			b = appendText(b, "ChecksumType", string(e.Type.or()))
		}
		b = append(b, "</Upload>"...)
	}
	for i := range u.Entries {
		if e := &u.Entries[i]; e.Prefix {
			b = append(b, "<CommonPrefixes>"...)
			b = l.name(b, "Prefix", e.Key)
			b = append(b, "</CommonPrefixes>"...)
		}
	}
	return append(b, "</ListMultipartUploadsResult>"...)
}

// NewToken returns a continuation token that stands behind key; of a common prefix, behind all that it stands for.
func NewToken(after string) string {
	if after == "" { // the start needs no token
		return ""
	}
	return base64.URLEncoding.EncodeToString(append([]byte{tokenVersion}, after...))
}

const tokenVersion = 1

// ParseToken is the inverse of NewToken; no token begins at the start.
func ParseToken(token string) (after string, err error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.URLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < 2 || raw[0] != tokenVersion || len(raw) > 2*MaxKeyLen || strings.ContainsAny(token, "\r\n") { // which base64 skips
		return "", E("s3.ParseToken", "continuation-token", "InvalidArgument", "The continuation token provided is incorrect",
			Field{"ArgumentName", "continuation-token"}, Field{"ArgumentValue", strings.ToValidUTF8(token, "?")})
	}
	return string(raw[1:]), nil
}

// ParseEncodingType reads encoding-type: "" or "url".
func ParseEncodingType(s string) (url bool, err error) {
	switch s {
	case "":
		return false, nil
	case "url":
		return true, nil
	}
	return false, E("s3.ParseEncodingType", "encoding-type", "InvalidArgument", "Invalid Encoding Method specified in Request",
		Field{"ArgumentName", "encoding-type"}, Field{"ArgumentValue", s})
}

// BucketEntry is one line of a ListBuckets.
type BucketEntry struct {
	Name    string
	Created time.Time
	Region  string
}

// AppendBuckets appends the reply to a ListBuckets; next is the continuation token, "" at the end.
func AppendBuckets(b []byte, owner Owner, bs []BucketEntry, prefix, next string) []byte {
	b = append(b, xmlHeader+"<ListAllMyBucketsResult"+xmlns+">"...)
	b = appendOwner(b, "Owner", owner)
	b = append(b, "<Buckets>"...)
	for i := range bs {
		b = append(b, "<Bucket>"...)
		b = appendText(b, "Name", bs[i].Name)
		b = appendTime(b, "CreationDate", bs[i].Created)
		b = appendSome(b, "BucketRegion", bs[i].Region)
		b = append(b, "</Bucket>"...)
	}
	b = append(b, "</Buckets>"...)
	b = appendSome(b, "Prefix", prefix)
	b = appendSome(b, "ContinuationToken", next)
	return append(b, "</ListAllMyBucketsResult>"...)
}
