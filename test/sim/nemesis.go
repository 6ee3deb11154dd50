package sim

import (
	"fmt"
	"slices"
	"time"

	"aistore/cluster"
)

// nemesis makes things happen. What a seed is about is drawn once, so that some seeds are all lifecycle and others all crashes.
type nemesis struct {
	w       *world
	weights []float64
	pace    time.Duration
	next    int // number of the next new target
	admin   bool
}

// trouble is a kind of event with its usual weight.
func (m *nemesis) troubles() []struct {
	weight float64
	do     func()
} {
	return []struct {
		weight float64
		do     func()
	}{
		{3, m.crash}, {2, m.pause}, {3, m.partition}, {2, m.noise}, {1, m.clock},
		{6, m.move}, {2, m.turnBack}, {2, m.grow}, {1, m.weigh}, {1.5, m.rebalance}, {1.5, m.forget}, {1, m.pauseAndForget},
		{0.3, m.allDown}, {0.4, m.failover}, {2, m.buckets}, {1.5, m.readmit}, {2, m.flap}, {1, m.moveAndCrash},
	}
}

func newNemesis(w *world) *nemesis {
	m := &nemesis{w: w, next: len(w.nodes) + 1, pace: w.between(80*time.Millisecond, 600*time.Millisecond)}
	for _, t := range m.troubles() {
		x := t.weight * w.rng.Float64()
		if w.chance(0.3) {
			x = 0
		}
		m.weights = append(m.weights, x)
	}
	m.weights[5] += 0.5
	w.after(w.between(50*time.Millisecond, 300*time.Millisecond), m.act)
	return m
}

func (m *nemesis) act() {
	w := m.w
	if !w.chaos {
		return
	}
	if m.serving() < 3 && w.chance(0.6) {
		m.repair()
	}
	sum := 0.0
	for _, x := range m.weights {
		sum += x
	}
	x := w.rng.Float64() * sum
	for i, t := range m.troubles() {
		if x -= m.weights[i]; x < 0 {
			t.do()
			break
		}
	}
	w.after(w.between(m.pace/4, 2*m.pace), m.act)
}

// some returns a random one of those that fit, nil if none does.
func (m *nemesis) some(fits func(*node) bool) *node {
	var ns []*node
	for _, n := range m.w.nodes {
		if fits(n) {
			ns = append(ns, n)
		}
	}
	if len(ns) == 0 {
		return nil
	}
	return ns[m.w.rng.IntN(len(ns))]
}

func running(n *node) bool { return n.up && !n.paused }

// serving counts the targets that could serve.
func (m *nemesis) serving() int {
	c := 0
	for _, n := range m.w.nodes {
		if mn := m.w.ctl.m.Map.Nodes[n.id]; mn != nil && mn.InService() && running(n) {
			c++
		}
	}
	return c
}

// repair is an operator who looks after a cluster of which little is left: nothing can be found out about one that does not serve.
func (m *nemesis) repair() {
	m.readmit()
	m.propose(cluster.StopMaintenance)
	m.propose(cluster.JoinNode)
}

// crash kills a process; its disks are kept, unsynced, lost, or replaced by an older copy.
func (m *nemesis) crash() {
	w := m.w
	n := m.some(running)
	if n == nil {
		return
	}
	back := w.between(20*time.Millisecond, 1500*time.Millisecond)
	switch x := w.rng.Float64(); {
	case x < 0.45:
		n.tell("is killed")
		n.crash()
	case x < 0.8:
		n.tell("loses power")
		n.powerLoss()
	case x < 0.9:
		lost := w.soleCopies(n)
		n.tell("loses its disks")
		n.crash()
		n.disk, n.suspect = newDisk(), false // an operator starts it under its id
		w.lose(n, lost, "without disks")
	default:
		m.restore(n)
	}
	w.after(back, n.start)
}

// restore replaces the disks by an old copy of them: of before the latest start, for a later one cannot be told from the present.
func (m *nemesis) restore(n *node) {
	w := m.w
	old := slices.DeleteFunc(slices.Clone(n.old), func(i image) bool { return slices.Contains(i.starts, w.ctl.starts[n.id]) })
	n.tell("is killed")
	if len(old) == 0 {
		n.crash()
		return
	}
	lost := w.soleCopies(n)
	n.crash()
	i := old[w.rng.IntN(len(old))]
	n.tell("gets the disks of its starts %v again", i.starts)
	n.disk = disk{i.clone(), i.clone()}
	n.suspect = true
	w.lose(n, lost, "restored")
}

func (m *nemesis) pause() {
	if n := m.some(running); n != nil {
		d := m.w.between(20*time.Millisecond, 600*time.Millisecond)
		if m.w.chance(0.25) {
			d = m.w.between(time.Second, 3*time.Second)
		}
		n.tell("stands still for %v", d)
		n.pause()
		m.w.after(d, n.wake)
	}
}

func (n *node) wake() {
	if n.paused {
		n.tell("goes on")
		n.resume()
	}
}

// partition cuts links for a while, one way or both.
func (m *nemesis) partition() {
	w := m.w
	var all []*endpoint
	for _, n := range w.nodes {
		all = append(all, &n.endpoint)
	}
	for _, g := range w.gates {
		all = append(all, &g.endpoint)
	}
	all = append(all, &w.ctl.endpoint)
	var cut []link
	a := all[w.rng.IntN(len(all))]
	switch w.rng.IntN(4) {
	case 0: // one link, one way
		cut = append(cut, link{a, all[w.rng.IntN(len(all))]})
	case 1: // one process cannot be heard, or hears nobody
		out := w.chance(0.5)
		for _, b := range all {
			if out {
				cut = append(cut, link{a, b})
			} else {
				cut = append(cut, link{b, a})
			}
		}
	case 2: // one process and the control plane
		cut = append(cut, link{a, &w.ctl.endpoint}, link{&w.ctl.endpoint, a})
	default: // two halves
		var one, two []*endpoint
		for _, e := range all {
			if w.chance(0.5) {
				one = append(one, e)
			} else {
				two = append(two, e)
			}
		}
		for _, x := range one {
			for _, y := range two {
				cut = append(cut, link{x, y}, link{y, x})
			}
		}
	}
	for _, l := range cut {
		w.net.cut[l]++
	}
	d := w.between(30*time.Millisecond, 700*time.Millisecond)
	if w.chance(0.2) {
		d = w.between(700*time.Millisecond, 2*time.Second)
	}
	w.tell("network: %d links are cut for %v, at %s", len(cut), d, a.name)
	w.after(d, func() {
		for _, l := range cut {
			w.net.cut[l]--
		}
	})
}

func (m *nemesis) noise() {
	n := &m.w.net
	n.drop, n.repeat, n.slow = 0, 0, 0.01
	if m.w.chance(0.7) {
		n.drop, n.repeat, n.slow = 0.15*m.w.rng.Float64(), 0.3*m.w.rng.Float64(), 0.3*m.w.rng.Float64()
	}
}

func (m *nemesis) clock() {
	if n := m.some(running); n != nil {
		d := m.w.between(-5*time.Second, 5*time.Second)
		n.tell("its clock jumps by %v", d)
		n.skew += d
	}
}

// move takes one or two nodes a step further, whichever step that is.
func (m *nemesis) move() {
	w := m.w
	steps := []cluster.Transition{cluster.StartMaintenance, cluster.StopMaintenance, cluster.StopMaintenance, cluster.ShutdownNode, cluster.DecommissionNode, cluster.JoinNode, cluster.JoinNode}
	m.propose(steps[w.rng.IntN(len(steps))])
}

func (m *nemesis) propose(step cluster.Transition) {
	w := m.w
	var fit []cluster.NodeID
	for _, n := range w.ctl.m.Map.All() {
		if n.Role.Target() {
			if _, err := probe(w.ctl.m, cluster.MoveNodes{IDs: []cluster.NodeID{n.ID}, Step: step}); err == nil {
				fit = append(fit, n.ID)
			}
		}
	}
	if len(fit) == 0 || !w.ctl.up {
		return
	}
	w.rng.Shuffle(len(fit), func(i, j int) { fit[i], fit[j] = fit[j], fit[i] })
	fit = fit[:min(len(fit), 1+w.rng.IntN(2))]
	leaves := step != cluster.StopMaintenance && step != cluster.JoinNode
	if leaves && len(w.ctl.m.Map.Targets())-len(fit) < 2 && w.chance(0.8) {
		return
	}
	cmd := cluster.MoveNodes{IDs: fit, Step: step, KeepData: w.chance(0.3)}
	for _, id := range fit {
		w.node(id).keepsData = step == cluster.DecommissionNode && cmd.KeepData
	}
	if step == cluster.StopMaintenance || step == cluster.JoinNode {
		for _, id := range fit {
			w.node(id).start()
		}
	}
	_, _ = w.ctl.commit(cmd) // may be refused: then nothing happens
}

// probe applies a command to a copy.
func probe(m *cluster.Machine, cmd cluster.Command) (cluster.Result, error) {
	c := *m
	return c.Apply(c.Index+1, cluster.Entry{Command: cmd})
}

// turnBack reverses what is under way.
func (m *nemesis) turnBack() {
	for _, n := range m.w.ctl.m.Map.All() {
		if n.Phase == cluster.Migrating || n.Phase == cluster.Drained {
			m.propose(cluster.StopMaintenance)
			return
		}
	}
	m.propose([]cluster.Transition{cluster.StartMaintenance, cluster.DecommissionNode}[m.w.rng.IntN(2)])
}

// grow adds a target, in service at once or by the next join.
func (m *nemesis) grow() {
	w := m.w
	if len(w.nodes) >= 9 || !w.ctl.up || len(w.ctl.m.Map.Targets()) >= 5 {
		m.propose(cluster.JoinNode)
		return
	}
	n := w.addNode(cluster.NodeID(fmt.Sprintf("t%d", m.next)))
	m.next++
	n.start()
	w.after(w.between(20*time.Millisecond, 300*time.Millisecond), func() {
		if w.chaos {
			m.propose(cluster.JoinNode)
		}
	})
}

func (m *nemesis) weigh() {
	w := m.w
	if n := m.some(running); n != nil && w.ctl.up && w.ctl.m.Map.Nodes[n.id] != nil {
		zone := fmt.Sprint("z", w.rng.IntN(2))
		cmd := cluster.SetNode{ID: n.id, Weight: uint32(50 + w.rng.IntN(4)*50)}
		if w.chance(0.3) {
			cmd = cluster.SetNode{ID: n.id, Zone: &zone}
		}
		_, _ = w.ctl.commit(cmd)
	}
}

func (m *nemesis) rebalance() {
	if m.w.ctl.up {
		_, _ = m.w.ctl.commit(cluster.SetRebalance{Run: m.w.chance(0.6)}) // refused when there is nothing to stop
	}
}

// forget removes a node from the map, with what only it has.
func (m *nemesis) forget() {
	if len(m.w.ctl.m.Map.Targets()) < 3 && m.w.chance(0.8) {
		return
	}
	if n := m.some(func(n *node) bool { return m.w.ctl.m.Map.Nodes[n.id] != nil }); n != nil && m.w.ctl.up {
		n.tell("is to be forgotten")
		m.w.ctl.forget(n.id)
	}
}

// pauseAndForget removes one that stands still in the middle of its work.
func (m *nemesis) pauseAndForget() {
	w := m.w
	n := m.some(func(n *node) bool {
		mn := w.ctl.m.Map.Nodes[n.id]
		return running(n) && mn != nil && mn.InService()
	})
	if n == nil || !w.ctl.up || len(w.ctl.m.Map.Targets()) < 3 && w.chance(0.8) {
		return
	}
	d := w.between(1200*time.Millisecond, 2500*time.Millisecond)
	if n.trap = d; w.chance(0.3) {
		n.spring()
	}
	w.after(w.between(0, 100*time.Millisecond), func() {
		if n.tell("is to be forgotten"); w.ctl.up {
			w.ctl.forget(n.id)
		}
	})
}

// flap takes a node out and in again, faster than anything can be moved.
func (m *nemesis) flap() {
	n := m.some(func(n *node) bool {
		mn := m.w.ctl.m.Map.Nodes[n.id]
		return mn != nil && mn.InService() && running(n)
	})
	if n == nil || m.serving() < 2 {
		return
	}
	out := true
	for t, i := time.Duration(0), 1+m.w.rng.IntN(4); i > 0; i-- {
		m.w.after(t, func() {
			step := cluster.StopMaintenance
			if out {
				step = cluster.StartMaintenance
			}
			out = !out
			if m.w.chaos && m.w.ctl.up {
				_, _ = m.w.ctl.commit(cluster.MoveNodes{IDs: []cluster.NodeID{n.id}, Step: step}) // may be refused
			}
		})
		t += m.w.between(10*time.Millisecond, 400*time.Millisecond)
	}
}

// moveAndCrash loses power where something has just begun.
func (m *nemesis) moveAndCrash() {
	m.move()
	w := m.w
	w.after(w.between(time.Millisecond, 60*time.Millisecond), func() {
		if n := m.some(running); n != nil && w.chaos {
			n.tell("loses power")
			n.powerLoss()
			w.after(w.between(5*time.Millisecond, 80*time.Millisecond), n.start)
		}
	})
}

// readmit starts what is down or was forgotten.
func (m *nemesis) readmit() {
	w := m.w
	n := m.some(func(n *node) bool { return !n.dead && (!n.up || w.ctl.m.Map.Nodes[n.id] == nil) })
	if n == nil {
		return
	}
	if n.up {
		n.crash()
	}
	n.start()
}

// allDown takes the power from everything, or shuts the cluster down and starts it again.
func (m *nemesis) allDown() {
	w := m.w
	kind := w.chance(0.7)
	w.tell("everything is down, power loss %v", kind)
	w.ctl.fail(w.between(10*time.Millisecond, 800*time.Millisecond))
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		if kind {
			n.powerLoss()
		} else {
			n.crash()
		}
		w.after(w.between(10*time.Millisecond, 1200*time.Millisecond), n.start)
	}
}

func (m *nemesis) failover() {
	if m.w.ctl.up {
		m.w.ctl.fail(m.w.between(50*time.Millisecond, 700*time.Millisecond))
	}
}

// buckets destroys one and makes it again.
func (m *nemesis) buckets() {
	w := m.w
	if m.admin || !w.ctl.up {
		return
	}
	b := w.hist.buckets[len(w.hist.buckets)-1]
	m.admin = true
	finish := func() { m.admin = false }
	create := func() {
		if !w.ctl.up {
			finish()
			return
		}
		w.ctl.propose(cluster.CreateBucket{Name: b.name}, func(cluster.Result, error) { finish() })
	}
	old := w.ctl.view.Buckets.Get("", b.name)
	if old == nil {
		create()
		return
	}
	ops := make([]*operation, len(b.names))
	for i, r := range b.names {
		ops[i] = r.begin(w, &operation{request: &request{op: opClear, name: r.key}})
	}
	b.going = true
	boot := w.ctl.boot
	w.ctl.propose(cluster.DestroyBucket{Name: b.name}, func(cluster.Result, error) {
		for i, r := range b.names {
			r.end(w, ops[i], "")
		}
		b.going = false
		w.after(w.between(0, 100*time.Millisecond), create)
	})
	w.after(3*time.Second, func() {
		if w.ctl.boot != boot { // the answer is lost with the primary
			finish()
		}
	})
}
