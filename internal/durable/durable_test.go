package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "file")
	if there, err := Exists(path); there || err != nil {
		t.Errorf("before: %v %v", there, err)
	}
	for _, text := range []string{"the first, which is longer", "second"} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("read %q %v, want %q", b, err, text)
		}
	}
	if there, err := Exists(path); !there || err != nil {
		t.Errorf("after: %v %v", there, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v: others may read it", st, err)
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("left %v %v", names, err)
	}
}

// TestOldStaysWhenItFails: what cannot be replaced is as it was.
func TestOldStaysWhenItFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.MkdirAll(filepath.Join(path, "a directory that is not empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x")); err == nil {
		t.Error("no error")
	}
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		t.Errorf("%v %v", st, err)
	}
	if _, err := Exists(filepath.Join(t.TempDir(), "x\x00y")); err == nil {
		t.Error("a path that cannot be: no error")
	}
}

func TestSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteFile(path, nil); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !Same(f) {
		t.Error("the very file")
	}
	if err := WriteFile(path, nil); err != nil || Same(f) {
		t.Errorf("another in its place: %v", err)
	}
	if err := os.Remove(path); err != nil || Same(f) {
		t.Errorf("removed: %v", err)
	}
}
