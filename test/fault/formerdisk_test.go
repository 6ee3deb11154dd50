package fault

import (
	"context"
	"fmt"
	"os"
	"testing"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/errs"
	"aistore/test/procs"
)

// TestFormerDiskBack removes a target from the cluster map and lets it join again while one of its disks is away: what the others had is set aside. The disk
// comes back to the target that runs, and at a restart: nothing that was deleted or overwritten meanwhile comes back with it.
func TestFormerDiskBack(t *testing.T) {
	const n = 60
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 2})
	hasten(t, c)
	o := &oldDisks{t: t, c: c, gw: c.Client("g1")}
	var err error
	o.node, err = c.Node("t1")
	must(t, err)
	sdk, err := client.New(client.Options{Endpoints: []string{o.gw.Endpoint()}})
	must(t, err)
	defer sdk.Close()
	must(t, o.gw.CreateBucket(ctx, "bk"))
	for i := range n {
		o.put(i, 0)
	}
	must(t, c.Stop(ctx, "t1"))
	path := o.node.Mountpaths[1]
	must(t, os.Rename(path, path+".away"))
	must(t, os.Mkdir(path, 0o755))
	procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
		_, err := sdk.Life().RemoveNode(ctx, "t1")
		if errs.Is(err, errs.NotFound) {
			return nil // an answer was lost
		}
		return err
	})
	for i := range n {
		if i%2 == 0 {
			_ = o.gw.Delete(ctx, "bk", fmt.Sprintf("o-%d", i)) // what t1 had is not there any more
		} else {
			o.put(i, 1)
		}
	}
	must(t, c.Start(ctx, "t1"))
	settled := func() {
		t.Helper()
		procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
			r, err := sdk.Life().Rebalance(ctx)
			if err == nil && r.Running {
				err = fmt.Errorf("%s runs", r.ID)
			}
			return err
		})
	}
	verify := func(when string) {
		t.Helper()
		for i := range n {
			name := fmt.Sprintf("o-%d", i)
			b, _, err := o.gw.Get(ctx, "bk", name)
			switch {
			case i%2 == 0 && err == nil:
				t.Errorf("%s: %s was deleted and is back", when, name)
			case i%2 == 1 && err == nil && version(i, 1).Check(b, 0) != nil:
				t.Errorf("%s: %s is not what was written last", when, name)
			}
		}
	}
	must(t, os.Remove(path))
	must(t, os.Rename(path+".away", path))
	var ms *api.Mountpaths
	procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
		late, err := client.New(client.Options{Endpoints: []string{o.gw.Endpoint()}}) // with a map that has t1 again
		if err == nil {
			ms, err = late.ChangeMountpath(ctx, "t1", api.ActMountpathRescan, "", client.MountpathOptions{})
			late.Close()
		}
		return err
	})
	if len(ms.Unused) != 1 {
		t.Errorf("rescan: %+v", ms)
	}
	verify("after the rescan")
	must(t, c.Restart(ctx, "t1"))
	o.alert()
	if _, err := os.Stat(path + "/set-aside"); err != nil {
		t.Errorf("the disk's content was not set aside: %v", err)
	}
	settled()
	verify("after a restart")
	for i := 1; i < n; i += 2 {
		if b, _, err := o.gw.Get(ctx, "bk", fmt.Sprintf("o-%d", i)); err != nil || version(i, 1).Check(b, 0) != nil {
			t.Errorf("o-%d: %v", i, err)
		}
	}
}
