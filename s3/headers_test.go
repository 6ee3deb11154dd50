package s3

import (
	"reflect"
	"strings"
	"testing"

	"aistore/auth/sigv4"
	"aistore/object"
)

func headersOf(pairs ...string) *Headers {
	h := &Headers{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestHeadersKeepWhatBelongsToTheObject(t *testing.T) {
	h := headersOf("Content-Type", "text/plain", "CONTENT-ENCODING", "aws-chunked, gzip", "Cache-Control", "no-cache", "x-amz-meta-Foo", "bar",
		"X-Amz-Meta-Foo", "baz", "x-amz-meta-empty", "", "x-amz-acl", "public-read", "x-amz-storage-class", "STANDARD_IA",
		"x-amz-checksum-crc32", "AAAAAA==", "x-amz-meta-"+strings.Repeat("L", 60), "v", "Expires", "whenever")
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"foo": "bar,baz", "empty": "", strings.Repeat("l", 60): "v"}; !reflect.DeepEqual(h.Meta, want) {
		t.Errorf("metadata %q, want %q", h.Meta, want)
	}
	m, err := h.System(nil)
	if want := map[string]string{"content-type": "text/plain", "content-encoding": "gzip", "cache-control": "no-cache", "expires": "whenever", SystemClass: "STANDARD_IA"}; err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("system %q %v, want %q", m, err, want)
	}
	if h.Grants.Canned != "public-read" || h.Sums.Get(CRC32) != "AAAAAA==" {
		t.Errorf("acl %q, sum %q", h.Grants.Canned, h.Sums.Get(CRC32))
	}
	out := string(AppendMeta(nil, &object.Info{Custom: map[string]string{"k": "v\r\nx", "not a token": "v"}, System: m, Tags: map[string]string{"a": "b"}}, &Overrides{ContentType: "x/y"}))
	for _, want := range []string{"Content-Encoding: gzip\r\n", "x-amz-meta-k: v  x\r\n", "x-amz-storage-class: STANDARD_IA\r\n", "x-amz-tagging-count: 1\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
	if strings.Contains(out, "not a token") {
		t.Errorf("a name that no header can carry: %q", out)
	}
}

// TestTransferEncodingIsDropped: over TLS SDKs append theirs to what the object has, whose text is kept.
func TestTransferEncodingIsDropped(t *testing.T) {
	for sent, want := range map[string]string{
		"gzip": "gzip", "deflate, gzip": "deflate, gzip", "deflate, gzip,aws-chunked": "deflate, gzip", "gzip, aws-chunked,aws-chunked": "gzip",
		"aws-chunked, gzip": "gzip", "gzip,aws-chunked, br": "gzip, br", "gzip,br,aws-chunked": "gzip,br", "aws-chunked": "", "aws-chunked, aws-chunked": "",
	} {
		sys, err := headersOf("Content-Encoding", sent).System(nil)
		if err != nil || sys["content-encoding"] != want {
			t.Errorf("%q is kept as %q (%v), want %q", sent, sys["content-encoding"], err, want)
		}
	}
}

func TestHeadersRefuse(t *testing.T) {
	for _, c := range []struct{ name, value, code string }{
		{"x-amz-meta-a", strings.Repeat("x", 2048), "MetadataTooLarge"},
		{"x-amz-object-lock-mode", "GOVERNANCE", "InvalidRequest"},
	} {
		if err := headersOf(c.name, c.value).Check(); !IsCode(err, c.code) {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
	if err := headersOf("x-amz-meta-a", strings.Repeat("x", 2047)).Check(); err != nil {
		t.Errorf("2 KB of metadata: %v", err)
	}
	source := headersOf("x-amz-copy-source-server-side-encryption-customer-algorithm", "AES256")
	if err := source.CheckServed(CopyObject); !IsCode(err, "NotImplemented") {
		t.Errorf("encryption of a copy's source: %v", err)
	}
	if _, err := headersOf("x-amz-storage-class", "FAST").System(nil); !IsCode(err, "InvalidStorageClass") {
		t.Errorf("storage class: %v", err)
	}
	if _, err := headersOf("content-md5", "").MD5(); !IsCode(err, "InvalidDigest") {
		t.Errorf("an empty digest: %v", err)
	}
	if _, err := headersOf("Content-MD5", "YWJyYWNhZGFicmE=").MD5(); !IsCode(err, "InvalidDigest") {
		t.Errorf("md5: %v", err)
	}
	h := headersOf("x-amz-checksum-crc32", "AAAAAA==", "x-amz-checksum-sha1", "x")
	if _, err := h.Sums.One(); !IsCode(err, "InvalidRequest") {
		t.Errorf("two checksums: %v", err)
	}
}

func TestCaller(t *testing.T) {
	for _, c := range []Caller{
		{},
		{ID: "id with space", Name: "ünï%20", Access: "AK", Admin: true, Secure: true, V2: true, Addr: "127.0.0.1", Host: "a:1", View: 7},
		{ID: "i", ReadOnly: true, Presigned: true, Posted: true, Body: sigv4.Body{Decoded: -1}},
	} {
		text := string(c.Append(nil))
		got, err := ParseCaller(text)
		got.Body, c.Body = sigv4.Body{}, sigv4.Body{} // package sigv4 tests its own text
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%q: %+v %v, want %+v", text, got, err, c)
		}
	}
	for _, bad := range []string{"", "1", "2 0 a b c d e", "1 zz a b c d e ", "1 0 a b"} {
		if _, err := ParseCaller(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestChecksums(t *testing.T) {
	for _, c := range []struct {
		sum   Checksum
		parts int
		ok    bool
	}{
		{Checksum{CRC32, "", "AAAAAA=="}, 0, true},
		{Checksum{CRC32, Composite, "AAAAAA==-3"}, 3, true},
		{Checksum{CRC32, "", "bad"}, 0, false},
		{Checksum{SHA1, "", "AAAAAA=="}, 0, false},
		{Checksum{CRC32, Composite, "AAAAAA==-x"}, 0, false},
		{Checksum{CRC32, Composite, "AAAAAA==-10001"}, 0, false},
	} {
		_, parts, ok := c.sum.Raw()
		if ok != c.ok || ok && parts != c.parts {
			t.Errorf("%+v: %d %v", c.sum, parts, ok)
		}
		if back := DecodeChecksum(c.sum.Encode()); back != c.sum {
			t.Errorf("%+v comes back as %+v", c.sum, back)
		}
	}
	for _, c := range []struct {
		a     Algorithm
		asked string
		want  string
	}{
		{CRC32, "", "COMPOSITE"}, {CRC32C, "full_object", "FULL_OBJECT"}, {CRC64NVME, "", "FULL_OBJECT"}, {SHA256, "", "COMPOSITE"},
		{SHA256, "FULL_OBJECT", "!"}, {CRC64NVME, "COMPOSITE", "!"}, {NoAlgorithm, "COMPOSITE", "!"}, {NoAlgorithm, "", ""}, {CRC32, "x", "!"},
	} {
		got, err := ChooseType(c.a, c.asked)
		if err != nil {
			got = "!"
		}
		if string(got) != c.want {
			t.Errorf("%s %q: %q, want %q", c.a.Name(), c.asked, got, c.want)
		}
	}
}

func TestCopySource(t *testing.T) {
	for in, want := range map[string]CopySource{
		"/b/k":                    {Bucket: "b", Key: "k"},
		"b/k/l":                   {Bucket: "b", Key: "k/l"},
		"b/a%2Bb%20c?versionId=1": {Bucket: "b", Key: "a+b c", VersionID: "1"},
		"b/a+b":                   {Bucket: "b", Key: "a b", Literal: "a+b"}, // as s5cmd escapes a space, or a plus that was not escaped
		"b/a+%2B?versionId=1":     {Bucket: "b", Key: "a +", VersionID: "1", Literal: "a++"},
		"b%2Fk":                   {Bucket: "b", Key: "k"},
		"b/%3FversionId=x":        {Bucket: "b", Key: "?versionId=x"},
		"b//k":                    {Bucket: "b", Key: "/k"},
	} {
		got, err := ParseCopySource(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v %v, want %+v", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "/", "b", "b/", "/b/", "b/%zz", "/b/k?versionId=%"} {
		if _, err := ParseCopySource(bad); !IsCode(err, "InvalidArgument") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRanges(t *testing.T) {
	if s, err := ParseRange("bytes=0-1,4-5", 10, Whole); s != nil || err != nil {
		t.Errorf("several ranges: %v %v, want the whole", s, err)
	}
	if s, err := ParseRange("bytes=0-1,4-5", 10, Multipart); len(s) != 2 || err != nil {
		t.Errorf("several ranges as multipart: %v %v", s, err)
	}
	if _, err := ParseRange("bytes=10-", 10, Whole); !IsCode(err, "InvalidRange") || StatusOf(err) != 416 {
		t.Errorf("outside: %v", err)
	}
	if s, err := ParseCopyRange("bytes=2-5", 6); err != nil || s != (object.Span{Start: 2, Length: 4}) {
		t.Errorf("copy range: %v %v", s, err)
	}
	for in, code := range map[string]string{"0-2": "InvalidArgument", "bytes=0": "InvalidArgument", "bytes=a-b": "InvalidArgument", "bytes=0-": "InvalidArgument",
		"bytes=0-2,3-5": "InvalidArgument", "bytes=3-2": "InvalidArgument", "bytes=0-6": "InvalidRange", "bytes=+1-2": "InvalidArgument"} {
		if _, err := ParseCopyRange(in, 6); !IsCode(err, code) {
			t.Errorf("%q: %v, want %s", in, err, code)
		}
	}
}

func TestBucketNames(t *testing.T) {
	for _, ok := range []string{"abc", "a-b.c", "0ab", strings.Repeat("a", 63), "1.2.3.4.5", "a.1.2.3"} {
		if err := CheckBucketName(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "ab", strings.Repeat("a", 64), "Abc", "a_b", "_ab", "-ab", "ab-", "a..b", "a.-b", "a-.b", ".ab", "ab.", "192.168.5.123", "xn--abc", "abc-s3alias", "a b"} {
		if err := CheckBucketName(bad); !IsCode(err, "InvalidBucketName") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("x-amz-meta-a", "b")
	f.Add("x-amz-checksum-crc32", "AAAAAA==")
	f.Fuzz(func(t *testing.T, name, value string) {
		h := headersOf(name, value, name, value)
		if h.Check() != nil {
			return
		}
		sys, err := h.System(nil)
		if err != nil {
			return
		}
		_, _ = h.MD5()
		_, _ = h.Sums.One()
		out := AppendMeta(nil, &object.Info{Custom: h.Meta, System: sys}, nil)
		for _, line := range strings.Split(strings.TrimSuffix(string(out), "\r\n"), "\r\n") {
			if line != "" && !strings.Contains(line, ": ") || strings.ContainsAny(line, "\r\n") {
				t.Fatalf("%q is no header line", line)
			}
		}
	})
}

func FuzzCopySource(f *testing.F) {
	f.Add("/b/k?versionId=1")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCopySource(s)
		if err == nil && (c.Bucket == "" || CheckKey(c.Key) != nil) {
			t.Fatalf("%q: %+v", s, c)
		}
		_, _ = ParseCopyRange(s, 100)
	})
}

func FuzzCaller(f *testing.F) {
	c := Caller{ID: "id", Name: "n", Access: "a", Admin: true}
	f.Add(string(c.Append(nil)))
	f.Fuzz(func(_ *testing.T, s string) { _, _ = ParseCaller(s) })
}

func FuzzTagHeader(f *testing.F) {
	f.Add("a=b&c=d%20e")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseTagHeader(s)
		if err != nil {
			return
		}
		back, err := ParseObjectTags(AppendTagging(nil, m))
		if err != nil && !strings.ContainsFunc(s, isControlish) && !strings.Contains(s, "%") || err == nil && len(back) != len(m) {
			t.Fatalf("%q: %v as a document: %v %v", s, m, back, err)
		}
	})
}

func isControlish(r rune) bool { return r < ' ' || r == 0x7f || r >= 0xFFFE }

func FuzzChecksum(f *testing.F) {
	f.Add("CRC32 COMPOSITE AAAAAA==-2")
	f.Fuzz(func(_ *testing.T, s string) {
		c := DecodeChecksum(s)
		_, _, _ = c.Raw()
	})
}

func BenchmarkHeaders(b *testing.B) {
	pairs := []string{"Host", "localhost:8080", "User-Agent", "Boto3/1.43", "Content-Length", "4096", "X-Amz-Date", "20260101T000000Z",
		"X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD", "Authorization", "AWS4-HMAC-SHA256 ...", "Content-Type", "text/plain", "x-amz-checksum-crc32", "AAAAAA=="}
	b.ReportAllocs()
	for b.Loop() {
		var h Headers
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
	}
}

// TestListsInSeveralLines: aws-sdk-go-v2 sends x-amz-object-attributes once for each name.
func TestListsInSeveralLines(t *testing.T) {
	var h Headers
	for _, f := range [][2]string{{"X-Amz-Object-Attributes", "ETag"}, {"X-Amz-Object-Attributes", "ObjectSize"}, {"Content-Encoding", "aws-chunked"}, {"Content-Encoding", "gzip"}, {"Range", "a"}, {"Range", "b"}} {
		h.Add(f[0], f[1])
	}
	if h.Attributes != "ETag,ObjectSize" || h.ContentEncoding != "aws-chunked,gzip" || h.Range != "b" {
		t.Errorf("got %q %q %q", h.Attributes, h.ContentEncoding, h.Range)
	}
}
