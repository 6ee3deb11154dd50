package owner_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/cluster"
)

// TestPartsAreOfTheVersionThatIsRead reads part 1 of a name that is replaced all the time by what has another part 1.
func TestPartsAreOfTheVersionThatIsRead(t *testing.T) {
	w := newWorld(t, 1)
	contents := [][]byte{bytes.Repeat([]byte("a"), 10), bytes.Repeat([]byte("b"), 20)}
	replace := func(i int) {
		u := w.begin("plain", "k")
		u.put(contents[i%2])
		w.want(200, "", u.completion())
	}
	replace(0)
	var ended atomic.Bool
	var wg sync.WaitGroup
	for _, method := range []string{"GET", "GET", "HEAD", "ATTRIBUTES"} {
		wg.Go(func() {
			for !ended.Load() {
				c := call{method: method, bucket: "plain", key: "k", query: "partNumber=1"}
				if method == "ATTRIBUTES" {
					c.method, c.query, c.header = "GET", "attributes", []string{"x-amz-object-attributes", "ObjectParts,ObjectSize"}
				}
				a := w.do(c)
				got := a.Header.Get("Content-Range")
				want := fmt.Sprintf("bytes 0-%d/%d", a.ContentLength-1, a.ContentLength)
				if method == "ATTRIBUTES" {
					got, want = a.element("Size"), a.element("ObjectSize")
				}
				if got != want || method == "GET" && !bytes.Equal(a.body, contents[0]) && !bytes.Equal(a.body, contents[1]) {
					t.Errorf("%s: %d %q, want %q, %.200q", method, a.StatusCode, got, want, a.body)
					return
				}
			}
		})
	}
	for i := range 300 {
		replace(i + 1)
	}
	ended.Store(true)
	wg.Wait()
}

// meanwhile is a document before whose first byte something happens.
type meanwhile struct {
	do sync.Once
	it func()
	io.Reader
}

// Read implements io.Reader.
func (m *meanwhile) Read(p []byte) (int, error) {
	m.do.Do(m.it)
	return m.Reader.Read(p)
}

// TestRightsAreToWhatIsChanged: who may change the ACL or the tags of an object may not do so to the one that has taken its place while the
// document was on its way.
func TestRightsAreToWhatIsChanged(t *testing.T) {
	w := newWorld(t, 1)
	for _, bucket := range []string{"plain", "kept"} {
		w.configure(bucket, func(p *cluster.S3Props) {
			p.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/bob"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`
		})
		acl := `<AccessControlPolicy><AccessControlList><Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`
		for query, doc := range map[string]string{"acl": acl, "tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"} {
			w.want(200, "", call{method: "PUT", bucket: bucket, key: "k", body: []byte("bob's"), who: &bob})
			w.want(200, "", call{method: "PUT", bucket: bucket, key: "k", query: query, body: []byte(doc), who: &bob}) // it is his
			who := bob
			who.Body.Decoded = int64(len(doc))
			a := w.do(call{method: "PUT", bucket: bucket, key: "k", query: query, who: &who, header: []string{"Expect", "100-continue"}, stream: &meanwhile{
				it:     func() { w.want(200, "", call{method: "PUT", bucket: bucket, key: "k", body: []byte("alice's")}) },
				Reader: strings.NewReader(doc),
			}})
			if a.StatusCode != 403 {
				t.Errorf("%s: %d %s", query, a.StatusCode, a.code())
			}
			w.want(403, "AccessDenied", call{method: "GET", bucket: bucket, key: "k", who: &nobody})
			if a := w.want(200, "", call{method: "GET", bucket: bucket, key: "k", query: "acl"}); strings.Contains(string(a.body), bob.ID) {
				t.Errorf("%s: alice's object has become bob's: %s", query, a.body)
			}
			if a := w.want(200, "", call{method: "GET", bucket: bucket, key: "k"}); a.Header.Get("x-amz-tagging-count") != "" || string(a.body) != "alice's" {
				t.Errorf("%s: %v", query, a.Header)
			}
		}
	}
}

// TestCopyKeepsMetadataThatIsNoText: metadata is bytes, wherever the source of a copy is.
func TestCopyKeepsMetadataThatIsNoText(t *testing.T) {
	w := newWorld(t, 2)
	for _, at := range w.targets {
		src, dst := w.keyOf(w.targets[0], "plain", "source"), w.keyOf(at, "other", "copy")
		w.want(200, "", call{method: "PUT", bucket: "plain", key: src, body: []byte("x"), header: []string{"x-amz-meta-drink", "caf\xe9", "Content-Disposition", "attachment; filename=caf\xe9"}})
		w.want(200, "", call{method: "PUT", bucket: "other", key: dst, header: []string{"x-amz-copy-source", "plain/" + src}})
		g := w.want(200, "", call{method: "GET", bucket: "other", key: dst})
		if g.Header.Get("x-amz-meta-drink") != "caf\xe9" || g.Header.Get("Content-Disposition") != "attachment; filename=caf\xe9" {
			t.Errorf("at %s: %q", at.id, g.Header)
		}
	}
}
