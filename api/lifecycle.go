package api

import (
	"strings"

	"aistore/cluster"
	"aistore/errs"
)

// Actions on nodes and on the whole cluster; the value is a NodesMsg.
const (
	ActStartMaintenance    = "start-maintenance"
	ActStopMaintenance     = "stop-maintenance"
	ActShutdownNode        = "shutdown-node"
	ActDecommissionNode    = "decommission-node"
	ActShutdownCluster     = "shutdown-cluster"     // also "shutdown"
	ActDecommissionCluster = "decommission-cluster" // also "decommission"
)

// Paths of membership.
const (
	PathJoin   = "/v1/cluster/join-by-admin" // POST NodesMsg
	PathRemove = "/v1/cluster/daemon"        // DELETE /v1/cluster/daemon/NODE
)

// KindRebalance is the kind of job under which rebalances are started, stopped, shown and waited for.
const KindRebalance = "rebalance"

// HeaderPrimary names the new primary in the reply to an action that made it hand over; ours.
const HeaderPrimary = "ais-primary"

// NodesMsg names nodes and says what becomes of them. The reply is the id of the rebalance, "" if nothing moves; Ais-Xaction-Id has
// it too.
type NodesMsg struct {
	SID           string   `json:"sid,omitempty"`
	DaemonID      string   `json:"daemon_id,omitempty"` // the same as SID
	Nodes         []string `json:"nodes,omitempty"`     // ours: several nodes, one change of the map
	SkipRebalance bool     `json:"skip_rebalance,omitempty"`
	RmUserData    bool     `json:"rm_user_data,omitempty"`
	KeepConfig    bool     `json:"keep_initial_config,omitempty"` // accepted: the configuration file is nobody's but the operator's
	NoShutdown    bool     `json:"no_shutdown,omitempty"`
}

// IDs lists every node that is named, each once. Written "t[ID]" or "p[ID]", as AIStore shows them, they are taken too.
func (m *NodesMsg) IDs() []cluster.NodeID {
	var ids []cluster.NodeID
	seen := map[cluster.NodeID]bool{"": true}
	for _, s := range append([]string{m.SID, m.DaemonID}, m.Nodes...) {
		if id := ParseNodeName(s); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// ParseNodeName takes "ID", "t[ID]" and "p[ID]".
func ParseNodeName(s string) cluster.NodeID {
	if n := len(s); n > 3 && (s[:2] == "t[" || s[:2] == "p[") && s[n-1] == ']' {
		return cluster.NodeID(s[2 : n-1])
	}
	return cluster.NodeID(s)
}

// Fits reports whether a name that says "t[ID]" or "p[ID]" is right about the node's role.
func Fits(name string, n *cluster.Node) bool {
	return strings.HasPrefix(name, "t[") && n.Role.Target() || strings.HasPrefix(name, "p[") && n.Role.Gateway() || name == string(n.ID)
}

// Check refuses names that are wrong about the role of a node in the map; nodes that are not there are not looked at.
func (m *NodesMsg) Check(nodes map[cluster.NodeID]*cluster.Node) error {
	for _, s := range append([]string{m.SID, m.DaemonID}, m.Nodes...) {
		if n := nodes[ParseNodeName(s)]; n != nil && !Fits(s, n) {
			return errs.F("api.NodesMsg", s, errs.NotFound, "no such node: it is %s", NodeName(n))
		}
	}
	return nil
}

// NodeName is a node's id as AIStore writes it: "t[ID]" or "p[ID]".
func NodeName(n *cluster.Node) string {
	if n.Role.Target() {
		return "t[" + string(n.ID) + "]"
	}
	return "p[" + string(n.ID) + "]"
}

// Joined answers PathJoin.
type Joined struct {
	DaemonID    string `json:"daemon_id"`
	RebalanceID string `json:"rebalance_id"`
}

// Ended answers the shutdown and the decommissioning of the cluster: who ends, and who was not told and why.
type Ended struct {
	Nodes   []string          `json:"nodes"`
	Missing map[string]string `json:"missing,omitempty"`
}
