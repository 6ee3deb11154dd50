package api

import (
	"sort"
	"strings"

	"aistore/errs"
)

// Limits of custom metadata: what fits into request and reply headers everywhere.
const (
	MaxCustomKey   = 256
	MaxCustomBytes = 8 << 10 // all keys and values of an object
)

// FormatCustom renders custom metadata as in HeaderCustomMD: "k=v,k=v", sorted by key.
func FormatCustom(m map[string]string) string {
	keys := make([]string, 0, len(m))
	n := 0
	for k, v := range m {
		keys = append(keys, k)
		n += len(k) + len(v) + 2
	}
	sort.Strings(keys)
	var b strings.Builder
	b.Grow(n)
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k)
		b.WriteByte('=')
		b.WriteString(m[k])
	}
	return b.String()
}

// ParseCustom adds one HeaderCustomMD value, "k=v" or "k=v,k=v", to m. A value may contain "=", not ",".
func ParseCustom(m map[string]string, header string) error {
	const op = "api.ParseCustom"
	for _, pair := range strings.Split(header, ",") {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		if !ok {
			return errs.F(op, HeaderCustomMD, errs.Invalid, "%.80q is not KEY=VALUE", pair)
		}
		if err := CheckCustom(k, v); err != nil {
			return err
		}
		m[k] = v
	}
	return CheckCustomSize(m)
}

// CheckCustom refuses what cannot travel in HeaderCustomMD.
func CheckCustom(k, v string) error {
	const op = "api.CheckCustom"
	if k == "" || len(k) > MaxCustomKey {
		return errs.F(op, "custom metadata", errs.Invalid, "key %.80q: use 1 to %d characters", k, MaxCustomKey)
	}
	if strings.ContainsAny(k, "=, \t") {
		return errs.F(op, "custom metadata", errs.Invalid, "key %q contains a space, ',' or '='", k)
	}
	for _, s := range [...]string{k, v} {
		for i := range len(s) {
			if s[i] < ' ' || s[i] == 0x7f {
				return errs.F(op, "custom metadata", errs.Invalid, "key %q: control characters cannot travel in a header", k)
			}
		}
	}
	if strings.IndexByte(v, ',') >= 0 {
		return errs.F(op, "custom metadata", errs.Invalid, "the value of %q contains ',', which separates pairs", k)
	}
	return nil
}

// CheckCustomSize bounds all metadata of one object together.
func CheckCustomSize(m map[string]string) error {
	n := 0
	for k, v := range m {
		n += len(k) + len(v)
	}
	if n > MaxCustomBytes {
		return errs.F("api.CheckCustomSize", "custom metadata", errs.TooLarge, "takes %d bytes, the limit is %d", n, MaxCustomBytes)
	}
	return nil
}
