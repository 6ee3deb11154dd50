package rebalance

import (
	"context"
	"sync"
	"time"

	"aistore/object"
)

// countAfter is how long a move goes on before it is counted how much there is: most are over by then.
const countAfter = time.Second

// count counts the keys that belong elsewhere, for who wants to know how long it will take. The returned function ends it.
func (m *move) count(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if sleep(ctx, countAfter) != nil {
			return
		}
		var total int64
		for lane := range m.lanes {
			n, err := m.countLane(ctx, lane)
			if err != nil {
				return // who moves has met it too, or ctx has ended
			}
			total += n
		}
		m.gen.setTotal(total)
	})
	return func() { cancel(); wg.Wait() }
}

func (m *move) countLane(ctx context.Context, lane int) (n int64, err error) {
	seen, rested := 0, time.Now()
	werr := m.store.WalkKeys(ctx, lane, object.Name{}, func(bucket uint64, key []byte) bool {
		if seen++; seen%1024 == 0 {
			if err = m.gate.yield(ctx, time.Since(rested)); err != nil {
				return false
			}
			rested = time.Now()
		}
		if b := m.view.BucketByID(bucket); b != nil {
			if owner := m.view.Owner(b, string(key)); owner != nil && owner.ID != m.self {
				n++
			}
		}
		return true
	})
	if err == nil {
		err = werr
	}
	return n, err
}
