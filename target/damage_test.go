package target_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"aistore/cluster"
)

// TestDamagedOnItsWay: a key that is damaged where it lies cannot come to its new owner. It can be deleted there, and written anew.
func TestDamagedOnItsWay(t *testing.T) {
	for name, size := range map[string]int{"short": 200 << 10, "long": 3 << 20} {
		t.Run(name, func(t *testing.T) {
			e, t1, t2, key := joined(t)
			k := key("x")
			t1.want(t, 200, call{method: "PUT", path: path("bk", k), body: random(size)})
			flipBit(t, t1.dir, 150<<10)
			e.move(cluster.JoinNode, "t2")
			if a := t2.do(t, call{method: "DELETE", path: path("bk", k), header: []string{"If-Match", `"something"`}}); a.StatusCode < 400 {
				t.Errorf("its condition cannot be judged: %d", a.StatusCode)
			}
			t2.want(t, 200, call{method: "DELETE", path: path("bk", k)})
			t2.want(t, 404, call{method: "GET", path: path("bk", k)})
			if s := e.state(t2, "bk", k); s.Authority != e.m.Map.Epoch || s.Exists {
				t.Errorf("%+v in epoch %d", s, e.m.Map.Epoch)
			}
			t2.want(t, 404, call{method: "DELETE", path: path("bk", k)})
			t2.want(t, 200, call{method: "PUT", path: path("bk", k), body: []byte("anew")})
			if a := t2.want(t, 200, call{method: "GET", path: path("bk", k)}); string(a.body) != "anew" {
				t.Errorf("%q", a.body)
			}
		})
	}
}

// TestDamagedWithVersions: what would go with a key besides its current state is not given up.
func TestDamagedWithVersions(t *testing.T) {
	e, t1, t2, _ := joined(t)
	k := e.going("kept", "x", t1, t2, cluster.JoinNode, "t2")
	t1.want(t, 200, call{method: "PUT", path: path("kept", k), body: random(200 << 10)})
	flipBit(t, t1.dir, 150<<10)
	e.move(cluster.JoinNode, "t2")
	if a := t2.do(t, call{method: "DELETE", path: path("kept", k)}); a.StatusCode < 500 {
		t.Errorf("%d", a.StatusCode)
	}
	if s := e.state(t2, "kept", k); s.Authority != 0 || s.Exists {
		t.Errorf("%+v", s)
	}
}

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
