package linear

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"

	"aistore/test/plain"
)

// memory is the least server that the load can run against. Its faults make it lie now and then.
type memory struct {
	fault string

	mu      sync.Mutex
	objects map[string]stored
	former  map[string]stored
	counter int
	reads   int
}

type stored struct {
	body    []byte
	counter int
}

func (s stored) etag() string { return fmt.Sprintf("e%d", s.counter) }

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	defer m.mu.Unlock()
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/objects/b/")
	if !ok {
		m.list(w, body)
		return
	}
	cur, exists := m.objects[name]
	switch r.Method {
	case http.MethodPut:
		if r.Header.Get("If-None-Match") == "*" && exists && m.fault != "careless create" ||
			r.Header.Get("If-Match") != "" && (!exists || r.Header.Get("If-Match") != `"`+cur.etag()+`"`) {
			w.WriteHeader(412)
			return
		}
		m.counter++
		n := stored{body, m.counter}
		if m.fault == "lost write" && m.counter%50 == 0 {
			answer(w, n, nil)
			return
		}
		m.former[name], m.objects[name] = cur, n
		answer(w, n, nil)
	case http.MethodDelete:
		if !exists {
			w.WriteHeader(404)
			return
		}
		delete(m.objects, name)
	default:
		m.reads++
		if old, ok := m.former[name]; ok && m.fault == "stale read" && m.reads%50 == 0 && old.body != nil {
			cur, exists = old, true
		}
		if !exists {
			w.WriteHeader(404)
			return
		}
		if m.fault == "torn read" && m.reads%50 == 0 {
			cur.body = append(append([]byte(nil), cur.body[:len(cur.body)-1]...), ^cur.body[len(cur.body)-1])
		}
		answer(w, cur, cur.body)
	}
}

func answer(w http.ResponseWriter, s stored, body []byte) {
	w.Header().Set("ETag", `"`+s.etag()+`"`)
	w.Header().Set("ais-version", "1."+strconv.Itoa(s.counter))
	_, _ = w.Write(body)
}

func (m *memory) list(w http.ResponseWriter, body []byte) {
	var q struct {
		Value struct {
			Token string `json:"continuation_token"`
			Size  int    `json:"pagesize"`
		} `json:"value"`
	}
	_ = json.Unmarshal(body, &q)
	var es []plain.Entry
	for n, s := range m.objects {
		if n > q.Value.Token {
			es = append(es, plain.Entry{Name: n, Size: int64(len(s.body))})
		}
	}
	sort.Slice(es, func(i, j int) bool { return es[i].Name < es[j].Name })
	next := ""
	if len(es) > q.Value.Size {
		es = es[:q.Value.Size]
		next = es[len(es)-1].Name
	}
	if m.fault == "short list" && len(es) > 1 {
		es = es[1:]
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"entries": es, "continuation_token": next})
}

// TestLoadFindsLiars runs the load against an honest server and against liars.
func TestLoadFindsLiars(t *testing.T) {
	for fault, want := range map[string]string{
		"": "", "stale read": "no order", "lost write": "no order", "careless create": "no order",
		"torn read": "nobody wrote", "short list": "lacks",
	} {
		t.Run(fault, func(t *testing.T) {
			s := httptest.NewServer(&memory{fault: fault, objects: map[string]stored{}, former: map[string]stored{}})
			defer s.Close()
			c := plain.New(s.URL)
			defer c.Close()
			l := &Load{Clients: Plain(c), Bucket: "b", Names: Names(20), Workers: 8, Ops: 300, Sizes: []int64{100, 200}, Lists: true, Seed: 1}
			h := l.Run(context.Background())
			if err := l.Audit(context.Background()); err != nil {
				t.Fatal(err)
			}
			n := h.Count()
			for _, r := range []Result{OK, Absent, Failed, "list"} {
				if n[r] == 0 {
					t.Errorf("no %q among the results: %v", r, n)
				}
			}
			err := h.Check()
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("fault %q: got %.2000v, want %q", fault, err, want)
			}
		})
	}
}
