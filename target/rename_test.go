package target_test

import (
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
	"aistore/store"
)

// TestRenameOfMoved: an object that goes to another target while it is being renamed is not said to have been overwritten. Its owner renames it.
func TestRenameOfMoved(t *testing.T) {
	e, t1, t2, key := joined(t)
	to := e.going("bk", "to", t1, t1, cluster.JoinNode, "t2")
	rename := func(from string) call {
		return call{method: "POST", path: path("bk", from), body: []byte(`{"action":"rename","name":"` + to + `"}`)}
	}
	looks, last := 0, 0
	t1.want(t, 200, call{method: "PUT", path: path("bk", "first"), body: []byte("first")})
	t1.ctl.setLease(nil, func(n int) error { last = n; return nil })
	t1.want(t, 200, rename("first"))
	t1.ctl.setLease(nil, nil)

	k := key("x")
	n := e.name("bk", k)
	t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("content")})
	t1.ctl.setLease(nil, func(n1 int) error {
		if looks = n1; looks == last-2 { // the copy is about to be committed; the delete and the reply follow
			e.move(cluster.JoinNode, "t2")
			x, err := t1.store.ExportKey(n)
			if err != nil {
				return err
			}
			frame, err := x.AppendTo(nil)
			x.Close()
			if err != nil {
				return err
			}
			if err := t2.store.Import(t.Context(), [][]byte{frame}, store.ImportOptions{})[0].Err; err != nil {
				return err
			}
			return t1.store.RemoveKeys(t.Context(), []object.Name{n}, nil)[0]
		}
		return nil
	})
	if a := t1.do(t, rename(k)); a.StatusCode != 307 {
		t.Errorf("%d %s after %d looks of %d", a.StatusCode, a.body, looks, last)
	}
	t1.ctl.setLease(nil, nil)
	t2.want(t, 200, rename(k))
	t2.want(t, 404, call{method: "GET", path: path("bk", k)})
	if a := t1.want(t, 200, call{method: "GET", path: path("bk", to)}); string(a.body) != "content" {
		t.Errorf("%q", a.body)
	}
	if _, err := t1.store.Stat(n); !errs.Is(err, errs.NotFound) {
		t.Errorf("it was not away: %v", err)
	}
}
