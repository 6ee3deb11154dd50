package owner_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aistore/cksum"
	"aistore/cluster"
	"aistore/s3"
	"aistore/store"
)

type viewT = cluster.View

func crc32Of(b []byte) string {
	return base64.StdEncoding.EncodeToString(cksum.Of(cksum.CRC32, b).Raw())
}

func TestDeleteMany(t *testing.T) {
	w := newWorld(t, 1)
	o := w.targets[0]
	var items []s3.DeleteItem
	for i := range 500 {
		key := fmt.Sprint("k", i)
		if i%2 == 0 {
			w.want(200, "", call{method: "PUT", bucket: "plain", key: key, body: []byte("x")})
		}
		items = append(items, s3.DeleteItem{Key: key, Size: -1})
	}
	items = append(items, s3.DeleteItem{Key: "none", Size: -1, VersionID: "nonsense"}, s3.DeleteItem{Key: "", Size: -1})
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "cond", body: []byte("x")})
	items = append(items, s3.DeleteItem{Key: "cond", ETag: "other", Size: -1})
	body, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprintf("%s%s/%d", o.intra, s3.PathDelete, w.bucket("plain").ID), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(s3.HeaderCaller, string(alice.Append(nil)))
	resp, err := plainHTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var done []s3.Deleted
	if err := json.NewDecoder(resp.Body).Decode(&done); err != nil || len(done) != len(items) {
		t.Fatalf("%d lines, %v", len(done), err)
	}
	for i, d := range done[:500] {
		if d.Code != "" || d.Key != items[i].Key || d.Marker {
			t.Errorf("%+v", d)
		}
	}
	for i, code := range []string{"NoSuchVersion", "InvalidURI", "PreconditionFailed"} {
		if done[500+i].Code != code {
			t.Errorf("%+v, want %s", done[500+i], code)
		}
	}
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "k0"})
	v := w.plane.get()
	done, err = o.owner.DeleteMany(t.Context(), v, v.Buckets.Get("", "plain"), &bob, items[:3])
	if err != nil || done[0].Code != "AccessDenied" {
		t.Errorf("another user's: %+v %v", done, err)
	}
	w.want(200, "", call{method: "PUT", bucket: "kept", key: "v", body: []byte("x")})
	done, err = o.owner.DeleteMany(t.Context(), v, v.Buckets.Get("", "kept"), &alice, []s3.DeleteItem{{Key: "v", Size: -1}})
	if err != nil || !done[0].Marker || done[0].MarkerVersionID == "" {
		t.Errorf("versioned: %+v %v", done, err)
	}
}

// round applies rules as if some days had passed since the test began, so that midnight may fall into it.
func (w *world) round(days int) {
	w.t.Helper()
	day := w.plane.get().Config.S3.LifecycleDay.D()
	for _, o := range w.targets {
		if err := o.owner.Round(context.Background(), w.began.Add(time.Duration(days)*day)); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) rules(bucket, rules string) {
	w.configure(bucket, func(p *cluster.S3Props) {
		p.Lifecycle = "<LifecycleConfiguration>" + rules + "</LifecycleConfiguration>"
	})
}

func (w *world) exists(bucket string, keys map[string]bool) {
	w.t.Helper()
	for key, want := range keys {
		if got := w.do(call{method: "HEAD", bucket: bucket, key: key}).StatusCode == 200; got != want {
			w.t.Errorf("%s/%s exists: %v, want %v", bucket, key, got, want)
		}
	}
}

func TestLifecycleExpires(t *testing.T) {
	w := newWorld(t, 2)
	put := func(key string, size int, header ...string) {
		w.want(200, "", call{method: "PUT", bucket: "plain", key: key, body: random(size), header: header})
	}
	w.rules("plain", `<Rule><ID>1</ID><Status>Enabled</Status><Filter><Prefix>a/</Prefix></Filter><Expiration><Days>2</Days></Expiration></Rule>
		<Rule><ID>2</ID><Status>Enabled</Status><Filter><Tag><Key>t</Key><Value>1</Value></Tag></Filter><Expiration><Days>4</Days></Expiration></Rule>
		<Rule><ID>3</ID><Status>Enabled</Status><Filter><And><Prefix>s/</Prefix><ObjectSizeGreaterThan>100</ObjectSizeGreaterThan></And></Filter><Expiration><Days>2</Days></Expiration></Rule>
		<Rule><ID>4</ID><Status>Disabled</Status><Filter><Prefix>off/</Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule>
		<Rule><ID>5</ID><Status>Enabled</Status><Filter><Prefix>past/</Prefix></Filter><Expiration><Date>2015-01-01T00:00:00Z</Date></Expiration></Rule>`)
	for i := range 20 {
		put(fmt.Sprint("a/", i), 10)
	}
	put("b", 10)
	put("t", 10, "x-amz-tagging", "t=1&u=2")
	put("s/small", 100)
	put("s/large", 101)
	put("off/x", 10)
	put("past/x", 10)
	if h := w.want(200, "", call{method: "HEAD", bucket: "plain", key: "a/0"}).Header.Get("x-amz-expiration"); h == "" {
		t.Error("no x-amz-expiration")
	}
	w.round(0)
	w.exists("plain", map[string]bool{"a/0": true, "t": true, "s/large": true, "past/x": true, "off/x": true})
	w.round(2) // a date that is past takes what is written after it at midnight
	w.exists("plain", map[string]bool{"a/0": true, "past/x": false})
	w.round(4) // rounded up to midnight
	w.exists("plain", map[string]bool{"a/0": false, "a/19": false, "b": true, "t": true, "s/small": true, "s/large": false, "off/x": true})
	w.round(6)
	w.exists("plain", map[string]bool{"b": true, "t": false, "s/small": true, "off/x": true})
}

func TestLifecycleOfVersions(t *testing.T) {
	w := newWorld(t, 1)
	w.plane.set(func(v *viewT) { v.Config.S3.LifecycleDay = cluster.Duration(time.Hour) })
	versions := func() (n, markers int) {
		for _, o := range w.targets {
			n, markers = o.versions(t, w.bucket("kept").ID)
		}
		return n, markers
	}
	for i := range 5 {
		w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", body: []byte(fmt.Sprint(i))})
	}
	w.rules("kept", `<Rule><ID>1</ID><Status>Enabled</Status><Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>`)
	w.round(2)
	if n, m := versions(); n != 3 || m != 0 {
		t.Errorf("%d versions and %d markers, want the current and 2 newer", n, m)
	}
	w.rules("kept", `<Rule><ID>1</ID><Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration></Rule>`)
	w.round(2)
	if n, m := versions(); n != 3 || m != 1 {
		t.Errorf("%d versions and %d markers, want a marker over 3", n, m)
	}
	w.rules("kept", `<Rule><ID>1</ID><Status>Enabled</Status><Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>`)
	w.round(2)
	if n, m := versions(); n != 0 || m != 1 {
		t.Errorf("%d versions and %d markers, want a marker alone", n, m)
	}
	w.round(2)
	if n, m := versions(); n != 0 || m != 0 {
		t.Errorf("%d versions and %d markers, want nothing", n, m)
	}
}

func TestLifecycleOfUploads(t *testing.T) {
	w := newWorld(t, 1)
	u, other := w.begin("plain", "a/k"), w.begin("plain", "b")
	u.put([]byte("x"))
	w.rules("plain", `<Rule><ID>1</ID><Status>Enabled</Status><Filter><Prefix>a/</Prefix></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`)
	w.round(0)
	w.want(200, "", call{method: "GET", bucket: "plain", key: "a/k", query: "uploadId=" + u.id})
	w.round(3)
	w.want(404, "NoSuchUpload", call{method: "GET", bucket: "plain", key: "a/k", query: "uploadId=" + u.id})
	w.want(200, "", call{method: "GET", bucket: "plain", key: "b", query: "uploadId=" + other.id})
	w.round(8) // s3.upload_ttl
	w.want(404, "NoSuchUpload", call{method: "GET", bucket: "plain", key: "b", query: "uploadId=" + other.id})
}

// TestLifecycleOfManyUploads: all of them go in one round, however many there are, of many keys and of one.
func TestLifecycleOfManyUploads(t *testing.T) {
	w := newWorld(t, 1)
	for i := range 1200 { // a node looks at 1,000 at a time
		w.begin("plain", fmt.Sprintf("k%d", i/3))
	}
	w.rules("plain", `<Rule><ID>1</ID><Status>Enabled</Status><Filter/><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`)
	if err := w.targets[0].owner.Round(t.Context(), w.began.Add(72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	left := 0
	err := w.targets[0].store.ListUploads(t.Context(), store.UploadQuery{Bucket: w.name("plain", "k").Bucket}, func(*store.Upload) bool { left++; return true })
	if err != nil || left > 0 {
		t.Errorf("%d are left, %v", left, err)
	}
}

// TestLifecycleChangesInARound: what was acknowledged in the middle of a round holds for what the round has not removed yet.
func TestLifecycleChangesInARound(t *testing.T) {
	rule := `<Rule><ID>1</ID><Status>Enabled</Status><Filter><Prefix>k</Prefix></Filter><Expiration><Days>1</Days></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`
	changes := map[string]func(w *world){
		"the rules were removed": func(w *world) { w.configure("plain", func(p *cluster.S3Props) { p.Lifecycle = "" }) },
		"another rule": func(w *world) {
			w.rules("plain", `<Rule><ID>1</ID><Status>Disabled</Status><Filter/><Expiration><Days>1</Days></Expiration></Rule>`)
		},
		"versions were switched on": func(w *world) {
			w.configure("plain", func(p *cluster.S3Props) { p.Versioning = cluster.VersioningEnabled })
		},
		"a longer day": func(w *world) {
			w.plane.set(func(v *viewT) { v.Config.S3.LifecycleDay = cluster.Duration(1000 * time.Hour) })
		},
	}
	for what, change := range changes {
		for _, look := range []string{"uploads", "objects"} {
			t.Run(what+"/"+look, func(t *testing.T) {
				w := newWorld(t, 1)
				for at := 2; w.changesAt(t, look, at, rule, change); at++ { // each look of the round at the view
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// removes reports whether it is called by what removes in a round. A change at the look of another, of what walks over the names among them, may come behind
// the last look before a removal.
func removes() bool {
	stack := string(debug.Stack())
	return strings.Contains(stack, "(*Owner).Round") || strings.Contains(stack, "(*sweep).remove")
}

// changesAt makes the change before the given look at the view of what removes in a round, and finds what the rule would remove still there; false when the round does
// not look so often.
func (w *world) changesAt(t *testing.T, what string, at int, rule string, change func(*world)) bool {
	w.plane.set(func(v *viewT) { v.Config.S3.LifecycleDay = cluster.Duration(time.Hour) })
	w.rules("plain", rule)
	w.configure("plain", func(p *cluster.S3Props) { p.Versioning = "" })
	it := call{method: "DELETE", bucket: "plain", key: "k"}
	if what == "uploads" {
		it.query = "uploadId=" + w.begin("plain", "k").id
	} else {
		w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("x")})
	}
	var looks atomic.Int64
	ctl := w.targets[0].ctl
	ctl.onView(func(int) {
		if removes() && looks.Add(1) == int64(at) {
			change(w)
		}
	})
	w.round(2)
	ctl.onView(nil)
	if n := looks.Load(); n < int64(at) {
		if at < 5 {
			t.Errorf("the round looks only %d times at the view", n)
		}
		return false
	}
	w.configure("plain", func(p *cluster.S3Props) { p.Versioning = "" })
	read := it
	read.method = "GET"
	if a := w.do(read); a.StatusCode != 200 {
		t.Errorf("removed, though it changed before look %d: %d", at, a.StatusCode)
	}
	w.want(204, "", it)
	return true
}
