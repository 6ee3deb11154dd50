package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/deploy/local"
	"aistore/test/linear"
	"aistore/test/procs"
)

// TestHalfChanged overwrites a quarter of all keys and deletes another while a node leaves, returns, leaves in the middle of that and
// returns again. In the end every key is read, and must be what it was last.
func TestHalfChanged(t *testing.T) {
	t.Parallel()
	const keys = 240
	ctx := context.Background()
	dir := procs.Dir(t)
	c := procs.Start(t, local.Options{Dir: dir, Gateways: 1, Targets: 3, Mountpaths: 2})
	hasten(t, c)
	m := newMover(t, c, procs.Seed(t), c.Client("g1"))
	w := &changer{mover: m, rnd: rand.New(rand.NewPCG(m.seed, 10))}
	w.values.Store(m.seed << 32)
	m.load.Names = linear.Names(keys)
	w.change(ctx, m.load.Names, nil)
	for range rounds(1, 8) {
		w.half(ctx, func() { m.leave(ctx) })
		w.half(ctx, func() {
			m.slow(ctx, trickle)
			for _, turn := range []func(context.Context, ...string){m.comes, m.goes, m.comes} {
				turn(ctx, comer)
				moved, _ := m.underWay(1 + w.rnd.Int64N(keys/4))
				t.Logf("%d objects had moved when the next change came", moved)
			}
		})
		m.slow(ctx, 0)
		m.settled("half changed")
		must(t, m.load.Audit(ctx))
	}
	m.end(ctx, dir)
}

// changer writes and deletes keys of the load one by one.
type changer struct {
	*mover
	rnd    *rand.Rand
	values atomic.Uint64
}

// half changes half of all keys, one half of it to nothing, while do does what it does.
func (w *changer) half(ctx context.Context, do func()) {
	w.t.Helper()
	names := append([]string(nil), w.load.Names...)
	w.rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	n := len(names) / 4
	var changing sync.WaitGroup
	changing.Go(func() { w.change(ctx, names[:n], names[n:2*n]) })
	do()
	changing.Wait()
}

// change writes some names and deletes others until that is acknowledged, four at a time.
func (w *changer) change(ctx context.Context, write, remove []string) {
	var all []*linear.Op
	for i, name := range write {
		all = append(all, &linear.Op{Kind: linear.Put, Name: name, Size: []int64{100, 4096, 10_000, 150_000}[i%4]})
	}
	for _, name := range remove {
		all = append(all, &linear.Op{Kind: linear.Delete, Name: name})
	}
	w.rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	next := make(chan *linear.Op)
	var workers sync.WaitGroup
	for id := range 4 {
		workers.Go(func() {
			for o := range next {
				o.Client = id
				if _, err := procs.Await(endsWithin, func(ctx context.Context) error { return w.try(ctx, *o) }); err != nil {
					w.t.Errorf("%s of %s: %v", o.Kind, o.Name, err)
				}
			}
		})
	}
	for _, o := range all {
		next <- o
	}
	close(next)
	workers.Wait()
}

// try makes one request and returns an error if it has to be made again. Each has a value of its own.
func (w *changer) try(ctx context.Context, o linear.Op) error {
	if o.Kind == linear.Put {
		o.Value = w.values.Add(1)
	}
	w.load.Do(ctx, w.load.Clients[0], &o, nil)
	if o.Result != linear.OK && o.Result != linear.Absent {
		return fmt.Errorf("%s", o.Err)
	}
	return nil
}
