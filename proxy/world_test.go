package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/cluster/control"
	"aistore/errs"
	"aistore/httpx"
	"aistore/list"
	"aistore/metrics"
	"aistore/node"
	"aistore/object"
	"aistore/xact"
)

// plane is a control plane of one voter in memory: the real state machine without a log. Several nodes share it.
type plane struct {
	mu    sync.Mutex
	m     *cluster.Machine
	index uint64
	view  *cluster.View
	watch chan struct{}
	blind bool // there is no primary to ask of the health of nodes

	expelled error // the node was removed
}

func newPlane(t *testing.T, nodes ...cluster.Node) *plane {
	p := &plane{m: cluster.NewMachine(), watch: make(chan struct{})}
	p.must(t, cluster.Found{UUID: "cluster-1", Secret: bytes.Repeat([]byte{7}, 32), Node: nodes[0]})
	for _, n := range nodes[1:] {
		p.must(t, cluster.Join{Node: n})
	}
	alive := cluster.SetAlive{}
	for _, n := range nodes {
		alive.Back = append(alive.Back, n.ID)
	}
	p.must(t, alive)
	return p
}

func (p *plane) must(t *testing.T, cmd cluster.Command) {
	t.Helper()
	if _, err := p.Propose(context.Background(), cmd); err != nil {
		t.Fatal(err)
	}
}

func (p *plane) Propose(_ context.Context, cmd cluster.Command) (cluster.Result, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index++
	res, err := p.m.Apply(p.index, cluster.Entry{Time: time.Unix(1_700_000_000, 0), By: "t1", Command: cmd})
	p.view = p.m.View()
	close(p.watch)
	p.watch = make(chan struct{})
	return res, err
}

func (p *plane) View() *cluster.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view
}

func (p *plane) Watch(uint64) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watch
}

func (p *plane) Latest(context.Context) (*cluster.View, error) { return p.View(), nil }
func (p *plane) Lease() error                                  { return nil }
func (p *plane) Member() error                                 { return p.expelled }
func (p *plane) Ready() bool                                   { return true }
func (p *plane) Health(context.Context) ([]control.NodeHealth, error) {
	if p.blind {
		return nil, errs.E("plane.Health", "primary", errs.Unavailable)
	}
	return []control.NodeHealth{{
		ID: "t1", Heard: cluster.Duration(time.Second), Uptime: cluster.Duration(time.Minute), Version: "test",
		Report: control.Report{Mountpaths: []control.Mountpath{{Path: "/mp1", FS: 7, Total: 1000, Used: 250}, {Path: "/mp2", FS: 7, Total: 1000, Used: 250}}},
	}}, nil
}

// objects are a target's objects in memory.
type objects struct {
	mu   sync.Mutex
	sets map[uint64]map[string]int64
	seen []string      // requests served in process
	held chan struct{} // not nil: Delete waits for it
}

func (o *objects) put(b *cluster.Bucket, key string, size int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sets[b.ID] == nil {
		o.sets[b.ID] = map[string]int64{}
	}
	o.sets[b.ID][key] = size
}

func (o *objects) Serve(c *httpx.Ctx, n node.Object) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, c.Method()+" "+n.String())
	return nil
}

func (o *objects) Names(_ context.Context, bucket uint64, prefix, after string, yield func(*object.Info) bool) error {
	o.mu.Lock()
	set := maps.Clone(o.sets[bucket])
	o.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(set)) {
		info := object.Info{
			Key: k, Size: set[k], Version: object.Version{Epoch: 1, Counter: 5}, Created: time.Unix(1_700_000_000, 0),
			Custom: map[string]string{"k": "v"},
		}
		if strings.HasPrefix(k, prefix) && k > after && !yield(&info) {
			break
		}
	}
	return nil
}

func (o *objects) Lane(object.Name) (int, int) { return 0, 1 }

func (o *objects) Size(_ context.Context, b *cluster.Bucket, key string) (int64, error) {
	info, err := o.stat(object.Name{Bucket: b.ID, Key: key})
	return info.Size, err
}

func (o *objects) stat(n object.Name) (object.Info, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size, ok := o.sets[n.Bucket][n.Key]
	if !ok {
		return object.Info{}, errs.E("test", n, errs.NotFound)
	}
	return object.Info{Key: n.Key, Size: size}, nil
}

func (o *objects) Delete(ctx context.Context, b *cluster.Bucket, key string) (int64, error) {
	if o.held != nil {
		select {
		case <-o.held:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	size, ok := o.sets[b.ID][key]
	if !ok {
		return 0, errs.E("test", key, errs.NotFound)
	}
	delete(o.sets[b.ID], key)
	return size, nil
}

func (o *objects) Copy(_ context.Context, from *cluster.Bucket, key string, to *cluster.Bucket, toKey string) (int64, error) {
	info, err := o.stat(object.Name{Bucket: from.ID, Key: key})
	if err == nil {
		o.put(to, toKey, info.Size)
	}
	return info.Size, err
}

// world is one process in role all: a gateway and a target in memory, on a real listener.
type world struct {
	t      *testing.T
	url    string
	plane  *plane
	objs   *objects
	routes []httpx.Route
}

func start(t *testing.T) *world { return startAs(t, httpx.ClientConfig{}, true) }

// startAs is start of a node that asks others as cfg says; unless it serves objects it is a gateway alone.
func startAs(t *testing.T, cfg httpx.ClientConfig, serves bool) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	w := &world{t: t, url: url, objs: &objects{sets: map[uint64]map[string]int64{}}}
	w.plane = newPlane(t, cluster.Node{ID: "t1", Role: cluster.RoleAll, PublicURL: url, IntraAddr: "127.0.0.1:1", Weight: 100})
	logs, err := node.NewLogs(io.Discard, "error", "text")
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.NewClient(cfg)
	n := node.New(node.Config{ID: "t1", Role: cluster.RoleAll, Version: "test", Control: w.plane, Client: client, Metrics: metrics.New(nil), Logs: logs})
	rt := xact.NewRuntime(xact.Config{Self: "t1", Objects: w.objs, Map: w.plane})
	gc := Config{Node: n, Control: w.plane, Lists: list.NewLocal(w.objs.Names, w.plane), Jobs: rt}
	if serves {
		gc.Objects = w.objs
	}
	g := New(gc)
	w.routes = g.Routes()
	router, err := httpx.NewRouter(w.routes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := httpx.NewServer(httpx.ServerConfig{Node: "t1"}, router).Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := rt.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait(); client.Close() })
	return w
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
	fault  httpx.Fault
}

func (w *world) do(method, path string, body any, headers ...string) *reply {
	w.t.Helper()
	var raw io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		raw = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		raw = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, w.url+path, raw)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer c.CloseIdleConnections()
	rep, err := c.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	text, err := io.ReadAll(rep.Body)
	_ = rep.Body.Close()
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	r := &reply{status: rep.StatusCode, header: rep.Header, body: string(text)}
	if r.status >= 400 && method != "HEAD" {
		if err := json.Unmarshal(text, &r.fault); err != nil {
			w.t.Fatalf("%s %s: status %d with body %q", method, path, r.status, text)
		}
	}
	return r
}

// action sends an ActionMsg and insists on the status.
func (w *world) action(status int, method, path, action string, value any) *reply {
	w.t.Helper()
	m, err := api.NewAction(action, "", value)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.do(method, path, m)
	if r.status != status {
		w.t.Fatalf("%s %s %s: status %d, want %d: %s", method, path, action, r.status, status, r.body)
	}
	return r
}

func (w *world) bucket(name string) *cluster.Bucket { return w.plane.View().Buckets.Get("", name) }

// ended waits for a job by asking for its status, as clients do.
func (w *world) ended(id string) api.JobStatus {
	w.t.Helper()
	for by := time.Now().Add(time.Minute); time.Now().Before(by); time.Sleep(time.Millisecond) {
		var s api.JobStatus
		r := w.do("GET", "/v1/cluster?what=status", api.JobQuery{ID: id})
		if err := json.Unmarshal([]byte(r.body), &s); err != nil || r.status != 200 {
			w.t.Fatalf("status of %q: %d %s", id, r.status, r.body)
		}
		if s.EndTime != 0 {
			return s
		}
	}
	w.t.Fatalf("job %s does not end", id)
	return api.JobStatus{}
}
