package sim

import (
	"slices"
	"time"

	"aistore/cluster"
)

// node is a target.
type node struct {
	endpoint
	id   cluster.NodeID
	disk disk
	old  []image // of earlier times: what a restored disk may look like
	dead bool    // its id is refused for ever

	suspect   bool          // its disks are of another time, and it has not been told yet
	keepsData bool          // it is to leave with its objects
	trap      time.Duration // not 0: how long it stands still from its next request on

	// Of the process:
	view     *cluster.View
	found    []int // the starts that the disks knew of
	accepted bool  // the control plane knows of this start
	met      bool
	floor    uint64 // the view to have at least
	lagging  uint64 // the primary had told of this view already with its last answer
	until    time.Duration
	wall     time.Duration // the same by the wall clock
	skew     time.Duration // of the wall clock; it outlives the process

	locks   map[key]*lock
	touched map[key]uint64 // the epoch in which a key was asked for; of the process only
	commits []*commit
	fetches []func(ok bool) // who waits for the newest view
	duty    duty
	sent    map[key]bool // what the walk of this epoch has proposed
}

// lock of a name; waiters get it in the order in which they came.
type lock struct {
	held  bool
	queue []func()
}

// commit is a change that is being written: the lock is held, the guard is passed.
type commit struct {
	k     key
	c     *content
	epoch uint64 // of the view that the guard was passed by
}

func (w *world) addNode(id cluster.NodeID) *node {
	n := &node{id: id, disk: newDisk()}
	n.endpoint = endpoint{w: w, name: string(id)}
	w.nodes = append(w.nodes, n)
	return n
}

func (n *node) tell(format string, args ...any) {
	if n.w.opt.Story != nil {
		n.w.tell(n.name+": "+format, args...)
	}
}

// start begins a process on the disks as they are.
func (n *node) start() {
	if n.up || n.dead {
		return
	}
	n.boot++
	n.up = true
	n.accepted, n.met, n.floor, n.lagging, n.until, n.wall = false, false, 0, 0, 0, 0
	n.locks, n.touched, n.commits = map[key]*lock{}, map[key]uint64{}, nil
	n.fetches, n.duty, n.sent = nil, duty{}, nil
	n.view = n.disk.now.kept
	n.tell("starts with %d keys, of the starts %v", len(n.disk.now.keys), n.disk.now.starts)
	n.found = n.disk.now.starts
	n.noteStarts(append(slices.Clone(n.found), n.boot))
	n.join()
}

// noteStarts writes down, durably, which starts the disks know of.
func (n *node) noteStarts(starts []int) {
	n.disk.now.starts, n.disk.synced.starts = starts, starts
}

// join announces the start to the control plane until that answers.
func (n *node) join() {
	if n.accepted {
		return
	}
	ctl, found := n.w.ctl, n.found
	me := cluster.Node{ID: n.id, Role: cluster.RoleTarget, IntraAddr: string(n.id) + ":1", PublicURL: "http://" + string(n.id) + ":2"}
	boot := n.boot
	call(&n.endpoint, &ctl.endpoint, false, 200*time.Millisecond, func(answer func(admission)) {
		if a, ok := ctl.join(me, found, boot); ok {
			answer(a)
		}
	}, func(a admission, ok bool) { n.joined(a, ok) })
}

// joined hears the answer.
func (n *node) joined(a admission, ok bool) {
	switch {
	case n.accepted:
	case ok && a.gone:
		n.dead = true
		n.stop()
	case ok && a.old != 0:
		if len(n.found) > 0 && !slices.Contains(n.found, a.old) {
			n.tell("the disks are of another time: they are set aside")
			n.setAside(0)
		}
		n.found = []int{a.old}
		n.after(10*time.Millisecond, n.join)
	case ok:
		n.tell("is accepted")
		n.accepted = true
		n.noteStarts([]int{n.boot})
		if n.disk.now.era != a.era && !n.w.broken(ForgottenDiskServed) {
			n.tell("the disks are of era %d, this is %d: they are set aside", n.disk.now.era, a.era)
			n.setAside(a.era)
		}
		n.floor, n.met = a.serial, true
		if n.view != nil {
			n.cleanUp(nil) // what had been removed and not synced is back after a loss of power
		}
		n.beat()
		n.work()
	default:
		n.after(100*time.Millisecond, n.join)
	}
}

// setAside empties the disks. What only they had was lost when they became another's, or another time's.
func (n *node) setAside(era uint64) {
	fresh := newImage()
	fresh.starts, fresh.kept, fresh.era = n.disk.now.starts, n.disk.now.kept, era
	n.disk = disk{fresh, fresh.clone()}
	n.suspect = false
	n.touched = map[key]uint64{}
}

// beat tells the control plane that the node lives, and hears whether it may serve.
func (n *node) beat() {
	ctl, sent, wall, seen := n.w.ctl, n.w.now, n.w.now+n.skew, uint64(0)
	if n.view != nil {
		seen = n.view.Index
	}
	call(&n.endpoint, &ctl.endpoint, false, 200*time.Millisecond, func(answer func(beat)) { answer(ctl.hear(n.id, seen)) }, func(b beat, ok bool) {
		switch {
		case !ok:
		case b.unknown:
			n.until, n.wall = 0, 0
		default:
			if b.lease > 0 {
				if !n.met || n.remaining() <= 0 {
					n.floor, n.met = max(n.floor, b.index), true
				}
				n.until, n.wall = max(n.until, sent+b.lease), max(n.wall, wall+b.lease)
			}
			if n.view == nil || n.lagging > n.view.Index || n.view.Map.Nodes[n.id] == nil {
				n.latest(func(bool) {})
			}
			n.lagging = b.index
		}
		n.after(heartbeat, n.beat)
	})
}

// remaining is how long the lease lasts: by the clock that goes on while the process stands still, and by the wall clock.
func (n *node) remaining() time.Duration {
	left, wall := n.until-n.w.now, n.wall-n.w.now-n.skew
	if n.w.broken(LeaseByWallClock) {
		return wall
	}
	return min(left, wall)
}

// ready reports whether the process knows as much as its predecessors did: before that it does not even say what it has.
func (n *node) ready() bool {
	return n.accepted && n.view != nil && (n.view.Index >= n.floor || n.w.broken(NoFloor))
}

// mayServe reports whether the lease holds, too.
func (n *node) mayServe() bool { return n.ready() && n.met && n.remaining() > 0 }

// take makes v the present view if it is newer.
func (n *node) take(v *cluster.View) {
	if n.view != nil && v.Index <= n.view.Index {
		return
	}
	if mn := v.Map.Nodes[n.id]; n.accepted && mn != nil && mn.Era != n.disk.now.era && !n.w.broken(ForgottenDiskServed) {
		n.tell("was forgotten, and is in the map again with era %d", mn.Era)
		n.crash()
		n.w.after(10*time.Millisecond, n.start)
		return
	}
	before := n.view
	n.view = v
	n.disk.now.kept = v
	if n.w.chance(0.5) {
		n.disk.synced.kept = v
	}
	if before == nil || before.Map.Epoch != v.Map.Epoch {
		n.tell("knows epoch %d", v.Map.Epoch)
	}
	n.cleanUp(before)
	n.work()
}

// cleanUp removes what is of buckets that are gone, and marks that say nothing any more.
func (n *node) cleanUp(before *cluster.View) {
	settled := n.view.Map.Settled
	if n.w.broken(MarksDroppedEarly) && !n.view.Map.Rebalancing() {
		settled = n.view.Map.Epoch
	}
	if before != nil && before.Map.Settled == settled && before.Buckets == n.view.Buckets && !n.w.broken(MarksDroppedEarly) {
		return
	}
	for _, k := range n.disk.keys() {
		c := n.disk.get(k)
		switch {
		case n.gone(k.bucket):
			n.disk.set(k, nil)
		case c.mark > 0 && c.mark <= settled:
			n.disk.set(k, c.withMark(0))
		}
	}
}

// gone reports whether the bucket was destroyed, by what the node knows.
func (n *node) gone(bucket uint64) bool {
	v := n.view
	return v.BucketByID(bucket) == nil && (bucket < v.Buckets.NextID || n.w.broken(BucketIDReused))
}

// latest fetches the newest view there is.
func (n *node) latest(done func(ok bool)) {
	n.fetches = append(n.fetches, done)
	if len(n.fetches) > 1 {
		return
	}
	ctl := n.w.ctl
	call(&n.endpoint, &ctl.endpoint, false, 150*time.Millisecond, func(answer func(*cluster.View)) { answer(ctl.view) }, func(v *cluster.View, ok bool) {
		if ok {
			n.take(v)
		}
		todo := n.fetches
		n.fetches = nil
		for _, fn := range todo {
			fn(ok)
		}
	})
}

// lock runs fn when the name is free.
func (n *node) lock(k key, fn func()) {
	l := n.locks[k]
	if l == nil {
		l = &lock{}
		n.locks[k] = l
	}
	if l.held {
		l.queue = append(l.queue, fn)
		return
	}
	l.held = true
	fn()
}

func (n *node) unlock(k key) {
	l := n.locks[k]
	if len(l.queue) == 0 {
		l.held = false
		return
	}
	next := l.queue[0]
	l.queue = l.queue[1:]
	n.after(0, next)
}

// write makes c the content of k, durably; the lock is held.
func (n *node) write(k key, c *content, epoch uint64, done func()) {
	if n.w.broken(AckBeforeSync) {
		n.disk.set(k, c)
		n.after(n.w.between(5*time.Millisecond, 500*time.Millisecond), func() {
			n.settle(k, c)
		})
		done()
		return
	}
	x := &commit{k, c, epoch}
	n.commits = append(n.commits, x)
	d := n.w.between(500*time.Microsecond, 4*time.Millisecond)
	if n.w.chance(0.04) {
		d = n.w.between(5*time.Millisecond, 300*time.Millisecond) // a slow disk
	}
	n.spring()
	n.after(d, func() {
		n.commits = slices.DeleteFunc(n.commits, func(o *commit) bool { return o == x })
		if n.view != nil && n.gone(k.bucket) {
			c = nil
		}
		n.disk.setSynced(k, c)
		done()
	})
}

// spring has the process stop where it is, if it is to.
func (n *node) spring() {
	if n.trap > 0 {
		d := n.trap
		n.trap = 0
		n.tell("stands still for %v in the middle of a request", d)
		n.pause()
		n.w.after(d, n.wake)
	}
}

// crash ends the process in the middle of whatever it does: what was being written is there or not.
func (n *node) crash() {
	for _, x := range n.commits {
		if n.w.chance(0.5) {
			n.disk.setSynced(x.k, x.c)
		}
	}
	n.stop()
}

// powerLoss is a crash that takes with it what was not synced.
func (n *node) powerLoss() {
	n.crash()
	n.disk.now = n.disk.synced.clone()
}
