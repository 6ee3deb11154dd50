package store

import (
	"context"
	"errors"
	"slices"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// Unsettled reports whether anything may lie outside its home that can be read.
func (s *moves) Unsettled() bool {
	return s.now().set.Work()
}

// Freed returns a channel that is closed when a copy or an append next lets go of what it held: a Move that was in vain may be none now.
func (s *moves) Freed() <-chan struct{} { return s.freed.next() }

// Pass is one walk over the indexes for what is not at home. It is of the mountpaths as they were when it began.
type Pass struct {
	s *moves
	l *layout
}

// BeginPass waits until nothing can be written any more by an older notion of where names belong.
func (s *moves) BeginPass() *Pass {
	p := &Pass{s, s.now()}
	s.locks.barrier()
	s.uploads.barrier()
	s.sessions.begun.Lock()
	s.sessions.begun.Unlock() //nolint:staticcheck // waiting is the purpose
	return p
}

// Lanes is how many mountpaths there are; Each works on one of them.
func (p *Pass) Lanes() int { return len(p.l.vols) }

// Paths are those of the lanes' mountpaths.
func (p *Pass) Paths() []string {
	paths := make([]string, len(p.l.vols))
	for i, v := range p.l.vols {
		paths[i] = v.mp.Path()
	}
	return paths
}

// Same reports whether q is of the same mountpaths, of which none came or went between.
func (p *Pass) Same(q *Pass) bool { return p.l == q.l }

// Valid reports whether the mountpaths are still those of the pass.
func (p *Pass) Valid() bool { return p.s.now() == p.l }

// Move is something that is not at home.
type Move struct {
	Name object.Name
	s    *moves
	run  func(ctx context.Context) (Moved, error)
}

// Run brings it home.
func (m *Move) Run(ctx context.Context) (Moved, error) {
	did, err := m.run(ctx)
	if did.Versions > 0 { // what fails counts where something has changed: one that cannot be made must not keep walks from their end
		m.s.shifts.Add(1)
	}
	return did, err
}

// chunkNames is how many index entries are looked at before the iterator is renewed, which holds on to what was removed since.
const chunkNames = 4096

// Each yields what the lane's mountpath has that belongs elsewhere, in the order of its index; scanned counts the entries looked at.
// A mountpath that is out of service and cannot be read has nothing.
func (p *Pass) Each(ctx context.Context, lane int, scanned func(n int), yield func(Move) error) error {
	const op = "store.Each"
	v := p.l.vols[lane]
	if v.err() != nil {
		return nil
	}
	out, isOut := p.l.set.Out(lane)
	leaving := isOut && out.Standing == fs.Leaving
	w := walker{p: p, v: v, lane: lane, leaving: leaving, scanned: scanned, yield: yield}
	// Marks come last: who removes a record or an upload outside its home leaves the mark there, and nobody can any more when there are none.
	for _, fam := range []byte{format.FamUpload, format.FamRecord, format.FamVersion, format.FamGone, format.FamMark} {
		if err := w.family(ctx, fam); err != nil {
			return errs.E(op, v.mp.Path(), err)
		}
	}
	if len(p.leaving()) > 0 { // parts lie anywhere, their tables at home
		if err := w.family(ctx, format.FamTable); err != nil {
			return errs.E(op, v.mp.Path(), err)
		}
	}
	if leaving {
		for _, fam := range []byte{format.FamPart, format.FamAppend} {
			if err := w.family(ctx, fam); err != nil {
				return errs.E(op, v.mp.Path(), err)
			}
		}
	}
	return nil
}

// leaving are the volumes that are about to be released.
func (p *Pass) leaving() (vols []*volume) {
	for i, v := range p.l.vols {
		if m, out := p.l.set.Out(i); out && m.Standing == fs.Leaving && v.err() == nil {
			vols = append(vols, v)
		}
	}
	return vols
}

// walker finds what is not at home on one volume.
type walker struct {
	p       *Pass
	v       *volume
	lane    int
	leaving bool
	scanned func(n int)
	yield   func(Move) error
	moves   []Move
}

// family walks one family of keys.
func (w *walker) family(ctx context.Context, fam byte) error {
	from, end := []byte{fam}, []byte{fam + 1}
	var err error
	for from != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		if from, err = w.chunk(from, end); err != nil {
			return err
		}
		for _, m := range w.moves {
			if err := w.yield(m); err != nil {
				return err
			}
		}
		w.moves = w.moves[:0]
	}
	return nil
}

func (w *walker) chunk(from, end []byte) (next []byte, err error) {
	c, err := w.v.newCursor(from, end)
	if err != nil {
		return nil, err
	}
	n := 0
	for ok := c.it.First(); ok; ok = c.it.Next() {
		if n++; n > chunkNames || len(w.moves) >= 256 {
			next = slices.Clone(c.it.Key())
			break
		}
		var val []byte
		if w.needsValue(c.it.Key()[0]) {
			if val, err = c.it.ValueAndErr(); err != nil {
				break
			}
		}
		w.look(c.it.Key(), val)
	}
	w.scanned(n)
	if err = errors.Join(err, c.it.Error(), c.close()); err != nil {
		return nil, w.v.readError("store.Each", object.Name{}, err)
	}
	return next, nil
}

func (w *walker) needsValue(fam byte) bool { return fam == format.FamTable || fam == format.FamAppend }

func (w *walker) add(n object.Name, run func(ctx context.Context) (Moved, error)) {
	w.moves = append(w.moves, Move{Name: n, s: w.p.s, run: run})
}

// look decides about one entry.
func (w *walker) look(key, val []byte) {
	s := w.p.s
	fam := key[0]
	if fam == format.FamAppend {
		if len(val) >= sessionHead && len(key) == 1+len(sessionID{}) {
			id := sessionID(key[1:])
			n := object.Name{Key: string(val[sessionHead:])}
			w.add(n, func(ctx context.Context) (Moved, error) { return s.moveSession(ctx, w.v, n, id) })
		}
		return
	}
	bucket, k, ok := format.SplitObjectKey(key)
	var id [16]byte
	if fam != format.FamRecord && fam != format.FamMark {
		bucket, k, id, _, ok = format.SplitIDKey(key)
	}
	if !ok {
		return // unreadable: what Check reports
	}
	if _, gone := s.destroyed.Load(bucket); gone {
		return
	}
	n := object.Name{Bucket: bucket, Key: string(k)}
	away := w.p.l.set.Home(n.Key) != w.lane
	switch fam {
	case format.FamRecord, format.FamVersion:
		if away && !(fam == format.FamVersion && w.same(n)) {
			w.add(n, func(ctx context.Context) (Moved, error) { return s.moveName(ctx, n, w.v) })
		}
	case format.FamMark:
		if away {
			w.add(n, func(context.Context) (Moved, error) { return s.moveMark(w.v, n) })
		}
	case format.FamUpload:
		if away {
			w.add(n, func(ctx context.Context) (Moved, error) { return s.moveUpload(ctx, w.v, n, id) })
		}
	case format.FamGone:
		if away {
			w.add(n, func(ctx context.Context) (Moved, error) { return s.moveGone(w.v, n, id) })
		}
	case format.FamPart:
		if !w.same(n) {
			w.add(n, func(ctx context.Context) (Moved, error) { return s.moveUploadParts(ctx, w.v, n, id) })
		}
	case format.FamTable:
		parts, err := format.DecodeTable(val, key)
		if err == nil && !away && w.hasPartsOn(parts) {
			w.add(n, func(ctx context.Context) (Moved, error) { return s.moveParts(ctx, w.v, n, id, w.p.leaving()) })
		}
	}
}

// same reports whether the last move is of this name, which takes everything of it.
func (w *walker) same(n object.Name) bool {
	return len(w.moves) > 0 && w.moves[len(w.moves)-1].Name == n
}

func (w *walker) hasPartsOn(parts []format.Part) bool {
	for _, v := range w.p.leaving() {
		if slices.ContainsFunc(parts, func(p format.Part) bool { return p.Mount == v.mount }) {
			return true
		}
	}
	return false
}

// End is called after a pass that found nothing to move and was valid all the time. It releases the mountpaths that were to leave and
// notes that the set is settled, as far as it can be. again says that someone still reads what leaves, or that there is more to do.
func (p *Pass) End(ctx context.Context) (again bool, err error) {
	const op = "store.End"
	s := p.s
	s.changing.Lock()
	defer s.changing.Unlock()
	if !p.Valid() {
		return true, nil
	}
	if len(p.leaving()) > 0 { // a removal that was interrupted may be of something there
		for _, v := range p.l.vols {
			if v.err() != nil {
				continue
			}
			if err := s.finishGone(v); err != nil {
				return true, errs.E(op, v.mp.Path(), err)
			}
		}
	}
	for _, v := range p.leaving() {
		done, err := s.releaseVolume(ctx, v)
		if err != nil {
			return true, errs.E(op, v.mp.Path(), err)
		}
		again = again || !done
	}
	if again {
		return true, nil
	}
	l := s.now()
	if !l.set.Unsure() {
		if err := s.sweepTombstones(ctx); err != nil {
			return true, errs.E(op, "", err)
		}
	}
	set, err := l.set.Settle()
	if err != nil {
		return true, errs.E(op, "", err)
	}
	s.publish(set, nil)
	return false, nil
}

// releaseVolume takes an emptied volume away from the node; done is false while anything is there, or read.
//
// Operations read a layout and then use its volumes. Those under the lock of a name or an upload have let it go when the volume is
// closed, what writes a blob keeps it from being released, and the others try again by the new layout (steady).
func (s *moves) releaseVolume(ctx context.Context, v *volume) (done bool, err error) {
	if s.pins.holds(v) || !v.writers.keepOut() {
		return false, nil
	}
	dropped := false
	defer func() {
		if !dropped {
			v.writers.letIn()
		}
	}()
	if empty, err := isEmpty(v); err != nil || !empty {
		return false, err
	}
	if err := failpoint.Hit("detach.before-drop"); err != nil {
		return false, err
	}
	set, err := s.now().set.DropEmptied(v.mp)
	if err != nil {
		return false, err
	}
	dropped = true
	s.publish(set, nil)
	_ = failpoint.Hit("detach.after-drop") // past the commit: only a kill matters
	s.uploads.barrier()
	s.locks.barrier()
	for !v.gate.Drain(s.cfg.CloseWithin, func() {}) { // readers of long lists
		if err := ctx.Err(); err != nil {
			return true, err
		}
	}
	err = errors.Join(v.close(s.cfg.CloseWithin, 0), v.mp.Release())
	s.log.Info("mountpath released", "mountpath", v.mp.Path(), "id", v.mp.ID())
	return true, errors.Join(err, v.mp.Close())
}

// isEmpty reports whether a volume has nothing that anyone could miss.
func isEmpty(v *volume) (bool, error) {
	for _, fam := range format.Families() {
		if fam == format.FamMeta {
			continue
		}
		c, err := v.newCursor([]byte{fam}, []byte{fam + 1})
		if err != nil {
			return false, err
		}
		some := c.it.First()
		if some {
			v.log.Debug("not empty", "mountpath", v.mp.Path(), "family", string(fam), "key", printable(c.it.Key()))
		}
		if err := errors.Join(c.it.Error(), c.close()); err != nil || some {
			return false, err
		}
	}
	return true, nil
}

// sweepTombstones removes the records of deletes that nobody needs any more: no mountpath is away, and none has an older copy.
func (s *moves) sweepTombstones(ctx context.Context) error {
	for _, v := range s.volumes() {
		swept := false
		for from := []byte{format.FamRecord}; from != nil; {
			if err := ctx.Err(); err != nil {
				return err
			}
			var names []object.Name
			var err error
			if names, from, err = tombstones(v, from); err != nil {
				return err
			}
			for _, n := range names {
				swept = true
				if err := s.dropTombstone(v, n); err != nil {
					return err
				}
			}
		}
		if !swept {
			continue
		}
		b := v.db.NewBatch() // makes the above durable
		err := v.commit(b, cluster.Local)
		closeBatch(b)
		if err != nil {
			return err
		}
	}
	return nil
}

// tombstones looks at some records from a key on and returns where to go on, nil at the end.
func tombstones(v *volume, from []byte) (names []object.Name, next []byte, err error) {
	c, err := v.newCursor(from, []byte{format.FamRecord + 1})
	if err != nil {
		return nil, nil, err
	}
	n := 0
	for ok := c.it.First(); ok; ok = c.it.Next() {
		if n++; n > chunkNames {
			next = slices.Clone(c.it.Key())
			break
		}
		bucket, k, ok := format.SplitObjectKey(c.it.Key())
		val, err := c.it.ValueAndErr()
		var r format.Record
		if err == nil && ok && format.DecodeRecord(&r, val, k) == nil && r.Tombstone() && len(r.S3ID) == 0 {
			names = append(names, object.Name{Bucket: bucket, Key: string(k)})
		}
	}
	return names, next, errors.Join(c.it.Error(), c.close())
}

func (s *moves) dropTombstone(v *volume, n object.Name) error {
	lock := s.locks.of(n)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	var f found
	ok, err := v.read(&f, n)
	if err != nil || !ok {
		return err
	}
	defer f.close()
	if !f.Tombstone() || len(f.S3ID) > 0 {
		return nil
	}
	return f.remove(n, cluster.Volatile, nil)
}
