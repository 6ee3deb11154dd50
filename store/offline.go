package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
	"aistore/store/format"
)

// OfflineConfig names a mountpath of a node that is stopped.
type OfflineConfig struct {
	FS        fs.FS // nil = the operating system
	Mountpath string
	Log       *slog.Logger
}

// Offline is a mountpath of a stopped node, opened to look and to take out. Nothing in it is changed.
type Offline struct {
	s *Store
	v *volume
}

// OpenOffline opens a mountpath: kind Conflict while a node runs on it, NotFound when it is none, Corrupt
// when its index cannot be opened (RebuildIndex may help).
func OpenOffline(ctx context.Context, cfg OfflineConfig) (*Offline, error) {
	const op = "store.OpenOffline"
	s, err := stoppedStore(cfg)
	if err != nil {
		return nil, errs.E(op, cfg.Mountpath, err)
	}
	v := s.volumes()[0]
	if err = hasIndex(v); err == nil {
		if _, err = v.mp.ReadDir(indexDirName); errors.Is(err, os.ErrNotExist) {
			err = errs.F(op, cfg.Mountpath, errs.NotFound, "there is no index: nothing was ever stored here, or it was removed: then put it back, or make a new one: %s", rebuildWith(cfg.Mountpath))
		}
	}
	if err == nil {
		err = v.openReadOnly()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errs.E(op, cfg.Mountpath, errors.Join(err, s.Close()))
	}
	return &Offline{s: s, v: v}, nil
}

// stoppedStore is a store of one mountpath whose index is not yet open.
func stoppedStore(cfg OfflineConfig) (*Store, error) {
	if cfg.FS == nil {
		cfg.FS = fs.OS{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	set, err := fs.OpenStopped(cfg.FS, cfg.Mountpath, cfg.Log)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: Config{CloseWithin: offlineClose}, log: cfg.Log, cache: pebble.NewCache(16 << 20)}
	s.lay.Store(newLayout(set, []*volume{newVolume(set.All()[0], s.cache, nil, cfg.Log)}))
	s.adopt()
	return s, nil
}

// offlineClose is the bound of closing an index where nobody waits for other disks.
const offlineClose = 10 * time.Minute

// openReadOnly opens the index without changing a file.
func (v *volume) openReadOnly() (err error) {
	const op = "store.openReadOnly"
	defer recoverFatal(op, &err)
	v.ifs.Opening.Store(true)
	defer v.ifs.Opening.Store(false)
	v.readOnly = true
	db, err := pebble.Open(indexDirName, v.indexOptions(true))
	if err != nil {
		return errs.E(op, v.mp.Path(), indexKind(err), err)
	}
	v.db = db
	return nil
}

// Damage hears of a place at which the index cannot be read: behind the name, or of the name itself.
type Damage func(n object.Name, err error)

// Buckets returns the ids of the buckets that have objects here, in order. Their names are known to the cluster alone.
func (o *Offline) Buckets(ctx context.Context, damage Damage) ([]uint64, error) {
	ids, err := o.s.Buckets()
	if err == nil || indexKind(err) != errs.Corrupt {
		return ids, err
	}
	err = o.v.scan(ctx, []byte{format.FamRecord}, []byte{format.FamRecord + 1}, func(key, _ []byte) {
		if id, _, ok := format.SplitObjectKey(key); ok && (len(ids) == 0 || ids[len(ids)-1] != id) {
			ids = append(ids, id)
		}
	}, func(after []byte, err error) { damage(objectIn(after), err) })
	return ids, err
}

// List yields the objects of a bucket under a prefix, in byte order, until yield returns false. Where the index is damaged it says so and goes on
// behind that. The Info is reused after yield returns.
func (o *Offline) List(ctx context.Context, bucket uint64, prefix string, yield func(*object.Info) bool, damage Damage) error {
	lower := format.ObjectKey(nil, format.FamRecord, bucket, prefix)
	upper := format.PrefixEnd(lower)
	if prefix == "" {
		upper = format.BucketEnd(nil, format.FamRecord, bucket)
	}
	sctx, stop := context.WithCancel(ctx)
	defer stop()
	var rec format.Record
	var info object.Info
	err := o.v.scan(sctx, lower, upper, func(key, val []byte) {
		_, k, ok := format.SplitObjectKey(key)
		if sctx.Err() != nil || !ok {
			return
		}
		if err := format.DecodeRecord(&rec, val, k); err != nil {
			damage(objectIn(key), err)
		} else if !rec.Tombstone() {
			if rec.Info(&info, string(k)); !yield(&info) {
				stop()
			}
		}
	}, func(after []byte, err error) { damage(objectIn(after), err) })
	if ctx.Err() == nil && sctx.Err() != nil {
		return nil // no more is wanted
	}
	return err
}

// objectIn is the name in a key of the index, zero if it has none.
func objectIn(key []byte) object.Name {
	bucket, k, _ := format.SplitObjectKey(key)
	return object.Name{Bucket: bucket, Key: string(k)}
}

// Open opens an object as Store.Open does. Close it before Close.
func (o *Offline) Open(n object.Name) (*Object, error) { return o.s.Open(n) }

// Close releases the mountpath.
func (o *Offline) Close() error { return o.s.Close() }

// Fault is one thing that Check found wrong.
type Fault struct {
	Harmful bool        // bytes of an object cannot be given back; otherwise only space or tidiness is lost
	Name    object.Name // zero when it concerns no object
	File    string      // within the mountpath; "" when it concerns none
	What    string
}

// CheckSummary counts what Check looked at.
type CheckSummary struct {
	Objects  int64 `json:"objects"`
	Versions int64 `json:"versions"` // older ones, delete markers among them
	Bytes    int64 `json:"bytes"`    // of content read and verified
	Blobs    int64 `json:"blobs"`    // files
	Faults   int64 `json:"faults"`
	Harmful  int64 `json:"harmful"`
}

// checker is one run of Check.
type checker struct {
	o      *Offline
	report func(Fault)
	sum    CheckSummary
}

func (c *checker) fault(f Fault) {
	c.sum.Faults++
	if f.Harmful {
		c.sum.Harmful++
	}
	c.report(f)
}

// Check reads and verifies everything on the mountpath: every record, every byte of content against block and
// whole-object checksums, every blob's footer, and that records, references, contents and files fit
// each other. Each fault is reported; only what keeps Check from going on is an error.
func (o *Offline) Check(ctx context.Context, report func(Fault)) (CheckSummary, error) {
	const op = "store.Check"
	c := &checker{o: o, report: report}
	for _, step := range []func(context.Context) error{c.records, c.versions, c.parts, c.contents, c.kept, c.marks, c.refs, c.files} {
		if err := step(ctx); err != nil {
			return c.sum, errs.E(op, o.v.mp.Path(), err)
		}
	}
	return c.sum, nil
}

// scan visits every key of a family. Where the index is damaged it reports that and goes on behind the damage.
func (c *checker) scan(ctx context.Context, family byte, visit func(key, val []byte)) error {
	damage := func(after []byte, err error) {
		c.fault(Fault{Harmful: true, What: "the index cannot be read behind key " + printable(after) + ": " + err.Error()})
	}
	return c.o.v.scan(ctx, []byte{family}, []byte{family + 1}, visit, damage)
}

func printable(key []byte) string {
	if bucket, k, ok := format.SplitObjectKey(key); ok {
		return object.Name{Bucket: bucket, Key: string(k)}.String()
	}
	return "(first)"
}

// scan visits all keys in [lower, upper). At damage it calls damage and goes on: with the next key when only a value
// cannot be read, behind the damaged block otherwise.
func (v *volume) scan(ctx context.Context, lower, upper []byte, visit func(key, val []byte), damage func(after []byte, err error)) error {
	bounds, err := v.tableBounds(lower, upper)
	if err != nil {
		return err
	}
	for from := lower; from != nil; {
		last, err := v.scanUntilDamage(ctx, from, upper, visit)
		if err == nil {
			return nil
		}
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		damage(last, err)
		if last == nil {
			last = from
		}
		next := append(bytes.Clone(last), 0)
		if !bytes.Equal(last, from) && v.readable(next, upper) {
			from = next
			continue
		}
		good := upper
		if i := slices.IndexFunc(bounds, func(b []byte) bool { return bytes.Compare(b, next) > 0 && v.readable(b, upper) }); i >= 0 {
			good = bounds[i]
		}
		if from = good; longest(v, next, good) > 0 { // otherwise a block of other keys was asked for these
			from = pastDamage(v, next, good, upper)
		}
		if bytes.Equal(from, upper) {
			return nil
		}
	}
	return nil
}

// longest returns the length of the longest key at which a table that may have keys in [lower, upper) begins or ends, 0 if there is no such table.
func longest(v *volume, lower, upper []byte) (n int) {
	levels, err := v.db.SSTables()
	if err != nil {
		return 0
	}
	for _, l := range levels {
		for i := range l {
			first, last := l[i].Smallest.UserKey, l[i].Largest.UserKey
			if bytes.Compare(first, upper) < 0 && bytes.Compare(last, lower) >= 0 {
				n = max(n, len(first), len(last))
			}
		}
	}
	return n
}

// likelyKey is longer than many keys of an index are: the bounds of a table may be those of a range, which are short.
const likelyKey = 64

// pastDamage returns where reading can go on between bad, where it cannot, and good: the first such place unless damage goes on behind it. Tables
// do not tell where their blocks begin, so it halves what lies in between, with keys as fractions of as many bytes as the first key behind the
// damage has, or as the tables lead to expect.
func pastDamage(v *volume, bad, good, upper []byte) []byte {
	size := max(len(bad), len(good))
	number := func(key []byte) *big.Int {
		return new(big.Int).SetBytes(append(bytes.Clone(key), make([]byte, size-len(key))...))
	}
	lo, hi, enough := number(bad), number(good), max(size, likelyKey, longest(v, bad, good))
	for {
		mid := new(big.Int).Add(lo, hi)
		mid.Rsh(mid, 1)
		if mid.Cmp(lo) <= 0 {
			if size > enough {
				return good
			}
			size++
			lo.Lsh(lo, 8)
			hi.Lsh(hi, 8)
			continue
		}
		key := mid.FillBytes(make([]byte, size))
		if first, ok := firstKey(v, key, upper); ok {
			if good, hi = key, mid; first != nil {
				enough = len(first)
			}
		} else {
			lo = mid
		}
	}
}

// readable reports whether an iterator can be placed at from.
func (v *volume) readable(from, upper []byte) bool {
	_, ok := firstKey(v, from, upper)
	return ok
}

// firstKey returns the first key in [from, upper), nil if there is none; ok is false when it cannot be read.
func firstKey(v *volume, from, upper []byte) (key []byte, ok bool) {
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: upper})
	if err != nil {
		return nil, false
	}
	if it.First() {
		key = bytes.Clone(it.Key())
	}
	return key, errors.Join(it.Error(), it.Close()) == nil
}

// scanUntilDamage visits keys until one cannot be read; last is the one before, or the one whose value cannot be read.
func (v *volume) scanUntilDamage(ctx context.Context, from, upper []byte, visit func(key, val []byte)) (last []byte, err error) {
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n&255 == 0 && ctx.Err() != nil {
			return last, errors.Join(ctx.Err(), it.Close())
		}
		last = append(last[:0], it.Key()...)
		val, err := it.ValueAndErr()
		if err != nil {
			return last, errors.Join(err, it.Close())
		}
		visit(it.Key(), val)
	}
	return last, errors.Join(it.Error(), it.Close())
}

// tableBounds returns the keys within [lower, upper) at which tables begin or end: places to go on behind damage.
func (v *volume) tableBounds(lower, upper []byte) ([][]byte, error) {
	levels, err := v.db.SSTables()
	if err != nil {
		return nil, err
	}
	var bounds [][]byte
	for _, l := range levels {
		for i := range l {
			for _, k := range [][]byte{l[i].Smallest.UserKey, append(slices.Clone(l[i].Largest.UserKey), 0)} {
				if bytes.Compare(k, lower) > 0 && bytes.Compare(k, upper) < 0 {
					bounds = append(bounds, k)
				}
			}
		}
	}
	slices.SortFunc(bounds, bytes.Compare)
	return bounds, nil
}

// records verifies every object.
func (c *checker) records(ctx context.Context) error {
	return c.scan(ctx, format.FamRecord, func(key, val []byte) {
		bucket, k, ok := format.SplitObjectKey(key)
		n := object.Name{Bucket: bucket, Key: string(k)}
		var r format.Record
		err := format.DecodeRecord(&r, val, k)
		if !ok || err != nil {
			c.fault(Fault{Harmful: true, Name: n, What: "the record is damaged: " + text(err)})
			return
		}
		c.sum.Objects++
		c.object(ctx, n, &r)
	})
}

func text(err error) string {
	if err == nil {
		return "unreadable"
	}
	return err.Error()
}

func (c *checker) object(ctx context.Context, n object.Name, r *format.Record) {
	if id, ok := r.Table(); ok {
		c.table(ctx, n, id, r.Size)
		return
	}
	o := &Object{name: n, store: c.o.s}
	f := found{Record: *r, vol: c.o.v}
	if _, err := o.content(&f); err != nil {
		c.fault(Fault{Harmful: true, Name: n, What: text(err)})
		return
	}
	defer o.Close()
	h := newSums(&PutOptions{Checksum: r.SumType})
	if err := o.WriteSpan(ctxWriter{ctx, h}, object.Span{Length: r.Size}); err != nil {
		c.fault(Fault{Harmful: true, Name: n, What: text(err)})
		return
	}
	c.sum.Bytes += r.Size
	if got := h.Sum(h.whole); got != r.Sum() {
		c.fault(Fault{Harmful: true, Name: n, What: "content has checksum " + got.String() + ", the record says " + r.Sum().String()})
	}
	for i := range r.Parts {
		if p := &r.Parts[i]; p.Kind == format.RefBlob {
			c.blobOf(n, p, r.Owner())
		}
	}
}

// blobOf checks that a record's blob knows what the record says of it, and that the reference is kept.
func (c *checker) blobOf(n object.Name, p *format.Content, by format.Owner) {
	file := p.Blob.Path()
	if _, err := c.o.v.getCopy(format.RefKey(nil, p.Blob, n.Bucket, n.Key, by)); err != nil {
		c.fault(Fault{Harmful: true, Name: n, File: file, What: "the index has no reference to the blob, a sweep would remove it: " + text(err)})
	}
	f, err := c.o.v.mp.OpenFile(file, 0)
	if err == nil {
		var ft *format.Foot
		ft, err = format.ReadFoot(f)
		err = errors.Join(err, f.Close())
		if err == nil && (ft.ID != p.Blob || ft.Length != p.Total || ft.BlockSize != p.BlockSize) {
			err = errs.E("store.Check", file, errs.Corrupt, "the footer is another blob's")
		}
	}
	if err != nil {
		c.fault(Fault{Name: n, File: file, What: "the blob could not be used to rebuild the index: " + text(err)})
	}
}

// contents looks for inline content without a record.
func (c *checker) contents(ctx context.Context) error {
	return c.scan(ctx, format.FamContent, func(key, val []byte) {
		bucket, k, _ := format.SplitObjectKey(key)
		n := object.Name{Bucket: bucket, Key: string(k)}
		_, tag, _, ok := format.SplitContent(val)
		r, err := c.recordOf(n)
		switch {
		case err != nil || !ok: // reported with the record
		case r == nil || len(r.Parts) != 1 || r.Parts[0].Kind != format.RefInline || r.Parts[0].Tag != tag:
			c.fault(Fault{Name: n, What: "content in the index belongs to no record"})
		}
	})
}

// recordOf returns a private copy of the record of n, nil when there is none.
func (c *checker) recordOf(n object.Name) (*format.Record, error) {
	val, err := c.o.v.getCopy(format.ObjectKey(nil, format.FamRecord, n.Bucket, n.Key))
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := new(format.Record)
	return r, format.DecodeRecord(r, val, []byte(n.Key))
}

// files looks for blobs that no record names and for work files.
func (c *checker) files(ctx context.Context) error {
	v := c.o.v
	err := v.eachBlob(ctx, func(id format.BlobID) error {
		c.sum.Blobs++
		if used, err := v.referenced(id); err == nil && !used {
			c.fault(Fault{File: id.Path(), What: "no record names this blob; the node will sweep it"})
		}
		return nil
	})
	if err != nil {
		return err
	}
	names, err := v.mp.ReadDir("work")
	for _, n := range names {
		c.fault(Fault{File: "work/" + n, What: "left by a writer; the node sweeps it unless an append goes on"})
	}
	return err
}

// eachBlob visits every blob file.
func (v *volume) eachBlob(ctx context.Context, visit func(format.BlobID) error) error {
	dirs, err := v.mp.ReadDir("blobs")
	if err != nil {
		return err
	}
	slices.Sort(dirs)
	for _, d := range dirs {
		names, err := v.mp.ReadDir("blobs/" + d)
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, n := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if id, ok := format.ParseBlobID(n); ok && id.Dir() == "blobs/"+d {
				if err := visit(id); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
