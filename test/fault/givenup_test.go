package fault

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"aistore/api"
	"aistore/api/client"
	"aistore/deploy/local"
	"aistore/errs"
	"aistore/test/plain"
	"aistore/test/procs"
	"aistore/test/value"
)

// TestGivenUpBesideKeeper loses what another target had changed and deleted while one in maintenance kept older copies. What was lost is gone; the
// copies of before do not come back for it.
func TestGivenUpBesideKeeper(t *testing.T) {
	for _, how := range []struct {
		name string
		lose func(m *mover, ctx context.Context, dir string)
	}{
		{"a disk given up", func(m *mover, ctx context.Context, dir string) {
			_, err := m.api.ChangeMountpath(ctx, victim, api.ActMountpathDetach, filepath.Join(dir, victim, "mp1"), client.MountpathOptions{Force: true})
			must(m.t, err)
		}},
		{"a node removed", func(m *mover, ctx context.Context, _ string) {
			must(m.t, m.c.Kill(ctx, victim))
			m.retried(ctx, func(ctx context.Context) error {
				_, err := m.api.Life().RemoveNode(ctx, victim)
				return err
			})
		}},
	} {
		t.Run(how.name, func(t *testing.T) {
			ctx := context.Background()
			dir := procs.Dir(t)
			c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2})
			m := newMover(t, c, procs.Seed(t), c.Clients()...)
			m.leave(ctx)
			deleted, changed := m.deleteAndOverwrite(ctx)
			how.lose(m, ctx, dir)
			procs.Eventually(t, time.Minute, func(ctx context.Context) error { // it sets aside what it kept first
				_, err := m.api.Life().StopMaintenance(ctx, nodesMsg(comer))
				if err != nil && !errs.Is(err, errs.Conflict, errs.Unavailable, errs.Busy) {
					t.Fatal(err)
				}
				return err
			})
			m.settled("back")
			lost := 0
			for name := range m.kept {
				b, missing := m.has(ctx, name)
				v, is := changed[name]
				switch {
				case missing:
					lost++
				case deleted[name]:
					t.Errorf("%s was deleted, and is back", name)
				case is && v.Check(b, 0) != nil:
					t.Errorf("%s has the bytes of before it was overwritten", name)
				case !is && m.kept[name].Check(b, 0) != nil:
					t.Errorf("%s has wrong bytes", name)
				}
			}
			if n := len(m.kept) - lost; lost <= len(deleted) || n < len(m.kept)/8 {
				t.Errorf("%d of %d are there: nothing was lost, or nearly everything", n, len(m.kept))
			}
		})
	}
}

// deleteAndOverwrite deletes a third of what is kept and overwrites another.
func (m *mover) deleteAndOverwrite(ctx context.Context) (deleted map[string]bool, changed map[string]value.Value) {
	m.t.Helper()
	deleted, changed = map[string]bool{}, map[string]value.Value{}
	i := 0
	for name, old := range m.kept {
		switch i++; i % 3 {
		case 0:
			must(m.t, m.gw.Delete(ctx, "kept", name))
			deleted[name] = true
		case 1:
			v := value.Value{ID: old.ID + 1<<19, Size: old.Size}
			must(m.t, check(m.gw.Put(ctx, "kept", name, v.Bytes())))
			changed[name] = v
		}
	}
	return deleted, changed
}

// has returns what a name has, or that it has nothing.
func (m *mover) has(ctx context.Context, name string) (b []byte, missing bool) {
	m.t.Helper()
	procs.Eventually(m.t, time.Minute, func(context.Context) error {
		var err error
		b, _, err = m.gw.Get(ctx, "kept", name)
		if missing = plain.Status(err) == http.StatusNotFound; missing {
			return nil
		}
		return err
	})
	return b, missing
}
