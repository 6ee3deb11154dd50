package store

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// loopDisk mounts an ext4 of so many MiB, made with options of mkfs.ext4, and returns where; it needs root and loop devices.
func loopDisk(t *testing.T, mib int64, options ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	image, mnt := dir+"/image", dir+"/mnt"
	must(t, os.Mkdir(mnt, 0o755))
	f, err := os.Create(image)
	must(t, err)
	must(t, f.Truncate(mib<<20))
	must(t, f.Close())
	for _, cmd := range []string{"mkfs.ext4 -q -m 0 " + strings.Join(append(options, image), " "), "mount -o loop " + image + " " + mnt} {
		if out, err := exec.Command("sh", "-c", cmd).CombinedOutput(); err != nil {
			t.Skipf("%s: %v %s", cmd, err, strings.TrimSpace(string(out)))
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return mnt
}
