package target_test

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/cluster"
)

// TestAppendBesideHanging: an append goes on at a new owner with what another node has of it while one that has nothing of it, and is asked too, does not answer.
func TestAppendBesideHanging(t *testing.T) {
	e := newEpochs(t, 3, 2)
	hanging, holder, owner := e.targets[0], e.targets[1], e.targets[2]
	k := e.going("bk", "x", holder, owner, cluster.JoinNode, owner.id)
	a := holder.want(t, 200, call{method: "PUT", path: path("bk", k) + "?append_type=append&append_handle=", body: []byte("some")})
	n := hanging.joins()
	var asked atomic.Int32
	n.IntraAddr = passOn(t, n.IntraAddr, func(ctx context.Context) (func([]byte), func(int, error) (int, error)) {
		var hangs atomic.Bool
		return func(p []byte) {
				if bytes.Contains(p, []byte("/intra/appends/")) {
					asked.Add(1)
					hangs.Store(true)
				}
			}, func(n int, err error) (int, error) {
				if hangs.Load() {
					<-ctx.Done()
				}
				return n, err
			}
	})
	e.change(cluster.Join{Node: n})
	e.move(cluster.JoinNode, owner.id)
	var more atomic.Pointer[answer]
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		more.Store(owner.do(t, call{method: "PUT", path: path("bk", k) + "?append_type=append&append_handle=" + a.Header.Get("ais-append-handle"), body: []byte(" more")}))
	})
	eventually(t, func() bool { return more.Load() != nil }) // the one that hangs is given up only later
	if a = more.Load(); a.StatusCode != 200 {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	owner.want(t, 200, call{method: "PUT", path: path("bk", k) + "?append_type=flush&append_handle=" + a.Header.Get("ais-append-handle")})
	if got := owner.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != "some more" {
		t.Errorf("%q", got.body)
	}
	if asked.Load() == 0 {
		t.Error("the node that hangs was not asked")
	}
}
