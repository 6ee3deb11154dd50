package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
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
		must(t, s.volumes()[0].db.Flush())
		if round == 0 {
			must(t, s.volumes()[0].db.Compact(t.Context(), []byte{0}, []byte{255}, false))
		}
	}
	must(t, s.volumes()[0].seal())
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
		{"manifest damaged in its midst", func(t *testing.T, mem *fs.Mem, root fs.Root) {
			name := indexFiles(t, root, "MANIFEST")[0]
			fi, err := root.Stat(name)
			must(t, err)
			flip(t, mem, name, fi.Size()/2)
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

// TestRebuildWithVersionsAndParts: of a node with two mountpaths one loses its index. What its blobs know comes back: versions, and
// the parts of objects and uploads whose other half is on the other mountpath.
func TestRebuildWithVersionsAndParts(t *testing.T) {
	for _, lost := range []bool{true, false} {
		mem := fs.NewMem()
		cfg := crashConfig(mem, []string{"/mp1", "/mp2"})
		cfg.InlineMax = -1
		s, err := Open(t.Context(), cfg)
		must(t, err)
		versions, wholes := map[string][]byte{}, map[string][]byte{}
		for i := range 12 {
			key := fmt.Sprintf("v%d", i%4)
			data := random(100 + i)
			info, err := s.Put(t.Context(), b1(key), data, PutOptions{Size: -1, Versioning: Versioned})
			must(t, err)
			versions[key+"@"+info.VersionID] = data
			wholes[fmt.Sprintf("m%d", i)] = uploadWhole(t, s, b1(fmt.Sprintf("m%d", i)), 4)
		}
		must(t, second(s.Copy(t.Context(), b1("m0"), "", b1("copy"), PutOptions{})))
		wholes["copy"] = wholes["m0"]
		must(t, second(s.Delete(t.Context(), b1("m0"), DeleteOptions{})))
		delete(wholes, "m0")
		upload := createUpload(t, s, b1("upload"))
		var named []CompletePart
		for i := range 4 {
			named = append(named, CompletePart{Number: i + 1, ETag: putPart(t, s, b1("upload"), upload, i+1, random(50)).ETag})
		}
		must(t, s.Close())
		root, err := mem.OpenRoot("/mp1")
		must(t, err)
		if lost {
			for _, f := range indexFiles(t, root, "") {
				must(t, root.Remove(f))
			}
		}
		sum, err := RebuildIndex(t.Context(), OfflineConfig{FS: mem, Mountpath: "/mp1"}, func(f Fault) {
			if f.Harmful && !strings.Contains(f.What, "cannot be opened") {
				t.Errorf("lost %v: %+v", lost, f)
			}
		})
		must(t, err)
		t.Logf("%+v", sum)
		checkRebuilt(t, cfg, versions, wholes, upload, named, lost)
	}
}

func checkRebuilt(t *testing.T, cfg Config, versions, wholes map[string][]byte, upload string, named []CompletePart, lost bool) {
	t.Helper()
	s := testStore(t, cfg)
	home := func(key string) string { return s.volumes()[s.now().set.Home(key)].mp.Path() }
	must(t, s.cleanUploads(t.Context()))
	for _, v := range s.volumes() {
		must(t, s.finishGone(v))
		must(t, second(v.sweepBlobs(t.Context())))
	}
	for at, data := range versions {
		key, id, _ := strings.Cut(at, "@")
		o, err := s.OpenVersion(b1(key), id)
		must(t, err)
		got, err := io.ReadAll(o.Reader())
		o.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d, %v", at, len(got), len(data), err)
		}
	}
	for key, data := range wholes {
		if lost && home(key) == "/mp1" {
			continue // its record had no second place
		}
		if got := get(t, s, b1(key)); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d", key, len(got), len(data))
		}
	}
	if !lost || home("upload") != "/mp1" {
		_, err := s.CompleteUpload(t.Context(), b1("upload"), upload, named, CompleteOptions{})
		must(t, err)
	}
}

// TestRebuildNullVersion: a null version comes back beside versions with ids, in whatever order its blob and theirs are found.
func TestRebuildNullVersion(t *testing.T) {
	for _, first := range []uint64{0xff00, 0xfe00} { // its directory is the last of all, or not
		mem := fs.NewMem()
		cfg := crashConfig(mem, []string{"/mp1"})
		cfg.InlineMax = -1
		s, err := Open(t.Context(), cfg)
		must(t, err)
		v := s.volumes()[0]
		v.blobCount.Store(1<<50 + first - 1)
		want := map[string][]byte{object.NullVersion: random(100)}
		put(t, s, "k", want[object.NullVersion])
		v.blobCount.Store(1<<50 + first + 0xff)
		for range 2 {
			data := random(100)
			info, err := s.Put(t.Context(), b1("k"), data, PutOptions{Versioning: Versioned})
			must(t, err)
			want[info.VersionID] = data
		}
		must(t, s.Close())
		root, err := mem.OpenRoot("/mp1")
		must(t, err)
		for _, f := range indexFiles(t, root, "") {
			must(t, root.Remove(f))
		}
		must(t, second(RebuildIndex(t.Context(), OfflineConfig{FS: mem, Mountpath: "/mp1"}, func(Fault) {})))
		s = testStore(t, cfg)
		for id, data := range want {
			o, err := s.OpenVersion(b1("k"), id)
			if err != nil {
				t.Errorf("first %x, version %s: %v", first, id, err)
				continue
			}
			if got, err := io.ReadAll(o.Reader()); err != nil || !bytes.Equal(got, data) {
				t.Errorf("first %x, version %s: %d bytes, %v", first, id, len(got), err)
			}
			o.Close()
		}
		checkWhole(t, s)
	}
}

// TestDamagedIndexSaysWhatToDo: a store whose index lacks its manifest, or has a damaged one, does not open, and names the two tools.
func TestDamagedIndexSaysWhatToDo(t *testing.T) {
	for name, harm := range map[string]func(mem *fs.Mem, root fs.Root, manifest string){
		"gone":    func(_ *fs.Mem, root fs.Root, manifest string) { must(t, root.Remove(manifest)) },
		"damaged": func(mem *fs.Mem, _ fs.Root, manifest string) { flip(t, mem, manifest, 20) },
	} {
		mem, _, _ := worn(t)
		root, err := mem.OpenRoot("/mp1")
		must(t, err)
		harm(mem, root, indexFiles(t, root, "MANIFEST")[0])
		_, err = Open(t.Context(), Config{FS: mem, Mountpaths: []string{"/mp1"}, NodeID: "node1"})
		text := fmt.Sprint(err)
		if err == nil || errors.Is(err, iofs.ErrNotExist) || !strings.Contains(text, "/mp1: the index is damaged: ") || !strings.Contains(text, "'ais advanced store check --mountpath /mp1'") {
			t.Errorf("%s: kind %v: %s", name, errs.KindOf(err), text)
		}
	}
}
