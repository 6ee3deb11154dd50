package fault

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"aistore/deploy/local"
	"aistore/internal/failpoint"
	"aistore/test/procs"
)

// TestKillAtRebalance kills a node at the points between two durable steps of a rebalance, while clients write and delete; and all
// nodes with it. Each time the rebalance ends by itself, and nothing that was acknowledged is lost or comes back. The long form visits
// every point in both ways.
func TestKillAtRebalance(t *testing.T) {
	points, err := failpoint.Scan(os.DirFS("../.."))
	must(t, err)
	var names []string
	for _, p := range points {
		if strings.HasPrefix(p.Name, "reb.") && p.Name != "reb.wipe" {
			names = append(names, p.Name)
		}
	}
	if len(names) < 8 {
		t.Errorf("%d failpoints of rebalance were found", len(names))
	}
	names = asked(t, names, itself)
	ctx := context.Background()
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2, Binary: procs.Node(t, "failpoints")})
	m := newMover(t, c, procs.Seed(t), c.Client("g1"))
	m.leave(ctx)
	stop := m.traffic(ctx)
	if !long() { // others each run
		rand.New(rand.NewPCG(m.seed, 0)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		names = names[:min(3, len(names))]
	}
	for i, name := range names {
		for _, all := range []bool{false, true} {
			if !long() && all != (i == 0) {
				continue
			}
			m.fill(ctx, 80)
			m.join(ctx, name, all)
			m.leave(ctx)
		}
	}
	m.wipe(ctx)
	stop()
	m.end(ctx, dir)
}

// join brings the comer back, and the node that passes point dies there; or all do with it.
func (m *mover) join(ctx context.Context, point string, all bool) {
	m.t.Helper()
	victim := "t1"
	if strings.Contains(point, "apply") {
		victim = comer
	}
	must(m.t, m.c.Restart(ctx, victim, "AIS_FAILPOINTS="+point+"=kill"))
	m.comes(ctx, comer)
	m.died(ctx, victim, point)
	m.revive(ctx, victim, all)
	m.settled(point)
	m.t.Logf("%s at %s, all: %v", victim, point, all)
	m.verify(ctx)
}

// wipe decommissions the comer, which dies when it begins to remove what it has, and once more.
func (m *mover) wipe(ctx context.Context) {
	m.t.Helper()
	m.fill(ctx, 80) // what it kept alone would not be sent
	m.join(ctx, "reb.after-apply", false)
	must(m.t, m.c.Restart(ctx, comer, "AIS_FAILPOINTS=reb.wipe=kill"))
	m.decommission(ctx, comer)
	m.died(ctx, comer, "reb.wipe")
	must(m.t, m.c.Launch(comer))
	m.gone(ctx, comer)
	m.settled("decommission")
}
