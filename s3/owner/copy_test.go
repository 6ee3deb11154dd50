package owner_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/object"
	"aistore/s3"
)

// A copy must be the same wherever its source is.
func TestCopy(t *testing.T) {
	w := newWorld(t, 2)
	for i, size := range []int{0, 1000, 3 << 20} {
		for j, at := range w.targets {
			src, dst := w.keyOf(w.targets[0], "plain", fmt.Sprint("sourceü+ ", i, j, "-")), w.keyOf(at, "other", fmt.Sprint("copy", i, j, "-"))
			data := random(size)
			w.want(200, "", call{method: "PUT", bucket: "plain", key: src, body: data, header: []string{"Content-Type", "a/b", "x-amz-meta-x", "y", "x-amz-tagging", "a=b", "x-amz-acl", "public-read", "x-amz-checksum-crc32", crc32Of(data)}})
			from := "/plain/" + string(s3.EncodeKey(nil, src))
			a := w.want(200, "", call{method: "PUT", bucket: "other", key: dst, header: []string{"x-amz-copy-source", from}})
			if strings.ReplaceAll(a.element("ETag"), "&quot;", `"`) != etag(data) || a.element("ChecksumCRC32") != crc32Of(data) || a.element("LastModified") == "" {
				t.Errorf("%s", a.body)
			}
			g := w.want(200, "", call{method: "GET", bucket: "other", key: dst, header: []string{"x-amz-checksum-mode", "ENABLED"}})
			if !bytes.Equal(g.body, data) || g.Header.Get("Content-Type") != "a/b" || g.Header.Get("x-amz-meta-x") != "y" || g.Header.Get("x-amz-tagging-count") != "1" || g.Header.Get("x-amz-checksum-crc32") != crc32Of(data) {
				t.Errorf("copy of %d bytes: %d, %v", size, len(g.body), g.Header)
			}
			w.want(403, "AccessDenied", call{method: "GET", bucket: "other", key: dst, who: &nobody}) // ACLs are not copied
			w.want(200, "", call{method: "PUT", bucket: "other", key: dst, header: []string{"x-amz-copy-source", from, "x-amz-metadata-directive", "REPLACE", "x-amz-tagging-directive", "REPLACE", "x-amz-meta-z", "1", "x-amz-checksum-algorithm", "SHA256"}})
			g = w.want(200, "", call{method: "GET", bucket: "other", key: dst, header: []string{"x-amz-checksum-mode", "ENABLED"}})
			if !bytes.Equal(g.body, data) || g.Header.Get("Content-Type") != "binary/octet-stream" || g.Header.Get("x-amz-meta-x") != "" || g.Header.Get("x-amz-meta-z") != "1" || g.Header.Get("x-amz-tagging-count") != "" || g.Header.Get("x-amz-checksum-sha256") == "" {
				t.Errorf("replacing copy of %d bytes: %d, %v", size, len(g.body), g.Header)
			}
			for _, c := range []struct {
				status int
				header string
				value  string
			}{{200, "x-amz-copy-source-if-match", etag(data)}, {412, "x-amz-copy-source-if-match", `"x"`}, {412, "x-amz-copy-source-if-none-match", etag(data)}, {200, "x-amz-copy-source-if-none-match", `"x"`}} {
				w.want(c.status, "PreconditionFailed", call{method: "PUT", bucket: "other", key: dst, header: []string{"x-amz-copy-source", from, c.header, c.value}})
			}
			none := w.keyOf(w.targets[0], "plain", "none")
			w.want(404, "NoSuchKey", call{method: "PUT", bucket: "other", key: dst, header: []string{"x-amz-copy-source", "plain/" + none}})
		}
	}
	w.want(404, "NoSuchBucket", call{method: "PUT", bucket: "other", key: "k", header: []string{"x-amz-copy-source", "nobucket/k"}})
	w.want(400, "InvalidArgument", call{method: "PUT", bucket: "other", key: "k", header: []string{"x-amz-copy-source", "nobucket"}})
	w.want(400, "InvalidArgument", call{method: "PUT", bucket: "other", key: "k", header: []string{"x-amz-copy-source", ""}}) // it is no PUT of nothing
}

func TestCopyNeedsToRead(t *testing.T) {
	w := newWorld(t, 2)
	w.plane.set(func(v *viewT) { v.Buckets.Get("", "other").Owner = bob.ID })
	for _, o := range w.targets {
		key := w.keyOf(o, "plain", "secret")
		w.want(200, "", call{method: "PUT", bucket: "plain", key: key, body: []byte("x")})
		for _, at := range w.targets {
			w.want(403, "AccessDenied", call{method: "PUT", bucket: "other", key: w.keyOf(at, "other", "k"), who: &bob, header: []string{"x-amz-copy-source", "plain/" + key}})
		}
		w.want(200, "", call{method: "PUT", bucket: "plain", key: key, body: []byte("x"), header: []string{"x-amz-acl", "public-read"}})
		for _, at := range w.targets {
			w.want(200, "", call{method: "PUT", bucket: "other", key: w.keyOf(at, "other", "k"), who: &bob, header: []string{"x-amz-copy-source", "plain/" + key}})
		}
	}
	w.configure("plain", func(p *cluster.S3Props) {
		p.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::plain/*","Condition":{"StringEquals":{"s3:x-amz-content-sha256":"x"}}},
		{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::plain/*","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.1/32"}}}]}`
	})
	for _, o := range w.targets {
		key := w.keyOf(o, "plain", "by-policy")
		w.want(200, "", call{method: "PUT", bucket: "plain", key: key, body: []byte("x")})
		for _, at := range w.targets {
			w.want(200, "", call{method: "PUT", bucket: "other", key: w.keyOf(at, "other", "k"), who: &bob, header: []string{"x-amz-copy-source", "plain/" + key}})
		}
	}
}

// What was uploaded in parts has no checksum of the whole, whatever the bucket wants: that is no reason to copy its bytes.
func TestCopyOfPartsShares(t *testing.T) {
	w := newWorld(t, 1)
	w.plane.set(func(v *viewT) {
		for _, b := range []string{"plain", "kept"} {
			v.Buckets.Get("", b).Props.Checksum = cksum.XXHash
		}
	})
	u := w.begin("plain", "source")
	u.put(random(5 << 20))
	u.put(random(100))
	w.want(200, "", u.completion())
	for _, bucket := range []string{"plain", "kept"} {
		w.want(200, "", call{method: "PUT", bucket: bucket, key: "copy", header: []string{"x-amz-copy-source", "plain/source"}})
		g := w.want(200, "", call{method: "GET", bucket: bucket, key: "copy"})
		if !bytes.Equal(g.body, u.data) || g.Header.Get("ETag") != u.etagOf() {
			t.Errorf("copy in %s: %d bytes, %v", bucket, len(g.body), g.Header)
		}
		parts, err := w.targets[0].store.Parts(object.Name{Bucket: w.bucket(bucket).ID, Key: "copy"}, "")
		if err != nil || len(parts) != 2 {
			t.Errorf("the copy in %s has parts %v (%v): its bytes were copied", bucket, parts, err)
		}
	}
	w.want(204, "", call{method: "DELETE", bucket: "plain", key: "source"})
	if g := w.want(200, "", call{method: "GET", bucket: "plain", key: "copy"}); !bytes.Equal(g.body, u.data) {
		t.Errorf("without its source: %d bytes", len(g.body))
	}
}

func TestCopyOntoItself(t *testing.T) {
	w := newWorld(t, 1)
	data := random(2 << 20)
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: data, header: []string{"x-amz-meta-x", "1"}})
	w.want(400, "InvalidRequest", call{method: "PUT", bucket: "plain", key: "k", header: []string{"x-amz-copy-source", "plain/k"}})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", header: []string{"x-amz-copy-source", "plain/k", "x-amz-metadata-directive", "REPLACE", "x-amz-meta-y", "2"}})
	g := w.want(200, "", call{method: "GET", bucket: "plain", key: "k"})
	if !bytes.Equal(g.body, data) || g.Header.Get("x-amz-meta-y") != "2" || g.Header.Get("x-amz-meta-x") != "" {
		t.Errorf("%d bytes, %v", len(g.body), g.Header)
	}
	v1 := w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", body: []byte("one")}).Header.Get("x-amz-version-id")
	w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", body: []byte("two")})
	a := w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", header: []string{"x-amz-copy-source", "kept/k?versionId=" + v1}})
	if a.Header.Get("x-amz-copy-source-version-id") != v1 || a.Header.Get("x-amz-version-id") == v1 {
		t.Errorf("%v", a.Header)
	}
	if g := w.want(200, "", call{method: "GET", bucket: "kept", key: "k"}); string(g.body) != "one" {
		t.Errorf("restored: %q", g.body)
	}
}

func TestCopyPart(t *testing.T) {
	w := newWorld(t, 2)
	for _, o := range w.targets {
		src, dst := w.keyOf(w.targets[0], "plain", "source"), w.keyOf(o, "plain", "dest")
		data := random(6 << 20)
		w.want(200, "", call{method: "PUT", bucket: "plain", key: src, body: data})
		u := w.begin("plain", dst)
		part := func(status int, code string, number int, span string) *answer {
			t.Helper()
			h := []string{"x-amz-copy-source", "plain/" + src}
			if span != "" {
				h = append(h, "x-amz-copy-source-range", span)
			}
			return w.want(status, code, call{method: "PUT", bucket: "plain", key: dst, query: u.query(number), header: h})
		}
		a := part(200, "", 1, "bytes=0-5242879")
		b := part(200, "", 2, "")
		for i, x := range []*answer{a, b} {
			u.etags, u.more = append(u.etags, strings.ReplaceAll(x.element("ETag"), "&quot;", `"`)), append(u.more, "")
			if want := etag([][]byte{data[:5242880], data}[i]); u.etags[i] != want {
				t.Errorf("part %d: %s, want %s", i+1, u.etags[i], want)
			}
		}
		part(416, "InvalidRange", 3, "bytes=0-6291456")
		part(400, "InvalidArgument", 3, "bytes=0-2,3-5")
		w.want(200, "", u.completion())
		g := w.want(200, "", call{method: "GET", bucket: "plain", key: dst})
		if !bytes.Equal(g.body, append(data[:5242880:5242880], data...)) {
			t.Errorf("%d bytes", len(g.body))
		}
	}
}
