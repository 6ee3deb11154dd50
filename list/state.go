package list

import (
	"context"
	"strings"

	"aistore/cluster"
	"aistore/errs"
	"aistore/object"
)

// While names move (docs/design/ownership.md) several targets may know a key, and one that knows that it is gone must be able to say so against one that
// has it still. Targets then tell of every key its mark, and of keys that have nothing but a mark; groups are made by who merges.

// Marks yields the marks of a bucket's keys that begin with prefix and are greater than after, in byte order, until yield returns false; from
// includes after itself. (*store.Store).Marks is the one real source.
type Marks func(ctx context.Context, bucket uint64, prefix, after string, from bool, yield func(key string, epoch uint64) bool) error

// SetMarks makes f the source of marks. Call it before the first page.
func (l *Local) SetMarks(f Marks) { l.marks = f }

// moving reports whether keys may have to be compared.
func moving(m *cluster.Map) bool { return len(m.Former) > 0 }

// marksAtOnce is how many marks are read before the names between them.
const marksAtOnce = 1024

// marked is a key and its mark.
type marked struct {
	key  string
	mark uint64
}

// someMarks reads marks from behind after on. upTo is the key up to which they are all, whole says that there are no more. They are read before the names: a
// key that changes in between then has a newer object than mark, never the reverse.
func (l *Local) someMarks(ctx context.Context, bucket uint64, prefix, after string, from bool) (some []marked, upTo string, whole bool, err error) {
	v := l.cl.View()
	if v == nil || l.marks == nil {
		return nil, "", true, errs.E("list.marks", "node", errs.Unavailable, "has no view or no marks")
	}
	whole = true
	err = l.marks(ctx, bucket, prefix, after, from, func(key string, epoch uint64) bool {
		if len(some) == marksAtOnce {
			whole = false
			return false
		}
		if epoch <= v.Map.Settled {
			epoch = 0 // says nothing any more; but it was read
		}
		some = append(some, marked{strings.Clone(key), epoch})
		return true
	})
	if !whole {
		upTo = some[len(some)-1].key
	}
	return some, upTo, whole, err
}

// scanStates is scan with marks.
func (l *Local) scanStates(ctx context.Context, q *Query, emit func(*Entry) int) (more bool, err error) {
	var e Entry
	used := 0
	put := func() bool {
		if used >= q.Limit {
			more = true
			return false
		}
		used = emit(&e)
		return true
	}
	for after := q.After; ; {
		some, upTo, whole, err := l.someMarks(ctx, q.Bucket, q.Prefix, after, false)
		if err != nil {
			return false, err
		}
		ok := true
		before := func(key string, last bool) bool { // marks of keys that have no object
			for ok && len(some) > 0 && (last || some[0].key < key) {
				e = Entry{Name: some[0].key, Mark: some[0].mark, Gone: true}
				some = some[1:]
				ok = e.Mark == 0 || put()
			}
			return ok
		}
		err = l.names(ctx, q.Bucket, q.Prefix, after, func(o *object.Info) bool {
			if !whole && o.Key > upTo {
				return false
			}
			if !before(o.Key, false) {
				return false
			}
			l.fill(&e, o, q.Fields)
			if len(some) > 0 && some[0].key == o.Key {
				e.Mark, some = some[0].mark, some[1:]
			}
			ok = put()
			return ok
		})
		if err != nil {
			return false, err
		}
		if !before("", true) || whole {
			return more, l.still(q.Epoch, q.Stage)
		}
		after = upTo
	}
}

// mergeStates is merge of streams with marks: of each key the greatest state holds.
func mergeStates(ctx context.Context, streams []*stream, r Request) (*Result, error) {
	h := newHeap(streams)
	res := &Result{Entries: make([]*Entry, 0, min(r.Limit, 1024))}
	var last *Entry // shown last, or left out as a group
	dir := ""
	for len(h) > 0 {
		name := h[0].head().Name
		var won *Entry
		for len(h) > 0 && h[0].head().Name == name {
			s := h[0]
			if e := s.head(); won == nil || won.older(e) {
				won = e
			}
			if s.skip = dir; r.Delimiter == "" {
				s.skip = ""
			}
			if err := s.next(ctx); err != nil {
				return nil, err
			}
			if s.ended {
				h[0] = h[len(h)-1]
				h = h[:len(h)-1]
			}
			if len(h) > 1 {
				h.down(0)
			}
		}
		if won.Gone || dir != "" && strings.HasPrefix(name, dir) {
			continue
		}
		if len(res.Entries) == r.Limit {
			res.Next = last.After()
			return res, nil
		}
		if e := won.grouped(r.Prefix, r.Delimiter); e != won {
			dir, last = e.Name, e
			if !r.NoDirs {
				res.Entries = append(res.Entries, e)
			}
			continue
		}
		last = won
		res.Entries = append(res.Entries, won)
	}
	return res, nil
}

// older reports whether o is a newer state of the key than e.
func (e *Entry) older(o *Entry) bool {
	if e.Mark != o.Mark {
		return e.Mark < o.Mark
	}
	return e.Version.Compare(o.Version) < 0
}

// grouped returns the group that e belongs to, or e.
func (e *Entry) grouped(prefix, delimiter string) *Entry {
	if delimiter == "" {
		return e
	}
	i := strings.Index(e.Name[len(prefix):], delimiter)
	if i < 0 {
		return e
	}
	return &Entry{Name: e.Name[:len(prefix)+i+len(delimiter)], Dir: true}
}
