package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"aistore/errs"
)

// Role of a node, as aisnode's --role takes it.
type Role string

// The roles.
const (
	RoleProxy  Role = "proxy"
	RoleTarget Role = "target"
	RoleAll    Role = "all"
)

// Node is one process of the cluster. All of it is chosen when the cluster is made, and kept.
type Node struct {
	ID         string   `json:"id"`
	Role       Role     `json:"role"`
	Port       int      `json:"port"`
	TLSPort    int      `json:"tls_port,omitempty"` // 0: none
	IntraPort  int      `json:"intra_port"`
	Dir        string   `json:"dir"`                  // configuration, log, pid and state; absolute
	Mountpaths []string `json:"mountpaths,omitempty"` // absolute
	Retired    bool     `json:"retired,omitempty"`    // decommissioned: never started again, also when its directory is gone
}

// URL returns the node's public URL.
func (n Node) URL() string { return "http://127.0.0.1:" + strconv.Itoa(n.Port) }

// TLSURL returns the node's public URL over TLS, "" if it has none.
func (n Node) TLSURL() string {
	if n.TLSPort == 0 {
		return ""
	}
	return "https://127.0.0.1:" + strconv.Itoa(n.TLSPort)
}

func (n Node) publicPorts() []int {
	if n.TLSPort == 0 {
		return []int{n.Port}
	}
	return []int{n.Port, n.TLSPort}
}

func (n Node) log() string     { return filepath.Join(n.Dir, "log") }
func (n Node) pidFile() string { return filepath.Join(n.Dir, "pid") }
func (n Node) yaml() string    { return filepath.Join(n.Dir, "node.yaml") }
func (n Node) state() string   { return filepath.Join(n.Dir, "state") }

// clusterFile is cluster.json. Directories are stored relative to it, so a cluster's directory may be moved.
type clusterFile struct {
	Format  int    `json:"format"`  // 1
	Founded bool   `json:"founded"` // the first node has founded the cluster: nobody is told to bootstrap again
	Nodes   []Node `json:"nodes"`
}

const clusterFileName = "cluster.json"

func newClusterFile(o Options) clusterFile {
	f := clusterFile{Format: 1}
	dir, _ := filepath.Abs(o.Dir) // create has done it without an error
	add := func(id string, role Role, mountpaths int) {
		n := Node{ID: id, Role: role, Port: o.Port + len(f.Nodes), Dir: filepath.Join(dir, id)}
		for i := range mountpaths {
			n.Mountpaths = append(n.Mountpaths, filepath.Join(n.Dir, "mp"+strconv.Itoa(i+1)))
		}
		f.Nodes = append(f.Nodes, n)
	}
	if o.All {
		add("a1", RoleAll, o.Mountpaths)
	}
	for i := range o.Gateways {
		add("g"+strconv.Itoa(i+1), RoleProxy, 0)
	}
	for i := range o.Targets {
		add("t"+strconv.Itoa(i+1), RoleTarget, o.Mountpaths)
	}
	if o.TLS {
		for i := range f.Nodes {
			f.Nodes[i].TLSPort = o.Port + len(f.Nodes) + i
		}
	}
	return f
}

// read loads cluster.json below dir; kind NotFound if there is no cluster.
func (f *clusterFile) read(dir string) error {
	path := filepath.Join(dir, clusterFileName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errs.F("local.read", nil, errs.NotFound, "holds no cluster (no %s): start one with `ais dev up --dir %s`", clusterFileName, dir)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, f); err != nil {
		return errs.F("local.read", path, errs.Conflict, "is not the description of a cluster (%w): put back a copy of it, or start afresh in another directory", err)
	}
	if f.Format != 1 || len(f.Nodes) == 0 {
		return errs.F("local.read", path, errs.Unsupported, "has format %d with %d nodes: this version reads format 1", f.Format, len(f.Nodes))
	}
	for i := range f.Nodes {
		f.Nodes[i].mapDirs(func(p string) string { return filepath.Join(dir, p) })
	}
	return nil
}

// write replaces cluster.json as a whole.
func (f clusterFile) write(dir string) error {
	rel := f
	rel.Nodes = append([]Node(nil), f.Nodes...)
	for i := range rel.Nodes {
		rel.Nodes[i].mapDirs(func(p string) string {
			r, err := filepath.Rel(dir, p)
			if err != nil {
				return p
			}
			return r
		})
	}
	b, err := json.MarshalIndent(rel, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, clusterFileName), append(b, '\n'), 0o644)
}

func (n *Node) mapDirs(change func(string) string) {
	n.Dir = change(n.Dir)
	mps := make([]string, len(n.Mountpaths))
	for i, mp := range n.Mountpaths {
		mps[i] = change(mp)
	}
	n.Mountpaths = mps
}

// writeFile puts data at path by rename, so that a reader sees the old file or the new one. The data is
// synced first: a cluster must be found again after a power cut.
func writeFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeConfig makes the node's directories and its configuration file. Every start does: whoever wipes a node's
// directory gets a node with empty state, which joins the cluster anew.
func (c *Cluster) writeConfig(n Node) error {
	for _, d := range append([]string{n.Dir, n.state()}, n.Mountpaths...) {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	var b strings.Builder
	line := func(key string, val any) {
		v, _ := json.Marshal(val) // a JSON value is a YAML value
		fmt.Fprintf(&b, "%s: %s\n", key, v)
	}
	line("role", n.Role)
	line("id", n.ID)
	line("dir", n.state())
	line("host", "127.0.0.1")
	line("port", n.Port)
	line("intra_port", n.IntraPort)
	if n.TLSPort != 0 {
		cert, key := CertificateFiles(certificateDir(c.dir))
		line("tls_port", n.TLSPort)
		line("tls_cert", cert)
		line("tls_key", key)
	}
	if len(n.Mountpaths) > 0 {
		line("mountpaths", n.Mountpaths)
		if c.opts.CacheSize != "" {
			line("cache_size", c.opts.CacheSize)
		}
	}
	var join []string
	for _, other := range c.Nodes() {
		if other.ID != n.ID {
			join = append(join, other.URL())
		}
	}
	if len(join) > 0 {
		line("join", join)
	}
	if c.opts.LogLevel != "" {
		fmt.Fprintf(&b, "log:\n  level: %s\n", strconv.Quote(c.opts.LogLevel))
	}
	return writeFile(n.yaml(), []byte(b.String()), 0o644)
}
