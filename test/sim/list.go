package sim

import (
	"slices"
	"time"

	"aistore/cluster"
	"aistore/cluster/ownership"
)

// gateway routes requests and puts lists together. It keeps nothing that it could lose.
type gateway struct {
	endpoint
	view *cluster.View
}

func (g *gateway) take(v *cluster.View) {
	if g.view == nil || v.Index > g.view.Index {
		g.view = v
	}
}

// latest fetches the newest view.
func (g *gateway) latest(done func(ok bool)) {
	ctl := g.w.ctl
	call(&g.endpoint, &ctl.endpoint, false, 150*time.Millisecond, func(answer func(*cluster.View)) { answer(ctl.view) }, func(v *cluster.View, ok bool) {
		if ok {
			g.take(v)
		}
		done(ok)
	})
}

// pageSize is small, so that lists take several pages.
const pageSize = 2

// question is for a page of one node's names.
type question struct {
	bucket uint64
	after  string
	stage  uint64 // of the map by which the gateway chose whom to ask
	serial uint64
}

// page is one node's names, or the refusal of who knows a later stage.
type page struct {
	ok    bool
	names []string
	what  []*content
	more  bool
}

// list answers a page of this node's index.
func (n *node) list(q question, answer func(page)) {
	if !n.mayServe() {
		return
	}
	m := n.view.Map
	switch {
	case m.Stage < q.stage || n.view.Index < q.serial && n.view.BucketByID(q.bucket) == nil:
		n.latest(func(ok bool) {
			if ok && n.view.Index >= q.serial {
				n.list(q, answer)
			}
		})
		return
	case m.Stage > q.stage && !n.w.broken(ListWithoutStage) || n.view.BucketByID(q.bucket) == nil:
		answer(page{})
		return
	}
	p := page{ok: true}
	for _, k := range n.disk.keys() {
		if k.bucket != q.bucket || k.name <= q.after {
			continue
		}
		if len(p.names) == pageSize {
			p.more = true
			break
		}
		c := n.disk.get(k)
		if n.w.broken(ListWithoutTombstones) && len(c.records)+len(c.uploads) == 0 {
			continue
		}
		p.names, p.what = append(p.names, k.name), append(p.what, c)
	}
	answer(p)
}

// listing is a list on its way.
type listing struct {
	g     *gateway
	name  string // of the bucket
	id    uint64
	found map[string]picture
	done  func(found map[string]picture, st status)
	tries int

	after string
	view  *cluster.View // of the page under way
	open  int
	pages []page
	bad   bool
}

func (l *listing) end(st status) { l.done(l.found, st) }

// next asks for a page.
func (l *listing) next() {
	g := l.g
	b := g.view.Buckets.Get("", l.name)
	if b == nil || l.id != 0 && b.ID != l.id {
		l.end(refused)
		return
	}
	l.id, l.view = b.ID, g.view
	l.pages, l.bad = nil, false
	nodes := ownership.Listed(l.view)
	if g.w.broken(ListWithoutSources) {
		nodes = l.view.Map.Targets()
	}
	l.open = len(nodes)
	q := question{b.ID, l.after, l.view.Map.Stage, l.view.Index}
	for _, m := range nodes {
		n := g.w.node(m.ID)
		call(&g.endpoint, &n.endpoint, false, 1200*time.Millisecond, func(answer func(page)) { n.after(n.w.hiccup(), func() { n.list(q, answer) }) }, l.heard)
	}
}

func (l *listing) heard(p page, ok bool) {
	l.open--
	if ok && p.ok {
		l.pages = append(l.pages, p)
	} else if !(l.g.w.broken(ListLeavesOut) && !ok) {
		l.bad = true
	}
	if l.open > 0 {
		return
	}
	if !l.bad {
		l.merge()
		return
	}
	if l.tries--; l.tries == 0 {
		l.end(refused)
		return
	}
	l.g.latest(func(bool) { l.g.after(l.g.w.between(time.Millisecond, 50*time.Millisecond), l.next) })
}

// merge puts the pages together as far as all of them go.
func (l *listing) merge() {
	last := ""
	more := false
	for _, p := range l.pages {
		if n := len(p.names); p.more && (!more || p.names[n-1] < last) {
			last, more = p.names[n-1], true
		}
	}
	best := map[string]*content{}
	var names []string
	for _, p := range l.pages {
		for i, name := range p.names {
			if more && name > last {
				continue
			}
			c, has := best[name]
			if !has {
				names = append(names, name)
			}
			if !has || p.what[i].state().Compare(c.state(), l.view.Map.Settled) > 0 {
				best[name] = p.what[i]
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if p := best[name].picture(); p != "" {
			l.found[name] = p
		}
	}
	if !more {
		l.end(done)
		return
	}
	l.after = last
	l.tries = max(l.tries, 3)
	l.next()
}
