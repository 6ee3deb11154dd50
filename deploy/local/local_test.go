package local

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/flock"
)

// TestMain is also the fake aisnode: the test binary starts itself with --config.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "--config" {
		if err := fakeNode(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fakeNode listens where its configuration says and shows a cluster map of all nodes whose port answers.
func fakeNode(config string, args []string) error {
	if os.Getenv("FAKE_FAIL") == filepath.Base(filepath.Dir(config)) {
		return errors.New("disk on fire")
	}
	f, err := os.Open(config)
	if err != nil {
		return err
	}
	conf := map[string]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		k, v, _ := strings.Cut(sc.Text(), ": ")
		conf[k] = strings.Trim(v, `"`)
	}
	fmt.Fprintln(os.Stderr, "starting", conf["id"], args)
	if err := os.MkdirAll(conf["dir"], 0o755); err != nil {
		return err
	}
	lock, err := os.Create(filepath.Join(conf["dir"], "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := flock.Lock(lock.Fd()); err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	intra, err := net.Listen("tcp", "127.0.0.1:"+conf["intra_port"])
	if err != nil {
		return err
	}
	defer intra.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:"+conf["port"])
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	asked := make(chan struct{}, 1)
	mux.HandleFunc("/v1/health", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(filepath.Join(conf["dir"], "draining")); err == nil {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			asked <- struct{}{}
			return
		}
		if os.Getenv("FAKE_UNREADY") == conf["id"] {
			http.Error(w, "still thinking", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/v1/daemon", func(w http.ResponseWriter, _ *http.Request) {
		var all clusterFile
		if err := all.read(filepath.Dir(filepath.Dir(config))); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		smap := map[string]map[string]any{"pmap": {}, "tmap": {}}
		for _, n := range all.Nodes {
			conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(n.Port))
			if err == nil {
				conn.Close()
			}
			in := "pmap"
			if n.Role == RoleTarget {
				in = "tmap"
			}
			smap[in][n.ID] = map[string]any{"alive": err == nil}
			if n.Role == RoleAll {
				smap["tmap"][n.ID] = map[string]any{"alive": err == nil}
			}
		}
		_ = json.NewEncoder(w).Encode(smap)
	})
	go http.Serve(ln, mux) //nolint:errcheck // ends with the process
	<-term
	if drain := filepath.Join(conf["dir"], "draining"); os.Getenv("FAKE_DRAIN") == conf["id"] { // until somebody asks how it is
		if err := os.WriteFile(drain, nil, 0o644); err != nil {
			return err
		}
		<-asked
		return os.Remove(drain)
	}
	if os.Getenv("FAKE_STUBBORN") == conf["id"] {
		select {}
	}
	return nil
}

func options(t *testing.T, port int) Options {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir()) // the registry of ports
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Dir: filepath.Join(t.TempDir(), "c"), Gateways: 1, Targets: 2, Mountpaths: 2, Port: port, Binary: self, ReadyWithin: time.Minute}
}

func up(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.KillAll(context.Background()) })
	return c
}

func states(c *Cluster) string {
	var s []string
	for _, n := range c.Status() {
		s = append(s, n.ID+"="+string(n.State))
	}
	return strings.Join(s, " ")
}

func log(t *testing.T, c *Cluster, id string) string {
	t.Helper()
	path, err := c.Logs(id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLife(t *testing.T) {
	o := options(t, 24100)
	c := up(t, o)
	if got := states(c); got != "g1=running t1=running t2=running" {
		t.Fatalf("after up: %s", got)
	}
	first := c.Status()
	if c.Endpoint() != "http://127.0.0.1:24100" || first[2].URL != "http://127.0.0.1:24102" {
		t.Fatalf("URLs: %+v", first)
	}
	if want := []string{filepath.Join(c.Dir(), "t1", "mp1"), filepath.Join(c.Dir(), "t1", "mp2")}; fmt.Sprint(first[1].Dirs) != fmt.Sprint(want) {
		t.Fatalf("dirs of t1: %v", first[1].Dirs)
	}

	if err := c.Kill(t.Context(), "t1"); err != nil {
		t.Fatal(err)
	}
	if got := states(c); got != "g1=running t1=stopped t2=running" {
		t.Fatalf("after kill: %s", got)
	}
	if err := c.Restart(t.Context(), "t1"); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(t.Context(), "t2"); err != nil {
		t.Fatal(err)
	}
	now := c.Status()
	if now[0].PID != first[0].PID || now[1].PID == first[1].PID || now[2].PID == first[2].PID {
		t.Fatalf("restart must replace t1 and t2 alone: %+v then %+v", first, now)
	}

	again := up(t, Options{Dir: o.Dir, Binary: o.Binary}) // running nodes are left alone
	if fmt.Sprint(again.Status()) != fmt.Sprint(now) {
		t.Fatalf("up on a running cluster: %+v", again.Status())
	}
	if err := again.Down(t.Context()); err != nil { // not the parent of these processes
		t.Fatal(err)
	}
	if got := states(c); got != "g1=stopped t1=stopped t2=stopped" {
		t.Fatalf("after down: %s", got)
	}
	for _, n := range c.Status() {
		if n.PID != 0 {
			t.Errorf("%s is stopped and has pid %d", n.ID, n.PID)
		}
	}

	back := up(t, Options{Dir: o.Dir, Binary: o.Binary})
	if fmt.Sprint(back.Nodes()) != fmt.Sprint(c.Nodes()) {
		t.Errorf("ports or directories changed: %v then %v", c.Nodes(), back.Nodes())
	}
	if n := strings.Count(log(t, back, "g1"), "--bootstrap"); n != 1 {
		t.Errorf("g1 was told to bootstrap %d times, want once:\n%s", n, log(t, back, "g1"))
	}
	if s := log(t, back, "t1"); strings.Contains(s, "--bootstrap") {
		t.Errorf("t1 was told to bootstrap:\n%s", s)
	}
}

func TestStatusJSON(t *testing.T) {
	c := up(t, func() Options { o := options(t, 24110); o.All = true; return o }())
	b, err := json.Marshal(c.Status())
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`[{"id":"a1","role":"all","url":"http://127.0.0.1:24110","pid":%d,"state":"running","dirs":[%q,%q]}]`,
		c.Status()[0].PID, filepath.Join(c.Dir(), "a1", "mp1"), filepath.Join(c.Dir(), "a1", "mp2"))
	if string(b) != want {
		t.Errorf("status is %s\nwant      %s", b, want)
	}
}

// TestTLS gives nodes TLS ports behind the public ones, and keeps them and the certificate over restarts.
func TestTLS(t *testing.T) {
	o := options(t, 24250)
	o.TLS = true
	c := up(t, o)
	if s := c.Status(); s[0].TLS != "https://127.0.0.1:24253" || s[2].TLS != "https://127.0.0.1:24255" || c.Nodes()[2].TLSURL() != s[2].TLS {
		t.Fatalf("TLS is at %+v", s)
	}
	pair, err := tls.LoadX509KeyPair(CertificateFiles(certificateDir(c.Dir())))
	if err != nil {
		t.Fatal(err)
	}
	if len(pair.Certificate) != 2 {
		t.Fatalf("%d certificates in a chain, want the nodes' and its authority's", len(pair.Certificate))
	}
	authority, err := x509.ParseCertificate(pair.Certificate[1])
	if err != nil || !authority.IsCA || pair.Leaf.IsCA {
		t.Fatalf("the nodes' own certificate is an authority's, which rustls refuses: %v, or its authority is none: %v", pair.Leaf.IsCA, err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	for _, name := range []string{"127.0.0.1", "::1", "localhost"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: time.Now().AddDate(9, 11, 0)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st, err := os.Stat(filepath.Join(c.Dir(), "tls", "key.pem")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v %v", st, err)
	}
	yaml, err := os.ReadFile(c.Nodes()[1].yaml())
	if err != nil || !strings.Contains(string(yaml), fmt.Sprintf("tls_port: 24254\ntls_cert: %q\n", c.Certificate())) {
		t.Errorf("configuration: %v\n%s", err, yaml)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := up(t, Options{Dir: o.Dir, Binary: o.Binary})
	again, err := tls.LoadX509KeyPair(CertificateFiles(certificateDir(c.Dir())))
	if err != nil || !again.Leaf.Equal(pair.Leaf) || fmt.Sprint(back.Nodes()) != fmt.Sprint(c.Nodes()) {
		t.Errorf("up again changed something: %v %v", err, back.Nodes())
	}

	plain := options(t, 24260)
	p := up(t, plain)
	if p.Certificate() != "" || p.Nodes()[0].TLSURL() != "" {
		t.Errorf("TLS without being asked for: %+v", p.Nodes())
	}
	plain.TLS = true
	if _, err := Up(t.Context(), plain); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "tls") {
		t.Errorf("TLS in a directory without: %v", err)
	}
	taken := options(t, 24270)
	taken.TLS = true
	busy, err := net.Listen("tcp", "127.0.0.1:24274")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if _, err := Up(t.Context(), taken); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "24274") {
		t.Errorf("a TLS port is taken: %v", err)
	}
	taken.Dir = filepath.Join(taken.Dir, "below", "it")
	if _, err := Up(t.Context(), taken); !errs.Is(err, errs.Conflict) {
		t.Errorf("a TLS port is taken: %v", err)
	}
	if _, err := os.Stat(taken.Dir); err == nil {
		t.Error("what was refused leaves a directory behind")
	}
}

func TestUpFails(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:24122")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, c := range []struct {
		name string
		port int
		with func(*Options)
		kind errs.Kind
		text []string
	}{
		{"port taken", 24120, func(*Options) {}, errs.Conflict, []string{"24122", "t2", "another process listens there: stop that one first", "--port"}},
		{"dies", 24130, func(o *Options) { o.Env = []string{"FAKE_FAIL=t2"} }, errs.Unavailable, []string{"t2", "disk on fire"}},
		{"never ready", 24130, func(o *Options) { o.Env, o.ReadyWithin = []string{"FAKE_UNREADY=t1"}, 300*time.Millisecond }, errs.Timeout, []string{"t1", "still thinking", "starting t1"}},
		{"no binary", 24130, func(o *Options) { o.Binary = "/nowhere/aisnode" }, errs.NotFound, []string{"/nowhere/aisnode"}},
		{"bad counts", 24130, func(o *Options) { o.Targets, o.Port = 1000, 70000 }, errs.Other, []string{"targets", "port"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, c.port)
			c.with(&o)
			_, err := Up(t.Context(), o)
			for errs.Is(err, errs.Timeout) && !strings.Contains(err.Error(), "still thinking") && o.ReadyWithin < time.Minute {
				o.ReadyWithin *= 4 // a busy machine has not come to where the node answers
				_, err = Up(t.Context(), o)
			}
			if err == nil || c.kind != errs.Other && !errs.Is(err, c.kind) {
				t.Fatalf("error is %v, kind %v, want kind %v", err, errs.KindOf(err), c.kind)
			}
			for _, want := range c.text {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			if _, err := os.Stat(o.Dir); c.name == "no binary" && err == nil {
				t.Error("what was refused is there, and other options will be refused")
			}
			if left, err := Open(o); err == nil && strings.Contains(states(left), "running") {
				t.Errorf("up failed and left nodes running: %s", states(left))
			}
		})
	}
}

// TestUpInNode: the directory of a node that somebody runs by itself does not become that of a cluster, too.
func TestUpInNode(t *testing.T) {
	o := options(t, 24140)
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "node.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Up(t.Context(), o); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "one node") {
		t.Errorf("up: %v", err)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) != 1 {
		t.Errorf("the directory holds %v, %v", left, err)
	}
}

func TestUpAgainAfterFailure(t *testing.T) {
	o := options(t, 24140)
	o.Env = []string{"FAKE_FAIL=g1"}
	if _, err := Up(t.Context(), o); err == nil {
		t.Fatal("up succeeded without its gateway")
	}
	o.Env, o.Mountpaths = nil, o.Mountpaths+1 // nobody had become a part of a cluster
	c := up(t, o)
	if !strings.Contains(log(t, c, "g1"), "--bootstrap") {
		t.Errorf("nobody founded the cluster:\n%s", log(t, c, "g1"))
	}
	o.Targets = 5
	if _, err := Up(t.Context(), o); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "targets") {
		t.Errorf("up with other counts: %v", err)
	}
}

// TestUpWithoutSome: one bad node does not keep the others from going on, and who was decommissioned is not missed, also when its
// directory is gone.
func TestUpWithoutSome(t *testing.T) {
	o := options(t, 24280)
	c := up(t, o)
	if err := c.Stop(t.Context(), "t1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.Nodes()[1].state(), "decommissioned"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(o.Dir, "t1")); err != nil {
		t.Fatal(err)
	}
	o.Targets = 0
	o.Env = []string{"FAKE_FAIL=t2"}
	again, err := Up(t.Context(), o)
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("up with a bad node: %v", err)
	}
	if err == nil || strings.Contains(err.Error(), "starting t2") {
		t.Errorf("what t2 logged when it was started before is shown too: %v", err)
	}
	if again == nil || states(again) != "g1=running t2=stopped" {
		t.Fatalf("what was left is %v", again)
	}
	o.Env = nil
	if got := states(up(t, o)); got != "g1=running t2=running" {
		t.Errorf("without t1 there are %s", got)
	}
}

func TestTwoClusters(t *testing.T) {
	o := options(t, 24150)
	a := up(t, o)
	if err := a.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	held := map[int]bool{}
	for _, n := range a.Nodes() {
		held[n.Port], held[n.IntraPort] = true, true
	}
	for i := range 20 { // none of these may be given a port of the cluster that is down
		other := clusterFile{Nodes: []Node{{Port: 24160}, {Port: 24161}, {Port: 24162}}}
		if err := assignIntraPorts(filepath.Join(t.TempDir(), strconv.Itoa(i)), nil, other.Nodes); err != nil {
			t.Fatal(err)
		}
		for _, n := range other.Nodes {
			if held[n.IntraPort] {
				t.Fatalf("port %d was given away", n.IntraPort)
			}
		}
	}
	p := o
	p.Dir, p.Port = filepath.Join(t.TempDir(), "b"), 24170
	b := up(t, p)
	back := up(t, Options{Dir: o.Dir, Binary: o.Binary})
	if s := states(b) + " " + states(back); strings.Contains(s, "stopped") {
		t.Errorf("side by side: %s", s)
	}
}

// TestRecycledPID plays a pid file whose pid has passed to another process.
func TestRecycledPID(t *testing.T) {
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	o := options(t, 24180)
	c, err := create(o)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := readStat(stranger.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	n := c.Nodes()[0]
	if err := c.writeConfig(n); err != nil {
		t.Fatal(err)
	}
	for _, p := range []process{
		{PID: stranger.Process.Pid, Start: "1" + stat.start, Boot: bootID()},
		{PID: stranger.Process.Pid, Start: stat.start, Boot: "another boot"},
	} {
		if err := p.write(n); err != nil {
			t.Fatal(err)
		}
		if got := states(c); strings.Contains(got, "running") {
			t.Errorf("a stranger passes for a node: %s", got)
		}
		if err := errors.Join(c.Down(t.Context()), c.KillAll(t.Context()), p.signal(syscall.SIGKILL)); err != nil {
			t.Fatal(err)
		}
		if now, err := readStat(stranger.Process.Pid); err != nil || now.state == 'Z' {
			t.Fatalf("the stranger was killed: %v %c", err, now.state)
		}
	}
}

// TestUnrecordedProcess: a node whose starter was killed before he recorded it is found by the lock that it holds.
func TestUnrecordedProcess(t *testing.T) {
	o := options(t, 24230)
	c := up(t, o)
	before := c.Status()
	n := c.Nodes()[1]
	if flock.Holder(filepath.Join(n.state(), "lock")) == 0 {
		t.Skip("this system does not tell who holds a lock")
	}
	for _, left := range []string{"", `{"pid":1,"start":"1","boot":"x"}`} { // no record, and that of an earlier process
		if err := os.WriteFile(n.pidFile(), []byte(left), 0o644); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(c.Status()) != fmt.Sprint(before) {
			t.Errorf("%q left: %+v, want %+v", left, c.Status(), before)
		}
		if again, err := Up(t.Context(), Options{Dir: o.Dir, Binary: o.Binary}); err != nil || fmt.Sprint(again.Status()) != fmt.Sprint(before) {
			t.Errorf("%q left: up again: %v", left, err)
		}
	}
	if err := c.Kill(t.Context(), n.ID); err != nil {
		t.Fatal(err)
	}
	if got := states(c); got != "g1=running t1=stopped t2=running" {
		t.Errorf("after kill: %s", got)
	}
}

func TestStubborn(t *testing.T) {
	o := options(t, 24190)
	o.Env, o.DrainWithin = []string{"FAKE_STUBBORN=t1"}, 200*time.Millisecond
	c := up(t, o)
	err := c.Down(t.Context())
	if !errs.Is(err, errs.Timeout) || !strings.Contains(err.Error(), "t1") {
		t.Errorf("down of a node that ignores SIGTERM: %v", err)
	}
	if s := states(c); strings.Contains(s, "running") {
		t.Errorf("after down: %s", s)
	}
}

// TestUpOfEnding: a node that is found running and ends, as it was told before, is started after all: by up, and by start.
func TestUpOfEnding(t *testing.T) {
	o := options(t, 24290)
	o.Env = []string{"FAKE_DRAIN=t1"}
	c := up(t, o)
	n := c.Nodes()[1]
	for how, start := range map[string]func() error{
		"up":    func() error { _, err := Up(t.Context(), Options{Dir: o.Dir, Binary: o.Binary, Env: o.Env}); return err },
		"start": func() error { return c.Start(t.Context(), "t1") },
	} {
		before, _ := runningProcess(n)
		if err := c.Signal("t1", syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for _, err := os.Stat(filepath.Join(n.state(), "draining")); err != nil; _, err = os.Stat(filepath.Join(n.state(), "draining")) {
			runtime.Gosched()
		}
		if err := start(); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if now, runs := runningProcess(n); !runs || now == before {
			t.Errorf("%s: %s runs as %d, before as %d", how, n.ID, now.PID, before.PID)
		}
	}
}

// TestDownOfRetired: a node that was decommissioned, and has not ended yet, is not left behind.
func TestDownOfRetired(t *testing.T) {
	c := up(t, options(t, 24220))
	n := c.Nodes()[1]
	if err := os.WriteFile(filepath.Join(n.state(), "decommissioned"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, runs := runningProcess(n); runs {
		t.Errorf("%s runs still, as %d", n.ID, p.PID)
		_ = p.signal(syscall.SIGKILL)
	}
}

// TestAllRetired: of a cluster that was decommissioned the nodes are not shown as merely stopped, though nobody is left to ask.
func TestAllRetired(t *testing.T) {
	c := up(t, options(t, 24220))
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, n := range c.Nodes() {
		if err := os.WriteFile(filepath.Join(n.state(), "decommissioned"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		want += " " + n.ID + "=decommissioned"
	}
	if got := states(c); got != want[1:] {
		t.Errorf("the nodes are %s", got)
	}
}

// TestPatience: a node that ends in the middle of a rebalance, with clients that are slow, is given the time that its cluster's settings give it.
func TestPatience(t *testing.T) {
	c := cluster.DefaultConfig()
	if node := c.Rebalance.TermWait.D() + c.Timeout.Drain.D(); (Options{}).withTimes().DrainWithin <= node {
		t.Errorf("killed after %v, a node may take %v", (Options{}).withTimes().DrainWithin, node)
	}
}

func TestUnknownNode(t *testing.T) {
	c, err := create(options(t, 24200))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Kill(t.Context(), "t9")
	if !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "g1 t1 t2") {
		t.Errorf("error is %v", err)
	}
	if _, err := Open(Options{Dir: t.TempDir()}); !errs.Is(err, errs.NotFound) {
		t.Errorf("open of an empty directory: %v", err)
	}
}

func TestParseStat(t *testing.T) {
	rest := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	for _, name := range []string{"(aisnode)", "(a b)", "(x) R (y)", "(()"} {
		got, err := parseStat("42 " + name + rest)
		if err != nil || got.state != 'S' || got.threads != "17" || got.start != "4711" || got.ended() {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	for s, ended := range map[procStat]bool{
		{state: 'Z', threads: "1"}: true, {state: 'X', threads: "0"}: true, {state: 'T', threads: "1"}: false,
		{state: 'Z', threads: "9"}: false, // its first thread has ended
	} {
		if s.ended() != ended {
			t.Errorf("%+v has ended: %v", s, !ended)
		}
	}
	for _, bad := range []string{"", "42 (x)", "42 (x) S 1"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestPortFault tells a listener from an outgoing connection.
func TestPortFault(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for addr, want := range map[net.Addr]string{ln.Addr(): "another process listens there", conn.LocalAddr(): "nobody listens there"} {
		tcp, _ := addr.(*net.TCPAddr)
		if err := portFault(tcp.Port); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", addr, err, want)
		}
	}
}

func TestDefaultPort(t *testing.T) {
	for _, c := range []struct{ count, low, high, want int }{
		{4, 32768, 60999, 8080}, {4, 8084, 60999, 8080}, {4, 8083, 60999, 8079}, {4, 1024, 60999, 61000}, {4, 1024, 65535, 8080},
		{4, 1024, 65530, 65531}, {4, 1024, 65531, 8080}, {4, 1024, 8079, 8080}, {8, 2000, 65535, 1992},
	} {
		if got := defaultPort(c.count, c.low, c.high); got != c.want {
			t.Errorf("%d ports beside %d..%d begin at %d, want %d", c.count, c.low, c.high, got, c.want)
		}
	}
}
