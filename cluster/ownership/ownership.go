// Package ownership decides what a node does with a key when the owners of names change: whether it may serve it, whom it must ask
// first, which of two states of a key holds, what a source has left to do. Pure functions over a cluster.View and what the node
// knows; package target, rebalance and the simulator in test/sim all decide by them, so what is simulated is what runs.
//
// The words and rules are in docs/design/ownership.md. Start at Admit and State.Compare.
package ownership

import (
	"cmp"
	"slices"

	"aistore/cluster"
	"aistore/object"
)

// State is what a node has of one key, as far as it decides who has the newer one.
type State struct {
	Mark    uint64         // the epoch in which a node last took the key over as its owner; 0 = no mark
	Version object.Version // of the current record; zero = there is none
	Present bool           // there is something besides the mark: a record, older versions, uploads
}

// Authority is the mark, as long as it says something: marks up to the settled epoch do not.
func (s State) Authority(settled uint64) uint64 {
	if s.Mark <= settled {
		return 0
	}
	return s.Mark
}

// Nothing reports whether s says nothing: no content, and no mark that counts.
func (s State) Nothing(settled uint64) bool { return !s.Present && s.Authority(settled) == 0 }

// Compare returns -1, 0 or 1 as s is older than, as old as, or newer than o. Of two states the newer one holds, whole.
func (s State) Compare(o State, settled uint64) int {
	if c := cmp.Compare(s.Authority(settled), o.Authority(settled)); c != 0 {
		return c
	}
	if c := s.Version.Compare(o.Version); c != 0 {
		return c
	}
	switch { // uploads alone have no version
	case s.Present == o.Present:
		return 0
	case s.Present:
		return 1
	}
	return -1
}

// Verdict is what becomes of a request for a key.
type Verdict uint8

// The verdicts of Admit.
const (
	Serve     Verdict = iota // this node owns the key and nobody else can know it better
	Ask                      // it owns the key but must ask the holders first
	Elsewhere                // another node owns it
	Nobody                   // no target is in service
)

// Admit judges a request for key by v. mark is the epoch in which this node last took the key over, as far as it knows: that of its state, or what
// it remembers of a key that it found nowhere; 0 = none, asking is then never wrong. holders are who must be asked for Ask, appended to buf.
func Admit(buf []*cluster.Node, v *cluster.View, self cluster.NodeID, b *cluster.Bucket, key string, mark uint64) (Verdict, []*cluster.Node) {
	owner := v.Owner(b, key)
	switch {
	case owner == nil:
		return Nobody, nil
	case owner.ID != self:
		return Elsewhere, nil
	}
	if holders := v.Holders(buf, b, key, self, mark); len(holders) > 0 {
		return Ask, holders
	}
	return Serve, nil
}

// Commit reports whether a change that was admitted under the view then may be committed under the newest one, now. It is evaluated under the key's
// lock; mark is as for Admit.
func Commit(then, now *cluster.View, self cluster.NodeID, b *cluster.Bucket, key string, mark uint64) bool {
	if then.Map.Epoch == now.Map.Epoch {
		return true
	}
	verdict, _ := Admit(nil, now, self, b, key, mark)
	return verdict == Serve
}

// Answers reports whether a node whose newest view is v may tell what it has to one that asks in epoch, or must first take over a newer map (behind),
// or knows a newer one itself (the asker is stale).
func Answers(v *cluster.View, epoch uint64) (ok, behind bool) {
	return v.Map.Epoch == epoch, v.Map.Epoch < epoch
}

// Pulls reports whether self may apply, now, a key state that it pulled from another node: from is still one of those that may know it better. It is
// evaluated under the key's lock, after the check that the epoch is still that of the question; mark is as for Admit. What was pulled and arrives when all
// has settled is of the past: a delete since then left no mark.
func Pulls(v *cluster.View, self, from cluster.NodeID, b *cluster.Bucket, key string, mark uint64) bool {
	_, holders := Admit(nil, v, self, b, key, mark)
	return slices.ContainsFunc(holders, func(n *cluster.Node) bool { return n.ID == from })
}

// Accepts reports whether self takes a proposal of a key state that the source from sends in epoch: self must own the key in exactly that epoch, and from
// must not have moved by what self knows. It is evaluated under the key's lock. An epoch does not end when it settles: a proposal that arrives after that
// finds no marks of what has been deleted since.
func Accepts(v *cluster.View, self, from cluster.NodeID, b *cluster.Bucket, key string, epoch uint64) bool {
	if v.Map.Epoch != epoch || v.Map.Sources[from].Stage != cluster.Moving {
		return false
	}
	owner := v.Owner(b, key)
	return owner != nil && owner.ID == self
}

// Mark returns the epoch to leave as mark with a change under v, 0 = none is needed.
func Mark(v *cluster.View) uint64 {
	if !v.Map.Unsettled() {
		return 0
	}
	return v.Map.Epoch
}

// Duty is what a source has to do in an epoch.
type Duty uint8

// The duties, in their order.
const (
	Idle  Duty = iota // nothing
	Move              // send what it does not own to the owners, then report moved
	Sweep             // remove what it does not own, then report swept
	Wipe              // remove everything, then report wiped: the node is decommissioned
)

// DutyOf returns what self has to do by v.
func DutyOf(v *cluster.View, self cluster.NodeID) Duty {
	n := v.Map.Nodes[self]
	if n == nil {
		return Idle
	}
	if n.Phase == cluster.Wiping {
		return Wipe
	}
	s := v.Map.Sources[self]
	switch {
	case v.Map.Paused:
		return Idle
	case s.Stage == cluster.Moving:
		return Move
	case s.Stage == cluster.Moved && !s.Keeps:
		return Sweep
	}
	return Idle
}

// Misplaced reports whether self holds a key that it does not own, and returns the owner; nil when no target is in service.
func Misplaced(v *cluster.View, self cluster.NodeID, b *cluster.Bucket, key string) (owner *cluster.Node, misplaced bool) {
	owner = v.Owner(b, key)
	return owner, owner == nil || owner.ID != self
}

// Removable reports whether a source may remove its state of a key in a sweep that began in epoch. It is evaluated under the key's lock.
func Removable(v *cluster.View, self cluster.NodeID, b *cluster.Bucket, key string, epoch uint64) bool {
	if v.Map.Epoch != epoch || DutyOf(v, self) != Sweep {
		return false
	}
	_, misplaced := Misplaced(v, self, b, key)
	return misplaced
}

// Listed returns the nodes whose lists make up a bucket's, the targets in service and then the sources that may know more.
func Listed(v *cluster.View) []*cluster.Node {
	return append(v.Map.Targets(), v.Map.Asked()...)
}
