package fault

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/procs"
)

// TestOneWayPartitions drops packets in one direction between two nodes during a rebalance, for longer than a lease or less, and lets them
// through again: the rebalance ends, and what clients saw has an order. It needs root.
func TestOneWayPartitions(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	ctx := context.Background()
	seed := procs.Seed(t)
	dir := procs.Dir(t)
	k := startApart(t, local.Options{Dir: dir, Gateways: 2, Targets: 3, Mountpaths: 2})
	c := k.c
	hasten(t, c)
	m := newMover(t, c, seed, c.Clients()...)
	const owner = "t1"
	lead := func() string { return primary(ctx, t, m.gw) }
	cuts := []struct {
		name     string
		from, to func() string
	}{
		{"owner to primary", is(owner), lead},
		{"primary to owner", lead, is(owner)},
		{"comer to owner", is(comer), is(owner)},
		{"owner to comer", is(owner), is(comer)},
		{"gateway to target", is("g1"), is(owner)},
		{"target to gateway", is(owner), is("g1")},
		{"comer to primary", is(comer), lead},
	}
	rnd := rand.New(rand.NewPCG(seed, 9))
	out := false // the comer is
	stop := m.traffic(ctx)
	done := 0
	once := func(name, from, to string) (dropped int) {
		m.fill(ctx, 30)
		began := m.at()
		m.slow(ctx, trickle)
		if out = !out; out {
			m.goes(ctx, comer)
		} else {
			m.comes(ctx, comer)
		}
		moved, _ := m.underWay(3)
		k.cut(from, to)
		<-time.After(lease/2 + time.Duration(rnd.Int64N(int64(2*lease)))) // time itself is what must pass here
		dropped = k.heal()
		healed := m.at()
		m.slow(ctx, 0)
		m.settled(name)
		t.Logf("%s (%s to %s), comer out: %v: %d objects before, %d packets dropped, ended %v after the end of the cut, %v in all",
			name, from, to, out, moved, dropped, m.at()-healed, m.at()-began)
		m.verify(ctx)
		return dropped
	}
	for range rounds(1, 4) {
		rnd.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
		for _, cut := range cuts[:rounds(2, len(cuts))] {
			from, to := cut.from(), cut.to()
			if from == to {
				continue
			}
			for try := 1; once(cut.name, from, to) == 0; try++ { // what was still to be moved may have been for others
				if try == 5 {
					t.Errorf("%s: nothing was on its way, %d times", cut.name, try)
					break
				}
			}
			done++
			if t.Failed() {
				stop()
				t.FailNow()
			}
		}
	}
	stop()
	m.end(ctx, dir)
	t.Logf("%d cuts", done)
}

func is(id string) func() string { return func() string { return id } }
