package cluster

import (
	"maps"
	"slices"
	"strings"

	"aistore/errs"
)

// Transition is a step in the life of a node, named as in the native API.
type Transition string

// The transitions. What is legal from where: transitions.
const (
	StartMaintenance Transition = "start-maintenance"
	StopMaintenance  Transition = "stop-maintenance"
	ShutdownNode     Transition = "shutdown-node"
	DecommissionNode Transition = "decommission-node"
	JoinNode         Transition = "join-node"
)

// MoveNodes takes nodes a step further in their life. All of them, or none: one change of the map, and one rebalance.
type MoveNodes struct {
	IDs      []NodeID   `json:"ids"`
	Step     Transition `json:"step"`
	KeepData bool       `json:"keep_data,omitempty"` // decommission: forget the node's metadata but leave its objects on its disks
	Paused   bool       `json:"paused,omitempty"`    // the rebalance waits until it is started by hand
	Still    bool       `json:"still,omitempty"`     // if one was stopped by hand: nobody has asked for it; the primary says so when all replicas know it
}

// ReportSource says that a source has reached a stage in an epoch.
type ReportSource struct {
	ID    NodeID `json:"id"`
	Epoch uint64 `json:"epoch"`
	Stage Stage  `json:"stage"`
	Moved *Tally `json:"moved,omitempty"` // with stage moved
}

// ForgetNode removes a node from the map as it is: what only it holds is lost to the cluster. The node may join again, and is
// then empty.
type ForgetNode struct {
	ID        NodeID `json:"id"`
	Supersede bool   `json:"supersede,omitempty"` // what others keep of names that moved is a thing of the past, as with LoseDisk; the primary says so when all replicas know it
	Still     bool   `json:"still,omitempty"`     // as MoveNodes'
}

// LoseDisk says that a target is about to give up what a disk of it had. Like ForgetNode it makes what others keep of names that moved a thing of
// the past: changes and deletes that were only on that disk would be undone by it.
type LoseDisk struct {
	ID NodeID `json:"id"`
}

// SetRebalance starts a rebalance, also when no name has moved (every node looks through all it has), goes on with one that was stopped,
// or stops it.
type SetRebalance struct {
	Run bool `json:"run"`
}

// Op implements Command.
func (MoveNodes) Op() string { return "move-nodes" }

// Op implements Command.
func (ReportSource) Op() string { return "report-source" }

// Op implements Command.
func (ForgetNode) Op() string { return "forget-node" }

// Op implements Command.
func (LoseDisk) Op() string { return "lose-disk" }

// Op implements Command.
func (SetRebalance) Op() string { return "set-rebalance" }

// legal tells from what a node a transition leads where. A node that is already there is left as it is.
func (t Transition) legal(n *Node) (to State, ph Phase, already, ok bool) {
	switch t {
	case StartMaintenance:
		return Maintenance, Migrating, n.State == Maintenance && n.Phase != Joining, n.State == Online || n.State == Maintenance || n.State == Shutdown && n.Phase == Joining
	case ShutdownNode:
		return Shutdown, Migrating, n.State == Shutdown && n.Phase != Joining, n.State == Online || n.State == Maintenance || n.State == Shutdown
	case DecommissionNode:
		return Decommissioned, Migrating, n.State == Decommissioned, true
	case StopMaintenance:
		if to = n.State; to == Decommissioned {
			to = Maintenance
		}
		return to, Joining, n.Phase == Joining || n.State == Online, n.State == Maintenance || n.State == Shutdown || n.State == Online || n.State == Decommissioned && n.Phase == Migrating
	case JoinNode:
		return n.State, Joining, n.Phase == Joining || n.State == Online, n.State == Standby || n.State == Online
	}
	return "", "", false, false
}

func (m MoveNodes) apply(c *change) error {
	const op = "cluster.MoveNodes"
	if len(m.IDs) == 0 {
		return errs.E(op, "nodes", errs.Invalid, "none is named")
	}
	c.paused = m.Paused || m.Still && c.Map.Paused
	entered := hasGateway(c.Map, "")
	for _, id := range m.IDs {
		if err := m.step(c, id); err != nil {
			return err
		}
	}
	if c.changed && len(c.Buckets.Buckets) > 0 && len(c.Map.Targets()) == 0 {
		return errs.F(op, nodeList(m.IDs), errs.Conflict, "no target would be left in service: add one first")
	}
	if entered && !hasGateway(c.Map, "") {
		return errs.F(op, nodeList(m.IDs), errs.Conflict, "no gateway would be left in service: add one first")
	}
	c.result.Node = c.Map.Nodes[m.IDs[0]]
	return nil
}

// hasGateway reports whether a node other than but is in service that takes requests to the whole cluster.
func hasGateway(m *Map, but NodeID) bool {
	for _, n := range m.Nodes {
		if n.ID != but && n.Role.Gateway() && n.State == Online {
			return true
		}
	}
	return false
}

func (m MoveNodes) step(c *change, id NodeID) error {
	const op = "cluster.MoveNodes"
	n := c.Map.Nodes[id]
	if n == nil {
		return unknownNode(op, id)
	}
	to, phase, already, ok := m.Step.legal(n)
	switch {
	case to == "" && !ok:
		return errs.F(op, "step", errs.Invalid, "%q is unknown: use %s", string(m.Step), strings.Join(transitionNames(), ", "))
	case !ok:
		return errs.F(op, string(id), errs.Conflict, "is %s: %s is not possible from there, only %s", n.Describe(), m.Step.Verb(), strings.Join(n.Steps(), ", "))
	case already:
		return m.data(c, n)
	case c.Map.Primary == id && phase == Migrating:
		return errs.E(op, string(id), errs.Conflict, "is the primary: make another node the primary first")
	case phase == Joining && !n.Alive:
		return errs.E(op, string(id), errs.Conflict, "does not answer: start it first")
	}
	e := c.editNode(id)
	e.State, e.Phase, e.KeepData = to, phase, m.KeepData && to == Decommissioned
	return nil
}

// data changes what becomes of the objects of a node that is told once more to leave. Once they are elsewhere it is too late for another decision.
func (m MoveNodes) data(c *change, n *Node) error {
	switch {
	case m.Step != DecommissionNode || !n.Role.Target() || n.KeepData == m.KeepData:
	case n.Phase == Migrating:
		c.editNode(n.ID).KeepData = m.KeepData
	default:
		return errs.F("cluster.MoveNodes", string(n.ID), errs.Conflict, "is %s: what becomes of its objects is decided", n.Describe())
	}
	return nil
}

// Describe names a node's state as messages do: "maintenance (migrating)".
func (n *Node) Describe() string {
	switch {
	case n.Phase == "":
		return string(n.State)
	case n.Phase == Wiping && n.KeepData: // its objects stay on its disks
		return string(n.State) + " (ending)"
	}
	return string(n.State) + " (" + string(n.Phase) + ")"
}

// Steps lists the transitions that would change n; forgetting it is possible always.
func (n *Node) Steps() []string {
	var steps []string
	for _, t := range transitionNames() {
		if _, _, already, ok := Transition(t).legal(n); ok && !already {
			steps = append(steps, Transition(t).Verb())
		}
	}
	if len(steps) == 0 {
		return []string{"removing it from the map"}
	}
	return steps
}

// Verb is the transition as operators write it: `ais cluster add-remove-nodes VERB`.
func (t Transition) Verb() string { return strings.TrimSuffix(string(t), "-node") }

func transitionNames() []string {
	return []string{string(StartMaintenance), string(StopMaintenance), string(ShutdownNode), string(DecommissionNode), string(JoinNode)}
}

func nodeList(ids []NodeID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return strings.Join(names, ", ")
}

func (r ReportSource) apply(c *change) error {
	const op = "cluster.ReportSource"
	s, ok := c.Map.Sources[r.ID]
	n := c.Map.Nodes[r.ID]
	switch {
	case r.Stage != Moved && r.Stage != Swept && r.Stage != Wiped:
		return errs.F(op, "stage", errs.Invalid, "%q cannot be reported: use moved, swept or wiped", string(r.Stage))
	case r.Stage == Wiped && n != nil && n.Phase == Wiping:
		c.retire(n)
		return nil
	case r.Stage == Wiped && n != nil:
		return errs.F(op, string(r.ID), errs.Conflict, "is not told to wipe")
	case r.Stage == Wiped:
		return nil // said before
	case r.Epoch != c.Map.Epoch:
		return errs.F(op, string(r.ID), errs.StaleMap, "reports on epoch %d, the cluster is at %d", r.Epoch, c.Map.Epoch)
	case !ok || s.Stage == r.Stage || s.Stage == Swept:
		return nil // said before
	case r.Stage == Swept && (s.Stage != Moved || s.Keeps):
		return errs.F(op, string(r.ID), errs.Conflict, "has not moved what it holds, or keeps it: nothing may be swept")
	}
	if r.Stage == Moved && r.Moved != nil {
		m := c.editMap()
		m.Tallies = maps.Clone(m.Tallies)
		if m.Tallies == nil {
			m.Tallies = map[NodeID]Tally{}
		}
		m.Tallies[r.ID] = *r.Moved
	}
	s.Stage = r.Stage
	s.Keeps = r.Stage == Moved && !n.InService() && n.State != Decommissioned
	c.editSources()[r.ID] = s
	return nil
}

func (f ForgetNode) apply(c *change) error {
	const op = "cluster.ForgetNode"
	n := c.Map.Nodes[f.ID]
	if n == nil {
		return unknownNode(op, f.ID)
	}
	if c.Map.Primary == f.ID {
		return errs.E(op, string(f.ID), errs.Conflict, "is the primary: make another node the primary first")
	}
	if n.InService() && len(c.Map.Targets()) == 1 && len(c.Buckets.Buckets) > 0 {
		return errs.E(op, string(f.ID), errs.Conflict, "is the last target in service")
	}
	if n.Role.Gateway() && n.State == Online && !hasGateway(c.Map, f.ID) {
		return errs.E(op, string(f.ID), errs.Conflict, "is the last gateway in service: add one first")
	}
	c.paused = f.Still && c.Map.Paused
	if f.Supersede {
		c.supersede(n)
	}
	if n.State == Decommissioned {
		c.retire(n)
		return nil
	}
	delete(c.editMap().Nodes, f.ID)
	if n.Role.Target() {
		c.Forgotten = maps.Clone(c.Forgotten)
		if c.Forgotten == nil {
			c.Forgotten = map[NodeID]uint64{}
		}
		c.Forgotten[f.ID] = n.Era + 1
	}
	c.dropSource(f.ID)
	c.result.Node = n
	return nil
}

func (l LoseDisk) apply(c *change) error {
	n := c.Map.Nodes[l.ID]
	if n == nil {
		return unknownNode("cluster.LoseDisk", l.ID)
	}
	c.supersede(n)
	c.result.Node = c.Map.Nodes[l.ID]
	return nil
}

// supersede gives every node that keeps copies of what has moved another era, so that it sets them aside before it returns: n, or a disk of it,
// is lost, with the only marks that would tell which of these copies are older than what clients were told. Nothing is lost by that which was
// not: all that they keep had been confirmed elsewhere.
func (c *change) supersede(n *Node) {
	if !n.InService() && c.Map.Sources[n.ID].Stage != Moving {
		return // it had nothing that nobody else has
	}
	for id, s := range c.Map.Sources {
		if s.Keeps && id != n.ID {
			c.editNode(id).Era++
			c.dropSource(id)
		}
	}
}

// dropSource takes a node out of the sources.
func (c *change) dropSource(id NodeID) {
	if _, ok := c.Map.Sources[id]; ok {
		delete(c.editSources(), id)
	}
}

func (s SetRebalance) apply(c *change) error {
	if !s.Run {
		if !c.Map.Rebalancing() {
			return errs.E("cluster.SetRebalance", "rebalance", errs.Conflict, "none is running")
		}
		if !c.Map.Paused {
			c.editMap().Paused = true
		}
		return nil
	}
	if c.Map.Paused {
		c.editMap().Paused = false
		return nil
	}
	if !c.Map.Rebalancing() && len(c.Buckets.Buckets) > 0 {
		c.again = true
	}
	return nil
}

// editSources returns the sources to change; what is read from the map has already grown.
func (c *change) editSources() map[NodeID]Source {
	m := c.editMap()
	if !c.ownSources {
		m.Sources = maps.Clone(m.Sources)
		if m.Sources == nil {
			m.Sources = map[NodeID]Source{}
		}
		m.Stage++
		c.ownSources = true
	}
	return m.Sources
}

// newEpoch begins an epoch: the placement of before becomes a former one, and everyone who may hold what it does not own moves.
func (c *change) newEpoch(before *Machine, owners bool) {
	m := c.editMap()
	m.Epoch++
	m.Tallies = nil
	if len(before.Buckets.Buckets) == 0 { // nothing has a name
		if m.Unsettled() {
			clear(c.editSources())
			c.settle()
		}
		return
	}
	if !owners && !c.again && !before.Map.Rebalancing() {
		return // only ranks: every name stays where it is
	}
	old := placementOf(before.Map)
	if len(old) > 0 {
		m.Former = slices.DeleteFunc(slices.Clone(m.Former), func(p Placement) bool { return slices.Equal(p.Targets, old) })
		m.Former = append(m.Former, Placement{before.Map.Epoch, old})
	}
	sources := c.editSources()
	for id, s := range sources { // who moved under an earlier epoch may not know where names belong now
		if n := m.Nodes[id]; s.busy() || n != nil && n.InService() {
			sources[id] = Source{Stage: Moving}
		}
	}
	for _, t := range old {
		if m.Nodes[t.ID] != nil {
			sources[t.ID] = Source{Stage: Moving}
		}
	}
	if m.Paused = c.paused; m.Rebalancing() {
		m.Began = c.now
	}
}

// progress draws the conclusions from what sources have reached.
func (c *change) progress() {
	for _, n := range c.Map.All() {
		s := c.Map.Sources[n.ID]
		switch {
		case n.Phase == Joining && !n.Role.Target():
			c.online(n)
		case n.Phase != Migrating || s.Stage == Moving:
		case n.State != Decommissioned:
			c.editNode(n.ID).Phase = Drained
		case n.Role.Target():
			c.editNode(n.ID).Phase = Wiping // whatever becomes of its copies, nobody will ask for them
			c.dropSource(n.ID)
		default:
			c.retire(n)
		}
	}
	if c.Map.Rebalancing() {
		return
	}
	if len(c.Map.Former) > 0 {
		c.settle()
		c.editMap().Ended = c.now
	}
	for _, n := range c.Map.All() {
		if n.Phase == Joining {
			c.online(n)
		}
	}
}

func (c *change) online(n *Node) {
	e := c.editNode(n.ID)
	e.State, e.Phase = Online, ""
}

// settle ends the generation: only who keeps its copies stays a source.
func (c *change) settle() {
	sources := c.editSources()
	maps.DeleteFunc(sources, func(_ NodeID, s Source) bool { return !s.Keeps })
	c.Map.Former, c.Map.Paused = nil, false
}

// settled notes that nobody but owners has anything any more.
func (c *change) settled(before *Machine) {
	if len(c.Map.Sources) > 0 {
		return
	}
	if c.ownSources {
		c.Map.Sources = nil
	}
	if before.Map.Unsettled() {
		c.editMap().Settled = c.Map.Epoch
	}
}

// retire takes a decommissioned node out of the map; its id is refused for ever.
func (c *change) retire(n *Node) {
	delete(c.editMap().Nodes, n.ID)
	c.dropSource(n.ID)
	c.Retired = append(slices.Clone(c.Retired), n.ID)
	c.result.Node = n
}
