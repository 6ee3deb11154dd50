package store

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"strconv"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/store/format"
)

// Era is the membership of this node to which the content of its mountpaths belongs, as SetEra noted it; 0 = never. Where they differ it
// is the greatest: see OtherEras.
func (s *transfer) Era() (era uint64, err error) {
	err = s.steady(func() error { return s.eachEra(func(_ *volume, noted uint64) { era = max(era, noted) }) })
	return era, err
}

// OtherEras returns the paths of the mountpaths whose content belongs to another membership than era: SetAside is for them. One on which
// none was noted, as on a new disk, is not among them.
func (s *transfer) OtherEras(era uint64) (paths []string, err error) {
	err = s.steady(func() error {
		paths = nil
		return s.eachEra(func(v *volume, noted uint64) {
			if noted != 0 && noted != era {
				paths = append(paths, v.mp.Path())
			}
		})
	})
	return paths, err
}

func (s *transfer) eachEra(do func(v *volume, noted uint64)) error {
	const op = "store.Era"
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		noted, err := eraNoted(v)
		if err != nil {
			return errs.E(op, v.mp.Path(), err)
		}
		if noted != 0 {
			do(v, noted)
		}
	}
	return nil
}

// eraNoted is the membership to which the content belongs; 0 = none was noted.
func eraNoted(v *volume) (uint64, error) {
	val, err := v.getCopy([]byte(format.MetaEra))
	switch {
	case errs.Is(err, errs.NotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case len(val) != 8:
		return 0, errs.E("store.Era", v.mp.Path(), errs.Corrupt, "the era is unreadable")
	}
	return binary.LittleEndian.Uint64(val), nil
}

// SetEra notes the membership on every mountpath, durably, also on those that come later.
func (s *transfer) SetEra(era uint64) error {
	s.changing.Lock()
	s.era.Store(era)
	s.changing.Unlock()
	return s.steady(func() error { return setEra(s.volumes(), era) })
}

// errFormer refuses what the others set aside while a mountpath was out of service.
var errFormer = errors.New("holds what is of an earlier membership of this node, or was superseded meanwhile: restart the node, which sets it aside")

// sameEra notes the present membership on a mountpath that comes and has none noted, and refuses one whose content is of another.
func sameEra(v *volume, era uint64) error {
	noted, err := eraNoted(v)
	switch {
	case err != nil || era == 0 || noted == era:
		return err
	case noted != 0:
		return errs.E("store.join", v.mp.Path(), errs.Conflict, errFormer)
	}
	return setEra([]*volume{v}, era)
}

func setEra(vols []*volume, era uint64) error {
	const op = "store.SetEra"
	for _, v := range vols {
		if v.err() != nil {
			continue // it is noted when it can be used again
		}
		b := v.db.NewBatch()
		err := b.Set([]byte(format.MetaEra), binary.LittleEndian.AppendUint64(nil, era), nil)
		if err == nil {
			err = v.commit(b, cluster.Local)
		}
		if closeBatch(b); err != nil && v.err() == nil { // one that has just failed is not the others' business
			return errs.E(op, v.mp.Path(), err)
		}
	}
	return nil
}

// Boot is the id of this start of the node, which is on every mountpath in use.
func (s *mounts) Boot() string { return s.now().set.Boot() }

// Judge returns the mountpaths that do not know of the start that was accepted last ("" = none was): they are copies of an earlier time, and
// SetAside is for them. Without any, this start may be announced.
func (s *mounts) Judge(last string) (old []string, err error) {
	return old, s.renote("store.Judge", func(set *fs.Set) (next *fs.Set, err error) {
		next, old, err = set.Judge(last)
		return next, err
	})
}

// AcceptStart notes on every mountpath that this start of the node was accepted.
func (s *mounts) AcceptStart() error { return s.renote("store.AcceptStart", (*fs.Set).Accept) }

func (s *mounts) renote(op string, change func(*fs.Set) (*fs.Set, error)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	set := s.now().set
	next, err := change(set)
	if err != nil {
		return errs.E(op, "", err)
	}
	if next != set {
		s.publish(next, nil)
	}
	return nil
}

// AsideDir is where in a mountpath the content of former eras, and of an earlier time, lies.
const AsideDir = "set-aside"

// SetAside moves what mountpaths of a stopped node hold to set-aside/AS in each of them: the node then opens them empty, and nothing
// is destroyed. Interrupted, it can be repeated; the index goes last, so that until then it says whose the blobs are, and only then does the
// marker say that nothing is there. A path that is no mountpath yet is left alone.
func SetAside(sys fs.FS, paths []string, as string, known fs.Known, log *slog.Logger) error {
	const op = "store.SetAside"
	if sys == nil {
		sys = fs.OS{}
	}
	for _, path := range paths {
		set, err := fs.OpenStopped(sys, path, log)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err == nil {
			err = errors.Join(setAside(set.All()[0], as, known), set.Close())
		}
		if err != nil {
			return errs.E(op, path, err)
		}
	}
	return nil
}

func setAside(mp *fs.Mountpath, as string, known fs.Known) error {
	dir := AsideDir + "/" + as
	for _, d := range []string{AsideDir, dir} {
		if err := mp.Mkdir(d); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := errors.Join(mp.SyncDir("."), mp.SyncDir(AsideDir)); err != nil {
		return err
	}
	for _, what := range []string{"blobs", "work", indexDirName} {
		if _, err := mp.Stat(what); errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		to := dir + "/" + what
		for i := 1; ; i++ { // an earlier call may have been interrupted
			_, err := mp.Stat(to)
			if errors.Is(err, os.ErrNotExist) {
				break
			}
			if err != nil {
				return err
			}
			to = dir + "/" + what + "-" + strconv.Itoa(i)
		}
		if err := mp.Rename(what, to); err != nil {
			return err
		}
		if err := errors.Join(mp.SyncDir(dir), mp.SyncDir(".")); err != nil {
			return err
		}
	}
	return mp.Forget(known)
}
