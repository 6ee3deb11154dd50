package s3

import (
	"strings"
	"testing"
	"time"
)

// TestControlsInDocuments writes names with characters that XML cannot hold as they are.
func TestControlsInDocuments(t *testing.T) {
	for _, c := range []struct{ key, text, version string }{
		{"plain", "plain", "1.0"},
		{"tab\tand\r\n", "tab&#x9;and&#xd;&#xa;", "1.0"},
		{"del\x7f", "del&#x7f;", "1.0"},
		{"c1\u0085\u009f\u00a0", "c1&#x85;&#x9f;\u00a0", "1.0"},
		{"\x01", "&#x1;", "1.1"},
		{strings.Repeat("long", 300) + "\x1f<", strings.Repeat("long", 300) + "&#x1f;&lt;", "1.1"},
		{"nul\x00", "nul\uFFFD", "1.0"},
		{"none\uFFFE\uFFFF\uFFFD\xff", "none\uFFFD\uFFFD\uFFFD\uFFFD", "1.0"},
	} {
		l := &List{Bucket: "b", MaxKeys: 1, Entries: []Entry{{Key: "before"}, {Key: c.key, Modified: time.Unix(0, 0)}, {Key: "behind"}}}
		for name, doc := range map[string][]byte{
			"list": AppendListV2(nil, l), "completed": AppendCompleted(Prolog(c.key), &Completed{Key: c.key}), "error": AppendError(nil, &Fault{Code: "NoSuchKey"}, c.key, "", ""),
		} {
			if want := `<?xml version="` + c.version + `" `; !strings.HasPrefix(string(doc), want) {
				t.Errorf("%q: the %s begins %.40s, want %s", c.key, name, doc, want)
			}
			if !strings.Contains(string(doc), ">"+c.text+"<") {
				t.Errorf("%q: the %s has no %s: %s", c.key, name, c.text, doc)
			}
		}
		l.URL = true
		if doc := string(AppendListV2(nil, l)); !strings.HasPrefix(doc, xmlHeader) || strings.Contains(doc, "&#x") {
			t.Errorf("%q, url: %s", c.key, doc)
		}
	}
}
