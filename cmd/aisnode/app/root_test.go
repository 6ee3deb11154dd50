package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/config"
	"aistore/errs"
	"aistore/httpx"
	"aistore/test/procs"
)

// safeLog is a log that is read while the node writes.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// launch runs a node configured by args and environ until stop is called, and waits until it is ready.
func launch(t *testing.T, args []string, environ ...string) (a *App, log *safeLog, stop func()) {
	t.Helper()
	cfg, err := config.Load(append(args, fmt.Sprintf("--port=%d", procs.FreePort(t)), fmt.Sprintf("--intra-port=%d", procs.FreePort(t)), "--log-level=debug"), environ)
	if err != nil {
		t.Fatal(err)
	}
	log = &safeLog{}
	if a, err = Open(t.Context(), cfg, Options{Log: log, Version: "test"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v\n%s", err, log)
		}
	})
	t.Cleanup(stop)
	deadline, stopWaiting := context.WithTimeout(t.Context(), time.Minute)
	defer stopWaiting()
	for a.Ready() != nil {
		var seen uint64
		if v := a.control.View(); v != nil {
			seen = v.Index
		}
		tick := time.NewTimer(5 * time.Millisecond) // a lease comes without a new view
		select {
		case <-a.control.Watch(seen):
		case <-tick.C:
		case <-deadline.Done():
			t.Fatalf("not ready: %v\n%s", a.Ready(), log)
		}
		tick.Stop()
	}
	return a, log, stop
}

// TestRootPair founds a store with a chosen pair, and starts it again without and with another one.
func TestRootPair(t *testing.T) {
	dir := "--dir=" + t.TempDir()
	mine := []string{"AIS_ROOT_ACCESS_KEY=chosen/by+me", "AIS_ROOT_SECRET_KEY=chosen-secret"}
	cfg, err := config.Load([]string{dir}, mine)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg, Options{}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "AIS_ROOT_ACCESS_KEY") || strings.Contains(err.Error(), "chosen-secret") {
		t.Errorf("an access key with a slash: %v", err)
	}
	mine[0] = "AIS_ROOT_ACCESS_KEY=chosen+by+me"
	a, log, stop := launch(t, []string{dir}, mine...)
	if u, k := a.control.View().Users.ByAccess("chosen+by+me"); u == nil || u.Role != cluster.Admin || u.Name != "root" || k.Secret != "chosen-secret" {
		t.Fatalf("users %v", a.control.View().Users.List())
	}
	if access, secret := a.RootKey(); access != "chosen+by+me" || secret != "" {
		t.Errorf("to be printed: %q, and %d bytes of a chosen secret", access, len(secret))
	}
	stop()
	if strings.Contains(log.String(), "default key pair") || strings.Contains(log.String(), "no key of this cluster") {
		t.Errorf("warnings about a chosen pair:\n%s", log)
	}
	a, _, stop = launch(t, []string{dir})
	if us := a.control.View().Users.Users; len(us) != 1 || us["root"] == nil {
		t.Errorf("after a start without a pair: %v", us)
	}
	if access, _ := a.RootKey(); access != "" {
		t.Errorf("the default pair is printed, which is nobody's")
	}
	stop()
	_, log, stop = launch(t, []string{dir}, "AIS_ROOT_ACCESS_KEY=another", "AIS_ROOT_SECRET_KEY=another-secret")
	stop()
	if !strings.Contains(log.String(), "no key of this cluster") {
		t.Errorf("no warning about a pair without effect:\n%s", log)
	}

	a, log, stop = launch(t, []string{"--dir=" + t.TempDir()})
	if access, secret := a.RootKey(); access != "aisadmin" || secret != "aisadmin-secret" {
		t.Errorf("the default pair: %q", access)
	}
	log.await(t, "default key pair")
	stop()
}

// await waits for a line of the log.
func (l *safeLog) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(l.String(), text); time.Sleep(5 * time.Millisecond) { // nothing signals it; the deadline bounds the wait
		if time.Now().After(deadline) {
			t.Fatalf("%q is not in the log:\n%s", text, l)
		}
	}
}

// TestDefaultPairIsToldOnce: of the nodes of a cluster one warns of the default pair, at the first start and at later ones.
func TestDefaultPairIsToldOnce(t *testing.T) {
	g, log, _ := launch(t, []string{"--dir=" + t.TempDir(), "--role=proxy", "--bootstrap"})
	log.await(t, "default key pair")
	_, other, stop := launch(t, []string{"--dir=" + t.TempDir(), "--role=target", "--join=" + g.URL()}, "AIS_ROOT_ACCESS_KEY=another", "AIS_ROOT_SECRET_KEY=another-secret")
	other.await(t, "no key of this cluster") // said before
	stop()
	if n := strings.Count(log.String()+other.String(), "default key pair"); n != 1 {
		t.Errorf("told %d times:\n%s\n%s", n, log, other)
	}
}

// TestSecretsStayInside calls every public route of a node with every query, right and wrong, and looks for secrets in
// what comes back, in the log, and in the metrics.
func TestSecretsStayInside(t *testing.T) {
	dir := t.TempDir()
	const root, second = "hushhush-root-secret", "hushhush-second-secret"
	a, log, stop := launch(t, []string{"--dir=" + dir}, "AIS_ROOT_ACCESS_KEY=rootaccess", "AIS_ROOT_SECRET_KEY="+root)
	sdk, err := client.New(client.Options{Endpoints: []string{a.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	defer sdk.Close()
	if err := sdk.Auth().AddUser(t.Context(), api.AddUserMsg{Name: "ann", Access: "annaccess", Secret: second}); err != nil {
		t.Fatal(err)
	}
	if err := sdk.Bucket("bk").Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	view, err := json.Marshal(a.control.View())
	if err != nil || !bytes.Contains(view, []byte(root)) || !bytes.Contains(view, []byte(second)) {
		t.Fatal("the node has no secrets: the test shows nothing", err)
	}
	clusterSecret, err := json.Marshal(a.control.View().Secret)
	if err != nil {
		t.Fatal(err)
	}
	hidden := []string{"hushhush", strings.Trim(string(clusterSecret), `"`)}
	calls := 0
	call := func(method, path, body string) string {
		calls++
		req, err := http.NewRequest(method, a.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(method, path, err)
		}
		req.Header.Set(api.HeaderNodeID, string(a.ID()))
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(method, path, err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(method, path, err)
		}
		seen := fmt.Sprint(resp.Header) + string(b)
		for _, h := range hidden {
			if strings.Contains(seen, h) {
				t.Errorf("%s %s %.80s shows a secret:\n%.2000s", method, path, body, seen)
			}
		}
		return string(b)
	}
	for _, path := range []string{api.PathCluster, api.PathDaemon, api.PathReverse} {
		list := regexp.MustCompile(`use one of ([a-z_, ]+)`).FindStringSubmatch(call("GET", path+"?what=zz", ""))
		if list == nil || len(strings.Split(list[1], ", ")) < 10 {
			t.Fatalf("%s tells no queries: %v", path, list)
		}
		for _, what := range strings.Split(strings.TrimSpace(list[1]), ", ") {
			call("GET", path+"?what="+what, "")
			call("GET", path+"?what="+what, `{"id":"x"}`)
		}
	}
	for _, r := range a.routes {
		if r.Policy.Listener&httpx.Public == 0 {
			continue
		}
		method := r.Method
		if method == "*" {
			method = "GET"
		}
		rests := []string{""}
		if strings.HasSuffix(r.Path, "*") {
			rests = []string{"", "ann", "annaccess", "bk", "bk/obj", "ais/@#/bk"}
		}
		bodies := []string{""}
		if strings.HasPrefix(r.Path, api.PathObjects) || strings.HasPrefix(r.Path, api.PathEasy) {
			bodies = []string{"", "{}", `{"action":"list"}`} // what is put there may be read there
		} else if r.Policy.MaxBody != 0 {
			bodies = []string{"", "{}", `{"action":"list"}`, `{"name":"x","access":"xaccess","secret":"hushhush too"}`, `{"user":"ann","access":"xaccess","secret":"hushhush too"}`,
				`{"user":"ann","access":"annaccess","secret":"hushhush-again"}`, `{"secret":["hushhush"]}`, `{"secret":"hushhush"`}
		}
		for _, rest := range rests {
			if method == "DELETE" && rest == "ann" {
				continue // ann is needed to the end
			}
			for _, body := range bodies {
				call(method, strings.TrimSuffix(r.Path, "*")+rest, body)
			}
		}
	}
	if calls < 100 || !slices.ContainsFunc(a.routes, func(r httpx.Route) bool { return r.Path == "/v1/join-info" }) {
		t.Errorf("only %d calls", calls)
	}
	stop()
	if text := log.String(); strings.Contains(text, "hushhush") || !strings.Contains(text, "node opened") {
		t.Errorf("the log shows a secret, or nothing:\n%.3000s", text)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "raft", "*")); err != nil || len(files) == 0 {
		t.Errorf("no log on disk: %v", err)
	}
}
