package fs

import (
	"slices"
	"strings"
	"testing"

	"aistore/errs"
)

// detach takes the mountpath at path out of s for good, as a node does that has emptied it.
func detach(t *testing.T, s *Set, path string) *Set {
	t.Helper()
	m, _ := s.Find(path)
	n, err := s.Leave(m, Leaving, "is being detached", 0, 0)
	must(t, err)
	n, err = n.DropEmptied(m)
	must(t, err)
	must(t, m.Release())
	must(t, m.Close())
	return n
}

// attach takes an empty directory into service.
func attach(t *testing.T, s *Set, path string) *Set {
	t.Helper()
	must(t, s.sys.MkdirAll(path))
	m, err := s.OpenNew(path, MayBeNew)
	must(t, err)
	n, err := s.Join(m)
	must(t, err)
	return n
}

// away takes a disk out and leaves its empty mount point.
func away(t *testing.T, sys FS, path string) {
	t.Helper()
	root := open(t, sys, "/")
	must(t, root.Rename(strings.TrimPrefix(path, "/"), strings.TrimPrefix(path, "/")+".away"))
	must(t, sys.MkdirAll(path))
}

// back puts it in again.
func back(t *testing.T, sys FS, path string) {
	t.Helper()
	root := open(t, sys, "/")
	must(t, RemoveAll(root, strings.TrimPrefix(path, "/")))
	must(t, root.Rename(strings.TrimPrefix(path, "/")+".away", strings.TrimPrefix(path, "/")))
}

func restart(sys FS, paths ...string) (*Set, error) {
	if err := sys.MkdirAll("/home"); err != nil {
		return nil, err
	}
	return OpenSet(SetConfig{FS: sys, Paths: paths, NodeID: "n1", Existing: true, Home: "/home"})
}

func first(t *testing.T, sys FS, paths ...string) *Set {
	t.Helper()
	must(t, sys.MkdirAll("/home"))
	s, err := OpenSet(SetConfig{FS: sys, Paths: paths, NodeID: "n1", Home: "/home"})
	must(t, err)
	return s
}

// state says of each mountpath whether it can be used.
func state(s *Set) (out []string) {
	for _, m := range s.All() {
		how := " used"
		if m.Err() != nil {
			how = " failed"
		}
		out = append(out, m.Path()+how)
	}
	slices.Sort(out)
	return out
}

// TestMissingBesideDetached: an empty mount point is never taken for a new disk because another mountpath, which was detached, still has a marker.
func TestMissingBesideDetached(t *testing.T) {
	for _, home := range []bool{true, false} { // the node's own directory may be lost, too
		sys := NewMem()
		s := first(t, sys, "/a", "/b")
		s = detach(t, s, "/a")
		must(t, s.Close())
		away(t, sys, "/b")
		if !home {
			must(t, RemoveAll(open(t, sys, "/"), "home"))
		}
		if s, err := restart(sys, "/a", "/b"); !errs.Is(err, errs.Mountpath) {
			t.Fatalf("home %v: started with %v, %v", home, s, err)
		}
		if _, err := ReadMarker(sys, "/b"); !errs.Is(err, errs.NotFound) {
			t.Fatalf("home %v: the mount point became a mountpath: %v", home, err)
		}
		back(t, sys, "/b")
		s, err := restart(sys, "/a", "/b")
		must(t, err)
		if got := state(s); !slices.Equal(got, []string{"/b used"}) {
			t.Errorf("home %v: %v", home, got)
		}
		must(t, s.Close())
	}
}

// TestMissingBesideAttached: what was attached is used though the one that is configured and in service is missing.
func TestMissingBesideAttached(t *testing.T) {
	for _, home := range []bool{true, false} {
		sys := NewMem()
		s := first(t, sys, "/a", "/b")
		s = attach(t, s, "/c")
		s = detach(t, s, "/a")
		must(t, s.Close())
		away(t, sys, "/b")
		if !home {
			must(t, RemoveAll(open(t, sys, "/"), "home"))
		}
		s, err := restart(sys, "/a", "/b")
		must(t, err)
		if got := state(s); !slices.Equal(got, []string{"/b failed", "/c used"}) {
			t.Errorf("home %v: %v", home, got)
		}
		must(t, s.Close())
		back(t, sys, "/b")
		s, err = restart(sys, "/a", "/b")
		must(t, err)
		if got := state(s); !slices.Equal(got, []string{"/b used", "/c used"}) {
			t.Errorf("home %v: back: %v", home, got)
		}
		must(t, s.Close())
	}
}

// TestDetachedAndPulled: the mount point of a disk that was detached, and pulled, is not taken for a new one; attached anew it is.
func TestDetachedAndPulled(t *testing.T) {
	sys := NewMem()
	s := first(t, sys, "/a", "/b")
	s = detach(t, s, "/a")
	must(t, s.Close())
	away(t, sys, "/a")
	for range 2 {
		s, err := restart(sys, "/a", "/b")
		must(t, err)
		if got := state(s); !slices.Equal(got, []string{"/b used"}) {
			t.Errorf("%v", got)
		}
		must(t, s.Close())
	}
	s, err := restart(sys, "/a", "/b")
	must(t, err)
	s = attach(t, s, "/a")
	must(t, s.Close())
	s, err = restart(sys, "/a", "/b")
	must(t, err)
	if got := state(s); !slices.Equal(got, []string{"/a used", "/b used"}) {
		t.Errorf("attached: %v", got)
	}
	must(t, s.Close())
}

// TestAllReplaced: a node all of whose configured disks were exchanged for others starts with these.
func TestAllReplaced(t *testing.T) {
	sys := NewMem()
	s := first(t, sys, "/a", "/b")
	s = attach(t, s, "/c")
	s = attach(t, s, "/d")
	s = detach(t, s, "/a")
	s = detach(t, s, "/b")
	must(t, s.Close())
	root := open(t, sys, "/")
	must(t, RemoveAll(root, "a"))
	must(t, RemoveAll(root, "b"))
	s, err := restart(sys, "/a", "/b")
	must(t, err)
	if got := state(s); !slices.Equal(got, []string{"/c used", "/d used"}) {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
	away(t, sys, "/c")
	away(t, sys, "/d")
	if _, err := restart(sys, "/a", "/b", "/new"); !errs.Is(err, errs.Mountpath) || !strings.Contains(err.Error(), "/c") {
		t.Errorf("all are missing: %v", err)
	}
}

// TestHomeOfAnother: the record of another node's directory means nothing.
func TestHomeOfAnother(t *testing.T) {
	sys := NewMem()
	s := first(t, sys, "/a")
	s = attach(t, s, "/b")
	must(t, s.Close())
	s, err := OpenSet(SetConfig{FS: sys, Paths: []string{"/x"}, NodeID: "n2", Home: "/home"})
	must(t, err)
	if got := state(s); !slices.Equal(got, []string{"/x used"}) {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
	write(t, open(t, sys, "/"), "home/"+HomeName, "garbage")
	s, err = restart(sys, "/a")
	must(t, err)
	if got := state(s); !slices.Equal(got, []string{"/a used", "/b used"}) {
		t.Errorf("the node's copy is garbage: %v", got)
	}
	must(t, s.Close())
}

// TestStrangeConfiguration: a node whose configuration names none of its mountpaths goes on with those that it has, and makes none at a path that
// it knows nothing of.
func TestStrangeConfiguration(t *testing.T) {
	sys := NewMem()
	s := first(t, sys, "/a", "/b")
	must(t, s.Close())
	s, err := restart(sys, "/home/mp1")
	must(t, err)
	if got := state(s); !slices.Equal(got, []string{"/a used", "/b used"}) {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
	s, err = restart(sys, "/a", "/c") // a path more
	must(t, err)
	if got := state(s); !slices.Equal(got, []string{"/a used", "/b used", "/c used"}) {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
}

// TestDetachedByEarlierRelease: what was detached before paths were written down is known as soon as it is seen.
func TestDetachedByEarlierRelease(t *testing.T) {
	sys := NewMem()
	s := first(t, sys, "/a", "/b")
	s = detach(t, s, "/a")
	s.rec.Detached = nil
	must(t, s.write())
	must(t, s.Close())
	s, err := restart(sys, "/a", "/b")
	must(t, err)
	must(t, s.Close())
	away(t, sys, "/a")
	s, err = restart(sys, "/a", "/b")
	must(t, err)
	if got := state(s); !slices.Equal(got, []string{"/b used"}) {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
}

// TestHomeFollows: the node's own directory has each change as soon as it is made.
func TestHomeFollows(t *testing.T) {
	s := first(t, NewMem(), "/a", "/b")
	for i := range 500 {
		n, err := s.Settle()
		must(t, err)
		if s = n; !(home{s}).knows() {
			t.Fatalf("after change %d it has an older record", i)
		}
	}
	must(t, s.Close())
}

// TestOnlyDisabledLeft: a node of which nothing but disabled mountpaths is there does not start, and names the one that is missed.
func TestOnlyDisabledLeft(t *testing.T) {
	m := NewMem()
	s := first(t, m, "/a", "/b")
	b, _ := s.Find("/b")
	s, err := s.Leave(b, SetAside, "disabled on request", 1, 1)
	must(t, err)
	must(t, s.Close())
	away(t, m, "/a")
	if _, err := restart(m, "/a", "/b"); !errs.Is(err, errs.Mountpath) || !strings.Contains(err.Error(), "/a") || strings.Contains(err.Error(), "/b") {
		t.Errorf("started: %v", err)
	}
	back(t, m, "/a")
	s, err = restart(m, "/a", "/b")
	must(t, err)
	if got := state(s); !slices.Equal(got, []string{"/a used", "/b failed"}) {
		t.Errorf("%v", got)
	}
	must(t, s.Close())
}

// TestElsewhere: the path that a mountpath has left for another is not taken for a new one, and one in use is not replaced by its copy.
func TestElsewhere(t *testing.T) {
	m := NewMem()
	s := first(t, m, "/a", "/b")
	b, _ := s.Find("/b")
	s, err := s.Leave(b, Failed, "broke", 1, 1)
	must(t, err)
	b.Fail(errs.E("test", "disk", errs.Mountpath, "broke"))
	must(t, b.Close())
	root := open(t, m, "/")
	must(t, root.Rename("b", "c"))
	must(t, m.MkdirAll("/b"))
	c, err := s.OpenNew("/c", KnownOnly)
	must(t, err)
	s, err = s.Join(c)
	must(t, err)
	if _, err := s.OpenNew("/c", KnownOnly); !errs.Is(err, errs.Conflict) {
		t.Errorf("opened twice: %v", err)
	}
	must(t, s.Close())
	for range 2 {
		s, err = restart(m, "/a", "/b")
		must(t, err)
		if got := state(s); !slices.Equal(got, []string{"/a used", "/c used"}) {
			t.Errorf("%v", got)
		}
		must(t, s.Close())
	}
}

// TestEmptyAtPath: an empty directory at the path of a mountpath that is out is its mountpoint without the disk, or another disk: only who says so may use it.
func TestEmptyAtPath(t *testing.T) {
	m := NewMem()
	s := first(t, m, "/a", "/b")
	b, _ := s.Find("/b")
	s, err := s.Leave(b, Failed, "broke", 1, 1)
	must(t, err)
	b.Fail(errs.E("test", "disk", errs.Mountpath, "broke"))
	must(t, b.Close())
	must(t, open(t, m, "/").Rename("b", "elsewhere"))
	must(t, m.MkdirAll("/b"))
	if _, err := s.OpenNew("/b", KnownOnly); !errs.Is(err, errs.Mountpath) || !strings.Contains(err.Error(), noMarker) {
		t.Errorf("known only: %v, kind %v", err, errs.KindOf(err))
	}
	c, err := s.OpenNew("/b", MayBeNew)
	must(t, err)
	must(t, c.Close())
	must(t, s.Close())
}
