package target_test

import (
	"testing"

	"aistore/cluster"
)

// TestHeldRefused: what the holder of a long key refuses while the key is on its way has its kind in the header, as from the owner itself.
func TestHeldRefused(t *testing.T) {
	e := newEpochs(t, 2, 1)
	holder, owner := e.targets[0], e.targets[1]
	k := e.going("bk", "x", holder, owner, cluster.JoinNode, owner.id)
	holder.want(t, 200, call{method: "PUT", path: path("bk", k), body: random(1 << 20)})
	n := holder.joins()
	addr, _ := fallSilent(t, n.IntraAddr)
	n.IntraAddr = addr
	e.change(cluster.Join{Node: n})
	e.move(cluster.JoinNode, owner.id)
	for _, refused := range []struct {
		status       int
		kind, method string
		header       []string
	}{
		{416, "range", "GET", []string{"Range", "bytes=2000000-"}},
		{412, "precondition", "GET", []string{"If-Match", `"other"`}},
		{412, "precondition", "HEAD", []string{"If-Match", `"other"`}},
	} {
		r := owner.want(t, refused.status, call{method: refused.method, path: path("bk", k), header: refused.header})
		if kind := r.Header.Get("ais-error-kind"); kind != refused.kind {
			t.Errorf("%s with %q: kind %q, want %q", refused.method, refused.header, kind, refused.kind)
		}
	}
}
