package frozen

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// variable names the directory that a process of this test freezes.
const variable = "AIS_TEST_FREEZE"

// TestThawedAfterKill kills a process that has frozen a file system: it thaws nevertheless.
func TestThawedAfterKill(t *testing.T) {
	if dir := os.Getenv(variable); dir != "" {
		Freeze(t, dir)
		_, _ = os.Stdout.WriteString("frozen\n")
		select {} // until it is killed
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	image, mnt := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if out, err := exec.Command("sh", "-c", `truncate -s 32M "$1" && mkfs.ext4 -q -F "$1" && mount -o loop "$1" "$2"`, "sh", image, mnt).CombinedOutput(); err != nil {
		t.Skipf("no loop mounts here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	freezer := exec.Command(os.Args[0], "-test.run=^TestThawedAfterKill$", "-test.v")
	freezer.Env = append(os.Environ(), variable+"="+mnt)
	out, err := freezer.StdoutPipe()
	if err == nil {
		err = freezer.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	frozen := false
	for lines := bufio.NewScanner(out); !frozen && lines.Scan(); {
		frozen = lines.Text() == "frozen"
	}
	if !frozen {
		_ = freezer.Wait()
		t.Skip("the file system cannot be frozen here")
	}
	changed := make(chan error, 1)
	go func() { changed <- os.WriteFile(filepath.Join(mnt, "file"), nil, 0o600) }()
	select {
	case err := <-changed:
		t.Errorf("it was changed while it was frozen: %v", err)
	case <-time.After(100 * time.Millisecond): // time in which nothing happens
	}
	if err := freezer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = freezer.Wait()
	if err := <-changed; err != nil {
		t.Error(err)
	}
}
