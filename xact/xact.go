// Package xact is the jobs of the cluster: long work on many objects that every target does for its own share.
//
// Table declares the kinds; API, help and completion are made from it. A gateway's Jobs starts a job on all targets
// in service under one id, stops it, and gathers what they report; a target's Runtime runs its share, counts objects,
// bytes and errors, and remembers a bounded number of ended jobs. A target decides alone what its share is: the names that were its own when the
// job began. Names that go elsewhere meanwhile are worked on by their owners on its behalf (walk.go). An object that fails is counted and named in the job's error, never passed over in silence.
//
// Jobs live in memory: a target that restarts forgets its share, and the job then reads as aborted, with that
// target named. What it did is done; the job can be started again.
//
// Start at Table, (*Jobs).Start and (*Runtime).Start.
package xact

import (
	"encoding/json"

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
}

// Snap is one target's report of one job.
type Snap struct {
	api.JobSnap
	Targets []cluster.NodeID `json:"targets"`
	Sizes   Sizes            `json:"sizes"` // of the objects a summary counted
}

// Sizes are the smallest and largest object of a summary, in bytes.
type Sizes struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}
