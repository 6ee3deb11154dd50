package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/internal/failpoint"
	"aistore/test/linear"
	"aistore/test/procs"
)

// TestKillAtMoves kills a target at the points between two durable steps of moving keys, parts, uploads and appends between its
// mountpaths, while one is taken away or given back and clients write and delete. Each time the move ends by itself, everything is as
// acknowledged, and the check of the cluster finds no fault; in the end everything is deleted and nothing may be left. The long form
// visits every point, in both directions where both pass it.
func TestKillAtMoves(t *testing.T) {
	points, err := failpoint.Scan(os.DirFS("../.."))
	must(t, err)
	var names []string
	for _, p := range points {
		if strings.HasPrefix(p.Name, "move.") || strings.HasPrefix(p.Name, "detach.") {
			names = append(names, p.Name)
		}
	}
	if len(names) < 8 {
		t.Errorf("%d failpoints of moves were found", len(names))
	}
	names = asked(t, names, itself)
	ctx := context.Background()
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 2, Mountpaths: 3, Binary: procs.Node(t, "failpoints")})
	m := newShifter(t, c, procs.Seed(t))
	visits := 2
	if !long() { // another each run
		m.rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		names, visits = names[:1], 1
	}
	for _, point := range names {
		for range visits {
			m.visit(ctx, point)
		}
	}
	must(t, m.load.Audit(ctx))
	judge(t, dir, m.load.History)
	m.flush(ctx)
	m.audit(ctx)
	for _, b := range []string{m.load.Bucket, appends} {
		must(t, m.gw.DestroyBucket(ctx, b))
	}
	m.removeAll(ctx)
}

// appends is a bucket of objects under construction.
const appends = "appends"

// shifter takes mountpaths of the victim out and in.
type shifter struct {
	*s3Killer
	api  *client.Client
	load *linear.Load
	mps  []string // of the victim
	open map[string]*appended
}

// appended is an object that grows until the end of the test.
type appended struct {
	handle string
	pieces content
}

func newShifter(t *testing.T, c *procs.Cluster, seed uint64) *shifter {
	t.Helper()
	m := &shifter{s3Killer: newS3Killer(t, c, seed), open: map[string]*appended{}}
	n, err := c.Node(victim)
	must(t, err)
	m.mps = n.Mountpaths
	m.api, err = client.New(client.Options{Endpoints: []string{m.gw.Endpoint()}})
	must(t, err)
	t.Cleanup(m.api.Close)
	m.load = &linear.Load{
		Clients: linear.Plain(m.gw), Bucket: "moving", Names: linear.Names(60), Workers: 4, Lists: true, Timeout: 15 * time.Second,
		Seed: seed, History: linear.NewHistory(),
	}
	for _, b := range []string{m.load.Bucket, appends} {
		must(t, m.gw.CreateBucket(context.Background(), b))
	}
	return m
}

// fill writes something of every sort that moves: objects in the index and in files, versions, delete markers, objects in parts,
// copies that share them, uploads under way, and appends.
func (m *shifter) fill(ctx context.Context) {
	m.t.Helper()
	m.round++
	works := []func(string) []step{m.uploadOver, m.left, m.copies, m.overwriteVersions, m.deleteVersions}
	for i := range 6 { // one part each: small enough for many, of which some are where they are wanted
		works = append(works, func(name string) []step { return m.multiOf(m.hold(plainBucket, name), m.value(large), i < 4) })
	}
	for i, steps := range works {
		w := &work{k: m.s3Killer, steps: steps(fmt.Sprintf("m%d-%d", m.round, i))}
		if err := w.run(ctx); err != nil {
			m.t.Fatalf("fill %d: %v", i, err)
		}
	}
	for i := range 3 {
		name := m.owned(appends, fmt.Sprintf("a%d-%d", m.round, i))
		m.open[name] = &appended{}
		m.append(ctx, name)
	}
}

// multiOf uploads an object of one part, or leaves it under way.
func (m *shifter) multiOf(h *held, c content, whole bool) []step {
	u := m.begin(h)
	steps := []step{u.create, func(ctx context.Context) error { return u.send(ctx, 1, c) }}
	if whole {
		steps = append(steps, u.complete)
	}
	return steps
}

func (m *shifter) append(ctx context.Context, name string) {
	m.t.Helper()
	a, c := m.open[name], m.value(small)
	h, err := m.gw.Append(ctx, appends, name, a.handle, c.bytes())
	if err != nil {
		m.t.Fatalf("append to %s: %v", name, err)
	}
	a.handle, a.pieces = h, append(a.pieces, c...)
}

// flush ends the objects under construction and reads them.
func (m *shifter) flush(ctx context.Context) {
	for name, a := range m.open {
		_, err := m.gw.Flush(ctx, appends, name, a.handle)
		must(m.t, err)
		b, _, err := m.gw.Get(ctx, appends, name)
		if err != nil || string(b) != string(a.pieces.bytes()) {
			m.t.Errorf("%s has %d bytes of %d appended, or others: %v", name, len(b), len(a.pieces.bytes()), err)
		}
	}
}

// traffic keeps clients busy until the returned function is called.
func (m *shifter) traffic(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	m.load.Seed++
	go func() {
		defer close(done)
		m.load.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

// visit has the victim die at point, when it gives a mountpath up or takes it back, whichever passes there first.
func (m *shifter) visit(ctx context.Context, point string) {
	m.t.Helper()
	for range 5 {
		m.fill(ctx)
		disk := m.mps[m.rnd.IntN(len(m.mps))]
		both := []string{api.ActMountpathDetach, api.ActMountpathAttach}
		deaths := 0
		for _, action := range both {
			if m.shift(ctx, point, action, disk) {
				deaths++
			}
		}
		if deaths > 0 {
			return
		}
	}
	m.t.Errorf("failpoint %s was never reached", point)
}

// shift carries out one action with point armed and reports whether the victim died of it.
func (m *shifter) shift(ctx context.Context, point, action, disk string) (died bool) {
	m.t.Helper()
	nth := 1 + m.rnd.IntN(3)
	if strings.HasPrefix(point, "detach.") {
		nth = 1
	}
	must(m.t, m.c.Restart(ctx, victim, fmt.Sprintf("AIS_FAILPOINTS=%s=kill:%d", point, nth)))
	stop := m.traffic(ctx)
	_, err := m.api.ChangeMountpath(ctx, victim, action, disk, client.MountpathOptions{})
	if err != nil && !m.died(ctx, false) {
		m.t.Fatalf("%s of %s: %v", action, disk, err)
	}
	died = m.ended(ctx, action, disk)
	if died {
		must(m.t, m.c.Start(ctx, victim))
		procs.Eventually(m.t, procs.Patience, func(ctx context.Context) error { return m.settled(ctx, action, disk) })
	}
	stop()
	m.t.Logf("%s of %s at %s:%d, died: %v", action, disk, point, nth, died)
	m.settle(ctx, m.held, m.uploads)
	for name := range m.open {
		m.append(ctx, name)
	}
	m.sound(ctx)
	return died
}

// ended waits until the victim has died or has nothing left to move.
func (m *shifter) ended(ctx context.Context, action, disk string) (died bool) {
	m.t.Helper()
	procs.Eventually(m.t, procs.Patience, func(ctx context.Context) error {
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		if died = m.c.Await(short, victim) == nil; died {
			return nil
		}
		s, err := m.api.NodeStatus(ctx, victim)
		if err == nil && s.Mountpaths.Resilver == nil { // since the victim was restarted for this
			err = errors.New("it has not begun to move")
		}
		return errors.Join(err, m.settled(ctx, action, disk))
	})
	return died
}

// settled is nil when the victim has nothing left to move, if it has begun to.
func (m *shifter) settled(ctx context.Context, action, disk string) error {
	s, err := m.api.NodeStatus(ctx, victim)
	if err != nil {
		return err
	}
	mps := s.Mountpaths
	if r := mps.Resilver; r != nil && r.Running {
		return fmt.Errorf("it goes on: %+v", *r)
	}
	there := slices.ContainsFunc(mps.Details, func(mp api.Mountpath) bool { return mp.Path == disk && mp.Standing == "" })
	if len(mps.Disabled) > 0 || there != (action == api.ActMountpathAttach) {
		return fmt.Errorf("after %s of %s: %+v", action, disk, mps.Details)
	}
	return nil
}

// sound asks every target to look through all it has.
func (m *shifter) sound(ctx context.Context) {
	m.t.Helper()
	procs.Eventually(m.t, procs.Patience, func(ctx context.Context) error {
		r, err := m.api.Life().Check(ctx, client.CheckOptions{Deep: true})
		switch {
		case err != nil:
			return err
		case r.Rebalancing || len(r.Unchecked) > 0:
			return fmt.Errorf("not checked: %v", r.Unchecked)
		case r.Faults() > 0 || r.Checked == 0:
			m.t.Errorf("the check finds %+v", r.CheckCounts)
			for id, n := range r.Nodes {
				m.t.Logf("%s: %v", id, n.Examples)
			}
		}
		return nil
	})
}
