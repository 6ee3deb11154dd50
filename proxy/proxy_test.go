package proxy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

func TestBucketLife(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", map[string]any{"checksum": map[string]any{"type": "md5"}})
	if b := w.bucket("abc"); b == nil || b.Props.Checksum.String() != "md5" {
		t.Fatalf("created %+v", b)
	}
	r := w.action(409, "POST", "/v1/buckets/abc", "create-bck", nil)
	if !strings.Contains(r.fault.Message, "ais://abc:") || r.fault.Kind != "exists" {
		t.Errorf("exists: %+v", r.fault)
	}
	r = w.do("HEAD", "/v1/buckets/abc", nil)
	if r.status != 200 || r.header.Get("ais-durability") != "local" || !strings.Contains(r.header.Get("Ais-Bucket-Props"), `"type":"md5"`) {
		t.Errorf("head: %+v", r)
	}
	w.action(200, "PATCH", "/v1/buckets/abc", "set-bprops", map[string]any{"durability": "volatile"})
	if p := w.bucket("abc").Props; p.Durability != cluster.Volatile || p.Checksum.String() != "md5" {
		t.Errorf("set one property: %+v", p)
	}
	r = w.action(400, "PATCH", "/v1/buckets/abc", "set-bprops", map[string]any{"mirror": map[string]any{"enabled": true}, "speed": 9})
	if !strings.Contains(r.fault.Message, "mirror.enabled, speed") {
		t.Errorf("unknown properties: %+v", r.fault)
	}
	w.action(200, "PATCH", "/v1/buckets/abc", "reset-bprops", nil)
	if p := w.bucket("abc").Props; p != cluster.DefaultBucketProps() {
		t.Errorf("reset: %+v", p)
	}
	seed := w.bucket("abc").Seed
	r = w.action(200, "POST", "/v1/buckets/abc?bck_to=ais/@%23/xyz/", "move-bck", nil)
	if s := w.ended(r.body); s.Kind != "move-bck" || s.Err != "" {
		t.Errorf("rename's job: %+v", s)
	}
	if b := w.bucket("xyz"); w.bucket("abc") != nil || b == nil || b.Seed != seed {
		t.Errorf("renamed: %+v", b)
	}
	if r := w.do("GET", "/v1/buckets", api.ActionMsg{Action: "list"}); !strings.Contains(r.body, `[{"name":"xyz","provider":"ais","namespace":{"uuid":"","name":""}}]`) {
		t.Errorf("list: %s", r.body)
	}
	w.action(200, "DELETE", "/v1/buckets/xyz", "destroy-bck", nil)
	r = w.action(404, "DELETE", "/v1/buckets/xyz", "destroy-bck", nil)
	if r.fault.Kind != "no-bucket" || !strings.Contains(r.fault.Message, "ais://xyz:") {
		t.Errorf("gone: %+v", r.fault)
	}
}

func TestObjectsGoToTheirOwner(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", nil)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/v1/objects/abc/a/b", "GET ais://abc/a/b"},
		{"PUT", "/v1/objects/abc/a%2Fc", "PUT ais://abc/a/c"},
		{"DELETE", "/ais/abc/d", "DELETE ais://abc/d"},
		{"HEAD", "/ais/abc/d?props=size", "HEAD ais://abc/d"},
	} {
		if r := w.do(c.method, c.path, nil); r.status != 200 || w.objs.seen[len(w.objs.seen)-1] != c.want {
			t.Errorf("%s %s: %d, served %q", c.method, c.path, r.status, w.objs.seen)
		}
	}
}

// TestObjectsElsewhere has a second target: a gateway redirects to it, and answers 503 once it is lost; a node in role all asks the target in its own process.
func TestObjectsElsewhere(t *testing.T) {
	for _, all := range []bool{false, true} {
		w := startAs(t, httpx.ClientConfig{}, all)
		key := w.second()
		path := string(httpx.AppendPath([]byte("/v1/objects/abc/"), key))
		r := w.do("GET", path+"?provider=ais", nil)
		if all { // it may be here by the word of a node that knows a newer map
			if r.status != 200 || !slices.Contains(w.objs.seen, "GET ais://abc/"+key) {
				t.Errorf("role all: %d, the target was asked for %q", r.status, w.objs.seen)
			}
			continue
		}
		loc := r.header.Get("Location")
		if r.status != 307 || !strings.HasPrefix(loc, "http://127.0.0.1:2"+path+"?") || !strings.Contains(loc, "ais-s=") || !strings.HasSuffix(loc, "provider=ais") {
			t.Errorf("redirect: %d %q", r.status, loc)
		}
		w.plane.must(t, cluster.SetAlive{Lost: []cluster.NodeID{"t2"}})
		if r := w.do("GET", path, nil); r.status != 503 || r.header.Get("Retry-After") == "" || !strings.Contains(r.fault.Message, "t2") {
			t.Errorf("owner lost: %+v", r)
		}
		if r := w.action(503, "GET", "/v1/buckets/abc", "list", nil); !strings.Contains(r.fault.Message, "t2") {
			t.Errorf("a list without t2: %+v", r.fault)
		}
		if r := w.action(503, "DELETE", "/v1/buckets/abc", "delete-listrange", api.ObjectSelection{All: true}); !strings.Contains(r.fault.Message, "t2") {
			t.Errorf("a job without t2: %+v", r.fault)
		}
	}
}

// second adds the target t2 and makes the bucket abc. It returns a key of t2's.
func (w *world) second() (key string) {
	w.t.Helper()
	w.plane.must(w.t, cluster.Join{Node: cluster.Node{ID: "t2", Role: cluster.RoleTarget, PublicURL: "http://127.0.0.1:2", IntraAddr: "127.0.0.1:3", Weight: 100}})
	w.plane.must(w.t, cluster.SetAlive{Back: []cluster.NodeID{"t2"}})
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", nil)
	v, b := w.plane.View(), w.bucket("abc")
	for i := 0; ; i++ {
		if key = fmt.Sprintf("o%d é", i); v.Owner(b, key).ID == "t2" {
			return key
		}
	}
}

func (w *world) page(value any, headers ...string) api.ListPage {
	w.t.Helper()
	m, err := api.NewAction("list", "", value)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.do("GET", "/v1/buckets/abc", m, headers...)
	if r.status != 200 {
		w.t.Fatalf("list %+v: %s", value, r.body)
	}
	var p api.ListPage
	if r.header.Get("Content-Type") == api.TypeMsgpack {
		err = p.DecodeMsg([]byte(r.body))
	} else {
		err = json.Unmarshal([]byte(r.body), &p)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestList(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", nil)
	for i := range 25 {
		w.objs.put(w.bucket("abc"), fmt.Sprintf("d/%02d", i), 7)
	}
	w.objs.put(w.bucket("abc"), "top", 1)
	for _, accept := range []string{"", api.TypeMsgpack} {
		var names []string
		m := api.ListObjectsMsg{PageSize: 10}
		for {
			p := w.page(m, "Accept", accept)
			if p.UUID == "" || m.UUID != "" && p.UUID != m.UUID {
				t.Fatalf("uuid %q after %q", p.UUID, m.UUID)
			}
			for _, e := range p.Entries {
				names = append(names, e.Name)
			}
			if m.Continuation, m.UUID = p.Continuation, p.UUID; m.Continuation == "" {
				break
			}
		}
		if len(names) != 26 || names[25] != "top" {
			t.Errorf("%q: %q", accept, names)
		}
	}
	p := w.page(api.ListObjectsMsg{Prefix: "top", Props: "all"})
	if e := p.Entries[0]; e.Size != 1 || e.Version != "1.5" || e.Custom != "k=v" || e.Location != "t[t1]" || e.Atime != "14 Nov 23 22:13 UTC" || e.Copies != 1 {
		t.Errorf("all properties: %+v", e)
	}
	p = w.page(api.ListObjectsMsg{Flags: api.ListNoRecursion})
	if len(p.Entries) != 2 || p.Entries[0].Name != "d/" || !p.Entries[0].IsDir() {
		t.Errorf("not recursive: %+v", p)
	}
	if r := w.do("GET", "/v1/buckets/abc?prefix=d/0&pagesize=3&props=name", nil); !strings.Contains(r.body, `"entries":[{"name":"d/00","flags":64},`) {
		t.Errorf("by query: %s", r.body)
	}
	if r := w.do("GET", "/ais/abc?prefix=top", nil); !strings.Contains(r.body, `"size":"1"`) {
		t.Errorf("easy URL: %s", r.body)
	}
	for want, m := range map[string]api.ListObjectsMsg{
		"pagesize": {PageSize: -1}, "continuation_token": {Continuation: "x"}, "props": {Props: "colour"},
		"prefix": {Prefix: strings.Repeat("x", 2000)}, "flags": {Flags: 1 << 40}, "target": {Target: "nobody"},
	} {
		if r := w.action(400, "GET", "/v1/buckets/abc", "list", m); !strings.Contains(r.fault.Message, want) {
			t.Errorf("%+v: %s", m, r.fault.Message)
		}
	}
}

func TestMulti(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", nil)
	for i := range 30 {
		w.objs.put(w.bucket("abc"), fmt.Sprintf("o-%02d", i), 10)
	}
	r := w.action(202, "POST", "/v1/buckets/abc?bck_to=ais/@%23/new/", "copy-bck", api.CopyMsg{Prefix: "o-0", Prepend: "p/"})
	if s := w.ended(r.body); s.Err != "" {
		t.Errorf("copy: %+v", s)
	}
	if b := w.bucket("new"); b == nil || len(w.objs.sets[b.ID]) != 10 {
		t.Errorf("copied into %+v", b)
	}
	r = w.action(202, "POST", "/v1/buckets/abc", "copy-listrange", map[string]any{
		"template": "o-{10..19..3}", "tobck": map[string]any{"name": "new", "provider": "ais", "namespace": nil}, "prepend": "q/", "coer": false,
	})
	if s := w.ended(r.body); s.Err != "" || len(w.objs.sets[w.bucket("new").ID]) != 14 {
		t.Errorf("copy by template: %+v", s)
	}
	r = w.action(202, "DELETE", "/v1/buckets/abc", "delete-listrange", api.ObjectSelection{Template: "o-{00..19}"})
	if s := w.ended(r.body); s.Err != "" || len(w.objs.sets[w.bucket("abc").ID]) != 10 {
		t.Errorf("delete: %+v", s)
	}
	id := w.action(202, "GET", "/v1/buckets/abc", "summary-bck", api.SummaryMsg{}).body
	w.ended(id)
	r = w.action(200, "GET", "/v1/buckets/abc", "summary-bck", api.SummaryMsg{UUID: id})
	if !strings.Contains(r.body, `"obj_count_present":"10"`) || !strings.Contains(r.body, `"size_all_present_objs":"100"`) || !strings.Contains(r.body, `"used_pct":10`) {
		t.Errorf("summary: %s", r.body)
	}
	h := w.do("HEAD", "/v1/buckets/abc/o-2?bsumm_remote=True&presence=0", nil)
	if h.status != 202 || h.header.Get("Ais-Xaction-Id") == "" {
		t.Fatalf("summary by HEAD: %+v", h)
	}
	w.ended(h.header.Get("Ais-Xaction-Id"))
	h = w.do("HEAD", "/v1/buckets/abc?bsumm_remote=True&uuid="+h.header.Get("Ais-Xaction-Id"), nil)
	if h.status != 200 || !strings.Contains(h.header.Get("Ais-Bucket-Summ"), `"obj_count_present":"10"`) {
		t.Errorf("summary by HEAD: %+v", h)
	}
	for want, f := range map[string]func() *reply{
		"uuid": func() *reply { return w.action(400, "GET", "/v1/buckets/new", "summary-bck", api.SummaryMsg{UUID: id}) },
		"both objnames": func() *reply {
			return w.action(400, "DELETE", "/v1/buckets/abc", "delete-listrange", api.ObjectSelection{Names: []string{"a"}, Template: "b"})
		},
		"names no": func() *reply { return w.action(400, "DELETE", "/v1/buckets/abc", "delete-listrange", nil) },
		"bck_to":   func() *reply { return w.action(400, "POST", "/v1/buckets/abc", "copy-bck", nil) },
		"tobck": func() *reply {
			return w.action(400, "POST", "/v1/buckets/abc", "copy-listrange", api.ObjectSelection{Template: "x"})
		},
		"be copied, too": func() *reply {
			return w.action(400, "POST", "/v1/buckets/abc", "copy-listrange", map[string]any{"template": "o-", "tobck": map[string]any{"name": "abc"}, "prepend": "o-"})
		},
		"both source": func() *reply { return w.action(400, "POST", "/v1/buckets/abc?bck_to=ais/@%23/abc", "copy-bck", nil) },
		"ETL": func() *reply {
			return w.action(501, "POST", "/v1/buckets/abc?bck_to=ais/@%23/x2", "copy-bck", map[string]any{"id": "etl"})
		},
	} {
		if r := f(); !strings.Contains(r.fault.Message, want) {
			t.Errorf("want %q in %q", want, r.fault.Message)
		}
	}
}

func TestClusterQueries(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", nil)
	for what, want := range map[string]string{
		"smap": `"proxy_si":{"daemon_id":"t1"`, "bmd": `"providers":{"ais":{"@#":{"abc":`, "config": `"page_size":1000`, "cluster_config": `"page_size":1000`,
		"view": `"secret":null`, "nodes": `"uptime_ns":60000000000`, "health": `"view_index"`, "kinds": `"kind":"copy-bck"`, "remote": `"a":[]`,
		"target_ips": "127.0.0.1", "status_all": `[]`, "running_all": `[]`, "qryxstats": `{"t1":[]}`,
	} {
		r := w.do("GET", "/v1/cluster?what="+what, nil)
		if r.status != 200 || !strings.Contains(r.body, want) && what != "health" {
			t.Errorf("what=%s: %d %s", what, r.status, r.body)
		}
		if strings.Contains(r.body, "BwcHBwcH") {
			t.Errorf("what=%s tells the cluster's secret: %s", what, r.body)
		}
	}
	if r := w.do("GET", "/v1/cluster?what=weather", nil); r.status != 400 || !strings.Contains(r.fault.Message, "weather") || !strings.Contains(r.fault.Message, "smap") {
		t.Errorf("unknown: %+v", r.fault)
	}
	if r := w.do("PUT", "/v1/cluster/set-config?list.page_size=77&timeout.drain=5s", nil); r.status != 200 || w.plane.View().Config.List.PageSize != 77 {
		t.Errorf("set by query: %+v", r)
	}
	if r := w.do("PUT", "/v1/cluster", `{"action":"set-config","name":"list.page_size","value":"78"}`); r.status != 200 || w.plane.View().Config.List.PageSize != 78 {
		t.Errorf("set by name: %+v", r)
	}
	if r := w.do("PUT", "/v1/cluster", `{"action":"set-config","value":{"list":{"page_size":79}}}`); r.status != 200 || w.plane.View().Config.List.PageSize != 79 {
		t.Errorf("set by value: %+v", r)
	}
	for _, body := range []string{
		`{"action":"set-config","name":"no.such","value":"1"}`, `{"action":"set-config","name":"list.page_size","value":{}}`,
		`{"action":"set-config"}`, `{"action":"set-config","value":{}}`, `{"action":"set-config","name":"list.page_size","value":"many"}`,
	} {
		if r := w.do("PUT", "/v1/cluster", body); r.status != 400 {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	w.action(200, "PUT", "/v1/cluster", "reset-config", nil)
	if got := w.plane.View().Config.List.PageSize; got != 1000 {
		t.Errorf("reset: page size %d", got)
	}
	if r := w.do("PUT", "/v1/cluster/proxy/nobody", nil); r.status != 404 {
		t.Errorf("primary nobody: %+v", r)
	}
	if r := w.do("PUT", "/v1/cluster/proxy/t1", nil); r.status != 200 {
		t.Errorf("primary as it is: %+v", r)
	}
	if r := w.do("GET", "/v1/reverse/daemon?what=smap", nil); r.status != 400 || !strings.Contains(r.fault.Message, "Ais-Node-Id") {
		t.Errorf("reverse to none: %+v", r)
	}
	if r := w.do("GET", "/v1/reverse/daemon?what=smap", nil, "Ais-Node-Id", "nobody"); r.status != 404 {
		t.Errorf("reverse to nobody: %+v", r)
	}
}

// TestRemovedGateway: a gateway that was told that it was removed serves nothing by the map of then.
func TestRemovedGateway(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", nil)
	w.plane.expelled = errs.E("control.Member", "g1", errs.Unavailable, "this node is not in the cluster map")
	for _, r := range []struct{ method, path string }{
		{"GET", "/v1/objects/abc/x"}, {"PUT", "/v1/objects/abc/x"}, {"GET", "/ais/abc/x"}, {"GET", "/v1/buckets"}, {"HEAD", "/v1/buckets/abc"},
		{"GET", "/v1/cluster?what=smap"}, {"PUT", "/v1/cluster/set-config?list.page_size=10"},
	} {
		if got := w.do(r.method, r.path, nil); got.status != 503 {
			t.Errorf("%s %s: %d", r.method, r.path, got.status)
		}
	}
}

// TestStopWithoutAll: a target that does not answer keeps no other from being told to stop a job.
func TestStopWithoutAll(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/bk", api.ActCreateBucket, nil)
	w.objs.put(w.bucket("bk"), "a", 1)
	w.objs.held = make(chan struct{})
	id := w.action(202, "DELETE", "/v1/buckets/bk", api.ActDeleteObjects, api.ObjectSelection{All: true}).body
	w.plane.must(t, cluster.Join{Node: cluster.Node{ID: "t2", Role: cluster.RoleTarget, PublicURL: "http://127.0.0.1:2", IntraAddr: "127.0.0.1:2", Weight: 100}})
	w.plane.must(t, cluster.SetAlive{Back: []cluster.NodeID{"t2"}})
	w.action(503, "PUT", "/v1/cluster", api.ActStop, api.JobQuery{ID: id})
	w.plane.must(t, cluster.SetAlive{Lost: []cluster.NodeID{"t2"}})
	if s := w.ended(id); !s.Aborted {
		t.Errorf("%+v", s)
	}
	if r := w.do("PUT", "/v1/cluster", `{"action":"stop","value":{"id":"nobody"}}`); r.status != 404 {
		t.Errorf("stopping what never was: %d %s", r.status, r.body)
	}
}
