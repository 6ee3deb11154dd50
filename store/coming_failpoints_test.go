//go:build failpoints

package store

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"aistore/fs"
	"aistore/internal/failpoint"
	"aistore/object"
	"aistore/store/format"
)

// TestComesAtAnyMoment: a reader is held at each of its looks at the mountpaths. One comes right then, and the name goes there and all is
// settled before the reader goes on, which finds it nevertheless.
func TestComesAtAnyMoment(t *testing.T) {
	data := random(9000)
	for kind, read := range map[string]func(s *Store, n object.Name) error{
		"stat":         func(s *Store, n object.Name) error { return second(s.Stat(n)) },
		"open":         func(s *Store, n object.Name) error { return readBack(s, n, data) },
		"version":      func(s *Store, n object.Name) error { return second(s.StatVersion(n, "")) },
		"null version": func(s *Store, n object.Name) error { return second(s.StatVersion(n, object.NullVersion)) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Cleanup(failpoint.Disarm)
			nth := 1
			for ; comesAt(t, read, data, nth) && !t.Failed(); nth++ {
			}
			t.Logf("%d looks at the mountpaths", nth-1)
		})
	}
}

// comesAt is the test at one look; false when the reader has ended before.
func comesAt(t *testing.T, read func(*Store, object.Name) error, data []byte, nth int) bool {
	n := b1("k")
	for went := false; !went; { // chance decides whether the name belongs on what comes
		s, err := Open(t.Context(), crashConfig(fs.NewMem(), []string{"/a"}))
		must(t, err)
		put(t, s, n.Key, data)
		must(t, failpoint.Arm(fmt.Sprintf("layout.loaded=pause:%d", nth)))
		done := make(chan error, 1)
		go func() { done <- read(s, n) }()
		for len(failpoint.Waiting()) == 0 {
			select {
			case err := <-done:
				must(t, err)
				failpoint.Disarm()
				must(t, s.Close())
				return false
			default:
				runtime.Gosched()
			}
		}
		must(t, second(attach(t, s, "/b")))
		settleStore(t, s)
		went = where(t, s, n)[0] == "/b"
		failpoint.Release("layout.loaded")
		if err := <-done; err != nil {
			t.Errorf("at look %d: %v", nth, err)
		}
		must(t, s.Close())
	}
	return true
}

// TestTakenBackMeanwhile: the home of a name is about to leave when its content has come, and is in service again when that would follow it
// elsewhere. What is acknowledged is there.
func TestTakenBackMeanwhile(t *testing.T) {
	t.Cleanup(failpoint.Disarm)
	data := random(9000)
	s := testStore(t, crashConfig(fs.NewMem(), []string{"/a", "/b"}))
	put(t, s, "first", nil)
	for i := range 8 {
		n := b1(fmt.Sprint(i))
		home, err := s.home(n)
		must(t, err)
		id := createUpload(t, s, n)
		uid, _ := format.ParseUploadID(id)
		place, err := s.partHome(uid, 1, 1)
		must(t, err)
		leaves := func(path string, looks int) func(*Finish) error {
			return func(*Finish) error {
				return errors.Join(s.Detach(t.Context(), path, false), failpoint.Arm(fmt.Sprintf("layout.loaded=pause:%d", looks)))
			}
		}
		for what, write := range map[string]func() error{
			"put": func() error {
				return second(s.Put(t.Context(), n, data, PutOptions{Finish: leaves(home.mp.Path(), 2)}))
			},
			"part": func() error {
				p, err := s.PutPart(t.Context(), n, id, 1, bytes.NewReader(data), PartOptions{Size: 9000, Finish: leaves(place.mp.Path(), 3)})
				if err != nil {
					return err
				}
				return second(s.CompleteUpload(t.Context(), n, id, []CompletePart{{Number: 1, ETag: p.ETag}}, CompleteOptions{}))
			},
		} {
			takenBack(t, s, what, write)
			if err := readBack(s, n, data); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			settleStore(t, s)
		}
	}
}

// takenBack makes a write that is held when it looks where to follow its name, and takes back meanwhile what was about to leave.
func takenBack(t *testing.T, s *Store, what string, write func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- write() }()
	for len(failpoint.Waiting()) == 0 {
		select {
		case err := <-done:
			t.Fatalf("%s: it has not looked where to follow: %v", what, err)
		default:
			runtime.Gosched()
		}
	}
	for _, i := range s.Mountpaths() {
		if i.Standing == fs.Leaving {
			must(t, second(s.Enable(t.Context(), i.Path)))
		}
	}
	failpoint.Release("layout.loaded")
	if err := <-done; err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// TestFlushedWhileItLeaves: a short append that is flushed while the mountpath of its session is about to leave ends there, too.
func TestFlushedWhileItLeaves(t *testing.T) {
	t.Cleanup(failpoint.Disarm)
	s := testStore(t, crashConfig(fs.NewMem(), []string{"/a", "/b"}))
	n := b1("k")
	h, err := s.BeginAppend(t.Context(), n)
	must(t, err)
	h, err = s.Append(t.Context(), n, h, bytes.NewReader([]byte("short")))
	must(t, err)
	home, err := s.home(n)
	must(t, err)
	must(t, failpoint.Arm("append.before-commit=pause"))
	done := make(chan error, 1)
	go func() { done <- second(s.FlushAppend(t.Context(), n, h, PutOptions{})) }()
	for len(failpoint.Waiting()) == 0 {
		runtime.Gosched()
	}
	must(t, s.Detach(t.Context(), home.mp.Path(), false))
	failpoint.Release("append.before-commit")
	must(t, <-done)
	must(t, readBack(s, n, []byte("short")))
	settleStore(t, s)
	if open, _ := s.Appends(); open != 0 || len(s.Mountpaths()) != 1 {
		t.Errorf("%d sessions, %d mountpaths", open, len(s.Mountpaths()))
	}
}

// TestShiftIsToldAtOnce: a key that a walk has met on neither mountpath, since it went from one to the other between the walk's looks at them,
// has changed Shifts by then.
func TestShiftIsToldAtOnce(t *testing.T) {
	t.Cleanup(failpoint.Disarm)
	s := testStore(t, crashConfig(fs.NewMem(), []string{"/a"}))
	for i := range 20 {
		put(t, s, fmt.Sprint(i), []byte("x"))
	}
	from := s.volumes()[0]
	must(t, second(attach(t, s, "/b")))
	met := func(v *volume, n object.Name) (found bool) {
		must(t, s.WalkKeys(t.Context(), slices.Index(s.volumes(), v), object.Name{}, func(_ uint64, key []byte) bool {
			found = found || string(key) == n.Key
			return true
		}))
		return found
	}
	went := 0
	for i := range 20 {
		n := b1(fmt.Sprint(i))
		home, err := s.home(n)
		must(t, err)
		if home == from {
			continue
		}
		went++
		lies := s.Shifts()
		first := met(home, n)
		must(t, failpoint.Arm("move.after-remove=pause"))
		done := make(chan error, 1)
		go func() { done <- second((&moves{s}).moveName(t.Context(), n, from)) }()
		for len(failpoint.Waiting()) == 0 {
			runtime.Gosched()
		}
		if !first && !met(from, n) && s.Shifts() == lies {
			t.Errorf("%v was met nowhere, and nothing was moved", n)
		}
		failpoint.Release("move.after-remove")
		must(t, <-done)
	}
	if went == 0 {
		t.Error("none had to move")
	}
}
