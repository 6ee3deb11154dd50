package fs

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"aistore/errs"
)

// Mem is a file system in memory for tests. It is strict where real ones are kind: a crash keeps a
// file's bytes only as far as they were synced, and a name only when its directory was. A crash with a
// seed keeps besides a random part of the rest, torn at sector borders, as disks do.
type Mem struct {
	mu    sync.Mutex
	root  *memNode
	total int64 // capacity; 0 = unlimited
	used  int64
	fsid  uint64
	locks map[*memNode]bool
	// OnSync is called before a sync takes effect, without locks held. Set it before the first use.
	OnSync func(name string)
}

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{root: newMemDir(), fsid: 1, locks: map[*memNode]bool{}}
}

// SetTotal bounds the bytes all files may take; writes beyond it fail with ENOSPC. 0 lifts the bound.
func (m *Mem) SetTotal(total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = total
}

// memNode is a file or a directory. A node lives as long as a name or an open file leads to it.
type memNode struct {
	dir     bool
	entries map[string]*memNode // directory: as seen now
	durable map[string]*memNode // directory: as of the last sync
	data    []byte              // file: as seen now
	space   int64               // file: taken on the disk
	gone    bool                // file: has no name any more; what is still open takes no space
	synced  []byte              // file: as of the last sync
	pending []memWrite          // file: what happened since, in order
}

// memWrite is a change not yet synced: bytes at off, or a truncation to off.
type memWrite struct {
	off   int64
	bytes []byte
	cut   bool
}

func newMemDir() *memNode {
	return &memNode{dir: true, entries: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// Crash returns what a machine finds that loses power now. With no rng all that was not synced is
// gone; with one, each change that was not synced is kept, torn or lost at random. m stays usable.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := &Mem{fsid: m.fsid, total: m.total, locks: map[*memNode]bool{}}
	n.root = m.root.crash(rng, map[*memNode]*memNode{})
	n.used = n.root.size(map[*memNode]bool{})
	return n
}

func (d *memNode) crash(rng *rand.Rand, done map[*memNode]*memNode) *memNode {
	if c := done[d]; c != nil {
		return c
	}
	c := &memNode{dir: d.dir}
	done[d] = c
	if !d.dir {
		c.data = d.crashData(rng)
		c.space = max(int64(len(c.data)), d.space) // what was allocated stays
		c.synced = slices.Clone(c.data)
		return c
	}
	kept := map[string]*memNode{}
	for name, e := range d.durable {
		if now := d.entries[name]; now == e || rng == nil || rng.IntN(2) == 0 {
			kept[name] = e // still there, or the removal was lost
		} else if now != nil {
			kept[name] = now // replaced
		}
	}
	if rng != nil {
		for _, name := range sorted(d.entries) {
			if kept[name] == nil && d.durable[name] == nil && rng.IntN(2) == 0 {
				kept[name] = d.entries[name]
			}
		}
	}
	c.entries, c.durable = map[string]*memNode{}, map[string]*memNode{}
	for _, name := range sorted(kept) {
		e := kept[name].crash(rng, done)
		c.entries[name], c.durable[name] = e, e
	}
	return c
}

func sorted(m map[string]*memNode) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

const sector = 512

// crashData is the synced content with a random part of the pending changes.
func (d *memNode) crashData(rng *rand.Rand) []byte {
	data := slices.Clone(d.synced)
	if rng == nil {
		return data
	}
	for _, w := range d.pending {
		switch rng.IntN(3) {
		case 0:
			continue
		case 1:
			data = w.apply(data)
		case 2: // each sector by itself
			if w.cut {
				continue
			}
			for i := 0; i < len(w.bytes); i += sector {
				if rng.IntN(2) == 0 {
					part := memWrite{off: w.off + int64(i), bytes: w.bytes[i:min(i+sector, len(w.bytes))]}
					data = part.apply(data)
				}
			}
		}
	}
	return data
}

func (w memWrite) apply(data []byte) []byte {
	if w.cut {
		return resize(data, w.off)
	}
	if end := w.off + int64(len(w.bytes)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[w.off:], w.bytes)
	return data
}

func resize(data []byte, n int64) []byte {
	if n <= int64(len(data)) {
		return data[:n]
	}
	return append(data, make([]byte, n-int64(len(data)))...)
}

func (d *memNode) size(seen map[*memNode]bool) int64 {
	if seen[d] {
		return 0
	}
	seen[d] = true
	n := d.space
	for _, e := range d.entries {
		n += e.size(seen)
	}
	return n
}

// OpenRoot holds the directory at path open.
func (m *Mem) OpenRoot(p string) (Root, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.find(m.root, clean(p))
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p, Err: err}
	}
	if !d.dir {
		return nil, &os.PathError{Op: "open", Path: p, Err: syscall.ENOTDIR}
	}
	return &memRoot{fs: m, dir: d, path: p}, nil
}

// MkdirAll makes p and its parents, durably.
func (m *Mem) MkdirAll(p string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.root
	for part := range strings.SplitSeq(clean(p), "/") {
		if part == "." {
			continue
		}
		e := d.entries[part]
		if e == nil {
			e = newMemDir()
			d.entries[part] = e
		}
		d.durable[part] = e
		d = e
	}
	return nil
}

// find walks from d; the caller holds mu.
func (m *Mem) find(d *memNode, name string) (*memNode, error) {
	if name == "." {
		return d, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if !d.dir {
			return nil, syscall.ENOTDIR
		}
		if d = d.entries[part]; d == nil {
			return nil, os.ErrNotExist
		}
	}
	return d, nil
}

type memRoot struct {
	fs   *Mem
	dir  *memNode
	path string
}

// parent returns the directory that holds name and name's last element; the caller holds mu.
func (r *memRoot) parent(name string) (*memNode, string, error) {
	name = clean(name)
	d, err := r.fs.find(r.dir, path.Dir(name))
	if err == nil && !d.dir {
		err = syscall.ENOTDIR
	}
	return d, path.Base(name), err
}

func (r *memRoot) do(op, name string, f func(d *memNode, base string) error) error {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	d, base, err := r.parent(name)
	if err == nil {
		err = f(d, base)
	}
	if err != nil {
		return &os.PathError{Op: op, Path: path.Join(r.path, name), Err: err}
	}
	return nil
}

func (r *memRoot) OpenFile(name string, flag int) (f File, err error) {
	err = r.do("open", name, func(d *memNode, base string) error {
		n := d.entries[base]
		if clean(name) == "." {
			n = r.dir
		}
		switch {
		case n == nil && flag&os.O_CREATE == 0:
			return os.ErrNotExist
		case n == nil:
			n = &memNode{}
			d.entries[base] = n
		case flag&os.O_EXCL != 0:
			return os.ErrExist
		case n.dir && flag&(os.O_RDWR|os.O_WRONLY) != 0:
			return syscall.EISDIR
		case flag&os.O_TRUNC != 0:
			r.fs.truncate(n, 0)
		}
		f = &memFile{fs: r.fs, node: n, name: path.Join(r.path, name)}
		return nil
	})
	return f, err
}

func (r *memRoot) Rename(from, to string) error {
	return r.do("rename", from, func(d *memNode, base string) error {
		n := d.entries[base]
		if n == nil {
			return os.ErrNotExist
		}
		td, tb, err := r.parent(to)
		if err != nil {
			return err
		}
		old := td.entries[tb]
		delete(d.entries, base)
		td.entries[tb] = n
		r.fs.dropped(old)
		return nil
	})
}

func (r *memRoot) Link(from, to string) error {
	return r.do("link", from, func(d *memNode, base string) error {
		n := d.entries[base]
		if n == nil {
			return os.ErrNotExist
		}
		td, tb, err := r.parent(to)
		if err != nil {
			return err
		}
		if td.entries[tb] != nil {
			return os.ErrExist
		}
		td.entries[tb] = n
		return nil
	})
}

func (r *memRoot) Remove(name string) error {
	return r.do("remove", name, func(d *memNode, base string) error {
		n := d.entries[base]
		switch {
		case n == nil:
			return os.ErrNotExist
		case n.dir && len(n.entries) > 0:
			return syscall.ENOTEMPTY
		}
		delete(d.entries, base)
		r.fs.dropped(n)
		return nil
	})
}

// dropped frees the space of a node that lost its last name; links are rare enough to walk for.
func (m *Mem) dropped(n *memNode) {
	if n != nil && !m.root.leadsTo(n) {
		m.used -= n.space
		n.space, n.gone = 0, true
	}
}

func (d *memNode) leadsTo(n *memNode) bool {
	for _, e := range d.entries {
		if e == n || e.dir && e.leadsTo(n) {
			return true
		}
	}
	return false
}

func (r *memRoot) Mkdir(name string) error {
	return r.do("mkdir", name, func(d *memNode, base string) error {
		if d.entries[base] != nil {
			return os.ErrExist
		}
		d.entries[base] = newMemDir()
		return nil
	})
}

func (r *memRoot) ReadDir(name string) ([]string, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	d, err := r.fs.find(r.dir, clean(name))
	if err == nil && !d.dir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, &os.PathError{Op: "readdir", Path: path.Join(r.path, name), Err: err}
	}
	return sorted(d.entries), nil
}

func (r *memRoot) Stat(name string) (os.FileInfo, error) {
	f, err := r.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

func (r *memRoot) SyncDir(name string) error {
	if h := r.fs.OnSync; h != nil {
		h(path.Join(r.path, name))
	}
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	d, err := r.fs.find(r.dir, clean(name))
	if err != nil {
		return &os.PathError{Op: "sync", Path: path.Join(r.path, name), Err: err}
	}
	d.syncDir()
	return nil
}

func (d *memNode) syncDir() {
	d.durable = make(map[string]*memNode, len(d.entries))
	for n, e := range d.entries {
		d.durable[n] = e
	}
}

func (r *memRoot) Statfs() (Capacity, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	if r.fs.total == 0 {
		return Capacity{Total: 1 << 40, Free: 1<<40 - r.fs.used}, nil
	}
	return Capacity{Total: r.fs.total, Free: max(0, r.fs.total-r.fs.used)}, nil
}

type memLock struct {
	fs   *Mem
	node *memNode
}

func (l memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.node)
	return nil
}

func (r *memRoot) Lock(name string) (io.Closer, error) {
	f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	mf, ok := f.(*memFile)
	if !ok {
		return nil, errors.New("BUG: not a file of this system")
	}
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	if r.fs.locks[mf.node] {
		return nil, errs.E("fs.Lock", path.Join(r.path, name), errs.Conflict, "is locked by another process")
	}
	r.fs.locks[mf.node] = true
	return memLock{r.fs, mf.node}, nil
}

func (r *memRoot) Same() (bool, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	d, err := r.fs.find(r.fs.root, clean(r.path))
	return err == nil && d == r.dir, nil
}

func (r *memRoot) FSID() (uint64, error) { return r.fs.fsid, nil }
func (r *memRoot) Close() error          { return nil }
