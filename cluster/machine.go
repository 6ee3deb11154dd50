package cluster

import (
	"maps"
	"time"

	"aistore/errs"
)

// Machine is the replicated state machine: everything the cluster agrees on. Every voter applies the same
// entries in the same order and so holds the same Machine. Apply reads no clock and no random source: the
// time and every random number travel in the entry.
//
// What Map, Buckets, Config and Users point to is never changed in place: Apply replaces it, so that Views share it.
// Not safe for concurrent use.
type Machine struct {
	Index   uint64     `json:"index"` // of the last entry that changed anything
	Map     *Map       `json:"map"`
	Buckets *BucketMap `json:"buckets"`
	Config  *Config    `json:"config"`
	Users   *UserMap   `json:"users"`
	Secret  []byte     `json:"secret"`
	Retired []NodeID   `json:"retired,omitempty"` // ids of decommissioned nodes: refused for ever
	Recent  []Done     `json:"recent,omitempty"`  // the last proposals that changed something, oldest first

	Forgotten map[NodeID]uint64 `json:"forgotten,omitempty"` // eras of the targets that were removed from the map as they were

	// Leases may still run that were granted under a longer timeout.lease than the present one.
	FormerLease Duration  `json:"former_lease,omitempty"`
	LeaseSince  time.Time `json:"lease_since,omitzero"` // when the present one came into force
}

// Entry is one entry of the replicated log.
type Entry struct {
	ID      string    // of the proposal, unique; "" = never repeated
	Time    time.Time // the primary's clock, for display
	By      NodeID    // the primary that appended it
	Command Command
}

// Command is a change of the Machine. The concrete types are the list of all changes there are.
type Command interface {
	Op() string // its name in the log and in messages, such as "create-bucket"
	apply(c *change) error
}

// Result is what a proposal brought about.
type Result struct {
	Index  uint64  `json:"index"`            // of the View that shows it
	Bucket *Bucket `json:"bucket,omitempty"` // as it is now, or was when it was destroyed
	Node   *Node   `json:"node,omitempty"`

	Rebalance string `json:"rebalance,omitempty"` // the generation that the change began, "" if nothing moves
}

// Done remembers a proposal, so that one whose answer was lost can be sent again without harm.
type Done struct {
	ID     string `json:"id"`
	Result Result `json:"result"`
}

// recentMax bounds Machine.Recent: a repeat comes within seconds, far fewer changes than this.
const recentMax = 128

// NewMachine returns the state before the cluster is founded.
func NewMachine() *Machine {
	return &Machine{
		Map:     &Map{Nodes: map[NodeID]*Node{}},
		Buckets: &BucketMap{NextID: 1, Buckets: map[string]*Bucket{}},
		Config:  DefaultConfig(),
		Users:   newUserMap(),
	}
}

// Founded reports whether there is a cluster.
func (m *Machine) Founded() bool { return m.Map.UUID != "" }

// View freezes the present.
func (m *Machine) View() *View {
	v := &View{Index: m.Index, Map: m.Map, Buckets: m.Buckets, Config: m.Config, Users: m.Users, Secret: m.Secret}
	return v.Freeze()
}

// LongestLease returns how long a lease granted before now may run: the present timeout.lease, or the
// former one if it was longer and was in force a short while ago.
func (m *Machine) LongestLease(now time.Time) time.Duration {
	const clockError = time.Hour // between the clocks of two primaries
	lease := m.Config.Timeout.Lease.D()
	if former := m.FormerLease.D(); former > lease && now.Sub(m.LeaseSince) < former+clockError {
		return former
	}
	return lease
}

// Apply carries out the entry at index of the log. An error means that nothing changed.
// A proposal that was applied before returns its former result.
func (m *Machine) Apply(index uint64, e Entry) (Result, error) {
	const op = "cluster.Apply"
	if index <= m.Index {
		return Result{}, errs.F(op, "entry", errs.Invalid, "has index %d, the state is at %d", index, m.Index)
	}
	for i := range m.Recent {
		if e.ID != "" && m.Recent[i].ID == e.ID {
			return m.Recent[i].Result, nil
		}
	}
	if _, founding := e.Command.(Found); !founding && !m.Founded() {
		return Result{}, errs.E(op, e.Command.Op(), errs.Unavailable, "the cluster is not founded yet")
	}
	c := &change{Machine: *m, now: e.Time, by: e.By}
	if err := e.Command.apply(c); err != nil {
		return Result{}, err
	}
	if !c.changed && !c.again {
		c.result.Index = m.Index
		return c.result, nil
	}
	c.settleEpoch(m)
	c.Users.freeze()
	*m = c.Machine
	m.Index, c.result.Index = index, index
	if e.ID != "" {
		drop := max(0, len(m.Recent)+1-recentMax)
		m.Recent = append(append([]Done(nil), m.Recent[drop:]...), Done{e.ID, c.result})
	}
	return c.result, nil
}

// change is an Apply in progress: a shallow copy of the Machine whose parts are copied when first written to.
type change struct {
	Machine
	now        time.Time
	by         NodeID
	result     Result
	changed    bool
	ownMap     bool
	ownBuckets bool
	ownUsers   bool
	ownSources bool
	again      bool // a new epoch although no name moves
	paused     bool // what a new epoch has to move waits
}

// editMap returns the cluster map to change; its version has grown.
func (c *change) editMap() *Map {
	if !c.ownMap {
		m := *c.Map
		m.Nodes = maps.Clone(m.Nodes)
		m.Version++
		c.Map, c.ownMap, c.changed = &m, true, true
	}
	return c.Map
}

// editNode returns a copy of a node of the map, already in the map, to change.
func (c *change) editNode(id NodeID) *Node {
	m := c.editMap()
	n := *m.Nodes[id]
	m.Nodes[id] = &n
	return &n
}

// editBuckets returns the bucket map to change; its version has grown.
func (c *change) editBuckets() *BucketMap {
	if !c.ownBuckets {
		m := *c.Buckets
		m.Buckets = maps.Clone(m.Buckets)
		m.Version++
		c.Buckets, c.ownBuckets, c.changed = &m, true, true
	}
	return c.Buckets
}

// editUsers returns the user map to change; its version has grown. Lookups in it work again after Apply.
func (c *change) editUsers() *UserMap {
	if !c.ownUsers {
		c.Users = &UserMap{Version: c.Users.Version + 1, Users: maps.Clone(c.Users.Users)}
		c.ownUsers, c.changed = true, true
	}
	return c.Users
}

// settleEpoch counts the epoch if names move, and draws the conclusions of what nodes have reached.
func (c *change) settleEpoch(before *Machine) {
	owners, ranks := moved(before.Map, c.Map)
	if owners || ranks || c.again {
		c.newEpoch(before, owners)
		if c.Map.Rebalancing() {
			c.result.Rebalance = c.Map.Generation()
		}
	}
	c.progress()
	c.settled(before)
}

// moved compares what placement sees of two maps: whether owners can differ, or ranks beyond the owner.
func moved(a, b *Map) (owners, ranks bool) {
	as, bs := a.Targets(), b.Targets()
	if len(as) != len(bs) {
		return true, true
	}
	for i, n := range as {
		o := bs[i]
		owners = owners || n.ID != o.ID || n.Weight != o.Weight
		ranks = ranks || n.Zone != o.Zone
	}
	return owners, ranks
}

// holding reports whether some target may hold objects: it is or was in service.
func holding(m *Map) bool {
	for _, n := range m.Nodes {
		if n.Role.Target() && n.State != Standby {
			return true
		}
	}
	return false
}

// Lengthens reports whether a change is asked for by users and makes the state that every voter keeps longer.
func Lengthens(cmd Command) bool {
	switch cmd.(type) {
	case CreateBucket, SetBucketProps, AddUser, SetUser, AddKey:
		return true
	}
	return false
}

// Fenced reports whether a node that does not know of the change yet must not serve: it would act on what
// is gone. What such a node merely lacks it asks the primary for before it answers.
func Fenced(cmd Command) bool {
	switch cmd.(type) {
	case DestroyBucket, RenameBucket, SetBucketProps, SetBucketOwner, SetNode, MoveNodes, ForgetNode, SetConfig, SetUser, RemoveUser, RemoveKey:
		return true
	}
	return false
}
