package fault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// fillBucket writes n objects and returns a function that reads them all back.
func fillBucket(t *testing.T, c *plain.Client, bucket string, n int) (readBack func()) {
	t.Helper()
	ctx := context.Background()
	must(t, c.CreateBucket(ctx, bucket))
	for i := range n {
		must(t, check(c.Put(ctx, bucket, fmt.Sprintf("o-%d", i), value.Value{ID: uint64(i + 1), Size: int64(100 + i*9000)}.Bytes())))
	}
	return func() {
		t.Helper()
		for i := range n {
			b, _, err := c.Get(ctx, bucket, fmt.Sprintf("o-%d", i))
			if err != nil {
				t.Errorf("o-%d: %v", i, err)
				continue
			}
			if v, err := value.Parse(b); err != nil || v.ID != uint64(i+1) {
				t.Errorf("o-%d: %v %v", i, v, err)
			}
		}
	}
}

// TestEmptyStateFoundsNothing starts a gateway that has lost all it had while nobody else runs: it waits, and joins
// the cluster that was there when its members come back.
func TestEmptyStateFoundsNothing(t *testing.T) {
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 3, Targets: 2, Mountpaths: 1})
	readBack := fillBucket(t, c.Client("g2"), "kept", 20)
	before, err := c.Client("g2").Smap(ctx)
	must(t, err)
	must(t, c.KillAll(ctx))
	g1, err := c.Node("g1")
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(g1.Dir, "state")))
	must(t, c.Launch("g1"))
	lonely := c.Client("g1")
	watched, err := procs.Await(5*time.Second, func(ctx context.Context) error {
		if m, err := lonely.Smap(ctx); err == nil && m.UUID != "" {
			t.Errorf("alone and empty it serves a cluster map of cluster %s", m.UUID)
			return nil
		}
		_, err := lonely.Buckets(ctx)
		if err == nil {
			t.Error("alone and empty it serves a bucket list")
		}
		return fmt.Errorf("still alone: %w", err)
	})
	t.Logf("watched it alone for %v: %v", watched, err)
	c.Up(ctx)
	for _, n := range c.Nodes() {
		m, err := c.Client(n.ID).Smap(ctx)
		if err != nil || m.UUID != before.UUID {
			t.Errorf("%s is of cluster %q, not %q (%v)", n.ID, m.UUID, before.UUID, err)
		}
	}
	readBack()
}

// TestTargetWithoutDir takes a target's directory away and leaves its mountpaths: it is the same node afterwards.
func TestTargetWithoutDir(t *testing.T) {
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 2})
	readBack := fillBucket(t, c.Client("g1"), "kept", 40)
	t1, err := c.Node("t1")
	must(t, err)
	must(t, c.Kill(ctx, "t1"))
	must(t, os.RemoveAll(filepath.Join(t1.Dir, "state")))
	must(t, c.Start(ctx, "t1"))
	readBack()
	m, err := c.Client("g1").Smap(ctx)
	must(t, err)
	if len(m.Targets) != 2 || m.Targets["t1"].State != "online" {
		t.Errorf("the cluster map has %+v", m.Targets)
	}
}

// TestForeignMountpath gives a target a mountpath of another one: it must not serve with it.
func TestForeignMountpath(t *testing.T) {
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 2, Mountpaths: 2})
	readBack := fillBucket(t, c.Client("g1"), "kept", 40)
	t1, err := c.Node("t1")
	must(t, err)
	t2, err := c.Node("t2")
	must(t, err)
	must(t, c.Kill(ctx, "t1"))
	must(t, c.Kill(ctx, "t2"))
	swap := func(a, b string) {
		must(t, os.Rename(a, a+".aside"))
		must(t, os.Rename(b, a))
		must(t, os.Rename(a+".aside", b))
	}
	swap(t1.Mountpaths[1], t2.Mountpaths[1])
	must(t, c.Launch("t1"))
	gone, cancel := context.WithTimeout(ctx, procs.Patience)
	defer cancel()
	if err := c.Await(gone, "t1"); err != nil {
		t.Errorf("it runs with a mountpath of t2: %v", err)
		must(t, c.Kill(ctx, "t1"))
	}
	swap(t1.Mountpaths[1], t2.Mountpaths[1])
	c.Up(ctx)
	readBack()
}

// TestLostMountpath starts a target one of whose disks is missing: what is on the others is served, what was on it is
// an error and never "not found", and nothing is written to the empty place.
func TestLostMountpath(t *testing.T) {
	ctx := context.Background()
	c := procs.Start(t, local.Options{Gateways: 1, Targets: 1, Mountpaths: 3})
	gw := c.Client("g1")
	readBack := fillBucket(t, gw, "kept", 60)
	t1, err := c.Node("t1")
	must(t, err)
	must(t, c.Stop(ctx, "t1"))
	away := t1.Mountpaths[2] + ".away"
	must(t, os.Rename(t1.Mountpaths[2], away))
	must(t, os.Mkdir(t1.Mountpaths[2], 0o755)) // as the empty directory below a disk that was not mounted
	must(t, c.Start(ctx, "t1"))
	right, failed := 0, 0
	for i := range 60 {
		b, _, err := gw.Get(ctx, "kept", fmt.Sprintf("o-%d", i))
		switch status := plain.Status(err); {
		case err == nil:
			if v, err := value.Parse(b); err != nil || v.ID != uint64(i+1) {
				t.Errorf("o-%d: %v %v", i, v, err)
			}
			right++
		case status >= 500:
			failed++
		default:
			t.Errorf("o-%d: %v, want an error of the server", i, err)
		}
	}
	if right == 0 || failed == 0 {
		t.Errorf("%d objects served, %d failed: want some of both", right, failed)
	}
	if es, err := gw.List(ctx, "kept", plain.ListQuery{}); err == nil {
		t.Errorf("a list of %d objects was given as if it were complete", len(es))
	}
	if n := countFiles(t, t1.Mountpaths[2]); n != 0 {
		t.Errorf("%d files were written to the place of the missing disk", n)
	}
	must(t, c.Stop(ctx, "t1"))
	must(t, os.Remove(t1.Mountpaths[2]))
	must(t, os.Rename(away, t1.Mountpaths[2]))
	must(t, c.Start(ctx, "t1"))
	readBack()
	t.Logf("with one disk of three away: %d objects served, %d failed", right, failed)
}
