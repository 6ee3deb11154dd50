package turn_test

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"aistore/internal/turn"
)

// TestTake: who takes a turn on the only processor comes after one whose bytes have arrived before it, but for each 61st time,
// when Go's scheduler begins with those who gave way.
func TestTake(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("gives way to those who run already, elsewhere")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var got atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, 1); ; {
			if n, err := in.Read(b); n == 0 || err != nil {
				return
			}
			got.Add(1)
		}
	}()
	var q turn.Queue
	defer q.Close()
	q.Take() // the reader waits now
	for i := int64(1); i <= 100; i++ {
		if _, err := out.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if q.Take(); got.Load() < i-1 {
			t.Fatalf("after %d turns the other had %d", i, got.Load())
		}
	}
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

// TestTakeTogether: many goroutines take turns at the same time, and each gets all of its own, also when the queue is closed.
func TestTakeTogether(t *testing.T) {
	var q turn.Queue
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for n := range 100 {
				if q.Take(); i+n == 60 {
					q.Close()
				}
			}
		})
	}
	wg.Wait()
}
