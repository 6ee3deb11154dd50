package sigv4

import "testing"

func TestCanonicalQuery(t *testing.T) {
	for raw, want := range map[string]string{
		"":                           "",
		"acl":                        "acl=",
		"b=2&a=1":                    "a=1&b=2",
		"a=2&a=1&a=":                 "a=&a=1&a=2",
		"a-=1&a=2&a.=3":              "a=2&a-=1&a.=3", // by key, not by key and equals sign
		"A=1&a=2&B=3":                "A=1&B=3&a=2",
		"&&a=1&":                     "a=1",
		"=v&a":                       "=v&a=",
		"p=a%2fb%7e+c*'d":            "p=a%2Fb~%20c%2A%27d",
		"p=100%&q=%4":                "p=100%25&q=%254",
		"p=a=b":                      "p=a%3Db",
		"p=\xc3\xa9&q=%C3%A9":        "p=%C3%A9&q=%C3%A9",
		"X-Amz-Signature=s&x=%00%7F": "x=%00%7F",
	} {
		s := New().getScratch()
		s.load(&Request{RawQuery: raw, Each: each()})
		if got := string(s.appendQuery(nil, "X-Amz-Signature")); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func TestCanonicalHeaders(t *testing.T) {
	s := New().getScratch()
	s.load(&Request{Each: each("X-Amz-Meta-A", " one   two ", "Other", "x", "x-amz-meta-a", "three\t", "X-AMZ-META-B", "", "Host", "wrong")})
	for name, want := range map[string]string{
		"x-amz-meta-a": "x-amz-meta-a:one two,three\n",
		"x-amz-meta-b": "x-amz-meta-b:\n",
		"missing":      "missing:\n",
		"host":         "host:right:80\n",
	} {
		if got := string(s.appendHeader(nil, &Request{Host: "right:80"}, name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := string(s.appendHeader(nil, &Request{}, "host")); got != "host:wrong\n" {
		t.Errorf("no host: %q", got)
	}
}
