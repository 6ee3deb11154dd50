package s3refuse

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"

	"aistore/config"
	"aistore/s3"
	"aistore/test/cluster"
)

// signer is a key pair and what it does to a request that is to be refused.
type signer struct {
	access, secret string
	at             time.Time
}

// call is a request before it is signed.
type call struct {
	method, path string
	query        url.Values
	header       map[string]string
	body         string
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(b string) string { s := sha256.Sum256([]byte(b)); return hex.EncodeToString(s[:]) }

func canonicalQuery(q url.Values) string { return strings.ReplaceAll(q.Encode(), "+", "%20") }

func (s *signer) signature(scope, stamp, canonical string) string {
	date, _, _ := strings.Cut(scope, "/")
	key := mac(mac(mac(mac([]byte("AWS4"+s.secret), date), "us-east-1"), "s3"), "aws4_request")
	return hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hexSum(canonical)))
}

// sign returns the request with its signature in the header.
func (s *signer) sign(base string, c *call) *http.Request {
	stamp := s.at.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/us-east-1/s3/aws4_request"
	h := map[string]string{"host": strings.TrimPrefix(base, "http://"), "x-amz-date": stamp, "x-amz-content-sha256": hexSum(c.body)}
	for k, v := range c.header {
		h[k] = v
	}
	names := make([]string, 0, len(h))
	for k := range h {
		names = append(names, k)
	}
	sort.Strings(names)
	canonical := c.method + "\n" + c.path + "\n" + canonicalQuery(c.query) + "\n"
	for _, k := range names {
		canonical += k + ":" + h[k] + "\n"
	}
	signed := strings.Join(names, ";")
	canonical += "\n" + signed + "\n" + h["x-amz-content-sha256"]
	r := plain(base, c)
	for k, v := range h {
		r.Header.Set(k, v)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.access+"/"+scope+", SignedHeaders="+signed+", Signature="+s.signature(scope, stamp, canonical))
	return r
}

// presign returns the request with its signature in the query.
func (s *signer) presign(base string, c *call, seconds int) *http.Request {
	stamp := s.at.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/us-east-1/s3/aws4_request"
	q := url.Values{}
	for k, v := range c.query {
		q[k] = v
	}
	q.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
	q.Set("X-Amz-Credential", s.access+"/"+scope)
	q.Set("X-Amz-Date", stamp)
	q.Set("X-Amz-Expires", fmt.Sprint(seconds))
	h := map[string]string{"host": strings.TrimPrefix(base, "http://")}
	for k, v := range c.header {
		h[k] = v
	}
	names := make([]string, 0, len(h))
	for k := range h {
		names = append(names, k)
	}
	sort.Strings(names)
	signed := strings.Join(names, ";")
	q.Set("X-Amz-SignedHeaders", signed)
	canonical := c.method + "\n" + c.path + "\n" + canonicalQuery(q) + "\n"
	for _, k := range names {
		canonical += k + ":" + h[k] + "\n"
	}
	canonical += "\n" + signed + "\nUNSIGNED-PAYLOAD"
	q.Set("X-Amz-Signature", s.signature(scope, stamp, canonical))
	d := *c
	d.query = q
	return plain(base, &d)
}

func plain(base string, c *call) *http.Request {
	u := base + c.path
	if len(c.query) > 0 {
		u += "?" + canonicalQuery(c.query)
	}
	r, err := http.NewRequest(c.method, u, strings.NewReader(c.body))
	if err != nil {
		panic(err) // the test's own
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	return r
}

func send(t *testing.T, r *http.Request) (int, string, http.Header) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// world is a cluster with something to lose.
type world struct {
	t      *testing.T
	bases  []string
	admin  signer
	other  signer
	upload string
}

const bucket, key = "victim", "k/ö"

func newWorld(t *testing.T) *world {
	c := cluster.Start(t, cluster.Spec{})
	root := config.DefaultRoot()
	w := &world{t: t, admin: signer{root.Access, root.Secret, time.Now()}, other: signer{"OTHERKEY0000", "other-secret-0000", time.Now()}}
	for _, n := range c.Nodes() {
		w.bases = append(w.bases, n.URL())
	}
	for path, doc := range map[string]string{"/v1/auth/users": `{"name":"other","role":"user","access":"OTHERKEY0000","secret":"other-secret-0000"}`} {
		r, err := http.NewRequest("POST", w.bases[0]+path, strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		if code, body, _ := send(t, r); code != 200 {
			t.Fatalf("user: %d %s", code, body)
		}
	}
	w.must(&call{method: "PUT", path: "/" + bucket})
	w.must(&call{method: "PUT", path: w.path(s3.Key), body: "content"})
	_, doc := w.must(&call{method: "POST", path: w.path(s3.Key), query: url.Values{"uploads": {""}}})
	_, rest, _ := strings.Cut(doc, "<UploadId>")
	w.upload, _, _ = strings.Cut(rest, "</UploadId>")
	return w
}

func (w *world) path(l s3.Level) string {
	switch l {
	case s3.Service:
		return "/"
	case s3.Bucket:
		return "/" + bucket
	case s3.Key:
	}
	return "/" + bucket + "/k/%C3%B6"
}

func (w *world) must(c *call) (http.Header, string) {
	w.t.Helper()
	w.admin.at = time.Now()
	code, body, h := send(w.t, w.admin.sign(w.bases[0], c))
	if code >= 300 {
		w.t.Fatalf("%s %s %v: %d %s", c.method, c.path, c.query, code, body)
	}
	return h, body
}

// state is all that a request could have changed.
func (w *world) state() string {
	w.t.Helper()
	var b bytes.Buffer
	for _, c := range []call{
		{path: "/"}, {path: "/" + bucket, query: url.Values{"versions": {""}}}, {path: "/" + bucket, query: url.Values{"uploads": {""}}},
		{path: "/" + bucket, query: url.Values{"versioning": {""}}}, {path: "/" + bucket, query: url.Values{"acl": {""}}},
		{path: w.path(s3.Key)}, {path: w.path(s3.Key), query: url.Values{"tagging": {""}}}, {path: w.path(s3.Key), query: url.Values{"acl": {""}}},
		{path: w.path(s3.Key), query: url.Values{"uploadId": {w.upload}}},
	} {
		c.method = "GET"
		_, doc := w.must(&c)
		b.WriteString(doc + "\n")
	}
	for _, sub := range []string{"policy", "cors", "lifecycle", "tagging", "publicAccessBlock", "ownershipControls"} {
		w.admin.at = time.Now()
		code, _, _ := send(w.t, w.admin.sign(w.bases[0], &call{method: "GET", path: "/" + bucket, query: url.Values{sub: {""}}}))
		fmt.Fprintln(&b, sub, code)
	}
	return b.String()
}

// request is an operation as the table describes it.
func (w *world) request(o *s3.Operation) *call {
	c := &call{method: o.Method, path: w.path(o.Level), query: url.Values{}, header: map[string]string{}}
	for _, q := range o.Query {
		k, v, _ := strings.Cut(q, "=")
		switch k {
		case "uploadId":
			v = w.upload
		case "partNumber":
			v = "1"
		}
		c.query.Set(k, v)
	}
	if o.Copy {
		c.header["x-amz-copy-source"] = "/" + bucket + "/k/%C3%B6"
	}
	if o.Op == s3.GetObjectAttributes {
		c.header["x-amz-object-attributes"] = "ETag"
	}
	if o.MaxBody != 0 {
		c.body = "<Delete><Object><Key>k/ö</Key></Object></Delete>"
	}
	return c
}

func clone(c *call) *call {
	d := *c
	d.query, d.header = url.Values{}, map[string]string{}
	for k, v := range c.query {
		d.query[k] = v
	}
	for k, v := range c.header {
		d.header[k] = v
	}
	return &d
}

// stranger is one way of asking without the right to.
type stranger struct {
	name string
	make func(w *world, base string, o *s3.Operation) *http.Request // nil: does not apply
}

func strangers() []stranger {
	now := func(s signer) *signer { s.at = time.Now(); return &s }
	return []stranger{
		{"no credentials", func(w *world, base string, o *s3.Operation) *http.Request {
			if o.Op == s3.ListBuckets {
				return nil // answered: strangers own no buckets
			}
			return plain(base, w.request(o))
		}},
		{"wrong secret", func(w *world, base string, o *s3.Operation) *http.Request {
			return (&signer{w.admin.access, "wrong", time.Now()}).sign(base, w.request(o))
		}},
		{"unknown key", func(w *world, base string, o *s3.Operation) *http.Request {
			return (&signer{"NOBODY", "wrong", time.Now()}).sign(base, w.request(o))
		}},
		{"changed header", func(w *world, base string, o *s3.Operation) *http.Request {
			c := w.request(o)
			c.header["x-amz-meta-a"] = "1"
			r := now(w.admin).sign(base, c)
			r.Header.Set("x-amz-meta-a", "2")
			return r
		}},
		{"added header", func(w *world, base string, o *s3.Operation) *http.Request {
			r := now(w.admin).sign(base, w.request(o))
			r.Header.Set("x-amz-acl", "public-read-write")
			return r
		}},
		{"changed query", func(w *world, base string, o *s3.Operation) *http.Request {
			r := now(w.admin).sign(base, w.request(o))
			q := r.URL.Query()
			q.Set("x-id", "Other")
			r.URL.RawQuery = canonicalQuery(q)
			return r
		}},
		{"changed path", func(w *world, base string, o *s3.Operation) *http.Request {
			if o.Level != s3.Key {
				return nil
			}
			c := w.request(o)
			c.path += "x"
			r := now(w.admin).sign(base, c)
			r.URL.RawPath, r.URL.Path = w.path(s3.Key), "/"+bucket+"/"+key
			return r
		}},
		{"changed body and its sum", func(w *world, base string, o *s3.Operation) *http.Request {
			r := now(w.admin).sign(base, w.request(o))
			r.Header.Set("x-amz-content-sha256", hexSum("other"))
			return r
		}},
		{"expired", func(w *world, base string, o *s3.Operation) *http.Request {
			return (&signer{w.admin.access, w.admin.secret, time.Now().Add(-16 * time.Minute)}).sign(base, w.request(o))
		}},
		{"not yet", func(w *world, base string, o *s3.Operation) *http.Request {
			return (&signer{w.admin.access, w.admin.secret, time.Now().Add(16 * time.Minute)}).sign(base, w.request(o))
		}},
		{"expired presigned", func(w *world, base string, o *s3.Operation) *http.Request {
			return (&signer{w.admin.access, w.admin.secret, time.Now().Add(-time.Minute)}).presign(base, w.request(o), 30)
		}},
		{"changed presigned", func(w *world, base string, o *s3.Operation) *http.Request {
			r := now(w.admin).presign(base, w.request(o), 300)
			r.URL.RawQuery += "&x-id=Other"
			return r
		}},
		{"another method's signature", func(w *world, base string, o *s3.Operation) *http.Request {
			c := clone(w.request(o))
			c.method = "PATCH"
			r := now(w.admin).sign(base, c)
			r.Method = o.Method
			return r
		}},
		{"another user", func(w *world, base string, o *s3.Operation) *http.Request {
			if o.Level == s3.Service || o.Op == s3.CreateBucket {
				return nil // everybody's; that a bucket's name is taken is told by 409
			}
			return now(w.other).sign(base, w.request(o))
		}},
	}
}

// TestStrangersAreRefused asks for every operation in every way in which it must not be served, of each node in turn.
func TestStrangersAreRefused(t *testing.T) {
	w := newWorld(t)
	before := w.state()
	n := 0
	ops := s3.Operations()
	for i := range ops {
		o := &ops[i]
		if o.Op == s3.OptionsRequest || o.Op == s3.PostObject {
			continue // asked without credentials; a form carries its own
		}
		for _, s := range strangers() {
			base := w.bases[n%len(w.bases)]
			r := s.make(w, base, o)
			if r == nil {
				continue
			}
			n++
			code, body, _ := send(t, r)
			if want := 403; code != want && !(o.Op == s3.DeleteObjects && code == 200 && strings.Contains(body, "<Code>AccessDenied</Code>")) {
				t.Errorf("%s, %s: status %d, want %d: %.300s", o.Name, s.name, code, want, body)
			}
		}
		if after := w.state(); after != before {
			t.Fatalf("%s: something has changed\nbefore %s\nafter %s", o.Name, before, after)
		}
	}
	if n < 500 {
		t.Errorf("only %d requests were made", n)
	}
}

// TestChangedBodyIsRefused: the signature is right, the body is another one than was signed.
func TestChangedBodyIsRefused(t *testing.T) {
	w := newWorld(t)
	before := w.state()
	ops := s3.Operations()
	for i := range ops {
		o := &ops[i]
		if o.MaxBody == 0 || o.Op == s3.PostObject || o.Code != "" {
			continue
		}
		c := w.request(o)
		w.admin.at = time.Now()
		r := w.admin.sign(w.bases[i%len(w.bases)], c)
		other := strings.Replace(c.body, "Delete", "delete", 1)
		r.Body = io.NopCloser(strings.NewReader(other))
		code, body, _ := send(t, r)
		if code != 400 || !strings.Contains(body, "XAmzContentSHA256Mismatch") {
			t.Errorf("%s: status %d: %.300s", o.Name, code, body)
		}
		if after := w.state(); after != before {
			t.Fatalf("%s: something has changed\nbefore %s\nafter %s", o.Name, before, after)
		}
	}
}

// TestFormsOfStrangers: a form is refused whose policy is not signed by who it says, and changes nothing.
func TestFormsOfStrangers(t *testing.T) {
	w := newWorld(t)
	before := w.state()
	for name, fields := range map[string]string{
		"anonymous":     "",
		"bad signature": field("AWSAccessKeyId", w.admin.access) + field("policy", "eyJleHBpcmF0aW9uIjoiMjA5OS0wMS0wMVQwMDowMDowMFoiLCJjb25kaXRpb25zIjpbXX0=") + field("signature", "AAAA"),
		"unknown key":   field("AWSAccessKeyId", "NOBODY") + field("policy", "e30=") + field("signature", "AAAA"),
	} {
		body := fields + field("key", key) + "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nother\r\n--b--\r\n"
		for _, base := range w.bases {
			r, err := http.NewRequest("POST", base+"/"+bucket, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
			if code, doc, _ := send(t, r); code != 403 {
				t.Errorf("%s: status %d: %s", name, code, doc)
			}
		}
	}
	if after := w.state(); after != before {
		t.Errorf("something has changed\nbefore %s\nafter %s", before, after)
	}
}

func field(name, value string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
}
