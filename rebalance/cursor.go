package rebalance

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"aistore/cluster"
	"aistore/internal/jsonx"
	"aistore/object"
	"aistore/store"
)

// cursor is how far a pass has come, on disk, so that a node that starts again need not look at everything once more. What it says was
// acknowledged durably by the owners; lost or damaged, it is as if the pass had just begun.
type cursor struct {
	dir   string
	epoch uint64

	mu    sync.Mutex
	lanes map[int]map[cluster.NodeID]mark
}

// saveEvery is how often the cursor is written.
const saveEvery = 3 * time.Second

const cursorFile = "rebalance.json"

// mark is up to where the keys of one owner are acknowledged.
type mark struct {
	Bucket uint64 `json:"bucket"`
	Key    []byte `json:"key"`
	Whole  bool   `json:"whole,omitempty"`
}

// kept is the file.
type kept struct {
	Epoch uint64                    `json:"epoch"`
	Lanes []string                  `json:"lanes"` // ids of the mountpaths
	Marks []map[cluster.NodeID]mark `json:"marks"`
}

func lanesOf(s *store.Store) (ids []string) {
	for _, m := range s.Mountpaths() {
		ids = append(ids, m.ID)
	}
	return ids
}

func (c *cursor) note(lane int, id cluster.NodeID, after object.Name, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes == nil {
		c.lanes = map[int]map[cluster.NodeID]mark{}
	}
	if c.lanes[lane] == nil {
		c.lanes[lane] = map[cluster.NodeID]mark{}
	}
	c.lanes[lane][id] = mark{after.Bucket, []byte(after.Key), whole}
}

// write replaces the file.
func (c *cursor) write(s *store.Store) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir == "" {
		return nil
	}
	k := kept{Epoch: c.epoch, Lanes: lanesOf(s), Marks: make([]map[cluster.NodeID]mark, s.Lanes())}
	for lane := range k.Marks {
		k.Marks[lane] = maps.Clone(c.lanes[lane])
	}
	b, err := jsonx.Marshal(&k)
	if err != nil {
		return err
	}
	tmp := filepath.Join(c.dir, cursorFile+".new")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(c.dir, cursorFile)) // not synced: an older one only costs time
}

// restore lets m go on where the same pass was before a restart.
func (m *move) restore() {
	if m.cfg.Dir == "" {
		return
	}
	k, err := readCursor(m.cfg.Dir)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			m.log.Warn("rebalance: how far it was could not be read: it begins anew", "err", err)
		}
		return
	}
	if k.Epoch != m.is.epoch || !slices.Equal(k.Lanes, lanesOf(m.store)) || len(k.Marks) != len(k.Lanes) {
		return
	}
	for id, d := range m.dests {
		for lane := range k.Marks {
			if at, ok := k.Marks[lane][id]; ok {
				d.fronts.lanes[lane].after, d.fronts.lanes[lane].whole = object.Name{Bucket: at.Bucket, Key: string(at.Key)}, at.Whole
			}
		}
	}
}

func readCursor(dir string) (k kept, err error) {
	b, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if err != nil {
		return k, err
	}
	return k, jsonx.Unmarshal(b, &k)
}
