package api

import (
	"time"

	"aistore/cluster"
)

// RebalanceStatus is how far one target is with the newest rebalance: its answer to what=rebalance at PathDaemon.
type RebalanceStatus struct {
	ID             string        `json:"id"` // cluster.GenerationID of Epoch
	Epoch          uint64        `json:"epoch"`
	Stage          cluster.Stage `json:"stage"` // "" if this target has no part in it
	Running        bool          `json:"running"`
	Paused         bool          `json:"paused"`
	Objects        int64         `json:"objects"` // that have moved: sent, and durable at their owner
	Bytes          int64         `json:"bytes"`
	PresentObjects int64         `json:"present_objects"` // that their owner had already: recognised, not sent
	PresentBytes   int64         `json:"present_bytes"`
	TotalObjects   int64         `json:"total_objects"` // both kinds, and what is left: an estimate while it moves, 0 = not known yet
	TotalBytes     int64         `json:"total_bytes"`
	Rate           float64       `json:"rate"`   // bytes that moved per second, lately
	ETANS          int64         `json:"eta_ns"` // to the end at this rate; 0 = not known
	Errors         uint64        `json:"errors"` // attempts that failed; each is made again
	LastError      string        `json:"last_error,omitempty"`
	Waiting        []string      `json:"waiting,omitempty"` // what it cannot go on without: nodes that do not take what is theirs, "mountpath PATH of NODE" of those that cannot be read, "damaged objects of NODE"
	Started        time.Time     `json:"started,omitzero"`
	Finished       time.Time     `json:"finished,omitzero"`
}

// Rebalance answers what=rebalance at PathCluster: the newest rebalance over all targets, or with id=g47 an earlier one that they
// remember. Running and Paused are what the cluster map says; the rest is the sum of the targets that answer. What nodes moved that have
// left the cluster since is part of the newest only.
type Rebalance struct {
	RebalanceStatus
	Superseded string                      `json:"superseded_by,omitempty"` // the rebalance that goes on with what this one had not moved
	Nodes      map[string]*RebalanceStatus `json:"nodes"`
	Missing    map[string]string           `json:"missing,omitempty"` // targets that did not answer, and why
	Unknown    []string                    `json:"unknown,omitempty"` // targets that know nothing of an earlier one: they joined, or were started again, since
}

// Add adds what a target has done to the sum over all.
func (r *RebalanceStatus) Add(s *RebalanceStatus) {
	r.Objects += s.Objects
	r.Bytes += s.Bytes
	r.PresentObjects += s.PresentObjects
	r.PresentBytes += s.PresentBytes
	r.TotalObjects += s.TotalObjects
	r.TotalBytes += s.TotalBytes
	r.Rate += s.Rate
	r.Errors += s.Errors
	r.ETANS = max(r.ETANS, s.ETANS)
}

// Over reports whether nothing is left to move of a target's share, so that its total is what it came to.
func (r *Rebalance) Over(s *RebalanceStatus) bool {
	return s.Epoch == r.Epoch && s.Stage != cluster.Moving && r.Superseded == ""
}

// Close sets the total of a share of which nothing is left: what was counted when it began may be gone since, or was never counted.
func (r *Rebalance) Close(s *RebalanceStatus) {
	if r.Over(s) {
		s.TotalObjects, s.TotalBytes = s.Objects+s.PresentObjects, s.Bytes+s.PresentBytes
	}
}

// CheckCounts is what a walk over an index has found. An object counts once under the first of these that holds.
type CheckCounts struct {
	Checked   int64 `json:"checked"`   // objects looked at
	Missing   int64 `json:"missing"`   // an index names content that is not there
	Corrupt   int64 `json:"corrupt"`   // content or record is damaged
	Misplaced int64 `json:"misplaced"` // lies where the cluster map does not have it, and its owner lacks it or has an older state
	Surplus   int64 `json:"surplus"`   // lies where the cluster map does not have it, and its owner has it too
}

// Add sums up.
func (c *CheckCounts) Add(o CheckCounts) {
	c.Checked += o.Checked
	c.Missing += o.Missing
	c.Corrupt += o.Corrupt
	c.Misplaced += o.Misplaced
	c.Surplus += o.Surplus
}

// Faults counts what is not as it should be.
func (c *CheckCounts) Faults() int64 { return c.Missing + c.Corrupt + c.Misplaced + c.Surplus }

// NodeCheck is what one target finds on its mountpaths: its answer to what=check at PathDaemon.
type NodeCheck struct {
	CheckCounts
	Examples []string          `json:"examples,omitempty"` // of faults, a few: "misplaced ais://bucket/object"
	Out      map[string]string `json:"out,omitempty"`      // mountpaths that were not looked through, and why
	Kept     int64             `json:"kept,omitempty"`     // of Checked: copies that a node out of service keeps of what owners have too
	Moving   bool              `json:"moving,omitempty"`   // names went from one mountpath to another meanwhile: some may have been passed by, or counted twice
}

// CheckReport answers what=check at PathCluster.
type CheckReport struct {
	CheckCounts
	Kept        map[string]string     `json:"kept,omitempty"`   // targets that were not looked at, and why: all they had is elsewhere, or they own nothing yet
	Paused      bool                  `json:"paused,omitempty"` // the rebalance is stopped
	Rebalancing bool                  `json:"rebalancing"`      // names are on their way: what is misplaced or surplus now is not for long
	Nodes       map[string]*NodeCheck `json:"nodes"`
	Unchecked   map[string]string     `json:"unchecked,omitempty"` // targets that did not answer, and why
}
