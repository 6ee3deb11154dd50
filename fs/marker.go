package fs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"aistore/cksum"
	"aistore/errs"
)

// Names at the top of a mountpath. docs/format/mountpath.md draws them.
const (
	MarkerName  = ".ais.mountpath"  // whose directory this is
	SetName     = ".ais.mountpaths" // which mountpaths the node has and had
	HomeName    = "mountpaths.json" // in the node's own directory: the same
	LockName    = ".ais.lock"       // held while a process works on the mountpath
	ProbeName   = ".ais.probe"      // written again and again to see that the disk takes it
	ReserveName = ".ais.reserve"    // space given back when the disk is full, so that deletes go on
)

// MarkerFormat is the newest format of a mountpath this program writes and the last it reads.
const MarkerFormat = 1

// Marker says whose directory a mountpath is. Weight is its share of the node's names; 100 is normal.
type Marker struct {
	Format      int       `json:"format"`
	NodeID      string    `json:"node_id"`
	ClusterUUID string    `json:"cluster_uuid,omitempty"` // "" until the node has joined its first cluster
	ID          string    `json:"mountpath_id"`
	Weight      uint32    `json:"weight"`
	Created     time.Time `json:"created"`
	Released    bool      `json:"released,omitempty"` // it was detached: nothing of it is needed any more
	Starts      []string  `json:"starts,omitempty"`   // of the node's process: the one accepted last, and those tried since (starts.go)
}

// sealed wraps a document with the CRC32C of its bytes.
type sealed struct {
	Doc json.RawMessage `json:"doc"`
	CRC string          `json:"crc32c"`
}

// writeDoc replaces a small file: new file, sync, rename, sync of the directory.
func writeDoc(r Root, name string, doc any) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	b, err := json.Marshal(sealed{raw, fmt.Sprintf("%08x", cksum.Block(raw))})
	if err != nil {
		return err
	}
	tmp := name + ".new"
	f, err := r.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := r.Rename(tmp, name); err != nil {
		return err
	}
	return r.SyncDir(".")
}

// putDoc is writeDoc on a mountpath in use. When the disk is full the reserve makes room: reads and deletes go on, also of a node that starts.
func putDoc(m *Mountpath, name string, doc any) error {
	err := writeDoc(m, name, doc)
	if !full(err) {
		return err
	}
	if m.Remove(ReserveName) != nil {
		return fmt.Errorf("the disk is full, and its reserve used up: free some space, then rescan or restart: %w", err)
	}
	m.log.Warn("disk full: the reserve is given to a document", "mountpath", m.path, "document", name)
	if err := m.SyncDir("."); err != nil {
		return err
	}
	return writeDoc(m, name, doc)
}

// readDoc returns kind NotFound for a missing file and Corrupt for one that does not parse.
func readDoc(r Root, name string, doc any) error {
	const op = "fs.readDoc"
	f, err := r.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return errs.E(op, name, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err = errors.Join(err, f.Close()); err != nil {
		return errs.E(op, name, err)
	}
	var s sealed
	if err := json.Unmarshal(b, &s); err != nil {
		return errs.E(op, name, errs.Corrupt, err)
	}
	if got := fmt.Sprintf("%08x", cksum.Block(s.Doc)); got != s.CRC {
		return errs.F(op, name, errs.Corrupt, "checksum is %s, the file says %s", got, s.CRC)
	}
	if err := json.Unmarshal(s.Doc, doc); err != nil {
		return errs.E(op, name, errs.Corrupt, err)
	}
	return nil
}

func readMarker(r Root) (Marker, error) {
	const op = "fs.readMarker"
	var m Marker
	if err := readDoc(r, MarkerName, &m); err != nil {
		return m, err
	}
	if m.Format > MarkerFormat {
		return m, errs.F(op, MarkerName, errs.Unsupported, "format %d is newer than the %d this program knows: use a newer release", m.Format, MarkerFormat)
	}
	if m.ID == "" || m.NodeID == "" {
		return m, errs.E(op, MarkerName, errs.Corrupt, "names no mountpath or no node")
	}
	return m, nil
}

// ReadMarker returns the marker of the mountpath at path: kind NotFound when the directory or the marker
// does not exist. A node that lost its own directory takes its identity from here.
func ReadMarker(sys FS, path string) (Marker, error) {
	r, err := sys.OpenRoot(path)
	if err != nil {
		return Marker{}, errs.E("fs.ReadMarker", path, err)
	}
	m, err := readMarker(r)
	return m, errors.Join(err, r.Close())
}
