package store

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// TestAppendHandedOver: a session that another node takes over goes on there with the same handle, and ends here. What is sent twice changes nothing, what
// ends early leaves nothing, and a node that has only a session's first bytes does not go on with it.
func TestAppendHandedOver(t *testing.T) {
	open := func(id string) *Store {
		s, err := Open(t.Context(), Config{FS: fs.NewMem(), Mountpaths: []string{"/mp1", "/mp2"}, NodeID: id, MaxAppends: 2})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		return s
	}
	from, to := open("from"), open("to")
	any := func(object.Name) error { return nil }
	n, whole := b1("k"), random(300_000)
	handle, err := from.BeginAppend(t.Context(), n)
	must(t, err)
	handle, err = from.Append(t.Context(), n, handle, bytes.NewReader(whole))
	must(t, err)
	for range 2 { // as many as may be
		_, err := to.BeginAppend(t.Context(), b1("other"))
		must(t, err)
	}

	sessions, err := from.Appendings()
	must(t, err)
	if len(sessions) != 1 || sessions[0].Name != n {
		t.Fatalf("sessions %v", sessions)
	}
	l, err := from.LeaveAppend(t.Context(), sessions[0])
	must(t, err)
	if _, err := from.Append(t.Context(), n, handle, bytes.NewReader(whole)); !errs.Is(err, errs.Conflict) {
		t.Errorf("append to a session that leaves: %v", err)
	}
	var sent bytes.Buffer
	must(t, l.Send(&sent))
	if int64(sent.Len()) != l.Len() {
		t.Errorf("%d bytes were sent, of %d", sent.Len(), l.Len())
	}
	take := func(b []byte, guard func(object.Name) error) error {
		return to.TakeAppend(t.Context(), bytes.NewReader(b), int64(sent.Len()), guard)
	}
	if err := take(sent.Bytes()[:sent.Len()-1], any); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("one byte is missing: %v", err)
	}
	refused := errs.E("test", n, errs.StaleMap)
	if err := take(sent.Bytes(), func(object.Name) error { return refused }); !errs.Is(err, errs.StaleMap) {
		t.Errorf("not this node's: %v", err)
	}
	if open, _ := to.Appends(); open != 2 {
		t.Errorf("%d sessions", open)
	}
	must(t, take(sent.Bytes(), any))
	more := random(1000)
	longer, err := to.Append(t.Context(), n, handle, bytes.NewReader(more))
	must(t, err)
	must(t, take(sent.Bytes(), any)) // the answer was lost

	l.Close()
	if _, err := from.HasAppend(n, longer); !errs.Is(err, errs.Conflict) {
		t.Errorf("the first bytes alone are taken for all: %v", err)
	}
	if _, _, err := from.OpenAppend(t.Context(), n, longer); !errs.Is(err, errs.NotFound) {
		t.Errorf("the first bytes alone are given as all: %v", err)
	}
	l, err = from.LeaveAppend(t.Context(), sessions[0])
	must(t, err)
	must(t, l.End())
	l.Close()
	if open, size := from.Appends(); open != 0 || size != 0 {
		t.Errorf("%d sessions of %d bytes stayed", open, size)
	}
	if _, err := from.LeaveAppend(t.Context(), sessions[0]); !errs.Is(err, errs.NotFound) {
		t.Errorf("it has ended: %v", err)
	}
	_, err = to.FlushAppend(t.Context(), n, longer, PutOptions{})
	must(t, err)
	obj, err := to.Open(n)
	must(t, err)
	defer obj.Close()
	if got, err := io.ReadAll(obj.Reader()); err != nil || !bytes.Equal(got, append(whole, more...)) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}
