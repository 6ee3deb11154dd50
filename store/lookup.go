package store

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
	"aistore/store/hot"
)

// found is a record together with the index value it aliases. Close it.
type found struct {
	format.Record
	vol    *volume
	value  []byte
	closer io.Closer

	// of lookup alone
	named  bool                // it is the name's current record, as turn says
	hot    *hot.Entry[*volume] // where value is from, nil: the index
	digest uint64              // of the name
	turn   uint64              // of its lock, before value was read

	at    byte     // family of the key it was read from
	id    [16]byte // with FamVersion: what its key ends with
	stays bool     // its blobs are not to be removed
	table *table   // what dropContent took out of the index
	moved bool     // another mountpath has the record as well: references to its parts stay
}

func (f *found) close() {
	if f.closer != nil {
		_ = f.closer.Close() // gives a cached block back; nothing to lose
		f.closer = nil
		f.vol.gate.Leave()
	}
}

// keyBuf is room for an index key.
type keyBuf [format.ObjectPrefix + object.MaxKeyLen + 1 + 16]byte

// keyPool keeps key buffers off the heap's hot path: an interface call makes them escape.
type keyPool struct{ p sync.Pool }

func (k *keyPool) get() *keyBuf {
	if b, ok := k.p.Get().(*keyBuf); ok {
		return b
	}
	return new(keyBuf)
}

func (k *keyPool) put(b *keyBuf) { k.p.Put(b) }

// read reads the record of n in v into f and reports whether there is one.
func (v *volume) read(f *found, n object.Name) (bool, error) {
	const op = "store.read"
	if v.db == nil {
		return false, v.err()
	}
	kb := v.keys.get()
	key := format.ObjectKey(kb[:0], format.FamRecord, n.Bucket, n.Key)
	ok, err := f.readAt(v, op, n, key, key[format.ObjectPrefix:])
	v.keys.put(kb)
	f.at = format.FamRecord
	return ok, err
}

// readAt reads the record of n that stands under an index key; name is n.Key.
func (f *found) readAt(v *volume, op string, n object.Name, key, name []byte) (bool, error) {
	if err := v.gate.Enter(); err != nil {
		return false, err
	}
	val, closer, err := v.db.Get(key)
	if err != nil {
		v.gate.Leave()
		if errors.Is(err, pebble.ErrNotFound) {
			return false, nil
		}
		return false, v.readError(op, n, err)
	}
	f.vol, f.value, f.closer = v, val, closer
	err = format.DecodeRecord(&f.Record, val, name)
	if err == nil && f.Bucket != n.Bucket {
		err = errs.E(op, n, errs.Corrupt, "the record belongs to another bucket")
	}
	if err != nil {
		f.close()
		return false, v.readError(op, n, err)
	}
	return true, nil
}

// readError classifies and counts what went wrong while reading n.
func (v *volume) readError(op string, n object.Name, err error) error {
	if ferr := v.err(); ferr != nil {
		return ferr
	}
	kind := indexKind(err)
	switch kind {
	case errs.Corrupt:
		v.corruptions.Add(1)
		v.log.Error("damaged", "op", op, "mountpath", v.mp.Path(), "object", n.String(), "err", err)
	case errs.Other:
		kind = errs.Mountpath // a disk that cannot be read
	}
	return errs.E(op, n, kind, err)
}

// places are the mountpaths at work, the locks of the names on them, and what is kept of those read often.
type places struct {
	lay   atomic.Pointer[layout]
	locks nameLocks
	hot   *hot.Cache[*volume] // nil: nothing is kept
	pins  pins
	parts partLocks

	shifts   atomic.Uint64
	openings atomic.Uint64
	sharing  sync.Map // content id -> nothing: references to its parts are being made
	freed    bell     // rung when a copy or an append session lets go of what a mover may have found held

	// Held shared while a name is taken from one mountpath to another, or written on one and removed on another; alone by who
	// begins to read all of them, and must find each name somewhere.
	moving sync.RWMutex
}

// adopt tells every volume which ones there are.
func (s *places) adopt() {
	for _, v := range s.volumes() {
		v.all = s
	}
}

// each does something with all volumes at once, and waits.
func each(vols []*volume, do func(i int, v *volume)) {
	if len(vols) == 1 {
		do(0, vols[0])
		return
	}
	var wg sync.WaitGroup
	for i, v := range vols {
		wg.Go(func() { do(i, v) })
	}
	wg.Wait()
}

// lookupHot is current for what is kept of names read often.
func (s *places) lookupHot(f *found, n object.Name) bool {
	e := s.hot.Get(n, f.digest, f.turn)
	if e == nil {
		return false
	}
	if format.DecodeRecord(&f.Record, e.Record, e.Key) != nil || f.Bucket != n.Bucket {
		s.hot.Forget(e) // damaged in memory
		return false
	}
	if e.Home.err() != nil { // what comes back is another volume, or the name has another home
		s.hot.Forget(e)
		return false
	}
	f.hot, f.vol, f.value, f.at = e, e.Home, e.Record, format.FamRecord
	return true
}

// keep lets hot have what lookup found, with content if that is not nil, if the name is read often and still as it was.
func (s *places) keep(f *found, n object.Name, content []byte) {
	if !f.named || f.hot != nil && content == nil || len(content) > hot.MaxContent || !s.hot.Wants(f.digest, f.turn) {
		return
	}
	e := &hot.Entry[*volume]{Name: n, Digest: f.digest, Turn: f.turn, Home: f.vol, Key: []byte(n.Key), Record: bytes.Clone(f.value)}
	if content != nil {
		e.Content = bytes.Clone(content)
	}
	if s.locks.shards[f.digest%lockShards].mu.turn.Load() == f.turn {
		s.hot.Add(e)
	}
}

// suspects remembers names whose content failed its checksum, bounded.
type suspects struct {
	mu    sync.Mutex
	names map[object.Name]object.Version
}

const maxSuspects = 1000

func (s *suspects) add(n object.Name, v object.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[object.Name]object.Version{}
	}
	if len(s.names) < maxSuspects {
		s.names[n] = v
	}
}

// Suspects returns the names (up to 1000) whose stored bytes failed verification since the start, and
// the version that did.
func (s *Store) Suspects() map[object.Name]object.Version {
	s.suspects.mu.Lock()
	defer s.suspects.mu.Unlock()
	m := make(map[object.Name]object.Version, len(s.suspects.names))
	for n, v := range s.suspects.names {
		m[n] = v
	}
	return m
}

// Lane tells which of the node's mountpaths has n's home, and how many there are: jobs that work on many
// names give each mountpath its own workers.
func (s *Store) Lane(n object.Name) (lane, lanes int) {
	l := s.now()
	return l.set.Home(n.Key), len(l.vols)
}
