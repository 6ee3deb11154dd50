package pysdk

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/procs"
	"aistore/test/venv"
)

// TestCluster runs every check against a cluster of 1 gateway and 3 targets with 2 mountpaths each.
func TestCluster(t *testing.T) {
	check(t, local.Options{Gateways: 1, Targets: 3, Mountpaths: 2, CacheSize: "16MiB"}, 4)
}

// TestAll runs the checks of data against one process in role all, where the gateway calls the target directly.
func TestAll(t *testing.T) {
	check(t, local.Options{All: true}, 1, "test_objects.py", "test_lists.py", "test_buckets.py")
}

// TestQuickstart runs the Python program of docs/quickstart.md.
func TestQuickstart(t *testing.T) {
	page, err := os.ReadFile("../../docs/quickstart.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(page), "```python\n")
	program, _, ok := strings.Cut(program, "```")
	if !ok {
		t.Fatal("the page has no Python program")
	}
	out := runPython(t, local.Options{All: true}, 1, "-c", program)
	if want := "hello from Python\npython/greeting 17\n"; out != want {
		t.Errorf("it prints %q, want %q", out, want)
	}
}

// check runs pytest over files, all of them if none is named.
func check(t *testing.T, o local.Options, nodes int, files ...string) {
	args := append([]string{"-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"}, files...)
	if run := os.Getenv("PYSDK_RUN"); run != "" { // one check: PYSDK_RUN=test_append go test ./test/pysdk
		args = append(args, "-k", run)
	}
	runPython(t, o, nodes, args...)
}

// runPython starts a cluster of so many nodes and runs Python beside it; it returns what that printed.
func runPython(t *testing.T, o local.Options, nodes int, args ...string) string {
	t.Helper()
	python := venv.Python(t, "pysdk.txt")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute) // with a build, whose cache may be empty
	defer cancel()
	bin, err := local.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Binary, o.Port = t.TempDir(), bin, procs.FreePorts(t, nodes)
	c, err := local.Up(ctx, o)
	if c != nil {
		defer func() {
			if err := c.Down(context.Background()); err != nil {
				t.Error(err)
			}
		}()
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Env = append(os.Environ(), "AIS_ENDPOINT="+c.Endpoint(), "PYTHONDONTWRITEBYTECODE=1", "no_proxy=127.0.0.1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err == nil {
		return string(out)
	}
	t.Error(err)
	for _, n := range c.Nodes() {
		if path, lerr := c.Logs(n.ID); lerr == nil {
			text, _ := os.ReadFile(path) // a node that never started has none
			t.Logf("log of %s:\n%s", n.ID, tail(text, 40))
		}
	}
	return string(out)
}

func tail(text []byte, lines int) string {
	all := bytes.Split(text, []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
