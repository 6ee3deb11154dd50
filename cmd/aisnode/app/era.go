package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aistore/errs"
	"aistore/store"
)

// ErrReopen is how Run ends when the node is to be opened again at once: what its disks held has been set aside.
var ErrReopen = errors.New("the node is to be opened again")

// noted is a membership as the disks have it: 0 there means that none was noted.
func noted(era uint64) uint64 { return era + 1 }

// knownEra tells the control plane whose content the disks say to have.
func (a *App) knownEra() error {
	on, err := a.store.Era()
	if err == nil && on > 0 {
		a.oldEra = on - 1
		a.control.SetEra(a.oldEra)
	}
	return err
}

// keepEra sees to it that the disks hold nothing of an earlier membership. A node that was removed from the cluster map and joins again is
// empty for the others, who may have changed and deleted what it once had; it must not serve that.
func (a *App) keepEra(ctx context.Context) error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !a.control.Accepted() { // the view on disk may be older than the membership
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
	settled := uint64(0) // as on disk
	for {
		v := a.control.View()
		if n := v.Map.Nodes[a.node.ID]; n != nil && settled != noted(n.Era) {
			settled = noted(n.Era)
			others, err := a.store.OtherEras(settled)
			if err == nil && len(others) > 0 {
				a.log.Error("this node was removed from the cluster map and has joined again: what its disks held before is set aside, not served",
					"node", n.ID, "mountpaths", others, "era", n.Era)
				a.aside.Store(&others)
				a.stop()
				return nil
			}
			if err == nil {
				err = a.store.SetEra(settled)
			}
			if err != nil {
				return errs.E("app.keepEra", "mountpaths", err)
			}
			a.control.SetEra(n.Era)
		}
		select {
		case <-a.control.Watch(v.Index):
		case <-ctx.Done():
			return nil
		}
	}
}

// setAside puts away what disks hold of an earlier membership, once nothing uses them any more.
func (a *App) setAside(paths []string) error {
	if err := store.SetAside(nil, paths, a.oldEra, a.log); err != nil {
		return errs.E("app.setAside", "mountpaths", err)
	}
	return ErrReopen
}

// asideLook is how often it is looked whether what was set aside is still there.
const asideLook = 2 * time.Second

// watchAside keeps the alert of what was set aside true. Disks may take long to answer, so heartbeats do not ask them.
func (a *App) watchAside(ctx context.Context) error {
	tick := time.NewTicker(asideLook)
	defer tick.Stop()
	for a.alert.Load() != nil {
		select {
		case <-tick.C:
			a.alert.Store(a.asideAlert())
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// asideAlert names all that was set aside, nil if nothing is there any more.
func (a *App) asideAlert() *string {
	var dirs []string
	for _, path := range a.cfg.Mountpaths {
		if dir := filepath.Join(path, store.AsideDir); exists(dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	text := "content of an earlier membership is set aside in " + strings.Join(dirs, ", ") + ": move what you need of it, then remove it"
	return &text
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
