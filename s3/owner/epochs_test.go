package owner_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// restless makes worlds of three targets in which names go to other targets before each request, and nothing is ever moved but by first
// touches. Set by TestRestless alone.
var restless bool

// TestRestless runs other tests in restless worlds: nobody may notice.
func TestRestless(t *testing.T) {
	restless = true
	defer func() { restless = false }()
	for name, test := range map[string]func(*testing.T){
		"multipart": TestMultipart, "refusals": TestMultipartRefusals, "conditional": TestConditionalCompletion, "checksums": TestMultipartChecksums,
		"versioned-upload": TestVersionedUpload, "initiator": TestInitiator, "copy": TestCopy, "copy-rights": TestCopyNeedsToRead,
		"copy-self": TestCopyOntoItself, "copy-part": TestCopyPart,
	} {
		t.Run(name, test)
	}
}

// place puts exactly the named targets into service, begins an epoch, and lets all of them be sources.
func (w *world) place(ids ...cluster.NodeID) {
	w.plane.set(func(v *cluster.View) {
		m := v.Map
		var old []cluster.Placed
		for _, n := range m.Targets() {
			old = append(old, cluster.Placed{ID: n.ID, Weight: n.Weight})
		}
		m.Former = append(slices.DeleteFunc(slices.Clone(m.Former), func(p cluster.Placement) bool { return slices.Equal(p.Targets, old) }),
			cluster.Placement{Epoch: m.Epoch, Targets: old})
		m.Nodes, m.Sources = maps.Clone(m.Nodes), map[cluster.NodeID]cluster.Source{}
		for id, n := range m.Nodes {
			cp := *n
			if cp.State = cluster.Maintenance; slices.Contains(ids, id) {
				cp.State = cluster.Online
			}
			m.Nodes[id] = &cp
			m.Sources[id] = cluster.Source{Stage: cluster.Moving}
		}
		m.Epoch++
		m.Version++
	})
}

// turn takes the next of some placements.
func (w *world) turn() {
	turns := [][]cluster.NodeID{{"t1", "t2", "t3"}, {"t1"}, {"t3"}, {"t2", "t3"}, {"t1", "t3"}, {"t2"}}
	w.turns++
	w.place(turns[w.turns%len(turns)]...)
}

// TestLongKeys: a key that is too long for the answer is read where it is while it comes, and copied from there.
func TestLongKeys(t *testing.T) {
	w := newWorld(t, 2)
	w.place("t1")
	body := random(3 << 20)
	keys := []string{"get", "range", "head", "copy", "tags", "overwrite", "delete"}
	for _, k := range keys {
		w.want(200, "", call{method: "PUT", bucket: "plain", key: k, body: body, header: []string{"x-amz-tagging", "a=b"}})
	}
	w.place("t2")
	if got := w.want(200, "", call{method: "GET", bucket: "plain", key: "get"}); !bytes.Equal(got.body, body) || got.Header.Get("ETag") != etag(body) {
		t.Errorf("%d bytes, %v", len(got.body), got.Header)
	}
	if got := w.want(206, "", call{method: "GET", bucket: "plain", key: "range", header: []string{"Range", "bytes=1000000-1000999"}}); !bytes.Equal(got.body, body[1000000:1001000]) {
		t.Error("other bytes")
	}
	if got := w.want(200, "", call{method: "HEAD", bucket: "plain", key: "head"}); got.Header.Get("Content-Length") != fmt.Sprint(len(body)) {
		t.Errorf("%v", got.Header)
	}
	w.want(200, "", call{method: "PUT", bucket: "other", key: "copied", header: []string{"x-amz-copy-source", "plain/copy"}})
	if got := w.want(200, "", call{method: "GET", bucket: "other", key: "copied"}); !bytes.Equal(got.body, body) {
		t.Error("other bytes in the copy")
	}
	if got := w.want(200, "", call{method: "GET", bucket: "plain", key: "tags", query: "tagging"}); !strings.Contains(string(got.body), "<Key>a</Key>") {
		t.Errorf("%s", got.body)
	}
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "overwrite", body: []byte("new")})
	w.want(204, "", call{method: "DELETE", bucket: "plain", key: "delete"})
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "delete"})
	for _, k := range keys[:2] {
		for got := ""; got != etag(body); { // it arrives although nobody waits for it
			info, err := w.targets[1].store.Stat(w.name("plain", k))
			if err != nil && !errs.Is(err, errs.NotFound) {
				t.Fatal(err)
			}
			got = `"` + info.ETag + `"`
		}
	}
}

// TestVersionsMove: a key with versions moves whole, and what was removed for good does not come back.
func TestVersionsMove(t *testing.T) {
	w := newWorld(t, 3)
	w.place("t1")
	put := func(body string) string {
		return w.want(200, "", call{method: "PUT", bucket: "kept", key: "k", body: []byte(body)}).Header.Get("x-amz-version-id")
	}
	first, second := put("one"), put("two")
	w.place("t2")
	w.want(204, "", call{method: "DELETE", bucket: "kept", key: "k"})
	w.place("t3")
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "kept", key: "k"})
	w.want(204, "", call{method: "DELETE", bucket: "kept", key: "k", query: "versionId=" + first})
	w.place("t1") // which has both versions and no marker
	w.want(404, "NoSuchKey", call{method: "GET", bucket: "kept", key: "k"})
	w.want(404, "NoSuchVersion", call{method: "GET", bucket: "kept", key: "k", query: "versionId=" + first})
	if got := w.want(200, "", call{method: "GET", bucket: "kept", key: "k", query: "versionId=" + second}); string(got.body) != "two" {
		t.Errorf("%q", got.body)
	}
	w.place("t2")
	third := put("three")
	w.place("t3")
	if got := w.want(200, "", call{method: "GET", bucket: "kept", key: "k"}); string(got.body) != "three" || got.Header.Get("x-amz-version-id") != third {
		t.Errorf("%q %v", got.body, got.Header)
	}
}

// TestPartOnItsWay: a part whose key goes to another owner before it has arrived leaves nothing that would hold against what that one changes: parts that it
// acknowledged stay, and what it deleted does not come back, when the key returns.
func TestPartOnItsWay(t *testing.T) {
	for name, away := range map[string][]cluster.NodeID{"gone": {"t2"}, "back": {"t2", "t1"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.place("t1")
			w.want(200, "", call{method: "PUT", bucket: "plain", key: "k", body: []byte("deleted by t2")})
			u := w.begin("plain", "k")
			u.put([]byte("at t1"))
			late := []byte("arrives when the key is another's")
			who := alice
			who.Body.Decoded = int64(len(late))
			a := w.do(call{method: "PUT", bucket: "plain", key: "k", query: u.query(9), who: &who, header: []string{"Expect", "100-continue"}, stream: &meanwhile{
				it: func() {
					for i, id := range away {
						w.place(id)
						if i == 0 {
							w.want(204, "", call{method: "DELETE", bucket: "plain", key: "k"})
							u.put([]byte("at t2"))
						}
					}
				},
				Reader: bytes.NewReader(late),
			}})
			if name == "gone" && a.StatusCode == 200 {
				t.Fatal("the former owner has taken the part")
			}
			u.put([]byte("after it"))
			w.place("t1")
			w.want(404, "NoSuchKey", call{method: "GET", bucket: "plain", key: "k"})
			parts := string(w.want(200, "", call{method: "GET", bucket: "plain", key: "k", query: "uploadId=" + u.id}).body)
			for i, e := range u.etags {
				if !strings.Contains(parts, strings.Trim(e, `"`)) {
					t.Errorf("part %d is lost: %s", i+1, parts)
				}
			}
		})
	}
}

// TestPartJudgedAnew: a part is stored whole or refused for the moment, at whatever step its key has gone to another target and come back.
func TestPartJudgedAnew(t *testing.T) {
	w := newWorld(t, 2)
	w.place("t1")
	u := w.begin("plain", "k")
	for look := 1; look <= 8; look++ {
		data := random(100)
		w.targets[0].ctl.onView(func(n int) {
			if n == look {
				w.place("t2")
				w.place("t1")
			}
		})
		a := w.do(call{method: "PUT", bucket: "plain", key: "k", query: u.query(look), body: data})
		w.targets[0].ctl.onView(nil)
		if a.StatusCode != 503 && (a.StatusCode != 200 || a.Header.Get("ETag") != etag(data)) {
			t.Errorf("owners changed before look %d at the view: %d %s %s", look, a.StatusCode, a.code(), a.Header.Get("ETag"))
		}
	}
}

// TestLifecycleBesideSilence: an upload about which a node must be asked that does not answer keeps no object and no other upload from what rules say.
func TestLifecycleBesideSilence(t *testing.T) {
	w := newWorld(t, 2)
	w.place("t1")
	asked := w.begin("plain", "a/asked")
	w.place("t2") // which may have changed the upload since
	w.place("t1")
	later := w.begin("plain", "b/later")
	w.want(200, "", call{method: "PUT", bucket: "plain", key: "object", body: []byte("x")})
	w.rules("plain", `<Rule><ID>1</ID><Status>Enabled</Status><Filter/><Expiration><Days>1</Days></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`)
	w.plane.set(func(v *viewT) {
		v.Map.Nodes = maps.Clone(v.Map.Nodes)
		silent := *v.Map.Nodes["t2"]
		silent.Alive, silent.IntraAddr = false, "127.0.0.1:1"
		v.Map.Nodes["t2"] = &silent
	})
	o := w.targets[0]
	if err := o.owner.Round(t.Context(), w.began.Add(72*time.Hour)); !errs.Is(err, errs.Busy, errs.Unavailable) {
		t.Errorf("the node that must be asked does not answer: %v", err)
	}
	if _, err := o.store.Stat(w.name("plain", "object")); !errs.Is(err, errs.NotFound) {
		t.Errorf("the object was not expired: %v", err)
	}
	if _, err := o.store.Upload(w.name("plain", "b/later"), later.id); !errs.Is(err, errs.NotFound) {
		t.Errorf("the other upload was not aborted: %v", err)
	}
	if _, err := o.store.Upload(w.name("plain", "a/asked"), asked.id); err != nil {
		t.Errorf("nobody knows whether it got parts elsewhere: %v", err)
	}
}
