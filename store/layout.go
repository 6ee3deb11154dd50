package store

import (
	"errors"
	"slices"

	"aistore/errs"
	"aistore/fs"
	"aistore/internal/failpoint"
	"aistore/object"
)

// layout is the node's mountpaths as of one moment: where names go, and where they may be. It does not change; another takes its
// place when mountpaths come or go (change.go). An operation loads it once.
//
// A commit goes to the name's home in the layout that is newest under the name's lock. So when every lock was taken once after a
// layout came, no commit under an older one is under way, and what lies outside its home by then grows no more.
type layout struct {
	set  *fs.Set
	vols []*volume // as set.All()
	// With vols: the greatest version that one out of service may have; zero = not known.
	last []object.Version
}

func newLayout(set *fs.Set, vols []*volume) *layout {
	l := &layout{set: set, vols: vols, last: make([]object.Version, len(vols))}
	for i := range vols {
		if m, out := set.Out(i); out {
			l.last[i] = object.Version{Epoch: m.LastEpoch, Counter: m.LastCounter}
		}
	}
	return l
}

func (s *places) now() *layout {
	l := s.lay.Load()
	_ = failpoint.Hit("layout.loaded") // from here on it may be a former one
	return l
}

func (s *places) volumes() []*volume { return s.now().vols }

// layoutTries bound how often an operation meets mountpaths that have just left: they do not come and go all the time.
const layoutTries = 8

// steady does again what failed while the mountpaths changed: what it met has left, and what lay there has another home by now. do must
// be such that what it did before it failed may be done twice. Who holds the lock of a name or an upload needs no such care: a
// mountpath is not closed before each of them was let go (releaseVolume).
func (s *places) steady(do func() error) (err error) {
	for range layoutTries {
		l := s.now()
		if err = do(); err == nil || s.now() == l {
			return err
		}
	}
	return err
}

// room returns the home of n, which has room for so many bytes more.
func (s *places) room(n object.Name, size int64) (v *volume, err error) {
	err = s.steady(func() (err error) {
		if v, err = s.home(n); err == nil {
			err = v.space.admit(size)
		}
		return err
	})
	return v, err
}

// blobAtHome begins a blob at the home of n, which has room for so many bytes; blob begins it.
func blobAtHome(s *places, n object.Name, size int64, begin func(*volume) (*blobWriter, error)) (w *blobWriter, err error) {
	err = s.steady(func() error {
		v, err := s.room(n, size)
		if err == nil {
			w, err = begin(v)
		}
		return err
	})
	return w, err
}

// home returns the volume where n is written, or kind Mountpath.
func (s *places) home(n object.Name) (*volume, error) { return s.now().home(n) }

func (l *layout) home(n object.Name) (*volume, error) {
	v := l.vols[l.set.Home(n.Key)]
	return v, v.err()
}

// homes appends the volumes that may have something of n, its home first.
func (l *layout) homes(n object.Name, buf []*volume) []*volume {
	if l.set.Settled() {
		return append(buf, l.vols[l.set.Home(n.Key)])
	}
	var at [8]int
	for _, i := range l.set.Homes(n.Key, at[:0]) {
		buf = append(buf, l.vols[i])
	}
	return buf
}

// lastOf is the greatest version that v, which cannot be read, may have; zero = not known.
func (l *layout) lastOf(v *volume) object.Version {
	if i := slices.Index(l.vols, v); i >= 0 {
		return l.last[i]
	}
	return object.Version{}
}

// below reports whether v, which cannot be read, is known to have nothing as new as ver.
func (l *layout) below(v *volume, ver object.Version) bool {
	last := l.lastOf(v)
	return !last.IsZero() && last.Compare(ver) < 0
}

// doubt is nil when every home of n can be read, or what was found is newer than anything that the others may have.
func (l *layout) doubt(n object.Name, f *found, ok bool) error {
	var buf [8]*volume
	for _, v := range l.homes(n, buf[:0]) {
		if err := v.err(); err != nil && (!ok || !l.below(v, f.Version)) {
			return err
		}
	}
	return nil
}

// current reads the greatest version of n among the places where it may be and reports whether there
// is one. Tombstones are returned like any record. The caller holds the name's lock, or is lookup.
func (s *places) current(f *found, n object.Name) (bool, error) {
	l := s.now()
	ok, err := l.current(f, n)
	if err == nil && !l.set.Settled() {
		if err = l.doubt(n, f, ok); err != nil {
			f.close()
			ok = false
		}
	}
	return ok, err
}

// current is what can be read.
func (l *layout) current(f *found, n object.Name) (bool, error) {
	if l.set.Settled() {
		v, err := l.home(n)
		if err != nil {
			return false, err
		}
		return v.read(f, n)
	}
	var buf [8]*volume
	var best *volume
	var top object.Version
	for _, v := range l.homes(n, buf[:0]) {
		if v.err() != nil {
			continue
		}
		ok, err := v.read(f, n)
		if err != nil {
			return false, err
		}
		if ok && (best == nil || f.Version.Compare(top) > 0) {
			best, top = v, f.Version
		}
		f.close()
	}
	if best == nil {
		return false, nil
	}
	return best.read(f, n)
}

// lookup reads the current version of n for a reader, who is told only what is durable; kind NotFound.
func (s *places) lookup(f *found, n object.Name) error {
	digest := digestOf(n)
	lock := &s.locks.shards[digest%lockShards]
	for {
		l := s.now()
		f.named, f.digest, f.turn, f.hot = true, digest, lock.mu.turn.Load(), nil
		err := s.lookupIn(l, lock, f, n)
		if err == nil {
			return nil
		}
		f.close()
		if s.now() == l { // else it may have gone to a mountpath that l does not know
			return err
		}
	}
}

func (s *places) lookupIn(l *layout, lock *nameLock, f *found, n object.Name) error {
	ok, err := s.lookupHot(f, n), error(nil)
	if !ok {
		ok, err = l.current(f, n)
		lock.settle()
		if err == nil && !ok && !l.set.Settled() { // it may have been on its way from one home to another
			lock.mu.plain.Lock()
			l = s.now()
			ok, err = l.current(f, n)
			lock.mu.plain.Unlock()
		}
	}
	if herr := l.doubt(n, f, ok); herr != nil { // the commit waited for may have failed
		return herr
	}
	if err == nil && (!ok || f.Tombstone()) {
		err = errs.E("store.read", n, errs.NotFound)
	}
	return err
}

// errRehomed says that the home of a name is another than the one for which a write was prepared.
var errRehomed = errors.New("the name's home changed")

// rehome makes sure that w goes to its name's home, as of now; the caller holds the name's lock. What is not bound to a disk changes
// its place; anything else is errRehomed.
func (s *places) rehome(w *write) (*layout, error) {
	l := s.now()
	home, err := l.home(w.name)
	if err != nil || home == w.vol {
		return l, err
	}
	if w.bound() {
		return l, errRehomed
	}
	w.vol = home
	return l, nil
}

// broken reports whether a home of n cannot be read.
func (l *layout) broken(n object.Name) bool {
	var buf [8]*volume
	for _, v := range l.homes(n, buf[:0]) {
		if v.err() != nil {
			return true
		}
	}
	return false
}

// serving are the volumes that take new content.
func (l *layout) serving() []*volume {
	vols := make([]*volume, 0, len(l.vols))
	for i, v := range l.vols {
		if _, out := l.set.Out(i); !out {
			vols = append(vols, v)
		}
	}
	return vols
}
