package store

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/internal/spare"
	"aistore/store/indexfs"
)

// volume is one mountpath at work: its index, its blobs, its space.
type volume struct {
	mp    *fs.Mountpath
	log   *slog.Logger
	cache *pebble.Cache
	ifs   *indexfs.FS
	total int64 // capacity when opened
	db    *pebble.DB

	all   *places // with the volumes beside this one
	mount uint64  // id of the mountpath, as parts name it

	readOnly bool        // offline: nothing may change
	rebuilt  atomic.Bool // references may be missing: nothing may be swept

	counter uint64 // as read at open: no version has a counter above it
	epoch   uint64 // the same of epochs

	durable     atomic.Int64 // commits under way of the other classes
	volatile    atomic.Int64 // commits under way of class volatile
	behind      atomic.Bool  // there are commits of class lazily that may not be durable
	loose       atomic.Bool  // the same of class volatile
	pace        indexfs.Pacer
	indexErrors atomic.Int64
	corruptions atomic.Int64
	gate        *indexfs.Gate
	brake       *indexfs.Brake
	closed      atomic.Bool

	unsealed  atomic.Bool   // commits since the last seal
	blobCount atomic.Uint64 // last blobID count given
	dirs      [256]blobDir
	writing   sync.Map // blobID -> nothing: blobs not yet committed
	writers   blobWriters
	claims    claims

	space     space
	reclaimed uint64 // bytes written to the log when the index last gave back room
	keys      keyPool
}

// blobDir is one of the directories below blobs/.
type blobDir struct {
	mu   sync.Mutex
	made bool
	sync groupSync
}

func newVolume(mp *fs.Mountpath, cache *pebble.Cache, processors *spare.Watch, log *slog.Logger) *volume {
	v := &volume{mp: mp, log: log, cache: cache, gate: indexfs.NewGate()}
	v.mount, _ = strconv.ParseUint(mp.ID(), 16, 64) // one that is not there has none, and takes no parts
	v.ifs = indexfs.New(mp, log, indexOwner{v})
	v.pace.Short = processors.Short
	v.total = mp.Info().Capacity.Total
	v.blobCount.Store(uint64(time.Now().UnixMicro())) // above what an earlier process gave
	v.space.init(mp, log, v.total)
	return v
}

// blobWriters counts those who write blobs to a volume. It is not released before they have ended, and has none afterwards.
type blobWriters struct{ n atomic.Int64 } // from writersOut up once it is released

// writersOut is added to the count when the volume is released.
const writersOut = -1 << 40

// enter lets the caller write, who must leave; or it is kind Unavailable.
func (w *blobWriters) enter() error {
	if w.n.Add(1) > 0 {
		return nil
	}
	w.leave()
	return errs.E("store.write", "", errs.Unavailable, "the mountpath has left")
}

func (w *blobWriters) leave() { w.n.Add(-1) }

// keepOut lets no one write any more, if no one does.
func (w *blobWriters) keepOut() bool { return w.n.CompareAndSwap(0, writersOut) }

// letIn undoes keepOut.
func (w *blobWriters) letIn() { w.n.Add(-writersOut) }

// open makes the mountpath's directories and opens the index. A failure disables the mountpath.
func (v *volume) open() {
	err := v.mp.Err()
	if err == nil {
		if err = hasIndex(v); err == nil {
			err = v.makeDirs()
		}
		if err == nil {
			v.space.keepReserve() // one from before is there to be given, should the index find no room
			err = v.openIndex()
		}
		if err == nil {
			err = v.sweepWork()
		}
		if err != nil {
			v.mp.Fail(err)
		}
	}
}

// hasIndex refuses a mountpath that had an index and has none any more: beside an empty one its blobs would be swept, and what lay in the
// index would be unheard of. The directory for blobs is made before the index, and put aside before it.
func hasIndex(v *volume) error {
	names, err := v.mp.ReadDir(indexDirName)
	if err == nil && slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "marker.manifest.") }) || err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // without that file pebble begins anew
	}
	blobs, err := v.mp.ReadDir("blobs")
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(blobs) > 0 || fs.Used(v.mp):
		return errs.F("store.open", v.mp.Path(), errs.Corrupt, "the index is missing: put it back, or make a new one while the node is stopped: %s", rebuildWith(v.mp.Path()))
	}
	return nil
}

func (v *volume) makeDirs() error {
	for _, d := range []string{"blobs", "work"} {
		if err := v.mp.Mkdir(d); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return v.mp.SyncDir(".")
}

// err is nil while the volume may be used.
func (v *volume) err() error {
	return v.mp.Err()
}

// close ends the use of the index within about twice the bound, whatever the disk does. What lasts longer is given up, and the
// mountpath failed first so that nothing changes the disk any more: a restart replays the log. counter is saved unless 0.
func (v *volume) close(bound time.Duration, counter uint64) error {
	const op = "store.Close"
	if v.closed.Swap(true) {
		return nil
	}
	if !v.drain(bound) {
		v.ifs.Release()
		return v.err() // pebble stays as it is: someone uses its memory
	}
	done := make(chan error, 1)
	go func() { done <- v.closeIndex(counter) }() // left alone when a call to the operating system never returns
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		v.mp.Fail(errs.F(op, "", errs.Timeout, "the index could not be flushed within %v", bound))
	case <-v.mp.Down():
	}
	late.Reset(bound)
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errs.F(op, v.mp.Path(), errs.Timeout, "the index was not closed within %v", bound)
	}
}

// drain keeps everyone out of the index and reports whether all have left. Those who are too long inside may be let go by
// failing the mountpath, unless it is the disk or a client that they wait for.
func (v *volume) drain(bound time.Duration) bool {
	return v.gate.Drain(bound, func() {
		v.mp.Fail(errs.F("store.Close", "", errs.Timeout, "calls were under way after %v", bound))
	})
}

// closeIndex closes pebble when no one uses it any more. A failed mountpath's index is closed for its memory alone.
func (v *volume) closeIndex(counter uint64) (err error) {
	defer v.ifs.Note.Close()
	defer recoverFatal("store.Close", &err)
	if v.db == nil {
		v.ifs.Release()
		return nil
	}
	if counter > 0 && v.err() == nil {
		_ = v.saveCounter(counter, v.commitInside) // only spares the next process a gap
	}
	if v.err() == nil && !v.readOnly {
		err = v.ifs.Flush(v.db) // a restart then finds nothing to replay
		if err == nil {
			err = commitMark(v.db, v.commitInside) // and a manifest without this flush would be noticed
		}
	}
	v.ifs.Release()
	if v.ifs.Parked.Load() > 0 {
		return nil // a parked goroutine may hold pebble's locks for ever
	}
	if cerr := v.db.Close(); v.err() == nil {
		err = errors.Join(err, cerr)
	}
	v.ifs.CloseForgotten()
	return err
}

// commit applies b as the class says. When it returns nil the batch is durable (local) or in the page
// cache (volatile). After an error of kind Full or Unavailable nothing was changed; after any other nothing can be said of the
// batch, and the volume is disabled.
func (v *volume) commit(b *pebble.Batch, d cluster.Durability) error {
	if err := v.err(); err != nil {
		return err
	}
	if err := v.gate.Enter(); err != nil {
		return err
	}
	defer v.gate.Leave()
	if err := v.brake.Await(v.db, v.gate); err != nil {
		return err
	}
	return v.commitInside(b, d)
}

// lazily is the class of a commit of what is durable elsewhere until this node says that it has it: it is durable when settle or a later
// commit of another class returns, or a few seconds later.
const lazily cluster.Durability = "lazily"

// commitInside is commit for one who is inside the gate.
func (v *volume) commitInside(b *pebble.Batch, d cluster.Durability) error {
	err := commitUnnoted(v, b, d)
	v.unsealed.Store(true) // not before: a mark that is written meanwhile may lie in front of it
	return err
}

// commitUnnoted is commitInside of what need not be sealed.
func commitUnnoted(v *volume, b *pebble.Batch, d cluster.Durability) (err error) {
	defer recoverFatal("store.commit", &err)
	n, wait := &v.durable, pebble.Sync
	switch d {
	case cluster.Volatile:
		n = &v.volatile
	case lazily:
		wait = pebble.NoSync
	}
	n.Add(1)
	defer n.Add(-1)
	mark := v.ifs.Mark()
	if err := b.LogData(mark[:], nil); err != nil {
		return err
	}
	if n == &v.durable && wait == pebble.Sync {
		v.loose.Store(false) // durable with this one, while it counts
	}
	err = b.Commit(wait)
	switch d { // while it still counts as under way: settle and settleAll see one or the other
	case lazily:
		v.behind.Store(true)
	case cluster.Volatile:
		v.loose.Store(true)
	}
	if ferr := v.err(); ferr != nil {
		return ferr // the index is frozen: what it reports means nothing
	}
	if err != nil {
		v.mp.Fail(err)
		return v.err()
	}
	return nil
}

// indexOwner answers what the index asks of its volume; see indexfs.Owner.
type indexOwner struct{ v *volume }

// Waiting counts the commits under way.
func (o indexOwner) Waiting() (durable, volatile int64) {
	return o.v.durable.Load(), o.v.volatile.Load()
}

// Synced sets the pace of the log's syncs.
func (o indexOwner) Synced(waiting int64, took time.Duration) { o.v.pace.Synced(waiting, took) }

// Given says how often the reserve was given back.
func (o indexOwner) Given() uint64 { return o.v.space.given.Load() }

// GiveReserve gives the reserve to the index.
func (o indexOwner) GiveReserve(seen uint64) bool { return o.v.space.giveReserve(seen) }

// settle makes durable what readers of the index may see now, if any of it may not be so yet.
func (v *volume) settle() (err error) {
	defer recoverFatal("store.settle", &err)
	if v.durable.Load() > 0 || v.behind.Load() || v.durable.Load() > 0 { // whoever took behind away counts until its sync has ended
		if err := v.gate.Enter(); err != nil {
			return err
		}
		defer v.gate.Leave()
		v.durable.Add(1)
		defer v.durable.Add(-1)
		v.behind.Store(false)
		v.loose.Store(false)
		if err := v.db.LogData(nil, pebble.Sync); err != nil {
			v.mp.Fail(err)
		}
	}
	return v.err()
}

// settleAll is settle for who removes what the index no longer shows: commits of class volatile, too, are to be durable first.
func (v *volume) settleAll() error {
	if v.loose.Load() || v.volatile.Load() > 0 || v.loose.Load() { // as in settle
		v.behind.Store(true)
	}
	return v.settle()
}

// seal makes durable what is behind, and writes a mark behind the last commits when there were any since the last seal. It does not wait for
// the brake, which would tell of the index and not of the disk.
func (v *volume) seal() error {
	if v.db == nil {
		return v.err()
	}
	if v.behind.Load() {
		if err := v.settle(); err != nil {
			return err
		}
	}
	if !v.unsealed.Swap(false) {
		return v.err()
	}
	if err := v.gate.Enter(); err != nil {
		return err
	}
	defer v.gate.Leave()
	return commitMark(v.db, func(b *pebble.Batch, d cluster.Durability) error { return commitUnnoted(v, b, d) })
}

// commitMark commits a batch that has nothing in it but the mark that every batch gets.
func commitMark(db *pebble.DB, commit func(*pebble.Batch, cluster.Durability) error) error {
	b := db.NewBatch()
	defer closeBatch(b)
	return commit(b, cluster.Local)
}

// sweepWork removes what interrupted writers left behind; files of append sessions stay.
func (v *volume) sweepWork() error {
	names, err := v.mp.ReadDir("work")
	if err != nil {
		return err
	}
	for _, n := range names {
		if s, ok := strings.CutPrefix(n, sessionPrefix); ok {
			id, ok := parseSessionID(s)
			if _, err := v.getCopy(appendKey(id)); ok && err == nil {
				continue
			} else if !errs.Is(err, errs.NotFound) {
				return err
			}
		}
		if err := v.mp.Remove("work/" + n); err != nil {
			return err
		}
	}
	return nil
}
