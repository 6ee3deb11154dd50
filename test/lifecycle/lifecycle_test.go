package lifecycle

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/deploy/local"
	"aistore/errs"
	"aistore/test/procs"
)

func TestMain(m *testing.M) { procs.Main(m) }

// soonest bounds what takes a moment: a lease, a rebalance of a few objects, the drain of a process.
const soonest = 60 * time.Second

// site is a cluster and a client of it.
type site struct {
	*procs.Cluster
	sdk *client.Client
	t   *testing.T
	ctx context.Context
}

func start(t *testing.T, o local.Options) *site {
	t.Helper()
	s := &site{Cluster: procs.Start(t, o), t: t, ctx: t.Context()}
	s.connect()
	s.must(s.sdk.SetConfig(s.ctx, map[string]string{"timeout.heartbeat": "200ms", "timeout.lease": "2s"}))
	return s
}

func (s *site) connect() {
	s.t.Helper()
	var urls []string
	for _, n := range s.Nodes() {
		if n.Role != local.RoleTarget {
			urls = append(urls, n.URL())
		}
	}
	sdk, err := client.New(client.Options{Endpoints: urls})
	s.must(err)
	s.t.Cleanup(sdk.Close)
	s.sdk = sdk
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// state names what the cluster map says of a node; "" if it does not know it.
func (s *site) state(id string) string {
	s.t.Helper()
	v, err := s.sdk.View(s.ctx)
	s.must(err)
	n := v.Map.Nodes[cluster.NodeID(id)]
	if n == nil {
		return ""
	}
	return n.Describe()
}

// await waits until the node is in a state.
func (s *site) await(id, state string) {
	s.t.Helper()
	procs.Eventually(s.t, soonest, func(context.Context) error {
		if is := s.state(id); is != state {
			return fmt.Errorf("%s is %q, not %q", id, is, state)
		}
		return nil
	})
}

// ends waits until the node's process has ended by itself.
func (s *site) ends(id string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, soonest)
	defer cancel()
	s.must(s.Await(ctx, id))
}

// log returns what the node has logged.
func (s *site) log(id string) string {
	s.t.Helper()
	path, err := s.Logs(id)
	s.must(err)
	b, err := os.ReadFile(path)
	s.must(err)
	return string(b)
}

func content(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8), 7}, 1+i*200) }

// fill puts n objects into a new bucket; some inside the index, some as files.
func (s *site) fill(bucket string, n int) {
	s.t.Helper()
	b := s.sdk.Bucket(bucket)
	s.must(b.Create(s.ctx, nil))
	for i := range n {
		_, err := b.Put(s.ctx, fmt.Sprintf("o-%04d", i), client.Bytes(content(i)), client.PutOptions{})
		s.must(err)
	}
}

// whole reads every object back and lists them.
func (s *site) whole(bucket string, n int) {
	s.t.Helper()
	b := s.sdk.Bucket(bucket)
	for i := range n {
		got, _, err := b.GetBytes(s.ctx, fmt.Sprintf("o-%04d", i), client.GetOptions{})
		if err != nil || !bytes.Equal(got, content(i)) {
			s.t.Fatalf("o-%04d: %d bytes, %v", i, len(got), err)
		}
	}
	listed := 0
	for _, err := range b.List(s.ctx, client.ListOptions{}) {
		s.must(err)
		listed++
	}
	if listed != n {
		s.t.Fatalf("%d objects are listed, want %d", listed, n)
	}
}

func nodes(ids ...string) api.NodesMsg { return api.NodesMsg{Nodes: ids} }

// TestMaintenanceOfAnEmptyCluster survives the restart of everything, and leads back.
func TestMaintenanceOfAnEmptyCluster(t *testing.T) {
	s := start(t, local.Options{Gateways: 1, Targets: 3})
	m, err := s.sdk.Life().StartMaintenance(s.ctx, nodes("t1", "t2"))
	s.must(err)
	if m.Rebalance != "" {
		t.Errorf("an empty cluster rebalances: %q", m.Rebalance)
	}
	s.await("t1", "maintenance (done)")
	s.must(s.KillAll(s.ctx))
	s.Up(s.ctx)
	s.connect()
	s.await("t1", "maintenance (done)")
	_, err = s.sdk.Life().JoinNodes(s.ctx, nodes("t1"))
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "stop-maintenance") {
		t.Errorf("join from maintenance: %v", err)
	}
	_, err = s.sdk.Life().StopMaintenance(s.ctx, nodes("t1", "t2"))
	s.must(err)
	s.await("t1", "online")
	s.await("t2", "online")
	s.fill("bk", 20)
	s.whole("bk", 20)
}

// TestShutdown ends the process of a node and brings it back under its id.
func TestShutdown(t *testing.T) {
	s := start(t, local.Options{Gateways: 1, Targets: 3})
	s.fill("bk", 20)
	_, err := s.sdk.Life().ShutdownNodes(s.ctx, nodes("t2"))
	s.must(err)
	s.ends("t2")
	if log := s.log("t2"); !strings.Contains(log, "its process ends, as was asked for") || !strings.Contains(log, "node stopped") {
		t.Error(log)
	}
	s.await("t2", "shutdown (done)")
	if r, err := s.sdk.Life().Rebalance(s.ctx); err != nil || r.Objects == 0 || r.Nodes["t2"] == nil || r.Nodes["t2"].Objects != r.Objects {
		t.Errorf("what the node moved before it ended: %+v, %v", r, err)
	}
	s.must(s.Start(s.ctx, "t2"))
	s.await("t2", "shutdown (done)") // started, and not yet asked to serve
	if s.PID("t2") == 0 {
		t.Fatal("it has ended again")
	}
	_, err = s.sdk.Life().StopMaintenance(s.ctx, nodes("t2"))
	s.must(err)
	s.await("t2", "online")
	s.whole("bk", 20)
}

// TestPrimaryLeaves takes the primary out of service: another is the primary then, and the reply says who.
func TestPrimaryLeaves(t *testing.T) {
	s := start(t, local.Options{Gateways: 2, Targets: 2})
	v, err := s.sdk.View(s.ctx)
	s.must(err)
	old := string(v.Map.Primary)
	m, err := s.sdk.Life().ShutdownNodes(s.ctx, nodes(old))
	s.must(err)
	s.ends(old)
	v, err = s.sdk.View(s.ctx)
	s.must(err)
	if m.Primary == "" || m.Primary == old || string(v.Map.Primary) != m.Primary {
		t.Errorf("the primary was %s, is %s, the reply says %q", old, v.Map.Primary, m.Primary)
	}
	s.must(s.sdk.Bucket("bk").Create(s.ctx, nil))
	s.must(s.Start(s.ctx, old))
	_, err = s.sdk.Life().StopMaintenance(s.ctx, nodes(old))
	s.must(err)
	s.await(old, "online")
}

// TestDecommissionedGateway is gone at once, and its id refused.
func TestDecommissionedGateway(t *testing.T) {
	s := start(t, local.Options{Gateways: 2, Targets: 2})
	_, err := s.sdk.Life().DecommissionNodes(s.ctx, nodes("g2"))
	s.must(err)
	s.await("g2", "")
	s.refused("g2")
}

// refused waits for the end of a decommissioned node and starts it again, which fails.
func (s *site) refused(id string) {
	s.t.Helper()
	s.ends(id)
	s.must(s.Launch(id))
	s.ends(id)
	if log := s.log(id); !strings.Contains(log, "which was decommissioned") {
		s.t.Errorf("%s was started again: %s", id, log)
	}
}

// TestClusterShutdown stops all nodes by one command; they are the same cluster when they are started again.
func TestClusterShutdown(t *testing.T) {
	s := start(t, local.Options{Gateways: 2, Targets: 3})
	s.fill("bk", 60)
	before, err := s.sdk.View(s.ctx)
	s.must(err)
	e, err := s.sdk.Life().ShutdownCluster(s.ctx)
	s.must(err)
	if len(e.Nodes) != 5 || len(e.Missing) != 0 {
		t.Errorf("%+v", e)
	}
	for _, n := range s.Nodes() {
		s.ends(n.ID)
		if log := s.log(n.ID); !strings.Contains(log, "node stopped") || strings.Contains(log, "level=ERROR") {
			t.Errorf("%s: %s", n.ID, log)
		}
	}
	s.Up(s.ctx)
	s.connect()
	after, err := s.sdk.View(s.ctx)
	s.must(err)
	if after.Map.UUID != before.Map.UUID || after.Map.Epoch != before.Map.Epoch || len(after.Map.Nodes) != 5 {
		t.Errorf("it was %+v and is %+v", before.Map, after.Map)
	}
	s.whole("bk", 60)
}

// TestClusterDecommission destroys everything, and only when that is said.
func TestClusterDecommission(t *testing.T) {
	s := start(t, local.Options{Gateways: 1, Targets: 2})
	s.fill("bk", 60)
	if _, err := s.sdk.Life().DecommissionCluster(s.ctx, api.NodesMsg{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("without saying that objects go: %v", err)
	}
	s.whole("bk", 60)
	all := s.Nodes()
	e, err := s.sdk.Life().DecommissionCluster(s.ctx, api.NodesMsg{RmUserData: true})
	s.must(err)
	if len(e.Nodes) != 3 || len(e.Missing) != 0 {
		t.Errorf("%+v", e)
	}
	for _, n := range all {
		s.ends(n.ID)
		left := 0
		for _, dir := range append([]string{filepath.Join(n.Dir, "state")}, n.Mountpaths...) {
			s.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err == nil && path != dir && d.Name() != "decommissioned" {
					left++
					t.Errorf("%s is left", path)
				}
				return err
			}))
		}
		s.refused(n.ID)
	}
}

// TestRemovedNode is served by nobody when the command returns; it joins again with empty disks.
func TestRemovedNode(t *testing.T) {
	s := start(t, local.Options{Gateways: 1, Targets: 3, Mountpaths: 2})
	s.fill("bk", 30)
	if v, err := s.sdk.View(s.ctx); err != nil || v.Map.Primary == "t3" {
		t.Fatalf("t3 is the primary, or %v", err)
	}
	_, err := s.sdk.Life().RemoveNode(s.ctx, "t3")
	s.must(err)
	s.await("t3", "")
	n, err := s.Node("t3")
	s.must(err)
	procs.Eventually(t, soonest, func(ctx context.Context) error {
		if err := s.sdk.Ready(ctx, n.URL()); err == nil {
			return errs.E("", "t3", errs.Other, "says that it is ready")
		}
		return nil
	})
	s.must(s.Restart(s.ctx, "t3"))
	v, err := s.sdk.View(s.ctx)
	s.must(err)
	if is := v.Map.Nodes["t3"]; is == nil || is.Era != 1 {
		t.Errorf("it is %+v", is)
	}
	if _, err := os.Stat(filepath.Join(n.Mountpaths[0], "set-aside", "0", "index")); err != nil {
		t.Error(err)
	}
	alerts := func(want ...string) { // of t3: one that names all of want, or none
		t.Helper()
		procs.Eventually(t, soonest, func(ctx context.Context) error {
			infos, err := s.sdk.Nodes(ctx)
			if err != nil {
				return err
			}
			for i := range infos {
				if infos[i].ID != "t3" {
					continue
				}
				all := strings.Join(infos[i].Alerts, "\n")
				if len(infos[i].Alerts) != min(1, len(want)) || slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(all, w) }) {
					return fmt.Errorf("alerts are %q, not of %q", all, want)
				}
			}
			return nil
		})
	}
	aside := []string{filepath.Join(n.Mountpaths[0], "set-aside"), filepath.Join(n.Mountpaths[1], "set-aside")}
	alerts(aside...)
	for _, dir := range aside {
		s.must(os.RemoveAll(dir))
	}
	alerts()
}

// TestNewcomersTogether adds three targets at once: one change of the owners.
func TestNewcomersTogether(t *testing.T) {
	s := start(t, local.Options{Gateways: 1, Targets: 2})
	s.must(s.sdk.Bucket("bk").Create(s.ctx, nil))
	before, err := s.sdk.View(s.ctx)
	s.must(err)
	s.must(s.sdk.SetConfig(s.ctx, map[string]string{"rebalance.join_delay": "1h"})) // however long a busy machine takes to start three processes
	_, err = s.Add(s.ctx, local.RoleTarget, local.More{Count: 3})
	s.must(err)
	for _, id := range []string{"t3", "t4", "t5"} {
		s.await(id, "standby")
	}
	s.must(s.sdk.SetConfig(s.ctx, map[string]string{"rebalance.join_delay": "100ms"}))
	procs.Eventually(t, soonest, func(context.Context) error {
		v, err := s.sdk.View(s.ctx)
		if err != nil {
			return err
		}
		if n := len(v.Map.Targets()); n != 5 {
			return fmt.Errorf("%d targets are in service", n)
		}
		return nil
	})
	after, err := s.sdk.View(s.ctx)
	s.must(err)
	if after.Map.Epoch != before.Map.Epoch+1 {
		t.Errorf("epoch %d, was %d", after.Map.Epoch, before.Map.Epoch)
	}
}

// TestStandby waits to be joined by hand.
func TestStandby(t *testing.T) {
	s := start(t, local.Options{Gateways: 1, Targets: 2})
	s.must(s.sdk.Bucket("bk").Create(s.ctx, nil))
	s.must(s.sdk.SetConfig(s.ctx, map[string]string{"rebalance.join_delay": "1ms"}))
	_, err := s.Add(s.ctx, local.RoleTarget, local.More{Count: 1, Env: []string{"AIS_NODE_STANDBY=true"}})
	s.must(err)
	s.await("t3", "standby")
	m, err := s.sdk.Life().JoinNodes(s.ctx, nodes("t[t3]"))
	s.must(err)
	if m.Rebalance == "" {
		t.Error("no rebalance is named")
	}
	if is := s.state("t3"); is != "standby (joining)" && is != "online" {
		t.Errorf("t3 is %q", is)
	}
}
