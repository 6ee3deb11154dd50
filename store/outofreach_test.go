package store

import (
	"errors"
	"fmt"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// TestOutOfReach: what may be on a mountpath that is out of service is not said to be missing, by a completion of parts nor by a flush.
func TestOutOfReach(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b"}, NodeID: "n"})
	type upload struct {
		id    string
		named []CompletePart
	}
	uploads, handles := map[string]upload{}, map[string]string{}
	for i := range 16 {
		key := fmt.Sprint(i)
		u := upload{id: createUpload(t, s, b1(key))}
		for p := range 3 {
			u.named = append(u.named, CompletePart{Number: p + 1, ETag: putPart(t, s, b1(key), u.id, p+1, random(1000)).ETag})
		}
		uploads[key] = u
		h, err := s.BeginAppend(t.Context(), b1(key))
		must(t, err)
		handles[key] = h
	}
	s.volumes()[1].mp.Fail(errors.New("out"))
	refused := 0
	for key, u := range uploads {
		_, err := s.CompleteUpload(t.Context(), b1(key), u.id, u.named, CompleteOptions{})
		_, ferr := s.FlushAppend(t.Context(), b1(key), handles[key], PutOptions{})
		for _, err := range []error{err, ferr} {
			var f *PartFault
			if err == nil {
				continue
			}
			refused++
			if !errs.Is(err, errs.Mountpath) || errors.As(err, &f) || errs.Is(err, errs.NotFound) {
				t.Errorf("%s: %v", key, err)
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was on the mountpath that is out")
	}
}
