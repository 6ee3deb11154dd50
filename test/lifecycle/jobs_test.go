package lifecycle

import (
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
)

// TestJobsGoOn: copies of a bucket go on while a target is shut down, another is killed, all nodes are killed, and a target is decommissioned: the
// jobs end as if nothing had been, and every object has been copied.
func TestJobsGoOn(t *testing.T) {
	const n, writers = 900, 8
	s := start(t, local.Options{Gateways: 1, Targets: 4})
	src := s.sdk.Bucket("src")
	s.must(src.Create(s.ctx, nil))
	var wg sync.WaitGroup
	faults := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n && faults[w] == nil; i += writers {
				_, faults[w] = src.Put(s.ctx, fmt.Sprintf("o-%04d", i), client.Bytes(content(i%50)), client.PutOptions{})
			}
		})
	}
	wg.Wait()
	for _, err := range faults {
		s.must(err)
	}
	for i, during := range []func(){
		func() {
			_, err := s.sdk.Life().ShutdownNodes(s.ctx, nodes("t1"))
			s.must(err)
			s.ends("t1")
		},
		func() {
			s.must(s.Kill(s.ctx, "t4"))
			s.must(s.Start(s.ctx, "t4"))
		},
		func() {
			all := []string{"g1", "t2", "t3", "t4"}
			for _, id := range all {
				s.must(s.Kill(s.ctx, id))
			}
			var up errgroup.Group
			for _, id := range all {
				up.Go(func() error { return s.Start(s.ctx, id) })
			}
			s.must(up.Wait())
		},
		func() {
			_, err := s.sdk.Life().DecommissionNodes(s.ctx, nodes("t3"))
			s.must(err)
			s.ends("t3")
		},
	} {
		dst := s.sdk.Bucket(fmt.Sprintf("dst%d", i))
		s.must(dst.Create(s.ctx, nil))
		job, err := src.CopyBucket(s.ctx, dst, api.CopyMsg{NumWorkers: -1})
		s.must(err)
		during()
		s.must(job.Wait(s.ctx))
		copied, snaps := 0, 0
		for _, err := range dst.List(s.ctx, client.ListOptions{}) {
			s.must(err)
			copied++
		}
		byTarget, err := job.Snaps(s.ctx)
		s.must(err)
		for _, of := range byTarget {
			for _, snap := range of {
				snaps += int(snap.Stats.Objects)
			}
		}
		if copied != n || snaps != n {
			t.Errorf("copy %d: %d of %d objects are there, %d were counted", i, copied, n, snaps)
		}
	}
}
