package store

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// What was to be done for a mountpath that leaves may be done when it has been taken back.

// TestTakenBackBeforePartsMoved: moves that were found while a mountpath was to leave, and are made when it is in service again, lose no part.
func TestTakenBackBeforePartsMoved(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a", "/b"}, NodeID: "n", InlineMax: 1000})
	type upload struct {
		id    string
		named []CompletePart
		whole []byte
	}
	want, uploads := map[string][]byte{}, map[string]*upload{}
	for i := range 10 {
		key := fmt.Sprint("object", i)
		want[key] = uploadWhole(t, s, b1(key), 6)
		u := &upload{id: createUpload(t, s, b1(fmt.Sprint("upload", i)))}
		for p := range 6 {
			data := random(2000)
			u.whole = append(u.whole, data...)
			u.named = append(u.named, CompletePart{Number: p + 1, ETag: putPart(t, s, b1(fmt.Sprint("upload", i)), u.id, p+1, data).ETag})
		}
		uploads[fmt.Sprint("upload", i)] = u
	}
	must(t, s.cleanUploads(t.Context()))
	must(t, s.Detach(t.Context(), "/b", false))
	p := s.BeginPass()
	var moves []Move
	for lane := range p.Lanes() {
		must(t, p.Each(t.Context(), lane, func(int) {}, func(m Move) error { moves = append(moves, m); return nil }))
	}
	must(t, second(s.Enable(t.Context(), "/b")))
	for _, m := range moves {
		must(t, second(m.Run(t.Context())))
	}
	settleStore(t, s)
	s.tidy(t.Context()) // sweeps
	for key, u := range uploads {
		if _, err := s.CompleteUpload(t.Context(), b1(key), u.id, u.named, CompleteOptions{}); err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		want[key] = u.whole
	}
	for key, data := range want {
		if got := readOr(t, s, b1(key), ""); got != string(data) {
			t.Errorf("%s: %d bytes of %d", key, len(got), len(data))
		}
	}
	checkWhole(t, s)
}

// TestDeletedDuringPass: a delete of what is not at home yet, at any moment of the pass that finds nothing any more, leaves its mark where it
// is found afterwards.
func TestDeletedDuringPass(t *testing.T) {
	for at := range 8 {
		s := testStore(t, Config{FS: fs.NewMem(), Mountpaths: []string{"/a"}, NodeID: "n", InlineMax: 1000})
		for i := range 20 {
			put(t, s, fmt.Sprint(i), []byte("x"))
		}
		must(t, second(attach(t, s, "/b")))
		looks := 0
		for range 50 {
			if !s.Unsettled() {
				break
			}
			p := s.BeginPass()
			found := 0
			for lane := range p.Lanes() {
				must(t, p.Each(t.Context(), lane, func(int) {
					if looks++; looks != at+1 {
						return
					}
					for i := range 20 {
						_, err := s.Delete(t.Context(), b1(fmt.Sprint(i)), DeleteOptions{Epoch: 3, Newest: func() (uint64, bool) { return 7, true }})
						must(t, err)
					}
				}, func(m Move) error {
					found++
					if looks <= at { // before the delete nothing moves
						return nil
					}
					return second(m.Run(t.Context()))
				}))
			}
			if found == 0 {
				must(t, second(p.End(t.Context())))
			}
		}
		if s.Unsettled() {
			t.Fatalf("deleted at look %d: not settled", at)
		}
		for i := range 20 {
			n := b1(fmt.Sprint(i))
			if mark, err := s.Mark(n); mark != 7 || err != nil {
				t.Errorf("deleted at look %d: %v has mark %d: %v", at, n, mark, err)
			}
		}
	}
}

// TestForgedHandle: an append handle that speaks of more bytes than can be is refused, and leaves the account of the sessions as it was.
func TestForgedHandle(t *testing.T) {
	s := testStore(t, Config{FS: fs.NewMem(), NodeID: "n"})
	for _, key := range []string{"a", "b"} {
		h, err := s.BeginAppend(t.Context(), b1(key))
		must(t, err)
		h, err = s.Append(t.Context(), b1(key), h, bytes.NewReader(random(1000)))
		must(t, err)
		if key == "a" {
			continue
		}
		forged, err := parseHandle(h)
		must(t, err)
		forged.size = 1<<63 - 1
		if _, err := s.Append(t.Context(), b1(key), forged.String(), bytes.NewReader(nil)); !errs.Is(err, errs.Full) {
			t.Errorf("append: %v", err)
		}
		if open, bytes := s.Appends(); open != 2 || bytes != 2000 {
			t.Errorf("%d sessions with %d bytes", open, bytes)
		}
	}
}

// readOr reads a version and returns its bytes; "" when there is none.
func readOr(t *testing.T, s *Store, n object.Name, version string) string {
	t.Helper()
	o, err := s.OpenVersion(n, version)
	if errs.Is(err, errs.NotFound) {
		return ""
	}
	if err != nil {
		t.Errorf("%v: %v", n, err)
		return "unreadable"
	}
	defer o.Close()
	b, err := io.ReadAll(o.Reader())
	if err != nil {
		t.Errorf("%v: %v", n, err)
		return "unreadable"
	}
	return string(b)
}
