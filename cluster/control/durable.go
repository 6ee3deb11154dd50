package control

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
	"aistore/internal/flock"
)

// Names below Config.Dir.
const (
	identityFile = "node.json"
	viewFile     = "view.json"
	raftDir      = "raft"
	lockFile     = "lock"
)

// Identity is what a node keeps of itself for ever: DIR/node.json.
type Identity struct {
	Format  int            `json:"format"` // 1
	ID      cluster.NodeID `json:"id"`
	Cluster string         `json:"cluster,omitempty"` // uuid, once it belongs to one
}

const identityFormat = 1

// restoreIdentity is what to do about an unusable DIR/node.json: mountpaths have what stands there, gateways have none.
const restoreIdentity = "restore it, or remove it: a target takes its identity from its mountpaths, a gateway a new one"

// LoadIdentity reads DIR/node.json; the zero Identity if there is none.
func LoadIdentity(dir string) (Identity, error) {
	const op = "control.LoadIdentity"
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
	if id.Format != identityFormat || id.ID == "" {
		return Identity{}, errs.F(op, filepath.Join(dir, identityFile), errs.Corrupt, "has format %d and node id %q: %s", id.Format, id.ID, restoreIdentity)
	}
	return id, nil
}

// SaveIdentity writes DIR/node.json durably.
func SaveIdentity(dir string, id Identity) error {
	id.Format = identityFormat
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return errs.E("control.SaveIdentity", dir, err)
	}
	return durable.WriteFile(filepath.Join(dir, identityFile), append(b, '\n'))
}

// loadView reads DIR/view.json; nil if there is none. A damaged one is reported: the node then learns the
// view anew from others.
func loadView(dir string) (*cluster.View, error) {
	b, err := os.ReadFile(filepath.Join(dir, viewFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.E("control.loadView", dir, err)
	}
	return cluster.DecodeView(b)
}

func saveView(dir string, v *cluster.View) error {
	b, err := cluster.EncodeView(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, viewFile), b)
}

// Erase removes what a node that no longer runs has kept in its directory: identity, view and log.
func Erase(dir string) error {
	for _, name := range []string{raftDir, raftDir + ".new", raftDir + ".old", viewFile, identityFile, lockFile} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return errs.E("control.Erase", dir, err)
		}
	}
	return nil
}

// lockDir keeps a second process off the directory; the lock goes with the process.
func lockDir(dir string) (unlock func(), err error) {
	const op = "control.lockDir"
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errs.E(op, dir, err)
	}
	if err := flock.Lock(f.Fd()); err != nil {
		_ = f.Close()
		return nil, errs.E(op, dir, err)
	}
	return func() { _ = f.Close() }, nil
}
