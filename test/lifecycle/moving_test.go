package lifecycle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
)

// settled waits for a rebalance and finds everything in its place.
func (s *site) settled(id string) {
	s.t.Helper()
	if id == "" {
		s.t.Fatal("no rebalance was begun")
	}
	s.must(s.sdk.Job(id).Wait(s.ctx))
	s.checked()
}

// checked finds every object in its place.
func (s *site) checked() {
	s.t.Helper()
	r, err := s.sdk.Life().Check(s.ctx, client.CheckOptions{Deep: true})
	s.must(err)
	if r.Checked == 0 || r.Faults() != 0 || r.Rebalancing {
		s.t.Fatalf("%+v", r)
	}
}

// TestMaintenanceOfAFilledCluster there and back: everything can be read at every moment.
func TestMaintenanceOfAFilledCluster(t *testing.T) {
	const n = 200
	s := start(t, local.Options{Gateways: 1, Targets: 3})
	s.fill("bk", n)
	m, err := s.sdk.Life().StartMaintenance(s.ctx, nodes("t1"))
	s.must(err)
	s.whole("bk", n)
	s.settled(m.Rebalance)
	s.await("t1", "maintenance (done)")
	s.must(s.Stop(s.ctx, "t1")) // it may be powered off now
	s.whole("bk", n)
	s.must(s.Start(s.ctx, "t1"))
	m, err = s.sdk.Life().StopMaintenance(s.ctx, nodes("t1"))
	s.must(err)
	s.whole("bk", n)
	s.settled(m.Rebalance)
	s.await("t1", "online")
	s.whole("bk", n)
}

// TestDecommissionedTarget gives everything away, wipes itself and is refused for ever.
func TestDecommissionedTarget(t *testing.T) {
	const n = 200
	s := start(t, local.Options{Gateways: 1, Targets: 3})
	s.fill("bk", n)
	m, err := s.sdk.Life().DecommissionNodes(s.ctx, api.NodesMsg{Nodes: []string{"t2"}, RmUserData: true})
	s.must(err)
	s.settled(m.Rebalance)
	s.await("t2", "")
	s.refused("t2")
	s.whole("bk", n)
}

// TestDecommissionedKeeps leaves a node's data on its disks unless told otherwise, also when nothing is left to be moved and the node
// leaves at once.
func TestDecommissionedKeeps(t *testing.T) {
	const n = 100
	s := start(t, local.Options{Gateways: 1, Targets: 3})
	s.fill("bk", n)
	m, err := s.sdk.Life().StartMaintenance(s.ctx, nodes("t2"))
	s.must(err)
	s.settled(m.Rebalance)
	s.await("t2", "maintenance (done)")
	_, err = s.sdk.Life().DecommissionNodes(s.ctx, nodes("t2"))
	s.must(err)
	s.await("t2", "")
	s.ends("t2")
	kept := 0
	s.must(filepath.WalkDir(filepath.Join(s.Dir(), "t2"), func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".ais.mountpath") {
			kept++
		}
		return err
	}))
	if kept != 2 {
		t.Errorf("%d of 2 mountpaths are kept", kept)
	}
	s.whole("bk", n)
}

// TestShutdownInTheMiddle stops the whole cluster while names move; started again it goes on by itself.
func TestShutdownInTheMiddle(t *testing.T) {
	const n = 200
	s := start(t, local.Options{Gateways: 1, Targets: 3})
	s.fill("bk", n)
	m, err := s.sdk.Life().StartMaintenance(s.ctx, api.NodesMsg{Nodes: []string{"t3"}, SkipRebalance: true}) // nothing has moved yet
	s.must(err)
	_, err = s.sdk.Life().StartRebalance(s.ctx)
	s.must(err)
	_, err = s.sdk.Life().ShutdownCluster(s.ctx)
	s.must(err)
	for _, node := range s.Nodes() {
		s.ends(node.ID)
		if log := s.log(node.ID); !strings.Contains(log, "node stopped") {
			t.Errorf("%s: %s", node.ID, log)
		}
	}
	s.Up(s.ctx)
	s.connect()
	s.settled(m.Rebalance)
	s.await("t3", "maintenance (done)")
	s.whole("bk", n)
}

// TestGrow takes targets in and finds every object at each moment.
func TestGrow(t *testing.T) {
	const n = 200
	s := start(t, local.Options{Gateways: 1, Targets: 2})
	s.fill("bk", n)
	_, err := s.Add(s.ctx, local.RoleTarget, local.More{Count: 2})
	s.must(err)
	s.whole("bk", n)
	s.await("t3", "online")
	s.await("t4", "online")
	s.whole("bk", n)
}
