package s3conf

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func dialectChecks() []check {
	return []check{{"S3 writes, native reads", dialectToNative}, {"native writes, S3 reads", dialectFromNative}, {"below /s3", dialectFolder}}
}

func (e *env) ais(t *testing.T, method, path string, header map[string]string, body []byte) *http.Response {
	t.Helper()
	if e.native == "" {
		t.Skip("the endpoint has no native API")
	}
	n := *e
	n.endpoint = e.native
	resp := n.raw(t, method, path, header, body)
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s", method, path, resp.Status, read(t, resp.Body))
	}
	return resp
}

func dialectToNative(t *testing.T, e *env) {
	b := e.bucket(t)
	for _, n := range []int{10, 300_000} {
		body := noise(n, n)
		must[*s3.PutObjectOutput](t)(e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String("d/k"), Body: bytes.NewReader(body), Metadata: map[string]string{"color": "red"}, ContentType: aws.String("x/y")}))
		resp := e.ais(t, "GET", "/v1/objects/"+*b+"/d/k", nil, nil)
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes: %d came: %v", n, len(got), err)
		}
		equal(t, "ETag", resp.Header.Get("ETag"), `"`+md5hex(body)+`"`)
		equal(t, "metadata", resp.Header.Get("ais-custom-md"), "color=red")
		equal(t, "type", resp.Header.Get("Content-Type"), "x/y")
	}
	u := e.upload(t, b, "multi")
	u.put(t, 1, noise(1, partSize))
	u.put(t, 2, noise(2, 100))
	must[*s3.CompleteMultipartUploadOutput](t)(u.complete(t))
	resp := e.ais(t, "GET", "/v1/objects/"+*b+"/multi", map[string]string{"Range": "bytes=5242870-"}, nil)
	equal(t, "range of a multipart object", read(t, resp.Body), string(noise(1, partSize)[partSize-10:])+string(noise(2, 100)))
}

func dialectFromNative(t *testing.T, e *env) {
	b := e.bucket(t)
	for _, n := range []int{10, 300_000} {
		body := noise(n, n)
		e.ais(t, "PUT", "/v1/objects/"+*b+"/k", map[string]string{"ais-custom-md": "color=blue", "Content-Type": "x/z"}, body)
		g := must[*s3.GetObjectOutput](t)(e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("k")}))
		equal(t, "content", read(t, g.Body), string(body))
		equal(t, "metadata", fmt.Sprint(g.Metadata), "map[color:blue]")
		equal(t, "type", aws.ToString(g.ContentType), "x/z")
	}
	l := must[*s3.ListObjectsV2Output](t)(e.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b}))
	equal(t, "names", keysOf(l.Contents), "k")
	e.ais(t, "DELETE", "/v1/objects/"+*b+"/k", nil, nil)
	_, err := e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: aws.String("k")})
	wantStatus(t, err, 404)
}

func dialectFolder(t *testing.T, e *env) {
	if e.native == "" {
		t.Skip("another server")
	}
	b := e.bucket(t)
	n := *e
	n.endpoint = e.endpoint + "/s3"
	n.s3 = n.client(e.s3.Options().Credentials)
	n.put(t, b, "k", "x")
	equal(t, "content", n.get(t, b, "k"), "x")
	l := must[*s3.ListObjectsV2Output](t)(n.s3.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: b}))
	equal(t, "names", keysOf(l.Contents), "k")
	p, err := s3.NewPresignClient(n.s3).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: aws.String("k")})
	if err != nil || !strings.Contains(p.URL, "/s3/") {
		t.Fatal(p, err)
	}
	resp := e.raw(t, "GET", strings.TrimPrefix(p.URL, e.endpoint), nil, nil)
	equal(t, "presigned", resp.StatusCode, 200)
}
