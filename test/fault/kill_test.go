package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/internal/failpoint"
	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// victim is the target that the failpoints kill.
const victim = "t1"

// TestKillAtFailpoints kills a target at every point between two durable steps of a write, in the middle of the
// requests that pass it, and starts it again.
func TestKillAtFailpoints(t *testing.T) {
	points, err := failpoint.Scan(os.DirFS("../.."))
	must(t, err)
	var names []string
	for _, p := range points {
		for _, prefix := range []string{"put.", "delete.", "update.", "append.", "destroy.", "link."} {
			if strings.HasPrefix(p.Name, prefix) {
				names = append(names, p.Name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("the source has no failpoints in the paths of writes")
	}
	names = asked(t, names, itself)
	ctx := context.Background()
	seed := procs.Seed(t)
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 2, Mountpaths: 2, Binary: procs.Node(t, "failpoints")})
	k := newKiller(t, c, seed)
	visited := map[string]int{}
	for _, point := range names {
		first := 0
		if !long() { // another request each run
			first = k.rnd.IntN(len(k.acts()))
		}
		for first < 2*len(k.acts()) {
			met := k.kill(ctx, point, first)
			if met < 0 {
				break
			}
			visited[point]++
			if first = met + 1; !long() {
				break
			}
		}
	}
	for _, p := range names {
		if visited[p] == 0 {
			t.Errorf("failpoint %s was never reached: no request of this test passes it", p)
		}
	}
	must(t, c.Restart(ctx, victim))
	must(t, k.load.Audit(ctx))
	judge(t, dir, k.load.History)
	t.Logf("%d points, deaths by point: %v", len(names), visited)
	k.noLeftovers(ctx)
}

// killer makes single requests to names of the victim.
type killer struct {
	t      *testing.T
	c      *procs.Cluster
	gw     *plain.Client
	url    string // of the victim
	load   *linear.Load
	rnd    *rand.Rand
	round  int
	values uint64

	renames []renamed
}

func newKiller(t *testing.T, c *procs.Cluster, seed uint64) *killer {
	t.Helper()
	n, err := c.Node(victim)
	must(t, err)
	k := &killer{t: t, c: c, gw: c.Client("g1"), url: n.URL(), rnd: rand.New(rand.NewPCG(seed, 0)), values: seed << 32}
	must(t, k.gw.CreateBucket(context.Background(), "kill"))
	must(t, k.gw.CreateBucket(context.Background(), "names"))
	k.load = &linear.Load{Clients: linear.Plain(k.gw), Bucket: "kill", History: linear.NewHistory(), Timeout: 15 * time.Second}
	return k
}

const (
	small = 3000    // kept inside the index
	large = 700_001 // a blob of several blocks
)

// acts are the requests that may meet a failpoint; each returns when answered or cut off.
func (k *killer) acts() []func(ctx context.Context, name string) {
	put := func(size int64) func(context.Context, string) {
		return func(ctx context.Context, name string) { k.do(ctx, linear.Put, name, size) }
	}
	over := func(first, size int64) func(context.Context, string) {
		return func(ctx context.Context, name string) {
			k.do(ctx, linear.Put, name, first)
			k.do(ctx, linear.Put, name, size)
		}
	}
	del := func(size int64) func(context.Context, string) {
		return func(ctx context.Context, name string) {
			k.do(ctx, linear.Put, name, size)
			k.do(ctx, linear.Delete, name, 0)
		}
	}
	return []func(context.Context, string){
		put(small), put(large), over(small, small), over(large, large), over(small, large), over(large, small),
		del(small), del(large), k.appendTo, k.patch, k.rename, k.destroy,
	}
}

// owned returns a name of the bucket that begins with prefix and is the victim's.
func (k *killer) owned(bucket, prefix string) string {
	return ownedBy(k.t, k.gw, k.url, bucket, prefix, 1)[0]
}

// do makes one request and records it.
func (k *killer) do(ctx context.Context, kind linear.Kind, name string, size int64) {
	o := &linear.Op{Kind: kind, Name: name, Via: k.gw.Endpoint()}
	if kind == linear.Put {
		k.values++
		o.Value, o.Size = k.values, size
	}
	ctx, cancel := context.WithTimeout(ctx, k.load.Timeout)
	defer cancel()
	k.load.Do(ctx, k.gw, o, nil)
}

// appendTo builds an object of three parts: it may be seen after the flush only, and then whole.
func (k *killer) appendTo(ctx context.Context, name string) {
	k.values++
	v := value.Value{ID: k.values, Size: large}
	b := v.Bytes()
	o := &linear.Op{Kind: linear.Put, Name: name, Via: k.gw.Endpoint(), Value: v.ID, Size: v.Size, Call: k.load.History.Now(), Return: linear.Never, Result: linear.Nothing}
	handle, err := "", error(nil)
	for _, part := range [][]byte{b[:100], b[100:300_000], b[300_000:]} {
		if handle, err = k.gw.Append(ctx, "kill", name, handle, part); err != nil {
			break
		}
	}
	if err == nil {
		var m plain.Meta
		m, err = k.gw.Flush(ctx, "kill", name, handle)
		o.ETag, o.Version = m.ETag, m.Version
		o.Result = linear.Unknown
		if err == nil {
			o.Result, o.Return = linear.OK, k.load.History.Now()
		}
	}
	if err != nil {
		o.Err = err.Error()
	}
	if o.Result != linear.OK {
		o.ETag, o.Version = "", ""
	} else if o.ETag == "" || o.Version == "" { // the flush need not tell them: ask
		if m, err := k.gw.Head(ctx, "kill", name); err == nil {
			o.ETag, o.Version = m.ETag, m.Version
		}
	}
	k.load.History.Add(o)
}

// patch changes the custom metadata of an object whose content must not suffer. It stays out of the history, in which
// only writes change versions.
func (k *killer) patch(ctx context.Context, name string) {
	k.values++
	r := renamed{from: k.owned("names", name), v: value.Value{ID: k.values, Size: large}}
	if _, err := k.gw.Put(ctx, "names", r.from, r.v.Bytes()); err != nil {
		return
	}
	_, err := k.gw.Action(ctx, http.MethodPatch, "/v1/objects/names/"+plain.Escape(r.from), "", map[string]string{"colour": "blue"})
	r.patched = err == nil
	k.renames = append(k.renames, r)
}

// renamed is an object given another name: a crash may leave it under both, never under none, never in parts.
type renamed struct {
	from, to string
	v        value.Value
	acked    bool
	patched  bool
}

func (k *killer) rename(ctx context.Context, name string) {
	k.values++
	r := renamed{from: k.owned("names", name+"-from"), to: name + "-to", v: value.Value{ID: k.values, Size: large}}
	if _, err := k.gw.Put(ctx, "names", r.from, r.v.Bytes()); err != nil {
		return
	}
	r.acked = k.gw.Rename(ctx, "names", r.from, r.to) == nil
	k.renames = append(k.renames, r)
}

func (k *killer) checkRenames(ctx context.Context) {
	for _, r := range k.renames {
		found := 0
		for _, n := range []string{r.from, r.to} {
			if n == "" {
				continue
			}
			b, m, err := k.gw.Get(ctx, "names", n)
			switch {
			case r.patched && !strings.Contains(m.Header.Get("ais-custom-md"), "colour=blue"):
				k.t.Errorf("%s has lost the metadata that was acknowledged: %q", n, m.Header.Get("ais-custom-md"))
			case plain.Status(err) == http.StatusNotFound:
			case err != nil:
				k.t.Errorf("%s of %+v: %v", n, r, err)
			case r.v.Check(b, 0) != nil || int64(len(b)) != r.v.Size:
				k.t.Errorf("%s of %+v: %d bytes: %v", n, r, len(b), r.v.Check(b, 0))
			case n == r.from && r.acked:
				k.t.Errorf("%s is still there after its renaming was acknowledged", n)
			default:
				found++
			}
		}
		if found == 0 {
			k.t.Errorf("%+v is lost under both names", r)
		}
	}
	k.renames = nil
}

func (k *killer) doomed() string { return "doomed-" + strconv.Itoa(k.round) }

// destroy removes a bucket that has objects on the victim.
func (k *killer) destroy(ctx context.Context, name string) {
	bucket := k.doomed()
	if err := k.gw.CreateBucket(ctx, bucket); err != nil {
		return
	}
	for i, n := range ownedBy(k.t, k.gw, k.url, bucket, name, 6) {
		_, _ = k.gw.Put(ctx, bucket, n, value.Value{ID: 1, Size: []int64{small, large}[i%2]}.Bytes())
	}
	_ = k.gw.DestroyBucket(ctx, bucket)
}

// kill starts the victim with point armed and makes requests, from the act numbered first on, until it dies;
// then starts it again as it is. It returns the number of the act that met the point, -1 if none did.
func (k *killer) kill(ctx context.Context, point string, first int) int {
	k.t.Helper()
	k.round++
	must(k.t, k.c.Restart(ctx, victim, "AIS_FAILPOINTS="+point+"=kill"))
	acts := k.acts()
	met := -1
	var used []string
	for i := first; i < first+len(acts) && met < 0; i++ {
		name := k.owned("kill", fmt.Sprintf("r%d-%d", k.round, i))
		used = append(used, name)
		acts[i%len(acts)](ctx, name)
		later := strings.HasPrefix(point, "destroy.") && i%len(acts) == len(acts)-1 // data goes after the bucket has
		if k.died(ctx, later) {
			met = i
		}
	}
	k.load.Names = append(k.load.Names, used...)
	if met < 0 {
		return -1
	}
	must(k.t, k.c.Start(ctx, victim))
	for _, name := range used {
		k.do(ctx, linear.Get, name, 0)
	}
	if err := k.load.List(ctx, k.gw); err != nil {
		k.t.Errorf("list after a kill at %s: %v", point, err)
	}
	k.checkRenames(ctx)
	k.checkDoomed(ctx)
	return met
}

// died reports whether the victim is gone, or with later whether it goes before long. A dying process closes its
// sockets before its entry goes, so that is waited for.
func (k *killer) died(ctx context.Context, later bool) bool {
	if !later {
		resp, err := plain.New(k.url).Once(ctx, http.MethodGet, k.url+"/v1/health", nil)
		if err == nil {
			_ = resp.Body.Close()
			return false
		}
	}
	within := procs.Patience
	if later {
		within = 10 * time.Second // it need not
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := k.c.Await(ctx, victim)
	if err != nil && !later {
		k.t.Fatalf("%s neither answers nor ends: %v", victim, err)
	}
	return err == nil
}

// checkDoomed looks for what a destroyed bucket may have left to its successor of the same name.
func (k *killer) checkDoomed(ctx context.Context) {
	bucket := k.doomed()
	err := k.gw.CreateBucket(ctx, bucket)
	if plain.Status(err) == http.StatusConflict { // its destruction was not agreed on
		must(k.t, k.gw.DestroyBucket(ctx, bucket))
		err = k.gw.CreateBucket(ctx, bucket)
	}
	must(k.t, err)
	if es, err := k.gw.List(ctx, bucket, plain.ListQuery{}); err != nil || len(es) > 0 {
		k.t.Errorf("a bucket made again begins with %v (%v)", es, err)
	}
	must(k.t, k.gw.DestroyBucket(ctx, bucket))
}

// noLeftovers waits until the mountpaths hold exactly the blobs that the listings account for.
func (k *killer) noLeftovers(ctx context.Context) {
	want := 0
	for _, b := range []string{"kill", "names"} {
		es, err := k.gw.List(ctx, b, plain.ListQuery{})
		must(k.t, err)
		for _, e := range es {
			if e.Size == large {
				want++
			}
		}
	}
	procs.Eventually(k.t, procs.Patience, func(context.Context) error {
		work, blobs := 0, 0
		for _, n := range k.c.Nodes() {
			for _, mp := range n.Mountpaths {
				work += workFiles(k.t, mp)
				blobs += countFiles(k.t, filepath.Join(mp, "blobs"))
			}
		}
		if work != 0 || blobs != want {
			return fmt.Errorf("%d work files are left, and %d blobs of %d objects", work, blobs, want)
		}
		return nil
	})
	k.t.Logf("no work file left, %d blobs for %d large objects", want, want)
}

// workFiles counts the files of uploads under way. Sessions of appends live on by design until somebody flushes them.
func workFiles(t *testing.T, mountpath string) int {
	t.Helper()
	sessions, err := filepath.Glob(filepath.Join(mountpath, "work", "append-*"))
	must(t, err)
	return countFiles(t, filepath.Join(mountpath, "work")) - len(sessions)
}

func countFiles(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file that went while we looked
		}
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	must(t, err)
	return n
}

// TestKillAllUnderLoad cuts the power, as near as signals come to it, several times during a load of objects and of
// buckets. Class volatile must survive it too: it is the machine that does not crash here.
func TestKillAllUnderLoad(t *testing.T) {
	for class, n := range map[string]int{"local": rounds(3, 25), "volatile": rounds(2, 10)} {
		t.Run(class, func(t *testing.T) { killAll(t, class, n) })
	}
}

func killAll(t *testing.T, class string, rounds int) {
	ctx := context.Background()
	seed := procs.Seed(t)
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2})
	gw := c.Client("g1")
	must(t, gw.CreateBucket(ctx, "load"))
	_, err := gw.Action(ctx, http.MethodPatch, "/v1/buckets/load", "set-bprops", map[string]string{"durability": class})
	must(t, err)
	l := &linear.Load{
		Clients: linear.Plain(c.Clients()...), Listers: linear.Plain(c.Gateways()...), Bucket: "load", Names: linear.Names(60), Workers: 12, Lists: true,
		Timeout: 10 * time.Second, History: linear.NewHistory(),
	}
	b := &bucketLoad{gw: gw, state: map[string]string{}}
	rnd := rand.New(rand.NewPCG(seed, 1))
	for round := range rounds {
		l.Seed = seed + uint64(round)
		before := len(l.History.Ops())
		enough := 300 + rnd.IntN(600)
		loading, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { l.Run(loading) })
		done.Go(func() { b.run(loading) })
		procs.Eventually(t, procs.Patience, func(context.Context) error { return more(l.History, before, enough) })
		must(t, c.KillAll(ctx))
		stop()
		done.Wait()
		took := c.Up(ctx)
		if err := l.Audit(ctx); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		b.check(ctx, t)
		t.Logf("round %d: %d requests, then all killed; ready again after %v", round, len(l.History.Ops())-before, took.Round(time.Millisecond))
	}
	t.Logf("%d changes of buckets were acknowledged", b.acked)
	judge(t, dir, l.History)
}

// TestKillOneUnderLoad kills one node after another, whichever, and starts it again while the load goes on.
func TestKillOneUnderLoad(t *testing.T) {
	ctx := context.Background()
	seed := procs.Seed(t)
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 3, Targets: 3, Mountpaths: 2})
	must(t, c.Client("g1").CreateBucket(ctx, "load"))
	l := &linear.Load{
		Clients: linear.Plain(c.Clients()...), Listers: linear.Plain(c.Gateways()...), Bucket: "load", Names: linear.Names(60), Workers: 8, Lists: true,
		Timeout: 10 * time.Second, Seed: seed, History: linear.NewHistory(),
	}
	loading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.Run(loading) }()
	rnd := rand.New(rand.NewPCG(seed, 5))
	for range rounds(6, 60) {
		at := len(l.History.Ops())
		procs.Eventually(t, procs.Patience, func(context.Context) error { return more(l.History, at, 100+rnd.IntN(200)) })
		id := c.Nodes()[rnd.IntN(len(c.Nodes()))].ID
		must(t, c.Kill(ctx, id))
		if rnd.IntN(2) == 0 {
			at := len(l.History.Ops())
			procs.Eventually(t, procs.Patience, func(context.Context) error { return more(l.History, at, 50) })
		}
		must(t, c.Start(ctx, id))
	}
	stop()
	<-done
	must(t, l.Audit(ctx))
	judge(t, dir, l.History)
}

// bucketLoad creates and destroys buckets and remembers what must be.
type bucketLoad struct {
	gw    *plain.Client
	next  int
	acked int
	state map[string]string // by bucket: "there", "gone" or "unknown"
}

func (b *bucketLoad) run(ctx context.Context) {
	for ; ctx.Err() == nil; b.next++ {
		name := fmt.Sprintf("made-%d", b.next)
		b.change(name, "there", b.gw.CreateBucket)
		if old := fmt.Sprintf("made-%d", b.next-3); b.state[old] == "there" {
			b.change(old, "gone", b.gw.DestroyBucket)
		}
	}
}

func (b *bucketLoad) change(name, to string, f func(context.Context, string) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	before := b.state[name]
	b.state[name] = "unknown"
	switch plain.OutcomeOf(f(ctx, name)) {
	case plain.Done:
		b.state[name] = to
		b.acked++
	case plain.NotDone:
		b.state[name] = before
	case plain.Unknown:
	}
}

// check compares the cluster's buckets with what was acknowledged.
func (b *bucketLoad) check(ctx context.Context, t *testing.T) {
	t.Helper()
	names, err := b.gw.Buckets(ctx)
	must(t, err)
	for name, want := range b.state {
		if is := slices.Contains(names, name); want == "there" && !is || (want == "gone" || want == "") && is {
			t.Errorf("bucket %s: in the list: %v, acknowledged: %q", name, is, want)
		}
	}
}
