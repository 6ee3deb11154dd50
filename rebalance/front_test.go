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

// TestFrontMemory: a node that is down, or a batch that takes long, does not make the names of all that belongs there stay in memory.
func TestFrontMemory(t *testing.T) {
	fs := &fronts{lanes: make([]front, 1)}
	held := func() (n int) {
		for _, b := range fs.lanes[0].open {
			n += len(b.names)
		}
		return n
	}
	slow := batchOf(0, 99)
	fs.sent(slow)
	for i := 1; i <= 50; i++ {
		b := batchOf(100*i, 100*i+99)
		fs.sent(b)
		fs.settle(b, nil, false)
	}
	if n := held(); n > 150 {
		t.Errorf("%d names are held for 100 that are on their way", n)
	}
	fs.settle(slow, nil, true)
	for i := 1; i <= 50; i++ {
		b := batchOf(10000*i, 10000*i+99)
		fs.sent(b)
		fs.settle(b, nil, true)
	}
	if n := held(); n > 0 {
		t.Errorf("%d names are held although all of them are looked at again", n)
	}
	if after, needed := fs.start(0); after != (object.Name{}) || !needed {
		t.Errorf("begins at %v, %v", after, needed)
	}
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
