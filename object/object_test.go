package object

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"aistore/errs"
)

func TestParseRange(t *testing.T) {
	for _, c := range []struct {
		h    string
		size int64
		want []Span
		kind errs.Kind // Other: no error
	}{
		{"", 10, nil, 0},
		{"bytes=0-4", 10, []Span{{0, 5}}, 0},
		{"bytes=5-", 10, []Span{{5, 5}}, 0},
		{"bytes=-3", 10, []Span{{7, 3}}, 0},
		{"bytes=-30", 10, []Span{{0, 10}}, 0},
		{"bytes=0-100", 10, []Span{{0, 10}}, 0},
		{"bytes=0-0,9-9", 10, []Span{{0, 1}, {9, 1}}, 0},
		{"bytes=0-1, 20-30", 10, []Span{{0, 2}}, 0},
		{"bytes=10-", 10, nil, errs.Range},
		{"bytes=-0", 10, nil, errs.Range},
		{"bytes=0-", 0, nil, errs.Range},
		{"bytes=5-2", 10, nil, 0},
		{"bytes=a-b", 10, nil, 0},
		{"bytes=--5", 10, nil, 0},
		{"bytes=", 10, nil, 0},
		{"items=0-1", 10, nil, 0},
		{"bytes=0-,0-,0-", 10, nil, errs.Range},
		{"bytes=" + strings.Repeat("0-0,", MaxRanges+1), 10, nil, errs.Range},
		{"bytes=99999999999999999999-", 10, nil, errs.Range},
		{"bytes=2-99999999999999999999", 10, []Span{{2, 8}}, 0},
		{"bytes=-99999999999999999999", 10, []Span{{0, 10}}, 0},
		{"bytes=0x1-2", 10, nil, 0},
	} {
		got, err := ParseRange(c.h, c.size)
		if !reflect.DeepEqual(got, c.want) || errs.KindOf(err) != c.kind {
			t.Errorf("ParseRange(%q, %d) = %v, %v; want %v, kind %v", c.h, c.size, got, err, c.want, c.kind)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-4,-1", int64(10))
	f.Fuzz(func(t *testing.T, h string, size int64) {
		if size < 0 {
			return
		}
		spans, err := ParseRange(h, size)
		if err != nil && spans != nil {
			t.Fatal("spans beside an error")
		}
		for _, s := range spans {
			if s.Start < 0 || s.Length <= 0 || s.Start+s.Length > size {
				t.Fatalf("%q of %d: span %v lies outside", h, size, s)
			}
		}
	})
}

func TestConditions(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	cur := &Info{ETag: "abc", Created: now, Version: Version{2, 3}}
	for _, c := range []struct {
		name string
		c    Conditions
		cur  *Info
		read bool
		want errs.Kind
	}{
		{"none", Conditions{}, cur, true, 0},
		{"match", Conditions{IfMatch: []string{"x", "abc"}}, cur, false, 0},
		{"match *", Conditions{IfMatch: []string{"*"}}, cur, false, 0},
		{"match * on nothing", Conditions{IfMatch: []string{"*"}}, nil, false, errs.Precondition},
		{"mismatch", Conditions{IfMatch: []string{"x"}}, cur, true, errs.Precondition},
		{"none-match *", Conditions{IfNoneMatch: []string{"*"}}, cur, false, errs.Precondition},
		{"none-match * on nothing", Conditions{IfNoneMatch: []string{"*"}}, nil, false, 0},
		{"none-match read", Conditions{IfNoneMatch: []string{"abc"}}, cur, true, errs.NotModified},
		{"since same second", Conditions{IfModifiedSince: now.Truncate(time.Second)}, cur, true, errs.NotModified},
		{"since earlier", Conditions{IfModifiedSince: now.Add(-time.Minute)}, cur, true, 0},
		{"version", Conditions{IfVersion: Version{2, 3}}, cur, false, 0},
		{"other version", Conditions{IfVersion: Version{2, 2}}, cur, false, errs.Precondition},
		{"version of nothing", Conditions{IfVersion: Version{2, 3}}, nil, false, errs.Precondition},
		{"unmodified since", Conditions{IfUnmodifiedSince: now.Add(-time.Minute)}, cur, true, errs.Precondition},
	} {
		if got := errs.KindOf(c.c.Check(c.cur, c.read)); got != c.want {
			t.Errorf("%s: kind %v, want %v", c.name, got, c.want)
		}
	}
}

func TestParseETags(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, "*": {"*"}, `"a"`: {"a"}, `"a", W/"b"`: {"a", "b"}, "a, b": {"a", "b"}, `"a,b","c"`: {"a,b", "c"}, `"open`: {"open"},
	} {
		if got := ParseETags(in); !reflect.DeepEqual(got, want) {
			t.Errorf("ParseETags(%q) = %q, want %q", in, got, want)
		}
	}
	if got, want := StrongETags(`"a", W/"b", W/c`), []string{"a", "W/b", "W/c"}; !reflect.DeepEqual(got, want) {
		t.Errorf("StrongETags: %q, want %q", got, want)
	}
}

func FuzzParseETags(f *testing.F) {
	f.Add(`"a", W/"b", *`)
	f.Fuzz(func(_ *testing.T, s string) { ParseETags(s) })
}

func TestVersionOrder(t *testing.T) {
	vs := []Version{{}, {1, 1}, {1, 2}, {2, 1}, {10, 1}}
	for i, v := range vs {
		back, err := ParseVersion(v.String())
		if err != nil || back != v {
			t.Errorf("%v does not parse back: %v %v", v, back, err)
		}
		for j, w := range vs {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if v.Compare(w) != want || strings.Compare(string(v.AppendBinary(nil)), string(w.AppendBinary(nil))) != want {
				t.Errorf("Compare(%v, %v): want %d", v, w, want)
			}
		}
	}
	if got := (Version{3, 7}).Next(3); got != (Version{3, 8}) {
		t.Errorf("next in the same epoch: %v", got)
	}
	if got := (Version{3, 7}).Next(5); got != (Version{5, 1}) {
		t.Errorf("next in a newer epoch: %v", got)
	}
}

func TestCheckKey(t *testing.T) {
	for _, bad := range []string{"", "\xff", "a\x00b", strings.Repeat("x", MaxKeyLen+1)} {
		if !errs.Is(CheckKey(bad), errs.Invalid) {
			t.Errorf("key %q accepted", bad)
		}
	}
	for _, ok := range []string{"a", "a/b", "../..", "ünï", " ", strings.Repeat("x", MaxKeyLen)} {
		if err := CheckKey(ok); err != nil {
			t.Errorf("key %q: %v", ok, err)
		}
	}
}
