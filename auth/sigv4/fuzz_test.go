package sigv4

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// printable keeps what a header may have: a server refuses the rest before anybody verifies it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
}

// fuzzRequest makes a request of net/http, nil if the parts do not make one.
func fuzzRequest(method, path, key, value, header string) *http.Request {
	u := url.URL{Scheme: "http", Host: "s3.test", Path: "/" + path, RawQuery: strings.ReplaceAll(url.Values{key: {value}, "x-id": {path}}.Encode(), "+", "%20")}
	r, err := http.NewRequest(method, u.String(), nil)
	if err != nil || r.URL.EscapedPath() == "" {
		return nil
	}
	r.Header.Set("X-Amz-Meta-Fuzz", printable(header))
	return r
}

// reserved reports whether a parameter would be taken for one of a signature.
func reserved(key string) bool {
	return strings.HasPrefix(strings.ToLower(key), "x-amz-") || key == "Signature" || key == "AWSAccessKeyId"
}

// FuzzHeader: what the AWS SDK signs is accepted, a request changed afterwards is not, and nonsense is nobody's.
func FuzzHeader(f *testing.F) {
	f.Add("GET", "bucket/a key+%", "prefix", "a/b c+d", "  two  words ", docAuthorization("host", strings.Repeat("0", 64)))
	f.Add("PUT", "bucket//../é", "", "", "", "AWS a:b")
	f.Add("POST", "b", "delete", "", "=,;", "AWS4-HMAC-SHA256 Credential=a/20130524/r/s3/aws4_request,SignedHeaders=;,Signature=")
	f.Fuzz(func(t *testing.T, method, path, key, value, header, authorization string) {
		q := &Request{Method: method, RawPath: path, RawQuery: key + value, Host: "s3.test", Now: docNow,
			Each: each("Host", "s3.test", "Authorization", authorization, "x-amz-date", "20130524T000000Z", "x-amz-content-sha256", value, header, path)}
		if c, err := New().Verify(q, secrets); c.Access != "" {
			t.Errorf("%+v, %v", c, err)
		}
		r := fuzzRequest(method, path, key, value, header)
		if r == nil || reserved(key) {
			return
		}
		r.Header.Set("X-Amz-Content-Sha256", emptySHA256)
		s, creds := sdkSigner()
		if err := s.SignHTTP(context.Background(), creds, r, emptySHA256, "s3", "us-east-1", docNow); err != nil {
			return
		}
		v := New()
		q = received(r, docNow)
		if c, err := v.Verify(q, secrets); err != nil || c.Access != access {
			t.Fatalf("%v\n%s", err, detailOf(err, "CanonicalRequest"))
		}
		for _, change := range []func(){
			func() { q.RawPath += "x" }, func() { q.RawQuery += "&x" }, func() { q.Method += "X" }, func() { q.Host += "x" },
			func() { r.Header.Set("X-Amz-Meta-Fuzz", printable(header)+"x") }, func() { q.Now = q.Now.Add(time.Hour) },
		} {
			change()
			if c, err := v.Verify(q, secrets); err == nil {
				t.Fatalf("a changed request: %+v", c)
			}
			q = received(r, docNow)
			r.Header.Set("X-Amz-Meta-Fuzz", printable(header))
		}
	})
}

// FuzzPresigned is FuzzHeader for presigned URLs.
func FuzzPresigned(f *testing.F) {
	f.Add("GET", "bucket/a key+%", "prefix", "a/b c+d", "two words", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20130524%2Fr%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=00")
	f.Add("PUT", "b", "versionId", "", "", "Signature=&AWSAccessKeyId=%&Expires=1")
	f.Add("", "0", "0", "0", "0", "")
	f.Add("GET", "b/k", "X-Amz-Signature", "00", "", "X-Amz-Signature=00&X-Amz-Signature=00&X-Amz-Date=1&X-Amz-Date=2&Expires=1&Expires=2&Signature=a&Signature=b")
	f.Fuzz(func(t *testing.T, method, path, key, value, header, query string) {
		q := &Request{Method: method, RawPath: path, RawQuery: query, Host: "s3.test", Now: docNow, Each: each("Host", "s3.test", key, value)}
		if c, err := New().Verify(q, secrets); c.Access != "" {
			t.Errorf("%+v, %v", c, err)
		}
		r := fuzzRequest(method, path, key, value, header)
		if r == nil || reserved(key) {
			return
		}
		values := r.URL.Query()
		values.Set("X-Amz-Expires", "60")
		r.URL.RawQuery = strings.ReplaceAll(values.Encode(), "+", "%20")
		s, creds := sdkSigner()
		signed, headers, err := s.PresignHTTP(context.Background(), creds, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", docNow)
		if err != nil {
			return
		}
		u, err := url.Parse(signed)
		if err != nil {
			return
		}
		v := New()
		r = &http.Request{Method: r.Method, URL: u, Header: headers} // NewRequest makes GET of no method
		q = received(r, docNow)
		if c, err := v.Verify(q, secrets); err != nil || c.Access != access || !c.Presigned {
			t.Fatalf("%v\n%s", err, detailOf(err, "CanonicalRequest"))
		}
		for _, change := range []func(){
			func() { q.RawPath += "x" }, func() { q.RawQuery += "&x" }, func() { q.Method += "X" }, func() { q.Host += "x" },
			func() { q.Now = q.Now.Add(time.Hour) }, func() { q.Each = each("Host", "s3.test", "X-Amz-Acl", "private") },
		} {
			change()
			if c, err := v.Verify(q, secrets); err == nil {
				t.Fatalf("a changed request: %+v", c)
			}
			q = received(r, docNow)
		}
	})
}

// FuzzBody reads any bytes as an encoded body, and bodies that a client wrote, whole and with one byte changed.
func FuzzBody(f *testing.F) {
	text, _ := encode(ChunkedTrailer, "some content", 5)
	f.Add([]byte(text), uint8(3), int64(12), uint16(5), uint16(20), byte(1))
	f.Add([]byte("3;x\r\nabc\r\n0\r\nx-amz-checksum-crc32c:x\r\n\r\n"), uint8(4), int64(3), uint16(1), uint16(0), byte(0x80))
	f.Add([]byte("0\n\n"), uint8(2), int64(-1), uint16(0), uint16(3), byte(0x20))
	f.Fuzz(func(t *testing.T, data []byte, m uint8, decoded int64, size, at uint16, flip byte) {
		data = data[:min(len(data), 4096)] // chunks of a byte take their time
		mode := Mode(m % uint8(UnsignedTrailer+1))
		b := newChunkWriter(mode).body(int(decoded), crc)
		b.Decoded, b.SHA256 = max(decoded, -1), sha(string(data))
		got, _, err := decode(t, iotest.HalfReader(bytes.NewReader(data)), b)
		if err == io.EOF || err == nil && b.Decoded >= 0 && mode.Encoded() && int64(len(got)) != b.Decoded {
			t.Fatalf("%d of %d bytes, %v", len(got), b.Decoded, err)
		}
		if !mode.Encoded() {
			return
		}
		text, b := encode(mode, string(data), int(size)+1)
		if got, _, err := decode(t, strings.NewReader(text), b); err != nil || got != string(data) {
			t.Fatalf("%d of %d bytes, %v", len(got), len(data), err)
		}
		bad := []byte(text)
		bad[int(at)%len(bad)] ^= flip
		got, _, err = decode(t, bytes.NewReader(bad), b)
		if err == nil && mode != UnsignedTrailer && got != string(data) {
			t.Fatalf("changed content was accepted: %q for %q", bad, text)
		}
	})
}

// FuzzBodyText: what is read is written again the same, but for the form of numbers.
func FuzzBodyText(f *testing.F) {
	f.Add("3;9;;ab;20130524T000000Z;20130524/r/s3/aws4_request;x-amz-checksum-sha1,x-amz-checksum-crc32")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBody(text)
		if err != nil {
			return
		}
		once := string(b.Append(nil))
		again, err := ParseBody(once)
		if err != nil || string(again.Append(nil)) != once {
			t.Errorf("%q, %q, %v", text, once, err)
		}
	})
}
