package uri

import (
	"testing"

	"aistore/errs"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in, ns, bucket, key string
		kind                errs.Kind
	}{
		{"ais://b1", "", "b1", "", 0},
		{"ais://b1/", "", "b1", "", 0},
		{"ais://b1/a/b", "", "b1", "a/b", 0},
		{"ais://b1//a", "", "b1", "/a", 0},
		{"ais://b1/../x", "", "b1", "../x", 0},
		{"ais://#team/b1/a b", "team", "b1", "a b", 0},
		{"ais://@#team/b1", "team", "b1", "", 0},
		{"ais://@uuid#team/b1", "", "", "", errs.Unsupported},
		{"ais://#team", "", "", "", errs.Invalid},
		{"s3://b1", "", "", "", errs.Invalid},
		{"://b1", "", "", "", errs.Invalid},
		{"b1", "", "", "", errs.Invalid},
		{"ais://", "", "", "", errs.Invalid},
		{"ais:///x", "", "", "", errs.Invalid},
		{"ais://b?c", "", "", "", errs.Invalid},
	} {
		u, err := Parse(c.in)
		if c.kind != 0 {
			if !errs.Is(err, c.kind) {
				t.Errorf("%q: %v %v, want kind %v", c.in, u, err, c.kind)
			}
			continue
		}
		if err != nil || u.Bck.Namespace.Name != c.ns || u.Bck.Name != c.bucket || u.Key != c.key {
			t.Errorf("%q: %+v %v", c.in, u, err)
			continue
		}
		if back, err := Parse(u.String()); err != nil || back != u {
			t.Errorf("%q: its text %q is %+v %v", c.in, u, back, err)
		}
	}
}

func TestParseBucketAndObject(t *testing.T) {
	for in, ok := range map[string]bool{"b1": true, "ais://b1": true, "ais://b1/": true, "ais://#n/b1": true, "ais://b1/x": false, "b1/x": false, "": false} {
		if b, err := ParseBucket(in); (err == nil) != ok {
			t.Errorf("bucket %q: %v %v", in, b, err)
		}
	}
	for in, ok := range map[string]bool{"ais://b1/x": true, "ais://b1": false, "b1/x": false} {
		if u, err := ParseObject(in); (err == nil) != ok {
			t.Errorf("object %q: %v %v", in, u, err)
		}
	}
}

func TestHasRange(t *testing.T) {
	for in, want := range map[string]bool{"a{1..2}": true, "{0..9..3}x": true, "{a}": false, "{1,2}": false, "{1..}": false, "a": false} {
		if HasRange(in) != want {
			t.Errorf("HasRange(%q) = %v", in, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ais://#n/b/o")
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := Parse(s); err == nil {
			if back, err := Parse(u.String()); err != nil || back != u {
				t.Errorf("%q: %+v becomes %+v %v", s, u, back, err)
			}
		}
	})
}
