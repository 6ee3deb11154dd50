package node

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/httpx"
	"aistore/metrics"
)

// shifting is a control plane whose state a test changes.
type shifting struct {
	fakeControl
	view  atomic.Pointer[cluster.View]
	ready atomic.Bool
	lost  atomic.Bool
}

func (s *shifting) View() *cluster.View { return s.view.Load() }
func (s *shifting) Ready() bool         { return s.ready.Load() }

func (s *shifting) Lease() error {
	if s.lost.Load() {
		return errs.E("test", "lease", errs.Unavailable, "is lost")
	}
	return nil
}

// running is a node that serves.
type running struct {
	*Node
	public, intra string
	stop          func()
}

func serve(t *testing.T, cfg Config, parts ...Part) *running {
	t.Helper()
	var err error
	if cfg.Logs == nil {
		if cfg.Logs, err = NewLogs(io.Discard, "info", "text"); err != nil {
			t.Fatal(err)
		}
	}
	cfg.ID, cfg.Metrics, cfg.Version, cfg.Client = "t1", metrics.New(nil), "v9", httpx.NewClient(httpx.ClientConfig{})
	n := New(cfg)
	var ls Listeners
	for _, ln := range []*net.Listener{&ls.Public, &ls.Intra} {
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, ls, n.Routes(), parts...) }()
	stopped := false
	r := &running{Node: n, public: "http://" + ls.Public.Addr().String(), intra: "http://" + ls.Intra.Addr().String()}
	r.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
	t.Cleanup(r.stop)
	return r
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func TestHealth(t *testing.T) {
	ctl := &shifting{}
	r := serve(t, Config{Role: cluster.RoleTarget, Control: ctl})
	want := func(state string, alive, ready int) {
		t.Helper()
		for _, q := range []string{"", "?readiness=true", "?prr=true", "?readiness=false"} {
			status := alive
			if strings.HasSuffix(q, "=true") {
				status = ready
			}
			code, body, h := get(t, r.public+"/v1/health"+q)
			if code != status {
				t.Errorf("%s: health%s is %d, want %d: %s", state, q, code, status, body)
			}
			if code == 200 && h.Get(api.HeaderNodeUptime) == "" {
				t.Errorf("%s: no uptime in %v", state, h)
			}
		}
	}
	want("no view", 200, 503)
	ctl.view.Store(testView())
	want("not ready", 200, 503)
	ctl.ready.Store(true)
	want("ready", 200, 200)
	ctl.lost.Store(true)
	want("no lease", 200, 503)
}

// TestEndingIsNoSnode: a node whose process ends says so to the gateway that asks whether it can own names, while it still answers clients.
func TestEndingIsNoSnode(t *testing.T) {
	var ends atomic.Bool
	r := serve(t, Config{Role: cluster.RoleTarget, Control: &fakeControl{testView()}, Ends: ends.Load})
	if code, body, _ := get(t, r.intra+api.PathDaemon+"?what=snode"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	ends.Store(true)
	if code, body, _ := get(t, r.intra+api.PathDaemon+"?what=snode"); code != 503 || !strings.Contains(body, "its process ends") {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := get(t, r.intra+api.PathDaemon+"?what=smap"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
}

func TestDaemonQueries(t *testing.T) {
	v := testView()
	v.Map.UUID = "u1"
	disk := fs.Info{ID: "m1", Path: "/d1", State: fs.Enabled, Capacity: fs.Capacity{Total: 100, Free: 40}, IO: fs.Counters{Reads: 3}}
	bad := fs.Info{ID: "m2", Path: "/d2", State: fs.Disabled, Reason: "EIO"}
	r := serve(t, Config{
		Role: cluster.RoleTarget, Control: &fakeControl{v}, Disks: func() []fs.Info { return []fs.Info{disk, bad} },
		Settings: map[string]string{"role": "target"},
	})
	decode := func(what string, into any) {
		t.Helper()
		code, body, _ := get(t, r.public+"/v1/daemon?what="+what)
		if err := json.Unmarshal([]byte(body), into); code != 200 || err != nil {
			t.Errorf("%s: %d, %v: %s", what, code, err, body)
		}
	}
	var smap api.Smap
	if decode("smap", &smap); smap.Tmap["t1"] == nil || smap.Tmap["t1"].PublicNet.URL != "http://127.0.0.1:9" || smap.UUID != "u1" {
		t.Errorf("smap %+v", smap)
	}
	var bmd api.BMD
	if decode("bmd", &bmd); len(bmd.Providers["ais"]) != 1 {
		t.Errorf("bmd %+v", bmd)
	}
	var status api.NodeStatus
	if decode("node_status", &status); status.Status != "online" || status.Version != "v9" || status.PID == 0 || status.Snode.ID != "t1" || len(status.Mountpaths.Details) != 2 {
		t.Errorf("status %+v", status)
	}
	var stats api.NodeStats
	if decode("stats", &stats); stats.Ops["get-daemon"].Count == 0 || stats.Disks[0].Used != 60 || stats.Sys.NumCPU == 0 || stats.Sys.RSS == 0 {
		t.Errorf("stats %+v", stats)
	}
	var mps api.Mountpaths
	if decode("mountpaths", &mps); len(mps.Available) != 1 || mps.Disabled[0] != "/d2" || mps.Details[1].Reason != "EIO" || mps.Details[0].ReadOps != 3 {
		t.Errorf("mountpaths %+v", mps)
	}
	var view cluster.View
	if decode("view", &view); view.Secret != nil || view.Map.Version != 3 {
		t.Errorf("view %+v", view)
	}
	if decode("config", &map[string]string{}); v.Secret == nil {
		t.Error("the query took the node's own secret")
	}
	for _, what := range []string{"sysinfo", "snode", "cluster_config", "status"} {
		decode(what, &map[string]any{})
	}
	if code, body, _ := get(t, r.public+"/v1/daemon?what=zz"); code != 400 || !strings.Contains(body, "smap") {
		t.Errorf("unknown query: %d %s", code, body)
	}
	g := serve(t, Config{Role: cluster.RoleProxy, Control: &fakeControl{}})
	if code, _, _ := get(t, g.public+"/v1/daemon?what=mountpaths"); code != 400 {
		t.Errorf("mountpaths of a gateway: %d", code)
	}
	if code, _, _ := get(t, g.public+"/v1/daemon?what=smap"); code != 503 {
		t.Errorf("smap before the first view: %d", code)
	}
}

func TestMetricsAndProfiles(t *testing.T) {
	r := serve(t, Config{Role: cluster.RoleTarget, Control: &fakeControl{testView()}, Disks: func() []fs.Info { return []fs.Info{{Path: "/d1"}} }})
	get(t, r.public+"/v1/health")
	for _, base := range []string{r.public, r.intra} {
		code, body, _ := get(t, base+"/metrics")
		if code != 200 || !strings.Contains(body, "ais_mountpath_reads_total") || !strings.Contains(body, `"health"`) {
			t.Errorf("%s/metrics: %d %.300s", base, code, body)
		}
	}
	for path, want := range map[string]int{"": 200, "heap": 200, "goroutine?debug=1": 200, "profile?seconds=0.05": 200, "trace?seconds=0.01": 200, "nope": 404, "profile?seconds=x": 400} {
		if code, body, _ := get(t, r.intra+pathPprof+path); code != want || code == 200 && body == "" {
			t.Errorf("%s: %d, %d bytes", path, code, len(body))
		}
	}
	if code, _, _ := get(t, r.public+pathPprof); code != 404 {
		t.Errorf("clients can profile: %d", code)
	}
}

func TestLogs(t *testing.T) {
	var out bytes.Buffer
	l, err := NewLogs(&out, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	log := l.Logger()
	log.Debug("hidden")
	log.Info("one")
	log.Warn("two")
	log.Error("three")
	if got := string(l.Tail("")); got != out.String() || strings.Contains(got, "hidden") || strings.Count(got, "\n") != 3 {
		t.Errorf("tail %q, written %q", got, out.String())
	}
	if got := string(l.Tail("warning")); strings.Contains(got, "one") || strings.Count(got, "\n") != 2 {
		t.Errorf("warnings %q", got)
	}
	if got := string(l.Tail("error")); strings.Count(got, "\n") != 1 {
		t.Errorf("errors %q", got)
	}
	l.Follow("debug")
	if log.Debug("now seen"); !strings.Contains(string(l.Tail("")), "now seen") {
		t.Error("the cluster's level is not followed")
	}
	long := strings.Repeat("x", 1000)
	for range 3000 {
		log.Info(long)
	}
	log.Info("the last")
	got := l.Tail("")
	if len(got) > keptLog || !bytes.HasPrefix(got, []byte("time=")) || !bytes.Contains(got[len(got)-100:], []byte("the last")) {
		t.Errorf("%d bytes kept, %.50q ... %.100q", len(got), got, got[len(got)-100:])
	}
	quiet, err := NewLogs(io.Discard, "error", "json")
	if err != nil {
		t.Fatal(err)
	}
	if quiet.Follow("debug"); quiet.Logger().Enabled(t.Context(), slog.LevelInfo) {
		t.Error("a level of the node's own gave way to the cluster's")
	}
	quiet.Logger().Error("x")
	if len(quiet.Tail("error")) == 0 {
		t.Error("JSON lines have no severity")
	}
	for _, bad := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		if _, err := NewLogs(io.Discard, bad[0], bad[1]); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestLogQuery(t *testing.T) {
	l, err := NewLogs(io.Discard, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, Config{Role: cluster.RoleProxy, Control: &fakeControl{testView()}, Logs: l})
	l.Logger().Info("hello")
	if _, body, _ := get(t, r.public+"/v1/daemon?what=log"); !strings.Contains(body, "hello") {
		t.Errorf("log %q", body)
	}
	_, body, _ := get(t, r.public+"/v1/daemon?what=log&all=true")
	gz, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(gz)
	h, err := tr.Next()
	if err != nil || h.Name != "t1.log" {
		t.Fatalf("%+v %v", h, err)
	}
	if b, err := io.ReadAll(tr); err != nil || !bytes.Contains(b, []byte("hello")) {
		t.Errorf("archive %q %v", b, err)
	}
}

// TestStopOrder: a request in flight when the node is told to stop still finds the parts alive.
func TestStopOrder(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var partEnded atomic.Bool
	part := Part{Name: "control", Run: func(ctx context.Context) error {
		<-ctx.Done()
		partEnded.Store(true)
		return nil
	}}
	slow := httpx.Route{Method: "GET", Path: "/slow", Op: "slow", Policy: httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData}, Handler: func(c *httpx.Ctx) error {
		close(entered)
		<-leave
		if partEnded.Load() {
			return errs.E("test", "part", errs.Unavailable, "has gone before the request")
		}
		return nil
	}}
	logs, err := NewLogs(io.Discard, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	n := New(Config{ID: "p1", Role: cluster.RoleProxy, Control: &fakeControl{testView()}, Client: httpx.NewClient(httpx.ClientConfig{}), Logs: logs, Metrics: metrics.New(nil)})
	var ls Listeners
	for _, ln := range []*net.Listener{&ls.Public, &ls.Intra} {
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, ls, append(n.Routes(), slow), part) }()
	status := make(chan int, 1)
	go func() {
		resp, err := http.Get("http://" + ls.Public.Addr().String() + "/slow")
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-entered
	cancel()
	close(leave)
	if s := <-status; s != 200 {
		t.Errorf("the request in flight got %d", s)
	}
	if err := <-done; err != nil || !partEnded.Load() {
		t.Errorf("Run: %v", err)
	}
}

// TestFailedPartEndsTheNode names the part and frees the ports.
func TestFailedPartEndsTheNode(t *testing.T) {
	logs, err := NewLogs(io.Discard, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	n := New(Config{ID: "p1", Role: cluster.RoleProxy, Control: &fakeControl{testView()}, Client: httpx.NewClient(httpx.ClientConfig{}), Logs: logs, Metrics: metrics.New(nil)})
	var ls Listeners
	for _, ln := range []*net.Listener{&ls.Public, &ls.Intra} {
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	err = n.Run(t.Context(), ls, n.Routes(), Part{Name: "disk", Run: func(context.Context) error { return errs.E("test", "", errs.Mountpath, "boom") }})
	if !errs.Is(err, errs.Mountpath) || !strings.Contains(err.Error(), "disk") {
		t.Errorf("Run: %v", err)
	}
	if _, err := net.Dial("tcp", ls.Public.Addr().String()); err == nil {
		t.Error("the public port is still open")
	}
}
