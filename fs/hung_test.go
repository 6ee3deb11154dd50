package fs

import (
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"aistore/errs"
)

// TestHungCalls: who changes something on a disk that hangs is let go when the mountpath fails, which knows until when the disk may
// still be changed by it; the file that a call has made meanwhile is closed by it.
func TestHungCalls(t *testing.T) {
	var hangs atomic.Bool
	answers := make(chan struct{})
	called := make(chan Op)
	sys := &Faulty{FS: NewMem(), Check: func(op Op, _ string) error {
		if hangs.Load() {
			called <- op
			<-answers
		}
		return nil
	}}
	m := newMountpath("/mp", sys, slog.New(slog.DiscardHandler))
	m.root = open(t, sys, "/mp")
	f, err := m.OpenFile("f", os.O_RDWR|os.O_CREATE)
	must(t, err)
	hangs.Store(true)
	calls := map[Op]func() error{
		OpWrite:  func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		OpSync:   f.Sync,
		OpDir:    func() error { return m.SyncDir(".") },
		OpCreate: func() error { _, err := m.OpenFile("g", os.O_RDWR|os.O_CREATE); return err },
		OpRemove: func() error { return m.Remove("f") },
		OpRename: func() error { return m.Rename("f", "h") },
	}
	ends := make(chan error)
	for op, call := range calls {
		go func() { ends <- call() }()
		if got := <-called; got != op {
			t.Errorf("%s came to the disk, not %s", got, op)
		}
	}
	m.Fail(errors.New("hangs"))
	for range calls {
		if err := <-ends; !errs.Is(err, errs.Mountpath) {
			t.Errorf("a call that was let go: %v", err)
		}
	}
	if m.Returned(t.Context(), time.Millisecond) {
		t.Error("calls that hang have returned")
	}
	close(answers)
	if !m.Returned(t.Context(), time.Minute) {
		t.Error("calls have not returned")
	}
	must(t, f.Close())
}
