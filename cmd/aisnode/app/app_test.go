package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/cmd/aisnode/app"
	"aistore/config"
	"aistore/errs"
	"aistore/test/procs"
)

// settings of a node in dir on free ports.
func settings(t *testing.T, dir string) config.Node {
	t.Helper()
	return config.Node{Dir: dir, Port: procs.FreePort(t), IntraPort: procs.FreePort(t)}.WithDefaults()
}

// start runs a node until the returned function is called, and waits until it is ready.
func start(t *testing.T, cfg config.Node) (a *app.App, stop func()) {
	t.Helper()
	var log bytes.Buffer
	a, err := app.Open(t.Context(), cfg, app.Options{Log: &log, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v\n%s", err, &log)
		}
	}
	t.Cleanup(stop)
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for a.Ready() != nil {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("not ready: %v", a.Ready())
		}
	}
	return a, stop
}

func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestRestart keeps everything in one directory over restarts, also when parts of it are lost.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	cfg := settings(t, dir)
	a, stop := start(t, cfg)
	if code, body := request(t, "POST", a.URL()+"/v1/buckets/bk", `{"action":"create-bck"}`); code != 200 {
		t.Fatalf("create: %d %s", code, body)
	}
	big := strings.Repeat("0123456789", 50_000)
	for name, content := range map[string]string{"small": "hello", "big": big} {
		if code, body := request(t, "PUT", a.URL()+"/v1/objects/bk/"+name, content); code != 200 {
			t.Fatalf("put: %d %s", code, body)
		}
	}
	id := a.ID()
	stop()
	check := func(a *app.App) {
		t.Helper()
		if a.ID() != id {
			t.Errorf("the node is now %s, was %s", a.ID(), id)
		}
		for name, content := range map[string]string{"small": "hello", "big": big} {
			if code, body := request(t, "GET", a.URL()+"/v1/objects/bk/"+name, ""); code != 200 || body != content {
				t.Errorf("%s after the restart: %d, %d bytes", name, code, len(body))
			}
		}
	}
	a, stop = start(t, cfg)
	check(a)
	if _, err := app.Open(t.Context(), cfg, app.Options{}); err == nil {
		t.Error("a second process took the same directory")
	}
	stop()

	if err := os.Remove(filepath.Join(dir, "node.json")); err != nil {
		t.Fatal(err)
	}
	a, stop = start(t, cfg) // the identity comes from the mountpath
	check(a)
	stop()
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	cfg := settings(t, dir)
	_, stop := start(t, cfg)

	taken := settings(t, t.TempDir())
	taken.Port = cfg.Port
	takenIntra := settings(t, t.TempDir())
	takenIntra.IntraPort = cfg.IntraPort
	elsewhere := settings(t, t.TempDir())
	elsewhere.Host = "192.0.2.1" // of documentation: nobody's (RFC 5737)
	for name, c := range map[string]struct {
		cfg  config.Node
		text string
	}{"port": {taken, "port"}, "intra_port": {takenIntra, "intra_port"}, "host": {elsewhere, "host: "}} {
		if _, err := app.Open(t.Context(), c.cfg, app.Options{}); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s that cannot be had: %v", name, err)
		}
	}
	stop()

	other := settings(t, t.TempDir())
	_, stop = start(t, other)
	stop()
	mixed := cfg
	mixed.Mountpaths = append(append([]string{}, cfg.Mountpaths...), other.Mountpaths...)
	renamed := cfg
	renamed.ID = "somebody"
	foreign := cfg
	foreign.Mountpaths = other.Mountpaths
	loud := cfg
	loud.Log.Level = "loud"
	for name, c := range map[string]config.Node{"mountpaths of two nodes": mixed, "another id": renamed, "another node's mountpath": foreign, "log level": loud} {
		if a, err := app.Open(t.Context(), c, app.Options{}); !errs.Is(err, errs.Conflict, errs.Invalid) {
			t.Errorf("%s: %v %v", name, a, err)
		}
	}
	a, stop := start(t, cfg) // the refusals have changed nothing
	if a.Ready() != nil {
		t.Error("not ready")
	}
	stop()
}

// TestGatewayAndTargets assembles one gateway and two targets, and reads through redirects.
func TestGatewayAndTargets(t *testing.T) {
	gw := settings(t, t.TempDir())
	gw.Role, gw.Mountpaths, gw.Bootstrap = string(cluster.RoleProxy), nil, config.On
	g, _ := start(t, gw)
	for range 2 {
		tg := settings(t, t.TempDir())
		tg.Role, tg.Join, tg.Bootstrap = string(cluster.RoleTarget), []string{g.URL()}, config.Off
		start(t, tg)
	}
	if code, body := request(t, "POST", g.URL()+"/v1/buckets/bk", `{"action":"create-bck"}`); code != 200 {
		t.Fatalf("create: %d %s", code, body)
	}
	for i := range 20 {
		name, content := fmt.Sprintf("o %d", i), strings.Repeat(fmt.Sprint(i), 1+i*20_000)
		url := g.URL() + "/v1/objects/bk/" + strings.ReplaceAll(name, " ", "%20")
		if code, body := request(t, "PUT", url, content); code != 200 {
			t.Fatalf("put: %d %s", code, body)
		}
		if code, body := request(t, "GET", url, ""); code != 200 || body != content {
			t.Errorf("%s: %d, %d bytes", name, code, len(body))
		}
	}
	if code, body := request(t, "GET", g.URL()+"/v1/buckets/bk", `{"action":"list"}`); code != 200 || strings.Count(body, `"name"`) != 20 {
		t.Errorf("list: %d %.300s", code, body)
	}
}
