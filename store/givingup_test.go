package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
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
	junk, err := root.OpenFile("b/junk", os.O_RDWR|os.O_CREATE)
	must(t, err)
	must(t, junk.Close())
	if _, err := s.Attach(t.Context(), "/b"); !errs.Is(err, errs.Invalid) || asked > 0 {
		t.Errorf("a directory that is not empty: %v, asked %d times", err, asked)
	}
	must(t, root.Remove("b/junk"))
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

// TestGivenUpWhileItHangs: a disk that hangs in the middle of a table is given up, and whoever asked is told so.
func TestGivenUpWhileItHangs(t *testing.T) {
	t.Parallel()
	mem := fs.NewMem()
	var armed atomic.Bool
	hangs, answers := make(chan struct{}), make(chan struct{})
	bad := &fs.Faulty{FS: mem, Check: func(op fs.Op, name string) error {
		if op == fs.OpWrite && strings.HasSuffix(name, ".sst") && armed.CompareAndSwap(true, false) {
			close(hangs)
			<-answers
		}
		return nil
	}}
	cfg := crashConfig(eachDisk{mem, map[string]fs.FS{"/a": bad}}, []string{"/a", "/b"})
	cfg.CloseWithin = closeSoon
	s := testStore(t, cfg)
	defer close(answers)
	for i := range 20 {
		put(t, s, fmt.Sprint(i), []byte("x"))
	}
	m, _ := s.now().set.Find("/a")
	armed.Store(true)
	must(t, second(s.volumeOf(m).db.AsyncFlush()))
	<-hangs
	must(t, s.Detach(t.Context(), "/a", Force(true)))
	if ms := s.Mountpaths(); len(ms) != 1 || ms[0].Path != "/b" {
		t.Errorf("%+v", ms)
	}
}
