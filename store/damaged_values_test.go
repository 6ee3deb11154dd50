package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// TestDamagedValuesAndRewrite damages a file of separated values and lets pebble rewrite it to reclaim space: that
// never ends, and the process lives on.
func TestDamagedValuesAndRewrite(t *testing.T) {
	dir := t.TempDir()
	s := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{dir}})
	for i := range 60 {
		if _, err := s.Put(t.Context(), object.Name{Bucket: 1, Key: fmt.Sprintf("o-%02d", i)}, random(20_000), PutOptions{Epoch: 1, Size: 20_000}); err != nil {
			t.Fatal(err)
		}
	}
	v := s.volumes()[0]
	if err := v.db.Flush(); err != nil { // the file is written ...
		t.Fatal(err)
	}
	for i := range 30 { // ... and half of it becomes garbage
		if _, err := s.Delete(t.Context(), object.Name{Bucket: 1, Key: fmt.Sprintf("o-%02d", 2*i)}, DeleteOptions{Epoch: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, indexDirName, "*.blob"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of values: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 5000; i < len(b)-5000; i += 10_000 { // every block: the rewrite reads those that are still in use
			b[i] ^= 8
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	s = testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{dir}})
	v = s.volumes()[0]
	if err := v.db.Close(); err != nil {
		t.Fatal(err)
	}
	o := v.indexOptions(false)
	asIs := o.Experimental.ValueSeparationPolicy
	o.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		p := asIs()
		if p.RewriteMinimumAge = 0; p.TargetGarbageRatio < 1 {
			p.TargetGarbageRatio = 0.01
		}
		return p
	}
	v.ifs.Opening.Store(true)
	if v.db, err = pebble.Open(indexDirName, o); err != nil {
		t.Fatal(err)
	}
	v.ifs.Opening.Store(false)
	work := func(i int) { // what makes pebble look for something to compact
		n := object.Name{Bucket: 1, Key: fmt.Sprintf("later-%d", i)}
		if _, err := s.Put(t.Context(), n, random(20_000), PutOptions{Epoch: 1, Size: 20_000}); err != nil {
			t.Fatal(err)
		}
		if err := v.db.Flush(); err != nil {
			t.Fatal(err)
		}
		get(t, s, n)
	}
	tries := 0
	for ; v.ifs.Stuck.Load() == 0; tries++ {
		if work(tries); tries > 1000 {
			t.Fatal("no value file was rewritten")
		}
	}
	for i := range 10 { // the index goes on
		work(tries + 1 + i)
	}
	damaged := 0
	for i := range 30 {
		_, err := s.Open(object.Name{Bucket: 1, Key: fmt.Sprintf("o-%02d", 2*i+1)})
		if errs.Is(err, errs.Corrupt) {
			damaged++
		} else if err != nil {
			t.Error(err)
		}
	}
	if damaged == 0 {
		t.Error("no object is damaged")
	}
}
