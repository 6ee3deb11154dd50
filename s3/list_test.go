package s3

import (
	"strings"
	"testing"
)

// TestListV1Prefix: with encoding-type=url the prefix is as it was sent, which SDKs expect, unless a parser of XML 1.0 could not read it.
func TestListV1Prefix(t *testing.T) {
	for prefix, want := range map[string]string{"a b/é": "<Prefix>a b/é</Prefix>", "a\tb": "<Prefix>a&#x9;b</Prefix>", "a \x01": "<Prefix>a%20%01</Prefix>"} {
		got := string(AppendListV1(nil, &List{Bucket: "b", Prefix: prefix, URL: true}))
		if !strings.Contains(got, want) || !strings.HasPrefix(got, `<?xml version="1.0"`) {
			t.Errorf("%q: %s", prefix, got)
		}
	}
}
