package store

import (
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
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

	durable     atomic.Int64 // commits under way of class local
	volatile    atomic.Int64 // commits under way of class volatile
	pace        pacer
	indexErrors atomic.Int64
	corruptions atomic.Int64
	stalls      atomic.Int64

	unsealed  atomic.Bool   // commits since the last seal
	blobCount atomic.Uint64 // last blobID count given
	dirs      [256]blobDir
	writing   sync.Map // blobID -> nothing: blobs not yet committed

	space space
	keys  keyPool
}

// blobDir is one of the directories below blobs/.
type blobDir struct {
	mu   sync.Mutex
	made bool
	sync groupSync
}

func newVolume(mp *fs.Mountpath, cache *pebble.Cache, log *slog.Logger) *volume {
	v := &volume{mp: mp, log: log, cache: cache}
	v.mount, _ = strconv.ParseUint(mp.ID(), 16, 64) // one that is not there has none, and takes no parts
	v.ifs = indexfs.New(mp, log, indexOwner{v})
	v.total = mp.Info().Capacity.Total
	v.blobCount.Store(uint64(time.Now().UnixMicro())) // above what an earlier process gave
	v.space.init(mp, log, v.total)
	return v
}

// open makes the mountpath's directories and opens the index. A failure disables the mountpath.
func (v *volume) open() {
	err := v.mp.Err()
	if err == nil {
		if err = v.makeDirs(); err == nil {
			err = v.openIndex()
		}
		if err == nil {
			err = v.sweepWork()
		}
		if err != nil {
			v.mp.Fail(err)
		}
	}
	if err == nil {
		v.space.keepReserve()
	}
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

func (v *volume) close() (err error) {
	defer recoverFatal("store.Close", &err)
	v.ifs.Release()
	if v.db == nil || v.ifs.Parked.Load() > 0 {
		return nil // a parked goroutine may hold pebble's locks for ever
	}
	db := v.db
	v.db = nil
	if v.err() == nil && !v.readOnly {
		err = db.Flush() // a restart then finds nothing to replay
	}
	if cerr := db.Close(); v.err() == nil {
		err = errors.Join(err, cerr)
	}
	return err
}

// commit applies b as the class says. When it returns nil the batch is durable (local) or in the page
// cache (volatile). After an error nothing can be said of the batch, and the volume is disabled.
func (v *volume) commit(b *pebble.Batch, d cluster.Durability) (err error) {
	const op = "store.commit"
	defer recoverFatal(op, &err)
	if err := v.err(); err != nil {
		return err
	}
	n := &v.durable
	if d == cluster.Volatile {
		n = &v.volatile
	}
	n.Add(1)
	defer n.Add(-1)
	mark := v.ifs.Mark()
	if err := b.LogData(mark[:], nil); err != nil {
		return err
	}
	v.unsealed.Store(true)
	err = b.Commit(pebble.Sync)
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
func (o indexOwner) Synced(waiting int64, took time.Duration) { o.v.pace.synced(waiting, took) }

// Given says how often the reserve was given back.
func (o indexOwner) Given() uint64 { return o.v.space.given.Load() }

// GiveReserve gives the reserve to the index.
func (o indexOwner) GiveReserve(seen uint64) bool { return o.v.space.giveReserve(seen) }

// settle makes durable what readers of the index may see now, if any of it may not be so yet.
func (v *volume) settle() (err error) {
	defer recoverFatal("store.settle", &err)
	if v.durable.Load() > 0 {
		v.durable.Add(1)
		defer v.durable.Add(-1)
		if err := v.db.LogData(nil, pebble.Sync); err != nil {
			v.mp.Fail(err)
		}
	}
	return v.err()
}

// seal writes a mark behind the last commits when there were any since the last seal.
func (v *volume) seal() error {
	if v.db == nil || !v.unsealed.Swap(false) {
		return v.err()
	}
	b := v.db.NewBatch()
	defer closeBatch(b)
	err := v.commit(b, cluster.Local)
	v.unsealed.Store(false)
	return err
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

// pacer tells how long the log rests after a sync: as long as the sync took, when more than one writer waited for it, so that
// the next serves more of them; not at all after a lone writer's. A sync costs more CPU time than the rest of a small PUT.
type pacer struct{ pause atomic.Int64 }

// synced notes a sync, and how many writers waited for it.
func (p *pacer) synced(waiting int64, took time.Duration) {
	if waiting < 2 {
		took = 0
	}
	p.pause.Store(int64(min(took, time.Millisecond)))
}

// next is what pebble asks for after each sync.
func (p *pacer) next() time.Duration { return time.Duration(p.pause.Load()) }
