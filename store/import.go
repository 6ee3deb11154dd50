package store

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/errs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// ImportOptions of an Import.
type ImportOptions struct {
	// Guard is called under the name's lock right before the commit, with what is here; its error is the key's result, and nothing of it is changed.
	Guard func(n object.Name, have KeyState) error
	// Mark > 0 is a first touch: whatever of the two states holds gets this mark, and not the frame's.
	Mark uint64
	// Lazy does not wait for the disk if there is nothing of the key here yet: what comes is durable where it came from, and stays there until this
	// node says otherwise: an Import that is not lazy does so only when it is durable here, Settled makes it so for others. When what is here holds,
	// nothing is changed, its mark neither. It may also be gone from a mountpath that is opened anew: see Openings.
	Lazy bool
	// Settled is the epoch up to which marks say nothing.
	Settled uint64
	// Greater says whether the state that is offered holds against the one that is here; nil = KeyState.Compare.
	Greater func(offered, have KeyState) bool
}

// Outcome is what became of a key that came.
type Outcome uint8

// Outcomes of an import.
const (
	Failed  Outcome = iota // see Err
	Applied                // it replaced what was here
	Had                    // the same was here
	Lower                  // what is here holds
)

// ImportResult is the outcome for one key.
type ImportResult struct {
	Name    object.Name
	Outcome Outcome
	State   KeyState // what is here now, durably; zero with Failed
	Err     error    // why it failed; the other keys have their own outcomes
}

// Import takes over keys from frames, each of which is one whole key in memory: what is offered of a key replaces what is here, whole,
// if it is greater, and nothing otherwise. All that belongs on one mountpath is one synced batch; when Import returns, what was applied
// is durable. A key that comes twice in one call is refused the second time. Batches of 1 to 4 MiB go fastest.
func (s *transfer) Import(ctx context.Context, frames [][]byte, o ImportOptions) []ImportResult {
	results := s.importOnce(ctx, frames, &o)
	for range layoutTries {
		var at []int
		var again [][]byte
		for i := range results {
			if errors.Is(results[i].Err, errRehomed) { // it was received for a mountpath that is not its home any more
				at, again = append(at, i), append(again, frames[i])
			}
		}
		if len(at) == 0 {
			break
		}
		for i, r := range s.importOnce(ctx, again, &o) {
			results[at[i]] = r
		}
	}
	return results
}

func (s *transfer) importOnce(ctx context.Context, frames [][]byte, o *ImportOptions) []ImportResult {
	results := make([]ImportResult, len(frames))
	arrivals := make([]*arrival, len(frames))
	one := func(i int64) { arrivals[i] = s.receiveOne(ctx, frames[i], &results[i]) }
	var next atomic.Int64
	for waits := false; !waits && next.Load() < int64(len(frames)); { // what is in memory needs no help, and leaves a processor to others
		i := next.Add(1) - 1
		one(i)
		waits = arrivals[i] != nil && len(arrivals[i].blobs) > 0
	}
	var wg sync.WaitGroup
	for range min(int64(len(frames))-next.Load(), receiveAtOnce) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(frames)); i = next.Add(1) - 1 {
				one(i)
			}
		})
	}
	wg.Wait()
	s.apply(arrivals, o, results)
	return results
}

// receiveAtOnce is how many frames of a batch are received at a time when there are blobs, which wait for the disk.
const receiveAtOnce = 8

// receiveOne receives a frame that is in memory; nil when it failed.
func (s *transfer) receiveOne(ctx context.Context, frame []byte, result *ImportResult) *arrival {
	fr, r := inMemory(frame)
	a, err := s.receive(ctx, fr, func(*arrival) (bool, error) { return true, nil })
	if a != nil {
		result.Name = a.n
	}
	if err == nil && r.Len() > 0 {
		a.finish(false)
		err = errs.E("store.Import", a.n, errs.Corrupt, "something follows the frame")
	}
	if result.Err = err; err != nil {
		return nil
	}
	return a
}

// ImportStream takes over one key of any size from a frame that is read from r, no byte more. When what is here is not less, the blobs
// of the frame are not read.
func (s *transfer) ImportStream(ctx context.Context, r io.Reader, o ImportOptions) (ImportResult, error) {
	const op = "store.ImportStream"
	a, err := s.receive(ctx, &frameReader{r: r}, func(a *arrival) (bool, error) {
		have, err := s.PeekKey(a.n)
		return err == nil && o.greater(a.state, have), err
	})
	if err != nil {
		return ImportResult{}, errs.E(op, "", err)
	}
	results := []ImportResult{{Name: a.n}}
	s.apply([]*arrival{a}, &o, results)
	if err := results[0].Err; err != nil {
		return ImportResult{}, errs.E(op, a.n, err)
	}
	return results[0], nil
}

func (o *ImportOptions) greater(offered, have KeyState) bool {
	offered, have = offered.settled(o.Settled), have.settled(o.Settled)
	if o.Greater != nil {
		return o.Greater(offered, have)
	}
	return offered.Compare(have) > 0
}

// MarkKeys notes the mark of keys that this node takes over as they are here, durably: a first touch for which nothing came. What is
// marked in a later epoch stays so.
func (s *transfer) MarkKeys(ctx context.Context, names []object.Name, o ImportOptions) []ImportResult {
	results := make([]ImportResult, len(names))
	arrivals := make([]*arrival, len(names))
	for i, n := range names {
		results[i].Name = n
		err := errors.Join(ctx.Err(), s.live("store.MarkKeys", n))
		if err == nil {
			arrivals[i] = &arrival{n: n, skipped: true}
			arrivals[i].vol, err = s.home(n)
		}
		if results[i].Err = err; err != nil {
			arrivals[i] = nil
		}
	}
	s.apply(arrivals, &o, results)
	return results
}

// incoming is an arrival against what is here.
type incoming struct {
	*arrival
	have   *wholeKey
	result *ImportResult
	apply  bool
	marks  uint64 // the mark to be written; 0 = none
	drop   dropping
	gone   *pebble.Batch // what drop takes out of the index; nil = nothing
}

// apply commits arrivals, of which some may be nil, and fills their results.
func (s *transfer) apply(arrivals []*arrival, o *ImportOptions, results []ImportResult) {
	var in []*incoming
	var names []object.Name
	var ids []format.UploadID
	seen := make(map[object.Name]bool, len(arrivals))
	for i, a := range arrivals {
		if a != nil && seen[a.n] {
			a.finish(false)
			results[i].Err = errs.E("store.Import", a.n, errs.Invalid, "the key comes twice in one batch")
		} else if a != nil {
			seen[a.n] = true
			in = append(in, &incoming{arrival: a, result: &results[i]})
			names, ids = append(names, a.n), append(ids, a.ids()...)
		}
	}
	if len(in) == 0 {
		return
	}
	l := s.now()
	err := s.withKeys(names, ids, unknown, func(keys []*wholeKey) error {
		for i, x := range in {
			x.have = keys[i]
			x.decide(o)
		}
		s.moving.RLock() // lists find a key at one home or the other
		defer s.moving.RUnlock()
		s.commitImport(in, o)
		return nil
	})
	if err == nil && !o.Lazy {
		s.settleHad(l, in)
	}
	for _, x := range in {
		if err != nil {
			x.result.Err = err
		}
		if x.result.Err != nil {
			x.result.Outcome, x.result.State = Failed, KeyState{}
		}
		if x.gone != nil {
			closeBatch(x.gone)
		}
		x.finish(x.result.Outcome == Applied)
		if x.result.Outcome == Applied {
			x.drop.unlink(s)
		}
	}
}

// settleHad makes durable what is said to be here already, and was read since l was the layout.
func (s *transfer) settleHad(l *layout, in []*incoming) {
	had := slices.DeleteFunc(slices.Clone(in), func(x *incoming) bool {
		return x.result.Err != nil || x.result.Outcome != Had && x.result.Outcome != Lower
	})
	if len(had) == 0 {
		return
	}
	names := make([]object.Name, len(had))
	for i, x := range had {
		names[i] = x.n
	}
	if err := settleKeys(&s.places, l, names...); err != nil {
		fail(had, err)
	}
}

// decide compares what came with what is here.
func (x *incoming) decide(o *ImportOptions) {
	r := x.result
	if r.Err = x.have.err; r.Err != nil {
		return
	}
	have := x.have.state()
	offered := x.state
	x.apply = !x.skipped && o.greater(offered, have)
	switch {
	case x.apply:
		r.Outcome, r.State = Applied, offered
		x.marks = max(x.mark, have.Authority)
	case o.greater(have, offered):
		r.Outcome, r.State = Lower, have
	case x.skipped && o.greater(offered, have): // it was there a moment ago
		r.Err = errs.E("store.Import", x.n, errs.Conflict, "what is here was removed while the frame came: send it again")
	default:
		r.Outcome, r.State = Had, have
	}
	if x.apply || !o.Lazy {
		x.marks = max(x.marks, o.Mark)
	}
	if x.marks <= have.Authority {
		x.marks = 0
	}
	r.State.Authority = max(r.State.Authority, have.Authority, x.marks)
}

// commitImport commits what is to be applied or marked, one batch for each mountpath. The caller holds all locks.
func (s *transfer) commitImport(in []*incoming, o *ImportOptions) {
	batches := map[*volume]*pebble.Batch{}
	members := map[*volume][]*incoming{}
	rooms := map[*volume]int{}
	for _, x := range in {
		rooms[x.vol] += x.room()
	}
	for _, x := range in {
		if x.result.Err != nil || !x.apply && x.marks == 0 {
			continue
		}
		if x.result.Err = s.prepare(x, o); x.result.Err != nil {
			continue
		}
		b := batches[x.vol]
		if b == nil {
			b = x.vol.db.NewBatchWithSize(min(rooms[x.vol], mostBatch), pebble.WithMaxRetainedSizeBytes(mostBatch))
			batches[x.vol] = b
		}
		members[x.vol] = append(members[x.vol], x)
		if err := x.put(b); err != nil { // half of it may be in the batch
			fail(members[x.vol], err)
			closeBatch(b)
			delete(batches, x.vol)
			delete(members, x.vol)
		}
	}
	defer func() {
		for _, b := range batches {
			closeBatch(b)
		}
	}()
	vols := make([]*volume, 0, len(members))
	for v, xs := range members {
		if err := failpoint.Hit("import.before-commit"); err != nil {
			fail(xs, err)
			continue
		}
		vols = append(vols, v)
		for _, x := range xs {
			lock := s.locks.of(x.n)
			lock.committing.Store(true)
			defer lock.committing.Store(false)
		}
	}
	each(vols, func(_ int, v *volume) {
		if err := v.commit(batches[v], o.class(members[v])); err != nil {
			fail(members[v], err)
		}
	})
	_ = failpoint.Hit("import.after-commit") // past the commit: only a kill matters
	for _, v := range vols {
		for _, x := range members[v] {
			if x.result.Err == nil && x.apply {
				s.dropElsewhere(x)
			}
		}
	}
}

// class is how the batch of xs is committed.
func (o *ImportOptions) class(xs []*incoming) cluster.Durability {
	if !o.Lazy || xs[0].vol.mp.Stuck() > 0 { // a disk that hangs may lose all that was not synced, and come back
		return cluster.Local
	}
	for _, x := range xs {
		if x.have.exists() || x.have.mark > 0 { // removed for good, now or from other mountpaths
			return cluster.Local
		}
	}
	return lazily
}

func fail(xs []*incoming, err error) {
	for _, x := range xs {
		x.result.Err = err
	}
}

// mostBatch bounds the memory that is taken for a batch in advance.
const mostBatch = 3 << 20

// room is about how many bytes x takes in a batch.
func (x *incoming) room() int {
	n := 256 + 2*len(x.n.Key)
	for i := range x.records {
		n += 512 + len(x.n.Key) + len(x.records[i].inline)
	}
	return n
}

// prepare finds out whether x can be committed, and what goes for it. Nothing of x is in a batch before.
func (s *transfer) prepare(x *incoming, o *ImportOptions) error {
	if err := s.live("store.Import", x.n); err != nil { // the bucket may have gone while the content came
		return err
	}
	if home, err := s.home(x.n); err != nil || home != x.vol {
		return errors.Join(err, errs.F("store.Import", x.n, errs.Busy, "%w: send it again", errRehomed))
	}
	for i := 0; x.apply && i < len(x.records); i++ {
		if err := s.versions.learn(x.records[i].Version); err != nil {
			return err
		}
	}
	if x.apply && x.have.exists() {
		x.gone = x.vol.db.NewBatch()
		if err := x.drop.prepare(x.gone, x.vol, x.have); err != nil {
			return err
		}
	}
	for i := range x.uploads {
		if err := s.renumber(x.uploads[i].parts); err != nil {
			return err
		}
	}
	if o.Guard != nil {
		if err := o.Guard(x.n, x.have.state()); err != nil {
			return err
		}
	}
	if !x.apply {
		return nil
	}
	return s.dropGreater(x)
}

// renumber gives parts versions of this node: they must hold against all that may be left of former ones.
func (s *transfer) renumber(parts []format.Part) (err error) {
	for i := range parts {
		if parts[i].Version, err = s.versions.next(object.Version{}, 0); err != nil {
			return err
		}
	}
	return nil
}

// put adds x to the batch of its mountpath.
func (x *incoming) put(b *pebble.Batch) error {
	if x.gone != nil {
		if err := b.Apply(x.gone, nil); err != nil {
			return err
		}
	}
	if x.apply {
		if err := x.encode(b); err != nil {
			return err
		}
	}
	if x.marks == 0 {
		return nil
	}
	return (&mark{x.n, x.marks}).put(b)
}

// encode adds all of the arrival to b.
func (x *incoming) encode(b *pebble.Batch) error {
	n := x.n
	for i := range x.records {
		if err := x.encodeRecord(b, i); err != nil {
			return err
		}
	}
	for i := range x.tables {
		t := &x.tables[i]
		key := format.IDKey(nil, format.FamTable, n.Bucket, n.Key, t.id)
		if err := b.Set(key, format.AppendTable(nil, t.parts, key), nil); err != nil {
			return err
		}
		for j := range t.parts {
			if err := b.Set(format.RefKey(nil, t.parts[j].Blob, n.Bucket, n.Key, owner(t.id)), nil, nil); err != nil {
				return err
			}
		}
	}
	for i := range x.uploads {
		if err := x.encodeUpload(b, &x.uploads[i]); err != nil {
			return err
		}
	}
	return nil
}

func (x *incoming) encodeRecord(b *pebble.Batch, i int) error {
	n, r := x.n, &x.records[i]
	key := format.ObjectKey(nil, format.FamRecord, n.Bucket, n.Key)
	if i > 0 {
		id := format.Invert(r.Born())
		key = format.IDKey(nil, format.FamVersion, n.Bucket, n.Key, id)
		if r.Null() {
			if err := b.Set(format.ObjectKey(nil, format.FamNull, n.Bucket, n.Key), id[:], nil); err != nil {
				return err
			}
		}
	}
	rb := recordPool.get()
	defer recordPool.put(rb)
	rb.b = format.AppendRecord(rb.b[:0], &r.Record, n.Key)
	if err := b.Set(key, rb.b, nil); err != nil {
		return err
	}
	for j := range r.Parts {
		if p := &r.Parts[j]; p.Kind == format.RefBlob {
			if err := b.Set(format.RefKey(nil, p.Blob, n.Bucket, n.Key, r.Owner()), nil, nil); err != nil {
				return err
			}
		}
	}
	if r.inline == nil {
		return nil
	}
	p := &r.Parts[0]
	key = inlineKey(nil, n, p)
	op := b.SetDeferred(len(key), len(r.inline)+format.ContentTrailer)
	copy(op.Key, key)
	format.PutContent(op.Value, r.inline, p.Tag, p.CRC)
	return op.Finish()
}

// encodeUpload adds an upload.
func (x *incoming) encodeUpload(b *pebble.Batch, u *arrivedUpload) error {
	n := x.n
	key := format.IDKey(nil, format.FamUpload, n.Bucket, n.Key, u.id)
	if err := b.Set(key, format.AppendUpload(nil, &u.Upload, key), nil); err != nil {
		return err
	}
	for i := range u.parts {
		p := &u.parts[i]
		key := format.PartKey(nil, n.Bucket, n.Key, u.id, p.Number)
		if err := b.Set(key, format.AppendPart(nil, p, key), nil); err != nil {
			return err
		}
		if err := b.Set(format.RefKey(nil, p.Blob, n.Bucket, n.Key, owner(u.id)), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// dropGreater removes from former homes, before the commit, what would be taken for the current version after it: an interrupted
// import then leaves less of a state that holds no more.
func (s *transfer) dropGreater(x *incoming) error {
	return s.dropFormer(x.have, x.vol, func(f *found) bool {
		return f.Version.Compare(x.state.Version) >= 0
	})
}

// dropElsewhere removes all that former homes have of x, after the commit.
func (s *transfer) dropElsewhere(x *incoming) {
	if err := s.dropFormer(x.have, x.vol, nil); err != nil {
		s.log.Warn("an older copy was not removed", "object", x.n.String(), "err", err)
	}
}

// dropFormer removes from all homes of w but one what is there, if it has a record that fits.
func (s *transfer) dropFormer(w *wholeKey, home *volume, fits func(*found) bool) error {
	var buf [8]*volume
	for _, v := range s.now().homes(w.n, buf[:0]) {
		if v == home || fits != nil && !slices.ContainsFunc(w.records, func(f *found) bool { return f.vol == v && fits(f) }) {
			continue
		}
		var d dropping
		b := v.db.NewBatch()
		err := d.prepare(b, v, w)
		if err == nil && !b.Empty() {
			err = v.commit(b, cluster.Local)
		}
		if closeBatch(b); err != nil {
			return err
		}
		w.forget(v)
		d.unlink(s)
	}
	return nil
}
