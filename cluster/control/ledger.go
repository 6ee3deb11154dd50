package control

import (
	"sort"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"aistore/cluster"
)

// ledger is what a primary knows of the nodes: when it heard them, until when each may serve, which view
// each has. It has no clock of its own.
//
// The rule it keeps: a lease that the node counts from when it sent its heartbeat (s) for a length L is
// counted here from when the heartbeat was answered (not before s), for L and a margin. So it ends here
// after it has ended there, whatever was paused or late in between.
type ledger struct {
	mu      sync.Mutex
	since   time.Time // start of the reign, or when this process woke from a long pause
	foreign time.Time // leases that earlier primaries granted are over after this
	nodes   map[cluster.NodeID]*record
	logs    map[raft.ServerID]string // the process (boot) that was last known to have this copy of the log
	commits []commit
	barred  map[cluster.NodeID]int // whose leases are not renewed; how many wait for their end
	news    chan struct{}          // closed at the next heartbeat
}

type record struct {
	heard time.Time
	lease time.Time // its lease is over for certain after this
	seen  uint64    // newest view that it has
	beat  heartbeat
}

type commit struct {
	index uint64
	at    time.Time
}

// newLedger begins a reign at now. first is the longest lease that an earlier primary can have granted:
// all its grants began before now (docs/design/control-plane.md).
func newLedger(now time.Time, first time.Duration) *ledger {
	return &ledger{since: now, foreign: now.Add(first + margin(first)), nodes: map[cluster.NodeID]*record{}, barred: map[cluster.NodeID]int{}, logs: map[raft.ServerID]string{}, news: make(chan struct{})}
}

// margin covers clocks that run at different rates, and timers that fire late.
func margin(lease time.Duration) time.Duration { return lease/10 + 50*time.Millisecond }

// hear notes a heartbeat.
func (l *ledger) hear(hb heartbeat, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.nodes[hb.Node.ID]
	if r == nil {
		r = &record{lease: l.foreign}
		l.nodes[hb.Node.ID] = r
	}
	r.heard, r.beat = now, hb
	r.seen = max(r.seen, hb.View)
	l.logs[raft.ServerID(hb.LogID)] = hb.Boot
	close(l.news)
	l.news = make(chan struct{})
}

// occupied returns the address of another process that may still serve under the id of n, "" if there is
// none. n itself announces another address; mapped is the one of the cluster map. A copied or restored disk
// carries its node's identity: two processes with one id would both acknowledge what the other never sees.
// At the same address there is no doubt: two processes cannot listen there.
func (l *ledger) occupied(n cluster.Node, mapped string, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, end := mapped, l.foreign
	if r := l.nodes[n.ID]; r != nil {
		at, end = r.beat.Node.IntraAddr, r.lease
	}
	if at == n.IntraAddr || !now.Before(end) {
		return ""
	}
	return at
}

// grant renews the lease of a node that has been heard. It refuses one that lags: it does not have a view
// that was committed more than grace ago, so that a change waits for a slow node no longer than its lease.
func (l *ledger) grant(hb heartbeat, now time.Time, lease, grace time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.nodes[hb.Node.ID]
	if r == nil || l.barred[hb.Node.ID] > 0 || hb.View < l.required(now.Add(-grace)) {
		return false
	}
	if end := now.Add(lease + margin(lease)); end.After(r.lease) {
		r.lease = end
	}
	return true
}

// bar stops the renewal of leases until unbar.
func (l *ledger) bar(ids []cluster.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.barred[id]++
	}
}

func (l *ledger) unbar(ids []cluster.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.barred[id]--; l.barred[id] == 0 {
			delete(l.barred, id)
		}
	}
}

// leaseEnd is when the node's lease is over for certain, unless it is renewed.
func (l *ledger) leaseEnd(id cluster.NodeID) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.nodes[id]; r != nil {
		return r.lease
	}
	return l.foreign
}

// era is the membership that the node's disks belong to, as it said last.
func (l *ledger) era(id cluster.NodeID) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.nodes[id]; r != nil {
		return r.beat.Era
	}
	return 0
}

// required returns the newest index committed before then.
func (l *ledger) required(then time.Time) uint64 {
	var index uint64
	for _, c := range l.commits {
		if c.at.Before(then) {
			index = max(index, c.index)
		}
	}
	return index
}

// committed notes that the view at index exists since now.
func (l *ledger) committed(index uint64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.commits); n > 0 && l.commits[n-1].index >= index {
		return
	}
	l.commits = append(l.commits, commit{index, now})
	if len(l.commits) > 1024 { // the older half says nothing that the newer does not
		l.commits = append([]commit(nil), l.commits[len(l.commits)/2:]...)
	}
}

// behind returns the nodes that live, may still serve, and do not have the view at index, and the earliest
// time when that changes without word from them. With a patience, those that have been silent for longer are
// left out: they are likely dead, only not yet for certain.
func (l *ledger) behind(index uint64, m *cluster.Map, except cluster.NodeID, patience time.Duration, now time.Time) (who []cluster.NodeID, until time.Time, news <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range m.Nodes {
		if n.ID == except || !n.Alive {
			continue
		}
		end, seen := l.foreign, uint64(0)
		if r := l.nodes[n.ID]; r != nil {
			end, seen = r.lease, r.seen
		}
		if patience > 0 {
			wait := patience
			if r := l.nodes[n.ID]; r == nil { // all who live speak up at once when a reign begins
				wait = patience / 2
			}
			if likely := l.lastWord(n.ID).Add(wait); likely.Before(end) {
				end = likely
			}
		}
		if seen >= index || !now.Before(end) {
			continue
		}
		if who = append(who, n.ID); until.IsZero() || end.Before(until) {
			until = end
		}
	}
	return who, until, l.news
}

// judge returns who has been silent for longer than a lease, and who was lost and is heard again.
func (l *ledger) judge(m *cluster.Map, lease time.Duration, now time.Time) (lost, back []cluster.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range m.All() {
		silent := now.Sub(l.lastWord(n.ID))
		switch r := l.nodes[n.ID]; {
		case n.Alive && silent > lease+margin(lease):
			lost = append(lost, n.ID)
		case !n.Alive && r != nil && now.Sub(r.heard) < lease:
			back = append(back, n.ID)
		}
	}
	return lost, back
}

// lastWord is when the node was heard; a reign begins with the benefit of the doubt.
func (l *ledger) lastWord(id cluster.NodeID) time.Time {
	if r := l.nodes[id]; r != nil && r.heard.After(l.since) {
		return r.heard
	}
	return l.since
}

// silent returns for how long the node has not been heard.
func (l *ledger) silent(id cluster.NodeID, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.lastWord(id))
}

// woke gives every node a fresh start after this process itself stood still and heard nobody. Leases that
// it granted are not touched: they ran on.
func (l *ledger) woke(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = now
}

// announced returns nodes that announce something else of themselves than the map says.
func (l *ledger) announced(v *cluster.View) []cluster.Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	var news []cluster.Node
	for _, r := range l.nodes {
		if v.News(&r.beat.Node) {
			news = append(news, r.beat.Node)
		}
	}
	sort.Slice(news, func(i, j int) bool { return news[i].ID < news[j].ID })
	return news
}

// hasLog notes that a process has a copy of the log, which its next heartbeats will or will not say yet.
func (l *ledger) hasLog(id raft.ServerID, boot string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs[id] = boot
}

// lostLog reports whether the server's node was started again without this copy of the log.
func (l *ledger) lostLog(id raft.ServerID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.nodes[nodeOf(id)]
	return r != nil && r.beat.LogID != string(id) && r.beat.Boot != l.logs[id]
}

// health lists every node of the map.
func (l *ledger) health(m *cluster.Map, now time.Time) []NodeHealth {
	l.mu.Lock()
	defer l.mu.Unlock()
	var hs []NodeHealth
	for _, n := range m.All() {
		h := NodeHealth{ID: n.ID, Heard: -1}
		if r := l.nodes[n.ID]; r != nil {
			h.Heard = cluster.Duration(now.Sub(r.heard))
			h.Lease = cluster.Duration(max(0, r.lease.Sub(now)))
			h.Uptime, h.Version, h.ViewIndex, h.Report = r.beat.Uptime, r.beat.Version, r.beat.View, r.beat.Report
		}
		hs = append(hs, h)
	}
	return hs
}
