//go:build !failpoints

package failpoint

import (
	"os/exec"
	"strings"
	"testing"
)

func TestOffIsNothing(t *testing.T) {
	t.Setenv("AIS_FAILPOINTS", "a=kill,b=error:*")
	if Enabled {
		t.Error("enabled without the tag")
	}
	if err := Hit("a"); err != nil {
		t.Error(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = Hit("b") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestOffIsInlined asks the compiler, so that nobody makes Hit cost something unnoticed.
func TestOffIsInlined(t *testing.T) {
	out, err := exec.Command("go", "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "can inline Hit") {
		t.Errorf("the compiler does not inline Hit: %s", out)
	}
}
