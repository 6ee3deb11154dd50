package sim

import (
	"slices"
	"strings"
	"time"

	"aistore/cluster"
	"aistore/errs"
)

// Timing of the control plane, in proportion to the defaults of the product.
const (
	leaseTime  = 1000 * time.Millisecond
	leaseSlack = 150 * time.Millisecond // clocks that run at different rates
	heartbeat  = 300 * time.Millisecond
	grace      = 400 * time.Millisecond // how long a node may lag behind and still get a lease
)

// control is the control plane as one process that decides what comes next: the machine and its log survive anything, the ledger of
// leases does not survive the process.
type control struct {
	endpoint
	m      *cluster.Machine
	view   *cluster.View
	log    [][]byte               // every entry that changed something, encoded
	starts map[cluster.NodeID]int // the process of each node that was accepted last; outlives every primary

	ledger  map[cluster.NodeID]*lease
	foreign time.Duration // leases that an earlier process granted are over after this
	commits []committed
	doomed  map[cluster.NodeID]bool // get no lease any more: they are about to be forgotten
	waiters []*waiter
}

type lease struct {
	end, heard time.Duration
	seen       uint64 // newest view that the node has
}

type committed struct {
	index uint64
	at    time.Duration
}

// waiter waits until every node knows of a change or may not serve.
type waiter struct {
	index uint64
	done  func()
}

func newControl(w *world) *control {
	c := &control{m: cluster.NewMachine(), starts: map[cluster.NodeID]int{}}
	c.endpoint = endpoint{w: w, name: "control", up: true}
	c.begin()
	return c
}

// begin is the start of a reign.
func (c *control) begin() {
	c.ledger = map[cluster.NodeID]*lease{}
	c.doomed = map[cluster.NodeID]bool{}
	c.waiters = nil
	c.foreign = c.w.now + leaseTime + leaseSlack
	if c.boot == 0 {
		c.foreign = 0
	}
	c.commits = []committed{{c.m.Index, c.w.now}}
	c.tick()
}

// fail ends the primary; another takes over after a while, or after a power loss when the power is back.
func (c *control) fail(d time.Duration) {
	c.w.tell("control: the primary is lost")
	c.stop()
	c.w.after(d, func() {
		if !c.up {
			c.w.tell("control: another primary reigns")
			c.up = true
			c.begin()
		}
	})
}

func (c *control) tick() {
	c.wake()
	c.judge()
	c.after(100*time.Millisecond, c.tick)
}

// commit applies cmd and sends the view to everybody.
func (c *control) commit(cmd cluster.Command) (cluster.Result, error) {
	before := *c.m
	e := cluster.Entry{Time: time.Unix(0, int64(c.w.now)).UTC(), Command: cmd}
	res, err := c.m.Apply(c.m.Index+1, e)
	if err != nil || c.m.Index == before.Index {
		return res, err
	}
	if c.w.broken(BucketIDReused) && res.Bucket != nil && c.m.Buckets.Get("", res.Bucket.Name) == nil {
		again := *c.m.Buckets
		again.NextID = res.Bucket.ID
		c.m.Buckets = &again
	}
	b, err := cluster.EncodeEntry(e)
	if err != nil {
		panic(err) // every command of the simulator can be encoded
	}
	c.log = append(c.log, b)
	c.view = c.m.View()
	c.commits = append(c.commits, committed{c.m.Index, c.w.now})
	if c.w.opt.Story != nil {
		c.w.tell("control: %d is %s: %s", c.m.Index, describe(cmd), mapLine(c.m.Map))
	}
	c.w.checkMap(before.Map, c.m.Map)
	c.publish()
	return res, nil
}

func (c *control) publish() {
	v := c.view
	for _, n := range c.w.nodes {
		if v.Map.Nodes[n.id] != nil && !c.w.chance(c.w.mood.lag) {
			c.w.deliver(&c.endpoint, &n.endpoint, false, func() { n.take(v) })
		}
	}
	for _, g := range c.w.gates {
		if c.w.chance(c.w.mood.lag) {
			continue // learns it when it is told that it is wrong
		}
		c.w.deliver(&c.endpoint, &g.endpoint, false, func() { g.take(v) })
	}
}

// propose commits and waits until every node has the view, or no lease.
func (c *control) propose(cmd cluster.Command, done func(cluster.Result, error)) {
	res, err := c.commit(cmd)
	if err != nil {
		done(res, err)
		return
	}
	c.waiters = append(c.waiters, &waiter{res.Index, func() { done(res, nil) }})
	c.wake()
}

// wake answers those whose change is known everywhere.
func (c *control) wake() {
	c.waiters = slices.DeleteFunc(c.waiters, func(x *waiter) bool {
		for _, n := range c.w.nodes {
			l := c.of(n.id)
			if c.m.Map.Nodes[n.id] != nil && l.seen < x.index && c.w.now < l.end && !c.w.broken(AckBeforeAllKnow) {
				return false
			}
		}
		x.done()
		return true
	})
}

func (c *control) of(id cluster.NodeID) *lease {
	l := c.ledger[id]
	if l == nil {
		l = &lease{end: c.foreign, heard: c.w.now}
		c.ledger[id] = l
	}
	return l
}

// judge notes who has been silent for longer than a lease.
func (c *control) judge() {
	var a cluster.SetAlive
	for _, n := range c.w.nodes {
		m := c.m.Map.Nodes[n.id]
		if m == nil {
			continue
		}
		switch silent := c.w.now - c.of(n.id).heard; {
		case m.Alive && silent > leaseTime+leaseSlack:
			a.Lost = append(a.Lost, n.id)
		case !m.Alive && silent < leaseTime:
			a.Back = append(a.Back, n.id)
		}
	}
	if len(a.Lost)+len(a.Back) > 0 {
		_, _ = c.commit(a) // cannot fail: the nodes are in the map
	}
}

// beat is the answer to a heartbeat.
type beat struct {
	unknown bool
	lease   time.Duration
	index   uint64 // of the newest view
}

func (c *control) hear(id cluster.NodeID, seen uint64) beat {
	if c.m.Map.Nodes[id] == nil {
		return beat{unknown: true}
	}
	l := c.of(id)
	l.heard, l.seen = c.w.now, max(l.seen, seen)
	c.wake()
	b := beat{index: c.m.Index}
	if seen >= c.required() && !c.doomed[id] {
		b.lease = leaseTime
		l.end = max(l.end, c.w.now+leaseTime+leaseSlack)
	}
	return b
}

// required is the newest view that is older than the grace.
func (c *control) required() uint64 {
	for i := len(c.commits) - 1; i >= 0; i-- {
		if c.commits[i].at < c.w.now-grace {
			return c.commits[i].index
		}
	}
	return 0
}

// admission is the answer to a node that starts.
type admission struct {
	old    int  // not 0: the disks do not know of this start, the last one: they are fresh, or copies of an earlier time
	gone   bool // the id is refused for ever
	era    uint64
	serial uint64 // of the newest view
}

// join takes a node in, or back, if its disks know of its last start: then nothing has happened to it that they do not know. Fresh disks
// are told of it first, so that a late word of an earlier process changes nothing.
func (c *control) join(n cluster.Node, starts []int, boot int) (a admission, ok bool) {
	last := c.starts[n.ID]
	if last != 0 && boot != last && !slices.Contains(starts, last) && !c.w.broken(OldDiskServed) {
		return admission{old: last}, true
	}
	if _, err := c.commit(cluster.Join{Node: n}); err != nil {
		return admission{gone: errs.Is(err, errs.Forbidden)}, errs.Is(err, errs.Forbidden)
	}
	c.starts[n.ID] = boot
	l := c.of(n.ID)
	l.heard, l.seen = c.w.now, 0 // a process that has just started may have an older view than its predecessor told of
	return admission{era: c.m.Map.Nodes[n.ID].Era, serial: c.m.Index}, true
}

// forget removes a node as it is, once it may not serve any more.
func (c *control) forget(id cluster.NodeID) {
	c.doomed[id] = true
	l := c.of(id)
	if c.w.now < l.end && !c.w.broken(ForgetBeforeLeaseEnds) {
		c.after(l.end-c.w.now, func() { c.forget(id) })
		return
	}
	delete(c.doomed, id)
	if n := c.w.node(id); c.m.Map.Nodes[id] != nil {
		before := c.m.Index
		lost := c.w.soleCopies(n)
		if _, err := c.commit(cluster.ForgetNode{ID: id, Supersede: true}); err == nil && c.m.Index > before {
			c.w.lose(n, lost, "forgotten")
			n.keepsData = true // if it was to leave, it leaves now
			delete(c.ledger, id)
		}
	}
}

func describe(cmd cluster.Command) string {
	switch c := cmd.(type) {
	case cluster.MoveNodes:
		return string(c.Step) + " of " + joinIDs(c.IDs)
	case cluster.ReportSource:
		return string(c.ID) + " has " + string(c.Stage)
	case cluster.ForgetNode:
		return "forget " + string(c.ID)
	case cluster.Join:
		return "join of " + string(c.Node.ID)
	case cluster.SetAlive:
		return "lost " + joinIDs(c.Lost) + ", back " + joinIDs(c.Back)
	case cluster.CreateBucket:
		return "create " + c.Name
	case cluster.DestroyBucket:
		return "destroy " + c.Name
	}
	return cmd.Op()
}

func joinIDs(ids []cluster.NodeID) string {
	var s []string
	for _, id := range ids {
		s = append(s, string(id))
	}
	return strings.Join(s, ",")
}
