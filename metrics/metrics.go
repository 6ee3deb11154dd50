// Package metrics counts what a node does and shows it to Prometheus and to people.
//
// It is the only importer of the prometheus libraries. Operations are counted by (operation, class of
// status) in structures of our own, made for the hot path: an *Op is fetched once, when routes are set
// up, and its Observe takes no lock, looks nothing up and allocates nothing. Everything else is read
// only when somebody asks: gauges and families are functions. There is no global registry; whoever
// assembles a node makes one Registry and hands it on.
//
// Names begin with ais_ and end with their unit (_seconds, _bytes, _ratio), counters with _total.
// Package metrics serves no HTTP and knows nothing of what it counts.
//
// Start at New and (*Registry).Op.
package metrics

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"aistore/errs"
)

// ContentType is the media type of what WriteText writes.
const ContentType = string(expfmt.FmtText)

// Labels are fixed pairs of one metric.
type Labels map[string]string

// Registry holds all metrics of one node.
type Registry struct {
	prom   *prometheus.Registry
	shards int // of each histogram

	mu  sync.Mutex
	ops map[string]*Op
}

// New returns a registry that shows the Go runtime, the process, and info as the labels of
// ais_node_info (node, role, version).
func New(info Labels) *Registry {
	r := &Registry{prom: prometheus.NewRegistry(), shards: shardsFor(runtime.GOMAXPROCS(0)), ops: map[string]*Op{}}
	r.prom.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newOpCollector(r))
	r.Gauge("ais_node_info", "Labels of this node; always 1.", info, func() float64 { return 1 })
	return r
}

// WriteText writes all metrics in Prometheus' text format. If some could not be read the rest is
// written all the same and the error says which.
func (r *Registry) WriteText(w io.Writer) error {
	const op = "metrics.WriteText"
	families, bad := r.prom.Gather()
	enc := expfmt.NewEncoder(w, expfmt.FmtText)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return errs.E(op, f.GetName(), err)
		}
	}
	if bad != nil {
		return errs.E(op, nil, bad)
	}
	return nil
}

// Counter is a number that only grows.
type Counter struct{ n atomic.Uint64 }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value returns the count.
func (c *Counter) Value() uint64 { return c.n.Load() }

// Counter makes a counter called name. Making the same one twice, or misnaming it, panics: names are
// literals in our source.
func (r *Registry) Counter(name, help string, labels Labels) *Counter {
	c := &Counter{}
	r.CounterFunc(name, help, labels, func() float64 { return float64(c.Value()) })
	return c
}

// CounterFunc shows the number that read returns, which must never fall, as a counter.
func (r *Registry) CounterFunc(name, help string, labels Labels, read func() float64) {
	checkName(name, Count)
	r.register(name, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels(labels)}, read))
}

// Gauge shows the number that read returns.
func (r *Registry) Gauge(name, help string, labels Labels, read func() float64) {
	checkName(name, Level)
	r.register(name, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: prometheus.Labels(labels)}, read))
}

// Kind tells whether a number only grows.
type Kind int

// The kinds of number a Family may have.
const (
	Level Kind = iota // goes up and down: a gauge
	Count             // only grows: a counter
)

// A Family is a metric whose label values are known only when it is read.
type Family struct {
	Name, Help string
	Kind       Kind
	Labels     []string
}

// Emit hands over one number of the family called name, with a value for each of its labels.
type Emit func(name string, value float64, labelValues ...string)

// Families shows what read emits each time somebody asks; read is called once for all families.
func (r *Registry) Families(families []Family, read func(Emit)) {
	c := &familyCollector{read: read, descs: map[string]*prometheus.Desc{}, kinds: map[string]prometheus.ValueType{}}
	for _, f := range families {
		checkName(f.Name, f.Kind)
		c.descs[f.Name] = prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)
		c.kinds[f.Name] = prometheus.GaugeValue
		if f.Kind == Count {
			c.kinds[f.Name] = prometheus.CounterValue
		}
	}
	r.register(fmt.Sprint(slices.Sorted(maps.Keys(c.descs))), c)
}

type familyCollector struct {
	read  func(Emit)
	descs map[string]*prometheus.Desc
	kinds map[string]prometheus.ValueType
}

func (c *familyCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

func (c *familyCollector) Collect(ch chan<- prometheus.Metric) {
	c.read(func(name string, value float64, labelValues ...string) {
		desc := c.descs[name]
		if desc == nil {
			err := fmt.Errorf("BUG: %s was emitted but is in no family", name)
			ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
			return
		}
		m, err := prometheus.NewConstMetric(desc, c.kinds[name], value, labelValues...)
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		ch <- m
	})
}

func (r *Registry) register(name string, c prometheus.Collector) {
	if err := r.prom.Register(c); err != nil {
		panic(fmt.Sprintf("BUG: metric %s: %v", name, err))
	}
}

// checkName panics unless name follows the rules of the package comment.
func checkName(name string, kind Kind) {
	ok := regexp.MustCompile(`^ais_[a-z][a-z0-9]*(_[a-z0-9]+)*$`).MatchString(name)
	if !ok || strings.HasSuffix(name, "_total") != (kind == Count) {
		panic(fmt.Sprintf("BUG: metric %q: names begin with ais_, and counters and only they end with _total", name))
	}
}
