package httpx

import (
	"sort"
	"strings"

	"aistore/errs"
)

// Handler serves one request. The error it returns is mapped to a status, logged and counted by the server;
// a handler that has sent its reply returns nil, or what made the sending fail.
type Handler func(c *Ctx) error

// FaultWriter writes the reply to an error of a route into c, also to one found before the handler ran: a body that is
// too large, too many requests in flight. The reply has been reset and has status; what it writes stays in memory.
type FaultWriter func(c *Ctx, status int, err error)

// Listener says on which listeners a route exists. The values may be or'ed.
type Listener uint8

// The listeners of a node.
const (
	Public Listener = 1 << iota // clients
	Intra                       // nodes of the cluster; clients cannot reach it
	Both   = Public | Intra
)

// Class groups routes by what may be refused first under overload.
type Class uint8

// The classes. Health is never refused.
const (
	ClassData    Class = iota + 1 // objects and lists
	ClassControl                  // buckets, cluster, jobs
	ClassHealth                   // health, metrics, heartbeats
	classCount
)

// NoLimit as Policy.MaxBody accepts a body of any length; the handler bounds what it keeps.
const NoLimit = -1

// Policy declares the limits of a route. The zero value is refused: nothing is unlimited by omission.
type Policy struct {
	Listener Listener
	Class    Class
	MaxBody  int64 // bytes of request body; 0 = none is accepted; NoLimit
}

// Route is one line of the route table.
type Route struct {
	Method  string   // "GET"; "*" for any that has no route of its own
	Path    string   // "/v1/health", or "/v1/objects/*" where * matches the rest, also empty
	Op      string   // name in metrics and logs: "get-object"
	Ops     []string // other names that the handler may choose with Ctx.SetOp
	Policy  Policy
	Handler Handler
	Fault   FaultWriter // nil = the JSON of the native API

	// Hosts, unless nil, makes the route one of hosts and not of a path: it serves every method and path of requests to a host (the Host
	// header as sent) of which it says true, before all other routes. Method is then "*" and Path "/*".
	Hosts func(host string) bool
}

// methods is the order of node.byMethod. Methods beyond these are served by "*" routes only.
var methods = [...]string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "*"}

const anyMethod = len(methods) - 1

// endpoint is all routes of one path.
type endpoint struct {
	prefix   string // "/v1/objects/" for "/v1/objects/*", else the whole path
	byMethod [len(methods)]*route
}

// route is a Route with an identity.
type route struct{ Route }

// Router finds the route of a request. Immutable.
type Router struct {
	routes   []Route
	exact    map[string]*endpoint
	prefixes []*endpoint // longest first
	hosted   []*route    // those of hosts
}

// NewRouter builds the table. It refuses doubles, bad paths, and routes without operation, handler or policy.
func NewRouter(routes []Route) (*Router, error) {
	const op = "httpx.NewRouter"
	r := &Router{routes: routes, exact: map[string]*endpoint{}}
	for _, rt := range routes {
		name := rt.Method + " " + rt.Path
		m := methodIndex(rt.Method)
		switch {
		case m < 0:
			return nil, errs.E(op, name, errs.Invalid, "unknown method")
		case !strings.HasPrefix(rt.Path, "/"):
			return nil, errs.E(op, name, errs.Invalid, "the path does not start with /")
		case rt.Op == "" || rt.Handler == nil:
			return nil, errs.E(op, name, errs.Invalid, "the route has no operation name or no handler")
		case rt.Policy.Listener == 0 || rt.Policy.Listener&^Both != 0:
			return nil, errs.E(op, name, errs.Invalid, "the policy names no listener")
		case rt.Policy.Class == 0 || rt.Policy.Class >= classCount:
			return nil, errs.E(op, name, errs.Invalid, "the policy names no class")
		case rt.Policy.MaxBody < NoLimit:
			return nil, errs.E(op, name, errs.Invalid, "the policy has a negative body limit")
		case rt.Hosts != nil && (rt.Method != "*" || rt.Path != "/*"):
			return nil, errs.E(op, name, errs.Invalid, "a route of hosts serves all methods and paths")
		}
		if rt.Hosts != nil {
			r.hosted = append(r.hosted, &route{Route: rt})
			continue
		}
		prefix, wild := strings.CutSuffix(rt.Path, "*")
		if strings.Contains(prefix, "*") || wild && !strings.HasSuffix(prefix, "/") {
			return nil, errs.E(op, name, errs.Invalid, "* may only stand after the last /")
		}
		ep := r.endpoint(prefix, wild)
		if ep.byMethod[m] != nil {
			return nil, errs.E(op, name, errs.Invalid, "the route is declared twice")
		}
		ep.byMethod[m] = &route{Route: rt}
	}
	sort.Slice(r.prefixes, func(i, j int) bool { return len(r.prefixes[i].prefix) > len(r.prefixes[j].prefix) })
	return r, nil
}

func (r *Router) endpoint(prefix string, wild bool) *endpoint {
	if !wild {
		if r.exact[prefix] == nil {
			r.exact[prefix] = &endpoint{prefix: prefix}
		}
		return r.exact[prefix]
	}
	for _, ep := range r.prefixes {
		if ep.prefix == prefix {
			return ep
		}
	}
	ep := &endpoint{prefix: prefix}
	r.prefixes = append(r.prefixes, ep)
	return ep
}

// Routes returns the table, for tests and documentation.
func (r *Router) Routes() []Route { return r.routes }

func methodIndex(m string) int {
	for i, name := range methods {
		if name == m {
			return i
		}
	}
	return -1
}

// of is find for a request whose head was read: routes of hosts come first.
func (r *Router) of(l Listener, c *Ctx) (rt *route, rest, allow string) {
	for _, rt := range r.hosted {
		if rt.Policy.Listener&l != 0 && rt.Hosts(c.Host()) {
			return rt, strings.TrimPrefix(c.path, "/"), ""
		}
	}
	return r.find(l, c.Method(), c.path)
}

// find returns the route of a request on a listener and what "*" matched. A nil route means that no path
// matches (allow is empty) or that the path has other methods, listed in allow. HEAD falls back to GET.
func (r *Router) find(l Listener, method, path string) (rt *route, rest, allow string) {
	m := methodIndex(method)
	if m < 0 {
		m = anyMethod
	}
	if ep := r.exact[path]; ep != nil {
		if rt := ep.route(l, m); rt != nil {
			return rt, "", ""
		}
		allow = ep.allow(l)
	}
	for _, ep := range r.prefixes {
		if !strings.HasPrefix(path, ep.prefix) {
			continue
		}
		if rt := ep.route(l, m); rt != nil && (allow == "" || rt.Method != "*") {
			return rt, path[len(ep.prefix):], ""
		}
		if allow == "" {
			allow = ep.allow(l)
		}
		if allow != "" {
			break // a longer path knows this name but not the method: a catch-all must not take it over
		}
	}
	return nil, "", allow
}

func (ep *endpoint) route(l Listener, m int) *route {
	for _, i := range [...]int{m, headFallback(m), anyMethod} {
		if rt := ep.byMethod[i]; rt != nil && rt.Policy.Listener&l != 0 {
			return rt
		}
	}
	return nil
}

func headFallback(m int) int {
	if methods[m] == "HEAD" {
		return 0 // GET
	}
	return m
}

// allow formats the Allow header of a 405 reply; "" if the path has no route on l.
func (ep *endpoint) allow(l Listener) string {
	var ms []string
	for i, rt := range ep.byMethod[:anyMethod] {
		if rt != nil && rt.Policy.Listener&l != 0 {
			ms = append(ms, methods[i])
		}
	}
	return strings.Join(ms, ", ")
}
