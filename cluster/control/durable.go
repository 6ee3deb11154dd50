package control

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"aistore/cluster"
	"aistore/errs"
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
		return Identity{}, errs.F(op, filepath.Join(dir, identityFile), errs.Corrupt, "is not JSON: %w", err)
	}
	if id.Format != identityFormat || id.ID == "" {
		return Identity{}, errs.F(op, filepath.Join(dir, identityFile), errs.Corrupt, "has format %d and node id %q", id.Format, id.ID)
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
	return writeDurable(filepath.Join(dir, identityFile), append(b, '\n'))
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
	return writeDurable(filepath.Join(dir, viewFile), b)
}

// writeDurable replaces path so that after a crash at any instant it has its old or its new content.
func writeDurable(path string, b []byte) error {
	const op = "control.writeDurable"
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errs.E(op, path, err)
	}
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // the view holds the secret
	if err != nil {
		return errs.E(op, path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return errs.E(op, path, err)
	}
	return nil
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, errs.E("control.exists", path, err)
	}
	return true, nil
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
