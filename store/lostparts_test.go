package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// TestLostParts: an object whose part is on a mountpath that is out of service cannot be opened, copied or moved, and is damaged once that was
// given up: nobody is told so in the middle of it.
func TestLostParts(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b", "/c"}, NodeID: "n"})
	gone, _ := s.now().set.Find("/b")
	keys, spread := 0, []string{}
	for i := range 24 {
		key := fmt.Sprint(i)
		n := b1(key)
		id := createUpload(t, s, n)
		var named []CompletePart
		for p := range 3 {
			named = append(named, CompletePart{Number: p + 1, ETag: putPart(t, s, n, id, p+1, random(300_000)).ETag})
		}
		_, err := s.CompleteUpload(t.Context(), n, id, named, CompleteOptions{})
		must(t, err)
		keys++
		if v, err := s.home(n); err == nil && v.mp != gone {
			spread = append(spread, key)
		}
	}
	if len(spread) == 0 || len(spread) == keys {
		t.Fatalf("%d of %d keys have their homes elsewhere", len(spread), keys)
	}
	unreadable := func(kind errs.Kind, what string) {
		t.Helper()
		for _, key := range spread {
			o, err := s.Open(b1(key))
			if err == nil {
				o.Close()
			}
			v, verr := s.OpenVersion(b1(key), "")
			if verr == nil {
				v.Close()
			}
			_, cerr := s.Copy(t.Context(), b1(key), "", b1("copy-"+key), PutOptions{})
			x, xerr := s.ExportKey(b1(key))
			if xerr == nil {
				x.Close()
			}
			if info, err := s.Stat(b1(key)); err != nil || info.Size != 900_000 {
				t.Errorf("what is known of %s: %d bytes, %v", key, info.Size, err)
			}
			for _, err := range []error{err, verr, cerr, xerr} {
				if !errs.Is(err, kind) || !strings.Contains(fmt.Sprint(err), what) {
					t.Fatalf("%s: %v", key, err)
				}
			}
			if _, err := s.Stat(b1("copy-" + key)); !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Mountpath) {
				t.Errorf("the copy of %s: %v", key, err)
			}
		}
	}
	gone.Fail(errors.New("broke"))
	s.mounts.leaveFailed()
	unreadable(errs.Mountpath, "broke")
	must(t, s.Detach(t.Context(), "/b", true))
	unreadable(errs.Corrupt, "is missing: its mountpath was given up")
	for _, key := range spread {
		_, err := s.Delete(t.Context(), b1(key), DeleteOptions{})
		must(t, err)
		if _, err := s.Stat(b1(key)); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s after its removal: %v", key, err)
		}
	}
}
