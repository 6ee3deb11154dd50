package api

import (
	"slices"
	"strings"
	"testing"

	"aistore/errs"
)

func TestTemplate(t *testing.T) {
	for _, c := range []struct {
		in     string
		prefix string
		want   string // space-separated names
	}{
		{"", "", ""},
		{"*", "", ""},
		{"dir/", "dir/", ""},
		{"obj-{07..10}", "obj-", "obj-07 obj-08 obj-09 obj-10"},
		{"dir-{0..1}/obj-{07..08}", "dir-", "dir-0/obj-07 dir-0/obj-08 dir-1/obj-07 dir-1/obj-08"},
		{"prefix-{0010..0013..2}-gap-{1..2}-suffix", "prefix-", "prefix-0010-gap-1-suffix prefix-0010-gap-2-suffix prefix-0012-gap-1-suffix prefix-0012-gap-2-suffix"},
		{"{3..1}", "", "3 2 1"},
		{"{9..1..4}x", "", "9x 5x 1x"},
		{"{08..11}", "", "08 09 10 11"},
		{"{098..101}", "", "098 099 100 101"},
		{"{8..10}", "", "8 9 10"},
		{"{01..100..99}", "", "001 100"}, // bash pads to the wider end
		{"a*{1..2}", "a*", "a*1 a*2"},
	} {
		tm, err := ParseTemplate(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		got := strings.Join(slices.Collect(tm.Names()), " ")
		if got != c.want || tm.Prefix() != c.prefix || tm.IsPrefix() != (c.want == "") {
			t.Errorf("%q: prefix %q names %q, want %q %q", c.in, tm.Prefix(), got, c.prefix, c.want)
		}
		if n := len(strings.Fields(c.want)); tm.Count() != int64(n) {
			t.Errorf("%q: count %d, want %d", c.in, tm.Count(), n)
		}
	}
	for _, bad := range []string{
		"a{", "a}", "a{}", "{1..}", "{..2}", "{a..b}", "{1..2..0}", "{1,2}", "{1..2..3..4}", "{-1..2}", "{1..2}{", "{ 1..2}",
		"{0..999999999}", "{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}", strings.Repeat("a", MaxTemplateLen+1), "{1..9999999999999999}",
	} {
		if _, err := ParseTemplate(bad); !errs.Is(err, errs.Invalid, errs.TooLarge) {
			t.Errorf("%.40q accepted: %v", bad, err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a-{0001..0100}.bin", "{1..3..2}x{5..4}", "p/*", "{", "{1..2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tm, err := ParseTemplate(s)
		if err != nil {
			return
		}
		n := int64(0)
		for name := range tm.Names() {
			if !strings.HasPrefix(name, tm.Prefix()) {
				t.Fatalf("%q: name %q without prefix %q", s, name, tm.Prefix())
			}
			if n++; n > 1000 {
				return
			}
		}
		if n != tm.Count() {
			t.Fatalf("%q: %d names, count %d", s, n, tm.Count())
		}
	})
}
