package fault

import (
	"context"
	"os"
	"testing"
	"time"

	"aistore/api"
)

// TestMountedElsewhere mounts one of two disks at another path while its files are in use. It is found out, and attached where it is it is in service again with
// all it had; so it is after a restart, with the former path in the configuration still.
func TestMountedElsewhere(t *testing.T) {
	ctx := context.Background()
	n := startDisks(t, 400, "ext4", "xfs")
	stop := n.traffic(ctx)
	n.served(50)
	d := n.disks[1]
	n.mp = d.dir
	elsewhere := d.dir + ".elsewhere"
	must(t, os.Mkdir(elsewhere, 0o755))
	if out, err := d.run("mount --bind DIR " + elsewhere + " && umount -l DIR"); err != nil {
		t.Skipf("%v %s", err, out)
	}
	empty := d.dir
	d.dir = elsewhere
	n.await("out of service", func(ctx context.Context) error { return n.told(ctx, "is disabled: ", "enabled 0") })
	n.mp = elsewhere
	n.change(ctx, api.ActMountpathAttach)
	n.await("well", n.well)
	n.await("settled", n.settledNow)
	n.verify(ctx)
	must(t, n.c.Restart(ctx, victim))
	n.await("well", n.well)
	n.await("settled", n.settledNow)
	if names, err := os.ReadDir(empty); err != nil || len(names) > 0 {
		t.Errorf("the mount point that was left has %v: %v", names, err)
	}
	stop()
	n.end(ctx, n.dir)
}

// TestStartBesideHung starts a target of which one disk hangs: it serves what the others have, and takes the disk back by itself when it answers.
func TestStartBesideHung(t *testing.T) {
	ctx := context.Background()
	n := startDisks(t, 200, "ext4", "ext4", "ext4")
	stop := n.traffic(ctx)
	n.served(50)
	n.mp = n.disks[1].dir
	n.set(ctx, "disk.give_up", "1s") // as long must it answer
	must(t, n.c.Stop(ctx, victim))
	thaw := n.disks[1].freeze()
	began := time.Now()
	must(t, n.c.Start(ctx, victim))
	t.Logf("serves after %v", time.Since(began))
	n.await("out of service", func(ctx context.Context) error { return n.told(ctx, "is disabled: ", "enabled 0") })
	n.served(50)
	thaw()
	took := n.await("back by itself", n.well)
	t.Logf("%v after it answered: back", took)
	n.await("settled", n.settledNow)
	stop()
	n.end(ctx, n.dir)
}
