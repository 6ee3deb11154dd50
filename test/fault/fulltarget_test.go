package fault

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"aistore/deploy/local"
	"aistore/test/plain"
	"aistore/test/procs"
)

// TestFullTarget has names move to a target whose disk is full. `ais show cluster` and the rebalance say so, everything is read from where
// it is, a delete succeeds or is answered 503, a write 507 or 503; when there is room again the rebalance ends by itself.
func TestFullTarget(t *testing.T) {
	ctx := context.Background()
	dir := procs.Dir(t)
	d := loopDiskAt(t, "ext4", filepath.Join(dir, "disk.img"), filepath.Join(dir, comer, "mp1"), 160)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 1})
	m := newMover(t, c, procs.Seed(t), c.Clients()...)
	w := &watcher{t: t, gw: m.gw, api: m.api, node: c.Client(comer), mp: d.dir}
	must(t, m.gw.Configure(ctx, "disk.probe", "500ms"))
	m.leave(ctx)
	m.fill(ctx, 120)
	free := d.ballast()
	w.await("full", func(ctx context.Context) error { return w.told(ctx, "is full", "full 1") })
	stop := m.traffic(ctx)
	m.comes(ctx, comer)
	procs.Eventually(t, endsWithin, m.blocked)
	m.served(100)
	m.deleteSome(ctx, 40)
	refused := 0
	for i := range 30 { // new names, a third of them the full target's
		switch err := check(m.gw.Put(ctx, "moving", fmt.Sprintf("new-%d", i), make([]byte, 300_000))); {
		case plain.Status(err) == http.StatusInsufficientStorage, plain.Status(err) == http.StatusServiceUnavailable:
			refused++
		case err != nil:
			t.Errorf("a write while a target is full: %v", err)
		}
	}
	if refused == 0 || refused == 30 {
		t.Errorf("%d of 30 writes are refused while one of three targets is full", refused)
	}
	m.verify(ctx)
	must(t, m.blocked(ctx)) // it was so all the while
	began := time.Now()
	free()
	m.settled("there is room")
	t.Logf("%v after there was room the rebalance has ended", time.Since(began).Round(time.Millisecond))
	w.await("well", w.well)
	stop()
	for i := range 30 {
		must(t, m.retriedDelete(ctx, fmt.Sprintf("new-%d", i)))
	}
	m.end(ctx, dir)
}

// retriedDelete removes what may be there.
func (m *mover) retriedDelete(ctx context.Context, name string) error {
	_, err := procs.Await(time.Minute, func(context.Context) error {
		if err := m.gw.Delete(ctx, "moving", name); plain.Status(err) != http.StatusNotFound {
			return err
		}
		return nil
	})
	return err
}

// blocked is nil when the rebalance tells that it goes on, and that the target that comes is full.
func (m *mover) blocked(ctx context.Context) error {
	r, err := m.api.Life().Rebalance(ctx)
	if err != nil {
		return err
	}
	if !r.Running || r.Errors == 0 || !strings.Contains(r.LastError, "full") && !slices.Contains(r.Waiting, comer) {
		return fmt.Errorf("the rebalance does not tell that %s is full: %+v", comer, r.RebalanceStatus)
	}
	return nil
}

// deleteSome removes kept objects while a target is full. What was acknowledged is gone; what was not is as it was, or gone.
func (m *mover) deleteSome(ctx context.Context, most int) {
	m.t.Helper()
	gone, refused := 0, 0
	for name, v := range m.kept {
		if gone+refused == most {
			break
		}
		err := m.gw.Delete(ctx, "kept", name)
		if err != nil && plain.Status(err) != http.StatusServiceUnavailable {
			m.t.Errorf("delete of %s while a target is full: %v", name, err)
		}
		b, _, gerr := m.gw.Get(ctx, "kept", name)
		switch {
		case err == nil && plain.Status(gerr) == http.StatusNotFound:
			gone++
			delete(m.kept, name)
		case err == nil:
			m.t.Errorf("%s is deleted, and read: %d bytes, %v", name, len(b), gerr)
		case gerr != nil || v.Check(b, 0) != nil:
			m.t.Errorf("%s, whose delete was refused: %d bytes, %v, %v", name, len(b), v.Check(b, 0), gerr)
		default:
			refused++
		}
	}
	m.t.Logf("%d deletes are done, %d are refused", gone, refused)
	if gone == 0 {
		m.t.Error("no delete was possible at all")
	}
}

// ballast fills the disk but for some room below the mark of the full, and returns how to remove it.
func (d *loopDisk) ballast() (free func()) {
	d.t.Helper()
	var st syscall.Statfs_t
	must(d.t, syscall.Statfs(d.dir, &st))
	path := filepath.Join(d.dir, "ballast")
	f, err := os.Create(path)
	must(d.t, err)
	size := int64(st.Bavail)*st.Bsize - 4<<20
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
		d.t.Fatal(err)
	}
	must(d.t, f.Close())
	return func() { must(d.t, os.Remove(path)) }
}
