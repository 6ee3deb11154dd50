package rebalance

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aistore/cluster"
	"aistore/internal/spare"
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

// TestShare: while there are clients, work takes its weight, what is idle beyond what is to stay so, and gives it back at once.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Uint64
		var asked atomic.Int64
		var machine atomic.Pointer[spare.Reading]
		machine.Store(&spare.Reading{})
		g := newThrottle(8, func() Load { return Load{Requests: requests.Load()} })
		g.spare = func() spare.Reading { asked.Add(1); return *machine.Load() }
		stop := g.run(t.Context())
		defer stop()
		var worked atomic.Int64
		wctx, end := context.WithCancel(t.Context())
		var workers sync.WaitGroup
		defer workers.Wait()
		defer end()
		for range 8 {
			workers.Go(func() {
				for g.work(wctx, func() { time.Sleep(10 * time.Millisecond) }) == nil {
					worked.Add(int64(10 * time.Millisecond))
				}
			})
		}
		// share is that of one worker's time in the last half of d.
		share := func(d time.Duration) float64 {
			var before int64
			for i := range int(d / lookEvery) {
				requests.Add(1)
				if i == int(d/lookEvery)/2 {
					before = worked.Load()
				}
				time.Sleep(lookEvery)
			}
			return time.Duration(worked.Load()-before).Seconds() / (d / 2).Seconds()
		}
		for _, c := range []struct {
			what        string
			machine     spare.Reading
			least, most float64
		}{
			{"nothing is known", spare.Reading{}, 0.015, 0.025},
			{"no processor is idle", spare.Reading{Known: true, Cores: 8}, 0.015, 0.025},
			{"all are", spare.Reading{Known: true, Cores: 8, Idle: 8}, 7.5, 8.1},
			{"as much as is to be", spare.Reading{Known: true, Cores: 8, Idle: 2}, 7.5, 8.1},
			{"a disk is at work", spare.Reading{Known: true, Cores: 8, Idle: 8, Disk: 0.95}, 0.015, 0.025},
			{"one of two", spare.Reading{Known: true, Cores: 2, Idle: 1}, 0.015, 0.025},
			{"both of two", spare.Reading{Known: true, Cores: 2, Idle: 1.9}, 7.5, 8.1},
			{"less than is to be", spare.Reading{Known: true, Cores: 8, Idle: 1}, 0.015, 0.025},
		} {
			machine.Store(&c.machine)
			if got := share(12 * time.Second); got < c.least || got > c.most {
				t.Errorf("%s: %.3f of a worker's time, not %v to %v", c.what, got, c.least, c.most)
			}
		}
		cfg := cluster.DefaultConfig().Rebalance
		cfg.Spare = 100
		g.set(cfg)
		machine.Store(&spare.Reading{Known: true, Cores: 8, Idle: 8})
		if got := share(12 * time.Second); got > 0.025 {
			t.Errorf("with rebalance.spare=100: %.3f of a worker's time", got)
		}
		end()
		workers.Wait()
		asked.Store(0)
		share(2 * time.Second)
		if n := asked.Load(); n > 1 {
			t.Errorf("the machine was looked at %d times though nothing works", n)
		}
	})
}

// TestThrottleAtRest: clients are looked at often only while something works.
func TestThrottleAtRest(t *testing.T) {
	g := newThrottle(4, func() Load { return Load{} })
	if got := g.pace(); got != lastsFor {
		t.Errorf("at rest: %v", got)
	}
	if err := g.work(t.Context(), func() {
		g.pace() // what began is known
		if got := g.pace(); got != lookEvery {
			t.Errorf("at work: %v", got)
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []time.Duration{lookEvery, lastsFor} { // it rested for a moment
		if got := g.pace(); got != want {
			t.Errorf("after work: %v, want %v", got, want)
		}
	}
}
