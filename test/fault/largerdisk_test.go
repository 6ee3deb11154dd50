package fault

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"testing"
	"time"

	"aistore/api"
	"aistore/deploy/local"
	"aistore/test/procs"
	"aistore/test/value"
)

// TestLargerDisk attaches a disk of three times the size to a target with objects: it gets a weight by its size, names move to it by
// themselves, and each disk then has its share. That is a draw for each name by itself (rendezvous), so how many are on a disk is
// binomial; five standard deviations are exceeded once in a million runs, and equal shares are off by more than ten.
func TestLargerDisk(t *testing.T) {
	ctx := context.Background()
	dir := procs.Dir(t)
	small := loopDiskAt(t, "ext4", filepath.Join(dir, "small.img"), filepath.Join(dir, victim, "mp1"), 150)
	large := newLoopDisk(t, "ext4", 450)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 1, Mountpaths: 1})
	m := newMover(t, c, procs.Seed(t), c.Clients()...)
	w := &watcher{t: t, gw: m.gw, api: m.api, node: c.Client(victim), mp: large.dir}
	const each = 80_000 // above what is kept in the index: a blob each
	for i := range rounds(500, 1200) {
		name := fmt.Sprintf("blob-%06d", i)
		v := value.Value{ID: m.seed<<20 + uint64(1<<19+i), Size: each}
		must(t, check(m.gw.Put(ctx, "kept", name, v.Bytes())))
		m.kept[name] = v
	}
	stop := m.traffic(ctx)
	began := time.Now()
	w.change(ctx, api.ActMountpathAttach)
	w.await("settled", w.settled)
	t.Logf("settled after %v", time.Since(began).Round(10*time.Millisecond))
	stop()
	share := w.share(ctx, small, large)
	onSmall, onLarge := 0, 0
	w.await("what has moved is removed where it was", func(context.Context) error {
		onSmall, onLarge = small.blobs(each), large.blobs(each)
		if onSmall+onLarge != rounds(500, 1200) {
			return fmt.Errorf("%d blobs and %d", onSmall, onLarge)
		}
		return nil
	})
	n := float64(onSmall + onLarge)
	margin := 5 * math.Sqrt(n*share*(1-share))
	t.Logf("%d of %.0f are on the larger disk; %.0f ± %.0f were to be", onLarge, n, n*share, margin)
	if math.Abs(float64(onLarge)-n*share) > margin {
		t.Error("the larger disk has not its share")
	}
	m.end(ctx, dir)
}

// share returns which part of the names is the larger disk's by the weights, which are to be as the sizes.
func (w *watcher) share(ctx context.Context, small, large *loopDisk) float64 {
	w.t.Helper()
	s, err := w.api.NodeStatus(ctx, victim)
	must(w.t, err)
	of := map[string]api.Mountpath{}
	for _, m := range s.Mountpaths.Details {
		of[m.Path] = m
	}
	a, b := of[small.dir], of[large.dir]
	if a.Weight == 0 || b.Weight == 0 {
		w.t.Fatalf("%+v, %+v", a, b)
	}
	if want := float64(a.Weight) * float64(b.Total) / float64(a.Total); math.Abs(float64(b.Weight)-want) > 1 {
		w.t.Errorf("a disk of %d bytes has weight %d beside one of %d bytes with %d", b.Total, b.Weight, a.Total, a.Weight)
	}
	return float64(b.Weight) / float64(a.Weight+b.Weight)
}

// blobs counts those of about a size that the disk has.
func (d *loopDisk) blobs(size int64) (n int) {
	d.t.Helper()
	_ = filepath.WalkDir(filepath.Join(d.dir, "blobs"), func(_ string, e fs.DirEntry, err error) error { // one may go meanwhile
		if err != nil || e.IsDir() {
			return nil
		}
		if i, err := e.Info(); err == nil && i.Size() >= size && i.Size() < size*11/10 {
			n++
		}
		return nil
	})
	return n
}
