package xact

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"aistore/cluster"
	"aistore/object"
)

// leaving is a target whose names go elsewhere while a job walks over them.
type leaving struct {
	*node
	view   *cluster.View
	moving *cluster.View // from the name at on
	at     string
	own    []string
}

func (l *leaving) View() *cluster.View { return l.view }

func (l *leaving) Names(_ context.Context, _ uint64, _, after string, yield func(*object.Info) bool) error {
	for _, k := range l.own {
		if k == l.at {
			l.view = l.moving
		}
		if l.view == l.moving && k >= l.at {
			return nil // swept
		}
		if k > after && !yield(&object.Info{Key: k, Size: 3}) {
			break
		}
	}
	return nil
}

// TestWalkWhileNamesMove moves a target's names away at every point of a walk: its share stays, each name once.
func TestWalkWhileNamesMove(t *testing.T) {
	c := newCluster(t, 3)
	var all, mine []string
	for i := range 6 * chunk {
		k := fmt.Sprintf("k%05d", i)
		all = append(all, k)
		if c.view.Owner(c.from, k).ID == "t1" {
			mine = append(mine, k)
		}
	}
	m := *c.view.Map
	m.Epoch, m.Stage, m.Former = 2, 1, []cluster.Placement{{Epoch: 1, Targets: []cluster.Placed{{ID: "t1", Weight: 100}}}}
	moving := (&cluster.View{Map: &m, Config: c.view.Config, Buckets: c.view.Buckets}).Freeze()
	for _, at := range []string{"", mine[0], mine[10], mine[chunk-1], mine[chunk], mine[chunk+1], mine[len(mine)-1]} {
		l := &leaving{node: c.nodes["t1"], view: c.view, moving: moving, at: at, own: mine}
		pages := 0
		rt := NewRuntime(Config{Self: "t1", Objects: l, Map: l, Pages: func(_ context.Context, _ uint64, _, after string) (found []Found, next string, err error) {
			pages++
			for _, k := range all {
				if k > after && len(found) < 700 {
					found = append(found, Found{k, 3})
					next = k
				}
			}
			if next == all[len(all)-1] {
				next = ""
			}
			return found, next, nil
		}})
		j := &run{rt: rt, from: c.from, of: rt.cfg.Self}
		var ps []cluster.Placed
		for _, n := range c.view.Map.Targets() {
			ps = append(ps, cluster.Placed{ID: n.ID, Weight: n.Weight})
		}
		j.shares = sharesOf(ps)
		var got []string
		if err := j.walk(t.Context(), "", "", func(key string, size int64) bool { got = append(got, key); return size == 3 }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, mine) {
			t.Errorf("moved at %q: %d names, want %d", at, len(got), len(mine))
		}
		if (pages > 0) != (at != "") {
			t.Errorf("moved at %q: %d pages were asked for", at, pages)
		}
	}
}
