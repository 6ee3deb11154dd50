package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/httpx"
)

// fabric is the network between the nodes of one test; it can be cut around a node.
type fabric struct {
	mu    sync.Mutex
	owner map[string]cluster.NodeID // by intra or public address
	cut   map[cluster.NodeID]bool
	conns map[*link]struct{}
}

type link struct {
	net.Conn
	f        *fabric
	from, to cluster.NodeID
}

func (l *link) Close() error {
	l.f.mu.Lock()
	delete(l.f.conns, l)
	l.f.mu.Unlock()
	return l.Conn.Close()
}

func newFabric() *fabric {
	return &fabric{owner: map[string]cluster.NodeID{}, cut: map[cluster.NodeID]bool{}, conns: map[*link]struct{}{}}
}

func (f *fabric) dialer(from cluster.NodeID) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := dialTCP(ctx, addr)
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		to := f.owner[addr]
		if from != to && (f.cut[from] || f.cut[to]) {
			c.Close()
			return nil, errors.New("network is cut")
		}
		l := &link{c, f, from, to}
		f.conns[l] = struct{}{}
		return l, nil
	}
}

// isolate cuts a node off, now and for new connections; heal undoes it.
func (f *fabric) isolate(id cluster.NodeID) {
	f.mu.Lock()
	f.cut[id] = true
	var doomed []*link
	for l := range f.conns {
		if l.from != l.to && (l.from == id || l.to == id) {
			doomed = append(doomed, l)
		}
	}
	f.mu.Unlock()
	for _, l := range doomed {
		l.Close()
	}
}

// cutOff isolates a node at a moment at which it has a lease.
func (tc *testCluster) cutOff(n *testNode) {
	tc.t.Helper()
	eventually(tc.t, string(n.cfg.Self.ID)+" cut off with a lease", func() bool {
		tc.net.isolate(n.cfg.Self.ID)
		if n.Lease() == nil {
			return true
		}
		tc.net.heal(n.cfg.Self.ID)
		return false
	})
}

// reigning returns n's reign; n is made the primary if it is not.
func (n *testNode) reigning() (r *reign) {
	n.tc.t.Helper()
	eventually(n.tc.t, string(n.cfg.Self.ID)+" to reign", func() bool {
		if r = n.reign.Load(); r == nil {
			_, _ = n.Propose(soon(n.tc.t), cluster.SetPrimary{ID: n.cfg.Self.ID})
		}
		return r != nil
	})
	return r
}

func (f *fabric) heal(id cluster.NodeID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.cut, id)
}

// testCluster runs nodes in this process, on real sockets and disks.
type testCluster struct {
	t     *testing.T
	dir   string
	net   *fabric
	nodes map[cluster.NodeID]*testNode
}

type testNode struct {
	*Control
	tc     *testCluster
	cfg    Config
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	client *httpx.Client
	skew   *skew
}

// skew is a clock that tests let jump.
type skew struct {
	mu sync.Mutex
	by time.Duration
}

func (s *skew) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.by)
}

func (s *skew) jump(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by += d
}

func newCluster(t *testing.T) *testCluster {
	tc := &testCluster{t: t, dir: t.TempDir(), net: newFabric(), nodes: map[cluster.NodeID]*testNode{}}
	t.Cleanup(func() {
		for _, n := range tc.nodes {
			n.cancel()
		}
		for _, n := range tc.nodes {
			<-n.done
			if n.err != nil && !t.Failed() {
				t.Errorf("%s: %v", n.cfg.Self.ID, n.err)
			}
		}
	})
	return tc
}

var testSettings = map[string]string{"timeout.heartbeat": "100ms", "timeout.lease": "1500ms"}

func testLog() *slog.Logger {
	if os.Getenv("CONTROL_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start runs a node. change may be nil; the founder needs Bootstrap.
func (tc *testCluster) start(id cluster.NodeID, role cluster.Role, change func(*Config)) *testNode {
	tc.t.Helper()
	return tc.startAt(id, role, "", change)
}

// startAt gives the node an intra-cluster address.
func (tc *testCluster) startAt(id cluster.NodeID, role cluster.Role, addr string, change func(*Config)) *testNode {
	tc.t.Helper()
	intra, public := listen(tc.t, addr), listen(tc.t, "")
	n := &testNode{tc: tc, done: make(chan struct{}), skew: &skew{}}
	n.client = httpx.NewClient(httpx.ClientConfig{Dial: tc.net.dialer(id)})
	raftLn, httpLn := SplitListener(intra)
	n.cfg = Config{
		Self: cluster.Node{ID: id, Role: role, IntraAddr: intra.Addr().String(), PublicURL: "http://" + public.Addr().String()},
		Dir:  filepath.Join(tc.dir, string(id)), Settings: testSettings, Raft: raftLn, Client: n.client,
		Dial: tc.net.dialer(id), Log: testLog().With("at", id), Version: "test",
		Timing: Timing{Election: 600 * time.Millisecond, GiveUp: patience / 2, LongPoll: 2 * time.Second, Replace: 2 * time.Second},
	}
	if change != nil {
		change(&n.cfg)
	}
	tc.net.mu.Lock()
	tc.net.owner[intra.Addr().String()], tc.net.owner[public.Addr().String()] = id, id
	tc.net.mu.Unlock()
	c, err := Open(n.cfg)
	if err != nil {
		tc.t.Fatalf("open %s: %v", id, err)
	}
	n.Control = c
	c.clock, c.lease.clock = n.skew.now, n.skew.now
	router, err := httpx.NewRouter(c.Routes())
	if err != nil {
		tc.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	limits := httpx.Limits{Drain: time.Second}
	var parts sync.WaitGroup
	parts.Go(func() {
		_ = httpx.NewServer(httpx.ServerConfig{Listener: httpx.Intra, Node: string(id), Limits: limits}, router).Serve(ctx, httpLn)
	})
	parts.Go(func() {
		_ = httpx.NewServer(httpx.ServerConfig{Listener: httpx.Public, Node: string(id), Limits: limits}, router).Serve(ctx, public)
	})
	parts.Go(func() { n.err = c.Run(ctx); cancel() })
	go func() {
		parts.Wait()
		n.client.Close()
		close(n.done)
	}()
	tc.nodes[id] = n
	return n
}

func listen(t *testing.T, addr string) (ln net.Listener) {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	eventually(t, "the address "+addr, func() bool { // a former one may be taken for a moment by somebody's outgoing connection
		var err error
		ln, err = net.Listen("tcp", addr)
		return err == nil
	})
	return ln
}

// found starts the first node and waits until it is ready.
func (tc *testCluster) found(id cluster.NodeID, role cluster.Role) *testNode {
	tc.t.Helper()
	n := tc.start(id, role, func(c *Config) { c.Bootstrap = true })
	n.waitReady()
	return n
}

// join starts a node that joins via another and waits until it is ready.
func (tc *testCluster) join(id cluster.NodeID, role cluster.Role, via *testNode) *testNode {
	tc.t.Helper()
	n := tc.start(id, role, func(c *Config) { c.Join = []string{via.cfg.Self.PublicURL} })
	n.waitReady()
	return n
}

// stop ends a node; its directory stays.
func (tc *testCluster) stop(id cluster.NodeID) {
	n := tc.nodes[id]
	n.cancel()
	<-n.done
	delete(tc.nodes, id)
}

// kill ends a node without a word to the others.
func (tc *testCluster) kill(id cluster.NodeID) {
	tc.net.isolate(id)
	tc.stop(id)
	tc.net.heal(id)
}

// restart starts a node again at its former intra-cluster address, knowing no other.
func (tc *testCluster) restart(n *testNode) *testNode {
	tc.t.Helper()
	return tc.startAt(n.cfg.Self.ID, n.cfg.Self.Role, n.cfg.Self.IntraAddr, nil)
}

// patience bounds every wait of a test, far beyond what it takes: a busy machine is no defect.
const patience = time.Minute

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// until waits for a view of n that ok accepts.
func (n *testNode) until(what string, ok func(*cluster.View) bool) *cluster.View {
	n.tc.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		v := n.View()
		var index uint64
		if v != nil {
			if ok(v) {
				return v
			}
			index = v.Index
		}
		select {
		case <-n.Watch(index):
		case <-deadline.C:
			n.tc.t.Fatalf("%s: waited in vain for %s; view: %s", n.cfg.Self.ID, what, describe(v))
		case <-n.done:
			n.tc.t.Fatalf("%s: ended (%v) while it was to see %s", n.cfg.Self.ID, n.err, what)
		}
	}
}

func describe(v *cluster.View) string {
	if v == nil {
		return "none"
	}
	s := fmt.Sprintf("index %d, primary %s, nodes", v.Index, v.Map.Primary)
	for _, n := range v.Map.All() {
		s += fmt.Sprintf(" %s(%s alive=%v voter=%v)", n.ID, n.State, n.Alive, n.Voter)
	}
	return s
}

// eventually waits for a condition that no view tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond) // nothing signals it; the deadline bounds the wait
	}
}

func (n *testNode) waitReady() {
	n.tc.t.Helper()
	eventually(n.tc.t, string(n.cfg.Self.ID)+" to be ready", func() bool {
		select {
		case <-n.done:
			n.tc.t.Fatalf("%s ended: %v", n.cfg.Self.ID, n.err)
		default:
		}
		return n.Ready()
	})
}

func (n *testNode) create(name string) {
	n.tc.t.Helper()
	if _, err := n.Propose(soon(n.tc.t), cluster.CreateBucket{Name: name}); err != nil {
		n.tc.t.Fatalf("create %s at %s: %v", name, n.cfg.Self.ID, err)
	}
}

func hasBucket(name string) func(*cluster.View) bool {
	return func(v *cluster.View) bool { return v.Buckets.Get("", name) != nil }
}

func hasVoters(n int) func(*cluster.View) bool {
	return func(v *cluster.View) bool { return len(v.Map.Voters()) == n }
}
