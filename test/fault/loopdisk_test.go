package fault

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aistore/internal/frozen"
	"aistore/test/procs"
)

// loopDisk is a file system of its own, mounted at dir.
type loopDisk struct {
	t                *testing.T
	kind, image, dir string
	mib              int
}

// newLoopDisk mounts a file system in a directory of its own.
func newLoopDisk(t *testing.T, kind string, mib int) *loopDisk {
	t.Helper()
	dir := procs.Dir(t)
	return loopDiskAt(t, kind, filepath.Join(dir, "image"), filepath.Join(dir, "mnt"), mib)
}

// loopDiskAt makes a file system and mounts it at dir, empty, until the test ends. The test is skipped where that is not allowed. Who has
// files open there is to be started afterwards, so that it has ended before.
func loopDiskAt(t *testing.T, kind, image, dir string, mib int) *loopDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	d := &loopDisk{t: t, kind: kind, image: image, dir: dir, mib: mib}
	must(t, os.MkdirAll(dir, 0o755))
	t.Cleanup(d.unmount)
	if out, err := d.format(); err != nil {
		t.Skipf("no loop mounts of %s here: %v %s", kind, err, out)
	}
	return d
}

// format makes a file system and mounts it.
func (d *loopDisk) format() (string, error) {
	mkfs := map[string]string{"ext4": "mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0,lazy_journal_init=0", "xfs": "mkfs.xfs -q -f"}[d.kind]
	return d.run(fmt.Sprintf("rm -f IMAGE && truncate -s %dM IMAGE && %s IMAGE && mount -o loop IMAGE DIR && rm -rf DIR/lost+found", d.mib, mkfs))
}

// run runs a shell command with the disk's names in place of DIR, IMAGE and NAME.
func (d *loopDisk) run(cmd string) (string, error) {
	dev, _ := exec.Command("findmnt", "-n", "-o", "SOURCE", d.dir).Output()
	name := strings.TrimPrefix(strings.TrimSpace(string(dev)), "/dev/")
	out, err := exec.Command("sh", "-c", strings.NewReplacer("DIR", d.dir, "IMAGE", d.image, "NAME", name).Replace(cmd)).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// replace puts an empty disk in the place of the one that broke.
func (d *loopDisk) replace() {
	d.t.Helper()
	if out, err := d.run("umount -l DIR 2>&1 || true"); err != nil {
		d.t.Fatalf("%v %s", err, out)
	}
	if out, err := d.format(); err != nil {
		d.t.Fatalf("%v %s", err, out)
	}
}

// unmount waits until the kernel has let go: a killed process is reaped before the last of its files is dropped.
func (d *loopDisk) unmount() {
	_, err := procs.Await(procs.Patience, func(context.Context) error {
		out, err := d.run("while findmnt DIR > /dev/null; do umount DIR || exit 1; done")
		if err != nil {
			return fmt.Errorf("%w %s", err, out)
		}
		return nil
	})
	if err != nil {
		_, _ = d.run("umount -l DIR")
		d.t.Errorf("umount: %v", err)
	}
}

// freeze lets every call that changes something hang until thaw is called, or the test ends: before that nobody can be killed.
func (d *loopDisk) freeze() (thaw func()) {
	d.t.Helper()
	return frozen.Freeze(d.t, d.dir)
}
