package xact

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aistore/api"
	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// node is a target in memory: its objects by bucket id and key.
type node struct {
	t       *testing.T
	id      cluster.NodeID
	c       *testCluster
	rt      *Runtime // the test's
	cur     atomic.Pointer[Runtime]
	mu      sync.Mutex
	objs    map[uint64]map[string]int64
	bad     map[string]error // keys whose Delete and Copy fail
	gate    chan struct{}    // not nil: Delete waits for it
	waiting atomic.Int64     // how many have come to the gate
	down    atomic.Bool
	hangs   atomic.Bool // it takes calls and answers none
	stop    func()
	dir     string // "": jobs are not kept

	lost atomic.Bool // the lease
}

// testCluster is targets that call each other directly.
type testCluster struct {
	view  *cluster.View // the test's
	now   atomic.Pointer[cluster.View]
	from  *cluster.Bucket
	to    *cluster.Bucket
	nodes map[cluster.NodeID]*node
	jobs  *Jobs
	moved atomic.Bool // names are worked on by others than their owners, too
}

func newCluster(t *testing.T, targets int) *testCluster {
	c := &testCluster{
		from:  &cluster.Bucket{ID: 1, Name: "src", Seed: 11},
		to:    &cluster.Bucket{ID: 2, Name: "dst", Seed: 22},
		nodes: map[cluster.NodeID]*node{},
	}
	m := &cluster.Map{UUID: "cluster", Version: 1, Epoch: 1, Nodes: map[cluster.NodeID]*cluster.Node{}}
	for i := range targets {
		id := cluster.NodeID(fmt.Sprintf("t%d", i))
		m.Nodes[id] = &cluster.Node{
			ID: id, Role: cluster.RoleTarget, State: cluster.Online, Alive: true, Weight: 100, Digest: cluster.NodeDigest(string(id)),
		}
		n := &node{t: t, id: id, c: c, objs: map[uint64]map[string]int64{1: {}, 2: {}}, bad: map[string]error{}}
		c.nodes[id] = n
		n.start()
		t.Cleanup(func() { n.stop() })
	}
	c.view = (&cluster.View{
		Map: m, Config: cluster.DefaultConfig(),
		Buckets: &cluster.BucketMap{Buckets: map[string]*cluster.Bucket{c.from.Key(): c.from, c.to.Key(): c.to}},
	}).Freeze()
	c.now.Store(c.view)
	c.jobs = NewJobs(c)
	return c
}

func (n *node) start() {
	n.rt = NewRuntime(Config{Self: n.id, Objects: n, Map: n, Peers: n.c, Pages: n.c.page, Dir: n.dir})
	n.cur.Store(n.rt)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	ready := make(chan struct{})
	go func() {
		defer close(done)
		close(ready)
		if err := n.cur.Load().Run(ctx); err != nil {
			n.t.Error(err)
		}
	}()
	<-ready
	n.stop = func() { cancel(); <-done }
	for !n.rt.accepting() {
		runtime.Gosched()
	}
}

func (r *Runtime) accepting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx != nil
}

func (n *node) View() *cluster.View                           { return n.c.now.Load() }
func (n *node) Latest(context.Context) (*cluster.View, error) { return n.c.now.Load(), nil }

func (n *node) Lease() error {
	if n.lost.Load() {
		return errs.E("test", "lease", errs.Unavailable, "lost")
	}
	return nil
}

func (n *node) Names(_ context.Context, bucket uint64, prefix, after string, yield func(*object.Info) bool) error {
	n.mu.Lock()
	keys := slices.Sorted(maps.Keys(n.objs[bucket]))
	n.mu.Unlock()
	for _, k := range keys {
		n.mu.Lock()
		size, ok := n.objs[bucket][k]
		n.mu.Unlock()
		if ok && strings.HasPrefix(k, prefix) && k > after && !yield(&object.Info{Key: k, Size: size}) {
			break
		}
	}
	return nil
}

func (n *node) Lane(o object.Name) (int, int) { return len(o.Key) % 2, 2 }

func (n *node) Size(_ context.Context, b *cluster.Bucket, key string) (int64, error) {
	info, err := n.stat(object.Name{Bucket: b.ID, Key: key})
	return info.Size, err
}

func (n *node) stat(o object.Name) (object.Info, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	size, ok := n.objs[o.Bucket][o.Key]
	if !ok {
		return object.Info{}, errs.E("test", o, errs.NotFound)
	}
	return object.Info{Key: o.Key, Size: size}, nil
}

func (n *node) Delete(ctx context.Context, b *cluster.Bucket, key string) (int64, error) {
	if n.gate != nil {
		n.waiting.Add(1)
		select {
		case <-n.gate:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if owner := n.c.now.Load().Owner(b, key); owner.ID != n.id {
		if !n.c.moved.Load() {
			n.t.Errorf("%s works on %s, which is %s's", n.id, key, owner.ID)
		}
		n = n.c.nodes[owner.ID]
	}
	info, err := n.stat(object.Name{Bucket: b.ID, Key: key})
	if err == nil {
		err = n.bad[key]
	}
	if err == nil {
		n.mu.Lock()
		delete(n.objs[b.ID], key)
		n.mu.Unlock()
	}
	return info.Size, err
}

func (n *node) Copy(_ context.Context, from *cluster.Bucket, key string, to *cluster.Bucket, toKey string) (int64, error) {
	info, err := n.stat(object.Name{Bucket: from.ID, Key: key})
	if err == nil {
		err = n.bad[key]
	}
	if err == nil {
		n.c.put(to, toKey, info.Size)
	}
	return info.Size, err
}

func (c *testCluster) put(b *cluster.Bucket, key string, size int64) {
	n := c.nodes[c.now.Load().Owner(b, key).ID]
	n.mu.Lock()
	n.objs[b.ID][key] = size
	n.mu.Unlock()
}

func (c *testCluster) keys(b *cluster.Bucket) string {
	var all []string
	for _, n := range c.nodes {
		n.mu.Lock()
		for k := range n.objs[b.ID] {
			all = append(all, k)
		}
		n.mu.Unlock()
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// hang is what a call comes to that has no time left, or whose process stands still.
func (n *node) hang(ctx context.Context) error {
	if !n.hangs.Load() {
		return ctx.Err()
	}
	select {
	case <-time.After(patience):
	case <-ctx.Done():
	}
	return errs.E("test", string(n.id), errs.Unavailable)
}

func (c *testCluster) Start(ctx context.Context, n *cluster.Node, s *Spec) error {
	t := c.nodes[n.ID]
	if t.down.Load() {
		return errs.E("test", string(n.ID), errs.Unavailable)
	}
	if err := t.hang(ctx); err != nil {
		return err
	}
	return t.cur.Load().Start(ctx, *s)
}

func (c *testCluster) Seal(ctx context.Context, n *cluster.Node, id string, f Final) error {
	t := c.nodes[n.ID]
	if t.down.Load() {
		return errs.E("test", string(n.ID), errs.Unavailable)
	}
	return t.cur.Load().Seal(ctx, id, f)
}

// page lists two names at a time.
func (c *testCluster) page(_ context.Context, bucket uint64, prefix, after string) (found []Found, next string, err error) {
	for _, k := range strings.Fields(c.keys(&cluster.Bucket{ID: bucket})) {
		switch {
		case !strings.HasPrefix(k, prefix) || k <= after:
		case len(found) == 2:
			return found, found[1].Key, nil
		default:
			found = append(found, Found{k, 1})
		}
	}
	return found, "", nil
}

func (c *testCluster) Stop(ctx context.Context, n *cluster.Node, q *api.JobQuery) (int, error) {
	if err := c.nodes[n.ID].hang(ctx); err != nil {
		return 0, err
	}
	return c.nodes[n.ID].cur.Load().Stop(q), nil
}

// Query passes the reports through JSON, as the intra-cluster route does.
func (c *testCluster) Query(ctx context.Context, n *cluster.Node, q *api.JobQuery) (snaps []Snap, err error) {
	if c.nodes[n.ID].down.Load() {
		return nil, errs.E("test", string(n.ID), errs.Unavailable)
	}
	if err := c.nodes[n.ID].hang(ctx); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(c.nodes[n.ID].cur.Load().Query(q))
	if err == nil {
		err = json.Unmarshal(raw, &snaps)
	}
	return snaps, err
}

// run starts a job, waits for its end and returns its sum.
func (c *testCluster) run(t *testing.T, kind string, to uint64, msg any) *Job {
	t.Helper()
	raw, err := json.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.jobs.Start(context.Background(), c.view, Spec{Kind: kind, Bucket: 1, To: to, Message: raw})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		n.rt.active.Wait()
	}
	j, err := c.jobs.Status(context.Background(), c.view, id)
	if err != nil {
		t.Fatal(err)
	}
	if j.EndTime == 0 {
		t.Fatalf("ended everywhere, and yet %+v", j)
	}
	return j
}

func TestDelete(t *testing.T) {
	for _, c := range []struct {
		sel  api.ObjectSelection
		left string
		n    int64
	}{
		{api.ObjectSelection{Names: []string{"a1", "b7", "none"}}, "a2 a3 b8 dir/x", 2},
		{api.ObjectSelection{Template: "a{2..9}"}, "a1 b7 b8 dir/x", 2},
		{api.ObjectSelection{Template: "a"}, "b7 b8 dir/x", 3},
		{api.ObjectSelection{All: true}, "", 6},
	} {
		cl := newCluster(t, 3)
		for i, k := range strings.Fields("a1 a2 a3 b7 b8 dir/x") {
			cl.put(cl.from, k, int64(i))
		}
		j := cl.run(t, DeleteObjects, 0, c.sel)
		if got := cl.keys(cl.from); got != c.left || j.Objects != c.n || j.Err != "" || j.Aborted {
			t.Errorf("%+v: left %q, %+v; want %q and %d objects", c.sel, got, j, c.left, c.n)
		}
	}
}

func TestErrorsAreCounted(t *testing.T) {
	cl := newCluster(t, 3)
	var names []string
	for i := range 60 {
		k := fmt.Sprintf("k%02d", i)
		names = append(names, k)
		cl.put(cl.from, k, 1)
		if i%3 == 0 {
			for _, n := range cl.nodes {
				n.bad[k] = errs.E("test", k, errs.Corrupt)
			}
		}
	}
	j := cl.run(t, DeleteObjects, 0, api.ObjectSelection{Names: names})
	if j.Objects != 40 || j.Aborted || !strings.Contains(j.Err, "objects failed") || !strings.Contains(j.Err, "ais://src/k") {
		t.Errorf("got %+v", j)
	}
	var failed uint64
	snaps, err := cl.jobs.Snaps(context.Background(), cl.view, &api.JobQuery{ID: j.UUID})
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range snaps {
		failed += of[0].Errors
	}
	if failed != 20 {
		t.Errorf("%d failures counted, want 20", failed)
	}
}

func TestCopy(t *testing.T) {
	for _, c := range []struct {
		kind string
		msg  any
		want string
	}{
		{CopyBucket, api.CopyMsg{}, "a.jpg a.txt dir.d/b dir.d/c.jpg"},
		{CopyBucket, api.CopyMsg{Prefix: "dir", Prepend: "new/"}, "new/dir.d/b new/dir.d/c.jpg"},
		{CopyBucket, api.CopyMsg{Ext: map[string]string{"jpg": ".png"}}, "a.png a.txt dir.d/b dir.d/c.png"},
		{CopyBucket, api.CopyMsg{DryRun: true}, ""},
		{CopyBucket, api.CopyMsg{NumWorkers: -1}, "a.jpg a.txt dir.d/b dir.d/c.jpg"},
		{CopyObjects, api.CopyObjectsMsg{ObjectSelection: api.ObjectSelection{Names: []string{"a.txt"}}}, "a.txt"},
		{CopyObjects, api.CopyObjectsMsg{ObjectSelection: api.ObjectSelection{Template: "a"}}, "a.jpg a.txt"},
		{CopyObjects, api.CopyObjectsMsg{ObjectSelection: api.ObjectSelection{Template: "x{1..3}"}}, ""},
	} {
		cl := newCluster(t, 3)
		for _, k := range strings.Fields("a.txt a.jpg dir.d/b dir.d/c.jpg") {
			cl.put(cl.from, k, 10)
		}
		j := cl.run(t, c.kind, 2, c.msg)
		if got := cl.keys(cl.to); got != c.want || j.Err != "" || j.Aborted {
			t.Errorf("%s %+v: %q %+v, want %q", c.kind, c.msg, got, j, c.want)
		}
		if m, ok := c.msg.(api.CopyMsg); ok && m.DryRun && (j.Objects != 4 || j.Bytes != 40) {
			t.Errorf("dry run counted %d objects, %d bytes", j.Objects, j.Bytes)
		}
	}
}

// TestCopyOfMissing: a name given by itself must exist; without "continue on error" its absence ends the job.
func TestCopyOfMissing(t *testing.T) {
	for _, goOn := range []bool{false, true} {
		cl := newCluster(t, 2)
		cl.put(cl.from, "a", 1)
		msg := api.CopyObjectsMsg{ObjectSelection: api.ObjectSelection{Names: []string{"none", "a"}}, CopyMsg: api.CopyMsg{ContinueOn: goOn}}
		j := cl.run(t, CopyObjects, 2, msg)
		if !strings.Contains(j.Err, "ais://src/none") || j.Aborted == goOn {
			t.Errorf("continue on error %v: %+v", goOn, j)
		}
		if goOn && cl.keys(cl.to) != "a" {
			t.Errorf("copied %q", cl.keys(cl.to))
		}
	}
}

func TestSummary(t *testing.T) {
	cl := newCluster(t, 3)
	for i := range 50 {
		cl.put(cl.from, fmt.Sprintf("p%02d", i), int64(i+5))
	}
	cl.put(cl.from, "other", 1)
	j := cl.run(t, SummaryBucket, 0, api.SummaryMsg{Prefix: "p"})
	if j.Objects != 50 || j.Bytes != 50*5+49*50/2 || j.Sizes != (Sizes{5, 54}) {
		t.Errorf("got %+v", j)
	}
}

func TestStop(t *testing.T) {
	cl := newCluster(t, 3)
	for i := range 100 {
		cl.put(cl.from, fmt.Sprintf("k%02d", i), 1)
	}
	for _, n := range cl.nodes {
		n.gate = make(chan struct{})
	}
	ctx := context.Background()
	id, err := cl.jobs.Start(ctx, cl.view, Spec{Kind: DeleteObjects, Bucket: 1, Message: json.RawMessage(`{"all":true}`)})
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	if js, err := cl.jobs.List(ctx, cl.view, &api.JobQuery{Active: &yes}); err != nil || len(js) != 1 || js[0].EndTime != 0 {
		t.Errorf("running: %+v %v", js, err)
	}
	n, err := cl.jobs.Stop(ctx, cl.view, &api.JobQuery{Kind: "delete-objects"})
	if err != nil || n != 3 {
		t.Errorf("stopped %d, %v", n, err)
	}
	for _, n := range cl.nodes {
		n.rt.active.Wait()
	}
	j, err := cl.jobs.Status(ctx, cl.view, id)
	if err != nil || !j.Aborted || j.EndTime == 0 || !strings.Contains(j.Err, "stopped on request") {
		t.Errorf("%+v %v", j, err)
	}
	if js, err := cl.jobs.List(ctx, cl.view, &api.JobQuery{Active: &yes}); err != nil || len(js) != 0 {
		t.Errorf("running after the stop: %+v %v", js, err)
	}
}

func TestStartAllOrNone(t *testing.T) {
	cl := newCluster(t, 3)
	for i := range 30 {
		cl.put(cl.from, fmt.Sprintf("k%02d", i), 1)
	}
	for _, n := range cl.nodes {
		n.gate = make(chan struct{})
	}
	cl.nodes["t2"].down.Store(true)
	_, err := cl.jobs.Start(context.Background(), cl.view, Spec{Kind: DeleteObjects, Bucket: 1, Message: json.RawMessage(`{"all":true}`)})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "t2") {
		t.Errorf("got %v", err)
	}
	for _, n := range cl.nodes {
		n.rt.active.Wait() // would wait for ever if a share still ran
	}
	cl.view.Map.Nodes["t0"].Alive = false
	if _, err := cl.jobs.Start(context.Background(), cl.view, Spec{Kind: DeleteObjects, Bucket: 1}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("with a dead target: %v", err)
	}
}

// TestStartHangs: a job that could not begin because a target hangs goes on nowhere, and nobody begins the share of that target later.
func TestStartHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 3)
		cl.moved.Store(true)
		for i := range 30 {
			cl.put(cl.from, fmt.Sprintf("k%02d", i), 1)
		}
		hanging := cl.nodes["t0"] // the first that is told
		hanging.hangs.Store(true)
		for _, n := range cl.nodes {
			n.gate = make(chan struct{})
		}
		_, err := cl.jobs.Start(t.Context(), cl.view, Spec{Kind: DeleteObjects, Bucket: 1, Message: json.RawMessage(`{"all":true}`)})
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("got %v", err)
		}
		for _, n := range cl.nodes {
			close(n.gate)
		}
		cl.see(func(m *cluster.Map) { m.Nodes["t0"].Alive = false })
		elapse(2 * begunBy)
		if left := len(strings.Fields(cl.keys(cl.from))); left != 30 {
			t.Errorf("%d of 30 are left", left)
		}
	})
}

// TestStoppedBeforeItCame: the start of a job that was given up meanwhile, and arrives behind the stop, begins nothing.
func TestStoppedBeforeItCame(t *testing.T) {
	cl := newCluster(t, 1)
	cl.put(cl.from, "a", 1)
	rt := cl.nodes["t0"].rt
	if n := rt.Stop(&api.JobQuery{ID: "late"}); n != 0 {
		t.Errorf("stopped %d", n)
	}
	s := Spec{ID: "late", Kind: DeleteObjects, Bucket: 1, Epoch: 1, Placement: []cluster.Placed{{ID: "t0", Weight: 100}}, Message: json.RawMessage(`{"all":true}`)}
	if err := rt.Start(t.Context(), s); !errs.Is(err, errs.Canceled) {
		t.Errorf("%v", err)
	}
	rt.active.Wait()
	if left := cl.keys(cl.from); left != "a" {
		t.Errorf("left %q", left)
	}
	for i := range 2 * maxStopped {
		rt.Stop(&api.JobQuery{ID: fmt.Sprint(i)})
	}
	if len(rt.undone) != maxStopped {
		t.Errorf("%d are remembered", len(rt.undone))
	}
}

func TestRuntimeRefuses(t *testing.T) {
	cl := newCluster(t, 1)
	rt := cl.nodes["t0"].rt
	ctx := context.Background()
	for _, c := range []struct {
		s    Spec
		kind errs.Kind
	}{
		{Spec{Kind: "nonsense", Bucket: 1, Epoch: 1}, errs.Invalid},
		{Spec{Kind: DeleteObjects, Bucket: 9, Epoch: 1}, errs.NoBucket},
		{Spec{Kind: CopyBucket, Bucket: 1, To: 9, Epoch: 1}, errs.NoBucket},
	} {
		if err := rt.Start(ctx, c.s); !errs.Is(err, c.kind) {
			t.Errorf("%+v: %v, want %v", c.s, err, c.kind)
		}
	}
	for i := range maxEnded + 20 { // what has ended is forgotten in the end
		if err := rt.Start(ctx, Spec{ID: fmt.Sprint(i), Kind: MoveBucket, Bucket: 1, Epoch: 1}); err != nil {
			t.Fatal(err)
		}
		rt.active.Wait()
	}
	if n := len(rt.Query(&api.JobQuery{})); n > maxEnded+1 {
		t.Errorf("remembers %d jobs", n)
	}
	if err := rt.Start(ctx, Spec{ID: fmt.Sprint(maxEnded + 19), Kind: MoveBucket, Bucket: 1, Epoch: 1}); err != nil {
		t.Errorf("started again: %v", err)
	}
	cl.nodes["t0"].stop()
	if err := rt.Start(ctx, Spec{Kind: MoveBucket, Bucket: 1, Epoch: 1}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("after Run: %v", err)
	}
}

// TestEndedJobsAreSmall: of a job that is only remembered the names that it was given are not kept.
func TestEndedJobsAreSmall(t *testing.T) {
	cl := newCluster(t, 1)
	cl.put(cl.from, "a", 1)
	if j := cl.run(t, DeleteObjects, 0, api.ObjectSelection{Names: []string{"a"}}); j.Objects != 1 {
		t.Fatalf("%+v", j)
	}
	for _, j := range cl.nodes["t0"].rt.all() {
		if n := len(j.spec.Message); n > 0 {
			t.Errorf("%d bytes are kept", n)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct{ total, mountpaths, lanes, workers int }{
		{0, 1, 1, 16}, {0, 3, 3, 16}, {0, 16, 16, 16}, {0, 32, 32, 8}, {0, 100, 100, 4},
		{-1, 3, 1, 1}, {1, 3, 3, 1}, {12, 3, 3, 4}, {1000, 2, 2, 128},
	} {
		if lanes, workers := spread(c.total, c.mountpaths); lanes != c.lanes || workers != c.workers {
			t.Errorf("%d wanted, %d mountpaths: %d lanes of %d", c.total, c.mountpaths, lanes, workers)
		}
	}
}

// TestTogether: the deletes of one mountpath are under way at the same time, so that they share its syncs.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := newCluster(t, 1)
		n := cl.nodes["t0"]
		n.gate = make(chan struct{})
		for i := range 100 {
			cl.put(cl.from, fmt.Sprintf("k%02d", i), 1) // of the same length: on the same mountpath
		}
		if _, err := cl.jobs.Start(t.Context(), cl.view, Spec{Kind: DeleteObjects, Bucket: 1, Message: json.RawMessage(`{"all":true}`)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := n.waiting.Load(); got != perLane {
			t.Errorf("%d deletes at the same time, want %d", got, perLane)
		}
		close(n.gate)
		n.rt.active.Wait()
		if left := cl.keys(cl.from); left != "" {
			t.Errorf("left %s", left)
		}
	})
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Table() {
		if seen[r.Kind] || seen[r.Name] || r.Help == "" || r.work == nil || r.Scope == "" {
			t.Errorf("row %+v", r)
		}
		seen[r.Kind], seen[r.Name] = true, true
		if KindOf(r.Name) != r.Kind || KindOf(r.Kind) != r.Kind {
			t.Errorf("%s is not found by its names", r.Kind)
		}
	}
	one, other := NewID(), NewID()
	if KindOf("x") != "" || one == other || len(Kinds()) != len(Table()) {
		t.Error("KindOf, NewID or Kinds")
	}
}
