package store

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"aistore/cksum"
	"aistore/fs"
	"aistore/object"
)

// TestRebuildDamagedBlocks: wherever a bit flips in a table of the index, only what is in that block is lost, and of that not the content of
// objects whose record alone was in it. Bytes are never wrong.
func TestRebuildDamagedBlocks(t *testing.T) {
	mem := fs.NewMem()
	cfg := crashConfig(mem, []string{"/mp1"})
	cfg.InlineMax = 32 << 10
	s, err := Open(t.Context(), cfg)
	must(t, err)
	want := map[string][]byte{}
	for i := range 400 {
		k := fmt.Sprintf("dir/%03d", i)
		want[k] = random(300)
		must(t, second(s.Put(t.Context(), object.Name{Bucket: 7, Key: k}, want[k], PutOptions{Checksum: cksum.MD5, Size: -1, Custom: map[string]string{"n": k}})))
	}
	must(t, s.volumes()[0].db.Flush())
	must(t, s.volumes()[0].db.Compact(t.Context(), []byte{0}, []byte{255}, false))
	must(t, s.Close())
	root, err := mem.OpenRoot("/mp1")
	must(t, err)
	most, bare := 0, int64(0)
	const places = 10
	for _, table := range indexFiles(t, root, ".sst") {
		fi, err := root.Stat(table)
		must(t, err)
		for i := range int64(places) {
			m := mem.Crash(nil)
			at := i * fi.Size() / places
			flip(t, m, table, at)
			listed := listable(t, m)
			if lost := len(want) - len(listed); lost > 100 { // those of a block
				t.Errorf("%s, bit at %d of %d: %d objects are not listed", table, at, fi.Size(), lost)
			}
			sum, err := RebuildIndex(t.Context(), offlineConfig(m), func(Fault) {})
			must(t, err)
			got := contents(t, m)
			for k, b := range got {
				if !bytes.Equal(b, want[k]) {
					t.Errorf("%s, bit at %d: %s: %d bytes, want %d", table, at, k, len(b), len(want[k]))
				}
			}
			lost := len(want) - len(got)
			most, bare = max(most, lost), max(bare, sum.Restored)
			if lost > 60 {
				t.Errorf("%s, bit at %d of %d: %d objects lost: %+v", table, at, fi.Size(), lost, sum)
			}
			checkOffline(t, m, "/mp1")
		}
	}
	t.Logf("at most %d objects lost, %d restored without metadata", most, bare)
	if most == 0 || bare == 0 {
		t.Error("nothing was damaged")
	}
}

// listable returns the names in bucket 7 that can be listed offline. What is left out must have been told.
func listable(t *testing.T, mem fs.FS) (names []string) {
	t.Helper()
	o, err := OpenOffline(t.Context(), offlineConfig(mem))
	must(t, err)
	told := 0
	damage := func(object.Name, error) { told++ }
	ids, err := o.Buckets(t.Context(), damage)
	if must(t, err); len(ids) != 1 || ids[0] != 7 {
		t.Errorf("buckets %v", ids)
	}
	told = 0
	must(t, o.List(t.Context(), 7, "dir/", func(i *object.Info) bool {
		names = append(names, i.Key)
		return true
	}, damage))
	if !slices.IsSorted(names) || told == 0 && len(names) != 400 {
		t.Errorf("%d names, told of %d places", len(names), told)
	}
	n := 0
	must(t, o.List(t.Context(), 7, "dir/", func(*object.Info) bool { n++; return n < 3 }, damage))
	if n != 3 {
		t.Errorf("%d names, wanted 3", n)
	}
	must(t, o.Close())
	return names
}
