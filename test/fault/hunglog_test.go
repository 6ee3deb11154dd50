package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
)

// hungWithin bounds how long a primary whose directory hangs may keep control changes from being made: until it is noticed, and an election.
const hungWithin = 15 * time.Second

// TestPrimaryDirectoryHangs lets every write to the primary's directory hang: another takes over. When the disk answers the node votes again by itself, and what
// was acknowledged is there. It needs root.
func TestPrimaryDirectoryHangs(t *testing.T) {
	for _, tt := range []struct{ name, part string }{
		{"its log and state", "state"},
		{"and what it prints", "."},
	} {
		t.Run(tt.name, func(t *testing.T) { primaryHangs(t, tt.part) })
	}
}

func primaryHangs(t *testing.T, part string) {
	ctx := context.Background()
	procs.CLI(t) // built before anything hangs
	dir := procs.Dir(t)
	d := loopDiskAt(t, "ext4", filepath.Join(dir, "disk.img"), filepath.Join(dir, "g1", part), 100)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 3, Targets: 2, Mountpaths: 1})
	other := c.Client("g2")
	must(t, other.CreateBucket(ctx, "data"))
	must(t, check(other.Put(ctx, "data", "x", []byte("x"))))
	handOver(ctx, t, c, "g1")
	thaw := d.freeze()
	began := time.Now()
	attempts := 0
	resumed, err := procs.Await(procs.Patience, func(ctx context.Context) error {
		attempts++
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err := other.CreateBucket(ctx, "after")
		if plain.Status(err) == http.StatusConflict { // an attempt that was not answered has been made after all
			return nil
		}
		return err
	})
	if err != nil || resumed > hungWithin {
		t.Errorf("a bucket could be created %v after the primary's directory hung (%v), want %v", resumed, err, hungWithin)
	}
	t.Logf("a bucket could be created after %v, at the attempt %d", resumed, attempts)
	if _, _, err := other.Get(ctx, "data", "x"); err != nil {
		t.Errorf("an object: %v", err)
	}
	if got := primary(ctx, t, other); got == "g1" {
		t.Errorf("%s is the primary still", got)
	}
	tells := func(want bool) func(context.Context) error {
		return func(ctx context.Context) error {
			out, err := shownCluster(t, other)
			if err == nil && strings.Contains(out, "has not returned for") != want {
				err = errors.New("`ais show cluster` says: " + out)
			}
			return err
		}
	}
	if part == "state" { // a node that cannot even print does not say much
		procs.Eventually(t, procs.Patience, tells(true))
		must(t, check(c.Client("g1").Put(ctx, "data", "y", []byte("y"))))
	}
	t.Logf("%v of hanging", time.Since(began))
	thaw()
	procs.Eventually(t, procs.Patience, tells(false))
	procs.Eventually(t, procs.Patience, func(ctx context.Context) error {
		if n, err := c.Client("g1").Metric(ctx, "ais_raft_term"); err != nil || n == 0 {
			return fmt.Errorf("g1 does not vote: term %v %w", n, err)
		}
		return nil
	})
	handOver(ctx, t, c, "g1") // it has the whole log
	must(t, c.Client("g1").CreateBucket(ctx, "last"))
	names, err := c.Client("g3").Buckets(ctx)
	must(t, err)
	if all := strings.Join(names, " "); !strings.Contains(all, "after") || !strings.Contains(all, "last") {
		t.Errorf("buckets: %s", all)
	}
	must(t, c.Stop(ctx, "g1"))
}

// shownCluster is what `ais show cluster` says to gw.
func shownCluster(t *testing.T, gw *plain.Client) (string, error) {
	cmd := exec.Command(procs.CLI(t), "show", "cluster", "--json")
	cmd.Env = append(os.Environ(), "AIS_ENDPOINT="+gw.Endpoint())
	out, err := cmd.CombinedOutput()
	return string(out), err
}
