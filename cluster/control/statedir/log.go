package statedir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/durable"
)

// idFile names this copy of the log. A node that lost the copy gets a new name with the new one, so that
// the others never take an empty log for a voter that has forgotten its promises.
const idFile = "id"

// Create makes dir, a log directory, with a name for the new copy of the log, if it does not exist.
func Create(dir string, node cluster.NodeID) error {
	if there, err := durable.Exists(dir); err != nil || there {
		return err
	}
	return create(dir, node, func(string, string) error { return nil })
}

// Found is Create with the first entry of a new cluster's log: a configuration of this node alone, whose intra-cluster address is addr.
func Found(dir string, node cluster.NodeID, addr string) error {
	if there, err := durable.Exists(dir); err != nil || there {
		return err
	}
	return create(dir, node, func(tmp, id string) error {
		store, err := OpenStore(tmp)
		if err != nil {
			return err
		}
		err = raft.BootstrapCluster(offline(id), store, store, raft.NewDiscardSnapshotStore(), noTransport(addr), alone(id, addr))
		return errors.Join(err, store.Close())
	})
}

// create makes a log, lets first write to it, and puts it in place.
func create(dir string, node cluster.NodeID, first func(tmp, id string) error) (err error) {
	const op = "statedir.Create"
	tmp := dir + ".new"
	defer func() {
		if err != nil {
			_ = os.RemoveAll(tmp) // the disk may be full; the next attempt removes it, too
		}
	}()
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	id := string(node) + "." + hex.EncodeToString(b[:])
	if err := os.RemoveAll(tmp); err != nil {
		return errs.E(op, tmp, err)
	}
	if err := os.MkdirAll(filepath.Dir(tmp), 0o755); err != nil {
		return errs.E(op, tmp, err)
	}
	if err := os.Mkdir(tmp, 0o700); err != nil { // log and snapshots hold the secrets of the cluster and of users
		return errs.E(op, tmp, err)
	}
	if err := durable.WriteFile(filepath.Join(tmp, idFile), []byte(id)); err != nil {
		return err
	}
	if err := makeStore(tmp); err != nil {
		return err
	}
	if err := first(tmp, id); err != nil {
		return errs.E(op, tmp, err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return errs.E(op, dir, err)
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return errs.E(op, dir, err)
	}
	return nil
}

// offline is the library's configuration for work on a log that takes no part in anything.
func offline(id string) *raft.Config {
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(id)
	rc.LogOutput = io.Discard
	return rc
}

func noTransport(addr string) raft.Transport {
	_, t := raft.NewInmemTransport(raft.ServerAddress(addr))
	return t
}

// alone is the configuration of a log whose only voter is this copy.
func alone(id, addr string) raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(id), Address: raft.ServerAddress(addr)}}}
}

// NodeOf returns whose copy of the log has the name id.
func NodeOf(id string) cluster.NodeID {
	if i := strings.LastIndexByte(id, '.'); i > 0 {
		id = id[:i]
	}
	return cluster.NodeID(id)
}

// LogID returns the name of the copy of the log in dir, "" if there is none.
func LogID(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, idFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", errs.E("statedir.LogID", dir, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Drop removes a log that nobody counts on any more.
func Drop(dir string) error {
	const op = "statedir.Drop"
	old := dir + ".old"
	if err := aside(dir, old); err != nil {
		return err
	}
	if err := os.RemoveAll(old); err != nil {
		return errs.E(op, old, err)
	}
	return nil
}

// aside renames a log directory durably, in place of what may have that name.
func aside(dir, to string) error {
	const op = "statedir.aside"
	if err := os.RemoveAll(to); err != nil {
		return errs.E(op, to, err)
	}
	if err := os.Rename(dir, to); err != nil {
		return errs.E(op, dir, err)
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return errs.E(op, dir, err)
	}
	return nil
}
