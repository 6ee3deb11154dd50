// Package hist counts latencies in a fixed log-linear histogram, as HdrHistogram does: 128 steps per
// power of two, so a quantile is exact to 0.8%, from one nanosecond to hours, in 30 KiB and without
// allocation.
//
// A Histogram belongs to one goroutine; Merge sums them up afterwards. Start at Record and Quantile.
package hist

import (
	"math"
	"math/bits"
	"time"
)

const (
	stepBits = 7
	steps    = 1 << stepBits
	powers   = 44 - stepBits // up to 2^44 ns, almost five hours; longer is counted there
	buckets  = (powers + 1) * steps
)

// Histogram counts durations. The zero value is ready.
type Histogram struct {
	counts   [buckets]uint64
	count    uint64
	sum      uint64
	min, max time.Duration
}

// bucket maps v to its index: values below 128 each have their own, then every power of two has 128.
func bucket(v uint64) int {
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - stepBits - 1
	return min((shift+1)*steps+int(v>>shift)-steps, buckets-1)
}

// middle returns the value in the middle of bucket i.
func middle(i int) float64 {
	if i < steps {
		return float64(i)
	}
	shift := i/steps - 1
	low := uint64(i%steps+steps) << shift
	return float64(low) + float64(uint64(1)<<shift-1)/2
}

// Record counts d; below zero is zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	if h.count == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.counts[bucket(uint64(d))]++
	h.count++
	h.sum += uint64(d)
}

// Merge adds what o counted.
func (h *Histogram) Merge(o *Histogram) {
	if o.count == 0 {
		return
	}
	if h.count == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.count += o.count
	h.sum += o.sum
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Min and Max are exact.
func (h *Histogram) Min() time.Duration { return h.min }

// Max returns the longest duration.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is exact.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return time.Duration(h.sum / h.count)
}

// Quantile returns the value that a share q (0..1) of all durations does not exceed, 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(h.count)))
	rank = max(rank, 1)
	var seen uint64
	for i, c := range h.counts {
		if seen += c; seen >= rank {
			return min(max(time.Duration(middle(i)), h.min), h.max)
		}
	}
	return h.max
}
