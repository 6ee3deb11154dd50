package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
	"aistore/store/format"
	"aistore/store/indexfs"
)

// filled makes a closed mountpath in mem with n objects, every third of them a blob, and returns their contents.
func filled(t *testing.T, mem *fs.Mem, n int) map[string][]byte {
	t.Helper()
	s, err := Open(t.Context(), Config{FS: mem, Mountpaths: []string{"/mp1"}, NodeID: "node1", InlineMax: 16 << 10, BlockSize: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for i := range n {
		key := fmt.Sprintf("dir%d/object-%04d", i%3, i)
		size := 100 + i*13
		if i%3 == 0 {
			size = 20<<10 + i*100
		}
		want[key] = random(size)
		if _, err := s.Put(t.Context(), object.Name{Bucket: 7, Key: key}, want[key], PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: -1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return want
}

func offlineConfig(mem fs.FS) OfflineConfig { return OfflineConfig{FS: mem, Mountpath: "/mp1"} }

// contents lists and reads everything through the offline interface.
func contents(t *testing.T, mem fs.FS) map[string][]byte {
	t.Helper()
	o, err := OpenOffline(t.Context(), offlineConfig(mem))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	got := map[string][]byte{}
	err = o.List(t.Context(), 7, "", func(i *object.Info) bool {
		obj, err := o.Open(object.Name{Bucket: 7, Key: i.Key})
		if err != nil {
			t.Fatal(err)
		}
		defer obj.Close()
		var b bytes.Buffer
		if err := obj.WriteSpan(&b, object.Span{Length: i.Size}); err != nil {
			t.Fatal(err)
		}
		got[i.Key] = b.Bytes()
		return true
	}, func(n object.Name, err error) { t.Errorf("damage behind %v: %v", n, err) })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func equalContents(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d objects, want %d", len(got), len(want))
	}
	for k, b := range want {
		if g, ok := got[k]; !ok || !bytes.Equal(g, b) {
			t.Errorf("%s: missing or wrong", k)
		}
	}
}

func TestOfflineReadsAndChecks(t *testing.T) {
	mem := fs.NewMem()
	want := filled(t, mem, 60)
	equalContents(t, contents(t, mem), want)
	o, err := OpenOffline(t.Context(), offlineConfig(mem))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := o.Check(t.Context(), func(f Fault) { t.Errorf("fault %+v", f) })
	if err != nil || sum.Objects != 60 || sum.Blobs != 20 {
		t.Errorf("check: %+v %v", sum, err)
	}
	if _, err := Open(t.Context(), Config{FS: mem, Mountpaths: []string{"/mp1"}}); !errs.Is(err, errs.Conflict) {
		t.Errorf("a node starts on a mountpath that is open offline: %v", err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	s := testStore(t, Config{FS: mem, Mountpaths: []string{"/mp1"}})
	if _, err := OpenOffline(t.Context(), offlineConfig(mem)); !errs.Is(err, errs.Conflict) {
		t.Errorf("offline on a running node: %v", err)
	}
	_ = s
}

func TestOfflineRefusesWhatIsNoMountpath(t *testing.T) {
	if _, err := OpenOffline(t.Context(), OfflineConfig{Mountpath: t.TempDir()}); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
	if _, err := OpenOffline(t.Context(), OfflineConfig{Mountpath: t.TempDir() + "/no"}); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
}

func flip(t *testing.T, sys fs.FS, name string, at int64) {
	t.Helper()
	r, err := sys.OpenRoot("/mp1")
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.OpenFile(name, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	b[0] ^= 1
	if err == nil {
		_, err = f.WriteAt(b[:], at)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	mem := fs.NewMem()
	filled(t, mem, 30)
	root, err := mem.OpenRoot("/mp1")
	if err != nil {
		t.Fatal(err)
	}
	blobs := blobFiles(t, root)
	flip(t, mem, blobs[0], format.BlobHeaderSize+100) // content
	fi, err := root.Stat(blobs[1])
	if err != nil {
		t.Fatal(err)
	}
	flip(t, mem, blobs[1], fi.Size()-10) // footer
	if err := root.Remove(blobs[2]); err != nil {
		t.Fatal(err)
	}
	if err := root.Rename(blobs[3], "blobs/00/"+strings.Repeat("00", 16)); err != nil { // an orphan, and a missing one
		if err := errors.Join(root.Mkdir("blobs/00"), root.Rename(blobs[3], "blobs/00/"+strings.Repeat("00", 16))); err != nil {
			t.Fatal(err)
		}
	}
	o, err := OpenOffline(t.Context(), offlineConfig(mem))
	if err != nil {
		t.Fatal(err)
	}
	var faults []Fault
	sum, err := o.Check(t.Context(), func(f Fault) { faults = append(faults, f) })
	if err != nil || sum.Harmful != 3 || sum.Faults != 5 {
		t.Errorf("check: %+v %v: %+v", sum, err, faults)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}

func blobFiles(t *testing.T, root fs.Root) (names []string) {
	t.Helper()
	dirs, err := root.ReadDir("blobs")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		files, err := root.ReadDir("blobs/" + d)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			names = append(names, "blobs/"+d+"/"+f)
		}
	}
	return names
}

func TestRebuildWholeIndex(t *testing.T) {
	mem := fs.NewMem()
	want := filled(t, mem, 60)
	sum, err := RebuildIndex(t.Context(), offlineConfig(mem), func(f Fault) { t.Errorf("%+v", f) })
	if err != nil || sum.OldIndex != "whole" || sum.Kept != 60 || sum.Restored != 0 || sum.Lost != 0 {
		t.Errorf("%+v %v", sum, err)
	}
	equalContents(t, contents(t, mem), want)
}

func TestRebuildLostIndex(t *testing.T) {
	mem := fs.NewMem()
	want := filled(t, mem, 60)
	root, err := mem.OpenRoot("/mp1")
	if err != nil {
		t.Fatal(err)
	}
	if err := indexfs.RemoveAll(root, indexDirName); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenOffline(t.Context(), offlineConfig(mem)); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "'ais advanced store rebuild-index --mountpath /mp1'") {
		t.Errorf("opened without its index: %v", err)
	}
	var told []Fault
	sum, err := RebuildIndex(t.Context(), offlineConfig(mem), func(f Fault) { told = append(told, f) })
	if err != nil || sum.OldIndex != "lost" || sum.Restored != 20 || sum.Damage != 1 {
		t.Errorf("%+v %v", sum, err)
	}
	if len(told) == 0 || !told[0].Harmful || !strings.Contains(told[0].What, "nothing names them") {
		t.Errorf("40 small objects are gone, told: %+v", told)
	}
	for k, b := range want {
		if len(b) <= 16<<10 {
			delete(want, k)
		}
	}
	equalContents(t, contents(t, mem), want)
	// A node runs on it, and its next version is greater than any before.
	s := testStore(t, Config{FS: mem, Mountpaths: []string{"/mp1"}})
	info, err := s.Put(t.Context(), object.Name{Bucket: 7, Key: "dir0/object-0000"}, []byte("x"), PutOptions{Epoch: 1, Size: -1})
	if err != nil || info.Version.Counter < 60 {
		t.Errorf("%+v %v", info, err)
	}
}

// TestNoIndex: where no blob tells that there was an index, its lack is told with what may be done.
func TestNoIndex(t *testing.T) {
	mem := fs.NewMem()
	s, err := Open(t.Context(), Config{FS: mem, Mountpaths: []string{"/mp1"}, NodeID: "n1"})
	must(t, err)
	_, err = s.Put(t.Context(), object.Name{Bucket: 7, Key: "small"}, []byte("x"), PutOptions{Size: -1})
	must(t, err)
	must(t, s.Close())
	root, err := mem.OpenRoot("/mp1")
	must(t, err)
	must(t, indexfs.RemoveAll(root, indexDirName))
	if _, err := OpenOffline(t.Context(), offlineConfig(mem)); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "there is no index") || !strings.Contains(err.Error(), "rebuild-index --mountpath /mp1'") {
		t.Errorf("opened without its index: %v", err)
	}
}

// TestLostSmall: where only small objects were, the starts that the mountpath knows of tell that there was an index, offline as at a start.
func TestLostSmall(t *testing.T) {
	mem := fs.NewMem()
	cfg := Config{FS: mem, Mountpaths: []string{"/mp1"}, NodeID: "n1", Boot: "first"}
	s, err := Open(t.Context(), cfg)
	must(t, err)
	must(t, s.AcceptStart())
	put(t, s, "small", []byte("x"))
	must(t, s.Close())
	root, err := mem.OpenRoot("/mp1")
	must(t, err)
	must(t, indexfs.RemoveAll(root, indexDirName))
	if _, err := OpenOffline(t.Context(), offlineConfig(mem)); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "the index is missing") {
		t.Errorf("opened without its index: %v", err)
	}
	var told []Fault
	sum, err := RebuildIndex(t.Context(), offlineConfig(mem), func(f Fault) { told = append(told, f) })
	if err != nil || sum.OldIndex != "lost" || sum.Damage != 1 || len(told) == 0 || !strings.Contains(told[0].What, "nothing names them") {
		t.Errorf("a small object is gone: %+v %v, told %+v", sum, err, told)
	}
}

// TestUnopened: an index that cannot be opened is one line with what mends it, whatever pebble adds.
func TestUnopened(t *testing.T) {
	err := unopened("/mp1", errs.F("store.getCopy", "index", errs.Corrupt, "block checksum mismatch\n<corruption detail carrier>\na stack"))
	if s := err.Error(); !errs.Is(err, errs.Corrupt) || strings.Contains(s, "\n") || !strings.Contains(s, "mismatch") || !strings.Contains(s, "check --mountpath /mp1") || !strings.Contains(s, "'ais advanced store rebuild-index --mountpath /mp1'") {
		t.Errorf("%q", s)
	}
}

// TestStartWithNothingWhole: a node whose one mountpath is lost, and whose other has a damaged index, does not start, and says which, what is wrong
// with it and what mends it.
func TestStartWithNothingWhole(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, index string){
		"the index is missing": func(t *testing.T, index string) { t.Helper(); must(t, os.RemoveAll(index)) },
		"object size mismatch": func(t *testing.T, index string) {
			t.Helper()
			tables, err := filepath.Glob(filepath.Join(index, "*.sst"))
			if must(t, err); len(tables) == 0 {
				t.Fatal("nothing to cut short")
			}
			must(t, os.Truncate(tables[0], 100))
		},
	} {
		t.Run(what, func(t *testing.T) {
			mp1, mp2 := filepath.Join(t.TempDir(), "mp1"), filepath.Join(t.TempDir(), "mp2")
			cfg := Config{Mountpaths: []string{mp1, mp2}, NodeID: "node1"}
			s, err := Open(t.Context(), cfg)
			must(t, err)
			for i := range 16 { // some on each
				put(t, s, fmt.Sprint(i), random(DefaultInlineMax+1))
			}
			must(t, s.Close())
			must(t, os.Rename(mp1, mp1+".gone"))
			damage(t, filepath.Join(mp2, indexDirName))
			cfg.Existing = true
			if s, err = Open(t.Context(), cfg); err == nil {
				must(t, s.Close())
				t.Fatal("it starts")
			}
			for _, part := range []string{mp1 + ": its marker is missing", mp2 + ": ", what, "'ais advanced store rebuild-index --mountpath " + mp2 + "'"} {
				if text := errs.Plain(err); !strings.Contains(text, part) {
					t.Errorf("%q is not in %q", part, text)
				}
			}
		})
	}
}
