package target_test

import (
	"bytes"
	"fmt"
	"testing"

	"aistore/cluster"
)

// TestTouchedAndReopened takes keys over and then each mountpath out of service and back, before anything was synced: what is not there any
// more is asked for again.
func TestTouchedAndReopened(t *testing.T) {
	e, t1, t2, key := joined(t)
	bodies := map[string][]byte{}
	for i := range 20 {
		k := key(fmt.Sprintf("k%d-", i))
		bodies[k] = random(1 << 10)
		t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: bodies[k]})
	}
	e.move(cluster.JoinNode, "t2")
	read := func() {
		t.Helper()
		for k, want := range bodies {
			if a := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); !bytes.Equal(a.body, want) {
				t.Errorf("%s: %d bytes", k, len(a.body))
			}
		}
	}
	read()
	for _, mp := range []string{t2.dir + "/1", t2.dir + "/2"} {
		if err := t2.store.Disable(mp); err != nil {
			t.Fatal(err)
		}
		if _, err := t2.store.Enable(t.Context(), mp); err != nil {
			t.Fatal(err)
		}
		read()
	}
}
