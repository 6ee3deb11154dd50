package fault

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"aistore/deploy/local"
	"aistore/internal/failpoint"
	"aistore/test/procs"
)

// death is one way for a node to die while names move.
type death struct {
	point   string
	returns bool // the comer returns and dies; else it leaves, and one who gets its names dies
	all     bool // all others die with it
}

// TestKillAtFirstTouch kills an owner that takes over a key which a client asks for, and one that writes or deletes a key which it
// has just got: all that it does for clients from the moment in which it returns is of that kind. The long form visits every point on
// the way there and back, and kills everybody once.
func TestKillAtFirstTouch(t *testing.T) {
	points, err := failpoint.Scan(os.DirFS("../.."))
	must(t, err)
	var deaths []death
	for _, p := range points {
		group, _, _ := strings.Cut(p.Name, ".")
		switch group {
		case "touch", "ask", "import":
			deaths = append(deaths, death{p.Name, true, false}, death{p.Name, false, false}, death{p.Name, true, true}, death{p.Name, false, true})
		case "put", "delete":
			deaths = append(deaths, death{p.Name, true, false}, death{p.Name, true, true})
		}
	}
	if len(deaths) < 40 {
		t.Errorf("%d ways to die were found", len(deaths))
	}
	deaths = asked(t, deaths, func(d death) string { return d.point })
	ctx := context.Background()
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2, Binary: procs.Node(t, "failpoints")})
	hasten(t, c)
	m := newMover(t, c, procs.Seed(t), c.Clients()...)
	rand.New(rand.NewPCG(m.seed, 7)).Shuffle(len(deaths), func(i, j int) { deaths[i], deaths[j] = deaths[j], deaths[i] })
	if !long() { // others each run
		deaths = slices.Concat(pick(deaths, 1, func(d death) bool { return strings.HasPrefix(d.point, "put.") || strings.HasPrefix(d.point, "delete.") }),
			pick(deaths, 1, func(d death) bool { return !d.returns }), pick(deaths, 1, func(d death) bool { return d.returns && d.all }))
	}
	stop := m.traffic(ctx)
	for _, d := range deaths {
		m.fill(ctx, 20)
		m.touchAndDie(ctx, d)
		if t.Failed() {
			break
		}
	}
	stop()
	m.end(ctx, dir)
	t.Logf("%d deaths", len(deaths))
}

// pick returns the first n that suit.
func pick(all []death, n int, suits func(death) bool) (some []death) {
	for _, d := range all {
		if len(some) < n && suits(d) {
			some = append(some, d)
		}
	}
	return some
}

// touchAndDie has the comer leave and return; someone dies on the way.
func (m *mover) touchAndDie(ctx context.Context, d death) {
	m.t.Helper()
	victim := "t1"
	if d.returns {
		m.leave(ctx)
		victim = comer
	}
	m.slow(ctx, 400_000) // clients come before the rebalance does
	must(m.t, m.c.Restart(ctx, victim, "AIS_FAILPOINTS="+d.point+"=kill"))
	if d.returns {
		m.comes(ctx, comer)
	} else {
		m.goes(ctx, comer)
	}
	m.died(ctx, victim, d.point)
	m.revive(ctx, victim, d.all)
	m.slow(ctx, 0)
	m.settled(d.point)
	if !d.returns {
		m.verify(ctx)
		m.comes(ctx, comer)
		m.settled("return")
	}
	m.t.Logf("%+v: %v", d, m.load.History.Count())
	m.verify(ctx)
}
