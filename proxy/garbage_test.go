package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"aistore/api"
	"aistore/errs"
	"aistore/httpx"
)

// TestGarbage walks the route table with what no client should send. Every answer must be a refusal with a kind and a
// sentence, never a fault of the server, and the server must go on serving.
func TestGarbage(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", nil)
	long := strings.Repeat("x", 5000)
	paths := func(r httpx.Route) []string {
		base, wild := strings.CutSuffix(r.Path, "*")
		if !wild {
			return []string{base}
		}
		return []string{
			base, base + "/", base + "//", base + "abc", base + "abc/", base + "nosuch", base + "nosuch/o", base + long, base + "abc/" + long,
			base + "%00", base + "abc/%00", base + "%FF%FE/x", base + "abc/%FF", base + "..", base + "abc/../..", base + "%2e%2e/%2e%2e", base + "a", base + "v1",
		}
	}
	bodies := []string{
		"", "{", "[]", "null", `"text"`, "12", `{"action":7}`, `{"action":"nonsense"}`, `{"action":""}`, `{"value":1}`, `{"action":"list","value":[]}`,
		`{"action":"list","value":{"pagesize":"x"}}`, `{"action":"list","value":{"flags":"x"}}`, `{"action":"list","value":{"continuation_token":"%%"}}`,
		`{"action":"create-bck","value":{"checksum":{"type":"x"}}}`, `{"action":"create-bck","value":"x"}`, `{"action":"set-bprops","value":[1]}`,
		`{"action":"delete-listrange","value":{"objnames":[""]}}`, `{"action":"delete-listrange","value":{"template":"{1.."}}`,
		`{"action":"copy-listrange","value":{"template":"a","tobck":{"name":"../x"}}}`, `{"action":"summary-bck","value":{"uuid":"nosuch"}}`,
		`{"action":"start","value":{"kind":"nonsense"}}`, `{"action":"stop"}`, `{"action":"start","value":7}`, `{"action":"set-config","name":"x","value":"y"}`,
		`{"action":"evict-listrange","value":{"objnames":["a"]}}`, `{"action":"prefetch-listrange"}`, `{"action":"etl-bck"}`, `{"action":"archive"}`,
		`{"action":"decommission"}`, `{"action":"make-n-copies","value":2}`, "\x00\x01\x02", strings.Repeat("[", 20000), `{"action":"` + long + `"}`,
	}
	queries := []string{
		"", "?provider=aws", "?provider=moon", "?namespace=%40uuid%23ns", "?namespace=" + long[:200], "?namespace=x", "?what=" + long, "?what=", "?bck_to=x", "?bck_to=aws/@%23/x/",
		"?uuid=nosuch&bsumm_remote=x", "?pagesize=x", "?flags=x", "?continuation_token=!!", "?%zz=%zz", "?list.page_size=x", "?ais-s=x&ais-e=1&ais-b=1&ais-x=1",
	}
	methods := []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"}
	sent := 0
	for _, r := range w.routes {
		for _, path := range paths(r) {
			for i, body := range bodies {
				w.refused(r.Method, path+queries[i%len(queries)], body)
				sent++
			}
			for _, q := range queries {
				w.refused(r.Method, path+q, "")
				sent++
			}
			for _, m := range methods {
				w.refused(m, path, `{"action":"nonsense"}`)
				sent++
			}
		}
	}
	t.Logf("%d requests to %d routes", sent, len(w.routes))
	if r := w.do("GET", "/v1/buckets", nil); r.status != 200 {
		t.Errorf("afterwards: %+v", r)
	}
}

// refused sends garbage. What happens to be lawful (a GET of the bucket list with a strange query, an object with a
// long path) may be answered; what is refused must say so properly.
func (w *world) refused(method, path, body string) {
	w.t.Helper()
	if method == "*" {
		method = "POST"
	}
	var b any
	if body != "" {
		b = body
	}
	r := w.do(method, path, b)
	what := fmt.Sprintf("%s %.60s with body %.60q: status %d %.240s", method, path, body, r.status, r.body)
	switch {
	case r.status < 400:
	case r.status >= 500 && r.status != 501 && r.status != 503:
		w.t.Errorf("%s", what)
	case r.status == 503 && !strings.Contains(path, "daemon") && !strings.Contains(path, "reverse"):
		w.t.Errorf("%s", what)
	case method == "HEAD":
		if k := r.header.Get("ais-error-kind"); k == "" || errs.ParseKind(k) == errs.Other {
			w.t.Errorf("no kind: %s", what)
		}
	case r.fault.Message == "" || r.fault.Kind == "" || errs.ParseKind(r.fault.Kind) == errs.Other || r.fault.Status != r.status:
		w.t.Errorf("badly told: %s", what)
	case strings.Contains(r.fault.Message, "json:") || strings.Contains(r.fault.Message, "Go struct") || strings.Contains(r.fault.Message, "api.ActionMsg.") || strings.Contains(r.fault.Message, "BUG"):
		w.t.Errorf("speaks of our insides: %s", what)
	}
}

// TestUnsupportedIsNamed: every action that AIStore has and we have not is 501 and says why, wherever it is sent.
func TestUnsupportedIsNamed(t *testing.T) {
	w := start(t)
	w.action(200, "POST", "/v1/buckets/abc", "create-bck", nil)
	for action, why := range api.UnsupportedActions() {
		for _, at := range []string{"POST /v1/buckets/abc", "DELETE /v1/buckets/abc", "PUT /v1/buckets/abc", "GET /v1/buckets/abc", "PUT /v1/cluster", "POST /v1/objects/abc"} {
			method, path, _ := strings.Cut(at, " ")
			r := w.action(501, method, path, action, nil)
			if r.fault.Kind != "unsupported" || !strings.Contains(r.fault.Message, why) {
				t.Errorf("%s %s: %+v", at, action, r.fault)
			}
		}
	}
	for _, path := range []string{"/v1/etl", "/v1/etl/x/logs", "/v1/sort", "/v1/sort/abort", "/v1/download", "/v1/ml/moss/bck"} {
		for _, m := range []string{"GET", "POST", "DELETE", "PUT"} {
			if r := w.do(m, path, nil); r.status != 501 {
				t.Errorf("%s %s: %d %s", m, path, r.status, r.body)
			}
		}
	}
	for _, kind := range aisKinds() {
		if r := w.action(501, "PUT", "/v1/cluster", "start", api.JobQuery{Kind: kind}); !strings.Contains(r.fault.Message, kind) {
			t.Errorf("start %s: %+v", kind, r.fault)
		}
	}
}

// FuzzMessage feeds bodies to what reads them; an error must be kind Invalid or TooLarge.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{`{"action":"list","value":{"prefix":"a","flags":"16","pagesize":3}}`, `{"value":{"checksum":{"type":"md5"}}}`, `{"value":{"template":"a{1..2}"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m api.ActionMsg
		if json.Unmarshal(b, &m) != nil {
			return
		}
		var ls api.ListObjectsMsg
		if err := m.Decode(&ls); err == nil {
			if _, err := newForm(ls.Props, ls.Flags, ls.TimeFormat); err != nil && !errs.Is(err, errs.Invalid) {
				t.Errorf("form: %v", err)
			}
		} else if !errs.Is(err, errs.Invalid) {
			t.Errorf("list: %v", err)
		}
		var sel api.ObjectSelection
		if err := m.Decode(&sel); err == nil {
			err = sel.Check()
			if err != nil && !errs.Is(err, errs.Invalid, errs.TooLarge) {
				t.Errorf("selection: %v", err)
			}
		}
	})
}
