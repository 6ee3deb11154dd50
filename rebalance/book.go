package rebalance

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"aistore/api"
	"aistore/cluster"
)

// keptGenerations is how many generations a node remembers, the present one among them.
const keptGenerations = 10

// generation is what this node has done for one epoch.
type generation struct {
	epoch    uint64
	started  time.Time
	walked   atomic.Int64 // names looked at
	objects  atomic.Int64 // keys that were sent, and that their owners took
	bytes    atomic.Int64
	removed  atomic.Int64
	received atomic.Int64
	errors   atomic.Uint64

	mu       sync.Mutex
	finished time.Time
	lastErr  string
	waiting  []string
	rates    rates
	total    int64 // keys that belong elsewhere; 0 = not known
	present  present
}

// tally is a number of keys and their bytes.
type tally struct{ objects, bytes int64 }

func (t *tally) add(o tally) { t.objects += o.objects; t.bytes += o.bytes }

// present counts keys that their owner had already. A pass also recognises what passes before it have sent, and does not look again at
// all that they have recognised.
type present struct {
	acknowledged tally // for good, by the passes before, and what this one recognises
	sent         tally // when the pass began
	before       tally // what was present by the passes before
}

func (p *present) count() tally {
	return tally{
		max(p.before.objects, p.acknowledged.objects-p.sent.objects), max(p.before.bytes, p.acknowledged.bytes-p.sent.bytes),
	}
}

// beginPass begins a pass that will not look again at what is acknowledged.
func (g *generation) beginPass(acknowledged tally) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.present = present{acknowledged, tally{g.objects.Load(), g.bytes.Load()}, g.present.count()}
}

// recognised counts keys that their owner had already: nothing has moved.
func (g *generation) recognised(had tally) {
	g.mu.Lock()
	g.present.acknowledged.add(had)
	g.mu.Unlock()
}

// presentObjects is how many keys their owner had already.
func (g *generation) presentObjects() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.present.count().objects
}

// fault counts an attempt that failed.
func (g *generation) fault(err error) {
	g.errors.Add(1)
	g.mu.Lock()
	g.lastErr = err.Error()
	g.mu.Unlock()
}

func (g *generation) setWaiting(ids []string) {
	g.mu.Lock()
	g.waiting = ids
	g.mu.Unlock()
}

func (g *generation) setTotal(n int64) {
	g.mu.Lock()
	g.total = n
	g.mu.Unlock()
}

// taken counts keys that were sent and are durable at their owner.
func (g *generation) taken(t tally) {
	g.objects.Add(t.objects)
	n := g.bytes.Add(t.bytes)
	g.mu.Lock()
	g.rates.add(time.Now(), n)
	g.mu.Unlock()
}

// rates gives the rate of the last seconds.
type rates struct {
	at    [8]time.Time
	bytes [8]int64
	n     int
}

const rateStep = time.Second

func (r *rates) add(now time.Time, bytes int64) {
	if r.n > 0 && now.Sub(r.at[(r.n-1)%len(r.at)]) < rateStep {
		return
	}
	r.at[r.n%len(r.at)], r.bytes[r.n%len(r.at)] = now, bytes
	r.n++
}

// rate is in bytes per second, until now.
func (r *rates) rate(now time.Time, bytes int64) float64 {
	if r.n == 0 {
		return 0
	}
	oldest := max(0, r.n-len(r.at)) % len(r.at)
	took := now.Sub(r.at[oldest]).Seconds()
	if took < 0.001 {
		return 0
	}
	return float64(bytes-r.bytes[oldest]) / took
}

// book keeps generations.
type book struct {
	mu   sync.Mutex
	gens []*generation // oldest first
}

// of returns the generation of an epoch, a new one if it is not there.
func (b *book) of(epoch uint64) *generation {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.gens {
		if g.epoch == epoch {
			return g
		}
	}
	g := &generation{epoch: epoch, started: time.Now()}
	for _, old := range b.gens {
		old.finish(g.started)
	}
	b.gens = append(b.gens, g)
	if len(b.gens) > keptGenerations {
		b.gens = slices.Delete(b.gens, 0, len(b.gens)-keptGenerations)
	}
	return g
}

func (g *generation) finish(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.finished.IsZero() {
		g.finished, g.waiting = at, nil
	}
}

// follow opens and ends generations as v says.
func (b *book) follow(v *cluster.View) {
	if v.Map.Rebalancing() {
		b.of(v.Map.Epoch)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.gens {
		g.finish(time.Now())
	}
}

func (b *book) newest() *generation {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.gens) == 0 {
		return nil
	}
	return b.gens[len(b.gens)-1]
}

// find returns the generation of that name; "" is the newest.
func (b *book) find(id string) *generation {
	if id == "" {
		return b.newest()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.gens {
		if cluster.GenerationID(g.epoch) == id {
			return g
		}
	}
	return nil
}

// status is g as the API shows it.
func (g *generation) status(v *cluster.View, self cluster.NodeID) *api.RebalanceStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	present := g.present.count()
	s := &api.RebalanceStatus{
		ID: cluster.GenerationID(g.epoch), Epoch: g.epoch,
		Objects: g.objects.Load(), Bytes: g.bytes.Load(), PresentObjects: present.objects, PresentBytes: present.bytes,
		Errors: g.errors.Load(), LastError: g.lastErr, Waiting: slices.Clone(g.waiting), Started: g.started, Finished: g.finished,
	}
	there, thereBytes := s.Objects+s.PresentObjects, s.Bytes+s.PresentBytes
	if s.TotalObjects = max(g.total, there); g.total == 0 {
		s.TotalObjects = 0
	} else if there > 0 { // they are as large as those of which the owner is known to have them
		s.TotalBytes = int64(float64(thereBytes) / float64(there) * float64(s.TotalObjects))
	}
	if g.epoch == v.Map.Epoch {
		s.Stage = v.Map.Sources[self].Stage
		s.Running, s.Paused = v.Map.Rebalancing() && !v.Map.Paused, v.Map.Paused
	}
	if s.Running && s.Stage == cluster.Moving {
		s.Rate = g.rates.rate(time.Now(), s.Bytes)
		if left := s.TotalBytes - thereBytes; left > 0 && s.Rate > 1 {
			s.ETANS = int64(float64(left) / s.Rate * 1e9)
		}
	}
	return s
}
