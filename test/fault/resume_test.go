package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"aistore/cluster"
	"aistore/deploy/local"
	"aistore/test/procs"
)

// TestRebalanceResumes interrupts rebalances as a whole: all nodes lose power, the cluster is shut down, a new node joins. Without
// another command it goes on to its end.
func TestRebalanceResumes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2})
	hasten(t, c)
	m := newMover(t, c, procs.Seed(t), c.Clients()...)
	rnd := rand.New(rand.NewPCG(m.seed, 12))
	breaks := []struct {
		name string
		do   func(context.Context) (joined string)
	}{{"power loss of all", m.powerLoss}, {"shutdown of the cluster", m.powerOff}, {"a new node", m.grow}}
	stop := m.traffic(ctx)
	out := false
	for round := range rounds(1, 6) {
		rnd.Shuffle(len(breaks), func(i, j int) { breaks[i], breaks[j] = breaks[j], breaks[i] })
		for _, b := range breaks {
			m.fill(ctx, 30)
			m.slow(ctx, trickle)
			if out = !out; out {
				m.goes(ctx, comer)
			} else {
				m.comes(ctx, comer)
			}
			third := int64(len(m.kept)) / 3
			moved, of := m.underWay(rnd.Int64N(2*third) - third) // often in the moment in which owners have changed
			began := m.at()
			joined := b.do(ctx)
			m.slow(ctx, 0)
			m.settled(b.name)
			t.Logf("round %d, %s after %d objects of %d, comer out: %v: ended %v later", round, b.name, moved, of, out, m.at()-began)
			m.verify(ctx)
			if joined != "" {
				m.online(joined)
				m.decommission(ctx, joined)
				m.gone(ctx, joined)
				m.settled("without the new node")
			}
			if t.Failed() {
				break
			}
		}
	}
	stop()
	m.end(ctx, dir)
}

func (m *mover) powerLoss(ctx context.Context) string {
	m.t.Helper()
	must(m.t, m.c.KillAll(ctx))
	m.c.Up(ctx)
	return ""
}

// powerOff has all nodes end by one command, and starts them again.
func (m *mover) powerOff(ctx context.Context) string {
	m.t.Helper()
	e, err := m.api.Life().ShutdownCluster(ctx)
	must(m.t, err)
	if len(e.Missing) > 0 {
		m.t.Errorf("not all were told to end: %v", e.Missing)
	}
	for _, n := range m.c.Nodes() {
		m.ends(ctx, n.ID)
	}
	m.c.Up(ctx)
	return ""
}

// grow has a new node join, and waits until it owns names.
func (m *mover) grow(ctx context.Context) string {
	m.t.Helper()
	nodes, err := m.c.Add(ctx, local.RoleTarget, local.More{})
	must(m.t, err)
	procs.Eventually(m.t, endsWithin, func(ctx context.Context) error {
		v, err := m.api.View(ctx)
		if err != nil {
			return err
		}
		if n := v.Map.Nodes[cluster.NodeID(nodes[0].ID)]; n == nil || n.Describe() == "standby" {
			return errors.New("it stands by")
		}
		return nil
	})
	return nodes[0].ID
}
