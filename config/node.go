// Package config reads the configuration of one node: a YAML file, then the environment, then flags,
// each overriding the one before.
//
// It is the only importer of the YAML library. One table of fields (fields.go) drives all three
// sources and the help text. Unknown keys are errors; all faults are reported together, each with its
// field, the bad value and what would be right. What the whole cluster shares (timeouts, limits) is
// not here but in cluster.Config, which the control plane replicates.
//
// Start at Load; a program that needs no sources fills a Node and calls WithDefaults and Validate.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aistore/errs"
)

// The roles of a node.
const (
	RoleProxy  = "proxy"
	RoleTarget = "target"
	RoleAll    = "all"
)

// Node is the configuration of one aisnode process. The zero value with defaults is a whole store in
// one process.
type Node struct {
	Role       string   // RoleProxy, RoleTarget or RoleAll
	ID         string   // "" = the one in Dir or on the mountpaths, or a new one
	Dir        string   // identity, replicated log, last view
	Host       string   // of all listeners
	Port       int      // public listener
	IntraPort  int      // intra-cluster listener
	TLSPort    int      // public listener over TLS; 0 = off
	TLSCert    string   // PEM file: the certificate and what leads to its root; read again when it changes
	TLSKey     string   // PEM file of its key
	S3Domain   []string // domains of virtual-host style: BUCKET.DOMAIN is a bucket's own host name
	PublicURL  string   // what clients are redirected to
	Mountpaths []string // one per disk; none on a proxy
	Join       []string // public URLs of nodes of the cluster to join
	Bootstrap  Toggle   // whether to found a cluster when there is none to join
	Standby    Toggle   // whether a target that joins later waits until it is joined by hand
	Zone       string   // failure domain; it places nothing while there is one copy of an object
	Weight     uint32   // share of names relative to other targets; 100 is normal
	CacheSize  Size     // block cache shared by the node's mountpaths
	Root       Root     `json:"-"` // of the first administrator; used only when a cluster is founded or has no users
	Log        Log
}

// Log says what is logged to stderr, and how.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

// Root is a key pair for S3 requests. It comes from the environment alone: files are kept and flags are seen
// by everybody on the machine.
type Root struct{ Access, Secret string }

// DefaultRoot is the pair of a store that was given none.
func DefaultRoot() Root { return Root{"aisadmin", "aisadmin-secret"} }

// String hides the secret.
func (r Root) String() string { return r.Access }

// GoString hides the secret.
func (r Root) GoString() string { return "config.Root(" + r.Access + ")" }

// HasTarget reports whether the node keeps objects.
func (n *Node) HasTarget() bool { return n.Role == RoleTarget || n.Role == RoleAll }

// HasGateway reports whether the node is a gateway.
func (n *Node) HasGateway() bool { return n.Role == RoleProxy || n.Role == RoleAll }

// IntraAddr is the "host:port" for other nodes.
func (n *Node) IntraAddr() string { return net.JoinHostPort(n.Host, strconv.Itoa(n.IntraPort)) }

// PublicHost is the host name, or address, of PublicURL.
func (n *Node) PublicHost() string {
	u, err := url.Parse(n.PublicURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// WithDefaults returns n with every unset field filled but ID, Join, Zone, TLSPort and S3Domain.
func (n Node) WithDefaults() Node {
	n.Role = orElse(n.Role, RoleAll)
	n.Dir = orElse(n.Dir, "./data")
	n.Host = orElse(n.Host, "127.0.0.1")
	n.Port = orElse(n.Port, 8080)
	n.IntraPort = orElse(n.IntraPort, n.Port+10000)
	n.PublicURL = strings.TrimSuffix(orElse(n.PublicURL, "http://"+net.JoinHostPort(n.Host, strconv.Itoa(n.Port))), "/")
	if len(n.Mountpaths) == 0 && n.HasTarget() {
		n.Mountpaths = []string{filepath.Join(n.Dir, "mp1")}
	}
	if n.Bootstrap == Unset {
		n.Bootstrap = Off
		if n.Role == RoleAll && len(n.Join) == 0 {
			n.Bootstrap = On
		}
	}
	for i, d := range n.S3Domain {
		if l := strings.ToLower(strings.TrimSuffix(d, ".")); l != d {
			n.S3Domain = slices.Clone(n.S3Domain)
			n.S3Domain[i] = l
		}
	}
	n.Weight = orElse(n.Weight, 100)
	n.CacheSize = orElse(n.CacheSize, 64*MiB)
	n.Root = orElse(n.Root, DefaultRoot())
	n.Log.Level = orElse(n.Log.Level, "info")
	n.Log.Format = orElse(n.Log.Format, "text")
	return n
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Validate joins every fault of n, each of kind Invalid and named after its field. It expects
// defaults to be filled in.
func (n Node) Validate() error {
	c := &checker{}
	c.oneOf("role", n.Role, RoleProxy, RoleTarget, RoleAll)
	c.oneOf("log.level", n.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", n.Log.Format, "text", "json")
	c.word("id", n.ID)
	c.word("zone", n.Zone)
	if n.Weight < 1 || n.Weight > 100_000 {
		c.bad("weight", "%d is outside 1..100000; 100 is normal", n.Weight)
	}
	if n.CacheSize < MiB || n.CacheSize > TiB {
		c.bad("cache_size", "%v is outside 1MiB..1TiB", n.CacheSize)
	}
	if n.Dir == "" {
		c.bad("dir", "is empty: name a folder for this node's state")
	}
	switch {
	case n.Root.Access == "":
		c.bad(envRootAccess, "is not set, but %s is: set both or neither", envRootSecret)
	case n.Root.Secret == "":
		c.bad(envRootSecret, "is not set, but %s is: set both or neither", envRootAccess)
	}
	c.address(n)
	c.tls(n)
	c.domains(n.S3Domain)
	c.mountpaths(n)
	for _, u := range n.Join {
		if p := c.url("join", u); p != nil && p.Scheme != "http" {
			c.bad("join", "%s is not for nodes, which join in the clear: name the public port, http://HOST:PORT", u)
		}
	}
	return errors.Join(c.faults...)
}

// checker collects faults.
type checker struct{ faults []error }

func (c *checker) bad(key, format string, args ...any) {
	c.faults = append(c.faults, errs.F("config.Node", key, errs.Invalid, format, args...))
}

func (c *checker) oneOf(key, v string, allowed ...string) {
	for _, a := range allowed {
		if v == a {
			return
		}
	}
	c.bad(key, "%q is unknown: use %s", v, strings.Join(allowed, ", "))
}

// word checks a name that appears in logs, URLs and file names; it may be empty.
func (c *checker) word(key, v string) {
	if v != "" && !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`).MatchString(v) {
		c.bad(key, "%q is no name: use 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first", v)
	}
}

func (c *checker) address(n Node) {
	if n.Host == "" || strings.ContainsAny(n.Host, "/ \t[]") {
		c.bad("host", "%q is neither an IP address nor a host name", n.Host)
	}
	if ip := net.ParseIP(n.Host); ip != nil && ip.IsUnspecified() && (n.Role != RoleAll || len(n.Join) > 0) {
		c.bad("host", "%s is what other nodes would be told to call, and each would call itself: name an address of this node's own; only a node that stays alone may listen at all", n.Host)
	}
	if n.Port < 1 || n.Port > 65535 {
		c.bad("port", "%d is outside 1..65535", n.Port)
	}
	switch {
	case n.IntraPort < 1 || n.IntraPort > 65535:
		c.bad("intra_port", "%d is outside 1..65535; it is port + 10000 unless set", n.IntraPort)
	case n.IntraPort == n.Port:
		c.bad("intra_port", "%d is also the public port: choose another", n.IntraPort)
	}
	if u := c.url("public_url", n.PublicURL); u != nil {
		if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
			c.bad("public_url", "%s is no address that a client can reach: set it to this node's own", n.PublicURL)
		}
	}
}

func (c *checker) tls(n Node) {
	switch {
	case n.TLSPort < 0 || n.TLSPort > 65535:
		c.bad("tls_port", "%d is outside 1..65535, and 0 is off", n.TLSPort)
	case n.TLSPort == 0:
	case n.TLSPort == n.Port:
		c.bad("tls_port", "%d is also the public port: choose another", n.TLSPort)
	case n.TLSPort == n.IntraPort:
		c.bad("tls_port", "%d is also the intra-cluster port: choose another", n.TLSPort)
	}
	switch {
	case n.TLSCert == "" && n.TLSKey != "":
		c.bad("tls_cert", "is not set, but tls_key is: set both or neither")
	case n.TLSKey == "" && n.TLSCert != "":
		c.bad("tls_key", "is not set, but tls_cert is: set both or neither")
	case n.TLSPort != 0 && n.TLSCert == "":
		c.bad("tls_cert", "is not set, but tls_port is: name the files of a certificate and of its key (tls_key)")
	}
}

// domains checks names of hosts that buckets' names are put before: RFC 1123, and no address.
func (c *checker) domains(all []string) {
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	for i, d := range all {
		bad := len(d) > 253-64 || net.ParseIP(d) != nil // 64: a bucket's name and a dot
		for part := range strings.SplitSeq(d, ".") {
			bad = bad || !label.MatchString(part)
		}
		switch {
		case bad:
			c.bad("s3_domain", "%q is no domain: write it as s3.example.org, without a port", d)
		case slices.Contains(all[:i], d):
			c.bad("s3_domain", "%s stands there twice", d)
		}
	}
}

// url checks the base URL of a node and returns it parsed, nil if it is bad.
func (c *checker) url(key, v string) *url.URL {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		c.bad(key, "%q is not a node's URL: write it as http://HOST:PORT", v)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		c.bad(key, "%q has more than a host and a port: write it as %s://%s", v, u.Scheme, u.Host)
	default:
		return u
	}
	return nil
}

func (c *checker) mountpaths(n Node) {
	if !n.HasTarget() && len(n.Mountpaths) > 0 {
		c.bad("mountpaths", "a node in role %q keeps no objects: leave them out, or use role %q or %q", n.Role, RoleTarget, RoleAll)
	}
	clean := make([]string, len(n.Mountpaths))
	for i, m := range n.Mountpaths {
		if m == "" {
			c.bad("mountpaths", "one of them is empty")
			return
		}
		clean[i] = filepath.Clean(m)
		for _, other := range clean[:i] {
			switch {
			case other == clean[i]:
				c.bad("mountpaths", "%s stands there twice", m)
			case within(clean[i], other), within(other, clean[i]):
				c.bad("mountpaths", "%s and %s lie one inside the other: give each its own folder", other, clean[i])
			}
		}
	}
}

// within reports whether path lies below dir; both are clean.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// String describes n in one line, for the log.
func (n Node) String() string {
	return fmt.Sprintf("role=%s id=%s dir=%s public=%s intra=%s mountpaths=%d",
		n.Role, orElse(n.ID, "(new or kept)"), n.Dir, n.PublicURL, n.IntraAddr(), len(n.Mountpaths))
}
