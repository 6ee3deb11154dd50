package app

import (
	"crypto/rand"
	"encoding/base32"
	"os"
	"strings"

	"aistore/cluster"
	"aistore/cluster/control/statedir"
	"aistore/config"
	"aistore/errs"
	"aistore/fs"
)

// identity is who the node is and which cluster it belongs to. It stands in DIR/node.json and in the marker
// of every mountpath: a node that lost DIR takes it from the disks, whose objects are addressed by it.
type identity struct {
	statedir.Identity
	existing bool // the node has run before
	saved    bool // DIR/node.json has it
}

// identify finds the node's identity, or makes a new one. All places that have one must agree.
func identify(cfg *config.Node) (identity, error) {
	const op = "app.identify"
	kept, err := statedir.LoadIdentity(cfg.Dir)
	if err != nil {
		return identity{}, err
	}
	who := identity{Identity: kept, existing: kept.ID != "", saved: kept.ID != ""}
	if cfg.HasTarget() {
		for _, path := range cfg.Mountpaths {
			m, err := fs.ReadMarker(fs.OS{}, path)
			if errs.Is(err, errs.NotFound) {
				continue
			}
			if err != nil {
				continue // the store decides whether one bad disk is fatal
			}
			if err := who.agree(path, cluster.NodeID(m.NodeID), m.ClusterUUID); err != nil {
				return identity{}, errs.E(op, "mountpaths", errs.Conflict, err)
			}
			who.existing = true
		}
	}
	if cfg.ID != "" {
		if err := who.agree("the configuration", cluster.NodeID(cfg.ID), ""); err != nil {
			return identity{}, errs.E(op, "id", errs.Conflict, err)
		}
	}
	if who.ID == "" {
		who.ID = newNodeID(cfg.Role)
	}
	return who, nil
}

// agree takes over what place knows, or tells that it contradicts what is known.
func (who *identity) agree(place string, id cluster.NodeID, uuid string) error {
	switch {
	case who.ID != "" && id != who.ID:
		return errs.F("app.identify", place, errs.Conflict, "belongs to node %s, this node is %s: a node has its dir and its mountpaths for itself, name others", id, who.ID)
	case uuid != "" && who.Cluster != "" && uuid != who.Cluster:
		return errs.F("app.identify", place, errs.Conflict, "belongs to cluster %s, this node to %s: a node has its dir and its mountpaths for itself, name others", uuid, who.Cluster)
	}
	who.ID = id
	if uuid != "" {
		who.Cluster = uuid
	}
	return nil
}

// save writes DIR/node.json unless it is there.
func (who *identity) save(cfg *config.Node) error {
	if who.saved {
		return nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return errs.E("app.identify", "dir", err)
	}
	return statedir.SaveIdentity(cfg.Dir, who.Identity)
}

// newNodeID returns eight characters that are easy to say, the first of them for the role.
func newNodeID(role string) cluster.NodeID {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	text := strings.ToLower(base32.NewEncoding("ABCDEFGHIJKMNPQRSTUVWXYZ23456789").WithPadding(base32.NoPadding).EncodeToString(b[:]))
	return cluster.NodeID(role[:1] + text[:7])
}
