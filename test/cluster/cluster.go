// Package cluster runs a whole cluster inside one test process: gateways and targets with real listeners on
// 127.0.0.1 and real directories, without a process of their own each.
//
// It is the quick way to test what spans nodes; what needs processes to be killed is test/fault's. Nodes are
// stopped by cancelling them, as SIGTERM does.
//
// Start at Start.
package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"aistore/cmd/aisnode/app"
	"aistore/config"
	"aistore/test/plain"
	"aistore/test/procs"
)

// Spec of a cluster. Zero counts mean 1 gateway, 2 targets and 1 mountpath each.
type Spec struct {
	Gateways   int
	Targets    int
	Mountpaths int  // per target
	All        bool // instead: one node in role "all"
	Unnamed    bool // let nodes make their own ids
}

// Cluster is running nodes. Its methods belong to the test's goroutine.
type Cluster struct {
	t     testing.TB
	dir   string
	nodes []*Node
	port  int // first of those not yet given
}

// Node is one of them, running or not.
type Node struct {
	Config config.Node
	name   string // "g1", "t2"; also its id unless unnamed
	stop   context.CancelFunc
	ended  chan error
	log    *logFile
}

// room is how many nodes can be added to those started.
const room = 4

// Start runs a cluster and returns when every node is ready; it is stopped when the test ends.
func Start(t testing.TB, s Spec) *Cluster {
	t.Helper()
	if s.Gateways == 0 {
		s.Gateways = 1
	}
	if s.Targets == 0 {
		s.Targets = 2
	}
	if s.Mountpaths == 0 {
		s.Mountpaths = 1
	}
	count := s.Gateways + s.Targets
	if s.All {
		count = 1
	}
	c := &Cluster{t: t, dir: procs.Dir(t), port: procs.FreePorts(t, 2*(count+room))}
	t.Cleanup(c.Down)
	if s.All {
		c.define("a", config.RoleAll, s)
	} else {
		for range s.Gateways {
			c.define("g", config.RoleProxy, s)
		}
		for range s.Targets {
			c.define("t", config.RoleTarget, s)
		}
	}
	c.nodes[0].Config.Bootstrap = config.On
	c.Up()
	c.nodes[0].Config.Bootstrap = config.Off // it has state now
	procs.Settle(t, []*plain.Client{c.Client(c.nodes[0].name)}, count)
	return c
}

// define chooses the next node's name, ports and directories.
func (c *Cluster) define(letter, role string, s Spec) *Node {
	n := 1
	for _, other := range c.nodes {
		if other.name[:1] == letter {
			n++
		}
	}
	name := letter + strconv.Itoa(n)
	cfg := config.Node{
		Role: role, ID: name, Dir: filepath.Join(c.dir, name), Host: "127.0.0.1", Port: c.port, IntraPort: c.port + 1,
		CacheSize: 8 * config.MiB, Bootstrap: config.Off,
	}
	if s.Unnamed {
		cfg.ID = ""
	}
	c.port += 2
	if role != config.RoleProxy {
		for i := range max(1, s.Mountpaths) {
			cfg.Mountpaths = append(cfg.Mountpaths, filepath.Join(c.dir, name+"-mp"+strconv.Itoa(i+1)))
		}
	}
	for _, other := range c.nodes {
		cfg.Join = append(cfg.Join, other.URL())
	}
	nd := &Node{Config: cfg, name: name, log: &logFile{path: filepath.Join(c.dir, name+".log")}}
	c.nodes = append(c.nodes, nd)
	return nd
}

// Add makes a new node that joins, and returns its name when it is ready.
func (c *Cluster) Add(role string, mountpaths int) string {
	c.t.Helper()
	n := c.define(map[string]string{config.RoleProxy: "g", config.RoleTarget: "t"}[role], role, Spec{Mountpaths: mountpaths})
	c.Up(n.name)
	return n.name
}

// Nodes returns all nodes, gateways first, then targets, then those added.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Name returns "g1", "t2" and so on.
func (n *Node) Name() string { return n.name }

// URL returns the node's public URL.
func (n *Node) URL() string { return "http://127.0.0.1:" + strconv.Itoa(n.Config.Port) }

// Node returns the node of that name.
func (c *Cluster) Node(name string) *Node {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	c.t.Fatalf("there is no node %s", name)
	return nil
}

// Client returns a client of one node; it is closed when the test ends.
func (c *Cluster) Client(name string) *plain.Client {
	c.t.Helper()
	cl := plain.New(c.Node(name).URL())
	c.t.Cleanup(cl.Close)
	return cl
}

// Clients returns a client of every node.
func (c *Cluster) Clients() []*plain.Client {
	var all []*plain.Client
	for _, n := range c.nodes {
		all = append(all, c.Client(n.name))
	}
	return all
}

// Gateways returns a client of every node that answers lists and changes of buckets.
func (c *Cluster) Gateways() []*plain.Client {
	var all []*plain.Client
	for _, n := range c.nodes {
		if n.Config.HasGateway() {
			all = append(all, c.Client(n.name))
		}
	}
	return all
}

// Up starts the named nodes, or all that are down, at the same time and returns when all are ready.
func (c *Cluster) Up(names ...string) {
	c.t.Helper()
	started := c.named(names)
	for _, n := range started {
		if n.stop == nil {
			c.run(n)
		}
	}
	for _, n := range started {
		c.ready(n)
	}
}

// Stop ends the named nodes, or all, at the same time, and returns when they have.
func (c *Cluster) Stop(names ...string) {
	c.t.Helper()
	stopped := c.named(names)
	for _, n := range stopped {
		if n.stop != nil {
			n.stop()
		}
	}
	for _, n := range stopped {
		if n.stop == nil {
			continue
		}
		select {
		case err := <-n.ended:
			if err != nil {
				c.t.Errorf("%s ended with %v", n.name, err)
			}
		case <-time.After(time.Minute):
			c.t.Fatalf("%s does not end", n.name)
		}
		n.stop = nil
	}
}

// Down stops every node.
func (c *Cluster) Down() {
	c.Stop()
	for _, n := range c.nodes {
		if c.t.Failed() {
			c.t.Logf("log of %s ends:\n%s", n.name, n.log.tail())
		}
	}
}

func (c *Cluster) named(names []string) []*Node {
	if len(names) == 0 {
		return c.nodes
	}
	var ns []*Node
	for _, name := range names {
		ns = append(ns, c.Node(name))
	}
	return ns
}

// run starts a node.
func (c *Cluster) run(n *Node) {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.ended = cancel, make(chan error, 1)
	cfg := n.Config.WithDefaults()
	ended := n.ended
	go func() {
		a, err := app.Open(ctx, cfg, app.Options{Version: "test", Log: n.log})
		if err == nil {
			err = a.Run(ctx)
		}
		ended <- err
	}()
}

// ready waits until the node says that it is ready and every gateway that runs sees it.
func (c *Cluster) ready(n *Node) {
	c.t.Helper()
	cl := plain.New(n.URL())
	defer cl.Close()
	_, err := procs.Await(time.Minute, func(ctx context.Context) error {
		select {
		case err := <-n.ended:
			n.stop = nil
			c.t.Fatalf("%s ended before it was ready: %v; its log:\n%s", n.name, err, n.log.tail())
		default:
		}
		resp, err := cl.Do(ctx, "GET", n.URL()+"/v1/health?readiness=true", nil)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		for _, viewer := range c.nodes {
			if viewer.stop == nil {
				continue
			}
			if err := sees(ctx, viewer, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		c.t.Fatalf("%s is not ready: %v; its log:\n%s", n.name, err, n.log.tail())
	}
}

// sees checks that viewer's cluster map has the node at n's URL, alive.
func sees(ctx context.Context, viewer, n *Node) error {
	cl := plain.New(viewer.URL())
	defer cl.Close()
	m, err := cl.Smap(ctx)
	if err != nil {
		return err
	}
	for _, part := range []map[string]plain.Member{m.Gateways, m.Targets} {
		for _, member := range part {
			if member.Net.URL == n.URL() && member.Alive {
				return nil
			}
		}
	}
	return fmt.Errorf("%s does not see %s alive", viewer.name, n.name)
}

// logFile takes a node's log.
type logFile struct {
	path string
	mu   sync.Mutex
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Write(p)
}

func (l *logFile) tail() string {
	b, _ := os.ReadFile(l.path)
	if len(b) > 3000 {
		b = b[len(b)-3000:]
	}
	return string(b)
}
