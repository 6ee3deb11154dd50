package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"aistore/errs"
	"aistore/object"
	"aistore/store/hot"
)

// warm reads n until it is kept with its content.
func warm(t *testing.T, s *Store, n object.Name) *hot.Entry[*volume] {
	t.Helper()
	for range 4 {
		get(t, s, n)
		if e := kept(s, n); e != nil && e.Content != nil {
			return e
		}
	}
	t.Fatalf("%v was read four times and is not kept", n)
	return nil
}

func kept(s *Store, n object.Name) *hot.Entry[*volume] {
	d := digestOf(n)
	return s.hot.Get(n, d, s.locks.of(n).mu.turn.Load())
}

func putBytes(t *testing.T, s *Store, n object.Name, data []byte) {
	t.Helper()
	if _, err := s.Put(t.Context(), n, data, PutOptions{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
}

// TestHotFollowsWriters changes a name in every way while it is kept.
func TestHotFollowsWriters(t *testing.T) {
	s := testStore(t, Config{})
	n, other := object.Name{Bucket: 1, Key: "a"}, object.Name{Bucket: 1, Key: "b"}
	putBytes(t, s, n, []byte("one"))
	warm(t, s, n)

	putBytes(t, s, n, []byte("two"))
	if got := get(t, s, n); string(got) != "two" {
		t.Errorf("after an overwrite: %q", got)
	}
	warm(t, s, n)
	_, err := s.Update(t.Context(), n, UpdateOptions{Epoch: 1}, func(i *object.Info) error {
		i.Custom = map[string]string{"k": "v"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := s.Stat(n); err != nil || info.Custom["k"] != "v" {
		t.Errorf("after an update: %+v %v", info, err)
	}
	putBytes(t, s, other, []byte("other"))
	warm(t, s, n)
	if _, err := s.Link(t.Context(), other, n, PutOptions{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, n); string(got) != "other" {
		t.Errorf("after a link: %q", got)
	}
	warm(t, s, n)
	if _, err := s.Delete(t.Context(), n, DeleteOptions{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(n); !errs.Is(err, errs.NotFound) {
		t.Errorf("after a delete: %v", err)
	}
	warm(t, s, other)
	if err := s.DestroyBucket(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(other); !errs.Is(err, errs.NoBucket) {
		t.Errorf("after the bucket went: %v", err)
	}
}

// TestHotAdmits keeps what is read while there is room, and only the record of what is long or only looked at.
func TestHotAdmits(t *testing.T) {
	s := testStore(t, Config{})
	name := func(key string) object.Name { return object.Name{Bucket: 1, Key: key} }
	putBytes(t, s, name("once"), random(100))
	get(t, s, name("once"))
	if e := kept(s, name("once")); e == nil || e.Content == nil {
		t.Errorf("after the first read: %+v", e)
	}
	for key, size := range map[string]int{"long": hot.MaxContent + 1, "blob": 1 << 20, "head": 10} {
		n := name(key)
		putBytes(t, s, n, random(size))
		for range 3 {
			if key != "head" {
				get(t, s, n)
			}
			if _, err := s.Stat(n); err != nil {
				t.Fatal(err)
			}
		}
		if e := kept(s, n); e == nil || e.Content != nil {
			t.Errorf("%s: %+v", key, e)
		}
	}
	n := name("head") // and now its content, too
	warm(t, s, n)
}

// TestHotDamage damages what is kept: the index still has it.
func TestHotDamage(t *testing.T) {
	s := testStore(t, Config{})
	n := object.Name{Bucket: 1, Key: "a"}
	data := random(4096)
	putBytes(t, s, n, data)
	for _, part := range []func(*hot.Entry[*volume]) []byte{func(e *hot.Entry[*volume]) []byte { return e.Content }, func(e *hot.Entry[*volume]) []byte { return e.Record }} {
		part(warm(t, s, n))[9] ^= 1
		if !bytes.Equal(get(t, s, n), data) {
			t.Error("wrong bytes were served")
		}
	}
}

// TestHotFailedDisk reads what is kept of a mountpath that is out of service.
func TestHotFailedDisk(t *testing.T) {
	s := testStore(t, Config{})
	n := object.Name{Bucket: 1, Key: "a"}
	putBytes(t, s, n, []byte("x"))
	warm(t, s, n)
	s.volumes()[0].mp.Fail(errs.E("test", "disk", errs.Mountpath))
	if _, err := s.Open(n); !errs.Is(err, errs.Mountpath) {
		t.Errorf("served: %v", err)
	}
}

// TestHotReadsAreMonotonic has readers and a writer on one name: nobody may see a value older than one that was
// acknowledged before the read began.
func TestHotReadsAreMonotonic(t *testing.T) {
	s := testStore(t, Config{})
	n := object.Name{Bucket: 1, Key: "counter"}
	value := func(i uint64) []byte { return binary.LittleEndian.AppendUint64(nil, i) }
	putBytes(t, s, n, value(0))
	var mu sync.Mutex // of acked
	var acked uint64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				least := acked
				mu.Unlock()
				o, err := s.Open(n)
				if err != nil {
					t.Error(err)
					return
				}
				if got := binary.LittleEndian.Uint64(o.Bytes()); got < least {
					t.Errorf("read %d after %d was acknowledged", got, least)
				}
				o.Close()
			}
		})
	}
	for i := uint64(1); i <= 2000; i++ {
		if _, err := s.Put(t.Context(), n, value(i), PutOptions{Epoch: 1}); err != nil {
			t.Error(err)
			break
		}
		mu.Lock()
		acked = i
		mu.Unlock()
	}
	stop()
	wg.Wait()
}
