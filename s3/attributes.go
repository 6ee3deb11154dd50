package s3

import (
	"strconv"
	"strings"
)

// Attributes are what a GetObjectAttributes asks for.
type Attributes struct{ ETag, Checksum, Parts, Class, Size bool }

// ParseAttributes reads x-amz-object-attributes: names between commas, at least one.
func ParseAttributes(h string) (Attributes, error) {
	const op = "s3.ParseAttributes"
	var a Attributes
	for _, name := range strings.Split(h, ",") {
		switch strings.TrimSpace(name) {
		case "ETag":
			a.ETag = true
		case "Checksum":
			a.Checksum = true
		case "ObjectParts":
			a.Parts = true
		case "StorageClass":
			a.Class = true
		case "ObjectSize":
			a.Size = true
		case "":
			if h == "" {
				return a, E(op, "x-amz-object-attributes", "InvalidArgument", "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
			}
		default:
			return a, E(op, "x-amz-object-attributes", "InvalidArgument", "Invalid attribute name specified.", Field{"ArgumentName", "x-amz-object-attributes"}, Field{"ArgumentValue", name})
		}
	}
	return a, nil
}

// ObjectAttributes is the reply to a GetObjectAttributes.
type ObjectAttributes struct {
	Want               Attributes
	ETag, Class        string
	Size               int64
	Checksum           Checksum
	Parts              []Part // the page; nil with Total 0: not uploaded in parts
	Total              int
	Marker, NextMarker int
	Max                int
	Truncated          bool
}

// AppendAttributes appends the document of a.
func AppendAttributes(b []byte, a *ObjectAttributes) []byte {
	b = append(b, xmlHeader+"<GetObjectAttributesResponse"+xmlns+">"...)
	if a.Want.ETag {
		b = appendText(b, "ETag", a.ETag)
	}
	if a.Want.Checksum && !a.Checksum.IsZero() {
		b = append(b, "<Checksum>"...)
		b = append(a.Checksum.appendXML(b), "</Checksum>"...)
	}
	if a.Want.Parts && a.Total > 0 {
		b = append(b, "<ObjectParts>"...)
		b = appendInt(b, "PartsCount", int64(a.Total))
		b = appendInt(b, "PartNumberMarker", int64(a.Marker))
		b = appendInt(b, "NextPartNumberMarker", int64(a.NextMarker))
		b = appendInt(b, "MaxParts", int64(a.Max))
		b = appendTruth(b, "IsTruncated", truth(a.Truncated))
		for i := range a.Parts {
			p := &a.Parts[i]
			b = append(b, "<Part>"...)
			b = appendInt(b, "PartNumber", int64(p.Number))
			b = appendInt(b, "Size", p.Size)
			b = p.Checksum.appendValue(b)
			b = append(b, "</Part>"...)
		}
		b = append(b, "</ObjectParts>"...)
	}
	if a.Want.Class {
		b = appendText(b, "StorageClass", classOr(a.Class))
	}
	if a.Want.Size {
		b = appendInt(b, "ObjectSize", a.Size)
	}
	return append(b, "</GetObjectAttributesResponse>"...)
}

// ParseMarker reads part-number-marker: "" is 0.
func ParseMarker(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, E("s3.ParseMarker", "part-number-marker", "InvalidArgument", "Argument part-number-marker must be an integer between 0 and 2147483647",
			Field{"ArgumentName", "part-number-marker"}, Field{"ArgumentValue", s})
	}
	return n, nil
}
