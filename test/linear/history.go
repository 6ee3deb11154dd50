// Package linear decides whether what clients saw of a set of names can be explained by one order of
// events that respects real time: it records histories, checks each name's with porcupine against a
// register, and checks listings and versions beside it.
//
// It knows nothing of how a cluster is started or hurt: test/fault runs the same load over processes it
// kills. A request that failed is recorded with what is known of it (see plain.Outcome): a write of unknown
// outcome may take effect at any later time or never.
//
// Start at Load for making a history and (*History).Check for judging one.
package linear

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"
)

// Kind is what an operation does.
type Kind string

// The kinds.
const (
	Put    Kind = "put"
	Create Kind = "create" // put that requires the name to be free
	Swap   Kind = "swap"   // put that requires the ETag of Expect
	Get    Kind = "get"
	Head   Kind = "head"
	Delete Kind = "delete"
)

// Result is what is known of an operation.
type Result string

// The results.
const (
	OK      Result = "ok"      // acknowledged; for reads: found
	Absent  Result = "absent"  // there is no such object
	Failed  Result = "failed"  // the condition of a Create or Swap did not hold
	Unknown Result = "unknown" // a write that may have happened, or may yet
	Nothing Result = "nothing" // no effect and no information: refused, or a read that failed
)

// Never is the return time of a write of unknown outcome.
const Never = int64(math.MaxInt64)

// SomeValue stands for a value that was there but cannot be told from its ETag.
const SomeValue = uint64(math.MaxUint64)

// Op is one request on one name.
type Op struct {
	Client  int    `json:"client"`
	Via     string `json:"via"` // endpoint first asked
	Kind    Kind   `json:"kind"`
	Name    string `json:"name"`
	Value   uint64 `json:"value,omitempty"`  // what a write writes, or a read saw
	Expect  uint64 `json:"expect,omitempty"` // value that a Swap wants to replace
	Size    int64  `json:"size,omitempty"`
	ETag    string `json:"etag,omitempty"`
	Version string `json:"version,omitempty"`
	Call    int64  `json:"call"` // nanoseconds since the history began, monotonic
	Return  int64  `json:"return"`
	Result  Result `json:"result"`
	Err     string `json:"err,omitempty"`
}

func (o *Op) String() string {
	b, _ := json.Marshal(o)
	return string(b)
}

// writes reports whether o may have given the name a value.
func (o *Op) writes() bool {
	return (o.Kind == Put || o.Kind == Create || o.Kind == Swap) && (o.Result == OK || o.Result == Unknown)
}

// deletes reports whether o may have removed the object.
func (o *Op) deletes() bool { return o.Kind == Delete && (o.Result == OK || o.Result == Unknown) }

// Listing is one whole listing of the bucket under test.
type Listing struct {
	Via    string           `json:"via"`
	Call   int64            `json:"call"`
	Return int64            `json:"return"`
	Sizes  map[string]int64 `json:"sizes"` // by name
}

// History collects operations. Its methods may be called by many goroutines.
type History struct {
	start time.Time

	mu       sync.Mutex
	ops      []*Op
	listings []*Listing
	faults   []error // what no order of events can explain, such as bytes of no value
}

// NewHistory begins now.
func NewHistory() *History { return &History{start: time.Now()} }

// Now returns the history's time.
func (h *History) Now() int64 { return int64(time.Since(h.start)) }

// Add records an operation that has ended.
func (h *History) Add(o *Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
}

// AddListing records a listing that has ended.
func (h *History) AddListing(l *Listing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listings = append(h.listings, l)
}

// Fault records what may never be seen whatever else happens.
func (h *History) Fault(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, err)
}

// Ops returns the operations recorded so far.
func (h *History) Ops() []*Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Op(nil), h.ops...)
}

// Count returns how many operations there are by result, "list" among them.
func (h *History) Count() map[Result]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := map[Result]int{"list": len(h.listings)}
	for _, o := range h.ops {
		n[o.Result]++
	}
	return n
}

// Save writes the history as one JSON document a line.
func (h *History) Save(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, o := range h.ops {
		err = errors.Join(err, enc.Encode(o))
	}
	for _, l := range h.listings {
		err = errors.Join(err, enc.Encode(l))
	}
	return errors.Join(err, w.Flush(), f.Close())
}

// byName returns the operations of each name.
func byName(ops []*Op) map[string][]*Op {
	m := map[string][]*Op{}
	for _, o := range ops {
		m[o.Name] = append(m[o.Name], o)
	}
	return m
}

// resolve gives a Head the value that goes with its ETag. One ETag may not stand for two values.
func resolve(ops []*Op) error {
	type key struct{ name, etag string }
	known := map[key]uint64{}
	for _, o := range ops {
		if o.ETag == "" || o.Result != OK || o.Kind == Head {
			continue
		}
		k := key{o.Name, o.ETag}
		if v, ok := known[k]; ok && v != o.Value {
			return fmt.Errorf("ETag %s of %q stands for values %x and %x", o.ETag, o.Name, v, o.Value)
		}
		known[k] = o.Value
	}
	for _, o := range ops {
		if o.Kind != Head || o.Result != OK {
			continue
		}
		if o.Value = known[key{o.Name, o.ETag}]; o.Value == 0 {
			o.Value = SomeValue
		}
	}
	return nil
}
