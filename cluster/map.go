// Package cluster holds the nouns of the control plane and the pure functions over them: the versioned
// cluster map, the bucket map, the cluster configuration, users and their keys, the immutable View of all, the replicated
// state machine that changes them, and placement.
//
// No I/O, goroutine or clock: package cluster/control runs the state machine on a replicated log and
// delivers Views. A request loads one View and nothing below it reads a newer one.
//
// Start at View, (*View).Owner and (*Machine).Apply.
package cluster

import (
	"sort"
	"time"
)

// NodeID is given once, kept on the node's disk, and never reused.
type NodeID string

// Role says what a node does. A node in role "all" has both.
type Role string

// The roles of a process (flag --role). In the map a node of RoleAll counts as gateway and as target.
const (
	RoleProxy  Role = "proxy" // gateway
	RoleTarget Role = "target"
	RoleAll    Role = "all"
)

// Gateway reports whether the role answers clients by routing.
func (r Role) Gateway() bool { return r == RoleProxy || r == RoleAll }

// Target reports whether the role stores objects.
func (r Role) Target() bool { return r == RoleTarget || r == RoleAll }

// State of a node in its life cycle. Online targets own names, and those whose Phase is Joining.
type State string

// The states. Standby has joined but owns nothing until a rebalance brings it its share.
const (
	Online         State = "online"
	Standby        State = "standby"
	Maintenance    State = "maintenance"
	Shutdown       State = "shutdown"
	Decommissioned State = "decommissioned"
)

// Node is one member of the cluster.
type Node struct {
	ID        NodeID    `json:"id"`
	Role      Role      `json:"role"`
	State     State     `json:"state"`
	Alive     bool      `json:"alive"`             // false: missed its heartbeats; it stays owner of its names
	PublicURL string    `json:"public_url"`        // "http://127.0.0.1:8080", no slash at the end
	IntraAddr string    `json:"intra_addr"`        // "127.0.0.1:18080": intra-cluster listener (control, lists, raft)
	Weight    uint32    `json:"weight"`            // share of names relative to other targets; 100 = normal
	Zone      string    `json:"zone,omitempty"`    // failure domain; Ranked spreads over zones, the owner does not depend on it
	Voter     bool      `json:"voter"`             // votes in the replicated log
	RaftID    string    `json:"raft_id,omitempty"` // of a voter: names its copy of the log, so that a lost log is never taken for the same voter
	Joined    time.Time `json:"joined"`
	Digest    uint64    `json:"digest"` // placement digest of the id, computed when the node is added

	Phase    Phase  `json:"phase,omitempty"`
	Manual   bool   `json:"manual,omitempty"`    // it asked to stay standby until it is joined by hand
	KeepData bool   `json:"keep_data,omitempty"` // decommissioned: its objects stay on its disks
	Era      uint64 `json:"era,omitempty"`       // grows when the node was forgotten and joins again: what its disks have of another era is not the cluster's
	Boot     string `json:"boot,omitempty"`      // of a target: the start of its process that was accepted last; "" = none was
}

// InService reports whether n owns names.
func (n *Node) InService() bool {
	return n.Role.Target() && (n.State == Online || n.Phase == Joining)
}

// Map is the cluster map (AIStore: Smap). Immutable once published in a View.
type Map struct {
	Version uint64           `json:"version"` // grows with every change
	Epoch   uint64           `json:"epoch"`   // grows only when names move: a target enters or leaves service, or changes weight or zone
	UUID    string           `json:"uuid"`    // of the cluster, for ever
	Primary NodeID           `json:"primary"` // the leader that committed this version
	Created time.Time        `json:"created"`
	Nodes   map[NodeID]*Node `json:"nodes"`

	Former  []Placement       `json:"former,omitempty"`  // placements by which some copy may still lie
	Sources map[NodeID]Source `json:"sources,omitempty"` // who may hold what it does not own, and how far it is in this epoch
	Stage   uint64            `json:"stage,omitempty"`   // grows with Epoch, Former and Sources
	Settled uint64            `json:"settled,omitempty"` // the last epoch of which nobody but owners has anything: marks up to it say nothing
	Paused  bool              `json:"paused,omitempty"`  // the rebalance was stopped by hand
	Tallies map[NodeID]Tally  `json:"tallies,omitempty"` // what those who have moved everything in this epoch said of it: they may be gone
	Began   time.Time         `json:"began,omitzero"`    // the newest rebalance
	Ended   time.Time         `json:"ended,omitzero"`    // the newest rebalance that has ended
}

// Targets returns the targets in service, ordered by id.
func (m *Map) Targets() []*Node {
	return m.sorted(func(n *Node) bool { return n.InService() })
}

// Gateways returns the gateways, ordered by id.
func (m *Map) Gateways() []*Node {
	return m.sorted(func(n *Node) bool { return n.Role.Gateway() && n.State == Online })
}

// All returns every node, ordered by id.
func (m *Map) All() []*Node { return m.sorted(func(*Node) bool { return true }) }

func (m *Map) sorted(keep func(*Node) bool) []*Node {
	var ns []*Node
	for _, n := range m.Nodes {
		if keep(n) {
			ns = append(ns, n)
		}
	}
	sort.Slice(ns, func(i, j int) bool { return ns[i].ID < ns[j].ID })
	return ns
}
