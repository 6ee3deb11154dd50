package fault

import (
	"context"
	"net/http"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/errs"
	"aistore/test/plain"
	"aistore/test/procs"
)

// TestReadOnlyDisk makes one disk of three read-only from outside, first while nobody asks for anything, then under traffic. The kernel
// refuses that for as long as the node has files open there for writing, unless it is forced. The node notices, the others go on; once the
// disk has been checked and mounted again `enable` is all that it takes, and everything is there.
func TestReadOnlyDisk(t *testing.T) {
	ctx := context.Background()
	procs.CLI(t)
	n := startDisks(t, 200, "ext4", "ext4", "ext4")
	for i, busy := range []bool{false, true} {
		if d := cluster.DefaultConfig().Disk.Probe.D(); !busy || long() {
			n.set(ctx, "disk.probe", d.String())
		} else {
			n.set(ctx, "disk.probe", "500ms")
		}
		d := n.disks[i]
		there, elsewhere := n.only(ctx, d)
		stop := func() {}
		if busy {
			stop = n.traffic(ctx)
			n.served(50)
		}
		if out, err := d.run("mount -o remount,ro DIR"); err == nil {
			t.Fatalf("no file is open for writing there: %s", out)
		}
		must(t, n.well(ctx))
		must(t, d.turnReadOnly())
		took := n.await("read-only", func(ctx context.Context) error { return n.told(ctx, "is disabled: ", "enabled 0") })
		must(t, n.shown("is disabled: "))
		t.Logf("busy %v: out of service within %v", busy, took.Round(100*time.Millisecond))
		n.work(ctx, elsewhere)
		for i, name := range there {
			v := n.kept[name]
			if b, _, err := n.mover.gw.Get(ctx, "kept", name); err == nil && v.Check(b, 0) != nil {
				t.Errorf("wrong bytes of %s", name)
			} else if err != nil && plain.Status(err) != http.StatusServiceUnavailable {
				t.Errorf("%s: %v", name, err)
			}
			if i%3 == 0 { // the others take it
				must(t, check(n.mover.gw.Put(ctx, "kept", name, v.Bytes())))
			}
		}
		_, err := n.watcher.api.ChangeMountpath(ctx, victim, api.ActMountpathEnable, n.mp, client.MountpathOptions{})
		if !errs.Is(err, errs.Mountpath) {
			t.Errorf("enable of a read-only disk: %v", err)
		}
		d.repair()
		n.back(ctx)
		n.verify(ctx)
		stop()
	}
	n.end(ctx, n.dir)
}

// turnReadOnly has ext4 refuse every change from now on; it cannot be taken back but by mounting it anew.
func (d *loopDisk) turnReadOnly() error {
	_, err := d.run("mount -o remount,abort DIR")
	return err
}
