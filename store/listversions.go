package store

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// VersionQuery says which versions of a bucket to list.
type VersionQuery struct {
	Bucket       uint64
	Prefix       string
	After        string // keys up to and including it are left out; a common prefix here leaves out all keys below it
	AfterVersion string // with After: only the versions of After up to and including this one are left out; "null" is allowed
	Delimiter    string
	Limit        int // versions, delete markers and common prefixes; 0 = all
}

// ListVersions yields versions and delete markers ordered by key, within a key the newest first, until yield returns false. What
// List says of common prefixes, the Info and failed mountpaths holds here too. VersionID is never empty: what was written without
// versions is "null".
func (s *Store) ListVersions(ctx context.Context, q VersionQuery, yield func(*object.Info) bool) error {
	const op = "store.ListVersions"
	if _, gone := s.destroyed.Load(q.Bucket); gone {
		return errs.F(op, "", errs.NoBucket, "bucket %d is gone", q.Bucket)
	}
	m := &versionMerge{q: q}
	err := m.open(s)
	if err == nil {
		err = m.run(ctx, yield)
	}
	if err = errors.Join(err, m.close()); err != nil {
		return errs.E(op, "", err)
	}
	return nil
}

// folder folds keys into common prefixes.
type folder struct{ prefix, delimiter string }

// common returns the length of key's part up to the first delimiter behind the prefix, 0 when there is none.
func (f folder) common(key []byte) int {
	if f.delimiter == "" || len(key) < len(f.prefix) {
		return 0
	}
	i := bytes.Index(key[len(f.prefix):], []byte(f.delimiter))
	if i < 0 {
		return 0
	}
	return len(f.prefix) + i + len(f.delimiter)
}

// start returns the first key that a listing after a key looks at; ok is false when there is none.
func (f folder) start(after string, whole bool) (from string, ok bool) {
	if after < f.prefix || after == "" {
		return f.prefix, true
	}
	if f.delimiter != "" && f.common([]byte(after)) == len(after) {
		end := format.PrefixEnd([]byte(after))
		return string(end), end != nil
	}
	if whole {
		return after + "\x01", true // behind it and what has its key followed by NUL
	}
	return after, true
}

// versionMerge walks the versions of a bucket over all volumes by key, then the newest first.
type versionMerge struct {
	q       VersionQuery
	cursors []*versionCursor
	info    object.Info
	n       int

	key     string // yielded last
	hasKey  bool
	hasNull bool // its null version was yielded: another is what a crash left in a former home
	born    object.Version
	past    bool // AfterVersion was passed, or plays no part
	skip    object.Version
}

// versionFamilies are those that have records.
var versionFamilies = [...]byte{format.FamRecord, format.FamVersion}

// versionCursor is an iterator over one family of one volume's records.
type versionCursor struct {
	cursor
	family byte
	valid  bool
	rec    format.Record
	born   object.Version
}

func (m *versionMerge) open(s *Store) error {
	f := folder{m.q.Prefix, m.q.Delimiter}
	from, ok := f.start(m.q.After, m.q.AfterVersion == "")
	m.past = m.q.AfterVersion == "" || from != m.q.After
	if ok && !m.past {
		if err := m.resolve(s); err != nil {
			return err
		}
	}
	if !ok || !strings.HasPrefix(from, m.q.Prefix) && from > m.q.Prefix {
		return nil
	}
	var ranges [][2][]byte
	for _, fam := range versionFamilies {
		upper := format.PrefixEnd(format.ObjectKey(nil, fam, m.q.Bucket, m.q.Prefix))
		if m.q.Prefix == "" {
			upper = format.BucketEnd(nil, fam, m.q.Bucket)
		}
		ranges = append(ranges, [2][]byte{format.ObjectKey(nil, fam, m.q.Bucket, from), upper})
	}
	_, cursors, err := s.cursors(ranges...)
	if err != nil {
		return err
	}
	for i, c := range cursors {
		m.cursors = append(m.cursors, &versionCursor{cursor: *c, family: versionFamilies[i%len(versionFamilies)]})
	}
	for _, c := range m.cursors {
		if err := c.place(m.q.Bucket, c.it.First()); err != nil {
			return err
		}
	}
	return nil
}

// resolve finds the version after which the listing goes on. One that is gone since leaves nothing out if it was the null version:
// its place is not known any more.
func (m *versionMerge) resolve(s *Store) error {
	if m.q.AfterVersion != object.NullVersion {
		v, err := object.ParseVersion(m.q.AfterVersion)
		if err != nil {
			return errs.F("store.ListVersions", "version", errs.Invalid, "%q is no version", m.q.AfterVersion)
		}
		m.skip = v
		return nil
	}
	n := object.Name{Bucket: m.q.Bucket, Key: m.q.After}
	if checkName("store.ListVersions", n) != nil {
		m.past = true
		return nil
	}
	var f found
	err := s.lookupVersion(&f, n, object.NullVersion)
	switch {
	case err == nil:
		m.skip = f.place()
		f.close()
	case errs.Is(err, errs.NotFound):
		m.past = true
	default:
		return err
	}
	return nil
}

// place is the version that orders f among the versions of its name.
func (f *found) place() object.Version {
	if f.at == format.FamVersion {
		v, _ := format.Uninvert(f.id[:])
		return v
	}
	return f.Born()
}

// place takes note of where a cursor that has just moved stands.
func (c *versionCursor) place(bucket uint64, valid bool) error {
	const op = "store.ListVersions"
	n := object.Name{Bucket: bucket}
	c.valid = valid
	if !valid {
		if err := c.it.Error(); err != nil {
			return c.v.readError(op, n, err)
		}
		return nil
	}
	var id [16]byte
	var ok bool
	if c.family == format.FamVersion {
		_, c.key, id, _, ok = format.SplitIDKey(c.it.Key())
	} else {
		_, c.key, ok = format.SplitObjectKey(c.it.Key())
	}
	val, err := c.it.ValueAndErr()
	if err == nil && !ok {
		err = errs.E(op, n, errs.Corrupt, "an index key is unreadable")
	}
	if err == nil {
		err = format.DecodeRecord(&c.rec, val, c.key)
	}
	if err != nil {
		n.Key = string(c.key)
		return c.v.readError(op, n, err)
	}
	if c.born = c.rec.Born(); c.family == format.FamVersion {
		c.born, _ = format.Uninvert(id[:])
	}
	return nil
}

// first is the cursor that comes first; nil at the end.
func (m *versionMerge) first() *versionCursor {
	var best *versionCursor
	for _, c := range m.cursors {
		if !c.valid {
			continue
		}
		if best != nil {
			if d := bytes.Compare(c.key, best.key); d > 0 || d == 0 && c.born.Compare(best.born) <= 0 {
				continue
			}
		}
		best = c
	}
	return best
}

func (m *versionMerge) run(ctx context.Context, yield func(*object.Info) bool) error {
	f := folder{m.q.Prefix, m.q.Delimiter}
	for m.q.Limit <= 0 || m.n < m.q.Limit {
		if m.n&255 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		c := m.first()
		if c == nil {
			return nil
		}
		if n := f.common(c.key); n > 0 {
			prefix := string(c.key[:n])
			m.info = object.Info{Key: prefix}
			m.n++
			if !yield(&m.info) {
				return nil
			}
			if err := m.leave(prefix); err != nil {
				return err
			}
			continue
		}
		if m.take(c) {
			m.n++
			if !yield(&m.info) {
				return nil
			}
		}
		if err := c.place(m.q.Bucket, c.it.Next()); err != nil {
			return err
		}
	}
	return nil
}

// take fills the Info from c's record and reports whether it is to be yielded.
func (m *versionMerge) take(c *versionCursor) bool {
	latest := !m.hasKey || string(c.key) != m.key
	if latest {
		m.key, m.hasKey, m.hasNull, m.born = string(c.key), true, false, object.Version{}
	}
	if c.born == m.born { // it is on its way from one mountpath to another, or a crash left it so
		return false
	}
	m.born = c.born
	if c.rec.Null() {
		if m.hasNull {
			return false
		}
		m.hasNull = true
	}
	if !m.past {
		if m.key == m.q.After && c.born.Compare(m.skip) >= 0 {
			return false
		}
		m.past = m.key != m.q.After
	}
	if c.rec.Tombstone() && len(c.rec.S3ID) == 0 {
		return false // not one of S3's
	}
	c.rec.Info(&m.info, m.key)
	m.info.Latest = latest
	if m.info.VersionID == "" {
		m.info.VersionID = object.NullVersion
	}
	return true
}

// leave moves every cursor behind all keys with the prefix.
func (m *versionMerge) leave(prefix string) error {
	for _, c := range m.cursors {
		if !c.valid || !bytes.HasPrefix(c.key, []byte(prefix)) {
			continue
		}
		end := format.PrefixEnd(format.ObjectKey(nil, c.family, m.q.Bucket, prefix))
		if err := c.place(m.q.Bucket, end != nil && c.it.SeekGE(end)); err != nil {
			return err
		}
	}
	return nil
}

func (m *versionMerge) close() (err error) {
	for _, c := range m.cursors {
		err = errors.Join(err, c.close())
	}
	return err
}
