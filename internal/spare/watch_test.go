package spare

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestShort asks while the idle time of a machine that is made up passes faster and slower, and not at all.
func TestShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatch()
		cores := w.meter.Look(nil).Cores
		var idle float64 // of all processors, in hundredths of a second
		looks := 0
		w.meter = Meter{
			read: func(string) []byte { looks++; return fmt.Appendf(nil, "cpu 1 0 1 %d 20 0 0\n", 1000+int(idle)) },
			used: func() time.Duration { return 0 },
		}
		// pass lets the time go by while a share of the processors is idle, and asks all along.
		pass := func(share float64) (short bool) {
			for range 100 {
				time.Sleep(10 * time.Millisecond)
				idle += share * cores
				short = w.Short()
				synctest.Wait()
			}
			return short
		}
		if w.Short() {
			t.Error("short before it is known")
		}
		synctest.Wait()
		for _, c := range []struct {
			idle  float64
			short bool
		}{{1, false}, {0, true}, {0.25, true}, {0.35, false}, {0.1, true}} {
			before := looks
			if got := pass(c.idle); got != c.short {
				t.Errorf("with %.2f of the processors idle: short = %t", c.idle, got)
			}
			if n := looks - before; n < 4 || n > 12 { // the disks are read too
				t.Errorf("%d files read in a second", n)
			}
		}
		before := looks
		time.Sleep(time.Hour)
		synctest.Wait()
		if looks != before {
			t.Error("it looks while nobody asks")
		}
		w.Short()
		synctest.Wait()
		if w.Short() {
			t.Error("short from what was an hour ago")
		}
	})
	if (*Watch)(nil).Short() {
		t.Error("a nil Watch says that processors are short")
	}
}
