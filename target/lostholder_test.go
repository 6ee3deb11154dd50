package target_test

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/cluster"
)

// TestLostHolder: long keys of a node that falls silent while it sends them keep nobody from a key of another node, once it counts as lost.
func TestLostHolder(t *testing.T) {
	e := newEpochs(t, 3, 2)
	lost, other, owner := e.targets[0], e.targets[1], e.targets[2]
	const most = 8 // that come at the same time
	var silent []string
	for len(silent) < most {
		k := e.going("bk", string(rune('a'+len(silent))), lost, owner, cluster.JoinNode, owner.id)
		lost.want(t, 200, call{method: "PUT", path: path("bk", k), body: random(1 << 20)})
		silent = append(silent, k)
	}
	k := e.going("bk", "x", other, owner, cluster.JoinNode, owner.id)
	other.want(t, 200, call{method: "PUT", path: path("bk", k), body: random(1 << 20)})
	n := lost.joins()
	addr, stuck := fallSilent(t, n.IntraAddr)
	n.IntraAddr = addr
	e.change(cluster.Join{Node: n})
	e.move(cluster.JoinNode, owner.id)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, k := range silent {
		wg.Go(func() { owner.do(t, call{method: "PUT", path: path("bk", k), body: []byte("new")}) })
	}
	eventually(t, func() bool { return stuck.Load() == most })
	e.change(cluster.SetAlive{Lost: []cluster.NodeID{lost.id}})
	owner.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("new")})
}

// fallSilent passes connections on to addr; those on which a whole key is asked for say nothing more after the beginning of the answer.
func fallSilent(t *testing.T, addr string) (at string, stuck *atomic.Int32) {
	stuck = &atomic.Int32{}
	return passOn(t, addr, func(ctx context.Context) (func([]byte), func(int, error) (int, error)) {
		var whole atomic.Bool
		return func(p []byte) {
				if bytes.Contains(p, []byte("whole=1")) {
					whole.Store(true)
				}
			}, func(n int, err error) (int, error) {
				if whole.Load() && n > 10_000 {
					stuck.Add(1)
					<-ctx.Done()
				}
				return n, err
			}
	}), stuck
}
