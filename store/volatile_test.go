package store

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// What class volatile may lose is its own writes, and never what was durable before or is acknowledged under class local.

// TestCopyOfVolatile: a copy under class local survives a loss of power, also when it shares what was written under class volatile, by this
// process or by one before.
func TestCopyOfVolatile(t *testing.T) {
	for _, c := range []struct{ parts, restart bool }{{}, {parts: true}, {restart: true}, {parts: true, restart: true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			mem := fs.NewMem()
			cfg := crashConfig(mem, []string{"/a"})
			s, err := Open(t.Context(), cfg)
			must(t, err)
			data := random(20_000)
			if c.parts {
				id := createUpload(t, s, b1("staged"))
				p, err := s.PutPart(t.Context(), b1("staged"), id, 1, bytes.NewReader(data), PartOptions{Size: 20_000, Durability: cluster.Volatile})
				must(t, err)
				must(t, second(s.CompleteUpload(t.Context(), b1("staged"), id, []CompletePart{{Number: 1, ETag: p.ETag}},
					CompleteOptions{PutOptions: PutOptions{Durability: cluster.Volatile}})))
			} else {
				must(t, second(s.Put(t.Context(), b1("staged"), data, PutOptions{Durability: cluster.Volatile})))
			}
			if c.restart { // the page cache has it yet
				must(t, s.Close())
				s, err = Open(t.Context(), cfg)
				must(t, err)
			}
			for i := range 3 { // of a copy, too
				must(t, second(s.Copy(t.Context(), b1([]string{"staged", "0", "1"}[i]), "", b1(fmt.Sprint(i)), PutOptions{Durability: []cluster.Durability{cluster.Volatile, cluster.Local, ""}[i]})))
			}
			after := testStore(t, crashConfig(mem.Crash(nil), []string{"/a"}))
			must(t, s.Close())
			for _, key := range []string{"1", "2"} {
				if got := get(t, after, b1(key)); !bytes.Equal(got, data) {
					t.Errorf("%s: %d bytes", key, len(got))
				}
			}
		})
	}
}

// TestLocalOfVolatileParts: an upload whose parts came under class volatile, and which is completed under class local since its bucket has become that,
// survives a loss of power, also when another process completes it.
func TestLocalOfVolatileParts(t *testing.T) {
	for _, restart := range []bool{false, true} {
		mem := fs.NewMem()
		cfg := crashConfig(mem, []string{"/a", "/b"})
		s, err := Open(t.Context(), cfg)
		must(t, err)
		id := createUpload(t, s, b1("k"))
		var named []CompletePart
		var data []byte
		for i := range 6 {
			part := random(20_000)
			p, err := s.PutPart(t.Context(), b1("k"), id, i+1, bytes.NewReader(part), PartOptions{Size: 20_000, Durability: cluster.Volatile})
			must(t, err)
			named, data = append(named, CompletePart{Number: i + 1, ETag: p.ETag}), append(data, part...)
		}
		if restart {
			must(t, s.Close())
			s, err = Open(t.Context(), cfg)
			must(t, err)
		}
		must(t, second(s.CompleteUpload(t.Context(), b1("k"), id, named, CompleteOptions{PutOptions: PutOptions{Durability: cluster.Local}})))
		after := testStore(t, crashConfig(mem.Crash(nil), []string{"/a", "/b"}))
		must(t, s.Close())
		obj, err := after.Open(b1("k"))
		must(t, err)
		if got, err := io.ReadAll(obj.Reader()); err != nil || !bytes.Equal(got, data) {
			t.Errorf("restarted %v: %d bytes, %v", restart, len(got), err)
		}
		obj.Close()
	}
}

// TestVolatileOverNullVersion: a null version that was durable is not lost to a write of class volatile that replaces it and is lost itself.
func TestVolatileOverNullVersion(t *testing.T) {
	old := random(20_000)
	for seed := range uint64(20) {
		mem := fs.NewMem()
		s := testStore(t, crashConfig(mem, []string{"/a"}))
		put(t, s, "k", old)
		must(t, second(s.Put(t.Context(), b1("k"), []byte("second"), PutOptions{Versioning: Versioned})))
		must(t, second(s.Put(t.Context(), b1("k"), []byte("third"), PutOptions{Versioning: Suspended, Durability: cluster.Volatile})))
		after := testStore(t, crashConfig(mem.Crash(rand.New(rand.NewPCG(seed, 1))), []string{"/a"}))
		if got := readOr(t, after, b1("k"), object.NullVersion); got != string(old) && got != "third" {
			t.Errorf("seed %d: %d bytes", seed, len(got))
		}
	}
}

// TestVolatileBeforeItMoved: what lies on a former home is not lost to a write of class volatile that replaces it on another mountpath and is
// lost itself.
func TestVolatileBeforeItMoved(t *testing.T) {
	mem := fs.NewMem()
	s := testStore(t, crashConfig(mem, []string{"/a"}))
	for i := range 40 {
		put(t, s, fmt.Sprint(i), []byte("old"))
	}
	must(t, second(attach(t, s, "/b")))
	for i := range 40 {
		must(t, second(s.Put(t.Context(), b1(fmt.Sprint(i)), []byte("new"), PutOptions{Durability: cluster.Volatile})))
	}
	for i := range 40 { // makes durable what one of them has
		v, err := s.home(b1(fmt.Sprint("other", i)))
		must(t, err)
		if v.mp.Path() == "/a" {
			put(t, s, fmt.Sprint("other", i), nil)
		}
	}
	after := testStore(t, crashConfig(mem.Crash(nil), []string{"/a", "/b"}))
	for i := range 40 {
		if got := readOr(t, after, b1(fmt.Sprint(i)), ""); got != "old" && got != "new" {
			t.Errorf("%d: %q", i, got)
		}
	}
}

// TestSweptBehindForgetting: who sweeps right behind a removal that a loss of power may undo leaves keys whole.
func TestSweptBehindForgetting(t *testing.T) {
	paths := []string{"/a", "/b"}
	n := b1("k")
	data := string(random(20_000))
	for what, c := range map[string]struct {
		make  func(t *testing.T, s *Store) (want, upload string)
		sweep func(s *Store, v *volume) error
	}{
		"blob": {
			func(t *testing.T, s *Store) (want, upload string) { put(t, s, n.Key, []byte(data)); return data, "" },
			func(_ *Store, v *volume) error { return second(v.sweepBlobs(t.Context())) },
		},
		"parts": {
			func(t *testing.T, s *Store) (want, upload string) { return string(uploadWhole(t, s, n, 5)), "" },
			func(s *Store, v *volume) error { return s.finishGone(v) },
		},
		"upload": {
			func(t *testing.T, s *Store) (want, upload string) {
				id := createUpload(t, s, n)
				for i := range 4 {
					putPart(t, s, n, id, i+1, random(100))
				}
				return "", id
			},
			func(s *Store, _ *volume) error { return s.cleanUploads(t.Context()) },
		},
	} {
		t.Run(what, func(t *testing.T) {
			for seed := range uint64(20) {
				mem := fs.NewMem()
				var power losses
				power.watch(mem)
				s, err := Open(t.Context(), crashConfig(mem, paths))
				must(t, err)
				want, upload := c.make(t, s)
				must(t, s.cleanUploads(t.Context()))
				_, results := s.ForgetKeys(t.Context(), []object.Name{n}, nil)
				must(t, results[0])
				power.on.Store(true)
				for _, v := range s.volumes() {
					must(t, c.sweep(s, v))
				}
				power.on.Store(false)
				states := append(power.states, mem.Crash(nil), mem.Crash(rand.New(rand.NewPCG(seed, 1))))
				must(t, s.Close())
				for i, c := range states {
					after := testStore(t, crashConfig(c, paths))
					after.tidy(t.Context())
					if got := readOr(t, after, n, ""); got != "" && got != want {
						t.Errorf("seed %d, state %d: %d bytes", seed, i, len(got))
					}
					if upload == "" {
						continue
					}
					if parts, _, err := after.ListParts(t.Context(), n, upload, 0, 0); err != nil && !errs.Is(err, errs.NotFound) || err == nil && len(parts) != 4 {
						t.Errorf("seed %d, state %d: %d parts of the upload: %v", seed, i, len(parts), err)
					}
				}
			}
		})
	}
}
