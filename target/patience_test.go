package target

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/metrics"
	"aistore/node"
)

// still is a control plane in which nothing changes.
type still struct{ view *cluster.View }

func (s still) View() *cluster.View                           { return s.view }
func (s still) Watch(uint64) <-chan struct{}                  { return nil }
func (s still) Latest(context.Context) (*cluster.View, error) { return s.view, nil }
func (s still) Lease() error                                  { return nil }
func (s still) Ready() bool                                   { return true }

// TestPatienceOfJobs: a job waits for an owner that fails after long work as it does for one that fails at once, and not for ever.
func TestPatienceOfJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &cluster.Bucket{ID: 1, Name: "b"}
		v := &cluster.View{
			Map:     &cluster.Map{Nodes: map[cluster.NodeID]*cluster.Node{"t": {ID: "t", Role: cluster.RoleTarget, State: cluster.Online, Alive: true, Weight: 100}}},
			Buckets: &cluster.BucketMap{NextID: 2, Buckets: map[string]*cluster.Bucket{b.Key(): b}}, Config: cluster.DefaultConfig(),
		}
		logs, err := node.NewLogs(t.Output(), "error", "text")
		if err != nil {
			t.Fatal(err)
		}
		n := node.New(node.Config{ID: "t", Role: cluster.RoleTarget, Control: still{v.Freeze()}, Metrics: metrics.New(nil), Logs: logs})
		jobs := New(n, nil).Objects()
		for _, works := range []time.Duration{0, 2 * patienceOfJobs} {
			for _, fails := range []int{1, 1 << 20} {
				tries := 0
				err := jobs.atOwner(t.Context(), b, "k", func(*node.Object) error {
					if tries++; tries > fails {
						return nil
					}
					time.Sleep(works)
					return errs.E("test", "owner", errs.Unavailable)
				}, nil)
				if again := fails == 1; again && err != nil || !again && !errs.Is(err, errs.Unavailable) {
					t.Errorf("after %v of work, %d failures: %v after %d tries", works, fails, err, tries)
				}
			}
		}
	})
}
