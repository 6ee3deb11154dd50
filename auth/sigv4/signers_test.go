package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsv4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/minio/minio-go/v7/pkg/signer"
)

const (
	access = "AKTEST/with+odd.name"
	secret = "secret/key+of=test"
)

func secrets(a string) (string, bool) { return secret, a == access }

// received turns a request of net/http into what a server would see of it.
func received(r *http.Request, now time.Time) *Request {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	return &Request{
		Method: r.Method, RawPath: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: host, Now: now,
		Each: func(f func(name, value string)) {
			f("Host", host)
			if r.ContentLength > 0 {
				f("Content-Length", strconv.FormatInt(r.ContentLength, 10))
			}
			for name, values := range r.Header {
				for _, v := range values {
					f(name, v)
				}
			}
		},
	}
}

// odd returns a text of bytes that want care in URLs and headers.
func odd(rng *rand.Rand, alphabet string, n int) string {
	var b strings.Builder
	for range rng.IntN(n + 1) {
		b.WriteByte(alphabet[rng.IntN(len(alphabet))])
	}
	return b.String()
}

const oddPath = "abcXYZ019-._~/!$&'()*+,;=:@ %?#[]{}|^`\"<>\\\xc3\xa9\x00\x7f"

// randomRequest makes a request as an application would: any path, query and headers.
func randomRequest(t *testing.T, rng *rand.Rand) *http.Request {
	path := "/bucket/" + strings.TrimLeft(odd(rng, oddPath, 20), "/")
	u := url.URL{Scheme: "http", Host: "127.0.0.1:8080", Path: path}
	q := url.Values{}
	for range rng.IntN(4) {
		q.Add(odd(rng, oddPath, 6)+"k", odd(rng, oddPath, 8))
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	r, err := http.NewRequest([]string{"GET", "PUT", "HEAD", "DELETE", "POST"}[rng.IntN(5)], u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rng.IntN(5) {
		name := fmt.Sprintf("x-amz-meta-%c%d", 'a'+rng.IntN(3), i/2)
		r.Header.Add(name, odd(rng, "ab  cd=;,/\"+", 12)+"v")
	}
	if rng.IntN(2) == 0 {
		r.Header.Set("Range", "bytes=0-9")
	}
	return r
}

func sdkSigner() (*awsv4.Signer, aws.Credentials) {
	return awsv4.NewSigner(func(o *awsv4.SignerOptions) { o.DisableURIPathEscaping = true }), aws.Credentials{AccessKeyID: access, SecretAccessKey: secret}
}

// TestSDKHeader signs random requests with the AWS SDK.
func TestSDKHeader(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	v := New()
	s, creds := sdkSigner()
	for i := range 2000 {
		r := randomRequest(t, rng)
		payload := []string{emptySHA256, "UNSIGNED-PAYLOAD", hex.EncodeToString(bytes.Repeat([]byte{byte(i)}, 32))}[rng.IntN(3)]
		r.Header.Set("X-Amz-Content-Sha256", payload)
		r.ContentLength = int64(rng.IntN(3))
		when := docNow.Add(time.Duration(i) * time.Hour)
		if err := s.SignHTTP(context.Background(), creds, r, payload, "s3", "eu-west-1", when); err != nil {
			t.Fatal(err)
		}
		c, err := v.Verify(received(r, when.Add(time.Minute)), secrets)
		if err != nil || c.Access != access || c.Presigned || !c.Date.Equal(when) {
			t.Fatalf("%s: %+v, %v\n%s", r.URL, c, err, detailOf(err, "CanonicalRequest"))
		}
		switch {
		case payload == "UNSIGNED-PAYLOAD" && c.Body.Mode != Unsigned, payload != "UNSIGNED-PAYLOAD" && (c.Body.Mode != Hashed || c.Body.SHA256 != payload):
			t.Fatalf("%s: %+v", payload, c.Body)
		}
	}
}

// TestSDKPresign lets the AWS SDK presign random requests, with parameters and headers that it moves to the query or signs.
func TestSDKPresign(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	v := New()
	s, creds := sdkSigner()
	for i := range 2000 {
		r := randomRequest(t, rng)
		q := r.URL.Query()
		q.Set("X-Amz-Expires", "600")
		q.Set("x-id", "GetObject")
		r.URL.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
		r.Header.Set("Content-Type", "text/plain")
		when := docNow.Add(time.Duration(i) * time.Hour)
		signed, headers, err := s.PresignHTTP(context.Background(), creds, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", when)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		sent := &http.Request{Method: r.Method, URL: u, Header: headers}
		c, err := v.Verify(received(sent, when.Add(599*time.Second)), secrets)
		if err != nil || c.Access != access || !c.Presigned || c.Body.Mode != Unsigned {
			t.Fatalf("%s: %+v, %v\n%s", signed, c, err, detailOf(err, "CanonicalRequest"))
		}
		if _, err := v.Verify(received(sent, when.Add(601*time.Second)), secrets); codeOf(err) != codeAccessDenied || !strings.Contains(err.Error(), "Request has expired") {
			t.Fatalf("expired: %v", err)
		}
	}
}

// minioRequest is what minio-go hands to its signers.
func minioRequest(t *testing.T, method, target string, body []byte) *http.Request {
	r, err := http.NewRequest(method, "http://127.0.0.1:9000"+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read verifies a request and its body.
func read(v *Verifier, r *Request, body io.Reader) (string, *BodyReader, error) {
	c, err := v.Verify(r, secrets)
	if err != nil {
		return "", nil, err
	}
	d, err := v.Reader(body, c.Access, &c.Body, secrets)
	if err != nil {
		return "", nil, err
	}
	got, err := io.ReadAll(d)
	return string(got), d, err
}

// hasher is the hash that minio-go's signer wants from its caller.
type hasher struct{ w []byte }

func (h *hasher) Write(p []byte) (int, error) { h.w = append(h.w, p...); return len(p), nil }
func (h *hasher) Sum(b []byte) []byte         { s := sha256.Sum256(h.w); return append(b, s[:]...) }
func (h *hasher) Reset()                      { h.w = h.w[:0] }
func (h *hasher) Size() int                   { return sha256.Size }
func (h *hasher) BlockSize() int              { return sha256.BlockSize }
func (h *hasher) Close()                      {}

// TestMinioStreams verifies what minio-go sends: header, signed chunks, signed and unsigned trailers, of many sizes.
func TestMinioStreams(t *testing.T) {
	v := New()
	for _, size := range []int{0, 1, 100, 64 << 10, 64<<10 + 1, 200_000} {
		content := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		when := time.Now().UTC()
		trailer := http.Header{"X-Amz-Checksum-Crc32c": {"AAAAAA=="}}
		for name, sign := range map[string]func(r *http.Request) *http.Request{
			"signed chunks": func(r *http.Request) *http.Request {
				return signer.StreamingSignV4(r, access, secret, "", "us-east-1", int64(size), when, &hasher{})
			},
			"signed trailer": func(r *http.Request) *http.Request {
				r.Trailer = trailer.Clone()
				return signer.StreamingSignV4(r, access, secret, "", "us-east-1", int64(size), when, &hasher{})
			},
			"unsigned trailer": func(r *http.Request) *http.Request {
				r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
				return signer.SignV4Trailer(*r, access, secret, "", "us-east-1", trailer)
			},
			"unsigned trailer of a stranger": func(r *http.Request) *http.Request {
				r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
				return signer.UnsignedTrailer(*r, trailer)
			},
		} {
			r := sign(minioRequest(t, "PUT", "/bucket/an%20object", content))
			got, d, err := read(v, received(r, when), r.Body)
			if err != nil || got != string(content) {
				t.Errorf("%s of %d: %d bytes, %v %s", name, size, len(got), err, detailOf(err, "CanonicalRequest"))
				continue
			}
			if sum, ok := d.Trailer("x-amz-checksum-crc32c"); name != "signed chunks" && (!ok || sum != "AAAAAA==") {
				t.Errorf("%s of %d: trailer %q", name, size, sum)
			}
		}
	}
}

// TestMinioV2 verifies the second version as minio-go signs it.
func TestMinioV2(t *testing.T) {
	v := New()
	now := time.Now().UTC()
	for _, target := range []string{"/bucket/key", "/bucket/a%20b?acl", "/bucket/?uploads=&prefix=x", "/bucket/key?versionId=7&response-content-type=text%2Fplain&partNumber=1"} {
		r := minioRequest(t, "PUT", target, nil)
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set("X-Amz-Meta-B", "two")
		r.Header.Set("X-Amz-Meta-A", "one")
		signed := signer.SignV2(*r, access, secret, false)
		c, err := v.Verify(received(signed, now), secrets)
		if err != nil || c.Access != access || c.Presigned || c.Signature != "AWS" {
			t.Errorf("%s: %+v, %v\n%s", target, c, err, detailOf(err, "StringToSign"))
		}
		signed.Header.Set("X-Amz-Meta-A", "other")
		if _, err := v.Verify(received(signed, now), secrets); codeOf(err) != codeMismatch {
			t.Errorf("%s: tampered: %v", target, err)
		}
		if signed.Header.Set("X-Amz-Meta-A", "one"); target == "/bucket/?uploads=&prefix=x" {
			// The string to sign names the bucket as /bucket/ even if the client asks for /bucket.
			signed.URL.Path = "/bucket"
			if c, err := v.Verify(received(signed, now), secrets); err != nil || c.Access != access {
				t.Errorf("%s without its slash: %+v, %v", target, c, err)
			}
		}
		url := signer.PreSignV2(*minioRequest(t, "GET", target, nil), access, secret, 60, false)
		c, err = v.Verify(received(url, now), secrets)
		if err != nil || c.Access != access || !c.Presigned {
			t.Errorf("%s: %+v, %v\n%s", url.URL, c, err, detailOf(err, "StringToSign"))
		}
		if _, err := v.Verify(received(url, now.Add(2*time.Minute)), secrets); codeOf(err) != codeAccessDenied {
			t.Errorf("%s: expired: %v", target, err)
		}
	}
}
