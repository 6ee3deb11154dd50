package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/deploy/local"
	"aistore/test/procs"
)

// TestReplacedWhilePaused stops a target until it counts as dead and is replaced meanwhile, in one of several ways, and wakes it: what it
// answers then to requests that waited in its sockets, and what it sends to others, must fit what everybody else saw. Nothing that
// was acknowledged is lost.
func TestReplacedWhilePaused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	seed := procs.Seed(t)
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 4, Mountpaths: 2})
	hasten(t, c)
	m := newMover(t, c, seed, c.Clients()...)
	m.load.Timeout = time.Minute // some wait for the one who stands still
	stories := []struct {
		name string
		tell func(context.Context)
	}{
		{"lost", m.lost},
		{"taken out", m.takenOut},
		{"taken out and half empty", m.halfEmpty},
		{"half back and turned away", m.halfBack},
		{"shut down", m.shutDown},
		{"decommissioned", m.decommissioned},
	}
	rnd := rand.New(rand.NewPCG(seed, 8))
	rnd.Shuffle(len(stories), func(i, j int) { stories[i], stories[j] = stories[j], stories[i] })
	told := stories
	if !long() { // others each run
		told = stories[:2]
	}
	stop := m.traffic(ctx, m.beside(m.gw))
	for round := range rounds(1, 3) {
		for _, s := range told {
			m.fill(ctx, 40)
			began := m.at()
			s.tell(ctx)
			m.slow(ctx, 0)
			m.settled(s.name)
			m.verify(ctx)
			t.Logf("round %d, %s: %v", round, s.name, m.at()-began)
			if t.Failed() {
				break
			}
		}
	}
	stop()
	m.end(ctx, dir)
}

// trickle is a rate at which a rebalance of these tests takes seconds.
const trickle = 300_000

// lies lets others find out that a node stands still, and makes requests until they have gone on without it for a while.
func (m *mover) lies(id string) {
	m.t.Helper()
	procs.Eventually(m.t, procs.Patience, alive(m.gw, id, false))
	m.served(60)
}

// wake lets a node go on.
func (m *mover) wake(id string) {
	m.t.Helper()
	must(m.t, m.c.Signal(id, syscall.SIGCONT))
	procs.Eventually(m.t, procs.Patience, alive(m.gw, id, true))
}

func (m *mover) lost(context.Context) {
	pause(m.t, m.c, comer)
	m.lies(comer)
	m.wake(comer)
}

func (m *mover) takenOut(ctx context.Context) {
	pause(m.t, m.c, comer)
	m.goes(ctx, comer)
	m.lies(comer)
	m.wake(comer)
	m.settled("taken out")
	m.verify(ctx)
	m.comes(ctx, comer)
}

// halfEmpty stops a source that has given a part of its keys away. Clients change those; it then goes on to send what it has read.
func (m *mover) halfEmpty(ctx context.Context) {
	m.slow(ctx, trickle)
	m.goes(ctx, comer)
	m.underWay(10)
	pause(m.t, m.c, comer)
	m.lies(comer)
	m.wake(comer)
	m.slow(ctx, 0)
	m.settled("half empty")
	m.verify(ctx)
	m.comes(ctx, comer)
}

// halfBack stops an owner that has got a part of its keys back, and perhaps changed them; they go to others again.
func (m *mover) halfBack(ctx context.Context) {
	m.leave(ctx)
	m.fill(ctx, 40)
	m.slow(ctx, trickle)
	m.comes(ctx, comer)
	m.underWay(10)
	pause(m.t, m.c, comer)
	m.goes(ctx, comer)
	m.lies(comer)
	m.wake(comer)
	m.slow(ctx, 0)
	m.settled("half back")
	m.verify(ctx)
	m.comes(ctx, comer)
}

func (m *mover) shutDown(ctx context.Context) {
	pause(m.t, m.c, comer)
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().ShutdownNodes(ctx, nodesMsg(comer))
		return err
	})
	m.lies(comer)
	must(m.t, m.c.Signal(comer, syscall.SIGCONT))
	m.ends(ctx, comer)
	m.settled("shut down")
	m.verify(ctx)
	must(m.t, m.c.Start(ctx, comer))
	m.comes(ctx, comer)
}

func (m *mover) decommissioned(ctx context.Context) {
	id := m.newcomer(ctx)
	m.slow(ctx, trickle)
	pause(m.t, m.c, id)
	m.decommission(ctx, id)
	m.lies(id)
	must(m.t, m.c.Signal(id, syscall.SIGCONT))
	m.slow(ctx, 0)
	m.gone(ctx, id)
}

func (m *mover) decommission(ctx context.Context, id string) {
	m.t.Helper()
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().DecommissionNodes(ctx, api.NodesMsg{Nodes: []string{id}, RmUserData: true})
		return err
	})
}

// newcomer adds a target, which is in service when this returns.
func (m *mover) newcomer(ctx context.Context) string {
	m.t.Helper()
	nodes, err := m.c.Add(ctx, local.RoleTarget, local.More{})
	must(m.t, err)
	m.online(nodes[0].ID)
	m.settled("a new node")
	return nodes[0].ID
}

// online waits until a node is in service and has all that belongs to it.
func (m *mover) online(id string) {
	m.t.Helper()
	procs.Eventually(m.t, endsWithin, func(ctx context.Context) error {
		v, err := m.api.View(ctx)
		if err != nil {
			return err
		}
		if n := v.Map.Nodes[cluster.NodeID(id)]; n == nil || n.Describe() != "online" {
			return fmt.Errorf("%s is %+v", id, n)
		}
		return nil
	})
}
