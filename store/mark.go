package store

import (
	"context"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
	"aistore/store/format"
)

// A mark is an epoch beside a key: in it this node, as the key's owner, took the key over and perhaps changed it. Lists do not see
// marks, and a mark without anything else says that the key was deleted. It stands on any of the key's homes; the greatest counts.

// mark is one on its way into an index.
type mark struct {
	n     object.Name
	epoch uint64
}

// put adds the mark to b; nil is none.
func (m *mark) put(b *pebble.Batch) error {
	if m == nil {
		return nil
	}
	key := format.ObjectKey(nil, format.FamMark, m.n.Bucket, m.n.Key)
	return b.Set(key, format.AppendMark(nil, m.epoch, key), nil)
}

// raise returns the mark that a change of n must write; nil when none is wanted or it is there already. A key that was marked in a
// later epoch is changed in that one: its versions must go on growing. newest, if there is one, speaks for wanted, and for epoch if it tells
// a later one. The caller holds the name's lock.
func (s *places) raise(n object.Name, wanted bool, newest func() (epoch uint64, mark bool), epoch *uint64) (*mark, error) {
	if newest != nil {
		var e uint64
		e, wanted = newest()
		*epoch = max(*epoch, e)
	}
	if !wanted {
		return nil, nil
	}
	l := s.now()
	have, sure, err := s.markOf(n)
	if err != nil {
		return nil, err
	}
	if have >= *epoch {
		*epoch = have
		if sure && len(l.homes(n, nil)) > 1 { // a lazy import may have brought it to another mountpath than what is written now
			return nil, settleKeys(s, l, n)
		}
		if sure {
			return nil, nil
		}
	}
	return &mark{n, *epoch}, nil
}

// markOf reads the mark of n; 0 when it has none. Where a mountpath is away that may have a greater one than was found, it is sure only
// that there is none above.
func (s *places) markOf(n object.Name) (epoch uint64, sure bool, err error) {
	l := s.now()
	var above uint64
	var buf [8]*volume
	for _, v := range l.homes(n, buf[:0]) {
		if err := v.err(); err != nil {
			last := l.lastOf(v)
			if last.IsZero() {
				return 0, false, err
			}
			above = max(above, last.Epoch)
			continue
		}
		one, err := markIn(v, n)
		if err != nil {
			return 0, false, err
		}
		epoch = max(epoch, one)
	}
	return max(epoch, above), epoch >= above, nil
}

// Mark returns the epoch in which this node took n over last; 0 when that is not noted.
func (s *transfer) Mark(n object.Name) (epoch uint64, err error) {
	err = s.steady(func() error {
		one, sure, err := s.markOf(n)
		if err == nil && !sure {
			err = errs.E("store.Mark", n, errs.Mountpath, "a mountpath is away that may have it")
		}
		epoch = one
		return err
	})
	if err != nil {
		return 0, errs.E("store.Mark", n, err)
	}
	return epoch, nil
}

// markIn reads the mark of n in v; 0 when there is none.
func markIn(v *volume, n object.Name) (epoch uint64, err error) {
	const op = "store.markIn"
	kb := v.keys.get()
	defer v.keys.put(kb)
	key := format.ObjectKey(kb[:0], format.FamMark, n.Bucket, n.Key)
	if err := v.gate.Enter(); err != nil {
		return 0, err
	}
	defer v.gate.Leave()
	val, closer, err := v.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err == nil {
		epoch, err = format.DecodeMark(val, key)
		err = errors.Join(err, closer.Close())
	}
	if err != nil {
		return 0, v.readError(op, n, err)
	}
	return epoch, nil
}

// markFirst notes the mark before the part of an upload, which may be on a mountpath that is none of the key's homes. Whether the key is still this
// node's is asked before: the mark of an epoch in which it is another's would hold against all that the owner has changed since.
func (s *multipart) markFirst(n object.Name, o *PartOptions) error {
	if o.Newest != nil {
		_, o.Mark = o.Newest()
	}
	if !o.Mark {
		return nil
	}
	lock := s.locks.of(n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	l := s.now()
	m, err := s.raise(n, o.Mark, o.Newest, &o.Epoch)
	if err == nil && m == nil && o.Mark { // a lazy import may have brought the mark, and the upload
		err = settleKeys(&s.places, l, n)
	}
	if m == nil || err != nil {
		return err
	}
	if o.Guard != nil {
		if err := o.Guard(); err != nil {
			return err
		}
	}
	home, err := s.home(n)
	if err != nil {
		return err
	}
	b := home.db.NewBatch()
	defer closeBatch(b)
	if err := m.put(b); err != nil {
		return err
	}
	return home.commit(b, cluster.Local)
}

// marksAtOnce is how many marks are dropped in one step.
const marksAtOnce = 512

// DropMarks removes the marks up to an epoch. It can be repeated, and ended at any time.
func (s *transfer) DropMarks(ctx context.Context, upTo uint64) (dropped int64, err error) {
	err = s.steady(func() error {
		n, err := s.dropMarksNow(ctx, upTo)
		dropped += n
		return err
	})
	return dropped, err
}

func (s *transfer) dropMarksNow(ctx context.Context, upTo uint64) (dropped int64, err error) {
	const op = "store.DropMarks"
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue // marks that say nothing do no harm where they come back
		}
		for from := []byte{format.FamMark}; from != nil; {
			var n int
			if err = ctx.Err(); err == nil {
				from, n, err = s.dropMarks(v, from, upTo)
			}
			if err != nil {
				return dropped, errs.E(op, v.mp.Path(), err)
			}
			dropped += int64(n)
		}
	}
	return dropped, nil
}

// dropMarks is one step, from the index key on; it returns where to go on, nil at the end.
func (s *transfer) dropMarks(v *volume, from []byte, upTo uint64) (next []byte, dropped int, err error) {
	c, err := v.newCursor(from, []byte{format.FamMark + 1})
	if err != nil {
		return nil, 0, err
	}
	var names []object.Name
	ok := c.it.First()
	for seen := 0; ok && err == nil && seen < 64*marksAtOnce && len(names) < marksAtOnce; seen++ {
		var val []byte
		if val, err = c.it.ValueAndErr(); err != nil {
			break
		}
		bucket, key, good := format.SplitObjectKey(c.it.Key())
		if epoch, derr := format.DecodeMark(val, c.it.Key()); good && (derr != nil || epoch <= upTo) { // a damaged one says nothing
			names = append(names, object.Name{Bucket: bucket, Key: string(key)})
		}
		ok = c.it.Next()
	}
	if ok {
		next = slices.Clone(c.it.Key())
	}
	if err := errors.Join(err, c.it.Error(), c.close()); err != nil || len(names) == 0 {
		return next, 0, err
	}
	unlock := s.lockNames(names)
	defer unlock()
	b := v.db.NewBatch()
	defer closeBatch(b)
	for _, n := range names {
		key := format.ObjectKey(nil, format.FamMark, n.Bucket, n.Key)
		val, err := v.getCopy(key) // it may have been written anew
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		if epoch, derr := format.DecodeMark(val, key); derr == nil && epoch > upTo {
			continue
		}
		if err := b.Delete(key, nil); err != nil {
			return nil, 0, err
		}
		dropped++
	}
	return next, dropped, v.commit(b, cluster.Volatile) // if it is lost, all is done once more
}
