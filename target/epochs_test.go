package target_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"aistore/cluster"
	"aistore/node"
	"aistore/object"
	"aistore/store"
)

// epochs is a world whose map is made by the real state machine, without any rebalance: names stay where they are until somebody touches them.
// Each target has its own end of the control plane, and can be left behind.
type epochs struct {
	*world
	m *cluster.Machine
}

// newEpochs starts n targets, of which the first in are in service when the buckets are made; the others stand by.
func newEpochs(t testing.TB, n, in int) *epochs {
	t.Helper()
	e := &epochs{world: &world{t: t, plane: &plane{news: make(chan struct{})}}, m: cluster.NewMachine()}
	nodes := &cluster.View{Map: &cluster.Map{Nodes: map[cluster.NodeID]*cluster.Node{}}}
	for i := range n {
		w := &world{t: t, plane: &plane{news: make(chan struct{})}}
		e.targets = append(e.targets, w.start(cluster.NodeID(fmt.Sprintf("t%d", i+1)), nodes))
		e.onStart = append(e.onStart, w.onStart...)
	}
	e.commit(cluster.Found{UUID: "u", Secret: []byte(strings.Repeat("s", 32)), Node: cluster.Node{ID: "g", Role: cluster.RoleProxy, PublicURL: "http://g:1", IntraAddr: "g:2"}})
	for i, o := range e.targets {
		if i == in {
			e.buckets()
		}
		e.commit(cluster.Join{Node: o.joins()})
	}
	if in == n {
		e.buckets()
	}
	e.tell()
	for _, f := range e.onStart {
		f()
	}
	return e
}

func (e *epochs) buckets() {
	e.commit(cluster.CreateBucket{Name: "bk", Props: cluster.DefaultBucketProps()})
	kept := cluster.DefaultBucketProps()
	kept.S3.Versioning = cluster.VersioningEnabled
	e.commit(cluster.CreateBucket{Name: "kept", Props: kept})
}

// joins is what the node tells of itself.
func (o *one) joins() cluster.Node {
	return cluster.Node{ID: o.node.ID, Role: o.node.Role, PublicURL: o.node.PublicURL, IntraAddr: o.node.IntraAddr}
}

// commit changes the map; nobody is told.
func (e *epochs) commit(c cluster.Command) {
	e.t.Helper()
	if _, err := e.m.Apply(e.m.Index+1, cluster.Entry{Time: time.Unix(1, 0), Command: c}); err != nil {
		e.t.Fatal(err)
	}
}

// tell shows the newest view to all targets but some, who only learn of it when they ask.
func (e *epochs) tell(but ...*one) {
	v := e.m.View()
	e.world.plane.view = v
next:
	for _, o := range e.targets {
		p := o.ctl.plane
		for _, b := range but {
			if b == o {
				p.mu.Lock()
				p.ahead = v
				p.mu.Unlock()
				continue next
			}
		}
		p.mu.Lock()
		p.view, p.ahead = v, nil
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

// do commits and tells all.
func (e *epochs) change(c cluster.Command) {
	e.t.Helper()
	e.commit(c)
	e.tell()
}

func (e *epochs) move(step cluster.Transition, ids ...cluster.NodeID) {
	e.t.Helper()
	e.change(cluster.MoveNodes{IDs: ids, Step: step})
}

// moved lets every source but some have moved and, if it may, swept.
func (e *epochs) report(stage cluster.Stage, ids ...cluster.NodeID) {
	e.t.Helper()
	for _, id := range ids {
		e.commit(cluster.ReportSource{ID: id, Epoch: e.m.Map.Epoch, Stage: stage})
	}
	e.tell()
}

// going returns a name that belongs to from now, and to to once step has been taken with id.
func (e *epochs) going(bucket, prefix string, from, to *one, step cluster.Transition, id cluster.NodeID) string {
	e.t.Helper()
	before := e.m.View()
	m := *e.m
	if _, err := m.Apply(m.Index+1, cluster.Entry{Time: time.Unix(1, 0), Command: cluster.MoveNodes{IDs: []cluster.NodeID{id}, Step: step}}); err != nil {
		e.t.Fatal(err)
	}
	after := m.View()
	b := before.Buckets.Get("", bucket)
	for i := range 100_000 {
		key := fmt.Sprint(prefix, i)
		if before.Owner(b, key).ID == from.id && after.Owner(b, key).ID == to.id {
			return key
		}
	}
	e.t.Fatalf("no name goes from %s to %s", from.id, to.id)
	return ""
}

// restart ends a target and starts it again on its disks, elsewhere.
func (e *epochs) restart(o *one) {
	e.t.Helper()
	o.stop()
	w := &world{t: e.t, plane: o.ctl.plane}
	w.launch(o)
	e.change(cluster.Join{Node: o.joins()})
	w.onStart[0]()
}

func (e *epochs) name(bucket, key string) object.Name {
	return object.Name{Bucket: e.m.View().Buckets.Get("", bucket).ID, Key: key}
}

// state is what a target has of a key.
func (e *epochs) state(o *one, bucket, key string) store.KeyState {
	e.t.Helper()
	k, err := o.store.KeyState(e.name(bucket, key))
	if err != nil {
		e.t.Fatal(err)
	}
	return k
}

func path(bucket, key string) string { return "/v1/objects/" + bucket + "/" + key }

type objectName = object.Name

// objectOf resolves a name by the newest view.
func (e *epochs) objectOf(bucket, key string) node.Object {
	v := e.m.View()
	b := v.Buckets.Get("", bucket)
	return node.Object{View: v, Bucket: b, Key: key, Owner: v.Owner(b, key)}
}

func contains(ids []uint64, id uint64) bool { return slices.Contains(ids, id) }

// eventually waits for what a background task does.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for by := time.Now().Add(30 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(by) {
			t.Fatal("did not happen")
		}
	}
}
