package store

import (
	"context"
	"errors"
	"slices"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
	"aistore/store/format"
)

// Mountpaths come and go while names are read and written. A change is first written down (fs.Set), then it takes effect at once;
// moving names is another's work (pass.go). Changes are made one after the other.

// mounts is the part of a Store that changes and watches its mountpaths: what it adds to Store's methods is promoted.
type mounts struct{ *Store }

// Attach takes a directory into service that is there: an empty one, one with this node's marker, also of a mountpath that was elsewhere and is out of
// service, or, at a path whose disk is missing, the disk that replaces it: what was only on the old one is then lost.
func (s *mounts) Attach(ctx context.Context, path string) (fs.Info, error) {
	const op = "store.Attach"
	s.changing.Lock()
	defer s.changing.Unlock()
	set := s.now().set
	if mk, err := fs.ReadMarker(s.cfg.FS, path); err == nil && !mk.Released {
		if m, known := set.Find(mk.ID); known && m.Path() != path { // its disk was mounted here, or this is a copy that takes its place
			return s.comeBack(ctx, op, m, path, fs.KnownOnly)
		}
	}
	if m, known := set.Find(path); known {
		return s.comeBack(ctx, op, m, path, fs.MayBeNew)
	}
	m, err := set.OpenNew(path, fs.MayBeNew)
	if err == nil {
		err = s.join(ctx, m, nil)
	}
	if err != nil {
		return fs.Info{}, errs.E(op, path, err)
	}
	return m.Info(), nil
}

// Enable takes a mountpath that is out of service, or about to leave, back into service. What was changed meanwhile elsewhere holds. One that
// hangs is waited for, at most Config.CloseWithin and as long as ctx.
func (s *mounts) Enable(ctx context.Context, path string) (fs.Info, error) {
	const op = "store.Enable"
	s.changing.Lock()
	defer s.changing.Unlock()
	m, err := s.find(op, path)
	if err != nil {
		return fs.Info{}, err
	}
	return s.comeBack(ctx, op, m, m.Path(), fs.KnownOnly)
}

// Disable takes a mountpath out of service now. Its names stay on it: until it is enabled they are kind Mountpath, unless they are
// written anew.
func (s *mounts) Disable(path string) error {
	const op = "store.Disable"
	s.changing.Lock()
	defer s.changing.Unlock()
	m, err := s.find(op, path)
	if err != nil {
		return err
	}
	const why = "disabled on request"
	switch as, out := s.out(m); {
	case out && as.Standing == fs.SetAside:
		return nil
	case !out && !othersServe(s.now(), m):
		return errs.E(op, path, errs.Conflict, "is the only mountpath in service: attach another first")
	}
	m.Fail(errors.New(why)) // what is under way there fails, so nothing newer than this moment is there
	return s.leave(op, m, fs.SetAside, why)
}

// Detach begins to move what a mountpath has to the others; when that is done it is released. Enable takes it back until then. One that
// cannot be read cannot be moved: it is given up only with Force, and what was only on it is lost.
func (s *mounts) Detach(ctx context.Context, path string, how Force) error {
	const op = "store.Detach"
	s.changing.Lock()
	defer s.changing.Unlock()
	m, err := s.find(op, path)
	if err != nil {
		return err
	}
	as, out := s.out(m)
	switch {
	case !out && !othersServe(s.now(), m):
		return errs.E(op, path, errs.Conflict, "is the only mountpath in service: attach another first")
	case how == Force(true):
		return s.giveUp(ctx, op, m, out)
	case out && as.Standing == fs.Leaving:
		return nil
	case out || m.Err() != nil:
		return errs.F(op, path, errs.Conflict, "cannot be read, so nothing can be moved off it: enable it first, or give up what is only there by --force (%s)", as.Reason)
	}
	return s.leave(op, m, fs.Leaving, "is being detached")
}

// Force says whether data may be given up.
type Force bool

// Rescan looks at every mountpath again: those that failed come back if they can, the size of the others is read anew. It returns
// why each of those that stay out does.
func (s *mounts) Rescan(ctx context.Context) (out map[string]error) {
	const op = "store.Rescan"
	s.changing.Lock()
	defer s.changing.Unlock()
	out = map[string]error{}
	for _, v := range s.volumes() {
		as, isOut := s.out(v.mp)
		switch {
		case isOut && as.Standing == fs.Failed, !isOut && v.err() != nil:
			if _, err := s.comeBack(ctx, op, v.mp, v.mp.Path(), fs.KnownOnly); err != nil {
				out[v.mp.Path()] = err
			}
		case isOut && as.Standing == fs.SetAside:
			out[v.mp.Path()] = errs.E(op, v.mp.Path(), errs.Mountpath, as.Reason)
		case v.mp.Stuck() > probeWait:
			out[v.mp.Path()] = errs.E(op, v.mp.Path(), errs.Mountpath, "the disk does not answer")
		default:
			if err := v.mp.Check(); err != nil {
				out[v.mp.Path()] = err
				continue
			}
			v.space.resize()
		}
	}
	s.leaveFailed()
	return out
}

// leaveFailed takes those out of service whose disk failed, so that their names can be written elsewhere.
func (s *mounts) leaveFailed() {
	for _, v := range s.volumes() {
		err := v.err()
		as, out := s.out(v.mp)
		if err == nil || out && as.Standing != fs.Leaving && as.LastCounter > 0 {
			continue
		}
		if !out && !othersServe(s.now(), v.mp) {
			continue // nobody could take its names
		}
		standing, why := fs.Failed, v.mp.Info().Reason
		if out && as.Standing == fs.SetAside {
			standing, why = as.Standing, as.Reason
		}
		if err := s.leave("store.leaveFailed", v.mp, standing, why); err != nil {
			s.log.Error("a failed mountpath stays in service", "mountpath", v.mp.Path(), "err", err)
		}
	}
}

// find returns the mountpath at a path, or with an id.
func (s *mounts) find(op, path string) (*fs.Mountpath, error) {
	m, ok := s.now().set.Find(path)
	if !ok {
		return nil, errs.E(op, path, errs.NotFound, "is no mountpath of this node")
	}
	return m, nil
}

func (s *mounts) out(m *fs.Mountpath) (fs.Member, bool) {
	set := s.now().set
	i := slices.Index(set.All(), m)
	if i < 0 {
		return fs.Member{}, false
	}
	return set.Out(i)
}

func (s *mounts) inService() int { return len(s.now().serving()) }

// othersServe reports whether a mountpath in service besides m can be used.
func othersServe(l *layout, m *fs.Mountpath) bool {
	return slices.ContainsFunc(l.serving(), func(v *volume) bool { return v.mp != m && v.err() == nil })
}

// leave takes m out of service.
func (s *mounts) leave(op string, m *fs.Mountpath, as fs.Standing, why string) error {
	last := s.versions.given()
	if last.Counter == 0 {
		last.Counter = 1 // zero is "not known"
	}
	if as == fs.Leaving {
		last = object.Version{}
	}
	set, err := s.now().set.Leave(m, as, why, last.Epoch, last.Counter)
	if err != nil {
		return errs.E(op, m.Path(), err)
	}
	s.log.Warn("mountpath out of service", "mountpath", m.Path(), "id", m.ID(), "standing", as, "why", why)
	s.publish(set, nil)
	return nil
}

// giveUp forgets m and what is only there.
func (s *mounts) giveUp(ctx context.Context, op string, m *fs.Mountpath, out bool) error {
	if err := s.givingUp(ctx); err != nil {
		return errs.E(op, m.Path(), err)
	}
	if !out {
		if err := s.leave(op, m, fs.SetAside, "given up on request"); err != nil {
			return err
		}
	}
	m.Fail(errors.New("given up on request"))
	set, err := s.now().set.Drop(m)
	if err != nil {
		return errs.E(op, m.Path(), err)
	}
	s.log.Warn("mountpath given up, with what was only there", "mountpath", m.Path(), "id", m.ID())
	v := s.volumeOf(m)
	s.publish(set, nil)
	if err := s.letGo(v); err != nil { // it is given up all the same
		s.log.Warn("the files of a mountpath that was given up could not be closed", "mountpath", m.Path(), "err", err)
	}
	return nil
}

// givingUp tells who has to know before what a mountpath has is given up.
func (s *mounts) givingUp(ctx context.Context) error {
	if s.cfg.GivingUp == nil {
		return nil
	}
	return s.cfg.GivingUp(ctx)
}

// comeBack takes m, which is out of service, back, from the path where it is now.
func (s *mounts) comeBack(ctx context.Context, op string, m *fs.Mountpath, path string, replace fs.Replace) (fs.Info, error) {
	as, out := s.out(m)
	switch {
	case m.Err() == nil && path != m.Path():
		return fs.Info{}, fs.Again(path, m)
	case !out && m.Err() == nil:
		return fs.Info{}, errs.E(op, path, errs.Exists, "is in service")
	case !out && !othersServe(s.now(), m) && replace != fs.KnownOnly:
		return fs.Info{}, errs.E(op, path, errs.Conflict, "failed, and no other mountpath in service can be used: enable it if it is the same disk, or attach another first")
	case !out && !othersServe(s.now(), m): // nobody could take its names
	case !out: // it failed a moment ago
		if err := s.leave(op, m, fs.Failed, m.Info().Reason); err != nil {
			return fs.Info{}, err
		}
	case as.Standing == fs.Leaving && m.Err() == nil:
		set, err := s.now().set.Join(m)
		if err != nil {
			return fs.Info{}, errs.E(op, path, err)
		}
		s.publish(set, nil)
		return m.Info(), nil
	}
	if !m.Returned(ctx, s.cfg.CloseWithin) {
		if err := ctx.Err(); err != nil { // who asked has left: it is not to take effect when nobody knows of it
			return fs.Info{}, errs.E(op, path, err)
		}
		return fs.Info{}, errs.E(op, path, errs.Conflict, "hangs, and stays out of service: calls that were made before it was taken out have not returned; try again when the disk answers")
	}
	if err := s.letGo(s.volumeOf(m)); err != nil {
		s.log.Warn("a failed mountpath's files could not be closed", "mountpath", m.Path(), "err", err)
	}
	back, err := s.reopen(ctx, m, path, replace)
	if err == nil {
		return back.Info(), nil
	}
	if as.Standing == fs.SetAside && errors.Is(err, errFormer) { // so that the restart looks at it
		err = errors.Join(err, s.leave(op, m, fs.Failed, errFormer.Error()))
	}
	return fs.Info{}, errs.E(op, path, err)
}

// reopen opens what is at path in the place of m.
func (s *mounts) reopen(ctx context.Context, m *fs.Mountpath, path string, replace fs.Replace) (*fs.Mountpath, error) {
	if mk, err := fs.ReadMarker(s.cfg.FS, path); replace == fs.MayBeNew && (err != nil || mk.ID != m.ID()) {
		if err := fs.Offered(s.cfg.FS, path); err != nil { // before anybody is told that m is given up
			return nil, err
		}
		if err := s.givingUp(ctx); err != nil { // before anything is changed
			return nil, err
		}
	}
	back, err := s.now().set.OpenNew(path, replace)
	if err != nil {
		return nil, err
	}
	if replace == fs.KnownOnly && back.ID() != m.ID() {
		err := errs.F("store.reopen", path, errs.Conflict, "another mountpath is at this path: %s, not %s; mount the right disk, or attach this one", back.ID(), m.ID())
		return nil, errors.Join(err, back.Close())
	}
	return back, s.join(ctx, back, m)
}

// join opens m's index and takes it into service. old is what was at its path before; nil when nothing was.
func (s *mounts) join(ctx context.Context, m, old *fs.Mountpath) error {
	v := newVolume(m, s.cache, s.processors, s.log)
	s.tend(v)
	v.open()
	err := v.err()
	if err == nil {
		err = sameEra(v, s.era.Load())
	}
	if err == nil {
		err = s.learn(ctx, v)
	}
	set := s.now().set
	if err == nil && old != nil && old.ID() != m.ID() && fs.Unused(m) {
		s.log.Warn("a new disk replaces another: what was only there is lost", "mountpath", m.Path(), "id", m.ID(), "former", old.ID())
		set, err = set.Drop(old)
	}
	if err == nil {
		set, err = set.Join(m)
	}
	if err != nil {
		return errors.Join(err, v.close(s.cfg.CloseWithin, 0), m.Close())
	}
	s.log.Info("mountpath in service", "mountpath", m.Path(), "id", m.ID(), "weight", m.Marker().Weight)
	s.publish(set, v)
	return nil
}

// learn takes over what a volume that comes knows.
func (s *mounts) learn(ctx context.Context, v *volume) error {
	for {
		last := s.versions.last.Load()
		if last >= v.counter || s.versions.last.CompareAndSwap(last, v.counter) {
			break
		}
	}
	s.versions.boundMu.Lock()
	s.versions.bound.Store(max(s.versions.bound.Load(), v.counter))
	s.versions.epoch.Store(max(s.versions.epoch.Load(), v.epoch))
	err := errors.Join(v.saveCounter(s.versions.bound.Load(), v.commit), saveEpoch(v, s.versions.epoch.Load())) // as the others have it: it may be the one that is left
	s.versions.boundMu.Unlock()
	if err != nil {
		return err
	}
	if err := s.sessions.load(v); err != nil {
		return err
	}
	ids, err := v.pendingDestroys()
	for _, id := range ids {
		s.destroyed.Store(id, nil)
	}
	if err != nil {
		return err
	}
	if _, err := v.getCopy([]byte(format.MetaRebuilt)); err == nil {
		v.rebuilt.Store(true) // nothing is swept there before the next start
	}
	return ctx.Err()
}

// tend tells a volume whom it belongs to and whom to tell when it fails.
func (s *mounts) tend(v *volume) {
	v.all = &s.places
	v.mp.OnFail(func(error) { s.tellBroke() })
}

// tellBroke says that a mountpath may have to be replaced.
func (s *mounts) tellBroke() {
	select {
	case s.broke <- struct{}{}:
	default: // someone was told already and has not looked yet
	}
}

func (s *mounts) volumeOf(m *fs.Mountpath) *volume {
	for _, v := range s.volumes() {
		if v.mp == m {
			return v
		}
	}
	return nil
}

// publish makes a set the present one. came is the volume of a mountpath that joined.
func (s *mounts) publish(set *fs.Set, came *volume) {
	vols := make([]*volume, len(set.All()))
	for i, m := range set.All() {
		if came != nil && came.mp == m {
			vols[i] = came
			continue
		}
		vols[i] = s.volumeOf(m)
	}
	if came != nil {
		s.openings.Add(1) // before anybody can look there
	}
	s.lay.Store(newLayout(set, vols))
	s.shifts.Add(1)
	s.watch.ring()
}

// Openings counts the mountpaths that were opened while the store is. What a lazy import brought may be gone when it grows, and its mark with it.
func (s *mounts) Openings() uint64 { return s.openings.Load() }

// Shifts counts the changes of where things lie on this node: mountpaths that came or went, and what was moved between them. A walk
// over the mountpaths, one after the other, has surely seen every key only if none happened meanwhile.
func (s *mounts) Shifts() uint64 { return s.shifts.Load() }

// Room is nil when n's home takes so many bytes more; else it is full, or out of service.
func (s *mounts) Room(n object.Name, size int64) error {
	if _, err := s.room(n, size); err != nil {
		return errs.E("store.Room", n, err)
	}
	return nil
}

// Watch returns a channel that is closed when the mountpaths have changed next.
func (s *mounts) Watch() <-chan struct{} { return s.watch.next() }

// letGo ends the use of a failed volume's files, so that its disk can be opened anew or unmounted.
func (s *mounts) letGo(v *volume) error {
	if v == nil {
		return nil
	}
	return errors.Join(v.close(s.cfg.CloseWithin, 0), v.mp.Close())
}
