package rebalance

import (
	"cmp"
	"slices"
	"sync"

	"aistore/object"
)

func compareNames(a, b object.Name) int {
	return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Key, b.Key))
}

// batch is some keys of one mountpath and one owner, in the order of the index.
type batch struct {
	lane  int
	names []object.Name
	bytes int // of names
	acked tally
	again bool
	done  bool
}

func (b *batch) last() object.Name { return b.names[len(b.names)-1] }

// maxFailed is how many keys that failed are remembered one by one for each mountpath and owner. With more, the walk goes over them again.
const maxFailed = 1024

// front is how far the keys of one mountpath that belong to one owner are acknowledged. What lies behind it in the order of the index is
// looked at again in the next pass; what was acknowledged there before is then found to be there.
type front struct {
	after  object.Name   // up to here all is acknowledged but for failed
	whole  bool          // and that is the whole index
	frozen bool          // something behind it failed: it stays where it is in this pass
	open   []*batch      // sent, in their order, up to the first that is lost
	failed []object.Name // one by one
	acked  tally         // up to after, and of those that failed before
}

// complete reports whether nothing is left to be acknowledged.
func (f *front) complete() bool { return f.whole && len(f.failed) == 0 }

// settle notes what became of a batch: which keys failed, or that it is lost and nothing is known of any.
func (f *front) settle(b *batch, failed []object.Name, lost bool) {
	if b.again {
		if !lost {
			f.acked.add(b.acked)
			f.failed = slices.DeleteFunc(f.failed, func(n object.Name) bool {
				_, sent := slices.BinarySearchFunc(b.names, n, compareNames)
				return sent && !slices.Contains(failed, n)
			})
		}
		return
	}
	if lost || len(f.failed)+len(failed) > maxFailed {
		f.frozen = true
		if at := slices.Index(f.open, b); at >= 0 { // what was sent after it is looked at again
			f.open = slices.Delete(f.open, at, len(f.open))
		}
	} else {
		f.failed = append(f.failed, failed...)
		b.done, b.names = true, []object.Name{b.last()} // it may have to wait long for one before it
	}
	for len(f.open) > 0 && f.open[0].done {
		f.acked.add(f.open[0].acked)
		f.after, f.open = f.open[0].last(), f.open[1:]
	}
}

// fronts are those of one owner, one for each mountpath.
type fronts struct {
	mu    sync.Mutex
	lanes []front
}

// begin prepares the next pass.
func (fs *fronts) begin() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i := range fs.lanes {
		fs.lanes[i].frozen, fs.lanes[i].open = false, nil
	}
}

// start is from where a lane must be walked; false if it need not be.
func (fs *fronts) start(lane int) (object.Name, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.lanes[lane].after, !fs.lanes[lane].whole
}

// sent notes that b is on its way.
func (fs *fronts) sent(b *batch) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := &fs.lanes[b.lane]; !b.again && !f.frozen {
		f.open = append(f.open, b)
	}
}

func (fs *fronts) settle(b *batch, failed []object.Name, lost bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.lanes[b.lane].settle(b, failed, lost)
}

// freeze keeps the front of a lane where it is: not all before the end of the walk was sent.
func (fs *fronts) freeze(lane int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.lanes[lane].frozen = true
}

// end notes that a lane was walked to its end and everything sent has been settled.
func (fs *fronts) end(lane int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := &fs.lanes[lane]
	f.whole = f.whole || !f.frozen && len(f.open) == 0
}

// retry returns the keys of a lane that failed one by one, in order. They count as failed until they are settled.
func (fs *fronts) retry(lane int) []object.Name {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	names := slices.Clone(fs.lanes[lane].failed)
	slices.SortFunc(names, compareNames)
	return slices.Compact(names)
}

func (fs *fronts) complete() bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return !slices.ContainsFunc(fs.lanes, func(f front) bool { return !f.complete() })
}

// acknowledged is what will not be looked at again.
func (fs *fronts) acknowledged() (all tally) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i := range fs.lanes {
		all.add(fs.lanes[i].acked)
	}
	return all
}

// reset lets everything be looked at again.
func (fs *fronts) reset() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i := range fs.lanes {
		fs.lanes[i] = front{failed: fs.lanes[i].failed}
	}
}
