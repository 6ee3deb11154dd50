package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"aistore/errs"
)

func openSet(t *testing.T, sys FS, node string, paths ...string) *Set {
	t.Helper()
	s, err := OpenSet(SetConfig{FS: sys, Paths: paths, NodeID: node})
	must(t, err)
	return s
}

func TestSetKeepsIdentity(t *testing.T) {
	m := NewMem()
	s := openSet(t, m, "n1", "/a", "/b")
	ids := map[string]string{}
	for _, mp := range s.All() {
		ids[mp.Path()] = mp.ID()
	}
	must(t, s.Bind("cluster-1"))
	must(t, s.Bind("cluster-1"))
	if err := s.Bind("cluster-2"); !errs.Is(err, errs.Conflict) {
		t.Errorf("bound to a second cluster: %v", err)
	}
	homes := map[string]string{}
	for i := range 200 {
		k := fmt.Sprint(i)
		homes[k] = s.All()[s.Home(k)].ID()
	}
	must(t, s.Close())

	mk, err := ReadMarker(m, "/a")
	if err != nil || mk.NodeID != "n1" || mk.ClusterUUID != "cluster-1" || mk.ID != ids["/a"] || mk.Weight != 100 {
		t.Errorf("%+v %v", mk, err)
	}
	// Paths in another order, a disk mounted elsewhere, no node id: the same set.
	root := open(t, m, "/")
	must(t, root.Rename("b", "elsewhere"))
	s = openSet(t, m, "", "/elsewhere", "/a")
	if !s.Settled() {
		t.Error("the set is unsettled though its members are the same")
	}
	for k, id := range homes {
		if got := s.All()[s.Home(k)].ID(); got != id {
			t.Errorf("%s moved from %s to %s", k, id, got)
		}
	}
	for _, mp := range s.All() {
		if mp.Path() == "/elsewhere" && mp.ID() != ids["/b"] {
			t.Error("a disk changed its id with its place")
		}
	}
	must(t, s.Close())
}

func TestSetRefuses(t *testing.T) {
	m := NewMem()
	s := openSet(t, m, "n1", "/a", "/b")
	if _, err := OpenSet(SetConfig{FS: m, Paths: []string{"/a"}}); !errs.Is(err, errs.Conflict) {
		t.Errorf("in use: %v", err)
	}
	must(t, s.Bind("c1"))
	must(t, s.Close())
	other := openSet(t, m, "n2", "/other")
	must(t, other.Close())
	foreign := openSet(t, m, "n1", "/foreign")
	must(t, foreign.Bind("c2"))
	must(t, foreign.Close())
	root := open(t, m, "/")
	must(t, root.Mkdir("stray"))
	must(t, root.Mkdir("stray/index"))
	write(t, root, "file", "")
	for _, c := range []struct {
		what  string
		cfg   SetConfig
		kind  errs.Kind
		names string
	}{
		{"no path", SetConfig{}, errs.Invalid, "mountpaths"},
		{"twice", SetConfig{Paths: []string{"/a", "/a"}}, errs.Invalid, "/a"},
		{"another node", SetConfig{Paths: []string{"/a"}, NodeID: "n9"}, errs.Conflict, "n1"},
		{"two nodes", SetConfig{Paths: []string{"/a", "/other"}}, errs.Conflict, "n2"},
		{"two clusters", SetConfig{Paths: []string{"/a", "/foreign"}}, errs.Conflict, "c2"},
		{"nobody", SetConfig{Paths: []string{"/new"}}, errs.Invalid, "node id"},
		{"data without marker", SetConfig{Paths: []string{"/stray"}, NodeID: "n1"}, errs.Mountpath, "marker"},
		{"a file", SetConfig{Paths: []string{"/file"}, NodeID: "n1"}, errs.Mountpath, "/file"},
		{"no disk mounted", SetConfig{Paths: []string{"/new1", "/new2"}, NodeID: "n1", Existing: true}, errs.Mountpath, "mounted"},
	} {
		c.cfg.FS = m
		_, err := OpenSet(c.cfg)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if names, err := root.ReadDir("."); err != nil || strings.Contains(strings.Join(names, " "), "new1") {
		t.Errorf("made a directory for a disk that is not mounted: %q %v", names, err)
	}
	s = openSet(t, m, "n1", "/a", "/b") // every refusal has let go of its locks
	must(t, s.Close())
}

// TestOffered: only an empty directory that is there becomes a mountpath of a node that runs, or one that was a mountpath.
func TestOffered(t *testing.T) {
	m := NewMem()
	s := openSet(t, m, "n1", "/a")
	other := openSet(t, m, "n2", "/other")
	must(t, other.Close())
	root := open(t, m, "/")
	write(t, root, "file", "")
	for _, dir := range []string{"empty", "formatted", "half", "photos", "unmarked"} {
		must(t, root.Mkdir(dir))
	}
	must(t, root.Mkdir("formatted/lost+found"))
	must(t, root.Mkdir("unmarked/blobs"))
	write(t, root, "half/"+LockName, "")
	write(t, root, "half/"+MarkerName+".new", "{")
	write(t, root, "photos/cat.jpg", "")
	for _, c := range []struct {
		path  string
		kind  errs.Kind // Other: it is taken
		names string
	}{
		{"/nothing", errs.Invalid, "/nothing: does not exist: mount the disk there, or make the directory first"},
		{"/file", errs.Invalid, "/file: is not a directory"},
		{"/file/below", errs.Invalid, "/file/below: is not a directory"},
		{"/photos", errs.Invalid, `/photos: is not empty ("cat.jpg" is there)`},
		{"/unmarked", errs.Invalid, `/unmarked: has "blobs" but no marker`},
		{"/other", errs.Conflict, "belongs to node n2"},
		{"/a/blobs", errs.Invalid, "lies inside mountpath /a"},
		{"/empty", errs.Other, ""}, {"/formatted", errs.Other, ""}, {"/half", errs.Other, ""},
	} {
		before, _ := root.ReadDir(c.path[1:])
		mp, err := s.OpenNew(c.path, MayBeNew)
		if c.kind == errs.Other {
			must(t, err)
			must(t, mp.Close())
			if mp, err = s.OpenNew(c.path, MayBeNew); err != nil { // as one that was interrupted
				t.Fatal(err)
			}
			must(t, mp.Close())
			continue
		}
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", c.path, err)
		}
		if after, _ := root.ReadDir(c.path[1:]); !slices.Equal(before, after) && c.path != "/other" {
			t.Errorf("%s had %q, and %q after it was refused", c.path, before, after)
		}
	}
	must(t, s.Close())
}

func TestMarkerOfTheFuture(t *testing.T) {
	m := NewMem()
	s := openSet(t, m, "n1", "/a")
	mk := s.All()[0].Marker()
	must(t, s.Close())
	mk.Format = MarkerFormat + 1
	must(t, writeDoc(open(t, m, "/a"), MarkerName, mk))
	if _, err := OpenSet(SetConfig{FS: m, Paths: []string{"/a"}}); !errs.Is(err, errs.Unsupported) {
		t.Error(err)
	}
}

func TestGenerations(t *testing.T) {
	m := NewMem()
	homes := func(s *Set, k string) (ids []string) {
		for _, i := range s.Homes(k, nil) {
			ids = append(ids, s.All()[i].Path())
		}
		return ids
	}
	s := openSet(t, m, "n1", "/a")
	must(t, s.Close())
	s = openSet(t, m, "n1", "/a", "/b")
	if s.Settled() {
		t.Error("settled though a mountpath came")
	}
	moved := 0
	for i := range 200 {
		k := fmt.Sprint(i)
		switch h := homes(s, k); {
		case len(h) == 1 && h[0] == "/a":
		case len(h) == 2 && h[0] == "/b" && h[1] == "/a":
			moved++
		default:
			t.Errorf("%s has homes %q", k, h)
		}
	}
	if moved < 60 || moved > 140 {
		t.Errorf("%d of 200 moved", moved)
	}
	must(t, s.Close())
	s = openSet(t, m, "n1", "/b") // /a is not configured any more: it stays what it was
	if a, ok := s.Find("/a"); !ok || a.Err() != nil || len(s.All()) != 2 {
		t.Errorf("a mountpath that was not detached is gone: %v", s.All())
	}
	must(t, s.Close())
}

// TestNoDescriptors: a process that can open no more files has no broken disks.
func TestNoDescriptors(t *testing.T) {
	var out atomic.Bool
	sys := &Faulty{FS: NewMem(), Check: func(op Op, _ string) error {
		if out.Load() && (op == OpOpen || op == OpCreate || op == OpDir) {
			return syscall.EMFILE
		}
		return nil
	}}
	s, err := OpenSet(SetConfig{FS: sys, Paths: []string{"/a"}, NodeID: "n1", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	mp := s.All()[0]
	out.Store(true)
	if err := mp.SyncDir("."); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("names are said to be durable: %v", err)
	}
	if _, err := mp.OpenFile("f", os.O_RDWR|os.O_CREATE); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("a file: %v", err)
	}
	if err := errors.Join(mp.Probe(func() {}), mp.Check(), mp.Err()); err != nil {
		t.Errorf("the disk is blamed: %v", err)
	}
	out.Store(false)
	must(t, errors.Join(mp.Probe(func() {}), mp.SyncDir(".")))
}

func TestMountpathFailsForGood(t *testing.T) {
	var bad atomic.Bool
	sys := &Faulty{FS: NewMem(), Check: func(op Op, name string) error {
		if bad.Load() && op == OpSync && name == "f" {
			return syscall.EIO
		}
		return nil
	}}
	s, err := OpenSet(SetConfig{FS: sys, Paths: []string{"/a"}, NodeID: "n1", Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	mp := s.All()[0]
	var told error
	mp.OnFail(func(err error) { told = err })
	f, err := mp.OpenFile("f", os.O_RDWR|os.O_CREATE)
	must(t, err)
	was := mp.Info().IO
	_, err = f.WriteAt([]byte("abc"), 0)
	must(t, err)
	bad.Store(true)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	bad.Store(false)
	for what, err := range map[string]error{
		"sync again": f.Sync(), "write": second(f.WriteAt([]byte("x"), 0)), "create": second(mp.OpenFile("g", os.O_CREATE|os.O_RDWR)),
		"rename": mp.Rename("f", "g"), "remove": mp.Remove("f"), "mkdir": mp.Mkdir("d"), "syncdir": mp.SyncDir("."),
		"truncate": f.Truncate(0), "check": mp.Check(), "err": mp.Err(), "told": told,
	} {
		if !errs.Is(err, errs.Mountpath) {
			t.Errorf("%s: %v", what, err)
		}
	}
	b := make([]byte, 3)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "abc" {
		t.Errorf("read: %q %v", b, err)
	}
	i := mp.Info()
	if i.State != Disabled || !strings.Contains(i.Reason, "input/output") || i.IO.Syncs != was.Syncs+1 || i.IO.Writes != was.Writes+1 || i.IO.WriteBytes != was.WriteBytes+3 || i.IO.Reads != was.Reads+1 || i.IO.Errors == 0 {
		t.Errorf("%+v", i)
	}
	must(t, errors.Join(f.Close(), s.Close()))
}

func TestHealthCheck(t *testing.T) {
	for name, harm := range map[string]func(dir string) error{
		"moved away": func(d string) error { return os.Rename(d, d+"-gone") },
		"another directory": func(d string) error {
			return errors.Join(os.Rename(d, d+"-gone"), os.Mkdir(d, 0o755))
		},
		"marker gone":     func(d string) error { return os.Remove(d + "/" + MarkerName) },
		"marker damaged":  func(d string) error { return os.WriteFile(d+"/"+MarkerName, []byte("{}"), 0o644) },
		"nothing (alive)": func(string) error { return nil },
	} {
		dir := t.TempDir() + "/mp"
		s := openSet(t, OS{}, "n1", dir)
		must(t, s.All()[0].Check())
		must(t, harm(dir))
		if err := s.All()[0].Check(); errs.Is(err, errs.Mountpath) == strings.Contains(name, "alive") {
			t.Errorf("%s: %v", name, err)
		}
		must(t, s.Close())
	}
}

func FuzzReadDoc(f *testing.F) {
	f.Add([]byte(`{"doc":{"format":1},"crc32c":"00000000"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := NewMem()
		r, err := m.OpenRoot("/")
		must(t, err)
		write(t, r, "doc", string(b))
		var mk Marker
		if err := readDoc(r, "doc", &mk); err != nil && !errs.Is(err, errs.Corrupt) {
			t.Fatal(err)
		}
	})
}

// TestRelativePathsInRecord: a set that was opened by relative paths is the same by absolute ones. What is found at the path of a disk that is
// missing is not taken for a new one.
func TestRelativePathsInRecord(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s := openSet(t, OS{}, "n1", "a", "b", "c")
	ids := map[string]string{}
	for _, mp := range s.All() {
		ids[dir+"/"+mp.Path()] = mp.ID()
	}
	must(t, s.Close())
	must(t, os.Rename("b", "unmounted"))
	must(t, os.Mkdir("b", 0o755))
	s = openSet(t, OS{}, "n1", dir+"/a", dir+"/b", dir+"/c")
	if len(s.All()) != 3 {
		t.Errorf("the set has %d mountpaths, want 3", len(s.All()))
	}
	for _, mp := range s.All() {
		if mp.ID() != ids[mp.Path()] {
			t.Errorf("%s is %q, was %q", mp.Path(), mp.ID(), ids[mp.Path()])
		}
		if failed := mp.Err() != nil; failed != (mp.Path() == dir+"/b") {
			t.Errorf("%s: %v", mp.Path(), mp.Err())
		}
	}
	must(t, s.Close())
}
