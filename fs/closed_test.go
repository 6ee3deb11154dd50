package fs

import (
	"errors"
	"os"
	"testing"

	"aistore/errs"
)

// TestClosed: whoever uses a mountpath that its process has let go of hears so, and not what the operating system says of a directory that
// is none any more; and the mountpath has not failed.
func TestClosed(t *testing.T) {
	m := bare(t, OS{}, t.TempDir())
	must(t, m.Mkdir("d"))
	f, err := m.OpenFile("d/f", os.O_CREATE|os.O_RDWR)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	must(t, m.Close())
	for what, err := range map[string]error{
		"rename":        m.Rename("d/f", "d/g"),
		"link":          m.Link("d/f", "d/g"),
		"remove":        m.Remove("d/f"),
		"mkdir":         m.Mkdir("e"),
		"create":        second(m.OpenFile("d/g", os.O_CREATE|os.O_RDWR)),
		"open":          second(m.OpenFile("d/f", os.O_RDONLY)),
		"list":          second(m.ReadDir("d")),
		"stat":          second(m.Stat("d/f")),
		"sync":          m.SyncDir("d"),
		"sync of all":   m.SyncDir("."),
		"write through": f.WriteThrough(Aligned(Block), 0),
	} {
		if !errs.Is(err, errs.Unavailable) && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		t.Errorf("a file that was open: %v", err)
	}
	must(t, m.Err())
}
