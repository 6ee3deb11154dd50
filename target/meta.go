package target

import (
	"strconv"
	"strings"

	"aistore/api"
	"aistore/cksum"
	"aistore/errs"
	"aistore/httpx"
	"aistore/object"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// defaultType is sent for objects that were written without a Content-Type.
const defaultType = "application/octet-stream"

func contentTypeOf(info *object.Info) string {
	if ct := info.System["content-type"]; ct != "" {
		return ct
	}
	return defaultType
}

// The reply's headers are appended to one buffer: a string for each would be most of a small GET's garbage.

// appendMeta adds every header of a GET or HEAD reply, but the Content-Type of one with several ranges, whose parts have it.
func appendMeta(b []byte, r *request, info *object.Info, ranges int) []byte {
	if ranges < 2 {
		b = httpx.AppendHeader(b, "Content-Type", contentTypeOf(info))
	}
	if len(info.System) > 0 {
		b = appendSystem(b, info)
	}
	b = append(b, "Accept-Ranges: bytes\r\n"...)
	b = appendIdentity(b, info)
	b = appendModified(b, info)
	b = appendNames(b, r)
	b = appendLocation(b, r)
	b = append(b, api.HeaderPresent+": true\r\n"...)
	return appendCustom(b, info)
}

// appendIdentity adds what a PUT reply tells of the object, too.
func appendIdentity(b []byte, info *object.Info) []byte {
	b = append(append(append(b, `ETag: "`...), info.ETag...), "\"\r\n"...)
	b = appendVersion(b, info)
	return appendChecksum(b, info)
}

func appendVersion(b []byte, info *object.Info) []byte {
	b = append(b, api.HeaderVersion+": "...)
	b = strconv.AppendUint(b, info.Version.Epoch, 10)
	b = strconv.AppendUint(append(b, '.'), info.Version.Counter, 10)
	return append(b, "\r\n"...)
}

func appendChecksum(b []byte, info *object.Info) []byte {
	if info.Checksum.Type == cksum.None {
		return b
	}
	b = append(append(b, api.HeaderChecksumType+": "...), info.Checksum.Type.String()...)
	b = append(append(b, "\r\n"+api.HeaderChecksumValue+": "...), info.Checksum.Value...)
	return append(b, "\r\n"...)
}

func appendModified(b []byte, info *object.Info) []byte {
	b = append(b, "Last-Modified: "...)
	b = httpx.AppendTime(b, info.Created)
	b = append(b, "\r\n"+api.HeaderAtime+": "...)
	return append(strconv.AppendInt(b, info.Created.UnixNano(), 10), "\r\n"...)
}

func appendNames(b []byte, r *request) []byte {
	b = httpx.AppendHeader(b, api.HeaderName, r.Key)
	b = append(append(b, api.HeaderBucketName+": "...), r.Bucket.Name...)
	return append(b, "\r\n"+api.HeaderBucketProvider+": "+api.ProviderAIS+"\r\n"...)
}

func appendLocation(b []byte, r *request) []byte {
	b = append(append(b, api.HeaderLocation+": t["...), r.Owner.ID...)
	return append(b, "]\r\n"...)
}

// appendCustom adds the user's metadata as "k=v,k=v", sorted by key.
func appendCustom(b []byte, info *object.Info) []byte {
	if len(info.Custom) == 0 {
		return b
	}
	return httpx.AppendHeader(b, api.HeaderCustomMD, api.FormatCustom(info.Custom))
}

// systemHeaders are the headers of a PUT that are kept and sent again with a GET: key in object.Info.System
// and the name on the wire.
var systemHeaders = [...][2]string{
	{"content-type", "Content-Type"},
	{"content-encoding", "Content-Encoding"},
	{"content-disposition", "Content-Disposition"},
	{"content-language", "Content-Language"},
	{"cache-control", "Cache-Control"},
	{"expires", "Expires"},
}

// appendSystem adds those but the Content-Type.
func appendSystem(b []byte, info *object.Info) []byte {
	for _, h := range systemHeaders[1:] {
		if v := info.System[h[0]]; v != "" {
			b = httpx.AppendHeader(b, h[1], v)
		}
	}
	return b
}

// appendProps adds the headers of the properties that a HEAD asks for by name. The size is always there:
// it is the Content-Length.
func appendProps(b []byte, r *request, info *object.Info, props string) ([]byte, error) {
	b = append(b, api.HeaderPresent+": true\r\n"...)
	for props != "" {
		var p string
		p, props, _ = strings.Cut(props, ",")
		switch strings.TrimSpace(p) {
		case "", api.PropSize, "chunked", "copies", "ec", "cached", "status", "node":
		case api.PropName:
			b = appendNames(b, r)
		case api.PropVersion:
			b = appendVersion(b, info)
		case api.PropChecksum:
			b = appendChecksum(b, info)
		case api.PropAtime:
			b = append(b, api.HeaderAtime+": "...)
			b = append(strconv.AppendInt(b, info.Created.UnixNano(), 10), "\r\n"...)
		case api.PropModified:
			b = append(httpx.AppendTime(append(b, "Last-Modified: "...), info.Created), "\r\n"...)
		case api.PropETag:
			b = append(append(append(b, `ETag: "`...), info.ETag...), "\"\r\n"...)
		case api.PropLocation:
			b = appendLocation(b, r)
		case api.PropCustom:
			b = appendCustom(b, info)
		case api.PropTarget:
			b = httpx.AppendHeader(b, api.HeaderNodeURL, r.Owner.PublicURL)
		default:
			return nil, errs.F("target.head", api.QueryProps, errs.Invalid, "%q is not a property: use %s", p,
				"name, size, version, checksum, atime, location, custom, last-modified, etag, target_url")
		}
	}
	return b, nil
}
