// Package statedir is what a node's directory keeps of the cluster: the node's identity (node.json), the last view (view.json), and its copy of the
// replicated log (raft/). While the node runs, package control writes them. While it is stopped, Recover makes of them the beginning of
// the cluster's further life, for when most voters are lost for good.
//
// Start at Identity, Store and Recover. docs/design/control-plane.md says who has which of them and why.
package statedir

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
	"aistore/internal/flock"
)

// Names below a node's directory.
const (
	identityFile = "node.json"
	viewFile     = "view.json"
	logDir       = "raft"
	lockFile     = "lock"
)

// LogDir is the directory of the copy of the log in the node's directory dir.
func LogDir(dir string) string { return filepath.Join(dir, logDir) }

// Identity is what a node keeps of itself for ever: DIR/node.json.
type Identity struct {
	Format  int            `json:"format"` // 1
	ID      cluster.NodeID `json:"id"`
	Cluster string         `json:"cluster,omitempty"` // uuid, once it belongs to one
}

// IdentityFormat is the Format that is written.
const IdentityFormat = 1

// restoreIdentity is what to do about an unusable DIR/node.json: mountpaths have what stands there, gateways have none.
const restoreIdentity = "restore it, or remove it: a target takes its identity from its mountpaths, a gateway a new one"

// LoadIdentity reads DIR/node.json; the zero Identity if there is none.
func LoadIdentity(dir string) (Identity, error) {
	const op = "statedir.LoadIdentity"
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, nil
	}
	if err != nil {
		return Identity{}, errs.E(op, dir, err)
	}
	var id Identity
	if err := json.Unmarshal(b, &id); err != nil {
		return Identity{}, errs.F(op, filepath.Join(dir, identityFile), errs.Corrupt, "is not JSON: %w: %s", err, restoreIdentity)
	}
	if id.Format != IdentityFormat || id.ID == "" {
		return Identity{}, errs.F(op, filepath.Join(dir, identityFile), errs.Corrupt, "has format %d and node id %q: %s", id.Format, id.ID, restoreIdentity)
	}
	return id, nil
}

// SaveIdentity writes DIR/node.json durably.
func SaveIdentity(dir string, id Identity) error {
	id.Format = IdentityFormat
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return errs.E("statedir.SaveIdentity", dir, err)
	}
	return durable.WriteFile(filepath.Join(dir, identityFile), append(b, '\n'))
}

// LoadView reads DIR/view.json; nil if there is none. A damaged one is reported: the node then learns the
// view anew from others.
func LoadView(dir string) (*cluster.View, error) {
	b, err := os.ReadFile(filepath.Join(dir, viewFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.E("statedir.LoadView", dir, err)
	}
	return cluster.DecodeView(b)
}

// SaveView writes DIR/view.json durably.
func SaveView(dir string, v *cluster.View) error {
	b, err := cluster.EncodeView(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, viewFile), b)
}

// Erase removes what a node that no longer runs has kept in its directory: identity, view and log.
func Erase(dir string) error {
	const op = "statedir.Erase"
	there, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errs.E(op, dir, err)
	}
	names := []string{logDir}
	for _, e := range there {
		if strings.HasPrefix(e.Name(), logDir+".") { // beginnings of logs, and former ones
			names = append(names, e.Name())
		}
	}
	for _, name := range append(names, viewFile, identityFile, lockFile) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return errs.E(op, dir, err)
		}
	}
	return nil
}

// Lock keeps a second process off the directory, until the file is closed or the process ends.
func Lock(dir string) (*os.File, error) {
	const op = "statedir.Lock"
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errs.E(op, dir, err)
	}
	if err := flock.Lock(f.Fd()); err != nil {
		_ = f.Close()
		return nil, errs.E(op, dir, err)
	}
	return f, nil
}
