package fault

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
)

// TestFullDisk fills the disk of a target to the last byte: writes are refused as full, reads and deletes go on, a
// restart changes nothing, and deleting makes room again.
func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	dir := procs.Dir(t)
	loopDiskAt(t, "ext4", filepath.Join(dir, "disk.img"), filepath.Join(dir, "t1", "mp1"), 160)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 1, Mountpaths: 1})
	gw := c.Client("g1")
	must(t, gw.CreateBucket(ctx, "full"))
	l := &linear.Load{Clients: linear.Plain(gw), Bucket: "full", History: linear.NewHistory()}
	id := uint64(0)
	do := func(kind linear.Kind, name string, size int64) *linear.Op {
		o := &linear.Op{Kind: kind, Name: name, Via: gw.Endpoint()}
		if kind == linear.Put {
			id++
			o.Value, o.Size = id, size
		}
		l.Do(ctx, gw, o, nil)
		return o
	}
	fill := func(what string, size int64) (refusedAfter int) {
		for i := range 1 << 20 {
			name := fmt.Sprintf("%s-%d", what, i)
			l.Names = append(l.Names, name)
			if o := do(linear.Put, name, size); o.Result == linear.OK {
				continue
			}
			for range 3 {
				if o := do(linear.Put, name, size); o.Result == linear.OK || !strings.Contains(o.Err, ": 507 ") {
					t.Errorf("%s into a full disk: %v, want 507", what, o)
				}
			}
			return i
		}
		return 0
	}
	large := fill("large", 3<<20)
	small := fill("small", 20_000)
	t.Logf("%d objects of 3 MiB and %d of 20 kB fill %s", large, small, df(t, filepath.Join(dir, "t1", "mp1")))
	if large < 10 {
		t.Errorf("only %d large objects fitted", large)
	}
	must(t, l.Audit(ctx)) // reads go on

	for i := 0; i < large; i += 5 { // deletes go on
		if o := do(linear.Delete, fmt.Sprintf("large-%d", i), 0); o.Result != linear.OK {
			t.Fatalf("a delete on a full disk: %v", o)
		}
	}
	took := procs.Eventually(t, procs.Patience, func(context.Context) error {
		if o := do(linear.Put, "large-0", 3<<20); o.Result != linear.OK {
			return fmt.Errorf("%s", o.Err)
		}
		return nil
	})
	t.Logf("writes were taken again %v after the deletes", took.Round(time.Millisecond))

	fill("more", 3<<20)
	must(t, c.Kill(ctx, "t1"))
	must(t, c.Start(ctx, "t1")) // a full disk keeps nobody from starting
	must(t, l.Audit(ctx))
	for i := 1; i < large; i += 5 {
		if o := do(linear.Delete, fmt.Sprintf("large-%d", i), 0); o.Result != linear.OK {
			t.Fatalf("a delete after a restart on a full disk: %v", o)
		}
	}
	procs.Eventually(t, procs.Patience, func(context.Context) error {
		if o := do(linear.Put, "large-1", 3<<20); o.Result != linear.OK {
			return fmt.Errorf("%s", o.Err)
		}
		return nil
	})
	must(t, l.Audit(ctx))
	judge(t, dir, l.History)
}

func check(_ plain.Meta, err error) error { return err }

func df(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("df", "--output=used,avail", "-k", dir).Output()
	must(t, err)
	var used, free int
	_, err = fmt.Sscan(strings.TrimPrefix(strings.TrimSpace(string(out)), "Used Avail"), &used, &free)
	if err != nil {
		return string(out)
	}
	return fmt.Sprintf("%d kB of which %d are free", used+free, free)
}
