package s3

import (
	"strings"
	"testing"
)

func TestFindOperation(t *testing.T) {
	for _, c := range []struct {
		method string
		level  Level
		query  string
		copied Presence
		want   string // name of the operation, or "!" and the code
	}{
		{"GET", Service, "", false, "ListBuckets"},
		{"GET", Service, "x-id=ListBuckets", false, "ListBuckets"},
		{"GET", Bucket, "", false, "ListObjects"},
		{"GET", Bucket, "list-type=2&prefix=a&delimiter=%2F", false, "ListObjectsV2"},
		{"GET", Bucket, "list-type=1", false, "ListObjects"},
		{"GET", Bucket, "prefix=acl&max-keys=1", false, "ListObjects"},
		{"GET", Bucket, "versions&prefix=", false, "ListObjectVersions"},
		{"GET", Bucket, "acl=", false, "GetBucketAcl"},
		{"GET", Bucket, "uploads", false, "ListMultipartUploads"},
		{"GET", Bucket, "location", false, "GetBucketLocation"},
		{"POST", Bucket, "delete", false, "DeleteObjects"},
		{"POST", Bucket, "delete=&x-id=DeleteObjects", false, "DeleteObjects"},
		{"POST", Bucket, "", false, "PostObject"},
		{"PUT", Bucket, "", false, "CreateBucket"},
		{"PUT", Bucket, "versioning", false, "PutBucketVersioning"},
		{"GET", Key, "", false, "GetObject"},
		{"GET", Key, "X-Amz-Signature=1&X-Amz-Date=2&response-content-type=a&x-id=GetObject", false, "GetObject"},
		{"GET", Key, "AWSAccessKeyId=1&Signature=2&Expires=3", false, "GetObject"},
		{"GET", Key, "versionId=1.2", false, "GetObject"},
		{"GET", Key, "partNumber=1", false, "GetObject"},
		{"GET", Key, "attributes", false, "GetObjectAttributes"},
		{"GET", Key, "uploadId=x", false, "ListParts"},
		{"GET", Key, "acl&versionId=3.4", false, "GetObjectAcl"},
		{"HEAD", Key, "versionId=x", false, "HeadObject"},
		{"PUT", Key, "", false, "PutObject"},
		{"PUT", Key, "", true, "CopyObject"},
		{"PUT", Key, "partNumber=1&uploadId=x", false, "UploadPart"},
		{"PUT", Key, "partNumber=1&uploadId=x", true, "UploadPartCopy"},
		{"PUT", Key, "tagging", true, "PutObjectTagging"},
		{"POST", Key, "uploads", false, "CreateMultipartUpload"},
		{"POST", Key, "uploads=", false, "CreateMultipartUpload"},
		{"POST", Key, "uploadId=x", false, "CompleteMultipartUpload"},
		{"POST", Key, "select&select-type=2", false, "SelectObjectContent"},
		{"DELETE", Key, "", false, "DeleteObject"},
		{"DELETE", Key, "uploadId=x", false, "AbortMultipartUpload"},
		{"DELETE", Key, "tagging", false, "DeleteObjectTagging"},
		{"OPTIONS", Key, "", false, "Options"},
		{"OPTIONS", Bucket, "acl", false, "Options"},
		{"GET", Bucket, "inventory&id=1", false, "!NotImplemented"},
		{"PUT", Bucket, "metrics", false, "!NotImplemented"},
		{"GET", Bucket, "never-heard-of", false, "!NotImplemented"},
		{"GET", Bucket, "never=heard", false, "ListObjects"},
		{"DELETE", Key, "never-heard-of", false, "!NotImplemented"},
		{"DELETE", Bucket, "delete", false, "!MethodNotAllowed"},
		{"DELETE", Key, "acl", false, "!MethodNotAllowed"},
		{"DELETE", Key, "policy", false, "!NotImplemented"},
		{"DELETE", Key, "versions", false, "!NotImplemented"},
		{"GET", Key, "acl&tagging", false, "!InvalidArgument"},
		{"PUT", Key, "partNumber=1", false, "!InvalidArgument"},
		{"PUT", Key, "partNumber=1&x-id=UploadPart", true, "!InvalidArgument"},
		{"PUT", Key, "uploadId=x", false, "!MethodNotAllowed"},
		{"PUT", Key, "uploadId=x", true, "!MethodNotAllowed"},
		{"POST", Key, "", false, "!MethodNotAllowed"},
		{"PATCH", Key, "", false, "!MethodNotAllowed"},
		{"PUT", Service, "", false, "!MethodNotAllowed"},
	} {
		o, err := FindOperation(c.method, c.level, c.query, c.copied)
		var got string
		if err != nil {
			got = "!" + FaultOf(err).Code
		} else {
			got = o.Name
		}
		if got != c.want {
			t.Errorf("%s %d ?%s copy=%v: %s, want %s", c.method, c.level, c.query, c.copied, got, c.want)
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		method string
		level  Level
		query  string
		want   string
	}{
		{"PATCH", Key, "", "GET, HEAD, PUT, DELETE"},
		{"PUT", Key, "uploadId=x", "GET, HEAD, DELETE, POST"},
		{"DELETE", Bucket, "acl", "GET, PUT"},
		{"PUT", Service, "", "GET"},
	} {
		if got := Allowed(c.method, c.level, c.query); got != c.want {
			t.Errorf("%s %d ?%s: %s, want %s", c.method, c.level, c.query, got, c.want)
		}
	}
}

// Every line of the table must be what its own request means.
func TestEveryOperationIsFound(t *testing.T) {
	for _, want := range Operations() {
		query := strings.Join(want.Query, "&")
		got, err := FindOperation(want.Method, want.Level, query, Presence(want.Copy))
		if err != nil || got.Op != want.Op {
			t.Errorf("%s: found %v, %v", want.Name, got, err)
		}
		if want.Name == "" || want.Action == "" && want.Op != DeleteObjects && want.Op != OptionsRequest {
			t.Errorf("%s: no name or no action", want.Name)
		}
		if want.Code != "" {
			if status, _ := Describe(want.Code); status < 400 {
				t.Errorf("%s: code %s has status %d", want.Name, want.Code, status)
			}
		}
	}
	if a := line(GetObject).ActionFor("1.2"); a != "s3:GetObjectVersion" {
		t.Errorf("action of a version: %s", a)
	}
}

func TestFindOperationAllocatesNothing(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		_, _ = FindOperation("GET", Key, "x-id=GetObject", Absent)
	})
	if n > 0 {
		t.Errorf("%v allocations to find GetObject", n)
	}
}

func FuzzFindOperation(f *testing.F) {
	f.Add("GET", uint8(2), "uploadId=1&partNumber=%2", true)
	f.Fuzz(func(t *testing.T, method string, level uint8, query string, copied bool) {
		o, err := FindOperation(method, Level(level%3), query, Presence(copied))
		if (o == nil) == (err == nil) {
			t.Fatal("neither or both")
		}
		if o != nil && (o.Method != method || o.Level != Level(level%3)) {
			t.Fatalf("%s of another method or level", o.Name)
		}
	})
}
