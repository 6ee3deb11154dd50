package store

import (
	"bytes"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"aistore/errs"
	"aistore/fs"
)

// noBlobs is a file system on which no file with values of an index can be opened while out is set.
type noBlobs struct {
	fs.FS
	out *atomic.Bool
}

type noBlobsRoot struct {
	fs.Root
	out *atomic.Bool
}

func (s noBlobs) OpenRoot(path string) (fs.Root, error) {
	r, err := s.FS.OpenRoot(path)
	return noBlobsRoot{r, s.out}, err
}

func (r noBlobsRoot) OpenFile(name string, flag int) (fs.File, error) {
	if r.out.Load() && strings.HasSuffix(name, ".blob") {
		return nil, syscall.EMFILE
	}
	return r.Root.OpenFile(name, flag)
}

// TestUnreadValue: content whose file in the index cannot be opened just now is not called damaged, and is there afterwards.
func TestUnreadValue(t *testing.T) {
	var out atomic.Bool
	c := crashConfig(noBlobs{fs.NewMem(), &out}, []string{"/mp1"})
	c.InlineMax = 8 << 10
	s, err := Open(t.Context(), c)
	must(t, err)
	body := bytes.Repeat([]byte("value"), 1000)
	_, err = s.PutStream(t.Context(), b1("k"), bytes.NewReader(body), PutOptions{Size: int64(len(body))})
	must(t, err)
	must(t, s.now().serving()[0].db.Flush())
	must(t, s.Close())
	s, err = Open(t.Context(), c)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	v := s.now().serving()[0]
	out.Store(true)
	if _, err := s.Open(b1("k")); err == nil || errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("while no file can be opened: %v", err)
	}
	if n := v.corruptions.Load(); n != 0 {
		t.Errorf("%d damages counted", n)
	}
	out.Store(false)
	o, err := s.Open(b1("k"))
	must(t, err)
	if !bytes.Equal(o.Bytes(), body) {
		t.Errorf("%d bytes", len(o.Bytes()))
	}
	o.Close()
}
