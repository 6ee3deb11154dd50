package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// mixedStore has keys of all kinds, some of them damaged on the disk, and returns their names and some of which there is nothing, in
// the index's order.
func mixedStore(t *testing.T) (s *Store, names []object.Name, damaged map[string]bool) {
	t.Helper()
	dirs := []string{t.TempDir(), t.TempDir()}
	cfg := Config{FS: fs.OS{}, Mountpaths: dirs, NodeID: "n", InlineMax: 64 << 10, CacheSize: 1 << 20}
	s = testStore(t, cfg)
	put := func(n object.Name, size int, o PutOptions) {
		o.Checksum = cksum.XXHash
		must(t, second(s.Put(t.Context(), n, random(size), o)))
	}
	for i := range 300 {
		n := b1(fmt.Sprintf("o/%03d", i))
		names = append(names, n)
		switch i % 10 {
		case 0: // nothing
		case 1:
			put(n, 100_000, PutOptions{})
		case 2:
			put(n, 2000, PutOptions{Versioning: Versioned})
			put(n, 3000, PutOptions{Versioning: Versioned})
		case 3:
			put(n, 500, PutOptions{})
			must(t, second(s.Delete(t.Context(), n, DeleteOptions{Epoch: 1})))
		case 4:
			put(n, 0, PutOptions{})
		case 5:
			must(t, s.MarkKeys(t.Context(), []object.Name{n}, ImportOptions{Mark: 7})[0].Err)
		default:
			put(n, 20_000+i, PutOptions{})
		}
	}
	names = append(names, object.Name{Bucket: 2, Key: "o/001"})
	put(names[len(names)-1], 4096, PutOptions{})
	for _, v := range s.volumes() {
		must(t, v.db.Flush())
	}
	for i := 8; i < 300; i += 10 { // these are in the memtable
		put(names[i], 5000, PutOptions{})
	}
	must(t, s.Close())
	files, err := filepath.Glob(filepath.Join(dirs[0], indexDirName, "*.blob"))
	must(t, err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		must(t, err)
		for at := 50_000; at < len(b)-1000; at += 200_000 { // much of it was overwritten since, not all
			b[at] ^= 8
		}
		must(t, os.WriteFile(name, b, 0o644))
	}
	s = testStore(t, cfg)
	damaged = map[string]bool{}
	for _, n := range names {
		if x, err := s.ExportKey(n); err == nil {
			x.Close()
		} else if errs.Is(err, errs.Corrupt) {
			damaged[n.Key] = true
		}
	}
	if len(damaged) == 0 || len(damaged) > 150 {
		t.Fatalf("%d keys are damaged", len(damaged))
	}
	return s, names, damaged
}

// TestReadAlong: of keys read together, in the index's order or not, comes what comes of each alone, and damage concerns those that it hit.
func TestReadAlong(t *testing.T) {
	s, names, _ := mixedStore(t)
	backward := slices.Clone(names)
	slices.Reverse(backward)
	for _, all := range [][]object.Name{names, backward, append(slices.Clone(names[100:]), names[:100]...)} {
		for i, x := range s.ExportKeys(all) {
			want, wantErr := s.ExportKey(all[i])
			if errs.KindOf(x.Err) != errs.KindOf(wantErr) || (x.Err == nil) != (wantErr == nil) {
				t.Errorf("%v: %v, alone %v", all[i], x.Err, wantErr)
			}
			if x.Err == nil && wantErr == nil {
				a, err := x.AppendTo(nil)
				b, err2 := want.AppendTo(nil)
				if err != nil || err2 != nil || !bytes.Equal(a, b) {
					t.Errorf("%v: %d bytes, alone %d (%v, %v)", all[i], len(a), len(b), err, err2)
				}
			}
			if x.Export != nil {
				x.Close()
			}
			if want != nil {
				want.Close()
			}
		}
	}
}

// TestForgetAlong: keys removed together are gone, damaged ones as well, and no others.
func TestForgetAlong(t *testing.T) {
	s, names, damaged := mixedStore(t)
	gone, kept := names[50:250], append(slices.Clone(names[:50]), names[250:]...)
	before := make([]KeyState, len(kept))
	for i, n := range kept {
		before[i], _ = s.KeyState(n)
	}
	for i, err := range s.RemoveKeys(t.Context(), gone, nil) {
		if err != nil {
			t.Errorf("%v (damaged: %v): %v", gone[i], damaged[gone[i].Key], err)
		}
	}
	for _, n := range gone {
		if k, err := s.KeyState(n); err != nil || k != (KeyState{}) {
			t.Errorf("%v: %+v, %v", n, k, err)
		}
	}
	for i, n := range kept {
		if k, err := s.KeyState(n); err != nil || k != before[i] {
			t.Errorf("%v: %+v, was %+v, %v", n, k, before[i], err)
		}
	}
}
