package policy

import (
	"cmp"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// equal compares text exactly.
func equal(v *value, got string, r *Request) bool {
	want, _, ok := v.text.expand(r)
	return ok && want == got
}

func equalFold(v *value, got string, r *Request) bool {
	want, _, ok := v.text.expand(r)
	return ok && strings.EqualFold(want, got)
}

// like compares with wildcards.
func like(v *value, got string, r *Request) bool { return v.text.matches(got, r) }

// arnLike compares with wildcards, each of an ARN's six parts for itself.
func arnLike(v *value, got string, r *Request) bool {
	want, literal, ok := v.text.expand(r)
	if !ok {
		return false
	}
	if len(literal) > 0 {
		return wildcard(want, got, literal)
	}
	wants, gots := strings.SplitN(want, ":", 6), strings.SplitN(got, ":", 6)
	if len(wants) != 6 || len(gots) != 6 {
		return false
	}
	for i := range wants {
		if !wildcard(wants[i], gots[i], nil) {
			return false
		}
	}
	return true
}

func parseBool(v *value) bool {
	switch strings.ToLower(v.text.raw) {
	case "true":
		v.parsed = true
	case "false":
		v.parsed = false
	default:
		return false
	}
	return true
}

func matchBool(v *value, got string, _ *Request) bool {
	b, err := strconv.ParseBool(strings.ToLower(got))
	return err == nil && v.parsed == b
}

// prefixOf is a range of addresses.
type prefixOf struct{ netip.Prefix }

func parsePrefix(v *value) bool {
	p, err := netip.ParsePrefix(v.text.raw)
	if err != nil {
		a, err := netip.ParseAddr(v.text.raw)
		if err != nil || a.Zone() != "" {
			return false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	v.parsed = prefixOf{p.Masked()}
	return true
}

func inPrefix(v *value, got string, _ *Request) bool {
	a, err := netip.ParseAddr(got)
	return err == nil && v.parsed.(prefixOf).Contains(a.Unmap().WithZone(""))
}

// narrow reports whether the range is not most of the world: what is wider than a /8 of IPv4 or a /32 of IPv6 is public, unless it is
// private.
func (p prefixOf) narrow() bool {
	if p.Addr().IsPrivate() || p.Addr().IsLoopback() {
		return true
	}
	if p.Addr().Is4() {
		return p.Bits() >= 8
	}
	return p.Bits() >= 32
}

func parseNumber(v *value) bool {
	n, err := strconv.ParseFloat(v.text.raw, 64)
	v.parsed = n
	return err == nil && !math.IsNaN(n)
}

// compareNumber returns how got stands to v.
func compareNumber(v *value, got string) (int, bool) {
	n, err := strconv.ParseFloat(got, 64)
	return cmp.Compare(n, v.parsed.(float64)), err == nil && !math.IsNaN(n)
}

// dateOf reads ISO 8601 as AWS takes it, or seconds since 1970.
func dateOf(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(n, 0), err == nil
}

func parseDate(v *value) bool {
	t, ok := dateOf(v.text.raw)
	v.parsed = t
	return ok
}

func compareDate(v *value, got string) (int, bool) {
	t, ok := dateOf(got)
	return t.Compare(v.parsed.(time.Time)), ok
}
