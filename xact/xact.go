// Package xact is the jobs of the cluster: long work on many objects that every target does for its own share.
//
// Table declares the kinds; API, help and completion are made from it. A gateway's Jobs starts a job on all targets
// in service under one id, stops it, and gathers what they report; a target's Runtime runs its share, counts objects,
// bytes and errors, and remembers a bounded number of ended jobs. A share is the names that were a target's own when the
// job began. Names that go elsewhere meanwhile are worked on by their owners on its behalf (walk.go). An object that fails is counted and named in the job's error, never passed over in silence.
//
// A job outlives its targets. A share knows how far it has come (share.go); a target that ends in good order gives
// its shares to another, and one of the targets looks after the job and goes on with the shares of those that are lost (guard.go). Each target keeps what it
// knows of jobs on disk (ledger.go), so that they go on when all targets have ended and are started again, and their results are known.
//
// Start at Table, (*Jobs).Start and (*Runtime).Start.
package xact

import (
	"encoding/json"
	"time"

	"aistore/api"
	"aistore/cluster"
)

// Row declares one kind of job.
type Row struct {
	Kind  string // on the wire; AIStore's name
	Name  string // for people
	Scope string // "bucket"
	Help  string
	Idles bool // AIStore's clients wait until it idles instead of until it ends; ours ends at once when it idles
	work  func(*run) error
}

// Kinds of jobs.
const (
	DeleteObjects = api.ActDeleteObjects
	CopyObjects   = api.ActCopyObjects
	CopyBucket    = api.ActCopyBucket
	SummaryBucket = api.ActSummaryBucket
	MoveBucket    = api.ActMoveBucket
)

// Table lists every kind.
func Table() []Row {
	return []Row{
		{Kind: CopyBucket, Name: "copy-bucket", Scope: "bucket", work: (*run).copyBucket, Help: "copy a bucket's objects, or those with a prefix, to another bucket"},
		{Kind: CopyObjects, Name: "copy-objects", Scope: "bucket", Idles: true, work: (*run).copyObjects, Help: "copy objects given by a list or a template to another bucket"},
		{Kind: DeleteObjects, Name: "delete-objects", Scope: "bucket", work: (*run).deleteObjects, Help: "delete objects given by a list, a template or a prefix"},
		{Kind: MoveBucket, Name: "rename-bucket", Scope: "bucket", work: (*run).moveBucket, Help: "rename a bucket: the name changes at once and no object moves"},
		{Kind: SummaryBucket, Name: "summary", Scope: "bucket", work: (*run).summary, Help: "count a bucket's objects and bytes"},
	}
}

func rowOf(kind string) (Row, bool) {
	for _, r := range Table() {
		if r.Kind == kind {
			return r, true
		}
	}
	return Row{}, false
}

// KindOf finds a kind by its wire name or the name for people; "" if there is none.
func KindOf(name string) string {
	for _, r := range Table() {
		if r.Kind == name || r.Name == name {
			return r.Kind
		}
	}
	return ""
}

// Kinds is the table as clients see it. No kind can be started without saying what it works on, so none is
// startable by api.ActStart alone.
func Kinds() []api.JobKind {
	var ks []api.JobKind
	for _, r := range Table() {
		ks = append(ks, api.JobKind{Kind: r.Kind, Name: r.Name, Scope: r.Scope, Help: r.Help, Idles: r.Idles})
	}
	return ks
}

// Spec is a job as a gateway starts it on every target.
type Spec struct {
	ID      string           `json:"id"`
	Kind    string           `json:"kind"`
	Bucket  uint64           `json:"bucket"`       // id
	To      uint64           `json:"to,omitempty"` // id of the destination bucket
	Epoch   uint64           `json:"epoch"`        // of the map that the job was started by: a target has this one, or a newer one
	Targets []cluster.NodeID `json:"targets"`      // who takes part

	Placement []cluster.Placed `json:"placement"` // the targets with their weights: they make the shares, whoever owns the names meanwhile

	Message json.RawMessage `json:"message"` // api.ObjectSelection, CopyMsg, CopyObjectsMsg or SummaryMsg
	About   string          `json:"about"`   // what was asked for, in words

	Of    cluster.NodeID `json:"of,omitempty"`    // whose share; "" = that of the target that gets this
	From  Mark           `json:"from,omitzero"`   // how far it has come elsewhere
	Ended *Snap          `json:"ended,omitempty"` // not nil: the share has ended, and this is to be remembered of it
}

// Snap is a target's report of one share of a job.
type Snap struct {
	api.JobSnap
	Targets []cluster.NodeID `json:"targets"`
	Sizes   Sizes            `json:"sizes"` // of the objects a summary counted

	Of      cluster.NodeID `json:"of"`                // whose share it is
	Mark    Mark           `json:"mark"`              // how far it has come
	Left    bool           `json:"left,omitempty"`    // given up by Node, which may have been counted as lost; another goes on with it
	Stopped bool           `json:"stopped,omitempty"` // the job was told to stop: nobody goes on with what is missing
	Final   *Final         `json:"final,omitempty"`   // not nil: the whole job has ended, so

	Restored bool `json:"restored,omitempty"` // known from before Node's start alone; nobody has said since that the job is to go on

	Given cluster.NodeID `json:"given,omitempty"` // whom Node has handed shares to, last, when it ended
}

// Final is how a job has ended, once all its shares have. Every target that knows of the job keeps it, so that it does not matter any more which
// of them is left.
type Final struct {
	End     time.Time `json:"end"`
	Objects int64     `json:"objects"`
	Bytes   int64     `json:"bytes"`
	Errors  uint64    `json:"errors"`
	Sizes   Sizes     `json:"sizes"`
	Aborted bool      `json:"aborted,omitempty"`
	Err     string    `json:"err,omitempty"`
}

// Sizes are the smallest and largest object of a summary, in bytes.
type Sizes struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}
