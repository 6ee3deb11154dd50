package cluster

import "slices"

// Placement is the targets that own names in an epoch: what placement needs to know of them, kept for as long
// as one of them may still hold what it does not own any more.
type Placement struct {
	Epoch   uint64   `json:"epoch"`   // the last one in which it was so
	Targets []Placed `json:"targets"` // ordered by id
}

// Placed is a target in a Placement.
type Placed struct {
	ID     NodeID `json:"id"`
	Weight uint32 `json:"weight"`
}

// Stage is how far a source is in the present epoch.
type Stage string

// The stages of a source.
const (
	Moving Stage = "moving" // may hold names that it does not own, and have a newer state of them than their owner
	Moved  Stage = "moved"  // all it does not own is durable at the owner: nobody needs to ask it
	Swept  Stage = "swept"  // it holds nothing that it does not own
	Wiped  Stage = "wiped"  // reported by a decommissioned node, which then leaves the map: it holds nothing at all
)

// Source is a node that may hold names that it does not own.
type Source struct {
	Stage Stage `json:"stage"`
	Keeps bool  `json:"keeps,omitempty"` // moved, and does not sweep: it finds its copies again when it returns
}

// Tally is what a source moved in an epoch.
type Tally struct {
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
	Present int64  `json:"present,omitempty"` // objects that their owner had already
	Errors  uint64 `json:"errors,omitempty"`  // attempts that failed and were made again
}

// Phase is what is under way for a node, besides its State; "" = nothing.
type Phase string

// The phases.
const (
	Joining   Phase = "joining"   // it owns names already, the rebalance that brings them goes on; its State is the one it leaves
	Migrating Phase = "migrating" // it owns nothing any more, what it has is on its way
	Drained   Phase = "done"      // what it has is elsewhere too: it may be powered off
	Wiping    Phase = "wiping"    // decommissioned: it removes what it has and leaves
)

// Expendable reports whether nobody needs what n holds: all of it is elsewhere too, or it has not owned anything yet.
func (n *Node) Expendable() bool { return n.Phase == Drained || n.Phase == Wiping || waits(n) }

// placementOf returns how m places names.
func placementOf(m *Map) []Placed {
	var ps []Placed
	for _, n := range m.Targets() {
		ps = append(ps, Placed{n.ID, n.Weight})
	}
	return ps
}

// Unsettled reports whether someone but the owner may hold a name: changes of keys must leave marks
// (docs/design/ownership.md).
func (m *Map) Unsettled() bool { return len(m.Sources) > 0 }

// Generation names the rebalance of the epoch.
func (m *Map) Generation() string { return GenerationID(m.Epoch) }

// Rebalancing reports whether sources have something left to do.
func (m *Map) Rebalancing() bool {
	for _, s := range m.Sources {
		if s.busy() {
			return true
		}
	}
	return false
}

// Superseded reports whether the rebalance of an earlier epoch had not ended when the next began, and the newest goes on with what it had
// not moved. The end of a rebalance drops all former placements, so one of before that epoch says that there was none since. One that looked
// through everything without a change of owners leaves no such trace, and nothing is known when none runs.
func (m *Map) Superseded(epoch uint64) bool {
	return epoch < m.Epoch && m.Rebalancing() && slices.ContainsFunc(m.Former, func(p Placement) bool { return p.Epoch < epoch })
}

func (s Source) busy() bool { return s.Stage == Moving || s.Stage == Moved && !s.Keeps }

// Asked returns the nodes whose lists are needed besides those of the targets in service, ordered by id: sources that may know names that
// their owners have not received yet.
func (m *Map) Asked() []*Node {
	return m.sorted(func(n *Node) bool { return m.Sources[n.ID].Stage == Moving && !n.InService() })
}

// formerPlacement is a Placement with what Pick needs.
type formerPlacement struct {
	epoch uint64
	ids   []NodeID
	cands []Candidate
}

func newFormer(ps []Placement) []formerPlacement {
	fs := make([]formerPlacement, len(ps))
	for i, p := range ps {
		fs[i].epoch = p.Epoch
		for _, t := range p.Targets {
			fs[i].ids = append(fs[i].ids, t.ID)
			fs[i].cands = append(fs[i].cands, Candidate{NodeDigest(string(t.ID)), t.Weight})
		}
	}
	return fs
}

// Holders appends to buf the nodes besides self that may have a newer state of key than self, its owner, which took it over last in epoch mark
// (0 = never): who owned it since under a former placement and has not moved what it has. Nodes that were removed from the map are left out.
func (v *View) Holders(buf []*Node, b *Bucket, key string, self NodeID, mark uint64) []*Node {
	if len(v.former) == 0 || mark == v.Map.Epoch {
		return buf
	}
	name := Digest(b.Seed, key)
	for i := range v.former {
		f := &v.former[i]
		if f.epoch < mark {
			continue // self asked by it when it took the key over
		}
		w := Pick(name, f.cands)
		if w < 0 || f.ids[w] == self || v.Map.Sources[f.ids[w]].Stage != Moving {
			continue
		}
		if n := v.Map.Nodes[f.ids[w]]; n != nil && !slices.Contains(buf, n) {
			buf = append(buf, n)
		}
	}
	return buf
}
