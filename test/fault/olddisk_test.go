package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// oldDisks is a cluster of which one target's disks are replaced by copies of an earlier time.
type oldDisks struct {
	t    *testing.T
	c    *procs.Cluster
	gw   *plain.Client
	node local.Node
}

// put writes object i at its n-th version.
func (o *oldDisks) put(i, n int) {
	o.t.Helper()
	must(o.t, check(o.gw.Put(context.Background(), "bk", fmt.Sprintf("o-%d", i), version(i, n).Bytes())))
}

func version(i, n int) value.Value {
	return value.Value{ID: uint64(n*1000 + i + 1), Size: int64(100 + i*3000)}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.RemoveAll(to))
	must(t, os.CopyFS(to, os.DirFS(from)))
}

// alert waits until operators see that something was set aside.
func (o *oldDisks) alert() {
	o.t.Helper()
	sdk, err := client.New(client.Options{Endpoints: []string{o.gw.Endpoint()}})
	must(o.t, err)
	defer sdk.Close()
	procs.Eventually(o.t, procs.Patience, func(ctx context.Context) error {
		infos, err := sdk.Nodes(ctx)
		for i := range infos {
			if infos[i].ID == "t1" && len(infos[i].Alerts) == 1 && strings.Contains(infos[i].Alerts[0], "set aside") {
				return nil
			}
		}
		return fmt.Errorf("no alert: %+v (%w)", infos, err)
	})
}

// TestOldDisks puts copies of a target's disks back that were made before its last start: all of them, then one. What was deleted since stays deleted, what was
// overwritten is never read as it was before. What only the disks had that are gone is not there any more, and the node goes on with
// what it has.
func TestOldDisks(t *testing.T) {
	const n = 60
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 3})
	o := &oldDisks{t: t, c: c, gw: c.Client("g1")}
	var err error
	o.node, err = c.Node("t1")
	must(t, err)
	must(t, o.gw.CreateBucket(ctx, "bk"))
	for round, replaced := range [][]string{o.node.Mountpaths, o.node.Mountpaths[1:2]} {
		for i := range n {
			o.put(i, 10*round)
		}
		must(t, c.Stop(ctx, "t1"))
		for _, path := range replaced {
			copyDir(t, path, path+".copy")
		}
		must(t, c.Start(ctx, "t1"))
		for i := range n {
			switch i % 3 {
			case 0:
				must(t, o.gw.Delete(ctx, "bk", fmt.Sprintf("o-%d", i)))
			case 1:
				o.put(i, 10*round+1)
			}
		}
		must(t, c.Stop(ctx, "t1"))
		for _, path := range replaced {
			copyDir(t, path+".copy", path)
		}
		must(t, c.Start(ctx, "t1"))
		o.verify(n, 10*round, replaced)
		o.alert()
		must(t, c.Restart(ctx, "t1")) // it is not told anew
		o.verify(n, 10*round, replaced)
		for _, path := range replaced {
			must(t, os.RemoveAll(path+"/set-aside"))
		}
	}
}

func (o *oldDisks) verify(n, base int, replaced []string) {
	o.t.Helper()
	ctx := context.Background()
	there, lost := 0, 0
	present := map[string]bool{}
	for i := range n {
		name := fmt.Sprintf("o-%d", i)
		b, _, err := o.gw.Get(ctx, "bk", name)
		switch {
		case err == nil && i%3 == 0:
			o.t.Errorf("%s was deleted and is back", name)
		case err == nil:
			want := version(i, base)
			if i%3 == 1 {
				want = version(i, base+1)
			}
			if v, err := value.Parse(b); err != nil || v != want {
				o.t.Errorf("%s is %v, was written as %v (%v)", name, v, want, err)
			}
			present[name] = true
			there++
		case plain.Status(err) != http.StatusNotFound:
			o.t.Errorf("%s: %v", name, err)
		case i%3 != 0:
			owner, oerr := o.gw.Owner(ctx, "bk", name)
			must(o.t, oerr)
			if owner != o.node.URL() {
				o.t.Errorf("%s is lost, and it is %s's", name, owner)
			}
			lost++
		}
	}
	es, err := o.gw.List(ctx, "bk", plain.ListQuery{})
	must(o.t, err)
	if len(es) != len(present) {
		o.t.Errorf("%d objects are listed, %d can be read", len(es), len(present))
	}
	o.t.Logf("%d disks replaced: %d objects are there, %d were only on the disks that are gone", len(replaced), there, lost)
	if there == 0 || lost == 0 {
		o.t.Error("want some of both")
	}
}

// TestKillAtStart kills a target at each point of its start, twice in a row: it finds its own disks afterwards, and does not take a copy for
// them that was started and killed as often.
func TestKillAtStart(t *testing.T) {
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 2, Binary: procs.Node(t, "failpoints")})
	o := &oldDisks{t: t, c: c, gw: c.Client("g1")}
	var err error
	o.node, err = c.Node("t1")
	must(t, err)
	readBack := fillBucket(t, o.gw, "bk", 40)
	dies := func(point string) {
		t.Helper()
		must(t, c.Launch("t1", "AIS_FAILPOINTS="+point+"=kill"))
		must(t, awaitKilled(c))
	}
	points := []string{"start.before-accept", "start.after-accept", "start.before-shorten"}
	for _, point := range points {
		must(t, c.Kill(ctx, "t1"))
		dies(point)
		dies(point)
		must(t, c.Start(ctx, "t1"))
		readBack()
	}
	for _, path := range o.node.Mountpaths {
		if _, err := os.Stat(path + "/set-aside"); err == nil {
			t.Errorf("%s: its own disks were set aside", path)
		}
	}
	must(t, c.Stop(ctx, "t1"))
	for _, path := range o.node.Mountpaths {
		copyDir(t, path, path+".copy")
	}
	must(t, c.Start(ctx, "t1"))
	for i := range 40 {
		must(t, o.gw.Delete(ctx, "bk", fmt.Sprintf("o-%d", i)))
	}
	must(t, c.Kill(ctx, "t1"))
	for _, path := range o.node.Mountpaths {
		copyDir(t, path+".copy", path)
	}
	dies("start.before-aside")
	dies("start.before-aside")
	must(t, c.Start(ctx, "t1"))
	o.alert()
	es, err := o.gw.List(ctx, "bk", plain.ListQuery{})
	must(t, err)
	if len(es) != 0 {
		t.Errorf("%d deleted objects are back", len(es))
	}
}

// awaitKilled waits until t1 has died of its failpoint.
func awaitKilled(c *procs.Cluster) error {
	_, err := procs.Await(procs.Patience, func(context.Context) error {
		for _, s := range c.Status() {
			if s.ID == "t1" && s.PID != 0 {
				return errors.New("t1 lives")
			}
		}
		return nil
	})
	return err
}
