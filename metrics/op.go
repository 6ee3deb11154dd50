package metrics

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// An Op counts the requests of one operation, by class of status. It is safe for concurrent use.
type Op struct {
	name    string
	shards  int
	classes [len(classNames)]atomic.Pointer[histogram] // made when the class first occurs
}

// classNames are the values of the label "class"; "none" is a request that never got a status.
var classNames = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} //nolint:gochecknoglobals // a constant in all but syntax

// Op returns the operation called name ("get-object"), the same one for the same name. Fetch it once
// and keep it: this takes a lock, Observe does not.
func (r *Registry) Op(name string) *Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	op := r.ops[name]
	if op == nil {
		op = &Op{name: name, shards: r.shards}
		r.ops[name] = op
	}
	return op
}

// Observe counts one request that was answered with an HTTP status, moved bytesIn and bytesOut bytes
// of bodies and took so long.
func (o *Op) Observe(status int, bytesIn, bytesOut int64, took time.Duration) {
	class := status / 100
	if class < 0 || class >= len(o.classes) {
		class = 0
	}
	h := o.classes[class].Load()
	if h == nil {
		h = o.first(class)
	}
	h.observe(took, bytesIn, bytesOut)
}

// first makes the histogram of class, unless somebody else just has.
func (o *Op) first(class int) *histogram {
	o.classes[class].CompareAndSwap(nil, newHistogram(o.shards))
	return o.classes[class].Load()
}

// OpStats are the counts of one operation since the node started. Two samples give rates; the
// latencies are of all requests since the start, whatever their status.
type OpStats struct {
	Op       string
	Count    uint64
	Errors   uint64 // with a status of 4xx or 5xx, or none
	BytesIn  uint64
	BytesOut uint64
	Latency  time.Duration // the sum over Count
	Mean     time.Duration
	P50      time.Duration
	P90      time.Duration
	P99      time.Duration
	Max      time.Duration
	Buckets  []Bucket // those with requests in them, shortest first: the differences of two samples are the latencies of the time between
}

// Bucket counts the requests that took From or longer, and less than To.
type Bucket struct {
	From, To time.Duration
	Count    uint64
}

// Snapshot returns the counts of every operation that has occurred, by name.
func (r *Registry) Snapshot() []OpStats {
	var all []OpStats
	for _, o := range r.opsByName() {
		if s := o.stats(); s.Count > 0 {
			all = append(all, s)
		}
	}
	return all
}

func (r *Registry) opsByName() []*Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Op, 0, len(r.ops))
	for _, name := range slices.Sorted(maps.Keys(r.ops)) {
		all = append(all, r.ops[name])
	}
	return all
}

func (o *Op) stats() OpStats {
	var t totals
	s := OpStats{Op: o.name}
	for class := range o.classes {
		h := o.classes[class].Load()
		if h == nil {
			continue
		}
		before := t.count
		h.addTo(&t)
		if class == 0 || class >= 4 {
			s.Errors += t.count - before
		}
	}
	s.Count, s.BytesIn, s.BytesOut = t.count, t.bytesIn, t.bytesOut
	s.Latency, s.Mean, s.Max = time.Duration(t.sum), t.mean(), time.Duration(t.max)
	s.P50, s.P90, s.P99 = t.quantile(0.5), t.quantile(0.9), t.quantile(0.99)
	for i, n := range t.buckets {
		if n > 0 {
			s.Buckets = append(s.Buckets, Bucket{From: time.Duration(floorOf(i)), To: time.Duration(floorOf(i + 1)), Count: n})
		}
	}
	return s
}

// opCollector shows the operations of a registry to Prometheus.
type opCollector struct {
	registry                     *Registry
	requests, received, sent, in *prometheus.Desc
}

func newOpCollector(r *Registry) *opCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"op", "class"}, nil)
	}
	return &opCollector{
		registry: r,
		requests: desc("ais_requests_total", "Requests answered, by operation and class of status."),
		received: desc("ais_received_bytes_total", "Bytes of request bodies read, by operation and class of status."),
		sent:     desc("ais_sent_bytes_total", "Bytes of reply bodies written, by operation and class of status."),
		in:       desc("ais_request_seconds", "Time from the first byte of a request to the last of its reply."),
	}
}

func (c *opCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.requests, c.received, c.sent, c.in} {
		ch <- d
	}
}

func (c *opCollector) Collect(ch chan<- prometheus.Metric) {
	for _, o := range c.registry.opsByName() {
		for class, label := range classNames {
			h := o.classes[class].Load()
			if h == nil {
				continue
			}
			var t totals
			h.addTo(&t)
			count := func(d *prometheus.Desc, n uint64) {
				ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), o.name, label)
			}
			count(c.requests, t.count)
			count(c.received, t.bytesIn)
			count(c.sent, t.bytesOut)
			ch <- prometheus.MustNewConstHistogram(c.in, t.count, float64(t.sum)/1e9, t.cumulative(), o.name, label)
		}
	}
}

// Histogram counts durations of something that is no request.
type Histogram struct{ h *histogram }

// Histogram makes a histogram called name, which must end with _seconds.
func (r *Registry) Histogram(name, help string, labels Labels) *Histogram {
	checkName(name, Level)
	h := &Histogram{newHistogram(r.shards)}
	r.register(name, histogramCollector{prometheus.NewDesc(name, help, nil, prometheus.Labels(labels)), h.h})
	return h
}

// Observe counts one duration.
func (h *Histogram) Observe(took time.Duration) { h.h.observe(took, 0, 0) }

type histogramCollector struct {
	desc *prometheus.Desc
	h    *histogram
}

func (c histogramCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c histogramCollector) Collect(ch chan<- prometheus.Metric) {
	var t totals
	c.h.addTo(&t)
	ch <- prometheus.MustNewConstHistogram(c.desc, t.count, float64(t.sum)/1e9, t.cumulative())
}
