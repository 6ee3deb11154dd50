package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aistore/deploy/local"
	"aistore/test/procs"
)

// TestVotersAreLost: all lose power, and three of the five nodes, all of which vote, their directories, though not their mountpaths. An operator
// makes one of the others the only voter: everything that was acknowledged is there, and those who lost what they knew are let in again.
func TestVotersAreLost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 3, Targets: 2, Mountpaths: 2})
	readBack := fillBucket(t, c.Client("g2"), "kept", 40)
	before, err := c.Client("g2").Smap(ctx)
	must(t, err)
	g3, err := c.Node("g3")
	must(t, err)
	if out, err := ais(t, "advanced", "recover-cluster", "-y", filepath.Join(g3.Dir, "state")); err == nil || !strings.Contains(out, "stop it first") {
		t.Errorf("of a node that runs: %v %s", err, out)
	}
	must(t, c.KillAll(ctx))
	for _, id := range []string{"g1", "t1", "t2"} {
		n, err := c.Node(id)
		must(t, err)
		must(t, os.RemoveAll(filepath.Join(n.Dir, "state")))
	}
	g2, err := c.Node("g2")
	must(t, err)
	state := filepath.Join(g2.Dir, "state")

	out, err := ais(t, "advanced", "recover-cluster", "--show", "--json", state)
	var seen struct {
		Node      string
		Voters    []string
		Buckets   int
		Recovered bool
	}
	if err != nil || json.Unmarshal([]byte(out), &seen) != nil || seen.Node != "g2" || len(seen.Voters) != 5 || seen.Buckets != 1 || seen.Recovered {
		t.Fatalf("--show: %v %s", err, out)
	}
	if out, err := ais(t, "advanced", "recover-cluster", "-y", state); err != nil || !strings.Contains(out, "g2 is the only voter") {
		t.Fatalf("recover: %v %s", err, out)
	}
	c.Up(ctx)
	procs.Settle(t, c.Gateways(), 5)
	for _, n := range c.Nodes() {
		m, err := c.Client(n.ID).Smap(ctx)
		if err != nil || m.UUID != before.UUID {
			t.Errorf("%s is of cluster %q, not %q (%v)", n.ID, m.UUID, before.UUID, err)
		}
	}
	readBack()
	fillBucket(t, c.Client("g1"), "new", 10)()
	procs.Eventually(t, procs.Patience, func(context.Context) error { // a rebalance looks at everything
		out, err := ais(t, "--endpoint", c.Endpoint(), "cluster", "check", "--deep")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
}

// ais runs the command, with what it prints.
func ais(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), procs.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, procs.CLI(t), args...).CombinedOutput()
	return string(out), err
}
