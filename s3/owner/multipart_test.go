package owner_test

import (
	"bytes"
	"crypto/md5" //nolint:gosec // ETags are MD5s
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"aistore/auth/policy"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/s3"
)

// upload is a multipart upload of a test.
type upload struct {
	w           *world
	bucket, key string
	id          string
	etags       []string
	data        []byte
	more        []string // elements of each part in the completion
}

func (w *world) begin(bucket, key string, header ...string) *upload {
	w.t.Helper()
	a := w.want(200, "", call{method: "POST", bucket: bucket, key: key, query: "uploads", header: header})
	u := &upload{w: w, bucket: bucket, key: key, id: a.element("UploadId")}
	if u.id == "" || a.element("Key") != string(s3.AppendXMLText(nil, key)) || a.element("Bucket") != bucket {
		w.t.Fatalf("%s", a.body)
	}
	return u
}

func (u *upload) query(number int) string {
	return fmt.Sprintf("partNumber=%d&uploadId=%s", number, u.id)
}

func (u *upload) put(data []byte, header ...string) *answer {
	u.w.t.Helper()
	a := u.w.want(200, "", call{method: "PUT", bucket: u.bucket, key: u.key, query: u.query(len(u.etags) + 1), body: data, header: header})
	if a.Header.Get("ETag") != etag(data) {
		u.w.t.Fatalf("part: %v", a.Header)
	}
	u.etags, u.data, u.more = append(u.etags, a.Header.Get("ETag")), append(u.data, data...), append(u.more, "")
	return a
}

func (u *upload) doc() []byte {
	var b bytes.Buffer
	b.WriteString("<CompleteMultipartUpload>")
	for i, e := range u.etags {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag>%s</Part>", i+1, e, u.more[i])
	}
	b.WriteString("</CompleteMultipartUpload>")
	return b.Bytes()
}

func (u *upload) completion(header ...string) call {
	return call{method: "POST", bucket: u.bucket, key: u.key, query: "uploadId=" + u.id, body: u.doc(), header: header}
}

// etagOf is the ETag of a whole that was uploaded in parts.
func (u *upload) etagOf() string {
	var all []byte
	for _, e := range u.etags {
		raw, _ := hex.DecodeString(strings.Trim(e, `"`))
		all = append(all, raw...)
	}
	sum := md5.Sum(all) //nolint:gosec // an ETag
	return fmt.Sprintf(`"%x-%d"`, sum, len(u.etags))
}

func TestMultipart(t *testing.T) {
	w := newWorld(t, 1)
	u := w.begin("plain", "big", "Content-Type", "a/b", "x-amz-meta-x", "y", "x-amz-tagging", "a=b", "x-amz-acl", "public-read")
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "big"})
	u.put(random(5 << 20))
	u.put(random(5<<20 + 7))
	u.put(random(100))
	l := w.want(200, "", call{method: "GET", bucket: "plain", key: "big", query: "uploadId=" + u.id + "&max-parts=2"})
	if l.element("IsTruncated") != "true" || l.element("NextPartNumberMarker") != "2" || l.element("MaxParts") != "2" || strings.Count(string(l.body), "<Part>") != 2 {
		t.Errorf("parts: %s", l.body)
	}
	l = w.want(200, "", call{method: "GET", bucket: "plain", key: "big", query: "uploadId=" + u.id + "&part-number-marker=2"})
	if l.element("IsTruncated") != "false" || l.element("Size") != "100" || strings.Count(string(l.body), "<Part>") != 1 {
		t.Errorf("parts: %s", l.body)
	}
	for range 2 { // repeated after success it gives the same answer
		a := w.want(200, "", u.completion())
		if got := strings.ReplaceAll(a.element("ETag"), "&quot;", `"`); got != u.etagOf() || !strings.HasSuffix(a.element("Location"), "/plain/big") {
			t.Fatalf("completed: %s, want %s", a.body, u.etagOf())
		}
	}
	g := w.want(200, "", call{method: "GET", bucket: "plain", key: "big", who: &nobody})
	if !bytes.Equal(g.body, u.data) || g.Header.Get("Content-Type") != "a/b" || g.Header.Get("x-amz-meta-x") != "y" || g.Header.Get("x-amz-tagging-count") != "1" || g.Header.Get("ETag") != u.etagOf() {
		t.Errorf("got %d bytes, %v", len(g.body), g.Header)
	}
	p := w.want(206, "", call{method: "GET", bucket: "plain", key: "big", query: "partNumber=2"})
	if !bytes.Equal(p.body, u.data[5<<20:10<<20+7]) || p.Header.Get("x-amz-mp-parts-count") != "3" || p.Header.Get("ETag") != u.etagOf() {
		t.Errorf("part 2: %d bytes, %v", len(p.body), p.Header)
	}
	w.want(400, "InvalidPart", call{method: "GET", bucket: "plain", key: "big", query: "partNumber=4"})
	w.want(400, "InvalidRequest", call{method: "GET", bucket: "plain", key: "big", query: "partNumber=1", header: []string{"Range", "bytes=0-1"}})
	a := w.want(200, "", call{method: "GET", bucket: "plain", key: "big", query: "attributes", header: []string{"x-amz-object-attributes", "ETag,ObjectParts,ObjectSize,StorageClass,Checksum", "x-amz-max-parts", "1", "x-amz-part-number-marker", "1"}})
	if a.element("PartsCount") != "3" || a.element("PartNumber") != "2" || a.element("IsTruncated") != "true" || a.element("ObjectSize") != fmt.Sprint(len(u.data)) || `"`+a.element("ETag")+`"` != u.etagOf() {
		t.Errorf("attributes: %s", a.body)
	}
}

func TestMultipartRefusals(t *testing.T) {
	w := newWorld(t, 1)
	u := w.begin("plain", "k")
	u.put(random(100))
	u.put(random(100))
	w.want(400, "EntityTooSmall", u.completion())
	good := u.etags[1]
	u.etags[1] = `"ffffffffffffffffffffffffffffffff"`
	w.want(400, "InvalidPart", u.completion())
	u.etags[1] = good
	c := u.completion()
	c.body = []byte("<CompleteMultipartUpload/>")
	w.want(400, "MalformedXML", c)
	c.body = nil
	w.want(400, "MalformedXML", c)
	c.body = []byte("<CompleteMultipartUpload><Part><PartNumber>9</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>")
	w.want(400, "InvalidPart", c)
	w.want(400, "InvalidArgument", call{method: "PUT", bucket: "plain", key: "k", query: u.query(10001), body: []byte("x")})
	w.want(400, "InvalidArgument", call{method: "PUT", bucket: "plain", key: "k", query: u.query(0), body: []byte("x")})
	none := strings.Repeat("0", 32)
	for _, c := range []call{{method: "PUT", query: "partNumber=1&uploadId=" + none, body: []byte("x")}, {method: "GET", query: "uploadId=" + none}, {method: "DELETE", query: "uploadId=" + none}, {method: "PUT", query: "partNumber=1&uploadId=nonsense", body: []byte("x")}} {
		c.bucket, c.key = "plain", "k"
		w.want(404, "NoSuchUpload", c)
	}
	c = u.completion()
	c.query = "uploadId=" + none
	w.want(404, "NoSuchUpload", c)
	w.want(204, "", call{method: "DELETE", bucket: "plain", key: "k", query: "uploadId=" + u.id})
	w.want(404, "NoSuchUpload", u.completion())
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "k"})
}

func TestConditionalCompletion(t *testing.T) {
	w := newWorld(t, 1)
	fresh := func() *upload {
		u := w.begin("plain", "k")
		u.put([]byte("abc"))
		return u
	}
	u := fresh()
	w.want(404, "NoSuchKey", u.completion("If-Match", "*"))
	w.want(200, "", u.completion("If-None-Match", "*"))
	w.want(200, "", u.completion("If-None-Match", "*")) // a retry after a lost reply
	u = fresh()
	w.want(412, "PreconditionFailed", u.completion("If-None-Match", "*"))
	w.want(412, "PreconditionFailed", u.completion("If-Match", `"x"`))
	w.want(200, "", u.completion("If-Match", u.etagOf()))
}

func TestMultipartChecksums(t *testing.T) {
	w := newWorld(t, 1)
	for _, c := range []struct {
		a    s3.Algorithm
		t    string
		want string
	}{
		{s3.SHA256, "", "COMPOSITE"}, {s3.SHA1, "COMPOSITE", "COMPOSITE"}, {s3.CRC32, "", "COMPOSITE"}, {s3.CRC32, "FULL_OBJECT", "FULL_OBJECT"},
		{s3.CRC32C, "FULL_OBJECT", "FULL_OBJECT"}, {s3.CRC64NVME, "", "FULL_OBJECT"},
	} {
		typ, err := cksum.ParseType(strings.ToLower(c.a.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sum := func(b []byte) string { return base64.StdEncoding.EncodeToString(cksum.Of(typ, b).Raw()) }
		header := []string{"x-amz-checksum-algorithm", c.a.Name()}
		if c.t != "" {
			header = append(header, "x-amz-checksum-type", c.t)
		}
		key := c.a.Name() + c.t
		u := w.begin("plain", key, header...)
		var parts []byte
		for _, n := range []int{5 << 20, 10} {
			data := random(n)
			a := u.put(data, c.a.Header(), sum(data))
			if a.Header.Get(c.a.Header()) != sum(data) {
				t.Errorf("%s: part %v", key, a.Header)
			}
			parts = append(parts, cksum.Of(typ, data).Raw()...)
			u.more[len(u.more)-1] = "<Checksum" + c.a.Name() + ">" + sum(data) + "</Checksum" + c.a.Name() + ">"
		}
		want := sum(u.data)
		if c.want == "COMPOSITE" {
			want = sum(parts) + "-2"
		}
		w.want(400, "BadDigest", u.completion(c.a.Header(), "bad"))
		w.want(400, "BadDigest", u.completion(c.a.Header(), sum([]byte("?"))))
		a := w.want(200, "", u.completion(c.a.Header(), want))
		if a.element("Checksum"+c.a.Name()) != want || a.element("ChecksumType") != c.want {
			t.Errorf("%s: %s, want %s", key, a.body, want)
		}
		mode := []string{"x-amz-checksum-mode", "ENABLED"}
		h := w.want(200, "", call{method: "HEAD", bucket: "plain", key: key, header: mode})
		if h.Header.Get(c.a.Header()) != want || h.Header.Get("x-amz-checksum-type") != c.want {
			t.Errorf("%s: %v", key, h.Header)
		}
		p := w.want(206, "", call{method: "GET", bucket: "plain", key: key, query: "partNumber=2", header: mode})
		if p.Header.Get(c.a.Header()) != sum(p.body) || p.Header.Get("x-amz-checksum-type") != c.want {
			t.Errorf("%s: part 2: %v", key, p.Header)
		}
	}
	w.want(400, "InvalidRequest", call{method: "POST", bucket: "plain", key: "k", query: "uploads", header: []string{"x-amz-checksum-algorithm", "SHA256", "x-amz-checksum-type", "FULL_OBJECT"}})
}

func TestVersionedUpload(t *testing.T) {
	w := newWorld(t, 1)
	u := w.begin("kept", "k")
	u.put([]byte("abc"))
	a := w.want(200, "", u.completion())
	id := a.Header.Get("x-amz-version-id")
	if id == "" {
		t.Fatalf("%v", a.Header)
	}
	w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", body: []byte("newer")})
	p := w.want(206, "", call{method: "GET", bucket: "kept", key: "k", query: "partNumber=1&versionId=" + id})
	if string(p.body) != "abc" || p.Header.Get("x-amz-mp-parts-count") != "1" {
		t.Errorf("part of a version: %q %v", p.body, p.Header)
	}
}

// Who began an upload may list and abort it also in a bucket that is another's.
func TestInitiator(t *testing.T) {
	w := newWorld(t, 1)
	w.configure("plain", func(p *cluster.S3Props) {
		a, err := policy.Canned("public-read-write", alice.ID, alice.ID)
		if err != nil {
			t.Fatal(err)
		}
		p.ACL = a.Encode()
	})
	a := w.want(200, "", call{method: "POST", bucket: "plain", key: "k", query: "uploads", who: &bob})
	id := "uploadId=" + a.element("UploadId")
	other := w.begin("plain", "k")
	w.want(403, "AccessDenied", call{method: "DELETE", bucket: "plain", key: "k", query: "uploadId=" + other.id, who: &bob})
	w.want(403, "AccessDenied", call{method: "DELETE", bucket: "plain", key: "k", query: id, who: &nobody})
	if l := w.want(200, "", call{method: "GET", bucket: "plain", key: "k", query: id, who: &bob}); !strings.Contains(l.element("Initiator"), bob.ID) {
		t.Errorf("%s", l.body)
	}
	w.want(204, "", call{method: "DELETE", bucket: "plain", key: "k", query: id, who: &bob})
}
