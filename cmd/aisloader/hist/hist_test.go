package hist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestQuantiles compares with the sorted values themselves.
func TestQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() time.Duration{
		"small":   func() time.Duration { return time.Duration(rng.IntN(100)) },
		"uniform": func() time.Duration { return time.Duration(rng.IntN(5_000_000)) },
		"tail":    func() time.Duration { return time.Duration(math.Exp(rng.Float64() * 29)) },
		"one":     func() time.Duration { return 42 * time.Microsecond },
	} {
		var parts [3]Histogram
		var all []time.Duration
		for i := range 20_000 {
			d := draw()
			all = append(all, d)
			parts[i%3].Record(d)
		}
		var h Histogram
		for i := range parts {
			h.Merge(&parts[i])
		}
		slices.Sort(all)
		if h.Count() != uint64(len(all)) || h.Min() != all[0] || h.Max() != all[len(all)-1] {
			t.Errorf("%s: count %d min %v max %v, want %d %v %v", name, h.Count(), h.Min(), h.Max(), len(all), all[0], all[len(all)-1])
		}
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
			got := h.Quantile(q)
			if diff := math.Abs(float64(got - want)); diff > 1+float64(want)/steps {
				t.Errorf("%s: quantile %v is %v, want %v", name, q, got, want)
			}
		}
	}
}

// TestBuckets checks that buckets are in order, without gaps, and hold their own middle.
func TestBuckets(t *testing.T) {
	last := 0
	for v := uint64(0); v < 1<<20; v++ {
		b := bucket(v)
		if b != last && b != last+1 {
			t.Fatalf("value %d is in bucket %d, the one before in %d", v, b, last)
		}
		last = b
	}
	for i := range buckets {
		if got := bucket(uint64(middle(i))); got != i {
			t.Fatalf("the middle of bucket %d lies in %d", i, got)
		}
	}
	if got := bucket(math.MaxInt64); got != buckets-1 {
		t.Errorf("the longest duration is in bucket %d of %d", got, buckets)
	}
}

func TestEmpty(t *testing.T) {
	var h, o Histogram
	h.Merge(&o)
	if h.Mean() != 0 || h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Errorf("an empty histogram has values: %v %v %v", h.Mean(), h.Quantile(0.5), h.Max())
	}
}
