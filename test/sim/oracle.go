package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"aistore/cluster"
	"aistore/cluster/ownership"
)

// history is all that clients saw.
type history struct {
	buckets []*bucketHistory
	ops     int
	lists   int
	losses  int
}

// bucketHistory is the names of a bucket, whichever bucket has its name at the time.
type bucketHistory struct {
	name      string
	versioned bool
	names     []*named
	going     bool // is being destroyed: some nodes know, others do not
}

// named is a register with what clients know to ask for.
type named struct {
	register
	key    string
	values []uint16 // of versions that were written
	begun  []uint16 // uploads
}

func (h *history) add(name string, versioned bool, keys ...string) {
	b := &bucketHistory{name: name, versioned: versioned}
	for _, k := range keys {
		n := &named{key: k}
		n.name, n.versioned = name+"/"+k, versioned
		b.names = append(b.names, n)
	}
	h.buckets = append(h.buckets, b)
}

func (h *history) find(v *cluster.View, k key) *named {
	vb := v.BucketByID(k.bucket)
	if vb == nil {
		return nil
	}
	for _, b := range h.buckets {
		for _, n := range b.names {
			if b.name == vb.Name && n.key == k.name {
				return n
			}
		}
	}
	return nil
}

func (r *named) begin(w *world, o *operation) *operation {
	o.call = w.now
	switch {
	case o.list || o.op == opClear:
	case o.op == opPut:
		r.values = append(r.values, o.value)
	case o.op == opRemove && r.versioned:
		r.values = append(r.values, o.value|removedBit)
	case o.op == opBegin:
		r.begun = append(r.begun, o.value)
	}
	r.entries = append(r.entries, entry{op: o, at: w.now})
	if w.opt.Story != nil && !o.list {
		w.tell("client: begins %v of %s", o.request, r.name)
	}
	return o
}

// end notes the result.
func (r *named) end(w *world, o *operation, seen picture) {
	o.ended, o.seen = true, seen
	r.entries = append(r.entries, entry{op: o, end: true, at: w.now})
	if w.opt.Story != nil && !o.list {
		w.tell("client: ends %v", o)
	}
}

// drop takes an operation out of the history: it had no effect, and nobody saw anything.
func (r *named) drop(o *operation) { o.op = opNothing }

// tidied is the history without what says nothing: what was dropped, and writes without an end whose value nobody ever saw.
func (r *register) tidied() *register {
	seen := map[uint16]bool{}
	note := func(p picture) {
		versions, uploads := p.split()
		for _, v := range append(versions, uploads...) {
			seen[v] = true
		}
	}
	for _, e := range r.entries {
		if e.op != nil {
			note(e.op.seen)
		}
		for _, p := range e.loss {
			note(p)
		}
	}
	t := &register{name: r.name, versioned: r.versioned}
	for _, e := range r.entries {
		if o := e.op; o != nil {
			unseen := !o.ended && (o.op == opPut || o.op == opBegin) && !seen[o.value] ||
				!o.ended && o.op == opRemove && r.versioned && !seen[o.value|removedBit]
			if o.op == opNothing || unseen {
				continue
			}
		}
		t.entries = append(t.entries, e)
	}
	return t
}

// soleCopies returns the keys of which n has what no node has that owners would ask, with everything else that can be found of them.
func (w *world) soleCopies(n *node) map[key][]picture {
	v := w.ctl.view
	lost := map[key][]picture{}
	if n.suspect {
		return lost
	}
	counts := func(m *node, b *cluster.Bucket, k key) bool { // a source may rely on what the owner has confirmed
		mn := v.Map.Nodes[m.id]
		if m != n && m.view != nil && m.view.Map.Epoch < v.Map.Epoch { // it may be about to remove what is another's by the map that it knows
			if _, misplaced := ownership.Misplaced(m.view, m.id, b, k.name); misplaced {
				return false
			}
		}
		return !m.suspect && mn != nil && mn.Era == m.disk.now.era && // else it will set its disks aside
			(v.Owner(b, k.name).ID == m.id || v.Map.Sources[m.id].Stage == cluster.Moving && (m == n || !m.sent[k]))
	}
	for _, k := range n.disk.keys() {
		b := v.BucketByID(k.bucket)
		if b == nil || !counts(n, b, k) {
			continue
		}
		mine, safe := n.disk.get(k), false
		found := []picture{"", mine.picture()}
		for _, m := range w.nodes {
			if m == n {
				continue
			}
			for _, c := range []*content{m.disk.get(k), m.disk.synced.keys[k]} {
				if p := c.picture(); !slices.Contains(found, p) {
					found = append(found, p)
				}
			}
			holds := func(c *content) bool { return c.state().Compare(mine.state(), v.Map.Settled) >= 0 }
			if counts(m, b, k) && holds(m.disk.get(k)) && holds(m.disk.synced.keys[k]) { // neither on its way out nor only in memory
				safe = true
			}
		}
		if !safe {
			lost[k] = found
		}
	}
	return lost
}

// lose notes in the histories what was lost with the disks of n.
func (w *world) lose(n *node, lost map[key][]picture, why string) {
	w.tell("%s: is %s, and with it %d keys", n.name, why, len(lost))
	ks := make([]key, 0, len(lost))
	for k := range lost {
		ks = append(ks, k)
	}
	slices.SortFunc(ks, key.compare)
	for _, k := range ks {
		if r := w.hist.find(w.ctl.view, k); r != nil {
			r.entries = append(r.entries, entry{loss: lost[k], at: w.now})
			w.hist.losses++
		}
	}
}

// checkMap holds a change of the map to what every map must be.
func (w *world) checkMap(a, b *cluster.Map) {
	switch {
	case b.Epoch < a.Epoch || b.Stage < a.Stage || b.Settled < a.Settled || b.Version < a.Version:
		w.violate("the map goes back: %s, then %s", mapLine(a), mapLine(b))
	case b.Settled > b.Epoch:
		w.violate("settled before it began: %s", mapLine(b))
	case len(b.Former) > 0 && !b.Rebalancing():
		w.violate("former placements without a source: %s", mapLine(b))
	}
	for i, p := range b.Former {
		if p.Epoch >= b.Epoch || i > 0 && p.Epoch <= b.Former[i-1].Epoch {
			w.violate("former placements out of order: %s", mapLine(b))
		}
	}
	if a.Stage == b.Stage && fmt.Sprint(a.Sources) != fmt.Sprint(b.Sources) {
		w.violate("sources change within a stage: %s, then %s", mapLine(a), mapLine(b))
	}
}

// mapLine is a map in one line.
func mapLine(m *cluster.Map) string {
	s := fmt.Sprintf("v%d e%d s%d settled %d", m.Version, m.Epoch, m.Stage, m.Settled)
	for _, n := range m.All() {
		if n.Role.Target() {
			s += fmt.Sprintf(" %s:%s", n.ID, n.State)
			if n.Phase != "" {
				s += "(" + string(n.Phase) + ")"
			}
			if src, ok := m.Sources[n.ID]; ok {
				s += "=" + string(src.Stage)
				if src.Keeps {
					s += "/keeps"
				}
			}
		}
	}
	for _, p := range m.Former {
		s += fmt.Sprintf(" until %d", p.Epoch)
		for _, t := range p.Targets {
			s += "," + string(t.ID)
		}
	}
	if m.Paused {
		s += " paused"
	}
	return s
}

// restless says why the cluster has not come to rest, "" if it has.
func (w *world) restless() string {
	m := w.ctl.m.Map
	switch {
	case !w.ctl.up:
		return "no primary"
	case m.Rebalancing():
		return "the rebalance does not end: " + mapLine(m)
	case len(m.Former) > 0:
		return "former placements stay: " + mapLine(m)
	}
	for _, n := range w.nodes {
		mn := m.Nodes[n.id]
		if mn == nil || mn.State == cluster.Shutdown {
			continue
		}
		if !n.up || !n.accepted || n.view == nil || n.view.Index != w.ctl.m.Index {
			return n.name + " does not have the newest view"
		}
		if mn.Phase == cluster.Joining || mn.Phase == cluster.Wiping {
			return n.name + " is " + string(mn.Phase)
		}
	}
	return ""
}

// checkRest looks at the disks of a cluster that has come to rest.
func (w *world) checkRest() {
	v := w.ctl.view
	for _, n := range w.nodes {
		mn := v.Map.Nodes[n.id]
		if mn == nil {
			if left := n.disk.keys(); n.dead && len(left) > 0 && !n.keepsData {
				w.violate("%s was decommissioned and still has %v", n.name, left)
			}
			continue
		}
		for _, k := range n.disk.keys() {
			b, c := v.BucketByID(k.bucket), n.disk.get(k)
			switch {
			case b == nil:
				if n.up {
					w.violate("%s has %v of a bucket that is gone", n.name, k)
				}
			case v.Owner(b, k.name).ID != n.id && !v.Map.Sources[n.id].Keeps:
				w.violate("%s has %v, which belongs to %s", n.name, k, v.Owner(b, k.name).ID)
			case c.mark > 0 && !v.Map.Unsettled():
				w.violate("%s has the mark %d at %v although all is settled", n.name, c.mark, k)
			}
		}
	}
	for _, n := range w.nodes {
		if s := v.Map.Sources[n.id]; v.Map.Nodes[n.id] != nil && n.up {
			if d := ownership.DutyOf(n.view, n.id); d != ownership.Idle {
				w.violate("%s has the duty %v at rest, %v", n.name, d, s)
			}
		}
	}
}

// checkLog applies the log again, from its bytes: there is one history of maps.
func (w *world) checkLog() {
	m := cluster.NewMachine()
	for i, b := range w.ctl.log {
		e, err := cluster.DecodeEntry(b)
		if err == nil {
			_, err = m.Apply(m.Index+1, e)
		}
		if err != nil {
			w.violate("entry %d of the log: %v", i, err)
			return
		}
	}
	a, errA := json.Marshal(m)
	b, errB := json.Marshal(w.ctl.m)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		w.violate("another replica of the log comes to another state: %s and %s", a, b)
	}
}

// judge has every register judged.
func (w *world) judge() []*register {
	var all []*register
	for _, b := range w.hist.buckets {
		for _, n := range b.names {
			t := n.tidied()
			all = append(all, t)
			if wrong := t.judgeAll(); wrong != "" {
				w.violations = append(w.violations, wrong)
			}
		}
	}
	return all
}

// finalReads has every name read and every bucket listed once the cluster has come to rest.
func (w *world) finalReads() {
	c := w.clients[0]
	open := 0
	for _, b := range w.hist.buckets {
		for _, r := range b.names {
			open++
			req := request{op: opWhole, name: r.key, versioned: b.versioned}
			c.request(req, r, b, w.gates[0], false, func() { open-- })
		}
		open++
		c.list(w.gates[1], b, func() { open-- })
	}
	w.run(w.now+10*time.Second, func() bool { return open == 0 })
	if open > 0 {
		w.violate("%d reads of a healthy cluster do not end", open)
	}
	for _, b := range w.hist.buckets {
		for _, r := range b.names {
			if e := r.entries[len(r.entries)-1]; w.ctl.view.Buckets.Get("", b.name) != nil && !e.end {
				w.violate("%s cannot be read although all is well", r.name)
			}
		}
	}
}
