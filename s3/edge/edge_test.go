package edge_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// TestNoWriteIntoADeletedBucket puts objects through all nodes while the bucket is deleted: when that succeeds none of them was acknowledged,
// else all that were are there.
func TestNoWriteIntoADeletedBucket(t *testing.T) {
	w := newWorld(t, 2)
	outcomes := map[int]int{}
	var sealed chan struct{}
	w.plane.applied = func(cmd cluster.Command) {
		if c, ok := cmd.(cluster.SetBucketProps); ok && c.Props.S3.Sealed > 0 {
			close(sealed)
		}
	}
	for round := range 60 {
		bucket := fmt.Sprintf("/doomed-%d", round)
		w.want(200, "", call{method: "PUT", path: bucket})
		var wg sync.WaitGroup
		acked := make([]atomic.Bool, []int{6, 1, 6}[round%3])
		begin := make(chan struct{})
		sealed = make(chan struct{})
		putWhen := begin
		if round%3 == 2 { // while the bucket is looked at for the last time
			putWhen = sealed
		}
		for i := range acked {
			wg.Go(func() {
				<-putWhen
				a := w.do(call{method: "PUT", path: fmt.Sprintf("%s/k%d", bucket, i), body: []byte("x"), via: i % len(w.urls)})
				switch a.StatusCode {
				case 200:
					acked[i].Store(true)
				case 404, 409, 503:
				default:
					t.Errorf("PUT: %d %.200s", a.StatusCode, a.body)
				}
			})
		}
		status := 0
		wg.Go(func() {
			<-begin
			status = w.do(call{method: "DELETE", path: bucket, via: round % len(w.urls)}).StatusCode
		})
		close(begin)
		wg.Wait()
		outcomes[status]++
		for i := range acked {
			if !acked[i].Load() {
				continue
			}
			if status == http.StatusNoContent {
				t.Errorf("round %d: the bucket is gone, and with it k%d, which was acknowledged", round, i)
			} else if a := w.do(call{method: "GET", path: fmt.Sprintf("%s/k%d", bucket, i)}); a.StatusCode != 200 || string(a.body) != "x" {
				t.Errorf("round %d: k%d was acknowledged: %d %.200s", round, i, a.StatusCode, a.body)
			}
		}
		if status != http.StatusNoContent && status != http.StatusConflict {
			t.Errorf("round %d: DELETE: %d", round, status)
		}
	}
	t.Log(outcomes)
	if outcomes[http.StatusNoContent] < 20 {
		t.Errorf("only %d buckets were deleted", outcomes[http.StatusNoContent])
	}
}

// seal seals the bucket "data".
func (w *world) seal(until time.Time) {
	w.t.Helper()
	b := w.plane.View().Buckets.Get("", "data")
	props := b.Props
	props.S3.Sealed = until.Unix()
	if _, err := w.plane.Propose(w.t.Context(), cluster.SetBucketProps{Name: b.Name, Props: props, Version: b.Version}); err != nil {
		w.t.Fatal(err)
	}
}

// TestSealEnds leaves a bucket sealed as a node would that ended while it deleted it: writes are refused until the seal ends by itself.
func TestSealEnds(t *testing.T) {
	w := newWorld(t, 1)
	w.seal(time.Now().Add(time.Hour))
	if a := w.do(call{method: "PUT", path: "/data/k", body: []byte("x")}); a.StatusCode < 400 {
		t.Errorf("a sealed bucket took a write: %d", a.StatusCode)
	}
	w.want(404, "NoSuchKey", call{method: "GET", path: "/data/k"})
	w.seal(time.Now().Add(-time.Second))
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x")})
	w.want(409, "BucketNotEmpty", call{method: "DELETE", path: "/data"})
	w.want(200, "", call{method: "PUT", path: "/data/k2", body: []byte("x")}) // the seal of the attempt has been taken off
}

// TestSealIsNotTakenOver: of two requests that delete a bucket one waits for the other. With a seal for both, the one that finds the bucket not
// empty would take it away, and what is written then would go when the other destroys the bucket.
func TestSealIsNotTakenOver(t *testing.T) {
	w := newWorld(t, 1)
	until := time.Now().Add(time.Hour)
	w.seal(until)
	for via, e := range w.edges {
		e.Hasten(0)
		w.want(409, "OperationAborted", call{method: "DELETE", path: "/data", via: via})
		if now := w.plane.View().Buckets.Get("", "data").Props.S3.Sealed; now != until.Unix() {
			t.Fatalf("sealed until %d, was %d", now, until.Unix())
		}
		e.Hasten(time.Minute)
	}
	w.seal(time.Now().Add(2 * time.Second))
	w.want(204, "", call{method: "DELETE", path: "/data"})
}

// TestStrangersAreAnsweredWithALease: a node that may not have heard of a change does not let strangers in as before.
func TestStrangersAreAnsweredWithALease(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", path: "/data?acl", header: []string{"x-amz-acl", "public-read"}})
	head, list := call{method: "HEAD", path: "/data", who: &nobody}, call{method: "GET", path: "/data?list-type=2", who: &nobody}
	for range 2 {
		w.want(200, "", head)
		w.want(200, "", list)
		lost := errs.E("test", "primary", errs.Unavailable)
		w.plane.setPrimary(lost, lost)
		for _, c := range []call{head, list} {
			if a := w.want(503, "ServiceUnavailable", c); a.Header.Get("x-amz-retry-after") < "1000" {
				t.Errorf("%s: SDKs are told to come back after %q ms", c.method, a.Header.Get("x-amz-retry-after"))
			}
		}
		w.plane.setPrimary(nil, nil)
	}
}

// TestStaleReads: who signs may read objects of a bucket with stale_reads through a node without a lease, and do nothing else there.
func TestStaleReads(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x")})
	b := w.plane.View().Buckets.Get("", "data")
	props := b.Props
	props.StaleReads = true
	if _, err := w.plane.propose(cluster.SetBucketProps{Name: "data", Props: props, Version: b.Version}); err != nil {
		t.Fatal(err)
	}
	lost := errs.E("test", "primary", errs.Unavailable)
	w.plane.setPrimary(lost, lost)
	read := call{method: "GET", path: "/data/k"}
	w.want(503, "ServiceUnavailable", read)
	w.plane.setPrimary(lost, errs.E("test", "lease", errs.Unavailable, cluster.ErrRanOut))
	if a := w.want(200, "", read); string(a.body) != "x" || a.Header.Get(api.HeaderStale) != "true" {
		t.Errorf("%q %v", a.body, a.Header)
	}
	for _, c := range []call{{method: "PUT", path: "/data/k", body: []byte("y")}, {method: "GET", path: "/data?list-type=2"}, {method: "GET", path: "/"}, {method: "HEAD", path: "/data"}} {
		w.want(503, "ServiceUnavailable", c)
	}
	liar := alice
	liar.secret = "wrong"
	w.want(403, "SignatureDoesNotMatch", call{method: "GET", path: "/data/k", who: &liar})
}

// TestChangesAtTheSameTime: who changes one document of a bucket is not refused because others change others, however many they are, and the
// seal of a bucket that is not deleted after all is taken away.
func TestChangesAtTheSameTime(t *testing.T) {
	const most = 12
	w := newWorld(t, 1)
	others := 0
	another := func() {
		if others == most {
			return
		}
		others++
		b := w.plane.View().Buckets.Get("", "data")
		props := b.Props
		props.S3.Tags = fmt.Sprintf("<Tagging><TagSet><Tag><Key>n</Key><Value>%d</Value></Tag></TagSet></Tagging>", others)
		if _, err := w.plane.propose(cluster.SetBucketProps{Name: "data", Props: props, Version: b.Version}); err != nil {
			t.Error(err)
		}
	}
	w.plane.before = func(cluster.Command) { another() }
	w.want(200, "", call{method: "PUT", path: "/data?versioning", body: []byte("<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")})
	if p := w.plane.View().Buckets.Get("", "data").Props.S3; others != most || p.Versioning != cluster.VersioningSuspended || !strings.Contains(p.Tags, ">12<") {
		t.Errorf("%d others, %+v", others, p)
	}

	others = 0
	w.plane.before = func(cmd cluster.Command) {
		if set, ok := cmd.(cluster.SetBucketProps); ok && set.Props.S3.Sealed == 0 {
			another()
		} else if ok && others == 0 {
			w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x")})
		}
	}
	w.want(409, "BucketNotEmpty", call{method: "DELETE", path: "/data"})
	if p := w.plane.View().Buckets.Get("", "data").Props.S3; others != most || p.Sealed != 0 {
		t.Errorf("%d others, %+v", others, p)
	}
}

// TestErrorsAreXML asks what nobody could answer.
func TestErrorsAreXML(t *testing.T) {
	w := newWorld(t, 1)
	if a := w.do(call{method: "PATCH", path: "/data/k"}); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD, PUT, DELETE" { // RFC 9110, 15.5.6
		t.Errorf("PATCH: %d, %v", a.StatusCode, a.Header)
	}
	for name, c := range map[string]struct {
		call
		status int
		code   string
	}{
		"long header":     {call{method: "GET", path: "/data/k", header: []string{"x-amz-meta-a", strings.Repeat("a", 60<<10)}, who: &nobody}, 431, "RequestHeaderSectionTooLarge"},
		"long target":     {call{method: "GET", path: "/data/" + strings.Repeat("k", 60<<10), who: &nobody}, 431, "RequestHeaderSectionTooLarge"},
		"wrong signature": {call{method: "GET", path: "/data/k", who: &user{"alice", alice.access, "wrong"}}, 403, "SignatureDoesNotMatch"},
		"nobody's key":    {call{method: "GET", path: "/data/k", who: &user{"x", "x", "x"}}, 403, "InvalidAccessKeyId"},
		"signed twice": {call{method: "GET", path: "/data/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=a&X-Amz-Signature=b", who: &nobody},
			400, "AuthorizationQueryParametersError"},
		"no such bucket":  {call{method: "GET", path: "/nothing/k"}, 404, "NoSuchBucket"},
		"a stranger":      {call{method: "GET", path: "/data/k", who: &bob}, 403, "AccessDenied"},
		"forged redirect": {call{method: "GET", path: "/data/k?ais-redirect=9999999999.1.AAAAAAAAAAAAAAAAAAAAAA.eA", who: &nobody}, 403, "AccessDenied"},
	} {
		c.via = 1
		a := w.do(c.call)
		var doc struct {
			XMLName xml.Name `xml:"Error"`
			Code    string
		}
		if err := xml.NewDecoder(bytes.NewReader(a.body)).Decode(&doc); err != nil || doc.Code != c.code || a.StatusCode != c.status {
			t.Errorf("%s: %d %s (%v), want %d %s: %.300s", name, a.StatusCode, doc.Code, err, c.status, c.code, a.body)
		}
	}
}

// TestSignedHeadersReachTheOwner: what Connection names is dropped by those who pass a request on, but not inside of the server that is asked.
func TestSignedHeadersReachTheOwner(t *testing.T) {
	w := newWorld(t, 2)
	for via := range w.urls {
		w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("first")})
		w.want(412, "PreconditionFailed", call{method: "PUT", path: "/data/k", body: []byte("second"), header: []string{"If-None-Match", "*", "Connection", "if-none-match"}, via: via})
		w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x"), header: []string{"x-amz-meta-a", "b", "Connection", "keep-alive, x-amz-meta-a"}, via: via})
		if a := w.want(200, "", call{method: "GET", path: "/data/k", via: via}); a.Header.Get("x-amz-meta-a") != "b" {
			t.Errorf("via %d: %v", via, a.Header)
		}
	}
}

// TestListsTakeLongNames: what is longer than a key may be stands in a list's query, too, whichever node is asked.
func TestListsTakeLongNames(t *testing.T) {
	w := newWorld(t, 2)
	w.want(200, "", call{method: "PUT", path: "/data/b", body: []byte("x")})
	long := func(c string) string { return strings.Repeat(c, 3000) }
	for via := range w.urls {
		for query, found := range map[string]bool{
			"list-type=2&start-after=" + long("a") + "&delimiter=" + long("d"): true, "list-type=2&start-after=" + long("c") + "&delimiter=" + long("d"): false,
			"list-type=2&prefix=" + long("b") + "&delimiter=" + long("d"): false,
			"marker=" + long("a") + "&delimiter=" + long("d"):             true, "marker=" + long("b") + "&delimiter=" + long("d"): false,
			"versions&key-marker=" + long("a") + "&delimiter=" + long("d"): true, "versions&prefix=" + long("b") + "&key-marker=" + long("a"): false,
			"uploads&key-marker=" + long("a") + "&delimiter=" + long("d"): false,
		} {
			a := w.want(200, "", call{method: "GET", path: "/data?" + query, via: via})
			if strings.Contains(string(a.body), "<Key>b</Key>") != found {
				t.Errorf("via %d: %.40s...: found %v, want %v", via, query, !found, found)
			}
		}
	}
}

// TestUnknownKeyWhileNobodyCanBeAsked: a key that this node does not know may be new, and its user is not told that there is none.
func TestUnknownKeyWhileNobodyCanBeAsked(t *testing.T) {
	w := newWorld(t, 1)
	w.want(200, "", call{method: "PUT", path: "/data/k", body: []byte("x")})
	ann := user{"ann", "ann-access", "ann-secret"}
	w.want(403, "InvalidAccessKeyId", call{method: "GET", path: "/data/k", who: &ann})
	w.plane.setPrimary(errs.E("test", "primary", errs.Unavailable), nil)
	w.want(503, "ServiceUnavailable", call{method: "GET", path: "/data/k", who: &ann})
	w.want(503, "ServiceUnavailable", newForm("up/x", text(20)).set("AWSAccessKeyId", "ann-access").call())
	w.want(200, "", call{method: "GET", path: "/data/k"})
	w.plane.setPrimary(nil, nil)
	w.want(403, "InvalidAccessKeyId", call{method: "GET", path: "/data/k", who: &ann})
}
