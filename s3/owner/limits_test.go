package owner_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"aistore/cluster"
)

func (w *world) limit(size int64) {
	w.plane.set(func(v *cluster.View) { v.Config.Limits.MaxObjectSize = size })
}

// TestObjectsHaveALimit: limits.max_object_size holds for an object in whatever way it is made, to the byte.
func TestObjectsHaveALimit(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "long", body: random(200_000)})
	u := w.begin("plain", "parts")
	u.put(random(5 << 20))
	u.put(random(1 << 20))
	w.limit(6<<20 - 1)
	if a := w.want(400, "EntityTooLarge", u.completion()); a.element("ProposedSize") != fmt.Sprint(6<<20) || a.element("MaxSizeAllowed") != fmt.Sprint(6<<20-1) {
		t.Errorf("%s", a.body)
	}
	w.want(404, "NoSuchKey", call{method: "HEAD", bucket: "plain", key: "parts"})
	w.limit(6 << 20)
	w.want(200, "", u.completion())

	w.limit(100_000)
	chunked := alice
	chunked.Body.Decoded = -1
	put := func(size int) call {
		return call{method: "PUT", bucket: "plain", key: "chunked", stream: struct{ *bytes.Reader }{bytes.NewReader(random(size))}, who: &chunked}
	}
	w.want(400, "EntityTooLarge", put(100_001))
	w.want(404, "NoSuchKey", call{method: "HEAD", bucket: "plain", key: "chunked"})
	w.want(200, "", put(100_000))
	copied := call{method: "PUT", bucket: "plain", key: "copy", header: []string{"x-amz-copy-source", "plain/long"}}
	w.want(400, "EntityTooLarge", copied)
	copied.key = "long" // what is longer since before may get other metadata
	copied.header = append(copied.header, "x-amz-metadata-directive", "REPLACE", "x-amz-meta-a", "b")
	w.want(200, "", copied)
}

// TestWritesTakeNoVersion: who names a version means to change it, and would make a new one.
func TestWritesTakeNoVersion(t *testing.T) {
	w := newWorld(t, 1)
	version := w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", body: []byte("first")}).Header.Get("x-amz-version-id")
	u := w.begin("kept", "k")
	u.put([]byte("part"))
	complete := u.completion()
	complete.query += "&versionId=" + version
	for _, c := range []call{
		{method: "PUT", bucket: "kept", key: "k", query: "versionId=" + version, body: []byte("second")},
		{method: "PUT", bucket: "kept", key: "k", query: "versionId=null", body: []byte("second")},
		{method: "PUT", bucket: "kept", key: "k", query: "versionId=" + version, header: []string{"x-amz-copy-source", "kept/k", "x-amz-metadata-directive", "REPLACE"}},
		complete,
	} {
		if a := w.want(400, "InvalidArgument", c); !strings.Contains(string(a.body), "does not accept a version-id") {
			t.Errorf("%s", a.body)
		}
	}
	if a := w.want(200, "", call{method: "GET", bucket: "kept", key: "k"}); string(a.body) != "first" || a.Header.Get("x-amz-version-id") != version {
		t.Errorf("%s of version %s", a.body, a.Header.Get("x-amz-version-id"))
	}
}

// TestHalfAPart: a part without its number, or of no upload, does not become the object.
func TestHalfAPart(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("whole")})
	u := w.begin("plain", "k")
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"partNumber=1": {400, "InvalidArgument"}, "uploadId=" + u.id: {405, "MethodNotAllowed"}, "partNumber=1&uploadId=": {404, "NoSuchUpload"}, "partNumber=&uploadId=" + u.id: {400, "InvalidArgument"},
	} {
		w.want(want.status, want.code, call{method: "PUT", bucket: "plain", key: "k", query: query, body: []byte("part")})
		w.want(want.status, want.code, call{method: "PUT", bucket: "plain", key: "k", query: query, header: []string{"x-amz-copy-source", "plain/k"}})
	}
	if a := w.want(200, "", call{method: "GET", bucket: "plain", key: "k"}); string(a.body) != "whole" {
		t.Errorf("%s", a.body)
	}
}
