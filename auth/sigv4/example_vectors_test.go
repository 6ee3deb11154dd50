package sigv4

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"aistore/errs"
)

// The key pair of AWS's documentation.
const (
	docAccess = "AKIAIOSFODNN7EXAMPLE"
	docSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func docSecrets(access string) (string, bool) { return docSecret, access == docAccess }

// each returns a Request.Each over name, value, name, value ...
func each(pairs ...string) func(func(name, value string)) {
	return func(f func(name, value string)) {
		for i := 0; i < len(pairs); i += 2 {
			f(pairs[i], pairs[i+1])
		}
	}
}

// codeOf returns the code of the fault in err, "" for nil.
func codeOf(err error) string {
	var f *Fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Code
	}
	return err.Error()
}

func detailOf(err error, name string) string {
	var f *Fault
	if errors.As(err, &f) {
		for _, d := range f.Detail {
			if d.Name == name {
				return d.Value
			}
		}
	}
	return ""
}

var docNow = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func docAuthorization(headers, signature string) string {
	return "AWS4-HMAC-SHA256 Credential=" + docAccess + "/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + headers + ",Signature=" + signature
}

// docRequests are the examples of "Signature Calculations for the Authorization Header" and "Authenticating Requests: Using
// Query Parameters".
func docRequests() map[string]*Request {
	const host = "examplebucket.s3.amazonaws.com"
	return map[string]*Request{
		"get": {Method: "GET", RawPath: "/test.txt", Host: host, Now: docNow, Each: each("Host", host, "Range", "bytes=0-9",
			"x-amz-content-sha256", emptySHA256, "x-amz-date", "20130524T000000Z",
			"Authorization", docAuthorization("host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"))},
		"put": {Method: "PUT", RawPath: "/test%24file.text", Host: host, Now: docNow, Each: each("Host", host,
			"Date", "Fri, 24 May 2013 00:00:00 GMT", "x-amz-date", "20130524T000000Z", "x-amz-storage-class", "REDUCED_REDUNDANCY",
			"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			"Authorization", docAuthorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"))},
		"put, path less escaped": {Method: "PUT", RawPath: "/test$file.text", Host: host, Now: docNow, Each: each("Host", host,
			"Date", "Fri, 24 May 2013 00:00:00 GMT", "x-amz-date", "20130524T000000Z", "x-amz-storage-class", "REDUCED_REDUNDANCY",
			"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			"Authorization", docAuthorization("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"))},
		"lifecycle": {Method: "GET", RawPath: "/", RawQuery: "lifecycle", Host: host, Now: docNow, Each: each("Host", host,
			"x-amz-date", "20130524T000000Z", "x-amz-content-sha256", emptySHA256,
			"Authorization", docAuthorization("host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"))},
		"list": {Method: "GET", RawPath: "/", RawQuery: "max-keys=2&prefix=J", Host: host, Now: docNow, Each: each("Host", host,
			"x-amz-date", "20130524T000000Z", "x-amz-content-sha256", emptySHA256,
			"Authorization", docAuthorization("host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"))},
		"presigned": {Method: "GET", RawPath: "/test.txt", Host: host, Now: docNow.Add(23 * time.Hour), Each: each("Host", host),
			RawQuery: "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
				"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
				"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"},
	}
}

func TestDocumentedRequests(t *testing.T) {
	for name, r := range docRequests() {
		c, err := New().Verify(r, docSecrets)
		if err != nil || c.Access != docAccess || c.Presigned != (name == "presigned") {
			t.Errorf("%s: %+v, %v\n%s", name, c, err, detailOf(err, "CanonicalRequest"))
		}
	}
}

// docChunked is the upload of "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks".
func docChunked() (*Request, string) {
	const host = "s3.amazonaws.com"
	r := &Request{Method: "PUT", RawPath: "/examplebucket/chunkObject.txt", Host: host, Now: docNow, Each: each("Host", host,
		"x-amz-date", "20130524T000000Z", "x-amz-storage-class", "REDUCED_REDUNDANCY",
		"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "Content-Encoding", "aws-chunked",
		"x-amz-decoded-content-length", "66560", "Content-Length", "66824",
		"Authorization", docAuthorization("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"))}
	body := "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
	return r, body
}

// docTrailer is the same with a trailer: "Including trailing headers (chunked uploads)".
func docTrailer() (*Request, string) {
	const host = "s3.amazonaws.com"
	r := &Request{Method: "PUT", RawPath: "/examplebucket/chunkObject.txt", Host: host, Now: docNow, Each: each("Host", host,
		"x-amz-date", "20130524T000000Z", "x-amz-storage-class", "REDUCED_REDUNDANCY",
		"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "Content-Encoding", "aws-chunked",
		"x-amz-decoded-content-length", "66560", "x-amz-trailer", "x-amz-checksum-crc32c", "Content-Length", "66946",
		"Authorization", docAuthorization("content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
			"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"))}
	body := "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\n" +
		"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
	return r, body
}

func TestDocumentedChunks(t *testing.T) {
	for name, doc := range map[string]func() (*Request, string){"chunked": docChunked, "trailer": docTrailer} {
		r, encoded := doc()
		v := New()
		c, err := v.Verify(r, docSecrets)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, detailOf(err, "CanonicalRequest"))
			continue
		}
		b, err := v.Reader(strings.NewReader(encoded), c.Access, &c.Body, docSecrets)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if err != nil || string(got) != strings.Repeat("a", 66560) {
			t.Errorf("%s: %d bytes, %v\n%s", name, len(got), err, detailOf(err, "StringToSign"))
		}
		if sum, ok := b.Trailer("x-amz-checksum-crc32c"); ok != (name == "trailer") || ok && sum != "sOO8/Q==" {
			t.Errorf("%s: trailer %q, %v", name, sum, ok)
		}
		b.Close()
	}
}

func TestDocumentedV2(t *testing.T) {
	now := time.Date(2007, 3, 27, 19, 37, 0, 0, time.UTC)
	r := &Request{Method: "GET", RawPath: "/awsexamplebucket1/photos/puppy.jpg", Host: "s3.us-west-1.amazonaws.com", Now: now,
		Each: each("Date", "Tue, 27 Mar 2007 19:36:42 +0000", "Authorization", "AWS AKIAIOSFODNN7EXAMPLE:qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")}
	c, err := New().Verify(r, docSecrets)
	if err != nil || c.Access != docAccess || c.Signature != "AWS" {
		t.Errorf("%+v, %v: %s", c, err, detailOf(err, "StringToSign"))
	}
}

func TestKinds(t *testing.T) {
	if err := fault("op", codeAccessDenied, "no"); !errs.Is(err, errs.Forbidden) || !strings.Contains(err.Error(), "AccessDenied: no") {
		t.Error(err)
	}
	if err := fault("op", codeMismatch, "no"); !errs.Is(err, errs.Unauthorized) {
		t.Error(err)
	}
}
