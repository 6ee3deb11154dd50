package target_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/cluster"
	"aistore/errs"
)

// joined is a world of two targets in which t2 owns a share since a moment ago, and the names of both there were before.
func joined(t testing.TB) (e *epochs, t1, t2 *one, key func(prefix string) string) {
	e = newEpochs(t, 2, 1)
	t1, t2 = e.targets[0], e.targets[1]
	return e, t1, t2, func(prefix string) string { return e.going("bk", prefix, t1, t2, cluster.JoinNode, "t2") }
}

func TestFirstTouch(t *testing.T) {
	e, t1, t2, key := joined(t)
	sizes := map[string]int{"none": 0, "small": 4 << 10, "blob": 1 << 20}
	put := func(name string, size int) []byte {
		body := random(size)
		t1.want(t, 200, call{method: "PUT", path: path("bk", name), body: body})
		return body
	}
	bodies := map[string][]byte{}
	keys := map[string]string{}
	for _, act := range []string{"get", "head", "overwrite", "delete", "patch", "range", "match", "copy", "rename"} {
		for size := range sizes {
			id := act + "-" + size
			keys[id] = key(id + "-")
			bodies[id] = put(keys[id], sizes[size])
		}
	}
	absent := key("absent-")
	e.move(cluster.JoinNode, "t2")
	epoch := e.m.Map.Epoch
	for size := range sizes {
		id := "get-" + size
		if got := t2.want(t, 200, call{method: "GET", path: path("bk", keys[id])}); !bytes.Equal(got.body, bodies[id]) {
			t.Errorf("%s: other bytes", id)
		}
		id = "head-" + size
		if got := t2.want(t, 200, call{method: "HEAD", path: path("bk", keys[id])}); got.Header.Get("Content-Length") != strconv.Itoa(sizes[size]) {
			t.Errorf("%s: %v", id, got.Header)
		}
		id = "overwrite-" + size
		t2.want(t, 200, call{method: "PUT", path: path("bk", keys[id]), body: []byte("new")})
		if got := t2.want(t, 200, call{method: "GET", path: path("bk", keys[id])}); string(got.body) != "new" {
			t.Errorf("%s: %q", id, got.body)
		}
		if k := e.state(t2, "bk", keys[id]); k.Authority != epoch || k.Version.Epoch != epoch {
			t.Errorf("%s: %+v in epoch %d", id, k, epoch)
		}
		id = "delete-" + size
		t2.want(t, 200, call{method: "DELETE", path: path("bk", keys[id])})
		t2.want(t, 404, call{method: "GET", path: path("bk", keys[id])})
		if k := e.state(t2, "bk", keys[id]); k.Authority != epoch || k.Exists {
			t.Errorf("%s: %+v", id, k)
		}
		id = "patch-" + size
		t2.want(t, 200, call{method: "PATCH", path: path("bk", keys[id]), body: []byte(`{"value":{"k":"v"}}`)})
		if got := t2.want(t, 200, call{method: "GET", path: path("bk", keys[id])}); !bytes.Equal(got.body, bodies[id]) || got.Header.Get("ais-custom-md") != "k=v" {
			t.Errorf("%s: %v", id, got.Header)
		}
		if id = "range-" + size; sizes[size] > 0 {
			got := t2.want(t, 206, call{method: "GET", path: path("bk", keys[id]), header: []string{"Range", "bytes=100-299"}})
			if !bytes.Equal(got.body, bodies[id][100:300]) {
				t.Errorf("%s: other bytes", id)
			}
		}
		id = "match-" + size
		t2.want(t, 412, call{method: "PUT", path: path("bk", keys[id]), body: []byte("x"), header: []string{"If-None-Match", "*"}})
		id = "copy-" + size
		t2.want(t, 200, call{method: "PUT", path: path("bk", keys[id]) + "?object_to=ais/@%23/bk/" + keys[id] + "-copy"})
		id = "rename-" + size
		t2.want(t, 200, call{method: "POST", path: path("bk", keys[id]), body: []byte(fmt.Sprintf(`{"action":"rename","name":"%s-renamed"}`, keys[id]))})
		t2.want(t, 404, call{method: "GET", path: path("bk", keys[id])})
		for id, name := range map[string]string{id: keys[id] + "-renamed", "copy-" + size: keys["copy-"+size] + "-copy"} {
			owner := t1
			if e.m.View().Owner(e.m.View().Buckets.Get("", "bk"), name).ID == "t2" {
				owner = t2
			}
			if got := owner.want(t, 200, call{method: "GET", path: path("bk", name)}); !bytes.Equal(got.body, bodies[id]) {
				t.Errorf("%s: other bytes", name)
			}
		}
	}
	t2.want(t, 404, call{method: "GET", path: path("bk", absent)})
	t1.want(t, 307, call{method: "GET", path: path("bk", absent)})
}

// TestFetched: what an owner fetches is counted where it lies.
func TestFetched(t *testing.T) {
	e, t1, t2, key := joined(t)
	small, long := key("small"), key("long")
	t1.want(t, 200, call{method: "PUT", path: path("bk", small), body: random(4 << 10)})
	t1.want(t, 200, call{method: "PUT", path: path("bk", long), body: random(1 << 20)})
	e.move(cluster.JoinNode, "t2")
	for _, c := range []struct {
		key  string
		size int64
	}{{small, 4 << 10}, {long, 1 << 20}} {
		before := t1.target.Fetched()
		t2.want(t, 200, call{method: "PUT", path: path("bk", c.key), body: []byte("needs what was before")})
		if n := t1.target.Fetched() - before; n < c.size || n > c.size+64<<10 {
			t.Errorf("%s: %d bytes of %d", c.key, n, c.size)
		}
	}
	if n := t2.target.Fetched(); n != 0 {
		t.Errorf("t2: %d bytes", n)
	}
}

// TestHolderAway: without the former owner nobody knows the newest state of its names, and of all others everybody does.
func TestHolderAway(t *testing.T) {
	e := newEpochs(t, 3, 2)
	t1, t2, t3 := e.targets[0], e.targets[1], e.targets[2]
	from1 := e.going("bk", "a", t1, t3, cluster.JoinNode, "t3")
	from2 := e.going("bk", "b", t2, t3, cluster.JoinNode, "t3")
	t1.want(t, 200, call{method: "PUT", path: path("bk", from1), body: []byte("one")})
	t2.want(t, 200, call{method: "PUT", path: path("bk", from2), body: []byte("two")})
	e.move(cluster.JoinNode, "t3")
	t1.stop()
	for _, lost := range []bool{false, true} {
		if lost {
			e.change(cluster.SetAlive{Lost: []cluster.NodeID{"t1"}})
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			a := t3.want(t, 503, call{method: method, path: path("bk", from1)})
			if a.Header.Get("Retry-After") == "" || a.kind() != errs.Busy {
				t.Errorf("%s: %v", method, a.Header)
			}
		}
		if got := t3.want(t, 200, call{method: "GET", path: path("bk", from2)}); string(got.body) != "two" {
			t.Errorf("%q", got.body)
		}
	}
	e.restart(t1)
	if got := t3.want(t, 200, call{method: "GET", path: path("bk", from1)}); string(got.body) != "one" {
		t.Errorf("%q", got.body)
	}
}

// TestHolderNotAccepted: a former owner that starts says nothing before its start is accepted, for the view that it has found may be an old one; nor does
// one that knows that the bucket is gone say that it has nothing.
func TestHolderNotAccepted(t *testing.T) {
	e, t1, t2, key := joined(t)
	k, gone := key("x"), key("y")
	t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("v")})
	t1.ctl.starting.Store(true)
	e.move(cluster.JoinNode, "t2")
	if a := t2.want(t, 503, call{method: "GET", path: path("bk", k)}); a.kind() != errs.Busy {
		t.Errorf("%v", a.Header)
	}
	t1.ctl.starting.Store(false)
	if got := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != "v" {
		t.Errorf("%q", got.body)
	}
	e.commit(cluster.DestroyBucket{Name: "bk"})
	e.tell(t1)
	t2.want(t, 404, call{method: "PUT", path: path("bk", gone), body: []byte("on top of nothing")})
}

// TestOlderMaps: whoever asks or is asked with the older map takes over the newer one first.
func TestOlderMaps(t *testing.T) {
	e, t1, t2, key := joined(t)
	k := key("x")
	t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("old")})
	e.commit(cluster.MoveNodes{IDs: []cluster.NodeID{"t2"}, Step: cluster.JoinNode})
	e.tell(t1)
	if got := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != "old" {
		t.Errorf("%q", got.body)
	}
	t1.want(t, 307, call{method: "PUT", path: path("bk", k), body: []byte("lost")}) // it was asked: it knows

}

// TestStaleAsker: an owner by an older map is refused by who knows a newer one, learns it, and judges anew.
func TestStaleAsker(t *testing.T) {
	e := newEpochs(t, 2, 2)
	t1, t2 := e.targets[0], e.targets[1]
	k := e.going("bk", "x", t2, t1, cluster.StartMaintenance, "t2")
	t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("old")})
	e.move(cluster.StartMaintenance, "t2")
	t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("new")})
	e.move(cluster.StopMaintenance, "t2")
	e.commit(cluster.MoveNodes{IDs: []cluster.NodeID{"t2"}, Step: cluster.StartMaintenance})
	e.tell(t2)
	a := t2.want(t, 307, call{method: "PUT", path: path("bk", k), body: []byte("lost")})
	if loc := a.Header.Get("Location"); len(loc) < len(t1.url) || loc[:len(t1.url)] != t1.url {
		t.Errorf("sent to %s", loc)
	}
	if now := t2.ctl.View().Map.Epoch; now != e.m.Map.Epoch {
		t.Errorf("still in epoch %d", now)
	}
	if got := t1.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != "new" {
		t.Errorf("%q", got.body)
	}
	if k := e.state(t2, "bk", k); k.Authority != 0 {
		t.Errorf("took over %+v", k)
	}
}

// TestNoResurrection: what a new owner deleted or overwrote does not come back with the former one.
func TestNoResurrection(t *testing.T) {
	e := newEpochs(t, 2, 2)
	t1, t2 := e.targets[0], e.targets[1]
	gone := e.going("bk", "gone", t2, t1, cluster.StartMaintenance, "t2")
	other := e.going("bk", "other", t2, t1, cluster.StartMaintenance, "t2")
	same := e.going("bk", "same", t2, t1, cluster.StartMaintenance, "t2")
	for _, k := range []string{gone, other, same} {
		t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("first")})
	}
	e.move(cluster.StartMaintenance, "t2")
	t1.want(t, 200, call{method: "DELETE", path: path("bk", gone)})
	t1.want(t, 200, call{method: "PUT", path: path("bk", other), body: []byte("second")})
	t1.want(t, 200, call{method: "GET", path: path("bk", same)})
	e.restart(t1) // what it touched without a mark it asks for again
	t1.want(t, 404, call{method: "GET", path: path("bk", gone)})
	e.move(cluster.StopMaintenance, "t2")
	for k, want := range map[string]string{other: "second", same: "first"} {
		if got := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != want {
			t.Errorf("%s: %q", k, got.body)
		}
	}
	t2.want(t, 404, call{method: "GET", path: path("bk", gone)})
	if k := e.state(t2, "bk", gone); k.Exists || k.Authority != e.m.Map.Epoch {
		t.Errorf("%+v", k)
	}
}

// TestSeveralHolders: the greatest of all states holds, and all who may have one must answer.
func TestSeveralHolders(t *testing.T) {
	e := newEpochs(t, 3, 3)
	t1, t2, t3 := e.targets[0], e.targets[1], e.targets[2]
	// a name of t1 that t2 owns without t1, and t3 without both
	v := e.m.View()
	b := v.Buckets.Get("", "bk")
	var k string
	for i := 0; k == ""; i++ {
		name := fmt.Sprint("k", i)
		if r := v.Ranked(b, name, 3); r[0].ID == "t1" && r[1].ID == "t2" {
			k = name
		}
	}
	t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("first")})
	e.move(cluster.StartMaintenance, "t1")
	t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("second")})
	e.move(cluster.StartMaintenance, "t2")
	if got := t3.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != "second" {
		t.Errorf("%q", got.body)
	}
	t3.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("third")})
	e.move(cluster.StopMaintenance, "t1") // asks t2 and t3
	if got := t1.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != "third" {
		t.Errorf("%q", got.body)
	}
}

// TestSettled: marks go when nobody but owners has anything, and owners ask nobody any more.
func TestSettled(t *testing.T) {
	e, t1, t2, key := joined(t)
	k := key("x")
	t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("v")})
	e.move(cluster.JoinNode, "t2")
	t2.want(t, 200, call{method: "GET", path: path("bk", k)})
	if k := e.state(t2, "bk", k); k.Authority != e.m.Map.Epoch {
		t.Errorf("%+v", k)
	}
	if errs := t1.store.RemoveKeys(t.Context(), []objectName{e.name("bk", k)}, nil); errs[0] != nil {
		t.Fatal(errs[0])
	}
	e.report(cluster.Moved, "t1")
	e.report(cluster.Swept, "t1")
	if e.m.Map.Settled != e.m.Map.Epoch {
		t.Fatalf("not settled: %+v", e.m.Map)
	}
	t1.stop()
	if got := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != "v" {
		t.Errorf("%q", got.body)
	}
	t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("w")})
	eventually(t, func() bool { return e.state(t2, "bk", k).Authority == 0 })
}

// TestConcurrentTouches: many requests for one name share one question, and writes among them are in one order.
func TestConcurrentTouches(t *testing.T) {
	e, t1, t2, key := joined(t)
	k := key("x")
	body := random(300 << 10)
	t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: body})
	e.move(cluster.JoinNode, "t2")
	var wg sync.WaitGroup
	got := make([]*answer, 24)
	for i := range got {
		wg.Go(func() {
			c := call{method: "GET", path: path("bk", k)}
			if i%3 == 0 {
				c = call{method: "PUT", path: path("bk", k), body: fmt.Appendf(nil, "write-%d", i)}
			}
			got[i] = t2.do(t, c)
		})
	}
	wg.Wait()
	for i, a := range got {
		if a.StatusCode != http.StatusOK {
			t.Errorf("%d: %d %s", i, a.StatusCode, a.body)
		}
		if i%3 != 0 && !bytes.Equal(a.body, body) && !bytes.HasPrefix(a.body, []byte("write-")) {
			t.Errorf("%d: reads %d bytes that nobody wrote", i, len(a.body))
		}
	}
	last := t2.want(t, 200, call{method: "GET", path: path("bk", k)})
	if !bytes.HasPrefix(last.body, []byte("write-")) {
		t.Errorf("the acknowledged writes are lost: %d bytes", len(last.body))
	}
}

// TestAppendGoesOn: an append that is under way when its name goes elsewhere goes on there, with the handle that the client has.
func TestAppendGoesOn(t *testing.T) {
	e, t1, t2, key := joined(t)
	k := key("x")
	var whole []byte
	handle := ""
	piece := func(o *one, size int) {
		t.Helper()
		body := random(size)
		a := o.want(t, 200, call{method: "PUT", path: path("bk", k) + "?append_type=append&append_handle=" + handle, body: body})
		whole, handle = append(whole, body...), a.Header.Get("ais-append-handle")
	}
	piece(t1, 1000)
	piece(t1, 200_000)
	e.move(cluster.JoinNode, "t2")
	t1.want(t, 307, call{method: "PUT", path: path("bk", k) + "?append_type=append&append_handle=" + handle, body: []byte("x")})
	piece(t2, 3000)
	t2.want(t, 404, call{method: "GET", path: path("bk", k)})
	piece(t2, 10)
	t2.want(t, 200, call{method: "PUT", path: path("bk", k) + "?append_type=flush&append_handle=" + handle})
	if got := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); !bytes.Equal(got.body, whole) {
		t.Errorf("%d bytes, want %d", len(got.body), len(whole))
	}
	t2.want(t, 404, call{method: "PUT", path: path("bk", k) + "?append_type=flush&append_handle=" + handle})
}

// TestAppendAfterLeaving: a node that is out of service for good, or for long, and has handed over what it had keeps no append waiting that nobody knows of.
func TestAppendAfterLeaving(t *testing.T) {
	e := newEpochs(t, 2, 2)
	t1, t2 := e.targets[0], e.targets[1]
	k := e.going("bk", "x", t2, t1, cluster.ShutdownNode, "t2")
	unknown := call{method: "PUT", path: path("bk", k) + "?append_type=flush&append_handle=0123456789abcdef.1.00000000"}
	e.move(cluster.ShutdownNode, "t2")
	e.change(cluster.SetAlive{Lost: []cluster.NodeID{"t2"}})
	t1.want(t, 503, unknown)
	e.change(cluster.SetAlive{Back: []cluster.NodeID{"t2"}})
	e.report(cluster.Moved, "t2")
	e.change(cluster.SetAlive{Lost: []cluster.NodeID{"t2"}})
	t1.want(t, 404, unknown)
}

// TestDestroyedElsewhere: a bucket's data goes from nodes that own nothing, too.
func TestDestroyedElsewhere(t *testing.T) {
	e := newEpochs(t, 2, 2)
	t1, t2 := e.targets[0], e.targets[1]
	k := e.going("bk", "x", t2, t1, cluster.StartMaintenance, "t2")
	t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("v")})
	e.move(cluster.StartMaintenance, "t2")
	id := e.name("bk", k).Bucket
	e.change(cluster.DestroyBucket{Name: "bk"})
	eventually(t, func() bool {
		ids, err := t2.store.Buckets()
		return err == nil && !contains(ids, id)
	})
	t1.want(t, 404, call{method: "GET", path: path("bk", k)})
	e.change(cluster.CreateBucket{Name: "bk", Props: cluster.DefaultBucketProps()})
	t1.want(t, 404, call{method: "GET", path: path("bk", k)})
}

// TestSettledCostsNothing: in a settled cluster a request asks nothing more than before.
func TestSettledCostsNothing(t *testing.T) {
	e := newEpochs(t, 1, 1)
	o, tg := e.objectOf("bk", "x"), e.targets[0].target
	own := func() {
		if err := tg.Own(t.Context(), &o); err != nil {
			t.Fatal(err)
		}
	}
	n := testing.AllocsPerRun(100, own)
	for range 10 { // what the node does besides is counted, too
		n = min(n, testing.AllocsPerRun(100, own))
	}
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPullBreaksOff: a long key whose transfer breaks off is fetched once more by the same request, which is not refused for it.
func TestPullBreaksOff(t *testing.T) {
	e, t1, t2, key := joined(t)
	k := key("x")
	t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: random(4 << 20)})
	n := t1.joins()
	addr, cuts := cutOnce(t, n.IntraAddr)
	n.IntraAddr = addr
	e.change(cluster.Join{Node: n})
	e.move(cluster.JoinNode, "t2")
	t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("new")})
	if cuts.Load() != 1 {
		t.Errorf("%d transfers were cut", cuts.Load())
	}
	if got := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); string(got.body) != "new" {
		t.Errorf("%d bytes", len(got.body))
	}
	if s := e.state(t2, "bk", k); s.Authority != e.m.Map.Epoch {
		t.Errorf("%+v", s)
	}
}

// cutOnce passes connections on to addr, and cuts the first one on which a whole key is asked for in the middle of the answer.
func cutOnce(t *testing.T, addr string) (at string, cuts *atomic.Int32) {
	cuts = &atomic.Int32{}
	return passOn(t, addr, func(context.Context) (func([]byte), func(int, error) (int, error)) {
		var cut atomic.Bool
		return func(p []byte) {
				if bytes.Contains(p, []byte("whole=1")) && cuts.CompareAndSwap(0, 1) {
					cut.Store(true)
				}
			}, func(n int, err error) (int, error) {
				if cut.Load() && n > 1000 {
					return n / 2, io.ErrUnexpectedEOF
				}
				return n, err
			}
	}), cuts
}
