package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
	"aistore/errs"
	disk "aistore/fs"
	"aistore/internal/durable"
	"aistore/node"
	"aistore/store"
)

// retiredFile says in DIR that the node was decommissioned: its id is refused for ever, so nothing is started there again.
const retiredFile = "decommissioned"

// copiedFile says in DIR that it and its mountpaths are a copy of those of a node that was seen to serve.
const copiedFile = "copied"

// refuse fails if a file in the directory says that nothing is to be started there.
func refuse(dir string) error {
	for _, no := range []struct{ name, text string }{
		{retiredFile, "is the directory of %s: start with another directory, or remove this one and the mountpaths"},
		{copiedFile, "is a copy of that of %s: start that one. If its disks are lost, remove the file " + copiedFile + " here: the node goes on without what these disks hold, which is set aside"},
	} {
		path := filepath.Join(dir, no.name)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return errs.E("app.Open", path, err)
		}
		return errs.F("app.Open", dir, errs.Forbidden, no.text, b)
	}
	return nil
}

// copied notes that the process that served at twin has the node's disks, and that those here are a copy of an earlier time. It returns why the process ends.
func (a *App) copied(twin string) error {
	text := fmt.Sprintf("node %s, which served at %s on %s with disks that know of a later start", a.node.ID, twin, time.Now().UTC().Format(time.DateOnly))
	path := filepath.Join(a.cfg.Dir, copiedFile)
	if err := durable.WriteFile(path, []byte(text)); err != nil {
		return errs.E("app.copied", path, err)
	}
	return refuse(a.cfg.Dir)
}

// end begins the end of the process.
func (a *App) end(e node.Ending) {
	a.log.Warn("the node was told to end", "wipe", e.Wipe)
	if e.Wipe {
		a.retired.Store(true)
		a.wipes.Store(true)
	}
	a.stop()
}

// live follows what becomes of this node in the cluster map: it ends when the cluster has no more use for its process.
func (a *App) live(ctx context.Context) error {
	look := time.NewTicker(100 * time.Millisecond) // for what no view tells: that the primary has accepted the node, or retired it
	defer look.Stop()
	accepted := false // and seen in the map since
	for {
		v := a.control.View()
		if v != nil && (accepted || a.control.Accepted() || a.control.Retired()) {
			n := v.Map.Nodes[a.node.ID]
			if a.ends(a.was.Load(), n) {
				a.stop()
				return nil
			}
			if n != nil {
				a.was.Store(n)
				accepted = true
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Was returns what the cluster map has said last of this node, nil before the process was accepted. A node that is opened again is told it: what
// becomes of it meanwhile concerns a process that has seen it otherwise.
func (a *App) Was() *cluster.Node { return a.was.Load() }

// ends decides whether the process ends when what was the node becomes n.
func (a *App) ends(was, n *cluster.Node) bool {
	seen := was != nil && was.State == cluster.Decommissioned
	switch {
	case n == nil && (seen || a.control.Retired()):
		keep := a.mover == nil || !a.mover.Wiped() // it left faster than views were looked at: what the map said is not known
		if seen {
			keep = was.KeepData
		}
		a.log.Warn("this node is decommissioned: its process ends, and its id is refused from now on", "node", a.node.ID, "keep_data", keep)
		a.retired.Store(true)
		a.wipes.Store(!keep)
		return true
	case was != nil && n != nil && drained(n) && !drained(was):
		a.log.Warn("everything this node holds is elsewhere too and its process ends, as was asked for; to bring it back, start it and stop its maintenance", "node", n.ID)
		return true
	}
	return false
}

// drained reports whether the node was shut down already: a process that finds it so was started since.
func drained(n *cluster.Node) bool { return n.State == cluster.Shutdown && n.Phase == cluster.Drained }

// retire leaves nothing of the cluster in the node's directories but the word that the node is no more.
func (a *App) retire() error {
	const op = "app.retire"
	text := "node " + string(a.node.ID) + ", which was decommissioned on " + time.Now().UTC().Format(time.DateOnly)
	path := filepath.Join(a.cfg.Dir, retiredFile)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { // first: what is half removed must not be started
		return errs.E(op, path, err)
	}
	if a.wipes.Load() && a.cfg.HasTarget() {
		paths := slices.Clone(a.cfg.Mountpaths)
		if a.store != nil { // those that were attached while it ran
			for _, m := range a.store.Mountpaths() {
				paths = append(paths, m.Path)
			}
		}
		if err := store.Wipe(paths); err != nil {
			return errs.E(op, "mountpaths", err)
		}
	}
	for _, name := range []string{disk.HomeName, jobsDir} {
		if err := os.RemoveAll(filepath.Join(a.cfg.Dir, name)); err != nil {
			return errs.E(op, a.cfg.Dir, err)
		}
	}
	return statedir.Erase(a.cfg.Dir)
}
