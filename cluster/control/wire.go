package control

import (
	"aistore/cluster"
)

// Intra-cluster messages, as JSON.

// heartbeat is what every node tells the primary.
type heartbeat struct {
	Cluster string           `json:"cluster"`
	Node    cluster.Node     `json:"node"`             // what it announces of itself
	Boot    string           `json:"boot"`             // of the process
	Start   string           `json:"start,omitempty"`  // of a target, that its disks know of
	LogID   string           `json:"log_id,omitempty"` // of its copy of the replicated log, if it has one
	View    uint64           `json:"view"`             // index of its newest view
	Uptime  cluster.Duration `json:"uptime"`
	Version string           `json:"version"`
	Level   int              `json:"level"` // cluster.Level of its program; 0 = before there was any
	Report
}

// heartbeatReply is the primary's answer, or another node's hint where to ask.
type heartbeatReply struct {
	NotPrimary bool             `json:"not_primary,omitempty"`
	Primary    cluster.NodeID   `json:"primary,omitempty"`
	Addr       string           `json:"addr,omitempty"`     // of Primary
	Index      uint64           `json:"index,omitempty"`    // of the primary's newest view
	Lease      cluster.Duration `json:"lease,omitempty"`    // from the moment the heartbeat was sent; 0 = not renewed
	Unknown    bool             `json:"unknown,omitempty"`  // the sender is not in the cluster map
	Removed    bool             `json:"removed,omitempty"`  // unknown, and the sender belongs to this cluster
	Retired    bool             `json:"retired,omitempty"`  // removed, and for ever
	Twin       string           `json:"twin,omitempty"`     // address where another process may still serve under the sender's id
	Retire     bool             `json:"retire,omitempty"`   // the sender's copy of the log is not counted on any more
	Announce   bool             `json:"announce,omitempty"` // the sender's start has not been accepted: it is to see whether its disks know of Last
	Last       string           `json:"last,omitempty"`     // with Announce: the start that was accepted last
}

// joinInfo is what a node that wants to join asks any node for.
type joinInfo struct {
	UUID  string     `json:"uuid"`
	Nodes []joinNode `json:"nodes"`
}

type joinNode struct {
	ID   cluster.NodeID `json:"id"`
	Addr string         `json:"intra_addr"`
}

type joinRequest struct {
	UUID string       `json:"uuid,omitempty"`
	Node cluster.Node `json:"node"`
}

// voterReply answers an invitation to vote.
type voterReply struct {
	LogID string `json:"log_id"`
	Boot  string `json:"boot"`
}

// latestReply brings the asker up to date.
type latestReply struct {
	Index  uint64         `json:"index"`
	Update cluster.Update `json:"update"`
}

const (
	pathHeartbeat = "/intra/heartbeat"
	pathView      = "/intra/view"
	pathPropose   = "/intra/propose"
	pathLatest    = "/intra/latest"
	pathJoin      = "/intra/join"
	pathVoter     = "/intra/voter"
	pathConfirm   = "/intra/confirm"
	pathNodes     = "/intra/nodes"
	pathJoinInfo  = "/v1/join-info"
)

// maxMessage bounds the body of a request between nodes.
const maxMessage = 4 << 20
