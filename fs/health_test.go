package fs

import (
	"testing"
	"time"
)

// TestStuckFromTheFirstLook: a disk that hangs when it is looked at first is slow, though nothing is known of it; and the wait is not
// taken for what is usual.
func TestStuckFromTheFirstLook(t *testing.T) {
	s := Slowness{Factor: 8}.WithDefaults()
	others := func() []time.Duration { return []time.Duration{time.Millisecond, time.Millisecond} }
	var p pace
	p.look(Counters{}, 4*time.Second)
	if !p.judge(others(), s) {
		t.Errorf("a disk without an answer for 4 s is not slow: %+v", p)
	}
	c := Counters{}
	for range 20 { // it answers again
		c.Reads, c.ReadNanos = c.Reads+10, c.ReadNanos+10*int64(time.Millisecond)
		p.look(c, 0)
		if p.judge(others(), s) {
			t.Fatalf("a disk that answers within 1 ms is slow: %+v", p)
		}
	}
	p.look(c, 4*time.Second)
	if !p.judge(others(), s) {
		t.Errorf("it hangs again and is not slow: %+v", p)
	}
}
