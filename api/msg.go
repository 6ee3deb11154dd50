package api

import (
	"encoding/json"
	"strconv"
	"strings"

	"aistore/errs"
	"aistore/internal/jsonx"
)

// ActionMsg is the body of every control request.
type ActionMsg struct {
	Action string          `json:"action"`
	Name   string          `json:"name,omitempty"`
	Value  json.RawMessage `json:"value,omitempty"` // shape depends on Action
}

// NewAction builds a message; value may be nil.
func NewAction(action, name string, value any) (ActionMsg, error) {
	m := ActionMsg{Action: action, Name: name}
	if value == nil {
		return m, nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return m, errs.E("api.NewAction", action, errs.Invalid, err)
	}
	m.Value = raw
	return m, nil
}

// Decode puts the message's value into v; a missing or null value leaves v alone. The error names the field.
func (m *ActionMsg) Decode(v any) error {
	if len(m.Value) == 0 || string(m.Value) == "null" {
		return nil
	}
	return unmarshal("value of action "+strconv.Quote(m.Action), m.Value, v)
}

// Unmarshal reads a client's JSON into v, unknown fields skipped; a key that stands twice in an object is refused. The error is
// of kind Invalid, names what and the field that is wrong, and says nothing of Go types.
func Unmarshal(what string, data []byte, v any) error {
	if key := jsonx.Duplicate(data); key != "" {
		return errs.F("api.Unmarshal", what, errs.Invalid, "key %q stands there twice", key)
	}
	return unmarshal(what, data, v)
}

func unmarshal(what string, data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if errs.KindOf(err) != errs.Other { // from one of our own UnmarshalJSON
		return errs.E("api.Unmarshal", what, err)
	}
	return errs.F("api.Unmarshal", what, errs.Invalid, "%s", jsonFault(err))
}

// jsonFault says what is wrong with a JSON text without Go's type names.
func jsonFault(err error) string {
	switch e := err.(type) { //nolint:errorlint // encoding/json returns these bare
	case *json.UnmarshalTypeError:
		field := e.Field
		if field == "" {
			field = "the value"
		}
		return "field " + strconv.Quote(field) + " cannot be a JSON " + e.Value
	case *json.SyntaxError:
		return "is not JSON at byte " + strconv.FormatInt(e.Offset, 10) + ": " + e.Error()
	}
	return err.Error()
}

// ListFlags are the bits of ListObjectsMsg.Flags. In JSON they are a string of a decimal number.
type ListFlags uint64

// The flags that have an effect here. The others of AIStore tell remote from present objects, or ask for
// archives or inventories; see UnsupportedFlags.
const (
	ListNameOnly    ListFlags = 1 << 4  // names and flags only
	ListNameSize    ListFlags = 1 << 5  // names and sizes only
	ListNoRecursion ListFlags = 1 << 11 // group what follows the next "/" after the prefix into one directory entry
	ListNoDirs      ListFlags = 1 << 13 // with ListNoRecursion: leave the directory entries out
)

const (
	listArchDir     ListFlags = 1 << 3
	listNotCached   ListFlags = 1 << 9
	listDiff        ListFlags = 1 << 12
	listInventory   ListFlags = 1 << 15
	listKnown       ListFlags = 1<<16 - 1
	listUnsupported           = listArchDir | listNotCached | listDiff | listInventory
)

// MarshalJSON writes the string form.
func (f ListFlags) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatUint(uint64(f), 10)), nil
}

// UnmarshalJSON takes "123", 123, "" and null.
func (f *ListFlags) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "" || s == "null" {
		*f = 0
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return errs.F("api.ListFlags", "flags", errs.Invalid, "%q is not the decimal number of a bit mask", s)
	}
	*f = ListFlags(n)
	return nil
}

// Check refuses flags that ask for what is not here, rather than answering a different question.
func (f ListFlags) Check() error {
	const op = "api.ListFlags"
	if un := f & listUnsupported; un != 0 {
		return errs.F(op, "flags", errs.Unsupported, "bits %#x (archive, not-cached, diff, inventory) are not served", uint64(un))
	}
	if un := f &^ listKnown; un != 0 {
		return errs.F(op, "flags", errs.Invalid, "bits %#x are unknown", uint64(un))
	}
	return nil
}

// ListObjectsMsg is the value of ActList on a bucket: one page of names in byte order.
type ListObjectsMsg struct {
	Prefix       string    `json:"prefix"`
	PageSize     int64     `json:"pagesize"` // 0 = the cluster's default
	UUID         string    `json:"uuid"`     // from the first page; echoed, listing keeps no state on servers
	Props        string    `json:"props"`    // comma-separated, "" = name,size
	Continuation string    `json:"continuation_token"`
	StartAfter   string    `json:"start_after,omitempty"` // names strictly greater
	Flags        ListFlags `json:"flags"`
	Target       string    `json:"target"`                // list only what this target holds
	TimeFormat   string    `json:"time_format,omitempty"` // Go layout for atime; "" = RFC 822
	Delimiter    string    `json:"delimiter,omitempty"`   // ours: group at this string instead of "/"
}

// ObjectSelection says which objects of a bucket a job works on: exactly one of the two.
type ObjectSelection struct {
	Names    []string `json:"objnames,omitempty"`
	Template string   `json:"template,omitempty"` // with ranges: their names; without: a prefix (see ParseTemplate)
	All      bool     `json:"all,omitempty"`      // ours: an empty template means every object only when All says so
}

// MaxSelectionNames bounds ObjectSelection.Names.
const MaxSelectionNames = 1_000_000

// Check refuses a selection of nothing, of both, and of everything by accident.
func (s *ObjectSelection) Check() error {
	const op = "api.ObjectSelection"
	switch {
	case len(s.Names) > 0 && s.Template != "":
		return errs.E(op, "value", errs.Invalid, "has both objnames and template: give one")
	case len(s.Names) > MaxSelectionNames:
		return errs.F(op, "objnames", errs.TooLarge, "has %d names, the limit is %d: use a template or several requests", len(s.Names), MaxSelectionNames)
	case len(s.Names) == 0 && s.Template == "" && !s.All:
		return errs.E(op, "value", errs.Invalid, `names no objects: give objnames, template, or "all": true for the whole bucket`)
	}
	for _, n := range s.Names {
		if n == "" {
			return errs.E(op, "objnames", errs.Invalid, "contains an empty name")
		}
	}
	if s.Template != "" {
		_, err := ParseTemplate(s.Template)
		return err
	}
	return nil
}

// CopyMsg is the value of ActCopyBucket.
type CopyMsg struct {
	Prefix     string            `json:"prefix"`
	Prepend    string            `json:"prepend"`               // put before every new name
	Ext        map[string]string `json:"ext,omitempty"`         // old extension -> new extension
	DryRun     bool              `json:"dry_run"`               // count, change nothing
	Force      bool              `json:"force"`                 // accepted: copying overwrites
	Latest     bool              `json:"latest-ver"`            // accepted: no remote buckets
	Sync       bool              `json:"synchronize"`           // accepted: no remote buckets
	NumWorkers int               `json:"num-workers,omitempty"` // per target; 0 = one per mountpath, -1 = one
	ContinueOn bool              `json:"coer,omitempty"`        // go on after the error of an object
	ETL        string            `json:"id,omitempty"`          // transforming copies are refused
}

// CopyObjectsMsg is the value of ActCopyObjects.
type CopyObjectsMsg struct {
	ObjectSelection
	CopyMsg
	To Bck `json:"tobck"`
}

// SummaryMsg is the value of ActSummaryBucket: a call without UUID starts the job, one with it asks for the result.
type SummaryMsg struct {
	UUID    string `json:"uuid"`
	Prefix  string `json:"prefix"`
	Cached  bool   `json:"cached"`  // everything is
	Present bool   `json:"present"` // everything is
}

// BucketSummary is one element of a summary's result. Numbers of objects and bytes are strings, so that no reader rounds them. The
// published Python SDK 2.0.0 takes the first element of the list, or the header's value, as a plain dict and reads no name of it.
type BucketSummary struct {
	Bck
	ObjCount struct {
		Present uint64 `json:"obj_count_present,string"`
		Remote  uint64 `json:"obj_count_remote,string"`
	} `json:"ObjCount"`
	ObjSize struct {
		Min int64 `json:"obj_min_size"`
		Avg int64 `json:"obj_avg_size"`
		Max int64 `json:"obj_max_size"`
	} `json:"ObjSize"`
	TotalSize struct {
		OnDisk  uint64 `json:"size_on_disk,string"`
		Present uint64 `json:"size_all_present_objs,string"`
		Remote  uint64 `json:"size_all_remote_objs,string"`
		Disks   uint64 `json:"total_disks_size,string"`
	} `json:"TotalSize"`
	UsedPct uint64 `json:"used_pct"`
	Present bool   `json:"is_present"`
}

// Error is the body of every failure.
type Error struct {
	Status    int    `json:"status_code"`
	Message   string `json:"message"` // names buckets as ais://bucket, objects as ais://bucket/object
	Kind      string `json:"kind"`    // errs.Kind
	Method    string `json:"method"`
	URLPath   string `json:"url_path"`
	Node      string `json:"node"`
	RequestID string `json:"request_id"`

	OldStatus int `json:"status"` // Status, where AIStore's Python SDK up to 1.12 looks for it
}
