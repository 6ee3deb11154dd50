package rebalance

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"aistore/cluster"
)

// TestCancelledTakesNoTurn: one who no longer wants to work does not keep the place of others.
func TestCancelledTakesNoTurn(t *testing.T) {
	g := newThrottle(1, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if g.work(ended, func() { t.Error("worked") }) == nil {
			t.Error("no error although the context has ended")
		}
	}
	worked := false
	if err := g.work(t.Context(), func() { worked = true }); err != nil || !worked {
		t.Errorf("the next one: %v, worked: %v", err, worked)
	}
}

// TestFetchesCount: what owners fetch is taken from the bandwidth of what moves, which keeps a quarter and owes no more than a second.
func TestFetchesCount(t *testing.T) {
	for _, c := range []struct {
		fetched int64 // before each of ten pieces
		want    time.Duration
	}{
		{0, 9 * 100 * time.Millisecond},
		{50, 10*50*time.Millisecond + 9*100*time.Millisecond},
		{100_000, 10*300*time.Millisecond + 9*100*time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := Load{}
			g := newThrottle(1, func() Load { return l })
			cfg := cluster.DefaultConfig().Rebalance
			cfg.Bandwidth = 1000
			g.set(cfg)
			began := time.Now()
			for range 10 {
				l.Fetched += c.fetched
				g.look(time.Now(), time.Time{})
				if err := g.spend(t.Context(), 100); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took != c.want {
				t.Errorf("with %d bytes fetched before each of ten pieces they took %v, not %v", c.fetched, took, c.want)
			}
			if g.owed > 1000 {
				t.Errorf("%d bytes are owed", g.owed)
			}
		})
	}
}
