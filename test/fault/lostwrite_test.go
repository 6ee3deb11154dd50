package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/linear"
	"aistore/test/plain"
	"aistore/test/procs"
)

// TestLostWriteBack loses what the kernel has taken for one disk of a target, in the middle of a rebalance to it and of one away from
// it: the disk is a sparse file on a file system that is full. What it had acknowledged is there when it is repaired, what was on its way
// is where it came from, and meanwhile nothing is read that was not written.
func TestLostWriteBack(t *testing.T) {
	ctx := context.Background()
	procs.CLI(t)
	dir := procs.Dir(t)
	under := newTmpfs(t, filepath.Join(dir, "tmpfs"), 400)
	d := loopDiskAt(t, "ext4", filepath.Join(under.dir, "image"), filepath.Join(dir, comer, "mp1"), 1000)
	d.takeAllOrNothing()
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2})
	m := newMover(t, c, procs.Seed(t), c.Clients()...)
	m.load.Names = linear.Names(400) // few writes without a clear answer for each, which an order has to be found for
	w := &watcher{t: t, gw: m.gw, api: m.api, node: c.Client(comer), mp: d.dir}
	must(t, m.gw.Configure(ctx, "disk.probe", "500ms"))
	rnd := rand.New(rand.NewPCG(m.seed, 14))
	out := !long() || rnd.IntN(2) == 0
	stop := m.traffic(ctx)
	for round := range rounds(1, 6) {
		out = !out
		if !out && round == 0 {
			m.leave(ctx)
		}
		m.fill(ctx, 60)
		m.slow(ctx, trickle)
		if out {
			m.goes(ctx, comer)
		} else {
			m.comes(ctx, comer)
		}
		moved, of := m.underWay(1 + rnd.Int64N(20))
		free := under.exhaust()
		m.slow(ctx, 0)
		began := time.Now()
		broke, err := procs.Await(procs.Patience, func(ctx context.Context) error {
			if err := w.told(ctx, "is disabled: ", "enabled 0"); err == nil || !out {
				return err
			}
			return m.ended(ctx) // who leaves may have had nothing to write
		})
		must(t, err)
		m.served(50)
		m.meanwhile(ctx)
		free()
		disabled := w.gaveUp(ctx)
		t.Logf("round %d, %s out: %v, after %d objects of %d: disabled %v, within %v", round, comer, out, moved, of, disabled, broke)
		if disabled {
			w.await("disabled", func(ctx context.Context) error { return w.told(ctx, "is disabled: ", "enabled 0") })
			must(t, c.Kill(ctx, comer))
			d.repair()
			d.takeAllOrNothing()
			must(t, c.Start(ctx, comer))
		}
		w.await("well", w.well)
		m.settled("the disk is repaired")
		t.Logf("%v later it is repaired and all is in place", time.Since(began).Round(100*time.Millisecond))
		m.verify(ctx)
		if t.Failed() {
			break
		}
	}
	stop()
	if out {
		m.comes(ctx, comer)
	}
	m.end(ctx, dir)
}

// gaveUp reports whether the node has given the mountpath up, as soon as nothing is on its way to the disk that may yet make it do so: alerts come late,
// and what failed may be a write of the node itself that nobody waits for.
func (w *watcher) gaveUp(ctx context.Context) (disabled bool) {
	w.t.Helper()
	metric := func(ctx context.Context, name string) (float64, error) {
		return w.node.Metric(ctx, fmt.Sprintf("ais_mountpath_%s{mountpath=%q}", name, w.mp))
	}
	before := -1.
	w.await("a synced write, or none any more", func(ctx context.Context) error {
		syncs, serr := metric(ctx, "syncs_total")
		enabled, err := metric(ctx, "enabled")
		switch {
		case err != nil || serr != nil:
			return errors.Join(err, serr)
		case enabled == 0:
			disabled = true
			return nil
		case before < 0:
			before = syncs
		}
		if syncs < before+3 { // the probe alone makes one after the other
			return fmt.Errorf("%v of 3 are done", syncs-before)
		}
		return nil
	})
	return disabled
}

// ended is nil when no rebalance runs.
func (m *mover) ended(ctx context.Context) error {
	r, err := m.api.Life().Rebalance(ctx)
	if err == nil && r.Running {
		err = fmt.Errorf("it goes on: %+v", r.RebalanceStatus)
	}
	return err
}

// meanwhile reads every object that is written once, some of which are out of reach: that is said so, and no more.
func (m *mover) meanwhile(ctx context.Context) {
	m.t.Helper()
	away := 0
	for name, v := range m.kept {
		b, _, err := m.gw.Get(ctx, "kept", name)
		switch {
		case plain.Status(err) == http.StatusServiceUnavailable:
			away++
		case err != nil:
			m.t.Errorf("%s: %v", name, err)
		case int64(len(b)) != v.Size || v.Check(b, 0) != nil:
			m.t.Errorf("%s: %d bytes of %d: %v", name, len(b), v.Size, v.Check(b, 0))
		}
	}
	m.t.Logf("%d of %d objects are out of reach", away, len(m.kept))
	if away == len(m.kept) {
		m.t.Error("no object can be read")
	}
}

// newTmpfs mounts a file system in memory at dir.
func newTmpfs(t *testing.T, dir string, mib int) *loopDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	d := &loopDisk{t: t, kind: "tmpfs", dir: dir, mib: mib}
	must(t, os.MkdirAll(dir, 0o755))
	if out, err := d.run(fmt.Sprintf("mount -t tmpfs -o size=%dm none DIR", mib)); err != nil {
		t.Skipf("tmpfs: %v %s", err, out)
	}
	t.Cleanup(d.unmount)
	return d
}

// exhaust takes all that is free, and returns how to give it back.
func (d *loopDisk) exhaust() (free func()) {
	d.t.Helper()
	path := filepath.Join(d.dir, "ballast")
	f, err := os.Create(path)
	must(d.t, err)
	defer f.Close()
	end := int64(0)
	for size := int64(d.mib) << 20; size >= 4096; { // others may take some meanwhile
		switch err := syscall.Fallocate(int(f.Fd()), 0, end, size); {
		case err == nil:
			end += size
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case !errors.Is(err, syscall.EINTR):
			d.t.Fatal(err)
		}
	}
	return func() { must(d.t, os.Remove(path)) }
}

// takeAllOrNothing has the disk's requests divided into pages. Linux 6.18 calls a request done of which the file below has taken only the beginning, as when
// the last free pages there are fewer than it has: such a disk loses what it has said to be durable, and no store can do anything about it.
func (d *loopDisk) takeAllOrNothing() {
	d.t.Helper()
	if out, err := d.run("echo 4 > /sys/block/NAME/queue/max_sectors_kb"); err != nil {
		d.t.Skipf("the requests of a loop device cannot be divided here: %v %s", err, out)
	}
}
