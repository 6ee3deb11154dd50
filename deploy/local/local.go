// Package local runs a cluster of aisnode processes on 127.0.0.1, below one directory.
//
// It is a starter, not a supervisor: nodes outlive the process that started them, a node that died stays
// down until somebody starts it, and all that is known of a cluster stands in files (cluster.json, and per
// node its configuration, pid and log), so any process may look after a cluster that another one started.
// `ais dev` and the tests that need real processes use it. It knows how a node is started and when it is
// ready, and nothing of what nodes do.
//
// Start at Up and Open.
package local

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"aistore/errs"
)

// Options of a cluster. Zero values take the defaults of WithDefaults; for a directory that already holds a
// cluster, zero counts and port mean "as it is".
type Options struct {
	Dir         string        // everything is below it
	Gateways    int           // nodes g1, g2, ...; default 1
	Targets     int           // nodes t1, t2, ...; default 3
	Mountpaths  int           // per target; default 2
	Port        int           // public port of the first gateway, the other nodes follow; default 8080, or outside of the ports of outgoing connections
	All         bool          // instead: one process, a1, in role "all"
	TLS         bool          // every node also listens over TLS; those ports follow the public ones
	Binary      string        // aisnode; default: see FindNode
	Env         []string      // "KEY=VALUE" added to the environment of every node started
	CacheSize   string        // cache_size of each target, such as "16MiB"; default: the node's own
	LogLevel    string        // log.level of every node; default: the node's own
	ReadyWithin time.Duration // bounds the wait for a node and for the whole cluster; default 1 minute
	DrainWithin time.Duration // SIGTERM is followed by SIGKILL after it; default 75 s: longer than a node may take to land what it moves, and to drain
}

// WithDefaults fills what a new cluster needs.
func (o Options) WithDefaults() Options {
	if o.All {
		o.Gateways, o.Targets = 0, 0
	} else if o.Gateways == 0 && o.Targets == 0 {
		o.Gateways, o.Targets = 1, 3
	} else if o.Gateways == 0 {
		o.Gateways = 1
	}
	if o.Mountpaths == 0 {
		o.Mountpaths = 2
		if o.All {
			o.Mountpaths = 1
		}
	}
	if o.Port == 0 {
		low, high := outgoingPorts()
		o.Port = defaultPort(o.ports(), low, high)
	}
	return o.withTimes()
}

func (o Options) withTimes() Options {
	if o.ReadyWithin == 0 {
		o.ReadyWithin = time.Minute
	}
	if o.DrainWithin == 0 {
		o.DrainWithin = 75 * time.Second
	}
	return o
}

// ports is how many public ports the nodes have.
func (o Options) ports() int {
	n := max(1, o.Gateways+o.Targets)
	if o.TLS {
		n *= 2
	}
	return n
}

// Validate names every wrong field.
func (o Options) Validate() error {
	const op = "local.Options"
	var all []error
	bad := func(field, format string, args ...any) {
		all = append(all, errs.F(op, field, errs.Invalid, format, args...))
	}
	if o.Dir == "" {
		bad("dir", "is empty: name the directory of the cluster")
	}
	for _, n := range []struct {
		field    string
		val, max int
	}{{"gateways", o.Gateways, 100}, {"targets", o.Targets, 100}, {"mountpaths", o.Mountpaths, 100}} {
		if n.val < 0 || n.val > n.max {
			bad(n.field, "%d is outside 0..%d", n.val, n.max)
		}
	}
	ports := o.ports()
	if o.Port < 1 || o.Port+ports > 65535 {
		bad("port", "%d is no port that %d others can follow", o.Port, ports)
	}
	return errors.Join(all...)
}

// Cluster is one local cluster. Its methods may be called at the same time.
type Cluster struct {
	opts Options
	dir  string // absolute
	http asker

	mu       sync.Mutex // guards what follows, and the writing of cluster.json by this process
	file     clusterFile
	children map[string]*child // nodes that this process started and has to reap
}

// Up starts the cluster in o.Dir, a new one or what is there, and returns when every node is alive in the
// cluster map. Nodes that run already keep running, and are started anew if they were about to end. If the founding fails, the nodes it started are stopped again, the error carries the end of the
// failing node's log, and where no node has become a part of a cluster the next Up may have other counts and ports. A cluster that was founded before is returned with the error: the nodes that
// are well go on without those that are not.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	const op = "local.Up"
	c, err := Open(o)
	fresh := errs.Is(err, errs.NotFound)
	if fresh {
		c, err = create(o.WithDefaults())
	} else if err == nil {
		err = errors.Join(c.noteRetired(), c.sameShape(o))
	}
	if err != nil {
		return nil, errs.E(op, o.Dir, err)
	}
	if c.file.Founded {
		return c, errors.Join(c.resume(ctx), c.noteRetired())
	}
	started, err := c.startAll(ctx)
	if err == nil {
		err = c.waitReady(ctx)
	}
	if err != nil {
		err = errors.Join(err, c.stopAll(context.WithoutCancel(ctx), started, 5*time.Second))
		if fresh {
			err = errors.Join(err, forget(c.dir, c.Nodes()))
		}
		return nil, err
	}
	return c, nil
}

// forget removes cluster.json from dir if no node has a log or a view of a cluster.
func forget(dir string, nodes []Node) error {
	for _, n := range nodes {
		for _, kept := range []string{"raft", "view.json"} {
			if _, err := os.Stat(filepath.Join(n.state(), kept)); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return os.Remove(filepath.Join(dir, clusterFileName))
}

// Open returns the cluster that o.Dir holds and starts nothing; kind NotFound if there is none.
func Open(o Options) (*Cluster, error) {
	const op = "local.Open"
	dir, err := filepath.Abs(o.Dir)
	if err != nil || o.Dir == "" {
		return nil, errs.E(op, "dir", errs.Invalid, "name the directory of the cluster")
	}
	c := newCluster(o.withTimes(), dir)
	if err := c.file.read(dir); err != nil {
		return nil, errs.E(op, o.Dir, err)
	}
	return c, nil
}

// nodeIdentity is in the directory of every node.
const nodeIdentity = "node.json"

// create lays out a new cluster: ports are chosen, directories made, cluster.json written. Nothing runs yet.
func create(o Options) (*Cluster, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if _, err := FindNode(o.Binary); err != nil { // with the cluster laid out, another try could choose no other counts and ports
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, nodeIdentity)); err == nil {
		return nil, errs.F("local.create", dir, errs.Conflict, "is the directory of one node (it holds %s), not of a cluster: name another directory, or start that node again with `aisnode --dir %s`", nodeIdentity, o.Dir)
	}
	file := newClusterFile(o)
	for _, n := range file.Nodes {
		for _, port := range n.publicPorts() {
			if err := portFault(port); err != nil {
				return nil, errs.F("local.create", n.ID, errs.Conflict, "cannot listen on port %d of 127.0.0.1: %w; or choose another first port with --port (make cluster-up PORT=N)", port, err)
			}
		}
	}
	if err := assignIntraPorts(dir, nil, file.Nodes); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // what is refused leaves no directory behind
		return nil, err
	}
	if o.TLS {
		if err := MakeCertificate(certificateDir(dir)); err != nil {
			return nil, err
		}
	}
	if err := file.write(dir); err != nil {
		return nil, err
	}
	c := newCluster(o, dir)
	c.file = file
	return c, nil
}

func newCluster(o Options, dir string) *Cluster {
	return &Cluster{
		opts: o, dir: dir, children: map[string]*child{},
		http: asker{&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}, // no idle connection of ours for a draining node to wait for
	}
}

// sameShape refuses counts and ports that contradict what the directory holds.
func (c *Cluster) sameShape(o Options) error {
	gateways, targets, mountpaths := 0, 0, 0
	for _, n := range c.Nodes() {
		if n.Role == RoleProxy {
			gateways++
			continue
		}
		if targets++; targets == 1 || len(n.Mountpaths) == o.Mountpaths { // those that were added may have others than the first
			mountpaths = len(n.Mountpaths)
		}
	}
	if c.file.Nodes[0].Role == RoleAll {
		targets = 0
	}
	for _, f := range []struct {
		name     string
		want, is int
	}{{"gateways", o.Gateways, gateways}, {"targets", o.Targets, targets}, {"mountpaths", o.Mountpaths, mountpaths}, {"port", o.Port, c.file.Nodes[0].Port}} {
		if f.want != 0 && f.want != f.is {
			return errs.F("local.Up", f.name, errs.Conflict,
				"the directory holds a cluster with %d: leave the option out to start it again, or use another directory", f.is)
		}
	}
	if o.TLS && c.file.Nodes[0].TLSPort == 0 {
		return errs.E("local.Up", "tls", errs.Conflict,
			"the directory holds a cluster without TLS: leave the option out to start it again, or use another directory")
	}
	return nil
}

// Certificate returns the PEM file that clients of TLS ports are told to trust, "" if there are none.
func (c *Cluster) Certificate() string {
	if c.Nodes()[0].TLSPort == 0 {
		return ""
	}
	cert, _ := CertificateFiles(certificateDir(c.dir))
	return cert
}

// Dir returns the cluster's directory, absolute.
func (c *Cluster) Dir() string { return c.dir }

// Endpoint returns the URL of the first gateway, the value for AIS_ENDPOINT.
func (c *Cluster) Endpoint() string { return c.Nodes()[0].URL() }

// Nodes returns what the cluster consists of, gateways first, then nodes that were added. The order never changes; decommissioned nodes are
// left out, unless all are.
func (c *Cluster) Nodes() []Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(c.file.Nodes), Node.retired)
	if len(left) == 0 {
		left = slices.Clone(c.file.Nodes)
	}
	return left
}

// all is Nodes with those that were decommissioned.
func (c *Cluster) all() []Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.file.Nodes)
}

// Node returns one node by id, also one that was decommissioned; kind NotFound names those that exist.
func (c *Cluster) Node(id string) (Node, error) {
	known := ""
	for _, n := range c.all() {
		if n.ID == id {
			return n, nil
		}
		known += " " + n.ID
	}
	return Node{}, errs.F("local.Node", id, errs.NotFound, "no such node in %s: there are%s", c.dir, known)
}

// State of a node as Status reports it.
type State string

// The states.
const (
	Running        State = "running"
	Stopped        State = "stopped"
	Decommissioned State = "decommissioned" // does not run, and has nothing that others need: started once more it forgets the cluster and ends
	Removed        State = "removed"        // does not run, and the cluster does not know it
)

// NodeStatus is one row of Status; its JSON form is what `ais dev status --json` prints.
type NodeStatus struct {
	ID    string   `json:"id"`
	Role  Role     `json:"role"`
	URL   string   `json:"url"`
	TLS   string   `json:"tls_url,omitempty"`
	PID   int      `json:"pid"` // 0 unless running
	State State    `json:"state"`
	Dirs  []string `json:"dirs"` // the mountpaths of a target; the own directory of a gateway
}

// Status reports whether each node's process runs. It says nothing of readiness.
func (c *Cluster) Status() []NodeStatus {
	var all []NodeStatus
	for _, n := range c.Nodes() {
		s := NodeStatus{ID: n.ID, Role: n.Role, URL: n.URL(), TLS: n.TLSURL(), State: Stopped, Dirs: n.Mountpaths}
		if len(s.Dirs) == 0 {
			s.Dirs = []string{n.Dir}
		}
		if p, ok := runningProcess(n); ok {
			s.PID, s.State = p.PID, Running
		} else if n.retired() {
			s.State = Decommissioned
		}
		all = append(all, s)
	}
	return all
}

// Describe is Status, and asks the cluster what became of nodes that do not run: a node that is off cannot say that it was decommissioned.
func (c *Cluster) Describe(ctx context.Context) []NodeStatus {
	all := c.Status()
	m, ok := c.mapNow(ctx)
	if !ok {
		return all
	}
	for i := range all {
		s := &all[i]
		n, known := m.member(s.ID)
		switch {
		case s.State == Running:
		case !known:
			s.State = Removed
		case n.State == "decommissioned" && n.Phase != "migrating":
			s.State = Decommissioned
		}
	}
	return all
}

// mapNow is the cluster map of the first gateway that answers.
func (c *Cluster) mapNow(ctx context.Context) (m clusterMap, ok bool) {
	if !c.file.Founded {
		return m, false
	}
	for _, n := range c.Nodes() {
		if _, up := runningProcess(n); !up || n.Role == RoleTarget {
			continue
		}
		if m, err := c.http.mapOf(ctx, n); err == nil {
			return m, true
		}
	}
	return m, false
}

// Logs returns the path of a node's log file, to which every start appends.
func (c *Cluster) Logs(id string) (string, error) {
	n, err := c.Node(id)
	return n.log(), err
}
