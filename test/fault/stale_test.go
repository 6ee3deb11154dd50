package fault

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"aistore/api"
	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
)

// TestStaleGateway stops a gateway until its lease is over, changes the buckets, and asks it before it has heard of
// anything: it answers from the primary, or 503, never what was.
func TestStaleGateway(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 2, Targets: 2, Mountpaths: 1})
	gws := map[string]*plain.Client{"g1": c.Client("g1"), "g2": c.Client("g2")}
	hasten(t, c)
	primary := ""
	for id, cl := range gws {
		if n, err := cl.Metric(ctx, `ais_raft_state{state="leader"}`); err == nil && n == 1 {
			primary = id
		}
	}
	stale := "g2"
	if primary == "g2" {
		stale = "g1"
	}
	live := gws[map[string]string{"g1": "g2", "g2": "g1"}[stale]]
	head := func(cl *plain.Client, bucket string) int {
		resp, err := cl.Do(ctx, http.MethodHead, cl.Endpoint()+api.PathBuckets+"/"+bucket, nil)
		if err == nil {
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		return plain.Status(err)
	}
	for round := range rounds(3, 20) {
		old, fresh := fmt.Sprint("old", round), fmt.Sprint("fresh", round)
		must(t, live.CreateBucket(ctx, old))
		if s := head(gws[stale], old); s != http.StatusOK {
			t.Fatalf("HEAD of a bucket just made: %d", s)
		}
		must(t, c.Signal(stale, syscall.SIGSTOP))
		<-time.After(lease + lease/2) // time itself is what must pass here
		must(t, live.DestroyBucket(ctx, old))
		must(t, live.CreateBucket(ctx, fresh))
		type answer struct {
			what       string
			got, right int
		}
		answers := make(chan answer)
		ask := func(what string, right int, f func() int) {
			go func() {
				for { // the first waits in the sockets of the stopped process
					if got := f(); got != http.StatusServiceUnavailable && got != 0 {
						answers <- answer{what, got, right}
						return
					}
				}
			}()
		}
		ask("HEAD of a destroyed bucket", http.StatusNotFound, func() int { return head(gws[stale], old) })
		ask("HEAD of a new bucket", http.StatusOK, func() int { return head(gws[stale], fresh) })
		ask("the list of buckets", http.StatusOK, func() int {
			names, err := gws[stale].Buckets(ctx)
			if err != nil {
				return plain.Status(err)
			}
			if slices.Contains(names, old) || !slices.Contains(names, fresh) {
				return http.StatusTeapot
			}
			return http.StatusOK
		})
		must(t, c.Signal(stale, syscall.SIGCONT))
		for range 3 {
			if a := <-answers; a.got != a.right {
				t.Errorf("round %d: %s gave %d, want %d or 503", round, a.what, a.got, a.right)
			}
		}
		must(t, live.DestroyBucket(ctx, fresh))
	}
}
