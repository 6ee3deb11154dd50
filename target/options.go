package target

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"aistore/api"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
	"aistore/object"
	"aistore/store"
)

// Limits of custom metadata: as much as every S3 client can carry, and a little more.
const (
	maxCustomBytes = 8 << 10 // keys and values together
	maxSystemBytes = 4 << 10
)

// putOptions reads what the headers of a PUT say.
func (t *Target) putOptions(r *request) (store.PutOptions, error) {
	c, props := r.c, &r.Bucket.Props
	change := t.Commit(&r.Object)
	o := store.PutOptions{
		Epoch: r.View.Map.Epoch, Durability: props.Durability, Checksum: props.Checksum, Size: c.BodyLen() - r.head, Versioning: VersioningOf(r.Bucket),
		Newest: change.Newest, Guard: change.Guard,
	}
	if limit := r.View.Config.Limits.MaxObjectSize; o.Size > limit {
		return o, errs.F("target.put", r, errs.TooLarge, "%d bytes; limits.max_object_size is %d", o.Size, limit)
	} else if o.Size < 0 {
		c.LimitBody(limit)
	}
	var err error
	if o.Expect, err = expected(c); err != nil {
		return o, err
	}
	o.Conditions = conditions(c)
	if m := c.Header(headerMeta); r.peer && m != "" {
		r.meta = new(nodeMeta)
		if err := json.Unmarshal([]byte(m), r.meta); err != nil {
			return o, errs.E("target.put", headerMeta, errs.Invalid, err)
		}
	}
	if m := r.meta; m != nil {
		o.ETag, o.Custom, o.System, o.Tags = m.ETag, m.Custom, m.System, m.Tags
		return o, nil
	}
	if o.Custom, err = customOf(c); err != nil {
		return o, err
	}
	o.System, err = systemOf(c)
	return o, err
}

// VersioningOf says what becomes of what a write or delete replaces in b.
func VersioningOf(b *cluster.Bucket) store.Versioning {
	switch b.Props.S3.Versioning {
	case cluster.VersioningEnabled:
		return store.Versioned
	case cluster.VersioningSuspended:
		return store.Suspended
	}
	return store.Unversioned
}

// expected returns the checksums that the client declares.
func expected(c *httpx.Ctx) ([]cksum.Value, error) {
	const op = "target.put"
	var vs []cksum.Value
	if value := c.Header(api.HeaderChecksumValue); value != "" {
		v, err := cksum.Parse(c.Header(api.HeaderChecksumType), value)
		if err != nil {
			return nil, errs.E(op, api.HeaderChecksumValue, errs.Invalid, err)
		}
		if v.Type == cksum.None {
			return nil, errs.E(op, api.HeaderChecksumType, errs.Invalid, "names no checksum type although there is a value")
		}
		vs = append(vs, v)
	}
	if md5 := c.Header("Content-MD5"); md5 != "" {
		raw, err := base64.StdEncoding.DecodeString(md5)
		if err != nil || len(raw) != cksum.MD5.Size() {
			return nil, errs.F(op, "Content-MD5", errs.Invalid, "%q is not the base64 of 16 bytes", md5)
		}
		vs = append(vs, cksum.Value{Type: cksum.MD5, Value: hex.EncodeToString(raw)})
	}
	return vs, nil
}

// conditions returns the If-* headers, nil without any. A date that cannot be read is ignored, as RFC 9110 wants.
func conditions(c *httpx.Ctx) *object.Conditions {
	match, noneMatch := c.Header("If-Match"), c.Header("If-None-Match")
	modified, unmodified := httpDate(c.Header("If-Modified-Since")), httpDate(c.Header("If-Unmodified-Since"))
	if match == "" && noneMatch == "" && modified.IsZero() && unmodified.IsZero() {
		return nil
	}
	return &object.Conditions{
		IfMatch: object.StrongETags(match), IfNoneMatch: object.ParseETags(noneMatch),
		IfModifiedSince: modified, IfUnmodifiedSince: unmodified,
	}
}

func httpDate(s string) time.Time {
	t, _ := httpx.ParseTime(s)
	return t
}

// ifRange reports whether the ranges of the request are meant for this version of the object.
func ifRange(c *httpx.Ctx, info *object.Info) bool {
	h := c.Header("If-Range")
	if h == "" {
		return true
	}
	if t, ok := httpx.ParseTime(h); ok {
		return info.Created.Truncate(time.Second).Equal(t)
	}
	return strings.Trim(h, `"`) == info.ETag && !strings.HasPrefix(h, "W/")
}

// customOf returns the custom metadata of the request's headers, each "key=value".
func customOf(c *httpx.Ctx) (map[string]string, error) {
	if c.Header(api.HeaderCustomMD) == "" {
		return nil, nil
	}
	m := map[string]string{}
	for _, kv := range c.HeaderValues(api.HeaderCustomMD) {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, errs.F("target.put", api.HeaderCustomMD, errs.Invalid, "%q is not KEY=VALUE", kv)
		}
		m[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	if err := unambiguous(m); err != nil {
		return nil, err
	}
	return m, checkCustom(m)
}

// unambiguous refuses values that a reader of HeaderCustomMD, in which "," separates pairs, would take for several pairs: there is no
// escaping in the native API. It is asked of what a native client sets; what came by S3, where each value has a header of its own, stays.
func unambiguous(set map[string]string) error {
	for k, v := range set {
		if _, rest, found := strings.Cut(v, ","); found && strings.Contains(rest, "=") {
			return errs.F("target.custom", "custom metadata", errs.Invalid,
				"the value of %q has a '=' behind a ',': where values are listed it would read as a pair of its own", k)
		}
	}
	return nil
}

// checkCustom refuses metadata that a reply's header could not carry back.
func checkCustom(m map[string]string) error {
	const op = "target.custom"
	total := 0
	for k, v := range m {
		total += len(k) + len(v)
		switch {
		case k == "" || strings.ContainsAny(k, "=,"):
			return errs.F(op, "custom metadata", errs.Invalid, "key %q: keys are not empty and have no '=' and no ','", k)
		case hasControl(k) || hasControl(v):
			return errs.F(op, "custom metadata", errs.Invalid, "key %q: control characters are not allowed", k)
		}
	}
	if total > maxCustomBytes {
		return errs.F(op, "custom metadata", errs.TooLarge, "is %d bytes long, the limit is %d", total, maxCustomBytes)
	}
	return nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// agentOfSDK sends "Content-Type: application/json" with whatever it puts, which says nothing of the object.
const agentOfSDK = "ais/python"

func systemOf(c *httpx.Ctx) (map[string]string, error) {
	var m map[string]string
	total := 0
	for i, h := range systemHeaders {
		v := c.Header(h[1])
		if v == "" || i == 0 && (v == "application/x-www-form-urlencoded" || strings.HasPrefix(c.Header("User-Agent"), agentOfSDK)) {
			continue // curl's default, or the SDK's
		}
		if m == nil {
			m = map[string]string{}
		}
		m[h[0]] = v
		total += len(v)
	}
	if total > maxSystemBytes {
		return nil, errs.F("target.put", "content headers", errs.TooLarge, "are %d bytes long, the limit is %d", total, maxSystemBytes)
	}
	return m, nil
}
