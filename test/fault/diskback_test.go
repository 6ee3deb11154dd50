package fault

import (
	"context"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"aistore/test/plain"
	"aistore/test/procs"
)

// TestDiskBack breaks one disk of three after the other under load: its errors are found out, the others take its writes, and nothing is
// read that was not written. The node is killed, the disk repaired and mounted again, the node started: everything is there.
func TestDiskBack(t *testing.T) {
	ctx := context.Background()
	procs.CLI(t)
	n := startDisks(t, 400, "ext4", "xfs", "ext4")
	stop := n.traffic(ctx)
	for _, h := range []struct {
		name string
		disk int
		do   func(*loopDisk) error
	}{
		{"forced shutdown of ext4", 0, (*loopDisk).shut},
		{"forced shutdown of xfs", 1, (*loopDisk).shut},
		{"lazy unmount", 2, (*loopDisk).detach},
		{"an error that makes it read-only", 0, (*loopDisk).spoil},
	} {
		n.served(50)
		d := n.disks[h.disk]
		there, _ := n.only(ctx, d)
		if err := h.do(d); err != nil {
			t.Fatalf("%s: %v", h.name, err)
		}
		took := n.await(h.name, func(ctx context.Context) error { return n.told(ctx, "is disabled: ", "enabled 0") })
		must(t, n.shown("is disabled: "))
		for i, name := range there {
			v := n.kept[name]
			if b, _, err := n.mover.gw.Get(ctx, "kept", name); err == nil && v.Check(b, 0) != nil {
				t.Errorf("%s: wrong bytes of %s", h.name, name)
			} else if err != nil && plain.Status(err) != http.StatusServiceUnavailable {
				t.Errorf("%s: %s: %v", h.name, name, err)
			}
			if i%3 == 0 {
				must(t, check(n.mover.gw.Put(ctx, "kept", name, v.Bytes())))
			}
		}
		n.served(50)
		must(t, n.c.Kill(ctx, victim))
		d.repair()
		must(t, n.c.Start(ctx, victim))
		n.await("well", n.well)
		n.await("settled", n.settledNow)
		n.verify(ctx)
		t.Logf("%s: told within %v, all is back", h.name, took.Round(100*time.Millisecond))
	}
	stop()
	n.end(ctx, n.dir)
}

// shut makes every call to the file system fail with EIO, and loses what was not written back.
func (d *loopDisk) shut() error {
	const shutdown = 0x8004587d // the request, of fs/ext4/ext4.h; xfs knows it by the same number
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint32(2) // nothing is written back before
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}

// detach takes the file system out of the tree while its files are in use.
func (d *loopDisk) detach() error {
	_, err := d.run("umount -l DIR")
	return err
}

// spoil has ext4 find an error of its own, after which it is read-only.
func (d *loopDisk) spoil() error {
	_, err := d.run("mount -o remount,errors=remount-ro DIR && echo 1 > /sys/fs/ext4/NAME/trigger_fs_error")
	return err
}

// repair mounts the file system anew, repaired. Nobody uses it.
func (d *loopDisk) repair() {
	d.t.Helper()
	d.unmount()
	cmd := "mount -o loop IMAGE DIR" // which replays the journal
	if d.kind == "ext4" {
		cmd = "e2fsck -fy IMAGE; " + cmd
	}
	if out, err := d.run(cmd); err != nil {
		d.t.Fatalf("repair: %v %s", err, out)
	}
}
