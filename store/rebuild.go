package store

import (
	"context"
	"errors"
	"os"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"aistore/errs"
	"aistore/fs"
	"aistore/store/format"
	"aistore/store/indexfs"
)

// RebuildSummary says what RebuildIndex could and could not bring back.
type RebuildSummary struct {
	OldIndex string `json:"old_index"` // "whole", "damaged", "log damaged", "salvaged" (file by file) or "lost"
	Kept     int64  `json:"kept"`      // objects taken over from the old index, whole
	Restored int64  `json:"restored"`  // objects whose records the old index did not have, from the footers of their blobs or their content
	Lost     int64  `json:"lost"`      // objects of which the old index knew but whose content is gone or damaged
	Damage   int64  `json:"damage"`    // places at which the old index could not be read
	Blobs    int64  `json:"blobs"`     // blob files looked at
	SavedAs  string `json:"saved_as"`  // where the old index is now; remove it when all is well
}

// rebuilder is one run of RebuildIndex.
type rebuilder struct {
	s      *Store
	old    *volume // nil when the old index cannot be opened
	v      *volume // the new index
	report func(Fault)
	sum    RebuildSummary
	top    uint64 // greatest version counter seen
}

// newIndexDir is where the new index grows, madeIndexDir where it waits, complete, for its place.
const (
	newIndexDir  = indexDirName + ".new"
	madeIndexDir = indexDirName + ".made"
)

// RebuildIndex makes a new index for a mountpath of a stopped node: from what can be read of the old one, and,
// when that was not whole, from the footers of the blobs.
//
// Objects whose content is in the index can only come back from it: damage to a few of its blocks costs
// the objects in them, or the metadata where the content is in others, loss of the whole costs all of them. Blobs come back also without an index, but their
// footers know the metadata as of the PUT and not of later updates, further names given by Link are
// forgotten, and a blob that was deleted right before the loss may return. The old index is kept aside. report hears of
// every loss.
func RebuildIndex(ctx context.Context, cfg OfflineConfig, report func(Fault)) (RebuildSummary, error) {
	const op = "store.RebuildIndex"
	s, err := stoppedStore(cfg)
	if err != nil {
		return RebuildSummary{}, errs.E(op, cfg.Mountpath, err)
	}
	r := &rebuilder{s: s, report: report}
	err = r.run(ctx)
	if err = errors.Join(err, s.Close()); err != nil {
		return r.sum, errs.E(op, cfg.Mountpath, err)
	}
	return r.sum, nil
}

func (r *rebuilder) run(ctx context.Context) error {
	mp := r.s.volumes()[0].mp
	if err := finishSwap(mp); err != nil {
		return err
	}
	if err := errors.Join(indexfs.RemoveAll(mp, newIndexDir), indexfs.RemoveAll(mp, madeIndexDir)); err != nil {
		return err
	}
	r.v = newVolume(mp, r.s.cache, nil, r.s.log)
	r.v.all = &r.s.places
	if err := r.v.create(newIndexDir); err != nil {
		return errors.Join(err, r.v.close(offlineClose, 0))
	}
	err := r.fill(ctx)
	if err == nil {
		if err = r.v.readFacts(); err == nil { // the old bound, if it was found
			err = r.v.saveCounter(max(r.top+counterChunk, r.v.counter), r.v.commit)
		}
		if err == nil { // tables on other mountpaths may name blobs here
			err = r.v.db.Set([]byte(format.MetaRebuilt), nil, pebble.Sync)
		}
	}
	err = errors.Join(err, r.v.close(offlineClose, 0))
	if r.old != nil {
		err = errors.Join(err, r.old.close(offlineClose, 0))
	}
	if err != nil {
		return err
	}
	return r.swap(mp)
}

// create opens a new index in dir.
func (v *volume) create(dir string) (err error) {
	const op = "store.create"
	defer recoverFatal(op, &err)
	v.ifs.Opening.Store(true)
	defer v.ifs.Opening.Store(false)
	db, err := pebble.Open(dir, v.indexOptions(false))
	if err != nil {
		return errs.E(op, v.mp.Path(), indexKind(err), err)
	}
	v.db = db
	return v.readFacts()
}

// fill brings into the new index what can be had.
func (r *rebuilder) fill(ctx context.Context) error {
	if err := r.takeOver(ctx); err != nil {
		return err
	}
	if err := r.verify(ctx); err != nil {
		return err
	}
	if r.sum.OldIndex == "whole" {
		return nil // what has no record now had none before
	}
	if r.old != nil { // otherwise what removed the content may be what could not be read
		if err := r.fromContents(ctx); err != nil {
			return err
		}
	}
	return r.v.eachBlob(ctx, func(id format.BlobID) error { return r.fromFooter(id) })
}

// finishSwap ends a swap that was interrupted when neither index was in its place.
func finishSwap(mp *fs.Mountpath) error {
	_, there := mp.Stat(indexDirName)
	_, made := mp.Stat(madeIndexDir)
	if !errors.Is(there, os.ErrNotExist) || made != nil {
		return nil
	}
	return errors.Join(mp.Rename(madeIndexDir, indexDirName), mp.SyncDir("."))
}

// swap puts the new index in the old one's place.
func (r *rebuilder) swap(mp *fs.Mountpath) error {
	if err := errors.Join(mp.Rename(newIndexDir, madeIndexDir), mp.SyncDir(".")); err != nil {
		return err
	}
	if _, err := mp.Stat(indexDirName); err == nil {
		for i := 1; ; i++ {
			r.sum.SavedAs = indexDirName + ".old-" + strconv.Itoa(i)
			if _, err := mp.Stat(r.sum.SavedAs); errors.Is(err, os.ErrNotExist) {
				break
			}
		}
		if err := mp.Rename(indexDirName, r.sum.SavedAs); err != nil {
			return err
		}
	}
	if err := mp.Rename(madeIndexDir, indexDirName); err != nil {
		return err
	}
	return mp.SyncDir(".")
}

// takeOver copies every key of the old index that can be read.
func (r *rebuilder) takeOver(ctx context.Context) error {
	old := r.s.volumes()[0]
	if _, err := old.mp.Stat(indexDirName); errors.Is(err, os.ErrNotExist) {
		r.sum.OldIndex = "lost"
		if err := hasIndex(old); errs.Is(err, errs.Corrupt) { // there was one
			r.damage("it is missing: objects whose content lay in it, as that of small ones does, are gone, and nothing names them")
		}
		return nil
	}
	var logs []uint64
	old.ifs.OnLog = func(n uint64) { logs = append(logs, n) }
	err := old.openReadOnly()
	old.ifs.OnLog = nil
	switch {
	case err == nil:
		r.sum.OldIndex = "whole"
	case len(logs) > 0: // it came as far as the logs: do without them first
		r.damage("the index's log is damaged: " + err.Error())
		again := newVolume(old.mp, r.s.cache, nil, r.s.log)
		again.all = &r.s.places
		again.ifs.HideLogs = true
		if err := again.openReadOnly(); err != nil {
			r.damage("without its log: " + err.Error())
			r.sum.OldIndex = "lost"
			return r.salvage(ctx, old)
		}
		old, r.sum.OldIndex = again, "log damaged"
	default:
		r.damage("the index cannot be opened: " + err.Error())
		r.sum.OldIndex = "lost"
		return r.salvage(ctx, old)
	}
	r.old = old
	if err := r.copyFamilies(ctx, old); err != nil {
		return err
	}
	if r.sum.OldIndex == "log damaged" {
		return r.replay(old, logs[0])
	}
	return nil
}

func (r *rebuilder) damage(what string) {
	r.sum.Damage++
	r.report(Fault{Harmful: true, File: indexDirName, What: what})
}

// copyFamilies copies all but the references, which are made anew.
func (r *rebuilder) copyFamilies(ctx context.Context, old *volume) error {
	var fault error
	put := func(key, val []byte) {
		if fault == nil {
			fault = r.v.db.Set(key, val, pebble.NoSync)
		}
	}
	damage := func(after []byte, err error) {
		if r.sum.OldIndex == "whole" {
			r.sum.OldIndex = "damaged"
		}
		r.damage("the index cannot be read behind key " + printable(after) + ": " + err.Error())
	}
	for _, fam := range format.Families() {
		if fam == format.FamRef {
			continue
		}
		if err := old.scan(ctx, []byte{fam}, []byte{fam + 1}, put, damage); err != nil {
			return err
		}
	}
	return fault
}
