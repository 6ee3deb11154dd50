//go:build failpoints

package target_test

import (
	"bytes"
	"slices"
	"testing"

	"aistore/cluster"
	"aistore/internal/failpoint"
)

// TestEpochDuringTouch changes the owner again while a first touch is at each of its instants: nothing is taken over for an epoch that is over, and no
// acknowledged write is lost.
func TestEpochDuringTouch(t *testing.T) {
	for _, size := range []int{100, 2 << 20} {
		for _, point := range []string{"ask.after-answer", "touch.before-import", "touch.after-import"} {
			t.Run(point, func(t *testing.T) {
				e := newEpochs(t, 2, 2)
				t1, t2 := e.targets[0], e.targets[1]
				k := e.going("bk", "x", t2, t1, cluster.StartMaintenance, "t2")
				body := random(size)
				t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: body})
				e.move(cluster.StartMaintenance, "t2")
				arm(t, point+"=pause")
				got := make(chan *answer, 1)
				go func() { got <- t1.do(t, call{method: "PUT", path: path("bk", k), body: []byte("new")}) }()
				eventually(t, func() bool { return slices.Contains(failpoint.Waiting(), point) })
				e.move(cluster.StopMaintenance, "t2") // it is t2's again, which asks t1 and has what is newer
				if a := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); !bytes.Equal(a.body, body) {
					t.Errorf("%d bytes", len(a.body))
				}
				t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("newer")})
				failpoint.Release(point)
				if a := <-got; a.StatusCode != 307 {
					t.Errorf("a write of the epoch that is over: %d %s", a.StatusCode, a.body)
				}
				e.move(cluster.StartMaintenance, "t2")
				if a := t1.want(t, 200, call{method: "GET", path: path("bk", k)}); string(a.body) != "newer" {
					t.Errorf("%.20q", a.body)
				}
			})
		}
	}
}

// TestFailedTouch ends a first touch at each of its instants, and the process too: what was answered before holds, and the next request finds the
// same.
func TestFailedTouch(t *testing.T) {
	for _, point := range []string{"ask.after-answer", "touch.before-import", "touch.after-import"} {
		t.Run(point, func(t *testing.T) {
			e, t1, t2, key := joined(t)
			k := key("x")
			body := random(100)
			t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: body})
			e.move(cluster.JoinNode, "t2")
			arm(t, point+"=error")
			t2.want(t, 500, call{method: "GET", path: path("bk", k)})
			e.restart(t2)
			if a := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); !bytes.Equal(a.body, body) {
				t.Errorf("%d bytes", len(a.body))
			}
		})
	}
}

func arm(t *testing.T, spec string) {
	t.Helper()
	if err := failpoint.Arm(spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(failpoint.Disarm)
}
