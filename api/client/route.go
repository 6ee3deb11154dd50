package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
)

// target is where an attempt goes.
type target struct {
	url     string
	gateway bool // a node that stores nothing, so its refusal means that nothing was done
	direct  bool // chosen as the owner of the name
}

// routes is what a client knows of the cluster: the newest view, and which nodes could not be reached lately.
type routes struct {
	endpoints []string
	ask       func(ctx context.Context, url string) (*cluster.View, error)

	view  atomic.Pointer[cluster.View] // newest seen; nil before the first fetch
	newer atomic.Uint64                // map version that some node has announced
	turn  atomic.Uint64                // spreads requests over gateways
	down  sync.Map                     // node URL -> time until which it is tried last

	mu    sync.Mutex // guards round
	round *round     // of questions for the view, under way; nil = none
}

// round is one round of questions for the view. Who comes while it goes on waits for it.
type round struct {
	done chan struct{} // closed when it has ended; then
	err  error
	left bool // err is that whoever asked went away
}

// trip chooses the node for each attempt of one call.
type trip struct {
	c *Client
	q *call

	around bool            // the next attempt goes through a gateway, not straight to the owner
	hurry  bool            // the next attempt need not wait
	waits  int             // failures that were not put right by going elsewhere
	turns  int             // corrections of the route
	tried  map[string]bool // nodes that could not be reached
	looked bool            // a missing bucket was looked up with a fresh map
}

// next returns the node for the next attempt. Without any map an endpoint does.
func (t *trip) next(ctx context.Context) (target, error) {
	c, q := t.c, t.q
	t.hurry = false
	if q.node != "" {
		return target{url: q.node}, nil
	}
	v, err := c.routes.current(ctx)
	if err != nil && ctx.Err() != nil {
		return target{}, err
	}
	if err == nil && q.key != nil && !c.opt.NoDirect && !t.around {
		if n := owner(v, q.key); n != nil && n.Alive {
			return target{url: n.PublicURL, direct: true}, nil
		}
	}
	return c.routes.gateway(t.tried), nil
}

// owner returns the node that owns the object by v, nil if v does not tell.
func owner(v *cluster.View, p *placed) *cluster.Node {
	b := v.Buckets.Get(p.bucket.Namespace.Name, p.bucket.Name)
	if b == nil {
		return nil // made a moment ago, or gone: a gateway knows
	}
	return v.Owner(b, p.key)
}

// maxTurns is how often a call may be put on another route without waiting.
const maxTurns = 3

// learn draws the conclusions of a failure and reports whether another attempt makes sense.
func (t *trip) learn(ctx context.Context, f *failure) bool {
	c := t.c
	switch {
	case f.ours:
		return false
	case f.lost:
		c.routes.markDown(f.dest.url)
		if t.tried == nil {
			t.tried = map[string]bool{}
		}
		first := !t.tried[f.dest.url]
		t.tried[f.dest.url] = true
		if t.q.node == "" {
			c.renew(ctx)
			t.around = !t.around
			t.hurry = first && t.turn()
		}
	case errs.Is(f.err, errs.WrongOwner, errs.StaleMap):
		c.renew(ctx)
		t.hurry = t.turn()
	case errs.Is(f.err, errs.NoBucket) && f.dest.direct && !t.looked:
		t.looked = true // the node's map or ours is old: a gateway asks the primary before it says no
		c.renew(ctx)
		t.around, t.hurry = true, true
	case errs.KindOf(f.err).Retryable():
		c.renew(ctx)
	default:
		return false
	}
	if !t.hurry {
		t.waits++
	}
	return true
}

// turn counts a correction; false when there were too many.
func (t *trip) turn() bool {
	t.turns++
	return t.turns <= maxTurns
}

// downFor is how long a node that could not be reached is asked only when no other is left.
const downFor = 2 * time.Second

func (rt *routes) markDown(url string) { rt.down.Store(url, time.Now().Add(downFor)) }

func (rt *routes) isDown(url string, now time.Time) bool {
	until, ok := rt.down.Load(url)
	if ok && now.After(until.(time.Time)) { //nolint:forcetypeassert // only markDown stores
		rt.down.Delete(url)
		return false
	}
	return ok
}

// gateway picks the node for a request that any gateway answers: one of the endpoints in turn, but for those that the map
// knows as no gateways; when none of them can be reached, one of the map's other gateways.
func (rt *routes) gateway(avoid map[string]bool) target {
	v := rt.view.Load()
	if v == nil {
		return target{url: rt.prefer(rt.endpoints, avoid)[0]}
	}
	nodes := map[string]*cluster.Node{}
	for _, n := range v.Map.Nodes {
		nodes[n.PublicURL] = n
	}
	var first, rest []string
	for _, u := range rt.endpoints {
		if n := nodes[u]; n == nil || n.Role.Gateway() { // one that is not in the map may be a load balancer
			first = append(first, u)
		}
	}
	for _, n := range v.Map.Gateways() {
		if n.Alive && !slices.Contains(first, n.PublicURL) {
			rest = append(rest, n.PublicURL)
		}
	}
	now := time.Now()
	for _, urls := range [][]string{first, rest} {
		if len(urls) == 0 {
			continue
		}
		if u := rt.prefer(urls, avoid)[0]; !avoid[u] && !rt.isDown(u, now) {
			return rt.at(u, nodes)
		}
	}
	all := append(first, rest...)
	if len(all) == 0 {
		all = rt.endpoints
	}
	return rt.at(rt.prefer(all, nil)[0], nodes)
}

func (*routes) at(url string, nodes map[string]*cluster.Node) target {
	n := nodes[url]
	return target{url: url, gateway: n != nil && !n.Role.Target()}
}

// prefer rotates urls by the client's turn and puts those to avoid last.
func (rt *routes) prefer(urls []string, avoid map[string]bool) []string {
	now, first := time.Now(), int(rt.turn.Add(1)%uint64(len(urls)))
	var good, bad []string
	for i := range urls {
		u := urls[(first+i)%len(urls)]
		if avoid[u] || rt.isDown(u, now) {
			bad = append(bad, u)
		} else {
			good = append(good, u)
		}
	}
	return append(good, bad...)
}

// saw notes the map version that a node announces.
func (rt *routes) saw(r *http.Response) {
	h := r.Header.Get(api.HeaderMapVersion)
	if h == "" {
		return
	}
	n, err := strconv.ParseUint(h, 10, 64)
	if err != nil {
		return
	}
	for old := rt.newer.Load(); n > old && !rt.newer.CompareAndSwap(old, n); {
		old = rt.newer.Load()
	}
}

// current returns the view to route with, fetching it if there is none or a node has announced a newer one.
func (rt *routes) current(ctx context.Context) (*cluster.View, error) {
	v := rt.view.Load()
	if v != nil && rt.newer.Load() <= v.Map.Version {
		return v, nil
	}
	err := rt.fetch(ctx)
	if v = rt.view.Load(); v != nil {
		return v, nil
	}
	return nil, err
}

// renew fetches the view again; if no node answers the old one stays.
func (c *Client) renew(ctx context.Context) {
	if err := c.routes.fetch(ctx); err != nil {
		c.opt.Log.DebugContext(ctx, "cluster map not renewed", "err", err)
	}
}

// View returns the newest cluster map, bucket map and configuration. It is asked for afresh.
func (c *Client) View(ctx context.Context) (*cluster.View, error) {
	if err := c.routes.fetch(ctx); err != nil {
		return nil, err
	}
	return c.routes.view.Load(), nil
}

// fetchTimeout bounds the question to one node; another is asked when it passes.
const fetchTimeout = 5 * time.Second

// fetch gets the newest view. Of those who wait for the same round one begins the next, and the others share its answer, good or bad: the
// answer of a round that began before them may be older than what they know.
func (rt *routes) fetch(ctx context.Context) error {
	for shared := false; ; shared = true {
		rt.mu.Lock()
		r := rt.round
		if r == nil {
			r = &round{done: make(chan struct{})}
			rt.round = r
			rt.mu.Unlock()
			return rt.ends(ctx, r)
		}
		rt.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
			return errs.E("client.View", "", ctx.Err())
		}
		if shared && !r.left {
			return r.err
		}
	}
}

// ends carries out a round.
func (rt *routes) ends(ctx context.Context, r *round) error {
	r.err = rt.askAll(ctx)
	r.left = r.err != nil && ctx.Err() != nil
	rt.mu.Lock()
	rt.round = nil
	rt.mu.Unlock()
	close(r.done)
	return r.err
}

// askAll asks node after node for the view.
func (rt *routes) askAll(ctx context.Context) error {
	var last error
	for _, u := range rt.prefer(rt.nodes(), nil) {
		v, err := rt.ask(ctx, u)
		if err == nil {
			rt.adopt(v)
			return nil
		}
		if last = err; ctx.Err() != nil {
			break
		}
		if errs.Is(err, errs.Other, errs.Timeout) {
			rt.markDown(u)
		}
	}
	return errs.F("client.View", "", errs.Unavailable, "no node of the cluster answers (set %s or Endpoints): %w", EnvEndpoint, last)
}

// nodes lists every URL that may answer: the endpoints, then the map's live nodes.
func (rt *routes) nodes() []string {
	urls := append([]string(nil), rt.endpoints...)
	seen := map[string]bool{}
	for _, u := range urls {
		seen[u] = true
	}
	if v := rt.view.Load(); v != nil {
		for _, n := range v.Map.All() {
			if n.Alive && !seen[n.PublicURL] {
				urls = append(urls, n.PublicURL)
			}
		}
	}
	return urls
}

// askView asks one node.
func (c *Client) askView(ctx context.Context, base string) (*cluster.View, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	q := &call{op: "client.View", method: http.MethodGet, path: api.PathDaemon, query: url.Values{api.QueryWhat: {api.WhatView}}}
	rep, err := c.once(ctx, q, target{url: base})
	if err != nil {
		return nil, err
	}
	defer rep.Body.Close()
	var v cluster.View
	if err := decodeBody(rep.Body, &v); err != nil {
		return nil, errs.E(q.op, base, err)
	}
	if v.Map == nil || v.Buckets == nil {
		return nil, errs.E(q.op, base, errs.Other, "answers without a cluster map: is it a node of an aistore cluster?")
	}
	return v.Freeze(), nil
}

// adopt keeps v unless what is known is newer. Another cluster's view is always taken: the endpoints lead there now.
func (rt *routes) adopt(v *cluster.View) {
	old := rt.view.Load()
	if old == nil || old.Map.UUID != v.Map.UUID || v.Index >= old.Index {
		rt.view.Store(v)
		rt.newer.Store(v.Map.Version)
	} else {
		rt.newer.Store(old.Map.Version)
	}
}

// maxReply bounds what is read of a JSON reply.
const maxReply = 256 << 20

func decodeBody(r io.Reader, v any) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxReply))
	if err != nil {
		return err
	}
	return decodeJSON(raw, v)
}

func decodeJSON(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return errs.F("client.decode", "reply", errs.Other, "is not the expected JSON: %w", err)
	}
	return nil
}
