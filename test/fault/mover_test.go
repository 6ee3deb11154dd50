package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/errs"
	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// comer is the target that leaves and comes back.
const comer = "t3"

// endsWithin bounds how long a rebalance of a few megabytes may take once nothing is in its way.
const endsWithin = 2 * time.Minute

// mover takes targets out and in while clients change what lies on them.
type mover struct {
	t    *testing.T
	c    *procs.Cluster
	gw   *plain.Client
	api  *client.Client
	load *linear.Load
	kept map[string]value.Value // objects that are written once
	seed uint64
}

// newMover makes the buckets and fills one. The load goes to the clients.
func newMover(t *testing.T, c *procs.Cluster, seed uint64, clients ...*plain.Client) *mover {
	t.Helper()
	m := &mover{t: t, c: c, gw: c.Client("g1"), kept: map[string]value.Value{}, seed: seed}
	var gateways []string
	for _, n := range c.Nodes() {
		if n.Role == local.RoleProxy {
			gateways = append(gateways, n.URL())
		}
	}
	var err error
	m.api, err = client.New(client.Options{Endpoints: gateways})
	must(t, err)
	t.Cleanup(m.api.Close)
	must(t, m.gw.CreateBucket(context.Background(), "moving"))
	must(t, m.gw.CreateBucket(context.Background(), "kept"))
	m.load = &linear.Load{
		Clients: linear.Plain(clients...), Listers: linear.Plain(c.Gateways()...), Bucket: "moving", Names: linear.Names(60), Workers: 3,
		Timeout: 15 * time.Second, Seed: seed, History: linear.NewHistory(),
	}
	m.fill(context.Background(), 80)
	return m
}

// traffic keeps clients busy, and those of more loads, until the returned function is called.
func (m *mover) traffic(ctx context.Context, more ...*linear.Load) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var loads sync.WaitGroup
	for _, l := range append(more, m.load) {
		loads.Go(func() { l.Run(ctx) })
	}
	return func() { cancel(); loads.Wait() }
}

// beside returns a load of the same names through other clients: those of the first may all wait for one node.
func (m *mover) beside(clients ...*plain.Client) *linear.Load {
	return &linear.Load{
		Clients: linear.Plain(clients...), Bucket: m.load.Bucket, Names: m.load.Names, Workers: 4, Timeout: 5 * time.Second,
		Seed: m.seed + 1, History: m.load.History,
	}
}

// fill writes n more objects, so that there is always something that the one who comes does not have.
func (m *mover) fill(ctx context.Context, n int) {
	m.t.Helper()
	for range n {
		i := len(m.kept)
		v := value.Value{ID: m.seed<<20 + uint64(i), Size: []int64{100, 4096, 4096, 4096, 200_000}[i%5]}
		if i%20 == 0 {
			v.Size = 1_500_000
		}
		name := fmt.Sprintf("object-%06d", i)
		procs.Eventually(m.t, time.Minute, func(context.Context) error { return check(m.gw.Put(ctx, "kept", name, v.Bytes())) })
		m.kept[name] = v
	}
}

// slow bounds what each node sends in a second, so that something can be done to it meanwhile; 0 bounds nothing.
func (m *mover) slow(ctx context.Context, bytes int) {
	m.t.Helper()
	procs.Eventually(m.t, time.Minute, func(context.Context) error {
		return m.gw.Configure(ctx, "rebalance.bandwidth", strconv.Itoa(bytes))
	})
}

// underWay returns when so many objects have been moved, or the rebalance has ended; it tells how many were, and of how many.
func (m *mover) underWay(least int64) (moved, of int64) {
	m.t.Helper()
	procs.Eventually(m.t, endsWithin, func(ctx context.Context) error {
		r, err := m.api.Life().Rebalance(ctx)
		if err != nil {
			return err
		}
		if moved, of = r.Objects, r.TotalObjects; r.Running && moved < least {
			return fmt.Errorf("%d objects of %d are moved", moved, least)
		}
		return nil
	})
	return moved, of
}

// settled waits for the end of the rebalance.
func (m *mover) settled(what string) {
	m.t.Helper()
	procs.Eventually(m.t, endsWithin, func(ctx context.Context) error {
		r, err := m.api.Life().Rebalance(ctx)
		if err != nil {
			return err
		}
		if r.Running {
			return fmt.Errorf("%s: it goes on: %+v, nodes %+v", what, r.RebalanceStatus, r.Nodes)
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

// goes begins to take nodes out of service.
func (m *mover) goes(ctx context.Context, ids ...string) {
	m.t.Helper()
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().StartMaintenance(ctx, nodesMsg(ids...))
		return err
	})
}

// comes begins to take nodes into service again.
func (m *mover) comes(ctx context.Context, ids ...string) {
	m.t.Helper()
	m.retried(ctx, func(ctx context.Context) error {
		_, err := m.api.Life().StopMaintenance(ctx, nodesMsg(ids...))
		return err
	})
}

func (m *mover) leave(ctx context.Context) {
	m.t.Helper()
	m.goes(ctx, comer)
	m.settled("leave")
}

// served returns when so many more requests of the load have got an answer that says something.
func (m *mover) served(more int) {
	m.t.Helper()
	know := func() int { return sum(m.load.History.Count()) - m.load.History.Count()[linear.Nothing] }
	before := know()
	procs.Eventually(m.t, endsWithin, func(context.Context) error {
		if n := know() - before; n < more {
			return fmt.Errorf("%d of %d requests answered", n, more)
		}
		return nil
	})
}

func sum(counts map[linear.Result]int) (n int) {
	for c := range maps.Values(counts) {
		n += c
	}
	return n
}

// verify reads every object that is written once.
func (m *mover) verify(ctx context.Context) {
	m.t.Helper()
	for name, v := range m.kept {
		var b []byte
		_, err := procs.Await(time.Minute, func(context.Context) error { // a node that has just come back may have to wait for its lease
			var err error
			if b, _, err = m.gw.Get(ctx, "kept", name); plain.Status(err) == http.StatusServiceUnavailable {
				return err
			}
			if err != nil {
				m.t.Errorf("%s: %v", name, err)
			} else if int64(len(b)) != v.Size || v.Check(b, 0) != nil {
				m.t.Errorf("%s: %d bytes of %d: %v", name, len(b), v.Size, v.Check(b, 0))
			}
			return nil
		})
		must(m.t, err)
	}
}

// inPlace wants every object in its place, and whole, by the check that users have. It is not asked while names move.
func (m *mover) inPlace(ctx context.Context) {
	m.t.Helper()
	var r *api.CheckReport
	procs.Eventually(m.t, time.Minute, func(context.Context) error {
		var err error
		r, err = m.api.Life().Check(ctx, client.CheckOptions{Deep: true})
		if err == nil && (r.Rebalancing || len(r.Unchecked) > 0) {
			err = fmt.Errorf("not all was checked: %v, %v", r.Rebalancing, r.Unchecked)
		}
		return err
	})
	if r.Checked == 0 || r.Faults() != 0 {
		m.t.Errorf("the check finds %+v", r.CheckCounts)
		for id, n := range r.Nodes {
			m.t.Errorf("%s: %+v", id, *n)
		}
	}
}

// end judges everything once the load has stopped and the cluster is at rest.
func (m *mover) end(ctx context.Context, dir string) {
	m.t.Helper()
	m.settled("the end")
	must(m.t, m.load.Audit(ctx))
	judge(m.t, dir, m.load.History)
	m.verify(ctx)
	m.inPlace(ctx)
	es, err := m.gw.List(ctx, "kept", plain.ListQuery{})
	must(m.t, err)
	if len(es) != len(m.kept) {
		m.t.Errorf("%d objects are listed of %d", len(es), len(m.kept))
	}
}

// at returns the time since the load began, for logs.
func (m *mover) at() time.Duration {
	return time.Duration(m.load.History.Now()).Round(10 * time.Millisecond)
}

// died waits until a node has met its failpoint.
func (m *mover) died(ctx context.Context, id, where string) {
	m.t.Helper()
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := m.c.Await(wait, id); err != nil {
		m.t.Fatalf("%s did not come to %s: %v", id, where, err)
	}
}

// revive starts who has died; or kills all the others too, and starts all.
func (m *mover) revive(ctx context.Context, id string, all bool) {
	m.t.Helper()
	if !all {
		must(m.t, m.c.Start(ctx, id))
		return
	}
	must(m.t, m.c.KillAll(ctx))
	m.c.Up(ctx)
}

// gone waits until a node is in no cluster map, its process has ended, and it is refused when it is started again.
func (m *mover) gone(ctx context.Context, id string) {
	m.t.Helper()
	procs.Eventually(m.t, endsWithin, func(ctx context.Context) error {
		s, err := m.api.Smap(ctx)
		if err != nil {
			return err
		}
		if _, there := s.Tmap[id]; there {
			return errors.New("the decommissioned node is still in the map")
		}
		return nil
	})
	m.ends(ctx, id)
	must(m.t, m.c.Launch(id))
	m.ends(ctx, id)
}

// ends waits until a node's process has ended by itself.
func (m *mover) ends(ctx context.Context, id string) {
	m.t.Helper()
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := m.c.Await(wait, id); err != nil {
		m.t.Fatalf("%s does not end: %v", id, err)
	}
}
