package s3conf

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/minio/minio-go/v7"
	mcreds "github.com/minio/minio-go/v7/pkg/credentials"
)

// keys are one user's pair.
type keys struct{ access, secret string }

// env is one endpoint under test and its clients.
type env struct {
	endpoint string
	main     keys
	alt      keys // another user, "" when there is none
	http     *http.Client
	s3       *s3.Client
	other    *s3.Client // as alt; nil when there is none
	nobody   *s3.Client // anonymous
	minio    *minio.Client
	native   string // URL of the native API, "" when it is another server
}

// check is one behaviour.
type check struct {
	name string
	run  func(*testing.T, *env)
}

// area groups the checks of one file.
type area struct {
	name   string
	checks []check
}

func areas() []area {
	return []area{
		{"bucket", bucketChecks()}, {"object", objectChecks()}, {"list", listChecks()}, {"range", rangeChecks()},
		{"conditional", conditionalChecks()}, {"copy", copyChecks()}, {"multipart", multipartChecks()}, {"multi-delete", multiDeleteChecks()},
		{"checksum", checksumChecks()}, {"tagging", taggingChecks()}, {"versioning", versioningChecks()}, {"auth", authChecks()},
		{"access", accessChecks()}, {"documents", documentChecks()}, {"dialects", dialectChecks()},
	}
}

// TestConformance runs every area against the endpoint in S3_ENDPOINT, or against a cluster of its own: through the
// gateway, through a target, and over TLS.
func TestConformance(t *testing.T) {
	if ep := os.Getenv("S3_ENDPOINT"); ep != "" {
		e := newEnv(t, ep, keys{os.Getenv("S3_ACCESS_KEY"), os.Getenv("S3_SECRET_KEY")}, keys{os.Getenv("S3_ALT_ACCESS_KEY"), os.Getenv("S3_ALT_SECRET_KEY")})
		runAreas(t, e)
		return
	}
	gateway, target, secure := startCluster(t)
	for _, e := range []struct {
		name string
		*env
	}{{"gateway", gateway}, {"target", target}, {"tls", secure}} {
		t.Run(e.name, func(t *testing.T) { runAreas(t, e.env) })
	}
}

func runAreas(t *testing.T, e *env) {
	for _, a := range areas() {
		t.Run(a.name, func(t *testing.T) {
			for _, c := range a.checks {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, e)
				})
			}
		})
	}
}

func newEnv(t *testing.T, endpoint string, main, alt keys) *env {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		t.Fatalf("endpoint %q: %v", endpoint, err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64} //nolint:gosec // certificates of the tests sign themselves
	e := &env{endpoint: strings.TrimSuffix(endpoint, "/"), main: main, alt: alt, http: &http.Client{Transport: transport, Timeout: time.Minute}}
	t.Cleanup(transport.CloseIdleConnections)
	e.s3, e.nobody = e.client(aws.CredentialsProvider(credentials.NewStaticCredentialsProvider(main.access, main.secret, ""))), e.client(aws.AnonymousCredentials{})
	if alt.access != "" {
		e.other = e.client(credentials.NewStaticCredentialsProvider(alt.access, alt.secret, ""))
	}
	e.minio, err = minio.New(u.Host, &minio.Options{
		Creds: mcreds.NewStaticV4(main.access, main.secret, ""), Secure: u.Scheme == "https", Transport: transport, Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *env) client(c aws.CredentialsProvider) *s3.Client {
	return s3.New(s3.Options{BaseEndpoint: aws.String(e.endpoint), Region: "us-east-1", Credentials: c, UsePathStyle: true, HTTPClient: e.http, RetryMaxAttempts: 3})
}

// bucket makes a bucket for one check; it is emptied and removed afterwards.
func (e *env) bucket(t *testing.T) *string {
	t.Helper()
	var b [6]byte
	_, _ = rand.Read(b[:])
	name := aws.String("conf-" + hex.EncodeToString(b[:]))
	if _, err := e.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: name}); err != nil {
		t.Fatalf("create bucket: %v", err)
	}
	t.Cleanup(func() { e.empty(t, name) })
	return name
}

func (e *env) empty(t *testing.T, name *string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	pages := s3.NewListObjectVersionsPaginator(e.s3, &s3.ListObjectVersionsInput{Bucket: name})
	for pages.HasMorePages() {
		p, err := pages.NextPage(ctx)
		if err != nil {
			if !isCode(err, "NoSuchBucket") {
				t.Errorf("clean up %s: %v", *name, err)
			}
			return
		}
		for _, v := range p.Versions {
			_, _ = e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: v.Key, VersionId: v.VersionId})
		}
		for _, v := range p.DeleteMarkers {
			_, _ = e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: v.Key, VersionId: v.VersionId})
		}
	}
	if ups, err := e.s3.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: name}); err == nil {
		for _, u := range ups.Uploads {
			_, _ = e.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: name, Key: u.Key, UploadId: u.UploadId})
		}
	}
	if _, err := e.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name}); err != nil && !isCode(err, "NoSuchBucket") {
		t.Errorf("remove %s: %v", *name, err)
	}
}

func (e *env) put(t *testing.T, bucket *string, key, body string) *s3.PutObjectOutput {
	t.Helper()
	out, err := e.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return out
}

func (e *env) get(t *testing.T, bucket *string, key string) string {
	t.Helper()
	out, err := e.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: &key})
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return read(t, out.Body)
}

func read(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	return string(b)
}

// code returns the S3 error code of err and its HTTP status; "" when err is nil or no reply came.
func code(err error) (string, int) {
	if err == nil {
		return "", 0
	}
	var (
		api    smithy.APIError
		status interface{ HTTPStatusCode() int }
		c      string
		n      int
	)
	if errors.As(err, &api) {
		c = api.ErrorCode()
	}
	if errors.As(err, &status) {
		n = status.HTTPStatusCode()
	}
	return c, n
}

func isCode(err error, want string) bool { c, _ := code(err); return c == want }

// wantCode fails unless err is the S3 error want with the status.
func wantCode(t *testing.T, err error, want string, status int) {
	t.Helper()
	if c, n := code(err); c != want || n != status {
		t.Errorf("code %q status %d, want %q %d (%v)", c, n, want, status, err)
	}
}

// wantStatus is wantCode for replies without a body (HEAD, 304).
func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	if _, n := code(err); n != status {
		t.Errorf("status %d, want %d (%v)", n, status, err)
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func md5hex(b []byte) string { s := md5.Sum(b); return hex.EncodeToString(s[:]) } //nolint:gosec // S3's ETag

// noise returns n bytes that are the same for the same seed and do not compress.
func noise(seed, n int) []byte {
	b := make([]byte, 0, n+8)
	for x := uint64(seed)*2862933555777941757 + 3037000493; len(b) < n; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b = append(b, byte(x), byte(x>>8), byte(x>>16), byte(x>>24), byte(x>>32), byte(x>>40), byte(x>>48), byte(x>>56))
	}
	return b[:n]
}

// raw sends a request as it is given, unsigned.
func (e *env) raw(t *testing.T, method, target string, header map[string]string, body []byte) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, e.endpoint+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := e.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// keysOf are the names of a page.
func keysOf(objects []types.Object) string {
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = *o.Key
	}
	return strings.Join(names, " ")
}

func prefixesOf(ps []types.CommonPrefix) string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = *p.Prefix
	}
	return strings.Join(names, " ")
}
