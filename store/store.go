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
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// Defaults of Config.
const (
	DefaultCacheSize = 64 << 20
	DefaultInlineMax = 128 << 10
	DefaultBlockSize = 128 << 10
)

// Config of a Store. Mountpaths and NodeID have no defaults; NodeID may be "" when the mountpaths carry one.
type Config struct {
	FS         fs.FS    // nil = the operating system
	Mountpaths []string // one directory per disk
	NodeID     string
	Existing   bool  // this node has run before: a mountpath without marker is then a missing disk (see fs.SetConfig)
	CacheSize  int64 // bytes of index blocks cached, all mountpaths together
	InlineMax  int   // objects up to this many bytes live in the index; -1 puts all in blobs
	BlockSize  int64 // bytes per checksum of a blob; a power of two from 4 KiB to 1 MiB
	Log        *slog.Logger

	HealthEvery time.Duration // how often Run looks at the disks; 0 = 5s
	SweepEvery  time.Duration // how often Run looks for orphan blobs after the first time; 0 = 6h
}

// WithDefaults fills what is zero.
func (c Config) WithDefaults() Config {
	if c.FS == nil {
		c.FS = fs.OS{}
	}
	if c.CacheSize == 0 {
		c.CacheSize = DefaultCacheSize
	}
	if c.InlineMax == 0 {
		c.InlineMax = DefaultInlineMax
	}
	if c.BlockSize == 0 {
		c.BlockSize = DefaultBlockSize
	}
	if c.HealthEvery == 0 {
		c.HealthEvery = 5 * time.Second
	}
	if c.SweepEvery == 0 {
		c.SweepEvery = 6 * time.Hour
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
	if b := c.BlockSize; b < minBlockSize || b > maxBlockSize || b&(b-1) != 0 {
		all = append(all, errs.F(op, "block_size", errs.Invalid, "%d is no power of two from 4 KiB to 1 MiB", b))
	}
	return errors.Join(all...)
}

// Store is the objects of one node.
type Store struct {
	cfg   Config
	set   *fs.Set
	vols  []*volume // as set.All()
	cache *pebble.Cache
	locks nameLocks
	log   *slog.Logger

	counter   atomic.Uint64 // last version counter given
	reserved  atomic.Uint64 // no counter above it may be given before the indexes know
	reserveMu sync.Mutex

	destroyed sync.Map // bucket id -> nothing: refuses everything
	appending sync.Map // sessionID -> nothing: an append or flush is under way
	suspects  suspects
	closed    atomic.Bool
}

// Open opens every mountpath's index. A mountpath that fails is disabled, unless all do. Open starts
// nothing; Run does the work in the background.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	const op = "store.Open"
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	set, err := fs.OpenSet(fs.SetConfig{FS: cfg.FS, Paths: cfg.Mountpaths, NodeID: cfg.NodeID, Existing: cfg.Existing, Log: cfg.Log})
	if err != nil {
		return nil, errs.E(op, "", err)
	}
	s := &Store{cfg: cfg, set: set, log: cfg.Log, cache: pebble.NewCache(cfg.CacheSize)}
	for _, mp := range set.All() {
		s.vols = append(s.vols, newVolume(mp, s.cache, cfg.Log))
	}
	if err := s.openVolumes(ctx); err != nil {
		return nil, errors.Join(errs.E(op, "", err), s.Close())
	}
	return s, nil
}

// openVolumes opens all indexes at once: each waits for its own disk.
func (s *Store) openVolumes(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, v := range s.vols {
		wg.Go(v.open)
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	usable := 0
	var first error
	for _, v := range s.vols {
		if err := v.err(); err != nil {
			first = errors.Join(first, err)
			continue
		}
		usable++
		s.counter.Store(max(s.counter.Load(), v.counter))
	}
	if usable == 0 {
		return first
	}
	s.reserved.Store(s.counter.Load())
	return s.loadDestroyed()
}

// Close stops using the mountpaths. Every call must have returned and every Object be closed. The data
// is safe without it; with it the next start has nothing to replay.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var err error
	for _, v := range s.vols {
		if v.db != nil && v.err() == nil && s.reserved.Load() > 0 {
			err = errors.Join(err, v.saveCounter(s.counter.Load()))
		}
		err = errors.Join(err, v.close())
	}
	s.cache.Unref()
	return errors.Join(err, s.set.Close())
}

// Mountpaths describes every mountpath.
func (s *Store) Mountpaths() []fs.Info {
	infos := make([]fs.Info, len(s.vols))
	for i, v := range s.vols {
		infos[i] = v.mp.Info()
		infos[i].Full = v.space.full.Load()
	}
	return infos
}

// Bind writes the cluster's id into the mountpaths' markers; kind Conflict if they belong to another.
func (s *Store) Bind(clusterUUID string) error { return s.set.Bind(clusterUUID) }

// counterChunk is how many versions are given between two records of the counter.
const counterChunk = 1 << 20

// nextVersion gives the version that follows old. Counters are never given twice on this node, also not
// for a name that was deleted in between, so a version (and an ETag made of it) names one content for ever.
func (s *Store) nextVersion(old object.Version, epoch uint64) (object.Version, error) {
	v := old.Next(epoch)
	for {
		c := s.counter.Load()
		v.Counter = max(v.Counter, c+1)
		if v.Counter > s.reserved.Load() {
			if err := s.reserveCounters(v.Counter); err != nil {
				return v, err
			}
		}
		if s.counter.CompareAndSwap(c, v.Counter) {
			return v, nil
		}
	}
}

func (s *Store) reserveCounters(need uint64) error {
	s.reserveMu.Lock()
	defer s.reserveMu.Unlock()
	if need <= s.reserved.Load() {
		return nil
	}
	upTo := need + counterChunk
	saved := false
	for _, v := range s.vols {
		if v.err() == nil && v.saveCounter(upTo) == nil {
			saved = true
		}
	}
	if !saved {
		return errs.E("store.reserveCounters", "", errs.Mountpath, "no mountpath can be written")
	}
	s.reserved.Store(upTo)
	return nil
}

func (v *volume) saveCounter(c uint64) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	if err := b.Set([]byte(metaCounter), binary.LittleEndian.AppendUint64(nil, c), nil); err != nil {
		return err
	}
	return v.commit(b, cluster.Local)
}

// closeBatch gives a batch back. Its error only says that it was in use, which would be a bug of ours.
func closeBatch(b *pebble.Batch) { _ = b.Close() }

// home returns the volume where n is written, or kind Mountpath.
func (s *Store) home(n object.Name) (*volume, error) {
	v := s.vols[s.set.Home(n.Key)]
	return v, v.err()
}

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
