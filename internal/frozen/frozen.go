// Package frozen freezes file systems for tests. Start at Freeze.
package frozen

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Freeze lets every call that changes something on the file system of dir hang until thaw is called or the test ends. It needs root; the test is
// skipped where dir cannot be frozen.
//
// A process of its own has the file system frozen, and thaws it when this one ends, however that is: what is frozen cannot be unmounted, and who
// waits for it cannot be killed.
func Freeze(t testing.TB, dir string) (thaw func()) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `fsfreeze -f "$1" && echo frozen && { read -r _; fsfreeze -u "$1"; }`, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what kills the test by its group leaves it alone
	var told strings.Builder
	cmd.Stderr = &told
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it has ended
		t.Skipf("freeze: %v %s", cmd.Wait(), told.String())
	}
	thawed := false
	thaw = func() {
		if thawed {
			return
		}
		thawed = true
		_ = in.Close() // it reads the end
		if err := cmd.Wait(); err != nil {
			t.Errorf("thaw: %v %s", err, told.String())
		}
	}
	t.Cleanup(thaw)
	return thaw
}
