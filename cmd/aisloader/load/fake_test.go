package load

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sort"
	"strings"
	"sync"
	"testing"

	"aistore/api"
	"aistore/cluster"
)

// servers are fakes of all three dialects over one map of objects. As a native cluster they are a gateway that redirects and
// two targets that refuse what they do not own.
type servers struct {
	mu      sync.Mutex
	objects map[string][]byte
	buckets map[string]bool
	counts  map[string]int // "node METHOD"
	damage  bool           // flip a bit of what is read
	expects int            // PUTs to the gateway that waited to be asked for their body

	view            *cluster.View
	gateway, t0, t1 *httptest.Server
}

func newServers(t *testing.T) *servers {
	s := &servers{objects: map[string][]byte{}, buckets: map[string]bool{}, counts: map[string]int{}}
	start := func(h http.HandlerFunc) *httptest.Server {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		return srv
	}
	s.gateway = start(s.serveGateway)
	s.t0 = start(func(w http.ResponseWriter, r *http.Request) { s.serveTarget(w, r, "t0") })
	s.t1 = start(func(w http.ResponseWriter, r *http.Request) { s.serveTarget(w, r, "t1") })
	s.view = &cluster.View{
		Map:     &cluster.Map{Version: 1, Nodes: map[cluster.NodeID]*cluster.Node{}},
		Buckets: &cluster.BucketMap{Buckets: map[string]*cluster.Bucket{}}, Config: cluster.DefaultConfig(),
	}
	for id, srv := range map[cluster.NodeID]*httptest.Server{"t0": s.t0, "t1": s.t1} {
		s.view.Map.Nodes[id] = &cluster.Node{
			ID: id, Role: cluster.RoleTarget, State: cluster.Online, Alive: true, PublicURL: srv.URL, Weight: 100, Digest: cluster.NodeDigest(string(id)),
		}
	}
	s.view.Freeze()
	return s
}

func (s *servers) count(node string, r *http.Request) {
	s.mu.Lock()
	s.counts[node+" "+r.Method]++
	s.mu.Unlock()
}

// evict makes every name t1's.
func (s *servers) evict() {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := *s.view
	m := *v.Map
	m.Version++
	m.Nodes = map[cluster.NodeID]*cluster.Node{"t1": s.view.Map.Nodes["t1"]}
	v.Map = &m
	s.view = v.Freeze()
}

func (s *servers) owner(path string) *cluster.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, api.PathObjects+"/"), "/")
	return s.view.Owner(s.view.Buckets.Get("", bucket), key)
}

func (s *servers) serveGateway(w http.ResponseWriter, r *http.Request) {
	s.count("gw", r)
	if r.URL.Path == api.PathDaemon {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s.view)
		return
	}
	if strings.HasPrefix(r.URL.Path, api.PathBuckets) {
		s.serveBucket(w, r)
		return
	}
	if r.Header.Get("Expect") != "" {
		s.mu.Lock()
		s.expects++
		s.mu.Unlock()
	}
	w.Header().Set("Location", s.owner(r.URL.Path).PublicURL+r.URL.RequestURI()+"?ais-s=signature")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func (s *servers) serveBucket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, api.PathBuckets+"/")
	var m api.ActionMsg
	_ = json.NewDecoder(r.Body).Decode(&m)
	switch m.Action {
	case api.ActCreateBucket:
		if s.buckets[name] {
			w.Header().Set(api.HeaderErrorKind, "exists")
			w.WriteHeader(http.StatusConflict)
			return
		}
		s.buckets[name] = true
		v := *s.view
		b := &cluster.Bucket{ID: 1, Name: name, Seed: 5}
		v.Buckets = &cluster.BucketMap{Buckets: map[string]*cluster.Bucket{b.Key(): b}}
		s.view = v.Freeze()
	case api.ActDestroyBucket:
		delete(s.buckets, name)
		for k := range s.objects {
			if strings.HasPrefix(k, name+"/") {
				delete(s.objects, k)
			}
		}
	case api.ActList:
		var msg api.ListObjectsMsg
		_ = m.Decode(&msg)
		names, next := s.page(name, msg.Prefix, msg.Continuation, int(msg.PageSize))
		page := api.ListPage{Continuation: next}
		for _, n := range names {
			page.Entries = append(page.Entries, api.ListEntry{Name: n})
		}
		_, _ = w.Write(page.AppendMsg(nil))
	}
}

func (s *servers) page(bucket, prefix, after string, size int) (names []string, next string) {
	for k := range s.objects {
		if key, ok := strings.CutPrefix(k, bucket+"/"); ok && strings.HasPrefix(key, prefix) && key > after {
			names = append(names, key)
		}
	}
	sort.Strings(names)
	if len(names) > size {
		names = names[:size]
		next = names[size-1]
	}
	return names, next
}

func (s *servers) serveTarget(w http.ResponseWriter, r *http.Request, id string) {
	s.count(id, r)
	path := strings.TrimPrefix(r.URL.Path, api.PathObjects+"/")
	if path != r.URL.Path && string(s.owner(r.URL.Path).ID) != id {
		w.Header().Set(api.HeaderErrorKind, "wrong-owner")
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	}
	if r.URL.Query().Get("list-type") != "" {
		s.listS3(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	path = strings.TrimPrefix(path, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.objects[path]
	switch {
	case r.Method == http.MethodPut && !strings.Contains(path, "/"):
		if s.buckets[path] {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, "<Code>BucketAlreadyOwnedByYou</Code>")
		}
		s.buckets[path] = true
	case r.Method == http.MethodDelete && s.buckets[path]:
		delete(s.buckets, path)
	case r.Method == http.MethodPut:
		s.objects[path] = body
		w.Header().Set(api.HeaderDurability, "local")
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodDelete:
		delete(s.objects, path)
		w.WriteHeader(http.StatusNoContent)
	default:
		if s.damage && len(data) > 0 {
			data = append([]byte(nil), data...)
			data[len(data)-1] ^= 1
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data)
	}
}

func (s *servers) listS3(w http.ResponseWriter, r *http.Request) {
	type key struct{ Key string }
	var page struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []key
		NextContinuationToken string `xml:",omitempty"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	size := 0
	_, _ = fmt.Sscan(q.Get("max-keys"), &size)
	names, next := s.page(strings.Trim(r.URL.Path, "/"), q.Get("prefix"), strings.TrimSuffix(q.Get("continuation-token"), "&<"), size)
	for _, n := range names {
		page.Contents = append(page.Contents, key{n})
	}
	if page.NextContinuationToken = next; next != "" {
		page.NextContinuationToken += "&<" // must come back as it was
	}
	_ = xml.NewEncoder(w).Encode(page)
}
