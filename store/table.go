package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// Content that was uploaded in parts is a table of blobs, on any of the node's mountpaths. The table stands beside the record, so
// that listings do not read it; the reference to each blob stands in the index of the blob's mountpath and names the content's id.
//
// Mountpaths commit one by one, so a change of references on others is announced first: an entry of the family FamGone, in the batch
// that makes it necessary, says which references must go. It is redone after a crash. References are made before the record
// that needs them, and removed after it; a blob is removed when it has none.

// table is the parts of a content that leaves the index.
type table struct {
	home   *volume
	name   object.Name
	id     [16]byte
	parts  []format.Part
	remote bool // references on other mountpaths must go as well: announced
}

func owner(id [16]byte) format.Owner { return format.Owner{Kind: format.OwnerUpload, ID: id} }

// readTable reads the parts of a content of n.
func readTable(v *volume, n object.Name, id [16]byte) (val []byte, parts []format.Part, err error) {
	const op = "store.readTable"
	key := format.IDKey(nil, format.FamTable, n.Bucket, n.Key, id)
	if val, err = v.getCopy(key); err != nil {
		return nil, nil, err
	}
	if parts, err = format.DecodeTable(val, key); err != nil {
		return nil, nil, v.readError(op, n, err)
	}
	return val, parts, nil
}

// dropTable takes the parts of f's content out of the index.
func (f *found) dropTable(b *pebble.Batch, n object.Name) error {
	v := f.vol
	id, _ := f.Table()
	_, parts, err := readTable(v, n, id)
	if err != nil && !errs.Is(err, errs.NotFound, errs.Corrupt) {
		return err
	}
	if err := b.Delete(format.IDKey(nil, format.FamTable, n.Bucket, n.Key, id), nil); err != nil || f.moved {
		return err
	}
	if err != nil { // the object was unreadable; it can still be removed
		v.log.Error("a damaged object's parts stay on the disks", "mountpath", v.mp.Path(), "object", n.String(), "err", err)
		return nil
	}
	f.table = &table{home: v, name: n, id: id, parts: parts}
	for i := range parts {
		if parts[i].Mount != v.mount {
			f.table.remote = true
		} else if err := b.Delete(format.RefKey(nil, parts[i].Blob, n.Bucket, n.Key, owner(id)), nil); err != nil {
			return err
		}
	}
	if !f.table.remote {
		return nil
	}
	return f.table.announce(b)
}

// announce says in b that the references of t must go, besides those of the same content of which that was said before: a content
// may have been here earlier.
func (t *table) announce(b *pebble.Batch) error {
	key := format.IDKey(nil, format.FamGone, t.name.Bucket, t.name.Key, t.id)
	val, err := t.home.getCopy(key)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if err == nil {
		if before, err := format.DecodeTable(val, key); err == nil {
			t.add(before)
		}
	}
	t.remote = true
	return b.Set(key, format.AppendTable(nil, t.parts, key), nil)
}

// add adds parts that t has not got.
func (t *table) add(parts []format.Part) {
	have := placesOf(t.parts)
	t.parts = slices.Clone(t.parts)
	for i := range parts {
		if !have[placeOf(&parts[i])] {
			t.parts = append(t.parts, parts[i])
		}
	}
}

// partPlace is where a part is: it keeps its blob's id when it moves.
type partPlace struct {
	mount uint64
	blob  format.BlobID
}

func placeOf(p *format.Part) partPlace { return partPlace{p.Mount, p.Blob} }

func placesOf(parts []format.Part) map[partPlace]bool {
	m := make(map[partPlace]bool, len(parts))
	for i := range parts {
		m[placeOf(&parts[i])] = true
	}
	return m
}

// release removes the references of a content that left the index, and the blobs that have none left. What fails is redone by Run.
func (s *places) release(t *table) {
	if err := failpoint.Hit("parts.before-release"); err != nil {
		return
	}
	err := s.unrefAll(t)
	if err == nil && t.remote {
		b := t.home.db.NewBatch()
		defer closeBatch(b)
		if err = b.Delete(format.IDKey(nil, format.FamGone, t.name.Bucket, t.name.Key, t.id), nil); err == nil {
			err = t.home.commit(b, cluster.Volatile) // if it is lost, all is done once more
		}
	}
	if err != nil {
		t.home.log.Warn("a removal will be done once more", "object", t.name.String(), "err", err)
	}
}

// unrefAll removes the references of t and the blobs that have none left.
func (s *places) unrefAll(t *table) (err error) {
	for _, v := range s.volumes() {
		var ids []format.BlobID
		for i := range t.parts {
			if t.parts[i].Mount == v.mount {
				ids = append(ids, t.parts[i].Blob)
			}
		}
		if len(ids) == 0 {
			continue
		}
		verr := v.err()
		if verr == nil {
			verr = t.unref(v, ids)
		}
		for i := range t.parts {
			if verr == nil && t.parts[i].Mount == v.mount {
				verr = s.dropEntry(v, t, &t.parts[i])
			}
		}
		if verr != nil {
			err = errors.Join(err, verr)
			continue
		}
		_ = failpoint.Hit("parts.before-unlink") // past the commit: only a kill matters
		v.unlinkUnreferenced(ids...)
	}
	return err
}

// unref removes the content's references to blobs on v, durably.
func (t *table) unref(v *volume, ids []format.BlobID) error {
	b := v.db.NewBatch()
	defer closeBatch(b)
	for _, id := range ids {
		if err := b.Delete(format.RefKey(nil, id, t.name.Bucket, t.name.Key, owner(t.id)), nil); err != nil {
			return err
		}
	}
	return v.commit(b, cluster.Local)
}

// finishGone does what is left of announced removals.
func (s *places) finishGone(v *volume) error {
	c, err := v.newCursor([]byte{format.FamGone}, []byte{format.FamGone + 1})
	if err != nil {
		return err
	}
	var todo [][]byte
	for ok := c.it.First(); ok; ok = c.it.Next() {
		todo = append(todo, slices.Clone(c.it.Key()))
	}
	if err := errors.Join(c.it.Error(), c.close()); err != nil || len(todo) == 0 {
		return err
	}
	if err := v.settleAll(); err != nil {
		return err
	}
	for _, key := range todo {
		if err := s.finishOne(v, key); err != nil {
			return err
		}
	}
	return nil
}

// finishOne does what is left of one removal, unless references of the content are being made.
func (s *places) finishOne(v *volume, key []byte) error {
	bucket, k, id, _, ok := format.SplitIDKey(key)
	if !ok {
		return nil // unreadable: what Check reports
	}
	if _, busy := s.sharing.LoadOrStore(id, nil); busy {
		return nil
	}
	defer s.sharing.Delete(id)
	val, err := v.getCopy(key) // by now
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	t := &table{home: v, name: object.Name{Bucket: bucket, Key: string(k)}, id: id, remote: true}
	if t.parts, err = format.DecodeTable(val, key); err != nil {
		v.log.Error("a removal cannot be finished: some blobs stay on the disks", "mountpath", v.mp.Path(), "err", err)
		return nil
	}
	if s.sort(t) {
		s.release(t)
	}
	return nil
}

// sort takes out of t what the content's table names by now: its table may have moved to another mountpath since the removal was
// announced, and been changed there. It reports whether the rest can go: not when a table that is not at home yet names something of
// it, or when one that cannot be read may.
func (s *places) sort(t *table) bool {
	lock := s.locks.of(t.name)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	home, err := s.home(t.name)
	if err != nil {
		return false
	}
	unsure := false
	for _, v := range append([]*volume{home}, s.volumes()...) {
		if v.err() != nil {
			unsure = true
			continue
		}
		_, parts, err := readTable(v, t.name, t.id)
		if errs.Is(err, errs.NotFound) {
			continue
		}
		if err != nil {
			return false
		}
		named := placesOf(parts)
		here := func(p format.Part) bool { return named[placeOf(&p)] }
		if v == home {
			t.parts = slices.DeleteFunc(t.parts, here)
			return true
		}
		unsure = unsure || slices.ContainsFunc(t.parts, here)
	}
	return !unsure
}

// pins keep the blobs of contents that are being read. The parts of such a content are opened one at a time, so its blobs must
// stay although their references are gone.
type pins struct {
	n  atomic.Int64 // contents and blobs pinned
	mu sync.Mutex
	m  map[format.BlobID]*pin // by first blob: two contents have all blobs in common, or none

	held map[blobAt]*hold // single blobs
}

// blobAt is where a blob is.
type blobAt struct {
	vol *volume
	id  format.BlobID
}

// hold keeps one blob.
type hold struct {
	users int
	left  bool // to be removed by the last user
}

// hold keeps blobs until they are let go. The caller holds the lock of a name that refers to them.
func (p *pins) hold(blobs []blobAt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = map[blobAt]*hold{}
	}
	for _, at := range blobs {
		h := p.held[at]
		if h == nil {
			h = new(hold)
			p.held[at] = h
			p.n.Add(1)
		}
		h.users++
	}
}

// letGo is the inverse of hold.
func (p *pins) letGo(blobs []blobAt) {
	var left []blobAt
	p.mu.Lock()
	for _, at := range blobs {
		h := p.held[at]
		if h.users--; h.users > 0 {
			continue
		}
		delete(p.held, at)
		p.n.Add(-1)
		if h.left {
			left = append(left, at)
		}
	}
	p.mu.Unlock()
	for _, at := range left {
		if at.vol.err() == nil {
			at.vol.unlinkUnreferenced(at.id) // it may have come back meanwhile
		}
	}
}

// leave lets the last user of a blob that nothing refers to remove it; false when there is none.
func (p *pins) leave(v *volume, id format.BlobID) bool {
	if p.n.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.held[blobAt{v, id}]
	if h != nil {
		h.left = true
	}
	return h != nil
}

type pin struct {
	parts []format.Part // wherever they are, or were when they were pinned
	users int
	later map[*volume][]format.BlobID // to be removed when the last user has gone
}

func (p *pins) take(parts []format.Part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = map[format.BlobID]*pin{}
	}
	x := p.m[parts[0].Blob]
	if x == nil {
		x = &pin{parts: parts}
		p.m[parts[0].Blob] = x
		p.n.Add(1)
	}
	x.add(parts)
	x.users++
}

// add adds where parts are by now: those that moved keep their blobs' ids, and are pinned in either place.
func (x *pin) add(parts []format.Part) {
	if slices.EqualFunc(x.parts, parts, func(a, b format.Part) bool { return placeOf(&a) == placeOf(&b) }) {
		return
	}
	have := placesOf(x.parts)
	x.parts = slices.Clone(x.parts)
	for i := range parts {
		if !have[placeOf(&parts[i])] {
			x.parts = append(x.parts, parts[i])
		}
	}
}

func (p *pins) give(first format.BlobID) {
	p.mu.Lock()
	x := p.m[first]
	if x.users--; x.users > 0 {
		p.mu.Unlock()
		return
	}
	delete(p.m, first)
	p.n.Add(-1)
	p.mu.Unlock()
	for v, ids := range x.later {
		if v.err() == nil {
			v.unlinkUnreferenced(ids...)
		}
	}
}

// postpone returns those blobs of v that nobody reads; the others are removed later. The caller has seen that they have no reference:
// whoever pins them from now on notices.
func (p *pins) postpone(v *volume, ids []format.BlobID) []format.BlobID {
	if p.n.Load() == 0 {
		return ids
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	read := map[format.BlobID]*pin{}
	for _, x := range p.m {
		for i := range x.parts {
			if x.parts[i].Mount == v.mount {
				read[x.parts[i].Blob] = x
			}
		}
	}
	return slices.DeleteFunc(ids, func(id format.BlobID) bool {
		x := read[id]
		if x == nil {
			return false
		}
		if x.later == nil {
			x.later = map[*volume][]format.BlobID{}
		}
		if !slices.Contains(x.later[v], id) {
			x.later[v] = append(x.later[v], id)
		}
		return true
	})
}

// holds reports whether someone reads contents with parts on v.
func (p *pins) holds(v *volume) bool {
	if p.n.Load() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.m {
		if slices.ContainsFunc(x.parts, func(q format.Part) bool { return q.Mount == v.mount }) {
			return true
		}
	}
	for at := range p.held {
		if at.vol == v {
			return true
		}
	}
	return false
}

// multi is a content in parts, open for reading.
type multi struct {
	id     [16]byte // of the content
	pins   *pins
	parts  []format.Part
	starts []int64 // of each part within the object
	open   part    // the part read last
	at     int     // which one that is
}

func (m *multi) close() {
	if m.open.f != nil {
		_ = m.open.f.Close() // opened for reading only
		m.open.f = nil
	}
	m.pins.give(m.parts[0].Blob)
}

// openTable opens content in parts. again says that the record may be stale.
func (o *Object) openTable(f *found) (again bool, err error) {
	const op = "store.openTable"
	id, _ := f.Table()
	val, parts, err := readTable(f.vol, o.name, id)
	if errs.Is(err, errs.NotFound) {
		return true, o.damaged(op, "the table of parts is missing from the index")
	}
	if err == nil && int64(len(parts)) != f.Parts[0].Total || len(parts) == 0 {
		err = errors.Join(err, o.damaged(op, "the table of parts is another's"))
	}
	if err != nil {
		return false, err
	}
	m := &multi{id: id, pins: &o.store.pins, parts: parts, starts: make([]int64, len(parts)), at: -1}
	var at int64
	for i := range parts {
		m.starts[i] = at
		at += parts[i].Size
	}
	if at != f.Size {
		return false, o.damaged(op, "the parts do not add up to the object")
	}
	m.pins.take(parts)
	same, err := indexHas(f.vol, format.IDKey(nil, format.FamTable, o.name.Bucket, o.name.Key, id), val)
	if err == nil && !same { // the parts were removed, or went elsewhere, before they were pinned
		again, err = true, o.damaged(op, "the parts are gone")
	} else if err != nil {
		err = f.vol.readError(op, o.name, err)
	}
	if err != nil {
		m.close()
		return again, err
	}
	o.multi = m
	if err := o.reachable(); err != nil {
		o.multi = nil
		m.close()
		return true, err
	}
	return false, nil
}

// indexHas reports whether the index of v has this value under a key.
func indexHas(v *volume, key, val []byte) (bool, error) {
	if err := v.gate.Enter(); err != nil {
		return false, err
	}
	defer v.gate.Leave()
	now, closer, err := v.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	same := bytes.Equal(now, val)
	return same, closer.Close()
}

// reachable tells before anything is sent that a part cannot be read, because its mountpath is out of service or was given up.
func (o *Object) reachable() error {
	for i := range o.multi.parts {
		if o.multi.parts[i].Size == 0 {
			continue
		}
		_, err := o.store.partVolume(o.name, &o.multi.parts[i])
		if err != nil && o.relocate(i) { // it moved since the table was read
			_, err = o.store.partVolume(o.name, &o.multi.parts[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// partVolume returns where a part of n lies: kind Mountpath while that is out of service, Corrupt when it is no longer the node's.
func (s *places) partVolume(n object.Name, p *format.Part) (*volume, error) {
	v := s.byMount(p.Mount)
	if v == nil {
		return nil, errs.F("store.part", n, errs.Corrupt, "the content of part %d is missing: its mountpath was given up", p.Number)
	}
	return v, v.err()
}

// byMount returns the volume of a mountpath; nil when it is not one of the node's.
func (s *places) byMount(id uint64) *volume {
	for _, v := range s.volumes() {
		if v.mount == id {
			return v
		}
	}
	return nil
}

// writeParts is WriteSpan of content in parts.
func (o *Object) writeParts(w io.Writer, sp object.Span) error {
	m := o.multi
	end := sp.Start + sp.Length
	i := sort.Search(len(m.parts), func(i int) bool { return m.starts[i]+m.parts[i].Size > sp.Start })
	for ; i < len(m.parts) && m.starts[i] < end; i++ {
		if m.parts[i].Size == 0 {
			continue
		}
		if err := o.openPart(i); err != nil {
			return err
		}
		from, to := max(sp.Start-m.starts[i], 0), min(end-m.starts[i], m.parts[i].Size)
		if err := o.writePart(w, &m.open, from, to); err != nil {
			return err
		}
	}
	return nil
}

// openPart makes part i the open one.
func (o *Object) openPart(i int) error {
	m := o.multi
	if m.at == i {
		return nil
	}
	if m.open.f != nil {
		_ = m.open.f.Close() // opened for reading only
	}
	m.at = -1
	err := o.openPartAt(i)
	if errs.Is(err, errs.Corrupt, errs.Mountpath) && o.relocate(i) { // it moved since the table was read
		err = o.openPartAt(i)
	}
	if errs.Is(err, errs.Corrupt) {
		o.suspect(err)
	}
	return err
}

// relocate looks where part i is by now and reports whether that is another mountpath.
func (o *Object) relocate(i int) bool {
	for s := o.store; ; {
		l := s.now()
		if o.relocateIn(l, i) {
			return true
		}
		if s.now() == l { // else the table may have been on its way
			return false
		}
	}
}

func (o *Object) relocateIn(l *layout, i int) bool {
	m := o.multi
	for _, v := range l.homes(o.name, nil) {
		if v.err() != nil {
			continue
		}
		_, parts, err := readTable(v, o.name, m.id)
		if err != nil || len(parts) != len(m.parts) || parts[i].Blob != m.parts[i].Blob || parts[i].Mount == m.parts[i].Mount {
			continue
		}
		p := m.parts[i]
		p.Mount = parts[i].Mount
		m.parts = slices.Clone(m.parts) // pins have the former ones
		m.parts[i] = p
		return true
	}
	return false
}

// openPartAt opens part i where the table says that it is.
func (o *Object) openPartAt(i int) error {
	const op = "store.openPart"
	m := o.multi
	p := &m.parts[i]
	v, err := o.store.partVolume(o.name, p)
	m.open = part{Content: p.Content(), start: m.starts[i], page: -1, vol: v}
	if err != nil {
		return err
	}
	f, err := m.open.vol.mp.OpenFile(p.Blob.Path(), os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return o.damaged(op, "the blob of part "+p.Blob.String()+" is missing")
	}
	if err != nil {
		return m.open.vol.readError(op, o.name, err)
	}
	m.open.f, m.at = f, i
	return nil
}
