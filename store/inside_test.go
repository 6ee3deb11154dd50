package store

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aistore/fs"
)

// Whoever ends with an error has left the index: nobody could close it otherwise, nor release its mountpath.

// outside checks that nobody is inside the index of a volume, which cannot be used afterwards.
func outside(t *testing.T, v *volume) {
	t.Helper()
	if !v.gate.Drain(time.Second, func() {}) {
		t.Errorf("somebody is still inside the index of %s", v.mp.Path())
	}
}

// TestRefusedWritesLeave: writes and deletes that are refused right before their commit, where a null version was to be replaced.
func TestRefusedWritesLeave(t *testing.T) {
	refused := errors.New("refused")
	guard := func() error { return refused }
	for what, do := range map[string]func(s *Store) error{
		"put": func(s *Store) error {
			return second(s.Put(t.Context(), b1("k"), []byte("third"), PutOptions{Versioning: Suspended, Guard: guard}))
		},
		"delete marker": func(s *Store) error {
			return second(s.Delete(t.Context(), b1("k"), DeleteOptions{Versioning: Suspended, Guard: guard}))
		},
		"copy": func(s *Store) error {
			return second(s.Copy(t.Context(), b1("from"), "", b1("k"), PutOptions{Versioning: Suspended, Guard: guard}))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, err := Open(t.Context(), Config{FS: fs.NewMem(), Mountpaths: []string{"/a"}, NodeID: "n", InlineMax: 1000})
			must(t, err)
			put(t, s, "from", random(5000))
			put(t, s, "k", []byte("first"))
			must(t, second(s.Put(t.Context(), b1("k"), []byte("second"), PutOptions{Versioning: Versioned})))
			if err := do(s); !errors.Is(err, refused) {
				t.Fatal(err)
			}
			outside(t, s.volumes()[0])
			must(t, s.Close())
		})
	}
}

// TestFailedMovesLeave: a version whose move fails at its new home, where a newer one is already.
func TestFailedMovesLeave(t *testing.T) {
	mem := fs.NewMem()
	var failing atomic.Pointer[volume]
	mem.OnSync = func(name string) {
		if v := failing.Load(); v != nil && strings.HasPrefix(name, v.mp.Path()+"/index/") && strings.HasSuffix(name, ".log") {
			v.mp.Fail(errors.New("out"))
		}
	}
	s, err := Open(t.Context(), Config{FS: mem, Mountpaths: []string{"/a"}, NodeID: "n"})
	must(t, err)
	defer func() { _ = s.Close() }() // a mountpath has failed
	version := func(i int) {
		must(t, second(s.Put(t.Context(), b1(fmt.Sprint(i)), []byte("x"), PutOptions{Versioning: Versioned})))
	}
	for i := range 20 {
		version(i)
	}
	from := s.volumes()[0]
	must(t, second(attach(t, s, "/b")))
	for i := range 20 {
		home, err := s.home(b1(fmt.Sprint(i)))
		must(t, err)
		if home == from {
			continue
		}
		version(i)
		failing.Store(home)
		if _, err := (&moves{s}).moveName(t.Context(), b1(fmt.Sprint(i)), from); err == nil {
			t.Fatal("it moved")
		}
		failing.Store(nil)
		if !home.mp.Returned(t.Context(), time.Minute) {
			t.Fatal("the sync has not ended")
		}
		outside(t, home)
		return
	}
	t.Error("none had to move")
}
