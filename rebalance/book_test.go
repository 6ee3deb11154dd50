package rebalance

import (
	"testing"
	"time"

	"aistore/cluster"
)

// TestRateOfWhatMoves: what an owner has already, as after a restart of its source, is neither moved nor part of the rate.
func TestRateOfWhatMoves(t *testing.T) {
	m := cluster.NewMachine()
	apply := func(c cluster.Command) {
		if _, err := m.Apply(m.Index+1, cluster.Entry{Time: time.Unix(1, 0), Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	node := func(id cluster.NodeID, r cluster.Role) cluster.Node {
		return cluster.Node{ID: id, Role: r, IntraAddr: string(id) + ":1", PublicURL: "http://" + string(id) + ":2"}
	}
	apply(cluster.Found{UUID: "u", Secret: []byte("0123456789abcdef0123456789abcdef"), Node: node("g", cluster.RoleProxy)})
	apply(cluster.Join{Node: node("t1", cluster.RoleTarget)})
	apply(cluster.CreateBucket{Name: "b"})
	apply(cluster.Join{Node: node("t2", cluster.RoleTarget)})
	apply(cluster.MoveNodes{IDs: []cluster.NodeID{"t2"}, Step: cluster.JoinNode})
	v := m.View()

	var b book
	g := b.of(v.Map.Epoch)
	g.beginPass(tally{})
	g.setTotal(400)
	g.taken(tally{})
	g.rates.at[0] = time.Now().Add(-2 * time.Second)
	g.recognised(tally{100, 100 << 30})
	s := g.status(v, "t1")
	if !s.Running || s.Rate != 0 || s.ETANS != 0 || s.Objects != 0 || s.PresentObjects != 100 {
		t.Errorf("nothing has moved: %+v", s)
	}
	if s.TotalObjects != 400 || s.TotalBytes != 400<<30 {
		t.Errorf("totals: %+v", s)
	}
	g.taken(tally{100, 2000})
	s = g.status(v, "t1")
	if s.Rate <= 0 || s.Rate > 1000 || s.ETANS == 0 || s.Objects != 100 || s.Bytes != 2000 {
		t.Errorf("2000 bytes in 2 seconds or more: %+v", s)
	}

	g.beginPass(tally{}) // and recognises what it has sent itself
	g.recognised(tally{50, 50 << 30})
	if s = g.status(v, "t1"); s.Objects != 100 || s.PresentObjects != 100 {
		t.Errorf("a walk from the start: %+v", s)
	}
	g.recognised(tally{150, 50<<30 + 2000})
	if s = g.status(v, "t1"); s.Objects != 100 || s.PresentObjects != 100 || s.PresentBytes != 100<<30 {
		t.Errorf("the same keys once more: %+v", s)
	}

	g.beginPass(tally{200, 100<<30 + 2000}) // which looks at what is left
	g.recognised(tally{1, 5})
	if s = g.status(v, "t1"); s.Objects != 100 || s.PresentObjects != 101 || s.PresentBytes != 100<<30+5 {
		t.Errorf("another pass: %+v", s)
	}
}
