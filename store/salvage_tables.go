package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
	"aistore/store/indexfs"
)

// Without a manifest pebble cannot say which of its files make up the index and in what order. But every key in a
// table or log carries a sequence number, so all files are read and the greatest number wins; where that
// says nothing (pebble drops the numbers of settled keys) the greater version of the object does. Tables hold
// content by reference to value files that only the manifest can resolve: it is found by searching the raw files,
// which are not compressed, for the version that stands behind each content and is given only once.

// famSalvage collects the newest entry per key while the new index grows: the key behind it, and as its value
// sequence number, kind and value.
const famSalvage = 0

// salvager reads the files of an index that cannot be opened.
type salvager struct {
	r      *rebuilder
	old    *volume
	ranges []rangeDel
	n      int64 // entries that were read
}

type rangeDel struct {
	from, to []byte
	seq      uint64
}

// salvage fills the new index with what the old one's tables and logs hold.
func (r *rebuilder) salvage(ctx context.Context, old *volume) error {
	s := &salvager{r: r, old: old}
	names, err := old.mp.ReadDir(indexDirName)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		file := indexDirName + "/" + name
		if n, ok := indexfs.LogNumber(name); ok {
			err = r.readLog(old, n, s.batch)
		} else if strings.HasSuffix(name, ".sst") {
			if terr := s.table(ctx, file); terr != nil {
				r.damage(fmt.Sprintf("table %s: %v", file, terr))
			}
		}
		if err != nil {
			return err
		}
	}
	if s.n == 0 {
		return nil
	}
	r.sum.OldIndex = "salvaged"
	if err := s.resolve(ctx); err != nil {
		return err
	}
	return s.findContents(ctx, names)
}

// table reads one of pebble's tables.
func (s *salvager) table(ctx context.Context, file string) (err error) {
	defer recoverFatal("store.salvage", &err)
	f, err := s.old.ifs.Open(file)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(struct{ vfs.File }{f})
	if err != nil {
		return errors.Join(err, f.Close())
	}
	o := s.old.indexOptions(true)
	o.EnsureDefaults()
	t, err := sstable.NewReader(ctx, readable, o.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	err = s.ranged(ctx, t)
	it, ierr := t.NewIter(sstable.NoTransforms, nil, nil, sstable.DebugHandlesBlobContext)
	if ierr == nil {
		for kv := it.First(); kv != nil; kv = it.Next() {
			val, _, verr := kv.Value(nil)
			if verr != nil {
				ierr = verr
				break
			}
			if ierr = s.entry(kv.K.UserKey, uint64(kv.SeqNum()), kv.Kind(), val); ierr != nil {
				break
			}
		}
		ierr = errors.Join(ierr, it.Error(), it.Close())
	}
	return errors.Join(err, ierr, t.Close())
}

// ranged notes the ranges that a table says were removed.
func (s *salvager) ranged(ctx context.Context, t *sstable.Reader) error {
	it, err := t.NewRawRangeDelIter(ctx, sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil || it == nil {
		return err
	}
	defer it.Close()
	span, err := it.First()
	for ; span != nil && err == nil; span, err = it.Next() {
		for _, k := range span.Keys {
			s.ranges = append(s.ranges, rangeDel{bytes.Clone(span.Start), bytes.Clone(span.End), uint64(k.SeqNum())})
		}
	}
	return err
}

// batch takes the entries of a batch from a log.
func (s *salvager) batch(repr []byte) error {
	h, ok := batchrepr.ReadHeader(repr)
	if !ok {
		return nil
	}
	seq := uint64(h.SeqNum)
	r := batchrepr.Read(repr)
	for {
		kind, key, val, ok, err := r.Next()
		if !ok || err != nil {
			return nil //nolint:nilerr // the batch had a good checksum: what does not parse is not ours
		}
		if kind == pebble.InternalKeyKindLogData {
			continue // takes no number
		}
		if kind == pebble.InternalKeyKindRangeDelete {
			s.ranges = append(s.ranges, rangeDel{bytes.Clone(key), bytes.Clone(val), seq})
		} else if err := s.entry(key, seq, kind, val); err != nil {
			return err
		}
		seq++
	}
}

// entry keeps one entry if it is the newest of its key so far.
func (s *salvager) entry(key []byte, seq uint64, kind pebble.InternalKeyKind, val []byte) error {
	s.n++
	if len(key) == 0 || key[0] == format.FamRef || !slices.Contains(format.Families(), key[0]) {
		return nil
	}
	k := append([]byte{famSalvage}, key...)
	have, err := s.r.v.getCopy(k)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if err == nil {
		old := binary.LittleEndian.Uint64(have)
		if seq < old || seq == old && !newerRecord(key, val, have[9:]) {
			return nil
		}
	}
	v := binary.LittleEndian.AppendUint64(make([]byte, 0, 9+len(val)), seq)
	v = append(v, byte(kind))
	return s.r.v.db.Set(k, append(v, val...), pebble.NoSync)
}

// newerRecord reports whether a is a record with a greater version than b.
func newerRecord(key, a, b []byte) bool {
	if key[0] != format.FamRecord {
		return false
	}
	_, name, _ := format.SplitObjectKey(key)
	var ra, rb format.Record
	if format.DecodeRecord(&ra, a, name) != nil {
		return false
	}
	return format.DecodeRecord(&rb, b, name) != nil || ra.Version.Compare(rb.Version) > 0
}

// resolve writes the newest entries that are not removals under their own keys.
func (s *salvager) resolve(ctx context.Context) error {
	var fault error
	put := func(k, v []byte) {
		key, seq, kind := k[1:], binary.LittleEndian.Uint64(v), pebble.InternalKeyKind(v[8])
		if fault != nil || kind != pebble.InternalKeyKindSet && kind != pebble.InternalKeyKindSetWithDelete || s.removed(key, seq) {
			return
		}
		if (key[0] == format.FamContent || key[0] == format.FamKept) && !wholeContent(v[9:]) {
			return // a reference into a value file
		}
		fault = s.r.v.db.Set(key, v[9:], pebble.NoSync)
	}
	err := s.r.v.scan(ctx, []byte{famSalvage}, []byte{famSalvage + 1}, put, func(_ []byte, err error) { fault = err })
	if err = errors.Join(err, fault); err != nil {
		return err
	}
	return s.r.v.db.DeleteRange([]byte{famSalvage}, []byte{famSalvage + 1}, pebble.NoSync)
}

func (s *salvager) removed(key []byte, seq uint64) bool {
	return slices.ContainsFunc(s.ranges, func(d rangeDel) bool {
		return d.seq > seq && bytes.Compare(d.from, key) <= 0 && bytes.Compare(key, d.to) < 0
	})
}

// wholeContent reports whether val is content with a trailer of its own.
func wholeContent(val []byte) bool {
	_, _, crc, ok := format.SplitContent(val)
	return ok && cksum.Block(val[:len(val)-4]) == crc
}

// wanted is content that a record names and the new index lacks.
type wanted struct {
	bucket uint64
	key    string
	length int64
	crc    uint32
}

// wantedMax bounds how many contents one pass over the files looks for.
const wantedMax = 1 << 20

// findContents looks for the content of records in the raw files, in as many passes as memory asks for.
func (s *salvager) findContents(ctx context.Context, names []string) error {
	from := []byte{format.FamRecord}
	for from != nil {
		var want map[object.Version]wanted
		var err error
		if want, from, err = s.missing(ctx, from); err != nil {
			return err
		}
		epochs := map[uint64]bool{}
		for v := range want {
			epochs[v.Epoch] = true
		}
		for _, name := range names {
			if len(want) == 0 {
				break
			}
			if !strings.HasSuffix(name, ".blob") && !strings.HasSuffix(name, ".sst") {
				continue
			}
			if err := s.search(ctx, indexDirName+"/"+name, want, epochs); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing collects what records from a key on lack; next is where to go on.
func (s *salvager) missing(ctx context.Context, from []byte) (want map[object.Version]wanted, next []byte, err error) {
	want = map[object.Version]wanted{}
	visit := func(key, val []byte) {
		bucket, name, _ := format.SplitObjectKey(key)
		var r format.Record
		if next != nil || format.DecodeRecord(&r, val, name) != nil || len(r.Parts) != 1 || r.Parts[0].Kind != format.RefInline {
			return
		}
		if len(want) == wantedMax {
			next = bytes.Clone(key)
			return
		}
		p := &r.Parts[0]
		if have, err := s.r.v.getCopy(format.ObjectKey(nil, format.FamContent, bucket, string(name))); err == nil {
			if _, tag, _, ok := format.SplitContent(have); ok && tag == p.Tag {
				return
			}
		}
		want[p.Tag] = wanted{bucket, string(name), p.Length, p.CRC}
	}
	var fault error
	err = s.r.v.scan(ctx, from, []byte{format.FamRecord + 1}, visit, func(_ []byte, err error) { fault = err })
	return want, next, errors.Join(err, fault)
}

// search goes through one file's bytes. What is found leaves want.
func (s *salvager) search(ctx context.Context, file string, want map[object.Version]wanted, epochs map[uint64]bool) error {
	f, err := s.old.mp.OpenFile(file, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()      // opened for reading only
	const window, back = 8 << 20, 1 << 20 // back: more than any inline content
	buf := make([]byte, 0, window+back)
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.ReadAt(buf[len(buf):cap(buf)], off)
		fresh := len(buf)
		buf = buf[:len(buf)+n]
		off += int64(n)
		for i := max(fresh-format.ContentTrailer, 0); i+format.ContentTrailer <= len(buf); i++ {
			if epochs[binary.LittleEndian.Uint64(buf[i:])] {
				if err := s.match(buf, i, want); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			s.r.damage(file + ": " + err.Error())
			return nil
		}
		keep := min(len(buf), back)
		buf = append(buf[:0], buf[len(buf)-keep:]...)
	}
}

// match looks whether a wanted content ends at b[i].
func (s *salvager) match(b []byte, i int, want map[object.Version]wanted) error {
	v := object.Version{Epoch: binary.LittleEndian.Uint64(b[i:]), Counter: binary.LittleEndian.Uint64(b[i+8:])}
	w, ok := want[v]
	if !ok || int64(i) < w.length {
		return nil
	}
	val := b[int64(i)-w.length : i+format.ContentTrailer]
	if !wholeContent(val) || cksum.Block(val[:w.length]) != w.crc {
		return nil
	}
	delete(want, v)
	return s.r.v.db.Set(format.ObjectKey(nil, format.FamContent, w.bucket, w.key), val, pebble.NoSync)
}
