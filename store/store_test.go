package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"

	"aistore/cksum"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

func testStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.FS == nil {
		cfg.FS = fs.NewMem()
	}
	if cfg.Mountpaths == nil {
		cfg.Mountpaths = []string{"/mp1"}
	}
	if cfg.NodeID == "" {
		cfg.NodeID = "node1"
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// attach takes an empty directory into service, or one that was there.
func attach(t testing.TB, s *Store, path string) (fs.Info, error) {
	t.Helper()
	if err := s.cfg.FS.MkdirAll(path); err != nil {
		t.Fatal(err)
	}
	return s.Attach(t.Context(), path)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func get(t testing.TB, s *Store, n object.Name) []byte {
	t.Helper()
	o, err := s.Open(n)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var b bytes.Buffer
	if err := o.WriteSpan(&b, object.Span{Length: o.Info().Size}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPutNil: a request without a body gives nil, which is an empty object and not a write of blobs.
func TestPutNil(t *testing.T) {
	s := testStore(t, Config{})
	n := object.Name{Bucket: 1, Key: "empty"}
	if _, err := s.Put(context.Background(), n, nil, PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: -1}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, n); len(got) != 0 {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestPutGetDelete(t *testing.T) {
	for _, real := range []bool{false, true} {
		cfg := Config{}
		if real {
			cfg.FS, cfg.Mountpaths = fs.OS{}, []string{t.TempDir()}
		}
		s := testStore(t, cfg)
		ctx := context.Background()
		for _, size := range []int{0, 1, 4096, 128 << 10, 128<<10 + 1, 256 << 10, 1 << 20, 3<<20 + 17} {
			n := object.Name{Bucket: 1, Key: "a/b"}
			data := random(size)
			info, err := s.Put(ctx, n, data, PutOptions{Epoch: 1, Checksum: cksum.XXHash, Size: -1, Custom: map[string]string{"k": "v"}})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(get(t, s, n), data) {
				t.Fatalf("%d bytes: wrong content", size)
			}
			st, err := s.Stat(n)
			if err != nil || st.Version != info.Version || st.ETag != info.ETag || st.Size != int64(size) || st.Custom["k"] != "v" {
				t.Fatalf("stat %+v %v, put said %+v", st, err, info)
			}
			data = random(size)
			if _, err := s.PutStream(ctx, n, bytes.NewReader(data), PutOptions{Epoch: 1, Checksum: cksum.MD5, Size: -1}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(get(t, s, n), data) {
				t.Fatalf("%d bytes streamed: wrong content", size)
			}
			if _, err := s.Delete(ctx, n, DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Open(n); !errs.Is(err, errs.NotFound) {
				t.Fatalf("after delete: %v", err)
			}
		}
		var names int
		for _, v := range s.volumes() {
			dirs, _ := v.mp.ReadDir("blobs")
			for _, d := range dirs {
				f, _ := v.mp.ReadDir("blobs/" + d)
				names += len(f)
			}
			w, _ := v.mp.ReadDir("work")
			names += len(w)
		}
		if names != 0 {
			t.Errorf("%d files left", names)
		}
	}
}
