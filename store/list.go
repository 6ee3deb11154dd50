package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// ListQuery says which names of a bucket to list.
type ListQuery struct {
	Bucket uint64
	Prefix string
	After  string // names up to and including it are left out; a common prefix here leaves out all names below it
	// Delimiter folds names that go on after it into one common prefix.
	Delimiter string
	Limit     int // names and common prefixes; 0 = all
}

// List yields names in byte order, merged over the mountpaths, until yield returns false. Each mountpath
// is read as of one moment after List was called. A common prefix comes as an Info that has only a
// Key, ending with the delimiter; an object always has a Version. The Info is reused after yield returns; its strings
// and maps are not. A mountpath that cannot be read is an error: the list is never silently short.
func (s *Store) List(ctx context.Context, q ListQuery, yield func(*object.Info) bool) error {
	const op = "store.List"
	if _, gone := s.destroyed.Load(q.Bucket); gone {
		return errs.F(op, "", errs.NoBucket, "bucket %d is gone", q.Bucket)
	}
	m, err := newMerge(s, q)
	if err != nil {
		return errs.E(op, "", err)
	}
	err = m.run(ctx, yield)
	if cerr := m.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errs.E(op, "", err)
	}
	return nil
}

// merge walks the records of a bucket over all volumes in key order.
type merge struct {
	q       ListQuery
	cursors []*cursor // those that are not at their end
	all     []*cursor
	settled bool
	info    object.Info
	rec     format.Record // of the name under way: one of its own would be garbage for each
	n       int
}

// cursor is an iterator over one volume's records of the bucket.
type cursor struct {
	v    *volume
	it   *pebble.Iterator
	key  []byte // of the object it stands on; aliases the iterator
	seek []byte
}

func newMerge(s *Store, q ListQuery) (*merge, error) {
	m := &merge{q: q}
	lower := format.ObjectKey(nil, format.FamRecord, q.Bucket, q.Prefix)
	upper := format.PrefixEnd(lower)
	if q.Prefix == "" {
		upper = format.BucketEnd(nil, format.FamRecord, q.Bucket)
	}
	if q.After >= q.Prefix && q.After != "" {
		lower = format.ObjectKey(nil, format.FamRecord, q.Bucket, q.After)
		if q.Delimiter != "" && m.commonPrefix([]byte(q.After)) == len(q.After) {
			if lower = format.PrefixEnd(lower); lower == nil {
				return m, nil
			}
		} else {
			lower = append(lower, 0) // right behind it
		}
	}
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return m, nil
	}
	l, cursors, err := s.cursors([2][]byte{lower, upper})
	if err != nil {
		return nil, err
	}
	m.all, m.settled = cursors, l.set.Settled()
	for _, c := range m.all {
		if err := m.place(c, c.it.First()); err != nil {
			return nil, errors.Join(err, m.close())
		}
	}
	return m, nil
}

// cursors opens cursors for ranges of keys on every volume, range by range within a volume, as of one moment: a name that is moving
// from one to another is on one of them. What they show is durable.
func (s *places) cursors(ranges ...[2][]byte) (l *layout, all []*cursor, err error) {
	err = s.steady(func() (err error) {
		if l, all, err = openCursors(s, ranges); err != nil {
			return err
		}
		for _, v := range l.vols { // once more: what is seen must be durable, and not of a volume that failed
			if err := v.settle(); err != nil {
				return errors.Join(err, closeAll(all))
			}
		}
		return nil
	})
	return l, all, err
}

func openCursors(s *places, ranges [][2][]byte) (l *layout, all []*cursor, err error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	l = s.now()
	for _, v := range l.vols {
		for _, r := range ranges {
			c, err := v.newCursor(r[0], r[1])
			if err != nil {
				return nil, nil, errors.Join(err, closeAll(all))
			}
			all = append(all, c)
		}
	}
	return l, all, nil
}

func closeAll(cursors []*cursor) (err error) {
	for _, c := range cursors {
		err = errors.Join(err, c.close())
	}
	return err
}

func (v *volume) newCursor(lower, upper []byte) (*cursor, error) {
	if err := v.err(); err != nil {
		return nil, err
	}
	if err := v.gate.Enter(); err != nil {
		return nil, err
	}
	it, err := v.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		v.gate.Leave()
		return nil, errs.E("store.List", v.mp.Path(), indexKind(err), err)
	}
	return &cursor{v: v, it: it}, nil
}

func (c *cursor) close() error {
	defer c.v.gate.Leave()
	return c.it.Close()
}

// place takes note of where a cursor that has just moved stands.
func (m *merge) place(c *cursor, valid bool) error {
	if valid {
		if c.key == nil {
			m.cursors = append(m.cursors, c)
		}
		c.key = c.it.Key()[format.ObjectPrefix:]
		return nil
	}
	if c.key != nil {
		for i, x := range m.cursors {
			if x == c {
				m.cursors = append(m.cursors[:i], m.cursors[i+1:]...)
				break
			}
		}
		c.key = nil
	}
	if err := c.it.Error(); err != nil {
		return c.v.readError("store.List", object.Name{Bucket: m.q.Bucket}, err)
	}
	return nil
}

// smallest is the cursor with the smallest key.
func (m *merge) smallest() *cursor {
	c := m.cursors[0]
	for _, x := range m.cursors[1:] {
		if bytes.Compare(x.key, c.key) < 0 {
			c = x
		}
	}
	return c
}

func (m *merge) run(ctx context.Context, yield func(*object.Info) bool) error {
	for len(m.cursors) > 0 && (m.q.Limit <= 0 || m.n < m.q.Limit) {
		if m.n&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		c := m.smallest()
		if n := m.commonPrefix(c.key); n > 0 {
			if ok, err := m.fold(string(c.key[:n]), yield); err != nil || !ok {
				return err
			}
			continue
		}
		ok, err := m.object(c, yield)
		if err != nil || !ok {
			return err
		}
	}
	return nil
}

// commonPrefix returns the length of key's part up to the first delimiter behind the prefix, 0 when there is none.
func (m *merge) commonPrefix(key []byte) int {
	if m.q.Delimiter == "" || len(key) < len(m.q.Prefix) {
		return 0
	}
	i := bytes.Index(key[len(m.q.Prefix):], []byte(m.q.Delimiter))
	if i < 0 {
		return 0
	}
	return len(m.q.Prefix) + i + len(m.q.Delimiter)
}

// fold yields a common prefix and moves every cursor behind all names below it. A prefix below which
// there are only tombstones is not yielded.
func (m *merge) fold(prefix string, yield func(*object.Info) bool) (bool, error) {
	alive, err := m.anyAlive(prefix)
	if err != nil {
		return false, err
	}
	if alive {
		m.info = object.Info{Key: prefix}
		m.n++
		if !yield(&m.info) {
			return false, nil
		}
	}
	for _, c := range append([]*cursor(nil), m.cursors...) {
		if !strings.HasPrefix(string(c.key), prefix) {
			continue
		}
		c.seek = format.ObjectKey(c.seek[:0], format.FamRecord, m.q.Bucket, prefix)
		end := format.PrefixEnd(c.seek)
		if err := m.place(c, end != nil && c.it.SeekGE(end)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// anyAlive moves on to the first name with the prefix that was not deleted.
func (m *merge) anyAlive(prefix string) (bool, error) {
	for len(m.cursors) > 0 {
		c := m.smallest()
		if !strings.HasPrefix(string(c.key), prefix) {
			return false, nil
		}
		var r format.Record
		if _, err := m.newest(c, &r); err != nil {
			return false, err
		}
		if !r.Tombstone() {
			return true, nil
		}
		if err := m.skip(string(c.key)); err != nil {
			return false, err
		}
	}
	return false, nil
}

// newest decodes the greatest version of the name on which c stands among all volumes into r.
func (m *merge) newest(c *cursor, r *format.Record) (*cursor, error) {
	if err := m.decode(c, r); err != nil {
		return nil, err
	}
	if m.settled {
		return c, nil
	}
	for _, x := range m.cursors {
		if x == c || !bytes.Equal(x.key, c.key) {
			continue
		}
		var other format.Record
		if err := m.decode(x, &other); err != nil {
			return nil, err
		}
		if other.Version.Compare(r.Version) > 0 {
			if err := m.decode(x, r); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

func (m *merge) decode(c *cursor, r *format.Record) error {
	val, err := c.it.ValueAndErr()
	if err == nil {
		err = format.DecodeRecord(r, val, c.key)
	}
	if err != nil {
		return c.v.readError("store.List", object.Name{Bucket: m.q.Bucket, Key: string(c.key)}, err)
	}
	return nil
}

// object yields the name on which c stands and moves on.
func (m *merge) object(c *cursor, yield func(*object.Info) bool) (bool, error) {
	r := &m.rec
	if _, err := m.newest(c, r); err != nil {
		return false, err
	}
	key := string(c.key)
	if !r.Tombstone() {
		r.Info(&m.info, key)
		m.n++
		if !yield(&m.info) {
			return false, nil
		}
	}
	if m.settled || len(m.cursors) == 1 {
		return true, m.place(c, c.it.Next())
	}
	return true, m.skip(key)
}

// skip moves every cursor that stands on key.
func (m *merge) skip(key string) error {
	for _, x := range append([]*cursor(nil), m.cursors...) {
		if string(x.key) == key {
			if err := m.place(x, x.it.Next()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merge) close() error { return closeAll(m.all) }

// Usage counts the objects of a bucket whose names begin with prefix, and their bytes.
func (s *Store) Usage(ctx context.Context, bucket uint64, prefix string) (objects, bytes int64, err error) {
	err = s.List(ctx, ListQuery{Bucket: bucket, Prefix: prefix}, func(i *object.Info) bool {
		objects++
		bytes += i.Size
		return true
	})
	if err != nil {
		return 0, 0, err
	}
	return objects, bytes, nil
}

// Buckets returns the ids of all buckets that have objects here, in order.
func (s *Store) Buckets() ([]uint64, error) { return bucketsIn(s, false, []byte{format.FamRecord}) }

// Leftovers returns the ids of all buckets of which anything is here, be it a mark or a part of an upload, in order. What is on a mountpath that
// is away is not among it.
func (s *transfer) Leftovers() ([]uint64, error) {
	return bucketsIn(s.Store, true, slices.DeleteFunc(format.Families(), func(fam byte) bool {
		return fam == format.FamMeta || fam == format.FamRef || fam == format.FamAppend // not by bucket
	}))
}

func bucketsIn(s *Store, reachable bool, families []byte) ([]uint64, error) {
	const op = "store.Buckets"
	seen := map[uint64]bool{}
	err := s.steady(func() error {
		for _, v := range s.volumes() {
			if reachable && v.err() != nil {
				continue
			}
			for _, fam := range families {
				if err := v.bucketsIn(fam, seen); err != nil {
					return errs.E(op, v.mp.Path(), err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids := make([]uint64, 0, len(seen))
	for id := range seen {
		if _, gone := s.destroyed.Load(id); !gone {
			ids = append(ids, id)
		}
	}
	sortIDs(ids)
	return ids, nil
}

func (v *volume) bucketsIn(fam byte, seen map[uint64]bool) error {
	c, err := v.newCursor([]byte{fam}, []byte{fam + 1})
	if err != nil {
		return err
	}
	for ok := c.it.First(); ok; {
		id, _, good := format.SplitObjectKey(c.it.Key())
		if !good {
			return errors.Join(errs.E("store.buckets", v.mp.Path(), errs.Corrupt, "an index key is too short"), c.close())
		}
		seen[id] = true
		ok = c.it.SeekGE(format.BucketEnd(nil, fam, id))
	}
	return errors.Join(c.it.Error(), c.close())
}
