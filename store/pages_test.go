package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"aistore/cluster"
	"aistore/errs"
	"aistore/fs"
	"aistore/object"
)

// pageWriter takes what is written, and pages of files out of a pipe of its own.
type pageWriter struct {
	bytes.Buffer
	t      *testing.T
	refuse bool
	paged  int // bytes that came as pages
}

func (w *pageWriter) SendPages(n int, fill func(pipe uintptr) error, check func(p []byte) error) (bool, error) {
	if w.refuse {
		return false, nil
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = errors.Join(pr.Close(), pw.Close()) }()
	if _, err := unix.FcntlInt(pw.Fd(), unix.F_SETPIPE_SZ, pageChunk); err != nil {
		w.t.Fatal(err)
	}
	if fill(pw.Fd()) != nil {
		return false, nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(pr, b); err != nil {
		w.t.Fatal(err)
	}
	if err := check(b); err != nil {
		return true, err
	}
	w.paged += n
	_, err = w.Write(b)
	return true, err
}

// TestSendPages reads spans of a blob into a writer that takes pages, which then take the place of whole blocks, and damages it.
func TestSendPages(t *testing.T) {
	s := testStore(t, Config{FS: fs.OS{}, Mountpaths: []string{t.TempDir()}, BlockSize: 32 << 10})
	const size = 500_000
	n, data := object.Name{Bucket: 1, Key: "a"}, random(size)
	if _, err := s.Put(t.Context(), n, data, PutOptions{Durability: cluster.Volatile}); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(n)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	const block, chunk = 32 << 10, pageChunk
	for _, c := range []struct {
		from, to int64
		paged    int
	}{
		{0, size, size},
		{0, chunk, chunk},
		{0, chunk - 1, 0},
		{block, block + chunk + 5, chunk},
		{block, size, size - block},
		{1, size, 0},
		{block, block, 0},
		{size - 1, size, 0},
	} {
		for _, refuse := range []bool{false, true} {
			w := &pageWriter{t: t, refuse: refuse}
			if refuse {
				c.paged = 0
			}
			err := o.WriteSpan(w, object.Span{Start: c.from, Length: c.to - c.from})
			if err != nil || !bytes.Equal(w.Bytes(), data[c.from:c.to]) || w.paged != c.paged {
				t.Errorf("%d-%d, refusing %v: %d bytes, %d as pages, %v", c.from, c.to, refuse, w.Len(), w.paged, err)
			}
		}
	}
	const at = chunk + block + 7
	f, err := os.OpenFile(s.volumes()[0].mp.Path()+"/"+o.parts[0].Blob.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{data[at] ^ 1}, 4096+at); err != nil {
		t.Fatal(err)
	}
	w := &pageWriter{t: t}
	if err := o.WriteSpan(w, object.Span{Length: size}); !errs.Is(err, errs.Corrupt) || !bytes.Equal(w.Bytes(), data[:chunk]) {
		t.Errorf("damaged: %d bytes, %v", w.Len(), err)
	}
	if err := f.Truncate(4096 + chunk + 1); err != nil {
		t.Fatal(err)
	}
	w = &pageWriter{t: t}
	if err := o.WriteSpan(w, object.Span{Length: size}); !errs.Is(err, errs.Corrupt) || !bytes.Equal(w.Bytes(), data[:chunk]) {
		t.Errorf("cut short: %d bytes, %v", w.Len(), err)
	}
	if got := len(s.Suspects()); got != 1 {
		t.Errorf("%d names are suspect", got)
	}
}
