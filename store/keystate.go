package store

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"aistore/cksum"
	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// transfer is the part of a Store that moves keys whole between nodes: what it adds to Store's methods is promoted. A key is all that
// is known under a name: the current record, older versions, the null version, delete markers, uploads, contents, and the mark.
type transfer struct{ *Store }

// KeyState says in short what a node has of a key.
type KeyState struct {
	Authority uint64         // the mark; 0 = none
	Version   object.Version // of the current record; zero = there is none
	Checksum  cksum.Value    // of the current record's content
	Deleted   bool           // the current record is a delete marker
	Size      int64          // bytes of content, those of older versions and of uploads among them
	Exists    bool           // there is something besides the mark
}

// Compare orders the states of a key by authority, then version; something is more than nothing. The greater one holds, whole.
func (k KeyState) Compare(o KeyState) int {
	exists := func(k KeyState) int {
		if k.Exists {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(k.Authority, o.Authority), k.Version.Compare(o.Version), cmp.Compare(exists(k), exists(o)))
}

// settled is k where marks up to an epoch say nothing.
func (k KeyState) settled(upTo uint64) KeyState {
	if k.Authority <= upTo {
		k.Authority = 0
	}
	return k
}

// KeyState tells what there is of n. It takes the locks of the name and of its uploads, so commits under way have ended; what a lazy import
// brought may not be durable: see Settled.
func (s *transfer) KeyState(n object.Name) (KeyState, error) {
	const op = "store.KeyState"
	if err := s.live(op, n); err != nil {
		return KeyState{}, err
	}
	var k KeyState
	err := s.withKeys([]object.Name{n}, nil, unknown, func(keys []*wholeKey) error {
		k = keys[0].state()
		return keys[0].err
	})
	if err != nil {
		return KeyState{}, errs.E(op, n, err)
	}
	return k, nil
}

// Settled makes durable what read sees of names, wherever it is: whoever is told that it is here may remove his own. Kind Busy when
// mountpaths came or went meanwhile, with which it may have gone.
func (s *transfer) Settled(names []object.Name, read func() error) error {
	l := s.now()
	if err := read(); err != nil {
		return err
	}
	return settleKeys(&s.places, l, names...)
}

// settleKeys makes durable what was read of names since l was the layout.
func settleKeys(s *places, l *layout, names ...object.Name) error {
	if s.now() != l {
		return errs.F("store.settleKeys", "", errs.Busy, "%w: try again", errRehomed)
	}
	done := make(map[*volume]bool, len(l.vols))
	var buf [8]*volume
	for _, n := range names {
		for _, v := range l.homes(n, buf[:0]) {
			if done[v] {
				continue
			}
			done[v] = true
			if err := v.settle(); err != nil {
				return errs.E("store.settleKeys", n, err)
			}
		}
	}
	return nil
}

// PeekKey is KeyState without a lock: what it tells may be on its way in or out.
func (s *transfer) PeekKey(n object.Name) (KeyState, error) {
	const op = "store.PeekKey"
	if err := s.live(op, n); err != nil {
		return KeyState{}, err
	}
	var k KeyState
	err := s.steady(func() error {
		g := gatherer{s: &s.places}
		defer g.close()
		w := g.gather(n)
		k = w.state()
		return w.err
	})
	if err != nil {
		return KeyState{}, errs.E(op, n, err)
	}
	return k, nil
}

// Barrier returns after every writer that held a name's or an upload's lock at the call has let it go.
func (s *transfer) Barrier() {
	s.uploads.barrier()
	s.locks.barrier()
}

// wholeKey is all that there is of a key. Nothing in it aliases an index.
type wholeKey struct {
	n       object.Name
	mark    uint64
	marked  []*volume // that have a mark
	records []*found  // the current one first, then older ones, the newest first
	uploads []*openUpload
	err     error // it could not be read
}

// openUpload is an upload with its parts on all mountpaths.
type openUpload struct {
	upload
	parts []format.Part // of each number the newest, by number
	stale []format.Part // those that were replaced
}

func (w *wholeKey) exists() bool { return len(w.records)+len(w.uploads) > 0 }

func (w *wholeKey) state() KeyState {
	k := KeyState{Authority: w.mark, Exists: w.exists()}
	for i, f := range w.records {
		k.Size += f.Size
		if i == 0 {
			k.Version, k.Checksum, k.Deleted = f.Version, f.Sum(), f.Tombstone()
		}
	}
	for _, u := range w.uploads {
		for i := range u.parts {
			k.Size += u.parts[i].Size
		}
	}
	return k
}

// withKeys gives do all that there is of some names, under the locks of the names and of their uploads, ids among them. What of a
// key cannot be read is its err. Names that are known to be here, in the order of the index, are read as a walk reads them.
//
// Locks of uploads come before those of names, and which uploads a name has is known only under its lock: when there turns out to be
// one whose lock was not taken, all begins anew.
func (s *transfer) withKeys(names []object.Name, ids []format.UploadID, known knowledge, do func([]*wholeKey) error) error {
	var need [len(s.uploads)]bool
	for _, id := range ids {
		need[id[15]] = true
	}
	for {
		more := s.lockedKeys(names, &need, known, do)
		if more == nil {
			return nil
		}
		var again errAgain
		if !errors.As(more, &again) {
			return more
		}
	}
}

// knowledge is what the reader of keys knows of them before.
type knowledge int

const (
	unknown knowledge = iota
	here              // they are in the index, and come in its order
)

// errAgain says that need has grown.
type errAgain struct{}

func (errAgain) Error() string { return "an upload appeared" }

// lockedKeys is one attempt of withKeys.
func (s *transfer) lockedKeys(names []object.Name, need *[256]bool, known knowledge, do func([]*wholeKey) error) error {
	for i := range need {
		if need[i] {
			s.uploads[i].Lock()
			defer s.uploads[i].Unlock()
		}
	}
	unlock := s.lockNames(names)
	defer unlock()
	g := gatherer{s: &s.places, names: names}
	if known == here && len(names) > 1 {
		g.records = &along{fam: format.FamRecord}
	}
	defer g.close()
	keys := make([]*wholeKey, len(names))
	again := false
	for i := range names {
		keys[i] = g.gather(names[i])
		for _, u := range keys[i].uploads {
			if !need[u.id[15]] {
				need[u.id[15]], again = true, true
			}
		}
	}
	if again {
		return errAgain{}
	}
	return do(keys)
}

// gatherer reads whole keys. Its iterators are used for all keys: they show what was committed before the first of them.
type gatherer struct {
	s       *places
	names   []object.Name // all that are read, if there are several
	records *along        // reads records; nil: each is looked up
	uploads map[*volume]*cursor
	marked  map[*volume]bool // whether any of names may have a mark there
}

func (g *gatherer) close() {
	g.records.close()
	for _, c := range g.uploads {
		_ = c.close() // its error was looked at
	}
}

// gather reads all that there is of n. The caller holds the name's lock, or can bear that something moves from one key of the index
// to another meanwhile.
func (g *gatherer) gather(n object.Name) *wholeKey {
	w := &wholeKey{n: n}
	var buf [8]*volume
	homes := g.s.now().homes(n, buf[:0])
	for _, v := range homes {
		if w.err = v.err(); w.err == nil {
			w.err = g.volume(w, v)
		}
		if w.err != nil {
			return w
		}
	}
	if len(homes) > 1 {
		w.merge()
	}
	for _, u := range w.uploads {
		if w.err = g.parts(u); w.err != nil {
			return w
		}
	}
	return w
}

// volume adds what is in v.
func (g *gatherer) volume(w *wholeKey, v *volume) error {
	epoch, err := g.mark(v, w.n)
	if err != nil {
		return err
	}
	if epoch > 0 {
		w.mark, w.marked = max(w.mark, epoch), append(w.marked, v)
	}
	f, err := g.record(v, w.n)
	if err != nil {
		return err
	}
	if f != nil {
		w.records = append(w.records, f)
		if len(f.S3ID) > 0 { // only then there may be older versions
			if err := w.older(v); err != nil {
				return err
			}
		}
	}
	return g.uploadsIn(w, v)
}

// record reads the record of n in v; nil = there is none.
func (g *gatherer) record(v *volume, n object.Name) (*found, error) {
	val, ok := g.records.find(v, n)
	if ok && val == nil {
		return nil, nil
	}
	if ok {
		f := &found{vol: v, at: format.FamRecord, value: bytes.Clone(val)}
		if err := format.DecodeRecord(&f.Record, f.value, []byte(n.Key)); err == nil && f.Bucket == n.Bucket {
			return f, nil
		}
	}
	f := new(found)
	if ok, err := v.read(f, n); !ok || err != nil { // it also says what is wrong
		return nil, err
	}
	f.own(n)
	return f, nil
}

// mark reads the mark of n in v. One look tells that there are none from the least of the names to the greatest, which is so nearly always.
func (g *gatherer) mark(v *volume, n object.Name) (epoch uint64, err error) {
	if len(g.names) > 1 {
		marked, known := g.marked[v]
		if !known {
			if marked, err = marksAmong(v, g.names); err != nil {
				return 0, err
			}
			if g.marked == nil {
				g.marked = map[*volume]bool{}
			}
			g.marked[v] = marked
		}
		if !marked {
			return 0, nil
		}
	}
	return markIn(v, n)
}

// marksAmong reports whether v has a mark from the least of names to the greatest.
func marksAmong(v *volume, names []object.Name) (bool, error) {
	const op = "store.marksAmong"
	compare := func(a, b object.Name) int { return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Key, b.Key)) }
	least, most := slices.MinFunc(names, compare), slices.MaxFunc(names, compare)
	c, err := v.newCursor(format.ObjectKey(nil, format.FamMark, least.Bucket, least.Key), append(format.ObjectKey(nil, format.FamMark, most.Bucket, most.Key), 0))
	if err != nil {
		return false, err
	}
	some := c.it.First()
	if err := errors.Join(c.it.Error(), c.close()); err != nil {
		return false, v.readError(op, least, err)
	}
	return some, nil
}

// own makes f independent of the index.
func (f *found) own(n object.Name) {
	at, id, v := f.at, f.id, f.vol
	value := bytes.Clone(f.value)
	f.close()
	*f = found{vol: v, value: value, at: at, id: id}
	_ = format.DecodeRecord(&f.Record, value, []byte(n.Key)) // it was good before
}

// older adds the older versions in v.
func (w *wholeKey) older(v *volume) error {
	const op = "store.gather"
	lower := append(format.ObjectKey(nil, format.FamVersion, w.n.Bucket, w.n.Key), 0)
	c, err := v.newCursor(lower, format.PrefixEnd(lower))
	if err != nil {
		return err
	}
	for ok := c.it.First(); ok && err == nil; ok = c.it.Next() {
		f := &found{vol: v, at: format.FamVersion}
		var val []byte
		if val, err = c.it.ValueAndErr(); err != nil {
			break
		}
		f.value = bytes.Clone(val)
		_, _, f.id, _, _ = format.SplitIDKey(c.it.Key())
		err = format.DecodeRecord(&f.Record, f.value, []byte(w.n.Key))
		w.records = append(w.records, f)
	}
	if err = errors.Join(err, c.it.Error(), c.close()); err != nil {
		return v.readError(op, w.n, err)
	}
	return nil
}

// uploadsIn adds the uploads in v.
func (g *gatherer) uploadsIn(w *wholeKey, v *volume) error {
	const op = "store.gather"
	c := g.uploads[v]
	if c == nil {
		var err error
		if c, err = v.newCursor([]byte{format.FamUpload}, []byte{format.FamUpload + 1}); err != nil {
			return err
		}
		if g.uploads == nil {
			g.uploads = map[*volume]*cursor{}
		}
		g.uploads[v] = c
	}
	kb := v.keys.get()
	defer v.keys.put(kb)
	prefix := append(format.ObjectKey(kb[:0], format.FamUpload, w.n.Bucket, w.n.Key), 0)
	for ok := c.it.SeekGE(prefix); ok && bytes.HasPrefix(c.it.Key(), prefix); ok = c.it.Next() {
		u := &openUpload{upload: upload{vol: v, n: w.n}}
		val, err := c.it.ValueAndErr()
		if err == nil {
			_, _, u.id, _, _ = format.SplitIDKey(c.it.Key())
			err = format.DecodeUpload(&u.Upload, bytes.Clone(val), c.it.Key())
		}
		if err != nil {
			return v.readError(op, w.n, err)
		}
		w.uploads = append(w.uploads, u)
	}
	if err := c.it.Error(); err != nil {
		return v.readError(op, w.n, err)
	}
	return nil
}

// parts reads the parts of u, wherever they are. Those that an ended upload left are of no use, but must be removed with it.
func (g *gatherer) parts(u *openUpload) error {
	for _, v := range g.s.volumes() {
		if v.err() != nil {
			if u.State == format.UploadOpen {
				return v.err()
			}
			continue
		}
		parts, err := u.upload.parts(v, 0, 0)
		if err != nil {
			return err
		}
		u.parts = append(u.parts, parts...)
	}
	slices.SortFunc(u.parts, func(a, b format.Part) int { // of one number the newest first
		return cmp.Or(cmp.Compare(a.Number, b.Number), b.Version.Compare(a.Version))
	})
	kept := u.parts[:0]
	for _, p := range u.parts {
		if n := len(kept); u.State != format.UploadOpen || n > 0 && kept[n-1].Number == p.Number {
			u.stale = append(u.stale, p)
		} else {
			kept = append(kept, p)
		}
	}
	u.parts = kept
	return nil
}

// merge brings what several homes have into one order. Copies that former homes have besides the present one stay at the end: they
// are removed with the rest, and go nowhere.
func (w *wholeKey) merge() {
	slices.SortStableFunc(w.records, func(a, b *found) int { return b.Version.Compare(a.Version) })
}

// versions are the records without copies that former homes have: of the null version, and of others whose move was interrupted.
func (w *wholeKey) versions() []*found {
	if len(w.records) < 2 {
		return w.records
	}
	seen := make(map[object.Version]bool, len(w.records))
	return slices.DeleteFunc(slices.Clone(w.records), func(f *found) bool {
		var born object.Version // zero: the null version, of which there is one
		if !f.Null() {
			born = f.Born()
		}
		again := seen[born]
		seen[born] = true
		return again
	})
}

// forget takes out what is in v.
func (w *wholeKey) forget(v *volume) {
	w.records = slices.DeleteFunc(w.records, func(f *found) bool { return f.vol == v })
	w.uploads = slices.DeleteFunc(w.uploads, func(u *openUpload) bool { return u.vol == v })
}

// movable are the uploads that another node can make use of: under way, or completed and remembered. One that has ended speaks before
// its former self in a former home.
func (w *wholeKey) movable() []*openUpload {
	var out []*openUpload
	for _, u := range w.uploads {
		i := slices.IndexFunc(out, func(o *openUpload) bool { return o.id == u.id })
		switch {
		case i < 0:
			out = append(out, u)
		case out[i].State == format.UploadOpen:
			out[i] = u
		}
	}
	return slices.DeleteFunc(out, func(u *openUpload) bool { return u.State == format.UploadAborted })
}
