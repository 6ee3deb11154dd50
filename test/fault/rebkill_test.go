package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// comer is the target that leaves and comes back in TestKillAtRebalance.
const comer = "t3"

// TestKillAtRebalance kills a node at the points between two durable steps of a rebalance, while clients write and delete; and all
// nodes with it. Each time the rebalance ends by itself, and nothing that was acknowledged is lost or comes back. The long form visits
// every point in both ways.
func TestKillAtRebalance(t *testing.T) {
	points, err := failpoint.Scan(os.DirFS("../.."))
	must(t, err)
	ctx := context.Background()
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2, Binary: procs.Node(t, "failpoints")})
	m := newMover(t, c, procs.Seed(t))
	m.leave(ctx)
	stop := m.traffic(ctx)
	var names []string
	for _, p := range points {
		if strings.HasPrefix(p.Name, "reb.") && p.Name != "reb.wipe" {
			names = append(names, p.Name)
		}
	}
	if len(names) < 8 {
		t.Errorf("%d failpoints of rebalance were found", len(names))
	}
	if !long() { // others each run
		rand.New(rand.NewPCG(m.seed, 0)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		names = names[:3]
	}
	for i, name := range names {
		for _, all := range []bool{false, true} {
			if !long() && all != (i == 0) {
				continue
			}
			m.fill(ctx)
			m.join(ctx, name, all)
			m.leave(ctx)
		}
	}
	m.wipe(ctx)
	stop()
	must(t, m.load.Audit(ctx))
	judge(t, dir, m.load.History)
	m.verify(ctx)
}

// mover takes a target out and in.
type mover struct {
	t    *testing.T
	c    *procs.Cluster
	gw   *plain.Client
	api  *client.Client
	load *linear.Load
	kept map[string]value.Value // objects that are written once
	seed uint64
}

func newMover(t *testing.T, c *procs.Cluster, seed uint64) *mover {
	t.Helper()
	m := &mover{t: t, c: c, gw: c.Client("g1"), kept: map[string]value.Value{}, seed: seed}
	var err error
	m.api, err = client.New(client.Options{Endpoints: []string{m.gw.Endpoint()}})
	must(t, err)
	t.Cleanup(m.api.Close)
	must(t, m.gw.CreateBucket(context.Background(), "moving"))
	must(t, m.gw.CreateBucket(context.Background(), "kept"))
	m.load = &linear.Load{
		Clients: linear.Plain(m.gw), Bucket: "moving", Names: linear.Names(60), Workers: 3, Timeout: 15 * time.Second,
		Seed: seed, History: linear.NewHistory(),
	}
	m.fill(context.Background())
	return m
}

// traffic keeps clients busy until the returned function is called.
func (m *mover) traffic(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.load.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

// fill writes some more objects, so that there is always something that the one who comes does not have.
func (m *mover) fill(ctx context.Context) {
	m.t.Helper()
	for range 80 {
		i := len(m.kept)
		v := value.Value{ID: m.seed<<20 + uint64(i), Size: []int64{100, 4096, 4096, 4096, 200_000}[i%5]}
		if i%20 == 0 {
			v.Size = 1_500_000
		}
		name := fmt.Sprintf("object-%06d", i)
		_, err := m.gw.Put(ctx, "kept", name, v.Bytes())
		must(m.t, err)
		m.kept[name] = v
	}
}

// settled waits for the end of the rebalance.
func (m *mover) settled(what string) {
	m.t.Helper()
	procs.Eventually(m.t, 2*time.Minute, func(ctx context.Context) error {
		r, err := m.api.Life().Rebalance(ctx)
		if err != nil {
			return err
		}
		if r.Running {
			return fmt.Errorf("%s: it goes on: %+v", what, r)
		}
		return nil
	})
}

func nodesMsg(ids ...string) api.NodesMsg { return api.NodesMsg{Nodes: ids} }

// retried makes a change of the cluster, again while there is nobody to make it.
func (m *mover) retried(ctx context.Context, change func(context.Context) error) {
	m.t.Helper()
	procs.Eventually(m.t, time.Minute, func(context.Context) error {
		err := change(ctx)
		if err != nil && !errs.Is(err, errs.Unavailable, errs.Timeout, errs.NotPrimary, errs.Busy) {
			m.t.Fatal(err)
		}
		return err
	})
}

func (m *mover) leave(ctx context.Context) {
	m.t.Helper()
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().StartMaintenance(ctx, nodesMsg(comer))
		return err
	})
	m.settled("leave")
}

// join brings the comer back, and the node that passes point dies there; or all do with it.
func (m *mover) join(ctx context.Context, point string, all bool) {
	m.t.Helper()
	victim := "t1"
	if strings.Contains(point, "apply") {
		victim = comer
	}
	must(m.t, m.c.Restart(ctx, victim, "AIS_FAILPOINTS="+point+"=kill"))
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().StopMaintenance(ctx, nodesMsg(comer))
		return err
	})
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := m.c.Await(wait, victim); err != nil {
		m.t.Fatalf("%s did not come to %s: %v", victim, point, err)
	}
	if all {
		must(m.t, m.c.KillAll(ctx))
		m.c.Up(ctx)
	} else {
		must(m.t, m.c.Start(ctx, victim))
	}
	m.settled(point)
	m.t.Logf("%s at %s, all: %v", victim, point, all)
	m.verify(ctx)
}

// wipe decommissions the comer, which dies when it begins to remove what it has, and once more.
func (m *mover) wipe(ctx context.Context) {
	m.t.Helper()
	m.join(ctx, "reb.after-apply", false)
	must(m.t, m.c.Restart(ctx, comer, "AIS_FAILPOINTS=reb.wipe=kill"))
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().DecommissionNodes(ctx, api.NodesMsg{Nodes: []string{comer}, RmUserData: true})
		return err
	})
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	must(m.t, m.c.Await(wait, comer))
	must(m.t, m.c.Launch(comer))
	procs.Eventually(m.t, time.Minute, func(ctx context.Context) error {
		s, err := m.api.Smap(ctx)
		if err != nil {
			return err
		}
		if _, there := s.Tmap[comer]; there {
			return errors.New("the decommissioned node is still in the map")
		}
		return nil
	})
	m.settled("decommission")
}

// verify reads every object that is written once.
func (m *mover) verify(ctx context.Context) {
	m.t.Helper()
	for name, v := range m.kept {
		b, _, err := m.gw.Get(ctx, "kept", name)
		if err != nil {
			m.t.Errorf("%s: %v", name, err)
		} else if int64(len(b)) != v.Size || v.Check(b, 0) != nil {
			m.t.Errorf("%s: %d bytes of %d: %v", name, len(b), v.Size, v.Check(b, 0))
		}
	}
}
