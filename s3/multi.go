package s3

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Limits of uploads, as AWS has them.
const (
	MaxParts      = 10_000
	MinPartSize   = 5 << 20 // of every part but the last
	MaxPartSize   = 5 << 30
	MaxObjectSize = 5 << 40
	MaxPutSize    = 5 << 30 // of one PUT or copy
	MaxKeys       = 1000    // of a list page, a DeleteObjects, a page of parts or uploads
)

// IsUploadID reports whether s has the form of an upload's id.
func IsUploadID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 16
}

// CompletedPart is one part as a CompleteMultipartUpload names it.
type CompletedPart struct {
	Number    int
	ETag      string // without quotes
	Checksums Checksums
}

// ParseComplete reads the body of a CompleteMultipartUpload. Numbers must grow; of one number the last counts.
func ParseComplete(doc []byte) ([]CompletedPart, error) {
	const op = "s3.ParseComplete"
	root, err := parseXML(doc, "CompleteMultipartUpload")
	if err != nil {
		return nil, err
	}
	if len(root.kids) == 0 {
		return nil, malformed("CompleteMultipartUpload")
	}
	parts := make([]CompletedPart, 0, len(root.kids))
	for i := range root.kids {
		k := &root.kids[i]
		if k.name != "Part" {
			continue
		}
		n, err := strconv.Atoi(k.value("PartNumber"))
		if err != nil {
			return nil, malformed("PartNumber")
		}
		if n < 1 || n > MaxParts {
			return nil, E(op, "PartNumber", "InvalidPart", "")
		}
		if len(parts) > 0 && n < parts[len(parts)-1].Number {
			return nil, E(op, "PartNumber", "InvalidPartOrder", "")
		}
		p := CompletedPart{Number: n, ETag: unquote(k.value("ETag"))}
		if p.ETag == "" {
			return nil, malformed("ETag")
		}
		for _, a := range Algorithms() {
			if v := k.value("Checksum" + a.Name()); v != "" {
				p.Checksums.Set(a, v)
			}
		}
		if len(parts) > 0 && n == parts[len(parts)-1].Number { // sent again by a client that notes every attempt
			parts[len(parts)-1] = p
			continue
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 || len(parts) > MaxParts {
		return nil, malformed("CompleteMultipartUpload")
	}
	return parts, nil
}

func unquote(s string) string { return strings.Trim(s, `"`) }

// AppendInitiated appends the reply to a CreateMultipartUpload.
func AppendInitiated(b []byte, bucket, key, uploadID string) []byte {
	b = append(b, xmlHeader+"<InitiateMultipartUploadResult"+xmlns+">"...)
	b = appendText(b, "Bucket", bucket)
	b = appendText(b, "Key", key)
	b = appendText(b, "UploadId", uploadID)
	return append(b, "</InitiateMultipartUploadResult>"...)
}

// Completed is the reply to a CompleteMultipartUpload.
type Completed struct {
	Location, Bucket, Key, ETag string
	Checksum                    Checksum
}

// Prolog is what the body of a long reply about key begins with; white space may follow it, and then the root element. Its length is always the same.
func Prolog(key string) []byte {
	return AppendXMLText([]byte(xmlHeader), key)[:len(xmlHeader)] // the key may make it another version
}

// AppendCompleted appends the document of c without its prolog.
func AppendCompleted(b []byte, c *Completed) []byte {
	b = append(b, "<CompleteMultipartUploadResult"+xmlns+">"...)
	b = appendText(b, "Location", c.Location)
	b = appendText(b, "Bucket", c.Bucket)
	b = appendText(b, "Key", c.Key)
	b = appendETag(b, c.ETag)
	b = c.Checksum.appendXML(b)
	return append(b, "</CompleteMultipartUploadResult>"...)
}

func appendETag(b []byte, etag string) []byte {
	b = append(b, "<ETag>&quot;"...)
	b = AppendXMLText(b, etag)
	return append(b, "&quot;</ETag>"...)
}

// Part is one part of an upload, or of a completed object.
type Part struct {
	Number   int
	Modified time.Time
	ETag     string
	Size     int64
	Checksum Checksum
}

// PartList is the reply to a ListParts.
type PartList struct {
	Bucket, Key, UploadID string
	Initiator, Owner      Owner
	Class                 string
	Marker, NextMarker    int
	Max                   int
	Truncated             bool
	Algorithm             Algorithm
	Type                  ChecksumType
	Parts                 []Part
}

// AppendParts appends the document of l.
func AppendParts(b []byte, l *PartList) []byte {
	b = append(b, xmlHeader+"<ListPartsResult"+xmlns+">"...)
	b = appendText(b, "Bucket", l.Bucket)
	b = appendText(b, "Key", l.Key)
	b = appendText(b, "UploadId", l.UploadID)
	b = appendOwner(b, "Initiator", l.Initiator)
	b = appendOwner(b, "Owner", l.Owner)
	b = appendText(b, "StorageClass", classOr(l.Class))
	b = appendInt(b, "PartNumberMarker", int64(l.Marker))
	b = appendInt(b, "NextPartNumberMarker", int64(l.NextMarker))
	b = appendInt(b, "MaxParts", int64(l.Max))
	b = appendTruth(b, "IsTruncated", truth(l.Truncated))
	if l.Algorithm != NoAlgorithm {
		b = appendText(b, "ChecksumAlgorithm", l.Algorithm.Name())
		b = appendSome(b, "ChecksumType", string(l.Type))
	}
	for i := range l.Parts {
		p := &l.Parts[i]
		b = append(b, "<Part>"...)
		b = appendInt(b, "PartNumber", int64(p.Number))
		b = appendTime(b, "LastModified", p.Modified)
		b = appendETag(b, p.ETag)
		b = appendInt(b, "Size", p.Size)
		b = p.Checksum.appendValue(b)
		b = append(b, "</Part>"...)
	}
	return append(b, "</ListPartsResult>"...)
}

// AppendCopied appends the reply to a CopyObject.
func AppendCopied(b []byte, etag string, modified time.Time, sum Checksum) []byte {
	return appendCopied(b, "CopyObjectResult", etag, modified, sum)
}

// AppendPartCopied appends the reply to an UploadPartCopy.
func AppendPartCopied(b []byte, etag string, modified time.Time, sum Checksum) []byte {
	return appendCopied(b, "CopyPartResult", etag, modified, sum)
}

func appendCopied(b []byte, root, etag string, modified time.Time, sum Checksum) []byte {
	b = append(append(append(b, xmlHeader+"<"...), root...), xmlns+">"...)
	b = appendTime(b, "LastModified", modified)
	b = appendETag(b, etag)
	b = sum.appendXML(b)
	return append(append(append(b, "</"...), root...), '>')
}

// ParsePartNumber reads the partNumber of an UploadPart.
func ParsePartNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxParts {
		return 0, E("s3.ParsePartNumber", "partNumber", "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive",
			Field{"ArgumentName", "partNumber"}, Field{"ArgumentValue", s})
	}
	return n, nil
}

// ParseCount reads a count of a query such as max-keys: "" is MaxKeys, more is cut down to it.
func ParseCount(name, s string) (int, error) {
	if s == "" {
		return MaxKeys, nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, E("s3.ParseCount", name, "InvalidArgument", "Argument "+name+" must be an integer between 0 and 2147483647",
			Field{"ArgumentName", name}, Field{"ArgumentValue", s})
	}
	return min(int(n), MaxKeys), nil
}
