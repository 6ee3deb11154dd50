package s3

import (
	"strconv"
	"strings"

	"aistore/object"
)

// Several says what a request for several ranges gets.
type Several bool

// AWS sends the whole object; a bucket's property or HeaderMultiRange asks for multipart/byteranges.
const (
	Whole     Several = false
	Multipart Several = true
)

// ParseRange resolves a Range header as S3 does: what is no valid byte range is ignored, one that lies outside is InvalidRange.
func ParseRange(h string, size int64, several Several) ([]object.Span, error) {
	if several == Whole && strings.IndexByte(h, ',') >= 0 {
		return nil, nil
	}
	spans, err := object.ParseRange(h, size)
	if err != nil {
		return nil, E("s3.ParseRange", "Range", "InvalidRange", "", Field{"RangeRequested", h}, Field{"ActualObjectSize", strconv.FormatInt(size, 10)})
	}
	return spans, nil
}

// ParseCopyRange reads x-amz-copy-source-range, "bytes=first-last", of a source of size bytes. It must lie inside.
func ParseCopyRange(h string, size int64) (object.Span, error) {
	bad := func(message string) (object.Span, error) {
		return object.Span{}, E("s3.ParseCopyRange", "x-amz-copy-source-range", "InvalidArgument", message,
			Field{"ArgumentName", "x-amz-copy-source-range"}, Field{"ArgumentValue", h})
	}
	spec, ok := strings.CutPrefix(h, "bytes=")
	first, last, ok2 := strings.Cut(spec, "-")
	a, ok3 := parseDigits(first)
	z, ok4 := parseDigits(last)
	if !ok || !ok2 || !ok3 || !ok4 || a > z {
		return bad("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	if z >= size {
		return object.Span{}, E("s3.ParseCopyRange", "x-amz-copy-source-range", "InvalidRange", "Range specified is not valid for source object of size: "+strconv.FormatInt(size, 10))
	}
	return object.Span{Start: a, Length: z - a + 1}, nil
}

func parseDigits(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	return parseSize(s)
}
