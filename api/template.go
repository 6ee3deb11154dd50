package api

import (
	"iter"
	"strconv"
	"strings"

	"aistore/errs"
	"aistore/object"
)

// Limits of a template.
const (
	MaxTemplateLen    = 2 * object.MaxKeyLen
	MaxTemplateRanges = 8
	MaxTemplateNames  = 100_000_000
)

// Template is a pattern of names with ranges as bash expands them: "a-{0001..0100}.bin", "x{1..9..2}/y{00..15}".
// Leading zeroes pad every number of the range to the width of its wider end; a range may count down.
// A template without a range is a prefix. "*" at the end of a prefix is dropped. Other braces are refused: a
// misspelt range must not delete what it does not name.
type Template struct {
	text   []string // what stands before, between and behind the ranges
	ranges []numRange
	count  int64
}

type numRange struct {
	first, last, step int64 // step > 0; last < first counts down
	width             int   // digits; 0 = as needed
}

func (r numRange) count() int64 {
	d := r.last - r.first
	if d < 0 {
		d = -d
	}
	return d/r.step + 1
}

func (r numRange) append(b []byte, i int64) []byte {
	n := r.first + i*r.step
	if r.last < r.first {
		n = r.first - i*r.step
	}
	for w := r.width - digits(n); w > 0; w-- {
		b = append(b, '0')
	}
	return strconv.AppendInt(b, n, 10)
}

func digits(n int64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

// ParseTemplate reads a template. "" is the prefix of everything.
func ParseTemplate(s string) (*Template, error) {
	const op = "api.ParseTemplate"
	if len(s) > MaxTemplateLen {
		return nil, errs.F(op, "template", errs.Invalid, "is %d bytes long, the limit is %d", len(s), MaxTemplateLen)
	}
	t := &Template{count: 1}
	rest := s
	for {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			break
		}
		end := strings.IndexByte(rest[open:], '}')
		if rest[open] == '}' || end < 0 {
			return nil, errs.F(op, "template", errs.Invalid, "%q: a brace without its partner", s)
		}
		r, err := parseRange(rest[open+1 : open+end])
		if err != nil {
			return nil, errs.F(op, "template", errs.Invalid, "%q: %s", s, err.Error())
		}
		if len(t.ranges) == MaxTemplateRanges {
			return nil, errs.F(op, "template", errs.Invalid, "%q has more than %d ranges", s, MaxTemplateRanges)
		}
		if t.count *= r.count(); t.count > MaxTemplateNames {
			return nil, errs.F(op, "template", errs.TooLarge, "%q stands for more than %d names", s, MaxTemplateNames)
		}
		t.text = append(t.text, rest[:open])
		t.ranges = append(t.ranges, r)
		rest = rest[open+end+1:]
	}
	if len(t.ranges) == 0 {
		rest = strings.TrimSuffix(rest, "*")
		t.count = 0
	}
	t.text = append(t.text, rest)
	return t, nil
}

// rangeError is a fault inside one pair of braces.
type rangeError string

func (e rangeError) Error() string { return string(e) }

func parseRange(s string) (numRange, error) {
	parts := strings.Split(s, "..")
	if len(parts) != 2 && len(parts) != 3 {
		return numRange{}, rangeError("{" + s + "} is not {FIRST..LAST} or {FIRST..LAST..STEP}")
	}
	r := numRange{step: 1}
	for i, dst := range []*int64{&r.first, &r.last, &r.step}[:len(parts)] {
		n, err := strconv.ParseUint(parts[i], 10, 63)
		if err != nil || n > 1e15 || len(parts[i]) > 32 {
			return numRange{}, rangeError("{" + s + "}: " + strconv.Quote(parts[i]) + " is not a number from 0 to 10^15")
		}
		*dst = int64(n)
	}
	if r.step == 0 {
		return numRange{}, rangeError("{" + s + "}: the step is 0")
	}
	for _, p := range parts[:2] {
		if len(p) > 1 && p[0] == '0' {
			r.width = max(len(parts[0]), len(parts[1]))
		}
	}
	return r, nil
}

// IsPrefix reports whether the template has no range and so means every name that begins with Prefix.
func (t *Template) IsPrefix() bool { return len(t.ranges) == 0 }

// Prefix is what all names begin with.
func (t *Template) Prefix() string { return t.text[0] }

// Count is the number of names, 0 for a prefix.
func (t *Template) Count() int64 { return t.count }

// Names yields every name, the last range turning fastest; none for a prefix.
func (t *Template) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		if t.IsPrefix() {
			return
		}
		at := make([]int64, len(t.ranges))
		var b []byte
		for {
			b = b[:0]
			for i, r := range t.ranges {
				b = append(b, t.text[i]...)
				b = r.append(b, at[i])
			}
			b = append(b, t.text[len(t.ranges)]...)
			if !yield(string(b)) {
				return
			}
			i := len(at) - 1
			for ; i >= 0; i-- {
				if at[i]++; at[i] < t.ranges[i].count() {
					break
				}
				at[i] = 0
			}
			if i < 0 {
				return
			}
		}
	}
}
