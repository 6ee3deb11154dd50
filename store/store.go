// Package store keeps objects on this node's mountpaths.
//
// A record in the mountpath's index names immutable content; overwriting writes new content and swaps
// the record, so an open *Object always sees one version, whole. What is acknowledged under class local
// survives a power loss; what is read was verified against its checksum first. store knows nothing of
// other nodes: placement across targets is package cluster's, and the versions it gives are only
// ordered by the epochs it is told.
//
// Start at (*Store).Open for reads and (*Store).Put for writes; docs/design/store.md explains the
// choices and docs/format/ draws what is on disk.
package store

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cksum/lanes"
	"aistore/errs"
	"aistore/fs"
	"aistore/internal/spare"
	"aistore/object"
	"aistore/store/format"
	"aistore/store/hot"
)

// Defaults of Config.
const (
	DefaultCacheSize = 64 << 20
	DefaultInlineMax = 64 << 10 // measured: docs/design/store.md
	DefaultBlockSize = 128 << 10
)

// Config of a Store. Mountpaths and NodeID have no defaults; NodeID may be "" when the mountpaths carry one.
type Config struct {
	FS         fs.FS    // nil = the operating system
	Mountpaths []string // one directory per disk
	NodeID     string
	Boot       string // id of this process, for disks that are copies of an earlier time to be told (fs/starts.go); "" = it is not noted
	Existing   bool   // this node has run before: a mountpath without marker is then a missing disk (see fs.SetConfig)
	// GivingUp is asked before what a mountpath has is given up for good; an error refuses it. nil: nobody need know.
	GivingUp  func(ctx context.Context) error
	Home      string // the node's own directory, which keeps a copy of what its mountpaths are; "" = none
	CacheSize int64  // bytes of index blocks cached, all mountpaths together, besides memtables
	HotSize   int64  // bytes of records and small contents kept for names read often; 0 = half of CacheSize, -1 = none
	InlineMax int    // objects up to this many bytes live in the index; -1 puts all in blobs
	BlockSize int64  // bytes per checksum of a blob; a power of two from 4 KiB to 1 MiB
	Log       *slog.Logger

	HealthEvery    time.Duration // how often Run looks at the disks; 0 = 2s
	SweepEvery     time.Duration // how often Run looks for orphan blobs after the first time; 0 = 6h
	MaxAppends     int           // append sessions that may be open; 0 = 1024
	MaxAppendBytes int64         // bytes that they may hold together; 0 = a quarter of what the mountpaths hold in all

	CloseWithin time.Duration // how long Close waits for calls, and for the index to be flushed, before it gives up a mountpath; 0 = 20s
}

// WithDefaults fills what is zero.
func (c Config) WithDefaults() Config {
	if c.FS == nil {
		c.FS = fs.OS{}
	}
	if c.CacheSize == 0 {
		c.CacheSize = DefaultCacheSize
	}
	if c.HotSize == 0 {
		c.HotSize = c.CacheSize / 2
	}
	if c.InlineMax == 0 {
		c.InlineMax = DefaultInlineMax
	}
	if c.BlockSize == 0 {
		c.BlockSize = DefaultBlockSize
	}
	if c.HealthEvery == 0 {
		c.HealthEvery = 2 * time.Second
	}
	if c.SweepEvery == 0 {
		c.SweepEvery = 6 * time.Hour
	}
	if c.MaxAppends == 0 {
		c.MaxAppends = 1024
	}
	if c.CloseWithin == 0 {
		c.CloseWithin = 20 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate names every wrong field.
func (c Config) Validate() error {
	const op = "store.Config"
	var all []error
	if len(c.Mountpaths) == 0 {
		all = append(all, errs.E(op, "mountpaths", errs.Invalid, "none is configured"))
	}
	if c.CacheSize < 1<<20 {
		all = append(all, errs.F(op, "cache_size", errs.Invalid, "%d is below 1 MiB", c.CacheSize))
	}
	if c.InlineMax < -1 || c.InlineMax > 256<<10 {
		all = append(all, errs.F(op, "inline_max", errs.Invalid, "%d is outside -1..256 KiB", c.InlineMax))
	}
	if b := c.BlockSize; b < format.MinBlockSize || b > format.MaxBlockSize || b&(b-1) != 0 {
		all = append(all, errs.F(op, "block_size", errs.Invalid, "%d is no power of two from 4 KiB to 1 MiB", b))
	}
	return errors.Join(all...)
}

// Store is the objects of one node.
type Store struct {
	cfg        Config
	cache      *pebble.Cache
	processors *spare.Watch
	hashing    lanes.Crew // uploads whose MD5 is taken
	log        *slog.Logger
	places
	multipart
	appends
	mounts
	moves
	transfer
	versions versions

	destroyed sync.Map // bucket id -> nothing: refuses everything
	sessions  sessions
	suspects  suspects
	closed    atomic.Bool

	health    atomic.Pointer[Health]
	changing  sync.Mutex    // held while the set of mountpaths changes
	era       atomic.Uint64 // as SetEra said last; 0 = nothing yet
	broke     chan struct{} // a mountpath has failed
	comebacks comebacks
	watch     bell // rung when the mountpaths have changed
}

// Open opens every mountpath's index. A mountpath that fails is disabled, unless all do. Open starts
// nothing; Run does the work in the background.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	const op = "store.Open"
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	set, err := fs.OpenSet(fs.SetConfig{FS: cfg.FS, Paths: cfg.Mountpaths, NodeID: cfg.NodeID, Existing: cfg.Existing, Home: cfg.Home, Boot: cfg.Boot, Log: cfg.Log})
	if err != nil {
		return nil, errs.E(op, "", err)
	}
	s := &Store{cfg: cfg, log: cfg.Log, broke: make(chan struct{}, 1), comebacks: comebacks{turn: make(chan struct{}, 1)}, cache: pebble.NewCache(cfg.CacheSize + reserved(set)), processors: spare.NewWatch()}
	s.multipart.Store, s.appends.Store, s.transfer.Store, s.mounts.Store, s.moves.Store = s, s, s, s, s
	s.hashing.Short = s.processors.Short
	s.hot = hot.New[*volume](cfg.HotSize)
	var vols []*volume
	for _, mp := range set.All() {
		vols = append(vols, newVolume(mp, s.cache, s.processors, cfg.Log))
	}
	s.lay.Store(newLayout(set, vols))
	s.versions.all = &s.places
	for _, v := range vols {
		s.tend(v)
	}
	if err := s.openVolumes(ctx); err != nil {
		return nil, errors.Join(errs.E(op, "", err), s.Close())
	}
	return s, nil
}

// reserved is what pebble takes out of the block cache for its memtables, the one that is written and one that waits to be
// flushed or used again. It comes on top: with several mountpaths nothing would be left for blocks otherwise.
func reserved(set *fs.Set) (sum int64) {
	for _, mp := range set.All() {
		sum += 2 * int64(memTableSize(mp.Info().Capacity.Total))
	}
	return sum
}

// openVolumes opens all indexes at once: each waits for its own disk.
func (s *Store) openVolumes(ctx context.Context) error {
	each(s.volumes(), func(_ int, v *volume) { v.open() })
	if err := ctx.Err(); err != nil {
		return err
	}
	usable := 0
	var faults error
	for _, v := range s.volumes() {
		if err := v.err(); err != nil {
			faults = errors.Join(faults, err)
			continue
		}
		usable++
	}
	if usable == 0 {
		return faults
	}
	s.versions.init()
	s.changing.Lock()
	s.leaveFailed()
	s.changing.Unlock()
	if err := s.referRebuilt(ctx); err != nil {
		return err
	}
	if err := s.sessions.init(s); err != nil {
		return err
	}
	return s.loadDestroyed()
}

// Close stops using the mountpaths. The data is safe without it; with it the next start has nothing to replay. Calls still
// under way end, and later ones are kind Unavailable. It returns within a few times Config.CloseWithin, also when a disk has
// failed or hangs; what holds a call or an Object longer then keeps its mountpath's index in memory.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var busy atomic.Bool
	each(s.volumes(), func(_ int, v *volume) {
		if !v.drain(s.cfg.CloseWithin) {
			busy.Store(true)
		}
	})
	var counter uint64
	if !busy.Load() {
		counter = s.versions.final()
	}
	results := make([]error, len(s.volumes()))
	each(s.volumes(), func(i int, v *volume) { results[i] = v.close(s.cfg.CloseWithin, counter) })
	s.cache.Unref()
	return errors.Join(errors.Join(results...), s.now().set.Close())
}

// Mountpaths describes every mountpath.
func (s *Store) Mountpaths() []fs.Info {
	l := s.now()
	infos := make([]fs.Info, len(l.vols))
	for i, v := range l.vols {
		infos[i] = v.mp.Info()
		infos[i].Full = v.space.full.Load()
		if m, out := l.set.Out(i); out {
			infos[i].Standing = m.Standing
		}
	}
	return infos
}

// FileSystems are the ids of the file systems with mountpaths in use, each once.
func (s *mounts) FileSystems() []uint64 {
	var ids []uint64
	for _, v := range s.now().vols {
		if id := fs.FileSystem(v.mp); v.err() == nil && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Bind writes the cluster's id into the mountpaths' markers; kind Conflict if they belong to another.
func (s *Store) Bind(clusterUUID string) error { return s.now().set.Bind(clusterUUID) }

// live refuses names of buckets that are being removed.
func (s *Store) live(op string, n object.Name) error {
	if err := checkName(op, n); err != nil {
		return err
	}
	if _, gone := s.destroyed.Load(n.Bucket); gone {
		return errs.E(op, n, errs.NoBucket)
	}
	return nil
}

// checkName refuses what the index cannot hold. Stricter rules are object.CheckKey's.
func checkName(op string, n object.Name) error {
	if n.Key == "" || len(n.Key) > object.MaxKeyLen {
		return errs.F(op, n, errs.Invalid, "the key has %d bytes: use 1 to %d", len(n.Key), object.MaxKeyLen)
	}
	if strings.IndexByte(n.Key, 0) >= 0 {
		return errs.E(op, n, errs.Invalid, "the key contains a NUL byte")
	}
	return nil
}
