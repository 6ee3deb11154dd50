package rebalance

import (
	"fmt"
	"testing"

	"aistore/object"
)

func key(i int) object.Name { return object.Name{Bucket: 1, Key: fmt.Sprintf("k%03d", i)} }

func batchOf(from, to int) *batch {
	b := &batch{}
	for i := from; i <= to; i++ {
		b.names = append(b.names, key(i))
	}
	return b
}

// TestFront acknowledges batches out of order: only what is gapless counts.
func TestFront(t *testing.T) {
	fs := &fronts{lanes: make([]front, 1)}
	a, b, c := batchOf(1, 3), batchOf(4, 6), batchOf(7, 9)
	for _, x := range []*batch{a, b, c} {
		fs.sent(x)
	}
	at := func(want int, complete bool) {
		t.Helper()
		after, _ := fs.start(0)
		if want == 0 && after != (object.Name{}) || want > 0 && after != key(want) || fs.complete() != complete {
			t.Errorf("all is acknowledged up to %v, complete: %v; want %d, %v", after, fs.complete(), want, complete)
		}
	}
	fs.settle(b, nil, false)
	at(0, false)
	fs.settle(a, []object.Name{key(2)}, false)
	at(6, false)
	fs.settle(c, nil, true) // lost
	fs.end(0)
	at(6, false)

	fs.begin()
	if names := fs.retry(0); len(names) != 1 || names[0] != key(2) {
		t.Fatalf("%v are tried again", names)
	}
	again := &batch{names: []object.Name{key(2)}, again: true}
	fs.sent(again)
	fs.settle(again, []object.Name{key(2)}, false)
	if len(fs.retry(0)) != 1 {
		t.Error("what failed twice is forgotten")
	}
	fs.settle(again, nil, false)
	fs.freeze(0) // the walk was interrupted
	fs.end(0)
	at(6, false)

	fs.begin()
	c = batchOf(7, 9)
	fs.sent(c)
	fs.end(0)
	at(6, false) // not settled yet
	fs.settle(c, nil, false)
	fs.end(0)
	at(9, true)
	fs.reset()
	at(0, false)
}
