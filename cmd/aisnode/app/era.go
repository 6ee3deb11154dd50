package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/internal/failpoint"
	"aistore/store"
)

// ErrReopen is how Run ends when the node is to be opened again at once: what its disks held has been set aside.
var ErrReopen = errors.New("the node is to be opened again")

// noted is a membership as the disks have it: 0 there means that none was noted.
func noted(era uint64) uint64 { return era + 1 }

// knownEra tells the control plane whose content the disks say to have. Where they differ, one was out of use while the others were set aside: nothing is
// served before keepEra has done the same with it.
func (a *App) knownEra() error {
	on, err := a.store.Era()
	if err != nil || on == 0 {
		return err
	}
	a.oldEra = on - 1
	others, err := a.store.OtherEras(on)
	if err == nil && len(others) == 0 {
		a.control.SetEra(a.oldEra)
	}
	return err
}

// newStart returns an id for this process.
func newStart() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// disks is what the control plane asks of them.
type disks struct{ *App }

// Boot implements control.Disks.
func (a disks) Boot() string { return a.store.Boot() }

// Judge implements control.Disks. Whoever has waited for another process under the node's id, and finds that the last start was not of these disks, ends, and is
// not started again: the disks that have what the cluster acknowledged are with that process, and would be set aside in their turn if this one went on.
func (a disks) Judge(last, twin string) (known bool, err error) {
	old, err := a.store.Judge(last)
	if err == nil && len(old) > 0 && twin != "" {
		return false, a.copied(twin)
	}
	if err == nil && len(old) > 0 {
		a.log.Error("disks do not know of this node's last start: they are a copy of an earlier time, as of a snapshot or backup. What they hold is set aside, not served; "+
			"what was only on the disks that were here is lost", "node", a.node.ID, "mountpaths", old, "last_start", last)
		a.reopen(&aside{old, "before-" + last, fs.OldCopy})
	}
	return len(old) == 0, err
}

// aside is content that is none of this cluster's.
type aside struct {
	paths []string
	as    string // below store.AsideDir
	known fs.Known
}

// reopen ends the process's present life, to begin another one without that content.
func (a *App) reopen(without *aside) {
	a.aside.CompareAndSwap(nil, without)
	a.stop()
}

// keepDisks sees to it that the disks are what the cluster map says that this node has, in every view. They hold nothing of an earlier
// membership: a node that was removed from the map and joins again is empty for the others, who may have changed and deleted what it
// once had. And no other process was let in with them, or with a copy.
func (a *App) keepDisks(ctx context.Context) error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !a.control.Accepted() { // the view on disk may be older than the membership
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
	settled := uint64(0) // era as on disk
	accepted := false    // as on disk
	for {
		v := a.control.View()
		n := v.Map.Nodes[a.node.ID]
		if n != nil && n.Boot != "" && n.Boot != a.store.Boot() { // begun anew, it is told so by the primary, and the disks are judged
			a.log.Error("another process was let in as this node: this one begins anew", "node", n.ID, "start", n.Boot)
			a.reopen(&aside{})
			return nil
		}
		if n != nil && n.Boot != "" && !accepted {
			if err := failpoint.Hit("start.before-shorten"); err != nil {
				return err
			}
			if err := a.store.AcceptStart(); err != nil {
				return errs.E("app.keepDisks", "mountpaths", err)
			}
			accepted = true
		}
		if n != nil && settled != noted(n.Era) {
			settled = noted(n.Era)
			if ended, err := a.keepEra(n); ended || err != nil {
				return err
			}
		}
		select {
		case <-a.control.Watch(v.Index):
		case <-ctx.Done():
			return nil
		}
	}
}

// keepEra makes the disks those of the membership that n is. It reports whether the process ends for that.
func (a *App) keepEra(n *cluster.Node) (ended bool, err error) {
	era := noted(n.Era)
	others, err := a.store.OtherEras(era)
	if err == nil && len(others) > 0 {
		a.log.Error("what the disks hold is not this cluster's any more, since the node was removed from the cluster map and has joined again, or it kept copies while a disk or node was lost that may have had newer ones: it is set aside, not served",
			"node", n.ID, "mountpaths", others, "era", n.Era)
		a.reopen(&aside{others, strconv.FormatUint(a.oldEra, 10), fs.Own})
		return true, nil
	}
	if err == nil {
		err = a.store.SetEra(era)
	}
	if err != nil {
		return false, errs.E("app.keepEra", "mountpaths", err)
	}
	a.control.SetEra(n.Era)
	return false, nil
}

// setAside puts away what disks hold of an earlier membership or time, once nothing uses them any more.
func (a *App) setAside(what *aside) error {
	if err := failpoint.Hit("start.before-aside"); err != nil {
		return err
	}
	if err := store.SetAside(nil, what.paths, what.as, what.known, a.log); err != nil {
		return errs.E("app.setAside", "mountpaths", err)
	}
	return ErrReopen
}

// asideLook is how often it is looked whether what was set aside is still there.
const asideLook = 2 * time.Second

// watchAside keeps the alert of what was set aside true. Disks may take long to answer, so heartbeats do not ask them.
func (a *App) watchAside(ctx context.Context) error {
	return watch(ctx, &a.alert, a.asideAlert)
}

// watch looks again and again until there is no alert any more. A look at a disk that hangs is left behind when ctx ends: the node ends all the same.
func watch(ctx context.Context, alert *atomic.Pointer[string], look func() *string) error {
	tick := time.NewTicker(asideLook)
	defer tick.Stop()
	seen := make(chan *string, 1)
	for alert.Load() != nil {
		select {
		case <-tick.C:
			go func() { seen <- look() }()
		case <-ctx.Done():
			return nil
		}
		select {
		case text := <-seen:
			alert.Store(text)
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// asideAlert names all that was set aside, nil if nothing is there any more.
func (a *App) asideAlert() *string {
	var dirs []string
	for _, m := range a.store.Mountpaths() {
		if dir := filepath.Join(m.Path, store.AsideDir); exists(dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	text := "content of an earlier membership, or of an earlier time of the disk, is set aside in " + strings.Join(dirs, ", ") + ": move what you need of it, then remove it"
	return &text
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
