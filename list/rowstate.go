package list

import (
	"context"
	"strings"

	"aistore/errs"
	"aistore/object"
)

// Rows of keys that move: every target begins a key with a head, a row that has its mark, also when it has no rows of that key. Of each key the rows
// of the greatest state are taken, whole.

// fromStart is a RowQuery.AfterID that leaves nothing of the key out: no version is newer, no upload older.
func (k Kind) fromStart() string {
	if k == Versions {
		return object.Version{Epoch: 1<<64 - 1, Counter: 1<<64 - 1}.String()
	}
	return strings.Repeat("0", 32)
}

// stateRows is the source of a kind's rows with heads.
func (l *Local) stateRows(ctx context.Context, q *RowQuery, yield func(*Row) bool) error {
	source := l.rows[q.Kind]
	part := *q
	part.Delimiter = ""
	started := q.AfterID == q.Kind.fromStart() // the key After is to be begun
	key, begun := q.After, q.AfterID != "" && !started
	for {
		some, upTo, whole, err := l.someMarks(ctx, q.Bucket, q.Prefix, part.After, started)
		if err != nil {
			return err
		}
		ok := true
		heads := func(upTo string, last bool) { // of keys without rows
			for ok && len(some) > 0 && (last || some[0].key < upTo) {
				if some[0].mark > 0 {
					ok = yield(&Row{Key: some[0].key, Head: true, Mark: some[0].mark})
				}
				some = some[1:]
			}
		}
		err = source(ctx, &part, func(r *Row) bool {
			if !whole && r.Key > upTo {
				return false
			}
			if !begun || r.Key != key {
				key, begun = r.Key, true
				if heads(r.Key, false); !ok {
					return false
				}
				head := Row{Key: r.Key, Head: true}
				if len(some) > 0 && some[0].key == r.Key {
					head.Mark, some = some[0].mark, some[1:]
				}
				if ok = yield(&head); !ok {
					return false
				}
			}
			ok = yield(r)
			return ok
		})
		if err != nil || !ok {
			return err
		}
		if heads("", true); !ok || whole {
			return nil
		}
		part.After, part.AfterID, started = upTo, "", false
	}
}

// rowStates merges rows with heads into a page.
type rowStates struct {
	kind              Kind
	limit             int
	prefix, delimiter string
	after, afterID    string // as the client asks
	out               *RowPage
	dir               string // the group that was shown last
	resumed           []Row  // of the key that the client has seen a part of
}

// newRowStates makes of q, a query as a client asks it, one for targets that tell of states.
func newRowStates(q *RowQuery, limit int) *rowStates {
	m := &rowStates{kind: q.Kind, limit: limit, prefix: q.Prefix, delimiter: q.Delimiter, after: q.After, afterID: q.AfterID, out: &RowPage{Rows: make([]Row, 0, min(limit, 1024))}}
	q.State, q.Delimiter = true, ""
	q.Limit = max(q.Limit, 2) // a head comes again until a row comes with it
	if q.AfterID != "" {
		q.AfterID = q.Kind.fromStart()
	}
	return m
}

func (m *rowStates) merge(ctx context.Context, streams []*rowStream) (*RowPage, error) {
	for !m.out.More {
		var key *string
		for _, s := range streams {
			if h := s.head(); h != nil && (key == nil || h.Key < *key) {
				key = &h.Key
			}
		}
		if key == nil {
			break
		}
		if err := m.oneKey(ctx, streams, *key); err != nil {
			return nil, err
		}
	}
	return m.out, nil
}

// oneKey passes a key in all streams and takes the rows of the one that has its greatest state.
func (m *rowStates) oneKey(ctx context.Context, streams []*rowStream, key string) error {
	var won *rowStream
	var mark uint64
	for _, s := range streams {
		h := s.head()
		if h == nil || h.Key != key {
			continue
		}
		if !h.Head {
			return errs.F("list.rows", "target "+string(s.node.ID), errs.Corrupt, "sent rows of %q without a head", key)
		}
		has := h.Mark
		if err := s.behindHead(ctx, m.dir); err != nil {
			return err
		}
		if won == nil || has > mark || has == mark && won.rowOf(key).older(s.rowOf(key), m.kind) {
			won, mark = s, has
		}
	}
	take := m.taker(key)
	for _, s := range streams {
		for r := s.rowOf(key); r != nil; r = s.rowOf(key) {
			if s == won {
				take(r)
			}
			if m.out.More {
				return nil
			}
			if err := s.next(ctx); err != nil {
				return err
			}
		}
	}
	m.endResumed(key)
	return nil
}

// rowOf is the row it stands on if that is one of key.
func (s *rowStream) rowOf(key string) *Row {
	if h := s.head(); h != nil && h.Key == key && !h.Head {
		return h
	}
	return nil
}

// behindHead steps over the head, which comes again when a page ended with it.
func (s *rowStream) behindHead(ctx context.Context, skip string) error {
	key := s.head().Key
	for h := s.head(); h != nil && h.Head && h.Key == key; h = s.head() {
		if s.skip = skip; skip == "" || !strings.HasPrefix(key, skip) {
			s.skip = ""
		}
		if err := s.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// older reports whether o is newer as the first row of the same key; nil is no row.
func (r *Row) older(o *Row, k Kind) bool {
	if r == nil || o == nil {
		return r == nil && o != nil
	}
	return k == Versions && r.place().Compare(o.place()) < 0
}

// taker returns what takes a key's rows.
func (m *rowStates) taker(key string) func(*Row) {
	if i := strings.Index(key[len(m.prefix):], m.delimiter); m.delimiter != "" && i >= 0 {
		group := key[:len(m.prefix)+i+len(m.delimiter)]
		return func(*Row) {
			if group != m.dir {
				m.add(&Row{Key: group, Dir: true})
				m.dir = group
			}
		}
	}
	if m.resumes(key) {
		return func(r *Row) { m.resumed = append(m.resumed, *r) }
	}
	return m.add
}

// resumes reports whether the client has seen some of the key's rows.
func (m *rowStates) resumes(key string) bool { return m.afterID != "" && key == m.after }

// endResumed adds what the client has not seen of the key. All of its rows were needed to know: the place of the null version is that of its row, and one that
// is gone has left nothing behind it.
func (m *rowStates) endResumed(key string) {
	if !m.resumes(key) {
		return
	}
	mark := Row{Key: key, ID: m.afterID}
	known := mark.ID != object.NullVersion
	for i := range m.resumed {
		if m.resumed[i].ID == mark.ID {
			mark, known = m.resumed[i], true
		}
	}
	for i := range m.resumed {
		if r := &m.resumed[i]; !known || r.compare(&mark, m.kind) > 0 {
			m.add(r)
		}
	}
	m.resumed = nil
}

func (m *rowStates) add(r *Row) {
	if len(m.out.Rows) == m.limit {
		m.out.More = true
		return
	}
	m.out.Rows = append(m.out.Rows, *r)
}
