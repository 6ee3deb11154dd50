package store

import (
	"fmt"
	"strings"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// worn is a mountpath whose index has had a life: tables of several ages, separated values, removed names, a
// destroyed bucket, and entries that are still in the log. Blobs are few: what counts is the index.
func worn(t *testing.T) (mem *fs.Mem, want map[string][]byte, ever map[string]bool) {
	t.Helper()
	mem, ever = fs.NewMem(), map[string]bool{}
	cfg := crashConfig(mem, []string{"/mp1"})
	cfg.InlineMax = 32 << 10
	s, err := Open(t.Context(), cfg)
	must(t, err)
	want = map[string][]byte{}
	putIt := func(bucket uint64, key string, size int) {
		data := random(size)
		_, err := s.Put(t.Context(), object.Name{Bucket: bucket, Key: key}, data, PutOptions{Epoch: 5, Checksum: cksum.XXHash, Size: -1, Custom: map[string]string{"k": "v"}})
		must(t, err)
		if bucket == 7 {
			want[key] = data
			ever[key+"="+string(data)] = true
		}
	}
	for round := range 4 {
		for i := range 60 {
			if i%4 >= round || round == 3 && i%3 == 0 {
				putIt(7, fmt.Sprintf("k%02d", i), []int{10, 900, 1500, 20_000, 50_000}[i%5]+round)
				putIt(8, fmt.Sprintf("k%02d", i), 100)
			}
		}
		for i := round; i < 60; i += 7 {
			n := object.Name{Bucket: 7, Key: fmt.Sprintf("k%02d", i)}
			if _, err := s.Delete(t.Context(), n, DeleteOptions{}); err == nil {
				delete(want, n.Key)
			} else if !errs.Is(err, errs.NotFound) {
				t.Fatal(err)
			}
		}
		if round == 2 {
			must(t, s.DestroyBucket(t.Context(), 8))
			break
		}
		must(t, s.vols[0].db.Flush())
		if round == 0 {
			must(t, s.vols[0].db.Compact(t.Context(), []byte{0}, []byte{255}, false))
		}
	}
	must(t, s.vols[0].seal())
	crashed := mem.Crash(nil)
	must(t, s.Close())
	return crashed, want, ever
}

// indexFiles lists the files of an index whose names contain what.
func indexFiles(t *testing.T, root fs.Root, what string) (names []string) {
	t.Helper()
	all, err := root.ReadDir(indexDirName)
	must(t, err)
	for _, n := range all {
		if strings.Contains(n, what) {
			names = append(names, indexDirName+"/"+n)
		}
	}
	if len(names) == 0 {
		t.Fatalf("no %q among %q", what, all)
	}
	return names
}

func TestRebuildDamagedIndex(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  func(t *testing.T, mem *fs.Mem, root fs.Root)
		found string
		lost  int // at most
	}{
		{"nothing", func(*testing.T, *fs.Mem, fs.Root) {}, "whole", 0},
		{"manifest gone", func(t *testing.T, _ *fs.Mem, root fs.Root) {
			for _, n := range indexFiles(t, root, "MANIFEST") {
				must(t, root.Remove(n))
			}
		}, "salvaged", 0},
		{"manifest damaged", func(t *testing.T, mem *fs.Mem, root fs.Root) {
			flip(t, mem, indexFiles(t, root, "MANIFEST")[0], 20)
		}, "salvaged", 0},
		{"log damaged", func(t *testing.T, mem *fs.Mem, root fs.Root) {
			logs := indexFiles(t, root, ".log")
			flip(t, mem, logs[len(logs)-1], 3000)
		}, "log damaged", 4},
		{"log gone, manifest gone", func(t *testing.T, _ *fs.Mem, root fs.Root) {
			for _, n := range append(indexFiles(t, root, "MANIFEST"), indexFiles(t, root, ".log")...) {
				must(t, root.Remove(n))
			}
		}, "salvaged", 60},
		{"table and manifest damaged", func(t *testing.T, mem *fs.Mem, root fs.Root) {
			flip(t, mem, indexFiles(t, root, "MANIFEST")[0], 20)
			flip(t, mem, indexFiles(t, root, ".sst")[0], 100)
		}, "salvaged", 60},
		{"value files damaged", func(t *testing.T, mem *fs.Mem, root fs.Root) {
			for _, n := range indexFiles(t, root, ".blob") {
				flipOften(t, mem, n)
			}
		}, "damaged", 40},
		{"value files and manifest damaged", func(t *testing.T, mem *fs.Mem, root fs.Root) {
			flip(t, mem, indexFiles(t, root, "MANIFEST")[0], 20)
			for _, n := range indexFiles(t, root, ".blob") {
				flip(t, mem, n, 1000)
			}
		}, "salvaged", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem, want, ever := worn(t)
			root, err := mem.OpenRoot("/mp1")
			must(t, err)
			c.harm(t, mem, root)
			sum, err := RebuildIndex(t.Context(), offlineConfig(mem), func(f Fault) { t.Logf("%+v", f) })
			must(t, err)
			t.Logf("%+v", sum)
			if sum.OldIndex != c.found {
				t.Errorf("the old index was %q, want %q", sum.OldIndex, c.found)
			}
			got := contents(t, mem)
			older := 0
			for k, b := range got {
				switch w, ok := want[k]; {
				case ok && string(w) == string(b):
				case c.found == "whole" || !ever[k+"="+string(b)]:
					t.Errorf("%s: %d bytes that should not be there", k, len(b))
				case len(b) < 40_000: // entries that are lost leave older states
					older++
				default: // a removed blob may come back
				}
				delete(want, k)
			}
			if len(want)+older > c.lost {
				t.Errorf("%d objects lost: %v, %d older", len(want), sortedKeysOf(want), older)
			}
			checkOffline(t, mem, "/mp1")
			s := testStore(t, crashConfig(mem, []string{"/mp1"})) // a node runs on it
			put(t, s, "new", random(10))
			if ids, err := s.Buckets(); err != nil || len(ids) > 2 && c.lost < 60 {
				t.Errorf("buckets %v %v", ids, err)
			}
		})
	}
}

func flipOften(t *testing.T, mem *fs.Mem, name string) {
	root, err := mem.OpenRoot("/mp1")
	must(t, err)
	fi, err := root.Stat(name)
	must(t, err)
	for at := int64(100); at < fi.Size()-100; at += 50_000 {
		flip(t, mem, name, at)
	}
}

func sortedKeysOf(m map[string][]byte) []string {
	n := map[string]int{}
	for k := range m {
		n[k] = 0
	}
	return sortedKeys(n)
}
