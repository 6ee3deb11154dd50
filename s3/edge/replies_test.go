package edge_test

import (
	"strings"
	"testing"
)

// TestErrorsNameWhatIsWrong: errors have the elements that AWS's have, and none of what is inside the cluster.
func TestErrorsNameWhatIsWrong(t *testing.T) {
	w := newWorld(t, 2)
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("hello")})
	for _, c := range []struct {
		call
		status  int
		code    string
		details string
	}{
		{call{method: "GET", path: "/data/k", header: []string{"Range", "bytes=10-"}}, 416, "InvalidRange", "<RangeRequested>bytes=10-</RangeRequested><ActualObjectSize>5</ActualObjectSize>"},
		{call{method: "PATCH", path: "/data/k"}, 405, "MethodNotAllowed", "<Method>PATCH</Method><ResourceType>OBJECT</ResourceType>"},
		{call{method: "DELETE", path: "/data?acl"}, 405, "MethodNotAllowed", "<Method>DELETE</Method><ResourceType>ACL</ResourceType>"},
		{call{method: "DELETE", path: "/"}, 405, "MethodNotAllowed", "<Method>DELETE</Method><ResourceType>SERVICE</ResourceType>"},
		{call{method: "DELETE", path: "/data"}, 409, "BucketNotEmpty", "<BucketName>data</BucketName>"},
		{call{method: "GET", path: "/none-such"}, 404, "NoSuchBucket", "<Message>The specified bucket does not exist</Message>"},
		{call{method: "PUT", path: "/data/k", header: []string{"x-amz-copy-source", "/data/k"}}, 400, "InvalidRequest", "without changing the object's metadata"}, // the quote as it is
		{call{method: "GET", path: "/data?uploads&key-marker=a&upload-id-marker=x"}, 400, "InvalidArgument", "<Message>Invalid uploadId marker</Message><ArgumentName>upload-id-marker</ArgumentName><ArgumentValue>x</ArgumentValue>"},
		{call{method: "PUT", path: "/new-one", body: []byte("<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>")}, 400, "InvalidLocationConstraint",
			"buckets here are in us-east-1 (setting s3.region)</Message><LocationConstraint>mars-1</LocationConstraint>"},
		{call{method: "PUT", path: "/data/k", header: []string{"x-amz-website-redirect-location", "elsewhere"}}, 400, "InvalidRedirectLocation", ""},
		{call{method: "PUT", path: "/data/k", header: []string{"x-amz-website-redirect-location", "/" + strings.Repeat("x", 2048)}}, 400, "InvalidRedirectLocation", ""},
	} {
		if a := w.do(c.call); a.StatusCode != c.status || a.code() != c.code || !strings.Contains(string(a.body), c.details) {
			t.Errorf("%s %s: %d, want %d %s with %s: %s", c.method, c.path, a.StatusCode, c.status, c.code, c.details, a.body)
		}
	}
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x"), header: []string{"x-amz-website-redirect-location", "https://example.org/"}})
	w.want(204, "", call{method: "PUT", path: "/data?tagging", body: []byte("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")})
}

// TestListsTellChecksums: lists say of objects, versions and uploads under way what checksum they have or will have.
func TestListsTellChecksums(t *testing.T) {
	w := newWorld(t, 2)
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("hello"), header: []string{"x-amz-checksum-crc32", "NhCmhg=="}})
	const full = "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
	for _, query := range []string{"", "list-type=2", "versions"} {
		if a := w.want(200, "", call{method: "GET", path: "/data?" + query}); !strings.Contains(string(a.body), full) {
			t.Errorf("the list %q lacks %s: %s", query, full, a.body)
		}
	}
	w.want(200, "", call{method: "POST", path: "/data/a?uploads", header: []string{"x-amz-checksum-algorithm", "SHA256"}})
	w.want(200, "", call{method: "POST", path: "/data/b?uploads"})
	a := w.want(200, "", call{method: "GET", path: "/data?uploads"})
	first, second, _ := strings.Cut(string(a.body), "</Upload>")
	if !strings.Contains(first, "<ChecksumAlgorithm>SHA256</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType>") || strings.Contains(second, "Checksum") {
		t.Errorf("uploads: %s", a.body)
	}
}
