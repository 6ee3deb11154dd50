package store

import (
	"fmt"
	"slices"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// TestEraOfThoseThatCome: a disk that is attached belongs to the present membership, so that it is known to be of a former one when that has ended.
func TestEraOfThoseThatCome(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a"}})
	must(t, s.SetEra(5))
	must(t, second(attach(t, s, "/b")))
	paths, err := s.OtherEras(6)
	must(t, err)
	if slices.Sort(paths); !slices.Equal(paths, []string{"/a", "/b"}) {
		t.Errorf("of another membership: %v", paths)
	}
}

// TestFormerEraComesBack: a disk that was out of service while the others set aside what they had of a former membership does not bring that back;
// the restart that it asks for finds it.
func TestFormerEraComesBack(t *testing.T) {
	for _, disabled := range []bool{true, false} {
		mem := fs.NewMem()
		cfg := Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "n", Boot: "first"}
		s, err := Open(t.Context(), cfg)
		must(t, err)
		must(t, s.SetEra(5))
		must(t, s.AcceptStart())
		for i := range 20 {
			put(t, s, fmt.Sprint(i), []byte("former"))
		}
		if disabled {
			must(t, s.Disable("/b"))
		} else {
			m, _ := s.now().set.Find("/b")
			m.Fail(errs.E("test", "disk", errs.Mountpath, "broke"))
			s.replaceFailed()
		}
		must(t, s.SetEra(6)) // as after others were set aside
		if _, err := s.Enable(t.Context(), "/b"); !errs.Is(err, errs.Conflict) {
			t.Errorf("disabled %v: enabled: %v", disabled, err)
		}
		if _, err := s.Enable(t.Context(), "/b"); !errs.Is(err, errs.Conflict) {
			t.Errorf("disabled %v: enabled once more: %v", disabled, err)
		}
		must(t, s.Close())
		cfg.Existing, cfg.Boot = true, "second"
		s, err = Open(t.Context(), cfg)
		must(t, err)
		paths, err := s.OtherEras(6)
		if err != nil || !slices.Equal(paths, []string{"/b"}) {
			t.Errorf("disabled %v: of another membership: %v %v", disabled, paths, err)
		}
		must(t, s.Close())
		must(t, SetAside(mem, paths, "5", fs.Own, nil))
		s, err = Open(t.Context(), cfg)
		must(t, err)
		must(t, s.SetEra(6))
		if got := usablePaths(s); len(got) != 2 {
			t.Errorf("disabled %v: in use: %v", disabled, got)
		}
		must(t, s.Close())
	}
}

// TestSetAsideBesideMissing: a node one of whose disks is missing starts again when what the others had of a former membership was set aside.
func TestSetAsideBesideMissing(t *testing.T) {
	mem := fs.NewMem()
	cfg := Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "n", Boot: "first"}
	s, err := Open(t.Context(), cfg)
	must(t, err)
	must(t, s.AcceptStart())
	put(t, s, "former", []byte("x"))
	must(t, s.Close())
	root, err := mem.OpenRoot("/")
	must(t, err)
	must(t, root.Rename("b", "elsewhere"))
	must(t, root.Mkdir("b"))
	must(t, SetAside(mem, []string{"/a"}, "5", fs.Own, nil))
	cfg.Existing, cfg.Boot = true, "second"
	s, err = Open(t.Context(), cfg)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	if old, err := s.Judge("first"); len(old) > 0 || err != nil {
		t.Errorf("copies of an earlier time: %v %v", old, err)
	}
}
