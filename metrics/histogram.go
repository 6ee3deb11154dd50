package metrics

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Durations are counted in buckets that split each power of two of nanoseconds into eight equal
// parts, so a quantile is wrong by at most a sixteenth. Below 2^minExp ns is one bucket, from 2^maxExp
// (137 s) on another.
const (
	minExp   = 10
	maxExp   = 37
	subBits  = 3
	nBuckets = 2 + (maxExp-minExp)<<subBits
)

// bucketOf returns the bucket that holds ns.
func bucketOf(ns uint64) int {
	e := bits.Len64(ns) - 1
	switch {
	case e < minExp:
		return 0
	case e >= maxExp:
		return nBuckets - 1
	}
	sub := ns >> (e - subBits) & (1<<subBits - 1)
	return 1 + (e-minExp)<<subBits + int(sub)
}

// floorOf returns the least duration in bucket i, in ns; that of the next one is its ceiling.
func floorOf(i int) uint64 {
	if i == 0 {
		return 0
	}
	e, sub := minExp+(i-1)>>subBits, (i-1)&(1<<subBits-1)
	return uint64(1<<subBits+sub) << (e - subBits)
}

// A histogram counts durations and the bytes that moved in them. Cores that count at once mostly
// write to different shards; readers add the shards up.
type histogram struct {
	shards []shard
}

type shard struct {
	buckets [nBuckets]atomic.Uint64
	sum     atomic.Uint64 // ns
	max     atomic.Uint64 // ns
	in, out atomic.Uint64 // bytes
	_       [64]byte      // keeps the next shard off this one's last cache line
}

// shardsFor returns how many shards serve n cores: a power of two, so that choosing one is cheap, and
// few, for each is 1.8 KB.
func shardsFor(n int) int {
	return 1 << bits.Len(uint(min(max(n, 1), 8)-1))
}

func newHistogram(shards int) *histogram { return &histogram{make([]shard, shards)} }

func (h *histogram) observe(took time.Duration, in, out int64) {
	s := &h.shards[0]
	if n := len(h.shards); n > 1 {
		s = &h.shards[rand.Uint32()&uint32(n-1)] //nolint:gosec // spreads load, hides nothing
	}
	ns := uint64(max(took, 0))
	s.buckets[bucketOf(ns)].Add(1)
	s.sum.Add(ns)
	for {
		m := s.max.Load()
		if ns <= m || s.max.CompareAndSwap(m, ns) {
			break
		}
	}
	if in > 0 {
		s.in.Add(uint64(in))
	}
	if out > 0 {
		s.out.Add(uint64(out))
	}
}

// totals are a histogram's numbers at one time; they add up over histograms.
type totals struct {
	buckets           [nBuckets]uint64
	count             uint64
	sum, max          uint64 // ns
	bytesIn, bytesOut uint64
}

// addTo adds h to t. Observations made meanwhile are counted or not; count always fits the buckets.
func (h *histogram) addTo(t *totals) {
	for i := range h.shards {
		s := &h.shards[i]
		for b := range s.buckets {
			n := s.buckets[b].Load()
			t.buckets[b] += n
			t.count += n
		}
		t.sum += s.sum.Load()
		t.max = max(t.max, s.max.Load())
		t.bytesIn += s.in.Load()
		t.bytesOut += s.out.Load()
	}
}

// quantile returns the duration that a share q (0 to 1) of the observations did not exceed, 0 if
// there are none.
func (t *totals) quantile(q float64) time.Duration {
	if t.count == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(t.count))), 1)
	var below uint64
	for b, n := range t.buckets {
		if below+n < rank {
			below += n
			continue
		}
		floor, ceiling := floorOf(b), t.max
		if b < nBuckets-1 {
			ceiling = min(ceiling, floorOf(b+1))
		}
		if ceiling < floor {
			ceiling = floor // the longest one's shard was read before it was counted
		}
		part := float64(rank-below) / float64(n)
		return time.Duration(floor) + time.Duration(part*float64(ceiling-floor))
	}
	return time.Duration(t.max)
}

func (t *totals) mean() time.Duration {
	if t.count == 0 {
		return 0
	}
	return time.Duration(t.sum / t.count)
}

// Prometheus gets every power of two from 33 us to 34 s: enough for alerts, few enough for its disks.
const promMin, promMax = 15, 35

// cumulative returns the upper bounds in seconds that Prometheus is shown, with how many
// observations lie below each.
func (t *totals) cumulative() map[float64]uint64 {
	m := make(map[float64]uint64, promMax-promMin+1)
	var n uint64
	b := 0
	for e := promMin; e <= promMax; e++ {
		for ; floorOf(b) < 1<<e; b++ {
			n += t.buckets[b]
		}
		m[float64(uint64(1)<<e)/1e9] = n
	}
	return m
}
