package api

import (
	"time"
)

// JobSnap is what one target knows of one job. Times are RFC 3339; the zero time means not ended.
type JobSnap struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Start    time.Time `json:"start-time"`
	End      time.Time `json:"end-time"`
	Bck      Bck       `json:"bck"`
	Src      *Bck      `json:"src-bck,omitempty"`
	Dst      *Bck      `json:"dst-bck,omitempty"`
	Stats    JobStats  `json:"stats"`
	Aborted  bool      `json:"aborted"`
	Idle     bool      `json:"is_idle"` // nothing left to do
	AbortErr string    `json:"abort-err"`
	Err      string    `json:"err,omitempty"`
	Packed   uint64    `json:"glob.id,string"` // joggers (bits 0-9), workers (10-19), queue length (20-63)

	// Ours.
	Errors uint64 `json:"errors"` // objects that failed; Err holds the first few
	Node   string `json:"node,omitempty"`
	Ctl    string `json:"ctlmsg,omitempty"` // what was asked for, in words
}

// JobStats counts objects and bytes: handled here, sent to and received from other targets.
type JobStats struct {
	Objects    int64 `json:"loc-objs,string"`
	Bytes      int64 `json:"loc-bytes,string"`
	OutObjects int64 `json:"out-objs,string"`
	OutBytes   int64 `json:"out-bytes,string"`
	InObjects  int64 `json:"in-objs,string"`
	InBytes    int64 `json:"in-bytes,string"`
}

// Running reports whether the job still works.
func (s *JobSnap) Running() bool { return s.End.IsZero() && !s.Aborted }

// JobStatus sums a job up over all targets.
type JobStatus struct {
	UUID    string `json:"uuid"`
	Kind    string `json:"kind,omitempty"`
	Bck     *Bck   `json:"bck,omitempty"`
	Err     string `json:"err"`
	EndTime int64  `json:"end_time"` // unix nanoseconds, 0 while it runs
	Aborted bool   `json:"aborted"`

	// Ours, of a rebalance.
	Paused     bool   `json:"paused,omitempty"`        // it was stopped and goes on when it is started again
	Superseded string `json:"superseded_by,omitempty"` // the one that goes on with what it had not moved
}

// JobQuery selects jobs: the value of ActStart and ActStop and the body of the job queries. All given fields must match.
type JobQuery struct {
	ID       string `json:"id,omitempty"`
	Kind     string `json:"kind,omitempty"`
	Node     string `json:"node,omitempty"`
	DaemonID string `json:"daemonid,omitempty"` // the same as Node
	Bck      *Bck   `json:"bck,omitempty"`
	Buckets  []Bck  `json:"buckets,omitempty"`
	Active   *bool  `json:"show_active,omitempty"` // running ones only
}

// JobKind is one row of the table of jobs, for help and completion.
type JobKind struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`  // as the CLI shows it: "copy-bucket"
	Scope     string `json:"scope"` // "bucket" or "cluster"
	Help      string `json:"help"`
	Startable bool   `json:"startable"` // by ActStart alone
	Idles     bool   `json:"idles"`     // clients wait for idle instead of ended
}
