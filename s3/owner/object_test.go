package owner_test

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/s3"
)

func TestPutAndGet(t *testing.T) {
	w := newWorld(t, 1)
	for _, size := range []int{0, 1, 4096, 300_000, 3 << 20} {
		key, data := fmt.Sprint("dir/ü ", size), random(size)
		a := w.want(200, "", call{method: "PUT", bucket: "plain", key: key, body: data, header: []string{"Content-Type", "text/x", "x-amz-meta-A", "b", "x-amz-meta-e", "", "Cache-Control", "no-store"}})
		if a.Header.Get("ETag") != etag(data) || len(a.body) != 0 || a.Header.Get("x-amz-request-id") == "" {
			t.Fatalf("PUT of %d bytes: %v %q", size, a.Header, a.body)
		}
		g := w.want(200, "", call{method: "GET", bucket: "plain", key: key})
		if !bytes.Equal(g.body, data) || g.Header.Get("ETag") != etag(data) {
			t.Fatalf("GET of %d bytes gave %d, %v", size, len(g.body), g.Header)
		}
		h := w.want(200, "", call{method: "HEAD", bucket: "plain", key: key})
		for name, want := range map[string]string{"Content-Type": "text/x", "x-amz-meta-a": "b", "Cache-Control": "no-store", "Content-Length": fmt.Sprint(size), "Accept-Ranges": "bytes"} {
			if h.Header.Get(name) != want || g.Header.Get(name) != want {
				t.Errorf("%s: HEAD %q, GET %q, want %q", name, h.Header.Get(name), g.Header.Get(name), want)
			}
		}
		if v, ok := g.Header["X-Amz-Meta-E"]; !ok || v[0] != "" {
			t.Errorf("empty metadata: %v", g.Header)
		}
	}
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "none"})
	w.want(404, "", call{method: "HEAD", bucket: "plain", key: "none"})
}

func TestRanges(t *testing.T) {
	w := newWorld(t, 1)
	data := random(300_000)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: data})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "empty"})
	for h, want := range map[string][]byte{"bytes=0-9": data[:10], "bytes=299990-": data[299990:], "bytes=-5": data[299995:], "bytes=5-999999": data[5:]} {
		a := w.want(206, "", call{method: "GET", bucket: "plain", key: "k", header: []string{"Range", h}})
		if !bytes.Equal(a.body, want) || !strings.HasSuffix(a.Header.Get("Content-Range"), "/300000") {
			t.Errorf("%s: %d bytes, %v", h, len(a.body), a.Header)
		}
	}
	w.want(416, "InvalidRange", call{method: "GET", bucket: "plain", key: "k", header: []string{"Range", "bytes=300000-"}})
	w.want(416, "InvalidRange", call{method: "GET", bucket: "plain", key: "empty", header: []string{"Range", "bytes=0-"}})
	two := []string{"Range", "bytes=0-1,4-5"}
	if a := w.want(200, "", call{method: "GET", bucket: "plain", key: "k", header: two}); !bytes.Equal(a.body, data) {
		t.Errorf("several ranges: %d bytes", len(a.body))
	}
	if a := w.want(206, "", call{method: "GET", bucket: "plain", key: "k", header: append(two, s3.HeaderMultiRange, "multipart")}); !strings.HasPrefix(a.Header.Get("Content-Type"), "multipart/byteranges") || len(a.Header["Content-Type"]) != 1 {
		t.Errorf("several ranges as multipart: %v", a.Header)
	}
	w.configure("plain", func(p *cluster.S3Props) { p.MultiRange = true })
	w.want(206, "", call{method: "GET", bucket: "plain", key: "k", header: two})
	if a := w.want(200, "", call{method: "GET", bucket: "plain", key: "k", header: []string{"Range", "bytes=0-1", "If-Range", `"other"`}}); len(a.body) != len(data) {
		t.Errorf("If-Range of another version: %d bytes", len(a.body))
	}
	w.want(206, "", call{method: "GET", bucket: "plain", key: "k", header: []string{"Range", "bytes=0-1", "If-Range", etag(data)}})
}

func TestReadConditions(t *testing.T) {
	w := newWorld(t, 1)
	data := []byte("bar")
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: data})
	past, future := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		status int
		header []string
	}{
		{200, []string{"If-Match", etag(data)}}, {412, []string{"If-Match", `"x"`}}, {304, []string{"If-None-Match", etag(data)}}, {200, []string{"If-None-Match", `"x"`}},
		{304, []string{"If-Modified-Since", future}}, {200, []string{"If-Modified-Since", past}}, {412, []string{"If-Unmodified-Since", past}}, {200, []string{"If-Unmodified-Since", future}},
		{200, []string{"If-Match", etag(data), "If-Unmodified-Since", past}}, {304, []string{"If-None-Match", etag(data), "If-Modified-Since", past}}, {200, []string{"If-Modified-Since", "nonsense"}},
	} {
		a := w.want(c.status, "PreconditionFailed", call{method: "GET", bucket: "plain", key: "k", header: c.header})
		if c.status == 304 && (a.Header.Get("ETag") != etag(data) || a.Header.Get("Last-Modified") == "" || len(a.body) != 0) {
			t.Errorf("%q: %v %q", c.header, a.Header, a.body)
		}
	}
}

func TestWriteConditions(t *testing.T) {
	w := newWorld(t, 1)
	put := func(status int, code string, body []byte, header ...string) {
		t.Helper()
		w.want(status, code, call{method: "PUT", bucket: "plain", key: "k", body: body, header: header})
	}
	big := random(2 << 20)
	for _, data := range [][]byte{[]byte("x"), big} {
		put(404, "NoSuchKey", data, "If-Match", "*")
		put(404, "NoSuchKey", data, "If-Match", `"x"`)
		put(200, "", data, "If-None-Match", "*")
		put(412, "PreconditionFailed", data, "If-None-Match", "*")
		put(412, "PreconditionFailed", data, "If-None-Match", etag(data))
		put(200, "", data, "If-None-Match", "other")
		put(412, "PreconditionFailed", data, "If-Match", "other")
		put(200, "", data, "If-Match", strings.Trim(etag(data), `"`))
		w.want(412, "PreconditionFailed", call{method: "DELETE", bucket: "plain", key: "k", header: []string{"If-Match", "other"}})
		w.want(412, "PreconditionFailed", call{method: "DELETE", bucket: "plain", key: "k", header: []string{"x-amz-if-match-size", "7"}})
		w.want(204, "", call{method: "DELETE", bucket: "plain", key: "k", header: []string{"If-Match", "*", "x-amz-if-match-size", fmt.Sprint(len(data))}})
		w.want(204, "", call{method: "DELETE", bucket: "plain", key: "k", header: []string{"If-Match", "other"}})
	}
}

func TestDigests(t *testing.T) {
	w := newWorld(t, 1)
	for _, data := range [][]byte{[]byte("hello"), random(2 << 20)} {
		for _, a := range s3.Algorithms() {
			typ, err := cksum.ParseType(strings.ToLower(a.Name()))
			if err != nil {
				t.Fatal(err)
			}
			value := base64.StdEncoding.EncodeToString(cksum.Of(typ, data).Raw())
			p := w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: data, header: []string{a.Header(), value}})
			if p.Header.Get(a.Header()) != value {
				t.Errorf("%s: %v", a.Name(), p.Header)
			}
			h := w.want(200, "", call{method: "HEAD", bucket: "plain", key: "k"})
			if h.Header.Get(a.Header()) != "" {
				t.Errorf("%s without being asked: %v", a.Name(), h.Header)
			}
			mode := []string{"x-amz-checksum-mode", "ENABLED"}
			h = w.want(200, "", call{method: "GET", bucket: "plain", key: "k", header: mode})
			if h.Header.Get(a.Header()) != value || h.Header.Get("x-amz-checksum-type") != "FULL_OBJECT" {
				t.Errorf("%s: %v", a.Name(), h.Header)
			}
			h = w.want(206, "", call{method: "GET", bucket: "plain", key: "k", header: append(mode, "Range", "bytes=0-0")})
			if h.Header.Get(a.Header()) != "" {
				t.Errorf("%s of a range: %v", a.Name(), h.Header)
			}
			wrong := base64.StdEncoding.EncodeToString(cksum.Of(typ, []byte("?")).Raw())
			for _, bad := range []string{"bad", wrong} {
				w.want(400, "BadDigest", call{method: "PUT", bucket: "plain", key: "k2", body: data, header: []string{a.Header(), bad}})
			}
		}
		for _, bad := range []string{"YWJyYWNhZGFicmE=", ""} {
			w.want(400, "InvalidDigest", call{method: "PUT", bucket: "plain", key: "k2", body: data, header: []string{"Content-MD5", bad}})
		}
		w.want(400, "BadDigest", call{method: "PUT", bucket: "plain", key: "k2", body: data, header: []string{"Content-MD5", "rL0Y20zC+Fzt72VPzMSk2A=="}})
		w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "k2"})
	}
}

func TestUnsignedTrailer(t *testing.T) {
	w := newWorld(t, 1)
	for _, n := range []int{0, 10, 4096, 2 << 20} {
		data := random(n)
		sum := base64.StdEncoding.EncodeToString(cksum.Of(cksum.CRC32, data).Raw())
		encode := func(value string) []byte {
			var b bytes.Buffer
			if n > 0 {
				fmt.Fprintf(&b, "%x\r\n%s\r\n", n, data)
			}
			fmt.Fprintf(&b, "0\r\nx-amz-checksum-crc32:%s\r\n\r\n", value)
			return b.Bytes()
		}
		who := alice
		who.Body.Mode, who.Body.Decoded, who.Body.Trailer = unsignedTrailer, int64(n), []string{"x-amz-checksum-crc32"}
		h := []string{"Content-Encoding", "aws-chunked", "x-amz-sdk-checksum-algorithm", "CRC32"}
		if n == 0 {
			who.Body.Decoded = -1 // the harness fills in a zero
		}
		a := w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: encode(sum), who: &who, header: h})
		if a.Header.Get("x-amz-checksum-crc32") != sum || a.Header.Get("ETag") != etag(data) {
			t.Errorf("%d bytes: %v", n, a.Header)
		}
		g := w.want(200, "", call{method: "GET", bucket: "plain", key: "k"})
		if !bytes.Equal(g.body, data) || g.Header.Get("Content-Encoding") != "" {
			t.Errorf("%d bytes: got %d, %v", n, len(g.body), g.Header)
		}
		w.want(400, "BadDigest", call{method: "PUT", bucket: "plain", key: "bad", body: encode("AAAAAQ=="), who: &who, header: h})
		w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "bad"})
	}
}

func TestOverridesAreForSignedRequests(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("x"), header: []string{"x-amz-acl", "public-read"}})
	const q = "response-content-type=a/b&response-cache-control=no-cache&response-content-disposition=x%20y"
	a := w.want(200, "", call{method: "GET", bucket: "plain", key: "k", query: q})
	if a.Header.Get("Content-Type") != "a/b" || a.Header.Get("Cache-Control") != "no-cache" || a.Header.Get("Content-Disposition") != "x y" {
		t.Errorf("%v", a.Header)
	}
	w.want(400, "InvalidRequest", call{method: "GET", bucket: "plain", key: "k", query: q, who: &nobody})
}

func TestAuthorization(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "private", body: []byte("x")})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "public", body: []byte("x"), header: []string{"x-amz-acl", "public-read"}})
	for _, who := range []*s3.Caller{&bob, &nobody} {
		w.want(403, "AccessDenied", call{method: "GET", bucket: "plain", key: "private", who: who})
		w.want(403, "AccessDenied", call{method: "GET", bucket: "plain", key: "none", who: who})
		w.want(200, "", call{method: "GET", bucket: "plain", key: "public", who: who})
		w.want(403, "AccessDenied", call{method: "PUT", bucket: "plain", key: "new", body: []byte("x"), who: who})
		w.want(403, "AccessDenied", call{method: "DELETE", bucket: "plain", key: "public", who: who})
		w.want(403, "AccessDenied", call{method: "GET", bucket: "plain", key: "public", query: "acl", who: who})
		w.want(403, "AccessDenied", call{method: "POST", bucket: "plain", key: "new", query: "uploads", who: who})
	}
	w.configure("plain", func(p *cluster.S3Props) {
		p.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::plain/*","Condition":{"StringEquals":{"s3:ExistingObjectTag/open":"yes"}}},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/bob"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::plain/bobs/*"}]}`
	})
	w.want(403, "AccessDenied", call{method: "GET", bucket: "plain", key: "private", who: &nobody})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "tagged", body: []byte("x"), header: []string{"x-amz-tagging", "open=yes"}})
	w.want(200, "", call{method: "GET", bucket: "plain", key: "tagged", who: &nobody})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "bobs/1", body: []byte("x"), who: &bob})
	if a := w.want(200, "", call{method: "GET", bucket: "plain", key: "bobs/1", query: "acl", who: &bob}); a.element("ID") != bob.ID {
		t.Errorf("the owner of what bob wrote: %s", a.body)
	}
}

func TestNothingIsServedWithoutALease(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("x")})
	w.targets[0].ctl.setLease(errs.E("test", "lease", errs.Unavailable))
	for _, c := range []call{{method: "GET", key: "k"}, {method: "PUT", key: "new", body: []byte("x")}, {method: "DELETE", key: "k"}, {method: "POST", key: "k", query: "uploads"}, {method: "GET", key: "k", query: "tagging"},
		{method: "GET", key: "absent"}, {method: "DELETE", key: "absent"}, {method: "GET", key: "absent", query: "tagging"}} {
		c.bucket = "plain"
		if a := w.want(503, "ServiceUnavailable", c); a.Header.Get("x-amz-retry-after") < "1000" {
			t.Errorf("%s: SDKs are told to come back after %q ms", c.method, a.Header.Get("x-amz-retry-after"))
		}
	}
	w.targets[0].ctl.setLease(nil)
	w.want(200, "", call{method: "GET", bucket: "plain", key: "k"})
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "new"})
}

// TestStaleReads: a bucket with stale_reads is read without a lease, of which replies tell, and not written; documents of its objects take one.
func TestStaleReads(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("x")})
	w.plane.set(func(v *cluster.View) { v.Buckets.Get("", "plain").Props.StaleReads = true })
	ctl := w.targets[0].ctl
	ctl.setLease(errs.E("test", "lease", errs.Unavailable))
	w.want(503, "ServiceUnavailable", call{method: "GET", bucket: "plain", key: "k"})
	ctl.setLease(errs.E("test", "lease", errs.Unavailable, cluster.ErrRanOut))
	for _, method := range []string{"GET", "HEAD"} {
		if a := w.want(200, "", call{method: method, bucket: "plain", key: "k"}); a.Header.Get(api.HeaderStale) != "true" {
			t.Errorf("%s: %v", method, a.Header)
		}
	}
	for _, c := range []call{{method: "PUT", key: "k", body: []byte("y")}, {method: "DELETE", key: "k"}, {method: "GET", key: "absent"}, {method: "GET", key: "k", query: "tagging"}} {
		c.bucket = "plain"
		w.want(503, "ServiceUnavailable", c)
	}
	ctl.setLease(nil)
	if a := w.want(200, "", call{method: "GET", bucket: "plain", key: "k"}); a.Header.Get(api.HeaderStale) != "" || string(a.body) != "x" {
		t.Errorf("%q %v", a.body, a.Header)
	}
}

// TestEncryptionIsRefused: whoever may write is told that nothing is encrypted, and whom the policy denies it for what is asked, that.
func TestEncryptionIsRefused(t *testing.T) {
	w := newWorld(t, 1)
	put := func(key string, more ...string) call {
		return call{method: "PUT", bucket: "plain", key: key, body: []byte("x"), header: more}
	}
	const sse = "x-amz-server-side-encryption"
	w.want(200, "", put("k"))
	w.want(501, "NotImplemented", put("k", sse, "AES256"))
	w.want(400, "InvalidArgument", put("k", sse, "AES192"))
	w.want(400, "InvalidArgument", call{method: "GET", bucket: "plain", key: "k", header: []string{sse, "AES256"}})
	stranger := put("k", sse, "AES256")
	stranger.who = &bob
	w.want(403, "AccessDenied", stranger)

	w.configure("plain", func(p *cluster.S3Props) {
		p.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::plain/*","Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}},
			{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::plain/*","Condition":{"StringLike":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"other*"}}},
			{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::plain/tagged","Condition":{"Null":{"s3:RequestObjectTag/open":"true"}}}]}`
	})
	w.want(403, "AccessDenied", put("k"))
	w.want(403, "AccessDenied", put("k", sse, "AES256"))
	w.want(403, "AccessDenied", call{method: "POST", bucket: "plain", key: "k", query: "uploads", header: []string{sse, "AES256"}})
	w.want(403, "AccessDenied", put("k", sse, "aws:kms", sse+"-aws-kms-key-id", "other-key"))
	w.want(501, "NotImplemented", put("k", sse, "aws:kms", sse+"-aws-kms-key-id", "key"))
	w.want(403, "AccessDenied", put("tagged", sse, "aws:kms"))
	w.want(501, "NotImplemented", put("tagged", sse, "aws:kms", "x-amz-tagging", "open=yes"))
}

// TestDocumentsAreWhatWasSent: the checksums of documents are compared, too.
func TestDocumentsAreWhatWasSent(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("x")})
	for query, doc := range map[string]string{
		"tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
		"acl":     `<AccessControlPolicy><AccessControlList><Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`,
	} {
		for _, h := range [][]string{{"Content-MD5", md5Of([]byte("another"))}, {"x-amz-checksum-crc32", crc32Of([]byte("another"))}} {
			w.want(400, "BadDigest", call{method: "PUT", bucket: "plain", key: "k", query: query, body: []byte(doc), header: h})
		}
		w.want(403, "AccessDenied", call{method: "GET", bucket: "plain", key: "k", who: &nobody})
		for _, h := range [][]string{{"Content-MD5", md5Of([]byte(doc))}, {"x-amz-checksum-crc32", crc32Of([]byte(doc))}} {
			w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", query: query, body: []byte(doc), header: h})
		}
		w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", query: "acl", header: []string{"x-amz-acl", "private"}})
	}
}

func md5Of(b []byte) string {
	sum := md5.Sum(b) //nolint:gosec // Content-MD5
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestTagsAndACL(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("x"), header: []string{"x-amz-tagging", "a=b&c="}})
	if a := w.want(200, "", call{method: "HEAD", bucket: "plain", key: "k"}); a.Header.Get("x-amz-tagging-count") != "2" {
		t.Errorf("%v", a.Header)
	}
	if a := w.want(200, "", call{method: "GET", bucket: "plain", key: "k", query: "tagging"}); a.element("TagSet") != "<Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key><Value></Value></Tag>" {
		t.Errorf("%s", a.body)
	}
	before := w.want(200, "", call{method: "HEAD", bucket: "plain", key: "k"})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", query: "tagging", body: []byte("<Tagging><TagSet><Tag><Key>z</Key><Value>1</Value></Tag></TagSet></Tagging>")})
	after := w.want(200, "", call{method: "HEAD", bucket: "plain", key: "k"})
	if after.Header.Get("x-amz-tagging-count") != "1" || after.Header.Get("ETag") != before.Header.Get("ETag") || after.Header.Get("Last-Modified") != before.Header.Get("Last-Modified") {
		t.Errorf("before %v, after %v", before.Header, after.Header)
	}
	w.want(204, "", call{method: "DELETE", bucket: "plain", key: "k", query: "tagging"})
	w.want(400, "InvalidTag", call{method: "PUT", bucket: "plain", key: "k2", body: []byte("x"), header: []string{"x-amz-tagging", strings.Repeat("k", 129) + "=v"}})

	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", query: "acl", header: []string{"x-amz-acl", "public-read"}})
	w.want(200, "", call{method: "GET", bucket: "plain", key: "k", who: &nobody})
	acl := w.want(200, "", call{method: "GET", bucket: "plain", key: "k", query: "acl"})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", query: "acl", header: []string{"x-amz-acl", "private"}})
	w.want(403, "AccessDenied", call{method: "GET", bucket: "plain", key: "k", who: &nobody})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", query: "acl", body: acl.body})
	w.want(200, "", call{method: "GET", bucket: "plain", key: "k", who: &nobody})
	w.want(400, "MalformedACLError", call{method: "PUT", bucket: "plain", key: "k", query: "acl", body: []byte("<x/>")})
	w.want(400, "InvalidRequest", call{method: "GET", bucket: "plain", key: "k", query: "legal-hold"})
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "k", query: "torrent"})
	w.want(501, "NotImplemented", call{method: "GET", bucket: "plain", key: "k", query: "unheard"})
}

func TestVersions(t *testing.T) {
	w := newWorld(t, 1)
	put := func(body string) string {
		return w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", body: []byte(body)}).Header.Get("x-amz-version-id")
	}
	get := func(version string) string {
		return string(w.want(200, "", call{method: "GET", bucket: "kept", key: "k", query: "versionId=" + version}).body)
	}
	v1, v2 := put("one"), put("two")
	if v1 == "" || v2 == v1 || get(v1) != "one" || get(v2) != "two" {
		t.Fatalf("versions %q %q", v1, v2)
	}
	d := w.want(204, "", call{method: "DELETE", bucket: "kept", key: "k"})
	marker := d.Header.Get("x-amz-version-id")
	if marker == "" || d.Header.Get("x-amz-delete-marker") != "true" {
		t.Fatalf("delete marker: %v", d.Header)
	}
	a := w.want(404, "NoSuchKey", call{method: "GET", bucket: "kept", key: "k"})
	if a.Header.Get("x-amz-delete-marker") != "true" || a.Header.Get("x-amz-version-id") != marker {
		t.Errorf("GET behind a marker: %v", a.Header)
	}
	a = w.want(405, "MethodNotAllowed", call{method: "GET", bucket: "kept", key: "k", query: "versionId=" + marker})
	if a.Header.Get("x-amz-delete-marker") != "true" || a.Header.Get("Last-Modified") == "" {
		t.Errorf("GET of a marker: %v", a.Header)
	}
	w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", query: "tagging&versionId=" + v1, body: []byte("<Tagging><TagSet><Tag><Key>z</Key><Value>1</Value></Tag></TagSet></Tagging>")})
	if a := w.want(200, "", call{method: "GET", bucket: "kept", key: "k", query: "tagging&versionId=" + v1}); a.Header.Get("x-amz-version-id") != v1 || a.element("Key") != "z" {
		t.Errorf("tags of a version: %v %s", a.Header, a.body)
	}
	d = w.want(204, "", call{method: "DELETE", bucket: "kept", key: "k", query: "versionId=" + marker})
	if d.Header.Get("x-amz-version-id") != marker || d.Header.Get("x-amz-delete-marker") != "true" {
		t.Errorf("delete of a marker: %v", d.Header)
	}
	if got := string(w.want(200, "", call{method: "GET", bucket: "kept", key: "k"}).body); got != "two" {
		t.Errorf("behind the marker: %q", got)
	}
	w.want(204, "", call{method: "DELETE", bucket: "kept", key: "k", query: "versionId=" + v2})
	w.want(404, "NoSuchVersion", call{method: "GET", bucket: "kept", key: "k", query: "versionId=" + v2})
	w.want(400, "InvalidArgument", call{method: "GET", bucket: "kept", key: "k", query: "versionId=nonsense"})
	w.configure("kept", func(p *cluster.S3Props) { p.Versioning = cluster.VersioningSuspended })
	if id := put("null"); id != "" {
		t.Errorf("version id while suspended: %q", id)
	}
	if get("null") != "null" || get(v1) != "one" {
		t.Error("the null version or the older one")
	}
}

// A view that routed the request must be known to the owner before it answers.
func TestNewerViewIsFetched(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("x")})
	who := alice
	who.View = w.plane.get().Index
	w.want(200, "", call{method: "GET", bucket: "plain", key: "k", who: &who})
}

// What one dialect writes the other reads.
func TestNativeAndS3(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("x"), header: []string{"x-amz-meta-color", "red", "Content-Type", "a/b"}})
	resp, err := plainHTTP.Get(w.targets[0].public + "/v1/objects/plain/k")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Ais-Custom-Md") != "color=red" || resp.Header.Get("Content-Type") != "a/b" || resp.Header.Get("ETag") != etag([]byte("x")) {
		t.Errorf("native reads S3's: %d %v", resp.StatusCode, resp.Header)
	}
	req, err := http.NewRequest("PUT", w.targets[0].public+"/v1/objects/plain/n", strings.NewReader("native"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Ais-Custom-Md", "color=blue")
	if resp, err = plainHTTP.Do(req); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	a := w.want(200, "", call{method: "GET", bucket: "plain", key: "n"})
	if string(a.body) != "native" || a.Header.Get("x-amz-meta-color") != "blue" || a.Header.Get("ETag") != resp.Header.Get("ETag") {
		t.Errorf("S3 reads native's: %q %v; native said %v", a.body, a.Header, resp.Header)
	}
}
