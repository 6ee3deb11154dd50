package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/api"
	"aistore/cksum"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// fake is a cluster of net/http servers in this process: gateways that redirect, targets that keep objects in memory and
// refuse what they do not own. Tests change its map under the client and cut its connections.
type fake struct {
	t     *testing.T
	mu    sync.Mutex
	view  *cluster.View
	nodes map[cluster.NodeID]*fakeNode
	jobs  int
	log   []string // "node METHOD path" of every request but those for the view
}

type fakeNode struct {
	f    *fake
	id   cluster.NodeID
	srv  *httptest.Server
	old  *cluster.View // answers from this view; nil = the cluster's
	objs map[string]*fakeObject
	// fault, if set, sees each request first; true means that it has answered.
	fault func(w http.ResponseWriter, r *http.Request) bool
}

type fakeObject struct {
	data   []byte
	etag   string
	custom map[string]string
	at     time.Time
}

// newFake starts g gateways and n targets with one bucket "bkt".
func newFake(t *testing.T, g, n int) *fake {
	f := &fake{t: t, nodes: map[cluster.NodeID]*fakeNode{}}
	f.view = &cluster.View{
		Index: 1, Map: &cluster.Map{Version: 1, Epoch: 1, UUID: "fake", Nodes: map[cluster.NodeID]*cluster.Node{}},
		Buckets: &cluster.BucketMap{Version: 1, NextID: 1, Buckets: map[string]*cluster.Bucket{}}, Config: cluster.DefaultConfig(),
	}
	for i := range g {
		f.add(cluster.NodeID(fmt.Sprintf("g%d", i)), cluster.RoleProxy)
	}
	for i := range n {
		f.add(cluster.NodeID(fmt.Sprintf("t%d", i)), cluster.RoleTarget)
	}
	f.change(func(v *cluster.View) { addBucket(v, "bkt") })
	return f
}

func addBucket(v *cluster.View, name string) {
	b := &cluster.Bucket{ID: v.Buckets.NextID, Name: name, Seed: v.Buckets.NextID * 77, Props: cluster.DefaultBucketProps()}
	v.Buckets.NextID++
	v.Buckets.Buckets[b.Key()] = b
}

func (f *fake) add(id cluster.NodeID, role cluster.Role) *fakeNode {
	n := &fakeNode{f: f, id: id, objs: map[string]*fakeObject{}}
	n.srv = newServer(f.t, n)
	f.nodes[id] = n
	f.change(func(v *cluster.View) {
		v.Map.Nodes[id] = &cluster.Node{
			ID: id, Role: role, State: cluster.Online, Alive: true, Weight: 100, PublicURL: n.srv.URL, Digest: cluster.NodeDigest(string(id)),
		}
	})
	return n
}

func newServer(t *testing.T, n *fakeNode) *httptest.Server {
	srv := httptest.NewServer(n)
	t.Cleanup(srv.Close)
	return srv
}

// change publishes a new view.
func (f *fake) change(edit func(v *cluster.View)) *cluster.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, err := json.Marshal(f.view)
	if err != nil {
		f.t.Fatal(err)
	}
	var v cluster.View
	if err := json.Unmarshal(raw, &v); err != nil {
		f.t.Fatal(err)
	}
	edit(&v)
	v.Index++
	v.Map.Version++
	old := f.view
	f.view = v.Freeze()
	return old
}

// now returns the view that n answers from.
func (n *fakeNode) now() *cluster.View {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if n.old != nil {
		return n.old
	}
	return n.f.view
}

func (f *fake) setFault(id cluster.NodeID, fault func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes[id].fault = fault
}

// requests returns the log and empties it.
func (f *fake) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.log, "; ")
	f.log = nil
	return s
}

// owner returns the node that owns key in that bucket.
func (f *fake) owner(key string) *fakeNode {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[f.view.Owner(f.view.Buckets.Get("", "bkt"), key).ID]
}

// keyOf returns a key that id owns.
func (f *fake) keyOf(id cluster.NodeID) string {
	for i := 0; ; i++ {
		if k := fmt.Sprintf("key-%d", i); f.owner(k).id == id {
			return k
		}
	}
}

func (f *fake) client(edit func(*Options)) *Client {
	f.t.Helper()
	o := Options{
		Endpoints: []string{f.nodes["g0"].srv.URL},
		Retry:     Retry{Attempts: 8, Min: time.Millisecond, Max: 5 * time.Millisecond},
	}
	if edit != nil {
		edit(&o)
	}
	c, err := New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

func refuse(w http.ResponseWriter, r *http.Request, status int, kind errs.Kind, message string) {
	w.Header().Set(api.HeaderErrorKind, kind.String())
	w.Header().Set("Content-Type", api.TypeJSON)
	if r.Method == http.MethodHead {
		w.Header().Set("ais-error", message)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Error{Status: status, Message: message, Kind: kind.String(), Node: "n", RequestID: "r1"})
}

// ServeHTTP is one node.
func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := n.now()
	if r.URL.Path == api.PathDaemon && r.URL.Query().Get(api.QueryWhat) == api.WhatView {
		w.Header().Set(api.HeaderMapVersion, strconv.FormatUint(v.Map.Version, 10))
		_ = json.NewEncoder(w).Encode(v)
		return
	}
	n.f.mu.Lock()
	n.f.log = append(n.f.log, fmt.Sprintf("%s %s %s", n.id, r.Method, r.URL.Path))
	fault := n.fault
	n.f.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, api.PathObjects+"/"):
		n.object(w, r, v)
	case strings.HasPrefix(r.URL.Path, api.PathBuckets):
		n.bucket(w, r, v)
	default:
		n.cluster(w, r, v)
	}
}

func (n *fakeNode) object(w http.ResponseWriter, r *http.Request, v *cluster.View) {
	rest, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), api.PathObjects+"/"))
	if err != nil {
		refuse(w, r, 400, errs.Invalid, err.Error())
		return
	}
	name, key, _ := strings.Cut(rest, "/")
	b := v.Buckets.Get("", name)
	if b == nil {
		refuse(w, r, 404, errs.NoBucket, "ais://"+name+": does not exist")
		return
	}
	owner := v.Owner(b, key)
	if n.role(v) == cluster.RoleProxy {
		if !owner.Alive {
			w.Header().Set("Retry-After", "0")
			refuse(w, r, 503, errs.Unavailable, "the owner is away")
			return
		}
		w.Header().Set("Location", owner.PublicURL+r.URL.RequestURI())
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	if owner.ID != n.id {
		w.Header().Set(api.HeaderMapVersion, strconv.FormatUint(v.Map.Version, 10))
		refuse(w, r, 421, errs.WrongOwner, "owned by "+string(owner.ID))
		return
	}
	n.serve(w, r, name+"/"+key)
}

func (n *fakeNode) role(v *cluster.View) cluster.Role { return v.Map.Nodes[n.id].Role }

func (n *fakeNode) serve(w http.ResponseWriter, r *http.Request, name string) {
	var data []byte
	if r.Method == http.MethodPut {
		var err error
		if data, err = io.ReadAll(r.Body); err != nil {
			return
		}
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	o := n.objs[name]
	var cur *object.Info
	if o != nil {
		cur = &object.Info{ETag: o.etag}
	}
	cond := object.Conditions{IfMatch: object.ParseETags(r.Header.Get("If-Match")), IfNoneMatch: object.ParseETags(r.Header.Get("If-None-Match"))}
	if err := cond.Check(cur, r.Method == "GET" || r.Method == "HEAD"); err != nil {
		refuse(w, r, map[errs.Kind]int{errs.Precondition: 412, errs.NotModified: 304}[errs.KindOf(err)], errs.KindOf(err), err.Error())
		return
	}
	if o == nil && r.Method != http.MethodPut {
		refuse(w, r, 404, errs.NotFound, "ais://"+name+": does not exist")
		return
	}
	switch r.Method {
	case http.MethodPut:
		n.put(w, r, name, data)
	case http.MethodDelete:
		delete(n.objs, name)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		var m api.ActionMsg
		if json.NewDecoder(r.Body).Decode(&m) != nil || m.Decode(&o.custom) != nil {
			w.WriteHeader(400)
		}
	default:
		o.headers(w.Header())
		http.ServeContent(w, r, "", o.at, bytes.NewReader(o.data))
	}
}

// put stores, appends or copies.
func (n *fakeNode) put(w http.ResponseWriter, r *http.Request, name string, data []byte) {
	q := r.URL.Query()
	if typ := q.Get(api.QueryAppendType); typ != "" {
		pending := "append:" + name
		if typ == api.AppendOp {
			n.objs[pending] = &fakeObject{data: append(n.objs[pending].content(), data...)}
			w.Header().Set(api.HeaderAppendHandle, fmt.Sprintf("handle-%d", len(n.objs[pending].data)))
			return
		}
		if want := fmt.Sprintf("handle-%d", len(n.objs[pending].content())); q.Get(api.QueryAppendHandle) != want {
			refuse(w, r, 409, errs.Conflict, "handle is not "+want)
			return
		}
		data = n.objs[pending].content()
		delete(n.objs, pending)
	}
	sum := cksum.Of(cksum.XXHash, data)
	if want := r.Header.Get(api.HeaderChecksumValue); want != "" && want != sum.Value {
		refuse(w, r, 400, errs.Checksum, "the content has "+sum.Value)
		return
	}
	o := &fakeObject{data: data, etag: sum.Value, at: time.Now()}
	for _, kv := range r.Header.Values(api.HeaderCustomMD) {
		o.custom = parseCustom(o.custom, kv)
	}
	n.objs[name] = o
	o.headers(w.Header())
	w.Header().Set(api.HeaderDurability, string(cluster.Local))
}

func (o *fakeObject) content() []byte {
	if o == nil {
		return nil
	}
	return o.data
}

func (o *fakeObject) headers(h http.Header) {
	h.Set("ETag", `"`+o.etag+`"`)
	h.Set(api.HeaderVersion, "1.1")
	h.Set(api.HeaderChecksumType, "xxhash")
	h.Set(api.HeaderChecksumValue, o.etag)
	h.Set("Content-Type", "application/octet-stream")
	var custom []string
	for k, v := range o.custom {
		custom = append(custom, k+"="+v)
	}
	sort.Strings(custom)
	if len(custom) > 0 {
		h.Set(api.HeaderCustomMD, strings.Join(custom, ", "))
	}
}

func (n *fakeNode) bucket(w http.ResponseWriter, r *http.Request, v *cluster.View) {
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, api.PathBuckets), "/")
	var m api.ActionMsg
	if r.Method != http.MethodHead {
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			refuse(w, r, 400, errs.Invalid, err.Error())
			return
		}
	}
	b := v.Buckets.Get("", name)
	if b == nil && m.Action != api.ActCreateBucket && name != "" {
		refuse(w, r, 404, errs.NoBucket, "ais://"+name+": does not exist")
		return
	}
	switch {
	case m.Action == api.ActCreateBucket && b != nil:
		refuse(w, r, 409, errs.Exists, "ais://"+name+": exists already")
	case m.Action == api.ActCreateBucket:
		n.f.change(func(v *cluster.View) { addBucket(v, name) })
	case m.Action == api.ActDestroyBucket:
		n.f.change(func(v *cluster.View) { delete(v.Buckets.Buckets, b.Key()) })
	case r.Method == http.MethodHead:
		raw, _ := json.Marshal(api.PropsOf(b))
		w.Header().Set(api.HeaderBucketProps, string(raw))
	case name == "":
		var bs []api.Bck
		for _, b := range v.Buckets.List() {
			bs = append(bs, api.BckOf(b))
		}
		_ = json.NewEncoder(w).Encode(bs)
	case m.Action == api.ActList:
		n.list(w, r, name, &m)
	case m.Action == api.ActSummaryBucket:
		n.summary(w, &m)
	case m.Action == api.ActDeleteObjects:
		var sel api.ObjectSelection
		if err := m.Decode(&sel); err != nil {
			refuse(w, r, 400, errs.Invalid, err.Error())
			return
		}
		n.f.erase(name, sel.Names)
		fmt.Fprint(w, `"job-1"`)
	default:
		refuse(w, r, 400, errs.Invalid, "unknown action "+m.Action)
	}
}

func (f *fake) erase(bucket string, keys []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		for _, k := range keys {
			delete(n.objs, bucket+"/"+k)
		}
	}
}

func (n *fakeNode) list(w http.ResponseWriter, r *http.Request, bucket string, m *api.ActionMsg) {
	var msg api.ListObjectsMsg
	if err := m.Decode(&msg); err != nil {
		refuse(w, r, 400, errs.Invalid, err.Error())
		return
	}
	var names []string
	n.f.mu.Lock()
	for _, node := range n.f.nodes {
		for name := range node.objs {
			key, ok := strings.CutPrefix(name, bucket+"/")
			if ok && strings.HasPrefix(key, msg.Prefix) && key > max(msg.Continuation, msg.StartAfter) {
				names = append(names, key)
			}
		}
	}
	n.f.mu.Unlock()
	sort.Strings(names)
	var page api.ListPage
	if size := int(msg.PageSize); size > 0 && len(names) > size {
		names = names[:size]
		page.Continuation = names[size-1]
	}
	for _, k := range names {
		page.Entries = append(page.Entries, api.ListEntry{Name: k, Size: 1})
	}
	w.Header().Set("Content-Type", api.TypeMsgpack)
	_, _ = w.Write(page.AppendMsg(nil))
}

// summary answers the third question.
func (n *fakeNode) summary(w http.ResponseWriter, m *api.ActionMsg) {
	var msg api.SummaryMsg
	_ = m.Decode(&msg)
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	if n.f.jobs++; n.f.jobs < 3 || msg.UUID != "sum-1" {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `"sum-1"`)
		return
	}
	var s api.BucketSummary
	s.ObjCount.Present = 42
	_ = json.NewEncoder(w).Encode([]api.BucketSummary{s})
}

func (n *fakeNode) cluster(w http.ResponseWriter, r *http.Request, v *cluster.View) {
	switch r.URL.Query().Get(api.QueryWhat) {
	case api.WhatSmap:
		_ = json.NewEncoder(w).Encode(api.SmapOf(v.Map))
	case api.WhatStatus:
		n.f.mu.Lock()
		defer n.f.mu.Unlock()
		s := api.JobStatus{UUID: "job-1"}
		if n.f.jobs++; n.f.jobs > 2 {
			s.EndTime = 1
		}
		_ = json.NewEncoder(w).Encode(s)
	case api.WhatJobStats:
		_ = json.NewEncoder(w).Encode(map[string][]api.JobSnap{"t0": {{ID: "job-1"}}})
	default:
		refuse(w, r, 400, errs.Invalid, "what: unknown")
	}
}

// cut closes the request's connection without a word.
func cut(w http.ResponseWriter) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = c.Close()
	}
}
