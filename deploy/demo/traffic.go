package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"aistore/api/client"
	"aistore/errs"
)

const (
	workers = 8
	slot    = 100 * time.Millisecond // throughput is counted in slots
	still   = 200                    // objects that nobody changes
	sizeMax = 32 << 10
)

// traffic is clients that write, overwrite, delete and read objects and know what each must hold. Every name belongs to one worker.
type traffic struct {
	bucket *client.Bucket
	names  [][]*name // by worker
	began  time.Time

	mu     sync.Mutex
	slots  []int64 // operations that ended in each slot
	faults []error

	failed atomic.Int64
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

// name is an object and the write that it holds; 0 = none.
type name struct {
	key   string
	write uint64
}

// content is what a write puts.
func content(key string, write uint64) []byte {
	var seed [32]byte
	copy(seed[8:], key)
	binary.LittleEndian.PutUint64(seed[:], write)
	r := rand.NewChaCha8(seed)
	b := make([]byte, r.Uint64()%sizeMax)
	_, _ = r.Read(b) // never fails
	return b
}

func newTraffic(ctx context.Context, sdk *client.Client, objects int) (*traffic, error) {
	t := &traffic{bucket: sdk.Bucket("traffic"), names: make([][]*name, workers)}
	if err := t.bucket.Create(ctx, nil); err != nil {
		return nil, err
	}
	for i := range objects {
		w := i % workers
		t.names[w] = append(t.names[w], &name{key: fmt.Sprintf("live/%05d", i)})
	}
	for i := range still {
		if _, err := t.bucket.Put(ctx, stillKey(i), client.Bytes(content(stillKey(i), 1)), client.PutOptions{}); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func stillKey(i int) string { return fmt.Sprintf("still/%05d", i) }

func (t *traffic) start(ctx context.Context) {
	t.began = time.Now()
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	t.stop = stop
	for w := range workers {
		t.wg.Go(func() { t.work(ctx, run, w) })
	}
}

func (t *traffic) end() {
	t.stop()
	t.wg.Wait()
}

// work goes on until run ends. A request that was begun is finished, so that it is known what the object holds.
func (t *traffic) work(ctx, run context.Context, w int) {
	rng := rand.New(rand.NewPCG(uint64(w), 1))
	for run.Err() == nil && ctx.Err() == nil {
		n := t.names[w][rng.IntN(len(t.names[w]))]
		var err error
		switch p := rng.IntN(10); {
		case n.write == 0 || p < 4:
			if _, err = t.bucket.Put(ctx, n.key, client.Bytes(content(n.key, n.write+1)), client.PutOptions{}); err == nil {
				n.write++
			}
		case p == 4:
			if err = t.bucket.Delete(ctx, n.key, client.DeleteOptions{}); err == nil {
				err = t.expectGone(ctx, n.key)
				n.write = 0
			}
		default:
			err = t.expect(ctx, t.bucket, n.key, n.write)
		}
		t.count(err)
	}
}

func (t *traffic) count(err error) {
	i := int(time.Since(t.began) / slot)
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.slots) <= i {
		t.slots = append(t.slots, 0)
	}
	if err == nil {
		t.slots[i]++
		return
	}
	t.failed.Add(1)
	if len(t.faults) < 10 {
		t.faults = append(t.faults, err)
	}
}

func (t *traffic) firstFault() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.faults) == 0 {
		return nil
	}
	return t.faults[0]
}

func (t *traffic) expect(ctx context.Context, b *client.Bucket, key string, write uint64) error {
	got, _, err := b.GetBytes(ctx, key, client.GetOptions{})
	if err != nil {
		return err
	}
	if !bytes.Equal(got, content(key, write)) {
		return errs.F("demo.read", key, errs.Corrupt, "holds other bytes than write %d put", write)
	}
	return nil
}

func (t *traffic) expectGone(ctx context.Context, key string) error {
	_, err := t.bucket.Head(ctx, key, client.GetOptions{})
	switch {
	case errs.Is(err, errs.NotFound):
		return nil
	case err == nil:
		return errs.E("demo.read", key, errs.Corrupt, "is there after it was deleted")
	}
	return err
}

// audit reads everything and returns how many objects are not what they must be, and whether the list says the same.
func (t *traffic) audit(ctx context.Context) (lost int64, err error) {
	there := map[string]bool{}
	for _, names := range t.names {
		for _, n := range names {
			if n.write == 0 {
				err = t.expectGone(ctx, n.key)
			} else {
				there[n.key] = true
				err = t.expect(ctx, t.bucket, n.key, n.write)
			}
			if err != nil {
				lost++
				t.mu.Lock()
				t.faults = append(t.faults, err)
				t.mu.Unlock()
			}
		}
	}
	for e, err := range t.bucket.List(ctx, client.ListOptions{Prefix: "live/"}) {
		if err != nil {
			return lost, err
		}
		if !there[e.Name] {
			return lost, errs.E("demo.list", e.Name, errs.Corrupt, "is listed and was deleted")
		}
		delete(there, e.Name)
	}
	if len(there) > 0 {
		return lost, errs.F("demo.list", "bucket", errs.Corrupt, "%d objects are not listed", len(there))
	}
	return lost, t.auditStill(ctx, t.bucket)
}

// auditStill reads the objects that nobody changed, in their bucket or in a copy.
func (t *traffic) auditStill(ctx context.Context, b *client.Bucket) error {
	for i := range still {
		key := stillKey(i)
		if err := t.expect(ctx, b, key, 1); err != nil {
			return err
		}
	}
	return nil
}

// report prints how throughput went.
func (t *traffic) report(w io.Writer, began, ended time.Time) {
	from, to := int(began.Sub(t.began)/slot), int(ended.Sub(t.began)/slot)
	normal := mean(t.slots[min(from, len(t.slots), int(time.Second/slot)):min(from, len(t.slots))])
	deepest, low, recovered := normal, 0, from
	for i := from; i < len(t.slots); i++ {
		if v := float64(t.slots[i]); i <= to {
			deepest = min(deepest, v)
			if v < 0.7*normal {
				low++
				recovered = i + 1
			}
		}
	}
	perSecond := float64(time.Second / slot)
	fmt.Fprintf(w, "throughput:     %.0f operations/s before, %.0f at the lowest (%.0f%%), %.0f after\n", normal*perSecond, deepest*perSecond, 100*deepest/max(normal, 1), mean(t.slots[min(to+1, len(t.slots)):])*perSecond)
	fmt.Fprintf(w, "below 70%%:      %v in all; recovered %v after the event began, which lasted %v\n", time.Duration(low)*slot, time.Duration(recovered-from)*slot, ended.Sub(began).Round(slot))
}

func mean(slots []int64) float64 {
	if len(slots) == 0 {
		return 0
	}
	var sum int64
	for _, n := range slots {
		sum += n
	}
	return float64(sum) / float64(len(slots))
}
