package cluster

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"aistore/errs"
)

// DefaultWeight is the weight of a node that declares none.
const DefaultWeight = 100

// Found makes the cluster: the first entry of every log, written by its founder.
type Found struct {
	UUID     string            `json:"uuid"`
	Secret   []byte            `json:"secret"`             // 32 random bytes
	Node     Node              `json:"node"`               // the founder, with its RaftID
	Settings map[string]string `json:"settings,omitempty"` // what differs from DefaultConfig
	Root     AccessKey         `json:"root,omitzero"`      // pair of the first administrator; none: no users
}

// Join adds a node, or announces the addresses of one that is known. A new target owns nothing (Standby)
// while objects may exist elsewhere: a rebalance takes it in.
type Join struct {
	UUID string `json:"uuid,omitempty"` // of the cluster the node belongs to; "" if to none yet
	Node Node   `json:"node"`           // ID, Role, PublicURL, IntraAddr, Weight, Zone; the rest is decided here
}

// AcceptStart notes which process of a target is let in, if that knows of the one before: a compare and set. A target whose disks do not know of it has an
// earlier copy of them, and says nothing before it has put them aside.
type AcceptStart struct {
	ID   NodeID `json:"id"`
	Last string `json:"last,omitempty"` // the start that was accepted last, as the process was told; "" = none
	Boot string `json:"boot"`           // its own
}

// SetAlive notes which nodes the primary has lost, and which it hears again.
type SetAlive struct {
	Lost []NodeID `json:"lost,omitempty"`
	Back []NodeID `json:"back,omitempty"`
}

// SetVoters shows in the map who votes: node to RaftID.
type SetVoters struct {
	Voters map[NodeID]string `json:"voters"`
}

// SetPrimary names the leader of the log. Proposed by a user it asks for a transfer of leadership; the new
// leader is who writes it to the log.
type SetPrimary struct {
	ID NodeID `json:"id"`
}

// SetNode changes a target's weight or a node's zone; 0 and nil leave them as they are.
type SetNode struct {
	ID     NodeID  `json:"id"`
	Weight uint32  `json:"weight,omitempty"`
	Zone   *string `json:"zone,omitempty"`
}

// Op implements Command.
func (Found) Op() string { return "found" }

// Op implements Command.
func (Join) Op() string { return "join" }

// Op implements Command.
func (AcceptStart) Op() string { return "accept-start" }

// Op implements Command.
func (SetAlive) Op() string { return "set-alive" }

// Op implements Command.
func (SetVoters) Op() string { return "set-voters" }

// Op implements Command.
func (SetPrimary) Op() string { return "set-primary" }

// Op implements Command.
func (SetNode) Op() string { return "set-node" }

func (f Found) apply(c *change) error {
	const op = "cluster.Found"
	if c.Founded() {
		return errs.F(op, "cluster", errs.Exists, "%s is founded already", c.Map.UUID)
	}
	if f.UUID == "" || len(f.Secret) < 16 {
		return errs.E(op, "cluster", errs.Invalid, "needs a uuid and a secret of at least 16 bytes")
	}
	n, err := newNode(f.Node, c)
	if err != nil {
		return err
	}
	n.RaftID, n.Voter = f.Node.RaftID, f.Node.RaftID != ""
	if c.Config, err = c.Config.With(f.Settings); err != nil {
		return err
	}
	if f.Root.Access != "" || f.Root.Secret != "" {
		if err := RootUser(f.Root).apply(c); err != nil {
			return err
		}
	}
	m := c.editMap()
	m.UUID, m.Created, m.Primary, m.Nodes[n.ID] = f.UUID, c.now, n.ID, n
	c.Secret = f.Secret
	c.result.Node = n
	return nil
}

func (j Join) apply(c *change) error {
	const op = "cluster.Join"
	if j.UUID != "" && j.UUID != c.Map.UUID {
		return errs.F(op, string(j.Node.ID), errs.Forbidden, "belongs to cluster %s, this is %s", j.UUID, c.Map.UUID)
	}
	if slices.Contains(c.Retired, j.Node.ID) {
		return errs.E(op, string(j.Node.ID), errs.Forbidden, "was decommissioned: start it with an empty directory and a new id")
	}
	n, err := newNode(j.Node, c)
	if err != nil {
		return err
	}
	for _, o := range c.Map.Nodes {
		if o.ID != n.ID && o.IntraAddr == n.IntraAddr && o.Alive {
			return errs.F(op, string(n.ID), errs.Conflict, "announces the intra-cluster address %s of node %s", n.IntraAddr, o.ID)
		}
	}
	if old := c.Map.Nodes[n.ID]; old != nil {
		return j.again(c, old, n)
	}
	if n.Role.Target() && (n.Manual || len(c.Buckets.Buckets) > 0 && holding(c.Map)) {
		n.State = Standby
	}
	c.editMap().Nodes[n.ID] = n
	c.result.Node = n
	if _, removed := c.Forgotten[n.ID]; j.UUID != "" && !removed && n.State == Standby && len(c.Buckets.Buckets) > 0 && len(c.Map.Targets()) > 0 {
		// It was in this cluster, and nobody here knows of it: it joined after what is known was written (Resume). The newest copy of an object may be there.
		c.editSources()[n.ID], c.again = Source{Stage: Moving}, true
	}
	return nil
}

// again updates what a known node announces about itself. Its weight counts only while no names can move.
func (j Join) again(c *change, old, n *Node) error {
	const op = "cluster.Join"
	if old.Role != n.Role {
		return errs.F(op, string(n.ID), errs.Conflict, "joined as %q and cannot become %q: use a new id and directory", old.Role, n.Role)
	}
	if len(c.Buckets.Buckets) > 0 {
		n.Weight = old.Weight
	}
	next := *old
	next.PublicURL, next.IntraAddr, next.Zone, next.Weight, next.Alive = n.PublicURL, n.IntraAddr, n.Zone, n.Weight, true
	if waits(old) {
		next.Manual = n.Manual
	}
	if next != *old {
		*c.editNode(n.ID) = next
	}
	c.result.Node = c.Map.Nodes[n.ID]
	return nil
}

// waits reports whether n has joined and was not taken into service yet.
func waits(n *Node) bool { return n.State == Standby && n.Phase == "" }

// News reports whether what a node of the map announces of itself is to be noted.
func (v *View) News(says *Node) bool {
	n := v.Map.Nodes[says.ID]
	if n == nil {
		return false
	}
	weight := says.Weight != 0 && says.Weight != n.Weight && len(v.Buckets.Buckets) == 0
	return says.IntraAddr != n.IntraAddr || says.PublicURL != n.PublicURL || says.Zone != n.Zone || weight || waits(n) && says.Manual != n.Manual
}

// newNode checks what a node says of itself and fills in the rest.
func newNode(n Node, c *change) (*Node, error) {
	const op = "cluster.Join"
	if err := CheckNodeID(n.ID); err != nil {
		return nil, err
	}
	if !n.Role.Gateway() && !n.Role.Target() {
		return nil, errs.F(op, "role", errs.Invalid, "%q is unknown: use proxy, target or all", n.Role)
	}
	if u, err := url.Parse("//" + n.IntraAddr); err != nil || u.Hostname() == "" || u.Port() == "" || u.Host != n.IntraAddr {
		return nil, errs.F(op, "intra-cluster address", errs.Invalid, "%q is not HOST:PORT", n.IntraAddr)
	}
	if u, err := url.Parse(n.PublicURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" {
		return nil, errs.F(op, "public_url", errs.Invalid, "%q is not http://HOST:PORT", n.PublicURL)
	}
	if n.Weight == 0 {
		n.Weight = DefaultWeight
	}
	return &Node{
		ID: n.ID, Role: n.Role, State: Online, Alive: true, PublicURL: n.PublicURL, IntraAddr: n.IntraAddr,
		Weight: n.Weight, Zone: n.Zone, Joined: c.now, Digest: NodeDigest(string(n.ID)), Manual: n.Manual, Era: c.Forgotten[n.ID],
	}, nil
}

// CheckNodeID accepts 1 to 64 letters, digits, '-', '_' and '.'.
func CheckNodeID(id NodeID) error {
	const op = "cluster.CheckNodeID"
	if id == "" || len(id) > 64 {
		return errs.F(op, "node id", errs.Invalid, "%q has %d characters: use 1 to 64", string(id), len(id))
	}
	for _, r := range string(id) {
		if !strings.ContainsRune("-_.", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return errs.F(op, "node id", errs.Invalid, "%q: use letters, digits, '-', '_' and '.'", string(id))
		}
	}
	return nil
}

func (s AcceptStart) apply(c *change) error {
	const op = "cluster.AcceptStart"
	n := c.Map.Nodes[s.ID]
	switch {
	case n == nil:
		return unknownNode(op, s.ID)
	case s.Boot == "" || !n.Role.Target():
		return errs.E(op, string(s.ID), errs.Invalid, "is no target, or names no start")
	case n.Boot != s.Boot && n.Boot != s.Last:
		return errs.F(op, string(s.ID), errs.Conflict, "start %q was accepted last, and not %q, which this one knows of", n.Boot, s.Last)
	case n.Boot != s.Boot:
		c.editNode(s.ID).Boot = s.Boot
	}
	c.result.Node = c.Map.Nodes[s.ID]
	return nil
}

// Starts reports whether starts of targets are noted: the replicated log has them.
func (m *Map) Starts() bool {
	for _, n := range m.Nodes {
		if n.Boot != "" {
			return true
		}
	}
	return false
}

func (a SetAlive) apply(c *change) error {
	set := func(ids []NodeID, alive bool) {
		for _, id := range ids {
			if n := c.Map.Nodes[id]; n != nil && n.Alive != alive {
				c.editNode(id).Alive = alive
			}
		}
	}
	set(a.Lost, false)
	set(a.Back, true)
	return nil
}

func (v SetVoters) apply(c *change) error {
	for _, n := range c.Map.All() {
		raftID := v.Voters[n.ID]
		if n.RaftID != raftID || n.Voter != (raftID != "") {
			e := c.editNode(n.ID)
			e.RaftID, e.Voter = raftID, raftID != ""
		}
	}
	return nil
}

func (p SetPrimary) apply(c *change) error {
	if c.Map.Nodes[p.ID] == nil {
		return unknownNode("cluster.SetPrimary", p.ID)
	}
	if c.Map.Primary != p.ID {
		c.editMap().Primary = p.ID
	}
	c.result.Node = c.Map.Nodes[p.ID]
	return nil
}

func (s SetNode) apply(c *change) error {
	const op = "cluster.SetNode"
	old := c.Map.Nodes[s.ID]
	if old == nil {
		return unknownNode(op, s.ID)
	}
	next := *old
	if s.Weight != 0 {
		next.Weight = s.Weight
	}
	if s.Zone != nil {
		next.Zone = *s.Zone
	}
	if next != *old {
		*c.editNode(s.ID) = next
	}
	c.result.Node = c.Map.Nodes[s.ID]
	return nil
}

func unknownNode(op string, id NodeID) error {
	return errs.E(op, string(id), errs.NotFound, "no such node in the cluster map")
}

// Voters returns node to RaftID of everyone that votes.
func (m *Map) Voters() map[NodeID]string {
	vs := map[NodeID]string{}
	for id, n := range maps.All(m.Nodes) {
		if n.Voter {
			vs[id] = n.RaftID
		}
	}
	return vs
}
