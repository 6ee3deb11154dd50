package edge

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"aistore/auth/sigv4"
	"aistore/cluster"
	"aistore/httpx"
	"aistore/list"
	"aistore/node"
	"aistore/s3"
)

// Control is what the edge asks of the control plane.
type Control interface {
	Latest(ctx context.Context) (*cluster.View, error)
	Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error)
	Lease() error
}

// Owner serves in this process what this node owns. *owner.Owner is the one real one.
type Owner interface {
	// Serve answers a request about one key. o was resolved by the caller; an error of kind WrongOwner or StaleMap says that
	// nothing was done, because another node owns the key now.
	Serve(c *httpx.Ctx, o node.Object, caller *s3.Caller) error
	// DeleteMany deletes what it may of the items, all of which this node owns, and returns one line each in their order. An
	// error is about all of them.
	DeleteMany(ctx context.Context, v *cluster.View, b *cluster.Bucket, caller *s3.Caller, items []s3.DeleteItem) ([]s3.Deleted, error)
}

// Config of an Edge.
type Config struct {
	Node     *node.Node
	Control  Control
	Verifier *sigv4.Verifier
	Owner    Owner       // nil on a gateway
	Lists    *list.Local // nil on a gateway
	Domains  []string    // of virtual-host style: requests to BUCKET.DOMAIN
	Host     string      // of this node's public URL, without a port: never a bucket's, also where it is below one of Domains
}

// Edge serves S3 clients.
type Edge struct {
	node     *node.Node
	ctl      Control
	verifier *sigv4.Verifier
	owner    Owner
	lister   *list.Lister
	remote   *list.Remote
	domains  []string // each with a dot before it, the longest first
	host     string
	settings s3.Cache

	documents    budget
	sealPatience time.Duration
	pages        sync.Pool // of *page
}

// New returns an Edge. It starts nothing.
func New(cfg Config) *Edge {
	n := cfg.Node
	e := &Edge{
		node: n, ctl: cfg.Control, verifier: cfg.Verifier, owner: cfg.Owner,
		remote: list.NewRemote(n.Client, n.ID, cfg.Lists), sealPatience: sealPatience, host: strings.ToLower(cfg.Host),
	}
	e.lister = list.NewLister(e.remote)
	for _, d := range cfg.Domains {
		e.domains = append(e.domains, "."+strings.ToLower(strings.Trim(d, ".")))
	}
	slices.SortFunc(e.domains, func(a, b string) int { return len(b) - len(a) }) // one may lie in another
	return e
}

// Routes are those of S3 clients, at the root, below /s3 and of buckets' own hosts, and those that keep names of the native API from being taken for
// buckets.
func (e *Edge) Routes() []httpx.Route {
	p := httpx.Policy{Listener: httpx.Public, Class: httpx.ClassData, MaxBody: httpx.NoLimit} // every operation has its own limit
	var rs []httpx.Route
	for _, path := range [...]string{"/", "/*", "/s3", "/s3/*"} {
		rs = append(rs, httpx.Route{Method: "*", Path: path, Op: "s3", Ops: s3.Metrics(), Policy: p, Handler: e.serve, Fault: fault})
	}
	if len(e.domains) > 0 { // a key may be named as what the native API has at this path
		hosts := func(host string) bool { return e.bucketOfHost(host) != "" }
		rs = append(rs, httpx.Route{Method: "*", Path: "/*", Hosts: hosts, Op: "s3", Ops: s3.Metrics(), Policy: p, Handler: e.serve, Fault: fault})
	}
	for _, path := range [...]string{"/v1", "/v1/*", "/ui", "/ui/*", "/health", "/health/*", "/metrics/*"} {
		p := httpx.Policy{Listener: httpx.Public, Class: httpx.ClassControl, MaxBody: httpx.NoLimit}
		rs = append(rs, httpx.Route{Method: "*", Path: path, Op: "unknown", Policy: p, Handler: noRoute})
	}
	return rs
}

// now is the time by which signatures are judged.
func now() time.Time { return time.Now() }
