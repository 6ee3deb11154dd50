package s3conf

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func authChecks() []check {
	return []check{{"anonymous", authAnonymous}, {"wrong secret", authWrongSecret}, {"unknown key", authUnknown}, {"other user", authOther}, {"skewed clock", authSkew}, {"expired URL", authExpired}, {"tampered body", authBody}}
}

func authAnonymous(t *testing.T, e *env) {
	b, k := e.bucket(t), aws.String("k")
	e.put(t, b, "k", "x")
	_, err := e.nobody.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k})
	wantCode(t, err, "AccessDenied", 403)
	_, err = e.nobody.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("y")})
	wantCode(t, err, "AccessDenied", 403)
	_, err = e.nobody.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: b, Key: k})
	wantCode(t, err, "AccessDenied", 403)
	equal(t, "content", e.get(t, b, "k"), "x")
}

func authWrongSecret(t *testing.T, e *env) {
	b := e.bucket(t)
	c := e.client(credentials.NewStaticCredentialsProvider(e.main.access, "not-the-secret", ""))
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: aws.String("k"), Body: strings.NewReader("x")})
	wantCode(t, err, "SignatureDoesNotMatch", 403)
	_, err = e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: aws.String("k")})
	wantStatus(t, err, 404)
}

func authUnknown(t *testing.T, e *env) {
	c := e.client(credentials.NewStaticCredentialsProvider("NOSUCHACCESSKEY", "secret-of-nobody", ""))
	_, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	wantCode(t, err, "InvalidAccessKeyId", 403)
}

func authOther(t *testing.T, e *env) {
	if e.other == nil {
		t.Skip("no second user")
	}
	b, k := e.bucket(t), aws.String("k")
	e.put(t, b, "k", "x")
	_, err := e.other.GetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: k})
	wantCode(t, err, "AccessDenied", 403)
	_, err = e.other.PutObject(t.Context(), &s3.PutObjectInput{Bucket: b, Key: k, Body: strings.NewReader("y")})
	wantCode(t, err, "AccessDenied", 403)
	equal(t, "content", e.get(t, b, "k"), "x")
}

// signedAt presigns a GET as if now were when.
func (e *env) signedAt(t *testing.T, b *string, key string, when time.Time, expires string) string {
	t.Helper()
	p, err := s3.NewPresignClient(e.s3, func(o *s3.PresignOptions) {
		o.Presigner = clockedSigner{v4.NewSigner(), when}
	}).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: b, Key: &key}, func(o *s3.PresignOptions) {
		if d, err := time.ParseDuration(expires); err == nil {
			o.Expires = d
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(p.URL, e.endpoint)
}

func authSkew(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "x")
	resp := e.raw(t, "GET", e.signedAt(t, b, "k", time.Now().Add(time.Hour), "10m"), nil, nil)
	equal(t, "status", resp.StatusCode, 403)
	if d, err := time.Parse(time.RFC1123, resp.Header.Get("Date")); err != nil || time.Since(d).Abs() > time.Minute {
		t.Errorf("Date %q cannot correct a clock", resp.Header.Get("Date"))
	}
}

func authExpired(t *testing.T, e *env) {
	b := e.bucket(t)
	e.put(t, b, "k", "x")
	resp := e.raw(t, "GET", e.signedAt(t, b, "k", time.Now().Add(-10*time.Minute), "1m"), nil, nil)
	equal(t, "status", resp.StatusCode, 403)
	if body := read(t, resp.Body); !strings.Contains(body, "<Code>AccessDenied</Code>") {
		t.Errorf("body: %s", body)
	}
}

func authBody(t *testing.T, e *env) {
	b := e.bucket(t)
	body := "what was signed"
	req := must[*v4req](t)(signed(t, e, "PUT", "/"+*b+"/k", body))
	resp := e.raw(t, "PUT", "/"+*b+"/k", req.header, []byte("something else!"))
	equal(t, "status", resp.StatusCode, 400)
	_, err := e.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: b, Key: aws.String("k")})
	wantStatus(t, err, 404)
}
