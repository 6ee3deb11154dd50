package store

import (
	"strings"
	"testing"

	"aistore/fs"
	"aistore/object"
)

// TestPartAfterLazyImport acknowledges a part of an upload that a lazy import brought, wherever the part lies: a loss of power takes neither.
func TestPartAfterLazyImport(t *testing.T) {
	source := memStore(t, "n0", 1)
	n := object.Name{Bucket: 1, Key: "k"}
	u, err := source.CreateUpload(t.Context(), n, UploadOptions{Epoch: 3, Mark: true})
	must(t, err)
	frame := frameOf(t, source, n)
	for number := 1; number <= 6; number++ {
		mem := fs.NewMem()
		s := testStore(t, crashConfig(mem, []string{"/a", "/b"}))
		put(t, s, "other", []byte("y"))
		must(t, s.Import(t.Context(), [][]byte{frame}, ImportOptions{Mark: 4, Lazy: true})[0].Err)
		_, err = s.PutPart(t.Context(), n, u.ID, number, strings.NewReader("x"), PartOptions{Size: 1, Epoch: 4, Mark: true})
		must(t, err)
		after, err := Open(t.Context(), crashConfig(mem.Crash(nil), []string{"/a", "/b"}))
		must(t, err)
		after.tidy(t.Context())
		parts, _, err := after.ListParts(t.Context(), n, u.ID, 0, 0)
		if err != nil || len(parts) != 1 {
			t.Errorf("part %d: %v, %v", number, parts, err)
		}
		must(t, after.Close())
	}
}

// TestOpenings: what a lazy import brought may go with a mountpath that is disabled at once, and whoever relies on it is told.
func TestOpenings(t *testing.T) {
	source := memStore(t, "n0", 1)
	n := object.Name{Bucket: 1, Key: "k"}
	must(t, second(source.Put(t.Context(), n, []byte("x"), PutOptions{Epoch: 3, Mark: true})))
	frame := frameOf(t, source, n)
	s := testStore(t, crashConfig(fs.NewMem(), []string{"/a", "/b"}))
	must(t, s.Import(t.Context(), [][]byte{frame}, ImportOptions{Mark: 4, Lazy: true})[0].Err)
	home, err := s.home(n)
	must(t, err)
	before := s.Openings()
	must(t, s.Disable(home.mp.Path()))
	must(t, second(s.Enable(t.Context(), home.mp.Path())))
	if s.Openings() == before {
		t.Error("a mountpath was opened, and nobody is told")
	}
	must(t, s.Import(t.Context(), [][]byte{frame}, ImportOptions{Mark: 4, Lazy: true})[0].Err)
	if got := get(t, s, n); string(got) != "x" {
		t.Errorf("%q", got)
	}
}
