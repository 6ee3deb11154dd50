package indexfs

import (
	"testing"
	"time"
)

// TestPacer lets as many writers wait for syncs of one length as given, many times.
func TestPacer(t *testing.T) {
	const took = 400 * time.Microsecond
	for name, c := range map[string]struct {
		waiting  []int64 // in turn
		took     time.Duration
		short    bool
		min, max time.Duration
	}{
		"a lone writer":           {[]int64{1}, took, true, 0, 0},
		"sometimes two":           {[]int64{1, 1, 2}, took, true, 0, 0},
		"two":                     {[]int64{2}, took, true, took * 8 / 10, took},
		"many":                    {[]int64{4}, took, true, took * 18 / 10, 2 * took},
		"one and many, in turn":   {[]int64{1, 7}, took, true, took * 18 / 10, 2 * took},
		"so many that they share": {[]int64{10}, took, true, 0, 0},
		"a slow disk":             {[]int64{4}, 50 * time.Millisecond, true, maxPause, maxPause},
		"processors are idle":     {[]int64{4}, took, false, 0, 0},
	} {
		p := Pacer{Short: func() bool { return c.short }}
		for i := range 200 * len(c.waiting) {
			p.Synced(c.waiting[i%len(c.waiting)], c.took)
		}
		if got := p.Next(); got < c.min || got > c.max {
			t.Errorf("%s: rests %v, want %v to %v", name, got, c.min, c.max)
		}
	}
	var p Pacer
	for range 100 {
		p.Synced(4, took)
	}
	if got := p.Next(); got != 0 {
		t.Errorf("rests %v where nothing is known of processors", got)
	}
}
