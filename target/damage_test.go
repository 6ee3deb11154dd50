package target_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// flipBit changes one bit at off of the largest blob below dir.
func flipBit(t *testing.T, dir string, off int64) {
	t.Helper()
	var name string
	var size int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(filepath.Dir(path))) != "blobs" {
			return err
		}
		if info, err := d.Info(); err == nil && info.Size() > size {
			name, size = path, info.Size()
		}
		return nil
	})
	if err != nil || name == "" {
		t.Fatalf("no blob below %s: %v", dir, err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}
