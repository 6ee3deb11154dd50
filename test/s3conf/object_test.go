package s3conf

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
)

func objectChecks() []check {
	return []check{
		{"put get head delete", objectLife}, {"overwrite", objectOverwrite}, {"sizes", objectSizes}, {"keys", objectKeys}, {"metadata", objectMetadata},
		{"metadata too large", objectMetadataTooLarge}, {"response overrides", objectOverrides}, {"missing", objectMissing}, {"long key", objectLongKey},
		{"content md5", objectMD5}, {"presigned", objectPresigned}, {"minio client, streaming signature", objectMinio}, {"chunked body", objectChunked},
	}
}

func objectLife(t *testing.T, e *env) {
	b, ctx := e.bucket(t), t.Context()
	body := []byte("some bytes")
	out := e.put(t, b, "dir/key", string(body))
	equal(t, "ETag", aws.ToString(out.ETag), `"`+md5hex(body)+`"`)
	g := must[*s3.GetObjectOutput](t)(e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("dir/key")}))
	equal(t, "body", read(t, g.Body), string(body))
	equal(t, "ETag of GET", aws.ToString(g.ETag), aws.ToString(out.ETag))
	equal(t, "length", aws.ToInt64(g.ContentLength), int64(len(body)))
	h := must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: aws.String("dir/key")}))
	equal(t, "length of HEAD", aws.ToInt64(h.ContentLength), int64(len(body)))
	if d := time.Since(*h.LastModified); d < -5*time.Second || d > 5*time.Minute {
		t.Errorf("Last-Modified is %v ago", d)
	}
	for range 2 { // deleting what is gone succeeds
		must[*s3.DeleteObjectOutput](t)(e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: aws.String("dir/key")}))
	}
	_, err := e.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("dir/key")})
	wantCode(t, err, "NoSuchKey", 404)
}

func objectOverwrite(t *testing.T, e *env) {
	b := e.bucket(t)
	for _, body := range []string{"one", string(noise(1, 300_000)), "", "two"} {
		e.put(t, b, "k", body)
		equal(t, "body", e.get(t, b, "k"), body)
	}
}

func objectSizes(t *testing.T, e *env) {
	b := e.bucket(t)
	for _, n := range []int{0, 1, 4095, 65536, 65537, 131072, 131073, 1 << 20, 5<<20 + 3} {
		body := string(noise(n, n))
		e.put(t, b, "k", body)
		if e.get(t, b, "k") != body {
			t.Errorf("%d bytes come back changed", n)
		}
	}
}

func objectKeys(t *testing.T, e *env) {
	b := e.bucket(t)
	names := []string{"a", "a/", "a/b", "a//b", "/lead", "dot/./x", "dot/../x", "sp ace", "pl+us", "per%cent", "q?mark", "h#ash", "am&p=eq", "ünï/ço/日本", "tab\there", "semi;colon", "_", ".", "..", "*'()!~"}
	for _, n := range names {
		e.put(t, b, n, "body of "+n)
	}
	for _, n := range names {
		equal(t, n, e.get(t, b, n), "body of "+n)
	}
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b}))
	equal(t, "names in the list", len(l.Contents), len(names))
}

func objectMetadata(t *testing.T, e *env) {
	b, ctx, k := e.bucket(t), t.Context(), aws.String("k")
	must[*s3.PutObjectOutput](t)(e.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: b, Key: k, Body: strings.NewReader("x"), Metadata: map[string]string{"one": "1", "empty": "", "spaced": "a b  c"},
		ContentType: aws.String("text/x-test"), CacheControl: aws.String("max-age=3"), ContentDisposition: aws.String(`attachment; filename="f"`),
		ContentEncoding: aws.String("deflate, gzip"), ContentLanguage: aws.String("de"), Expires: aws.Time(time.Unix(2_000_000_000, 0)),
	}))
	h := must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k}))
	equal(t, "meta one", h.Metadata["one"], "1")
	equal(t, "meta spaced", h.Metadata["spaced"], "a b  c")
	if v, ok := h.Metadata["empty"]; !ok || v != "" {
		t.Errorf("empty metadata: %q %v", v, ok)
	}
	equal(t, "type", aws.ToString(h.ContentType), "text/x-test")
	equal(t, "cache control", aws.ToString(h.CacheControl), "max-age=3")
	equal(t, "disposition", aws.ToString(h.ContentDisposition), `attachment; filename="f"`)
	equal(t, "encoding", aws.ToString(h.ContentEncoding), "deflate, gzip")
	equal(t, "language", aws.ToString(h.ContentLanguage), "de")
	equal(t, "expires", aws.ToString(h.ExpiresString), "Wed, 18 May 2033 03:33:20 GMT")
	e.put(t, b, "k", "y")
	h = must[*s3.HeadObjectOutput](t)(e.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: k}))
	equal(t, "metadata after an overwrite without", len(h.Metadata), 0)
}

func objectMetadataTooLarge(t *testing.T, e *env) {
	b := e.bucket(t)
	_, err := e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String("k"), Body: strings.NewReader("x"), Metadata: map[string]string{"big": strings.Repeat("v", 2049)}})
	wantCode(t, err, "MetadataTooLarge", 400)
	_, err = e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: aws.String("k")})
	wantStatus(t, err, 404)
}

func objectOverrides(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "x")
	g := must[*s3.GetObjectOutput](t)(e.s3.GetObject(t.Context(), &s3.GetObjectInput{
		Bucket: b, Key: aws.String("k"), ResponseContentType: aws.String("foo/bar"), ResponseContentDisposition: aws.String("bla"), ResponseCacheControl: aws.String("no-cache"),
		ResponseContentEncoding: aws.String("aaa"), ResponseContentLanguage: aws.String("esperanto"),
	}))
	_ = g.Body.Close()
	equal(t, "type", aws.ToString(g.ContentType), "foo/bar")
	equal(t, "disposition", aws.ToString(g.ContentDisposition), "bla")
	equal(t, "cache control", aws.ToString(g.CacheControl), "no-cache")
	equal(t, "encoding", aws.ToString(g.ContentEncoding), "aaa")
	equal(t, "language", aws.ToString(g.ContentLanguage), "esperanto")
}

func objectMissing(t *testing.T, e *env) {
	b := e.bucket(t)
	_, err := e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("none")})
	wantCode(t, err, "NoSuchKey", 404)
	_, err = e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: aws.String("none")})
	wantStatus(t, err, 404)
}

func objectLongKey(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, strings.Repeat("k", 1024), "x")
	long := strings.Repeat("k", 1025)
	_, err := e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: &long, Body: strings.NewReader("x")})
	wantCode(t, err, "KeyTooLongError", 400)
}

func objectMD5(t *testing.T, e *env) {
	b, k := e.bucket(t), aws.String("k")
	_, err := e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("x"), ContentMD5: aws.String("rL0Y20zC+Fzt72VPzMSk2A==")})
	wantCode(t, err, "BadDigest", 400)
	_, err = e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("x"), ContentMD5: aws.String("YWJyYWNhZGFicmE=")})
	wantCode(t, err, "InvalidDigest", 400)
	_, err = e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: k})
	wantStatus(t, err, 404)
}

func objectPresigned(t *testing.T, e *env) {
	b, k := e.bucket(t), aws.String("pre signed/+k")
	p := s3.NewPresignClient(e.s3)
	do := func(method, url string, body []byte) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := e.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	put, err := p.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "PUT", do(put.Method, put.URL, []byte("hello")).StatusCode, 200)
	get, err := p.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k, ResponseContentType: aws.String("a/b")})
	if err != nil {
		t.Fatal(err)
	}
	resp := do(get.Method, get.URL, nil)
	equal(t, "GET", resp.StatusCode, 200)
	equal(t, "type", resp.Header.Get("Content-Type"), "a/b")
	equal(t, "body", read(t, resp.Body), "hello")
	equal(t, "changed URL", do("GET", strings.Replace(get.URL, "pre", "prf", 1), nil).StatusCode, 403)
	equal(t, "other method", do("DELETE", get.URL, nil).StatusCode, 403)
	del, err := p.PresignDeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "DELETE", do(del.Method, del.URL, nil).StatusCode, 204)
}

func objectMinio(t *testing.T, e *env) {
	b := e.bucket(t)
	for _, n := range []int{0, 10, 70_000, 200_000, 3 << 20} {
		body := noise(n, n)
		info, err := e.minio.PutObject(t.Context(), *b, "k", bytes.NewReader(body), int64(n), minio.PutObjectOptions{UserMetadata: map[string]string{"A": "b"}, ContentType: "x/y"})
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		equal(t, "ETag", info.ETag, md5hex(body))
		o, err := e.minio.GetObject(t.Context(), *b, "k", minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(o)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes: %d came back: %v", n, len(got), err)
		}
		st, err := o.Stat()
		if err != nil || st.UserMetadata["A"] != "b" || st.ContentType != "x/y" {
			t.Errorf("stat: %+v %v", st, err)
		}
	}
}

func objectChunked(t *testing.T, e *env) {
	b := e.bucket(t)
	pr, pw := io.Pipe()
	go func() { _, _ = pw.Write(noise(7, 100_000)); _ = pw.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), "PUT", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s3.NewPresignClient(e.s3).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	if req.URL, err = req.URL.Parse(p.URL); err != nil {
		t.Fatal(err)
	}
	req.Host, req.Body, req.ContentLength = req.URL.Host, pr, -1
	resp, err := e.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	equal(t, "status", resp.StatusCode, 200)
	equal(t, "content", e.get(t, b, "k"), string(noise(7, 100_000)))
}
