package store

import (
	"errors"
	"testing"

	"aistore/errs"
	"aistore/fs"
	"aistore/store/indexfs"
)

// TestIndexMissing: a mountpath whose index has gone is not opened with an empty one: its blobs would be swept, and what lay in the index would be said not to exist.
func TestIndexMissing(t *testing.T) {
	for _, c := range []struct {
		name   string
		inline int
		boot   string
		empty  bool // the directory is there
	}{{"blobs", -1, "", false}, {"all in the index", 1 << 10, "first", false}, {"its files", -1, "", true}} {
		t.Run(c.name, func(t *testing.T) {
			mem := fs.NewMem()
			cfg := Config{FS: mem, Mountpaths: []string{"/mp1"}, NodeID: "node1", InlineMax: c.inline, Boot: c.boot}
			s, err := Open(t.Context(), cfg)
			must(t, err)
			must(t, s.AcceptStart())
			put(t, s, "k", []byte("content"))
			must(t, s.Close())
			root, err := mem.OpenRoot("/mp1")
			must(t, err)
			must(t, root.Rename(indexDirName, "lost"))
			if c.empty {
				must(t, root.Mkdir(indexDirName))
			}
			if s, err := Open(t.Context(), cfg); !errs.Is(err, errs.Corrupt, errs.Mountpath) {
				if err == nil {
					s.tidy(t.Context())
					err = s.Close()
				}
				t.Errorf("opened: %v", err)
			}
			must(t, indexfs.RemoveAll(root, indexDirName))
			must(t, root.Rename("lost", indexDirName))
			s, err = Open(t.Context(), cfg)
			must(t, err)
			if string(get(t, s, b1("k"))) != "content" {
				t.Error("lost")
			}
			must(t, s.Close())
		})
	}
}

// TestRebuildInterrupted: a new index that was interrupted on the way to its place costs nothing: neither do nodes open without one, nor is anything lost
// of what lay in the old one when it is made again.
func TestRebuildInterrupted(t *testing.T) {
	for stop := range 3 {
		mem := fs.NewMem()
		want := filled(t, mem, 60)
		cut, renames := errors.New("cut"), 0
		faulty := &fs.Faulty{FS: mem, Check: func(op fs.Op, name string) error {
			if op == fs.OpRename && (name == indexDirName || name == madeIndexDir || name == indexDirName+".old-1") {
				if renames++; renames > stop {
					return cut
				}
			}
			return nil
		}}
		if _, err := RebuildIndex(t.Context(), offlineConfig(faulty), func(Fault) {}); !errors.Is(err, cut) {
			t.Fatalf("stopped after %d: %v", stop, err)
		}
		s, err := Open(t.Context(), Config{FS: mem, Mountpaths: []string{"/mp1"}, NodeID: "node1", InlineMax: 16 << 10, BlockSize: 4 << 10})
		if err == nil {
			s.tidy(t.Context())
			must(t, s.Close())
		} else if !errs.Is(err, errs.Mountpath) {
			t.Errorf("stopped after %d: opened: %v", stop, err)
		}
		if _, err := RebuildIndex(t.Context(), offlineConfig(mem), func(f Fault) { t.Errorf("stopped after %d: %+v", stop, f) }); err != nil {
			t.Fatal(err)
		}
		equalContents(t, contents(t, mem), want)
	}
}
