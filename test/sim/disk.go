package sim

import (
	"maps"
	"slices"
	"strings"

	"aistore/cluster"
	"aistore/cluster/ownership"
	"aistore/object"
)

// key is a name in a bucket, by the bucket's id.
type key struct {
	bucket uint64
	name   string
}

func (k key) compare(o key) int {
	if k.bucket != o.bucket {
		if k.bucket < o.bucket {
			return -1
		}
		return 1
	}
	return strings.Compare(k.name, o.name)
}

// record is one version of a key. Its value tells which write it is of.
type record struct {
	value   uint16
	version object.Version
	removed bool // a delete marker
}

// content is a key state: the mark and all there is. Never changed in place.
type content struct {
	mark    uint64
	records []record // oldest first; the last is the current one
	uploads []uint16
}

func (c *content) state() ownership.State {
	if c == nil {
		return ownership.State{}
	}
	s := ownership.State{Mark: c.mark, Present: len(c.records)+len(c.uploads) > 0}
	if n := len(c.records); n > 0 {
		s.Version = c.records[n-1].version
	}
	return s
}

// empty reports whether c is not worth a place on a disk.
func (c *content) empty() bool { return c == nil || c.mark == 0 && len(c.records)+len(c.uploads) == 0 }

// withMark returns c with another mark, nil if nothing is left.
func (c *content) withMark(mark uint64) *content {
	d := content{mark: mark}
	if c != nil {
		d.records, d.uploads = c.records, c.uploads
	}
	if d.empty() {
		return nil
	}
	return &d
}

// picture is what a client can see of c.
func (c *content) picture() picture {
	if c == nil {
		return ""
	}
	b := make([]byte, 0, 16)
	for _, r := range c.records {
		b = append(b, byte(r.value>>8), byte(r.value))
	}
	if len(c.uploads) > 0 {
		b = append(b, 0, 0)
		for _, u := range c.uploads {
			b = append(b, byte(u>>8), byte(u))
		}
	}
	return picture(b)
}

// image is what lies on the disks of a node.
type image struct {
	keys   map[key]*content
	kept   *cluster.View // newest view that was written down
	starts []int         // the last start that was accepted with these disks, and those that were tried since
	era    uint64        // of the node when the disks were made its own
}

func newImage() image { return image{keys: map[key]*content{}} }

func (i image) clone() image {
	i.keys = maps.Clone(i.keys)
	return i
}

// disk distinguishes what a process reads back from what survives a loss of power.
type disk struct {
	now    image // with what the system still has to write
	synced image
}

func newDisk() disk { return disk{newImage(), newImage()} }

func (d *disk) get(k key) *content { return d.now.keys[k] }

// set writes without sync.
func (d *disk) set(k key, c *content) {
	place(d.now.keys, k, c)
}

// setSynced writes durably.
func (d *disk) setSynced(k key, c *content) {
	place(d.now.keys, k, c)
	place(d.synced.keys, k, c)
}

func place(m map[key]*content, k key, c *content) {
	if c.empty() {
		delete(m, k)
		return
	}
	m[k] = c
}

// sync makes everything durable.
func (d *disk) sync() { d.synced = d.now.clone() }

// keys returns what there is, in order.
func (d *disk) keys() []key { return sortedKeys(d.now.keys) }

func sortedKeys(m map[key]*content) []key {
	ks := slices.Collect(maps.Keys(m))
	slices.SortFunc(ks, key.compare)
	return ks
}
