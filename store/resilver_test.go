package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// settleStore moves everything home, as package resilver does.
func settleStore(t testing.TB, s *Store) {
	t.Helper()
	must(t, resilver(t.Context(), s))
}

func resilver(ctx context.Context, s *Store) error {
	for range 50 {
		if !s.Unsettled() {
			return nil
		}
		p := s.BeginPass()
		found := 0
		for lane := range p.Lanes() {
			err := p.Each(ctx, lane, func(int) {}, func(m Move) error {
				found++
				_, err := m.Run(ctx)
				return err
			})
			if err != nil {
				return err
			}
		}
		if found > 0 {
			continue
		}
		if _, err := p.End(ctx); err != nil {
			return err
		}
	}
	return errors.New("does not settle")
}

// where tells on which mountpaths something of a name lies.
func where(t testing.TB, s *Store, n object.Name) (paths []string) {
	t.Helper()
	for _, v := range s.volumes() {
		if v.err() != nil {
			continue
		}
		var f found
		ok, err := v.read(&f, n)
		must(t, err)
		f.close()
		if ok {
			paths = append(paths, v.mp.Path())
		}
	}
	return paths
}

// allHome checks that every name is at its home and nowhere else.
func allHome(t testing.TB, s *Store, bucket uint64) {
	t.Helper()
	for _, key := range list(t, s, ListQuery{Bucket: bucket}) {
		n := object.Name{Bucket: bucket, Key: key}
		v, err := s.home(n)
		must(t, err)
		if at := where(t, s, n); len(at) != 1 || at[0] != v.mp.Path() {
			t.Errorf("%s is on %v, its home is %s", key, at, v.mp.Path())
		}
	}
}

func TestAttachDetach(t *testing.T) {
	mem := fs.NewMem()
	s := testStore(t, Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "n", InlineMax: 1000})
	want := map[string][]byte{}
	write := func(from, to int) {
		for i := from; i < to; i++ {
			key := fmt.Sprintf("k%d", i)
			want[key] = random([]int{10, 5000, 300_000}[i%3])
			put(t, s, key, want[key])
		}
	}
	write(0, 120)
	multi := uploadWhole(t, s, b1("multi"), 5)
	check := func() {
		t.Helper()
		for key, data := range want {
			if !bytes.Equal(get(t, s, b1(key)), data) {
				t.Fatalf("%s is wrong", key)
			}
		}
		if !bytes.Equal(get(t, s, b1("multi")), multi) {
			t.Fatal("the object in parts is wrong")
		}
		if got := list(t, s, ListQuery{Bucket: 1}); len(got) != len(want)+1 {
			t.Fatalf("%d names, want %d", len(got), len(want)+1)
		}
	}
	info, err := attach(t, s, "/c")
	must(t, err)
	if info.Weight != 100 || !s.Unsettled() {
		t.Errorf("%+v", info)
	}
	check()
	write(100, 140)
	check()
	settleStore(t, s)
	check()
	allHome(t, s, 1)
	if !s.now().set.Settled() {
		t.Error("not settled")
	}
	must(t, s.Detach(t.Context(), "/a", false))
	check()
	write(130, 150)
	settleStore(t, s)
	check()
	allHome(t, s, 1)
	if len(s.Mountpaths()) != 2 {
		t.Errorf("%+v", s.Mountpaths())
	}
	if mk, err := fs.ReadMarker(mem, "/a"); err != nil || !mk.Released {
		t.Errorf("marker of what was detached: %+v %v", mk, err)
	}
	must(t, s.Close())
	s2, err := Open(t.Context(), Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "n", InlineMax: 1000, Existing: true})
	must(t, err)
	defer func() { must(t, s2.Close()) }()
	s = s2
	check()
	if len(s.Mountpaths()) != 2 || !s.now().set.Settled() {
		t.Errorf("after a restart: %+v", s.Mountpaths())
	}
	_, err = attach(t, s, "/a") // as a new one
	must(t, err)
	settleStore(t, s)
	check()
	allHome(t, s, 1)
}

// TestBackAfterReads: what was read often before a mountpath went is read from it when it is back, or from where it is then.
func TestBackAfterReads(t *testing.T) {
	dir := t.TempDir()
	a, b := dir+"/a", dir+"/b"
	s, err := Open(t.Context(), Config{Mountpaths: []string{a, b}, NodeID: "n", InlineMax: 100, HotSize: 1 << 20})
	must(t, err)
	data := random(5000) // a blob
	for i := range 40 {
		put(t, s, fmt.Sprintf("k%d", i), data)
	}
	read := func(what string, ok ...errs.Kind) (failed int) {
		for i := range 40 {
			for range 4 {
				n := b1(fmt.Sprintf("k%d", i))
				obj, err := s.Open(n)
				if err != nil && !errs.Is(err, ok...) {
					t.Errorf("%s: %v", what, err)
				}
				if err != nil {
					failed++
					continue
				}
				obj.Close()
				if !bytes.Equal(get(t, s, n), data) {
					t.Errorf("%s: %v has other bytes", what, n)
				}
			}
		}
		return failed
	}
	read("before")
	must(t, s.Disable(b))
	if read("away", errs.Mountpath) == 0 {
		t.Error("nothing was on the mountpath")
	}
	_, err = s.Enable(t.Context(), b)
	must(t, err)
	read("back")
	must(t, s.Disable(b))
	must(t, s.Detach(t.Context(), b, true))
	read("given up", errs.NotFound)
	must(t, s.Close())
}

// TestDisableEnable: what is changed while a mountpath is out of service holds when it comes back.
func TestDisableEnable(t *testing.T) {
	for _, how := range []string{"enable", "restart"} {
		t.Run(how, func(t *testing.T) {
			mem := fs.NewMem()
			cfg := Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "n", InlineMax: 100}
			s, err := Open(t.Context(), cfg)
			must(t, err)
			for i := range 90 {
				put(t, s, fmt.Sprintf("k%d", i), []byte("old"))
			}
			must(t, s.Disable("/b"))
			must(t, s.Disable("/b"))
			if err := s.Disable("/a"); !errs.Is(err, errs.Conflict) {
				t.Errorf("the last one: %v", err)
			}
			away := 0
			for i := range 90 {
				n := b1(fmt.Sprintf("k%d", i))
				_, err := s.Stat(n)
				if errs.Is(err, errs.Mountpath) {
					away++
				} else if err != nil {
					t.Error(err)
				}
				switch i % 3 {
				case 0: // written anew, whatever was there
					put(t, s, n.Key, []byte("new"))
					if string(get(t, s, n)) != "new" {
						t.Error("not readable after it was written")
					}
				case 1: // written and deleted
					put(t, s, n.Key, []byte("new"))
					_, err := s.Delete(t.Context(), n, DeleteOptions{})
					must(t, err)
					if _, err := s.Stat(n); !errs.Is(err, errs.NotFound) {
						t.Errorf("deleted: %v", err)
					}
				}
			}
			if away < 20 || away > 70 {
				t.Errorf("%d of 90 names were away", away)
			}
			put(t, s, "fresh", random(1000))
			must(t, resilver(t.Context(), s))
			if s.now().set.Settled() {
				t.Error("settled while one is away")
			}
			if how == "enable" {
				_, err := s.Enable(t.Context(), "/b")
				must(t, err)
			} else {
				must(t, s.Close())
				s, err = Open(t.Context(), cfg)
				must(t, err)
				if i := s.Mountpaths(); len(i) != 2 || i[0].State == i[1].State {
					t.Errorf("disabled on request, and in service after a restart: %+v", i)
				}
				_, err := s.Enable(t.Context(), "/b")
				must(t, err)
			}
			for range 2 {
				for i := range 90 {
					n := b1(fmt.Sprintf("k%d", i))
					if i%3 == 1 {
						if _, err := s.Stat(n); !errs.Is(err, errs.NotFound) {
							t.Errorf("%s: a delete was undone: %v", n.Key, err)
						}
						continue
					}
					if got, want := string(get(t, s, n)), []string{"new", "", "old"}[i%3]; got != want {
						t.Errorf("%s: %q, want %q", n.Key, got, want)
					}
				}
				if got := list(t, s, ListQuery{Bucket: 1}); len(got) != 61 {
					t.Errorf("%d names", len(got))
				}
				settleStore(t, s)
			}
			allHome(t, s, 1)
			for i := 1; i < 90; i += 3 {
				if at := where(t, s, b1(fmt.Sprintf("k%d", i))); len(at) != 0 {
					t.Errorf("something of a deleted name is left on %v", at)
				}
			}
			must(t, s.Close())
		})
	}
}

// TestOverwrittenOnItsWay: a long object that is being copied to its new home is overwritten, deleted, appended to and read as if it
// stood still: nobody waits for the copy, and what was written last holds.
func TestOverwrittenOnItsWay(t *testing.T) {
	var copying atomic.Bool
	reached, release := make(chan string, 100), make(chan struct{})
	disk := &fs.Faulty{FS: fs.NewMem(), Check: func(op fs.Op, name string) error {
		if op == fs.OpCreate && strings.HasPrefix(name, "work/") && copying.CompareAndSwap(true, false) { // once: of the mover
			reached <- name
			<-release
		}
		return nil
	}}
	s := testStore(t, Config{FS: disk, Mountpaths: []string{"/a"}, NodeID: "n", InlineMax: 1000})
	long := random(5 << 20)
	changes := []struct {
		name string
		do   func(n object.Name) error
		want []byte
	}{
		{"overwritten", func(n object.Name) error { put(t, s, n.Key, long[:3<<20]); return nil }, long[:3<<20]},
		{"overwritten by a short one", func(n object.Name) error { put(t, s, n.Key, long[:10]); return nil }, long[:10]},
		{"deleted", func(n object.Name) error { return second(s.Delete(t.Context(), n, DeleteOptions{})) }, nil},
		{"read", func(n object.Name) error { get(t, s, n); return nil }, long},
	}
	for i, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			n := b1(fmt.Sprintf("long-%d", i))
			put(t, s, n.Key, long)
			from, err := s.home(n)
			must(t, err)
			_, err = attach(t, s, fmt.Sprintf("/b%d", i))
			must(t, err)
			must(t, s.Detach(t.Context(), from.mp.Path(), false))
			copying.Store(true)
			done := make(chan error, 1)
			go func() { done <- resilver(t.Context(), s) }()
			<-reached
			if err := c.do(n); err != nil {
				t.Error(err)
			}
			release <- struct{}{}
			must(t, <-done)
			settleStore(t, s)
			if c.want == nil {
				if _, err := s.Stat(n); !errs.Is(err, errs.NotFound) {
					t.Errorf("deleted: %v", err)
				}
			} else if !bytes.Equal(get(t, s, n), c.want) {
				t.Error("it is not what was written last")
			}
			allHome(t, s, 1)
		})
	}
}
