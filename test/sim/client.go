package sim

import (
	"fmt"
	"slices"
	"time"

	"aistore/cluster"
	"aistore/object"
)

// op is what a client does to a key.
type op uint8

const (
	opPut           op = iota
	opRemove           // of a bucket with versions: writes a delete marker
	opRemoveVersion    // for good
	opBegin            // an upload
	opComplete
	opAbort
	opGet   // the current version
	opWhole // everything there is of a key
	opClear // of all keys: the bucket is destroyed
	opNothing
)

func (o op) String() string {
	return [...]string{"put", "delete", "delete-version", "begin-upload", "complete-upload", "abort-upload", "get", "read-all", "destroy", "nothing"}[o]
}

func (o op) changes() bool { return o < opGet }

// creates reports whether the operation leaves something, whatever was there.
func (o op) creates() bool { return o == opPut || o == opBegin || o == opComplete }

func (o *request) String() string { return fmt.Sprintf("%v %s %x", o.op, o.name, o.value) }

// operation is a request in the history.
type operation struct {
	*request
	call  time.Duration
	ended bool

	acknowledged time.Duration // when the target decided to say so
	seen         picture
	slot         int
	list         bool
}

// left reports whether the operation left what it was to leave: then nothing older can come up any more.
func (o *operation) left() bool {
	versions, uploads := o.seen.split()
	return o.op.creates() && (slices.Contains(versions, o.value) || slices.Contains(uploads, o.value))
}

func (o *operation) String() string { return fmt.Sprintf("%v -> %v", o.request, o.seen) }

// step tells whether the operation may take effect on p with the result that it had, and what is there afterwards.
func (o *operation) step(p picture, versioned bool) (picture, bool) {
	switch o.op {
	case opGet:
		return p, p.current() == o.seen.current()
	case opWhole:
		return p, p == o.seen
	case opClear:
		return "", true
	}
	next := o.change(p, versioned)
	return next, !o.ended || next == o.seen
}

// change is what the operation makes of p.
func (o *request) change(p picture, versioned bool) picture {
	versions, uploads := p.split()
	switch o.op {
	case opPut, opComplete:
		if o.op == opComplete {
			if !slices.Contains(uploads, o.value) {
				return p
			}
			uploads = without(uploads, o.value)
		}
		if !versioned {
			versions = nil
		}
		return join(append(versions, o.value), uploads)
	case opRemove:
		if !versioned {
			return join(nil, uploads)
		}
		return join(append(versions, o.value|removedBit), uploads)
	case opRemoveVersion:
		return join(without(versions, o.value), uploads)
	case opBegin:
		return join(versions, append(uploads, o.value))
	case opAbort:
		return join(versions, without(uploads, o.value))
	}
	return p
}

func without(vs []uint16, v uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(vs), func(o uint16) bool { return o == v })
}

// apply is the same change on what a target has; nil if there is nothing to change.
func (o *request) apply(old *content, epoch uint64) *content {
	p := old.picture()
	next := o.change(p, o.versioned)
	if next == p {
		return nil
	}
	var c content
	versions, uploads := next.split()
	c.uploads = uploads
	var last object.Version
	for _, v := range versions {
		r := record{value: v, removed: v&removedBit != 0}
		if i := old.find(v); i >= 0 {
			r = old.records[i]
		} else {
			if old != nil && len(old.records) > 0 {
				last = old.records[len(old.records)-1].version
			}
			r.version = last.Next(epoch)
		}
		c.records = append(c.records, r)
	}
	return &c
}

func (c *content) find(value uint16) int {
	if c == nil {
		return -1
	}
	return slices.IndexFunc(c.records, func(r record) bool { return r.value == value })
}

// route passes a request on to the owner as the gateway knows it.
func (g *gateway) route(req request, bucket string, tries int, answer func(reply)) {
	v := g.view
	if v == nil {
		answer(reply{status: refused})
		return
	}
	again := func(st status) {
		if tries <= 1 {
			answer(reply{status: st})
			return
		}
		g.latest(func(ok bool) {
			if !ok {
				answer(reply{status: refused})
				return
			}
			g.route(req, bucket, tries-1, answer)
		})
	}
	b := v.Buckets.Get("", bucket)
	if b == nil {
		if req.serial == 1 { // has been looked for in the newest view
			answer(reply{status: noBucket})
			return
		}
		req.serial = 1
		again(noBucket)
		return
	}
	req.bucket, req.epoch, req.serial = b.ID, v.Map.Epoch, v.Index
	owner := v.Owner(b, req.name)
	if owner == nil {
		again(refused)
		return
	}
	n := g.w.node(owner.ID)
	call(&g.endpoint, &n.endpoint, true, g.w.patience(), func(answer func(reply)) { n.serve(&req, answer) }, func(r reply, ok bool) {
		switch {
		case !ok && (n.up || req.op.changes()):
			answer(reply{status: silent})
		case !ok:
			answer(reply{status: refused})
		case r.status == wrongOwner:
			again(refused)
		case r.status == noBucket:
			req.serial = 0
			again(noBucket)
		default:
			answer(r)
		}
	})
}

// patience is how long a client's request may take.
func (w *world) patience() time.Duration {
	if w.chance(0.4) {
		return 4 * time.Second
	}
	return 700 * time.Millisecond
}

// client does one thing after the other.
type client struct {
	endpoint
	view *cluster.View // for routing by itself: as old as it may be
	idle bool
}

func (c *client) next() {
	if !c.w.chaos {
		c.idle = true
		return
	}
	c.after(c.w.between(time.Millisecond, 60*time.Millisecond), c.act)
}

// act chooses what to do.
func (c *client) act() {
	w := c.w
	g := w.gates[w.rng.IntN(len(w.gates))]
	b := w.hist.buckets[w.rng.IntN(len(w.hist.buckets))]
	if w.chance(w.mood.lists) {
		c.list(g, b, c.next)
		return
	}
	reg := b.names[w.rng.IntN(len(b.names))]
	if w.chance(w.mood.hot) {
		reg = b.names[0]
	}
	req := c.choose(reg)
	if c.view == nil || w.chance(0.02) {
		c.view = g.view
	}
	c.request(req, reg, b, g, w.chance(0.3), c.next)
}

// choose makes a request for a name; the values of one name are all different.
func (c *client) choose(r *named) request {
	w := c.w
	req := request{name: r.key, versioned: r.versioned}
	x := w.rng.Float64()
	switch {
	case x < 0.30:
		req.op = opGet
	case x < 0.36:
		req.op = opWhole
	case x < 0.62 || len(r.values) == 0:
		req.op = opPut
	case x < 0.80:
		req.op = opRemove
	case x < 0.90 && r.versioned:
		req.op = opRemoveVersion
	case x < 0.94:
		req.op = opBegin
	case len(r.begun) == 0:
		req.op = opRemove
	case x < 0.98:
		req.op = opComplete
	default:
		req.op = opAbort
	}
	switch req.op {
	case opRemoveVersion:
		req.value = r.values[len(r.values)-1-w.rng.IntN(min(len(r.values), 4))]
	case opComplete, opAbort:
		req.value = r.begun[len(r.begun)-1-w.rng.IntN(min(len(r.begun), 2))]
	case opPut, opRemove, opBegin:
		w.nextValue++
		req.value = w.nextValue
	}
	return req
}

// request makes a request, through a gateway or by the client's own view, and writes the history.
func (c *client) request(req request, r *named, b *bucketHistory, g *gateway, direct bool, then func()) {
	w := c.w
	going := b.going
	o := r.begin(w, &operation{request: &req})
	end := func(rep reply) {
		switch rep.status {
		case done:
			o.acknowledged = rep.at
			r.end(w, o, rep.seen)
		case noBucket:
			if req.op.changes() || going || b.going {
				r.drop(o)
			} else {
				r.end(w, o, "")
			}
		case refused:
			r.drop(o)
		default:
			if !req.op.changes() {
				r.drop(o)
			}
		}
		w.hist.ops++
		then()
	}
	if v := c.view; direct && v != nil {
		if vb := v.Buckets.Get("", b.name); vb != nil {
			if owner := v.Owner(vb, req.name); owner != nil {
				c.ask(w.node(owner.ID), req, vb, v, b, g, end)
				return
			}
		}
	}
	call(&c.endpoint, &g.endpoint, true, 5*time.Second, func(answer func(reply)) { g.route(req, b.name, 4, answer) }, func(rep reply, ok bool) {
		if !ok && !g.up {
			rep.status = silent
		}
		end(rep)
	})
}

// ask sends a request to the node that the client takes for the owner; sent away it goes to a gateway.
func (c *client) ask(n *node, req request, vb *cluster.Bucket, v *cluster.View, b *bucketHistory, g *gateway, end func(reply)) {
	req.bucket, req.epoch, req.serial = vb.ID, v.Map.Epoch, v.Index
	call(&c.endpoint, &n.endpoint, true, c.w.patience(), func(answer func(reply)) { n.serve(&req, answer) }, func(rep reply, ok bool) {
		if ok && (rep.status == wrongOwner || rep.status == noBucket) {
			c.view = nil
			call(&c.endpoint, &g.endpoint, true, 5*time.Second, func(answer func(reply)) { g.route(req, b.name, 4, answer) }, func(rep reply, _ bool) { end(rep) })
			return
		}
		end(rep)
	})
}

// list reads all names of a bucket: each is an observation of its register.
func (c *client) list(g *gateway, b *bucketHistory, then func()) {
	w := c.w
	if g.view == nil || g.view.Buckets.Get("", b.name) == nil {
		then()
		return
	}
	ops := make([]*operation, len(b.names))
	for i, r := range b.names {
		ops[i] = r.begin(w, &operation{request: &request{op: opWhole, name: r.key}, list: true})
	}
	l := &listing{g: g, name: b.name, found: map[string]picture{}, tries: 8, done: func(found map[string]picture, st status) {
		for i, r := range b.names {
			if st == done {
				r.end(w, ops[i], found[r.key])
			} else {
				r.drop(ops[i])
			}
		}
		w.hist.lists++
		w.tell("list of %s ends: %v %v", b.name, st == done, found)
		then()
	}}
	g.after(0, l.next)
}
