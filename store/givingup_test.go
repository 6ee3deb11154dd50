package store

import (
	"context"
	"errors"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// TestReplacementRefused: who has to know before a disk is given up may refuse; asked again, the new disk takes the place of the old one, and is the
// only mountpath at its path.
func TestReplacementRefused(t *testing.T) {
	mem := fs.NewMem()
	var refusal error
	asked := 0
	cfg := Config{FS: mem, Mountpaths: []string{"/a", "/b"}, NodeID: "node1", GivingUp: func(context.Context) error { asked++; return refusal }}
	s, err := Open(t.Context(), cfg)
	must(t, err)
	must(t, s.Close())
	root, err := mem.OpenRoot("/")
	must(t, err)
	must(t, root.Rename("b", "elsewhere"))
	must(t, root.Mkdir("b"))
	s, err = Open(t.Context(), cfg)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	refusal = errs.E("test", "primary", errs.Unavailable, "is not within reach")
	if _, err := s.Attach(t.Context(), "/b"); !errors.Is(err, refusal) {
		t.Errorf("refused: %v", err)
	}
	if _, err := fs.ReadMarker(mem, "/b"); !errs.Is(err, errs.NotFound) {
		t.Errorf("something was left on the new disk: %v", err)
	}
	if err := s.Detach(t.Context(), "/b", Force(true)); !errors.Is(err, refusal) {
		t.Errorf("detach was refused: %v", err)
	}
	refusal = nil
	_, err = s.Attach(t.Context(), "/b")
	must(t, err)
	if ms := s.Mountpaths(); len(ms) != 2 || ms[0].State != fs.Enabled || ms[1].State != fs.Enabled || asked != 3 {
		t.Errorf("asked %d times: %+v", asked, ms)
	}
}
