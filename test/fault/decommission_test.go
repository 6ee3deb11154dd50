package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"aistore/api"
	"aistore/deploy/local"
	"aistore/errs"
	"aistore/test/procs"
)

// TestDecommissionInterrupted interrupts the decommissioning of a target at random instants: the node is killed, or the primary, or one
// who takes what it has, or it is taken back while that is possible. Repeated, or reversed and done again, it ends: the node is gone for
// ever, and nothing is lost.
func TestDecommissionInterrupted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 3, Targets: 3, Mountpaths: 1})
	hasten(t, c)
	m := newMover(t, c, procs.Seed(t), c.Gateways()...)
	rnd := rand.New(rand.NewPCG(m.seed, 11))
	kinds := []string{"the node", "the primary", "a receiver", "reversed"}
	rnd.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	stop := m.traffic(ctx)
	for i := range rounds(2, 12) {
		m.fill(ctx, 20)
		id := m.newcomer(ctx)
		m.slow(ctx, trickle)
		m.decommission(ctx, id)
		moved, of := m.underWay(rnd.Int64N(int64(len(m.kept)+len(m.load.Names)) / 4))
		began := m.at()
		var end string
		switch kind := kinds[i%len(kinds)]; kind {
		case "reversed":
			end = m.reverse(ctx, id)
		default:
			lost := map[string]string{"the node": id, "the primary": primary(ctx, t, m.gw), "a receiver": "t1"}[kind]
			end = m.loseAndRepeat(ctx, id, lost)
		}
		m.slow(ctx, 0)
		m.gone(ctx, id)
		m.settled("decommission")
		t.Logf("%s after %d objects of %d, %s: %s; done after %v", id, moved, of, kinds[i%len(kinds)], end, m.at()-began)
		m.verify(ctx)
		if t.Failed() {
			break
		}
	}
	stop()
	m.end(ctx, dir)
}

// loseAndRepeat kills a node, starts it again, and asks for the same once more. It tells what the answer was.
func (m *mover) loseAndRepeat(ctx context.Context, id, lost string) string {
	m.t.Helper()
	must(m.t, m.c.Kill(ctx, lost))
	m.served(20)
	if lost == id {
		must(m.t, m.c.Launch(id)) // it may be refused already
	} else {
		must(m.t, m.c.Start(ctx, lost))
	}
	said := "taken"
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().DecommissionNodes(ctx, api.NodesMsg{Nodes: []string{id}, RmUserData: true})
		if errs.Is(err, errs.NotFound, errs.Conflict) { // it is gone
			said, err = err.Error(), nil
		}
		return err
	})
	return fmt.Sprintf("%s killed, the second command was %s", lost, said)
}

// reverse takes a node back that is leaving for ever, if it is not too late, and sends it away again.
func (m *mover) reverse(ctx context.Context, id string) string {
	m.t.Helper()
	late := ""
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().StopMaintenance(ctx, nodesMsg(id))
		if errs.Is(err, errs.NotFound, errs.Conflict) {
			late, err = err.Error(), nil
		}
		return err
	})
	if late != "" {
		return "too late: " + late
	}
	m.online(id)
	m.settled("taken back")
	m.verify(ctx)
	m.decommission(ctx, id)
	return "taken back"
}
