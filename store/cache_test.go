package store

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"aistore/cluster"
	"aistore/fs"
	"aistore/object"
)

// TestBlockCache reads more than once what lies in tables: only the first time may go to the file, although memtables are
// charged to the same cache.
func TestBlockCache(t *testing.T) {
	s := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{t.TempDir()}, CacheSize: 16 << 20})
	v := s.volumes()[0]
	for i := range 640 { // memtables begin small and double until they have their full size
		if err := v.db.Set(fmt.Appendf(nil, "\xff%d", i), make([]byte, 64<<10), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	const n = 300
	name := func(i int) object.Name { return object.Name{Bucket: 1, Key: fmt.Sprint("k", i)} }
	for i := range n {
		if _, err := s.Put(t.Context(), name(i), make([]byte, 4096), PutOptions{Durability: cluster.Volatile}); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.db.Flush(); err != nil {
		t.Fatal(err)
	}
	read := func() (misses int64) {
		for i := range n {
			o, err := s.Open(name(i))
			if err != nil {
				t.Fatal(err)
			}
			o.Close()
		}
		return v.db.Metrics().BlockCache.Misses
	}
	for last := read(); ; {
		now := read()
		if now == last {
			break
		}
		if last = now; now > 50*n { // compactions may write tables anew a few times
			t.Fatalf("%d blocks were read from files for %d objects", now, n)
		}
	}
}
