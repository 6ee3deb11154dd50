package client

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"aistore/cksum"
	"aistore/errs"
)

// spoolSize is how much of a stream is kept so that it can be sent again.
const spoolSize = 1 << 20

// Body is the content of a PUT. The zero value is empty content.
type Body struct {
	size   int64 // -1 = unknown
	data   []byte
	at     io.ReaderAt
	stream *spool
}

// Bytes is p, which must not change until the call returns.
func Bytes(p []byte) Body { return Body{size: int64(len(p)), data: p} }

// ReaderAt is the first size bytes of r.
func ReaderAt(r io.ReaderAt, size int64) Body { return Body{size: size, at: r} }

// File is what f holds now, from its beginning, whatever its offset.
func File(f *os.File) (Body, error) {
	st, err := f.Stat()
	if err != nil {
		return Body{}, errs.E("client.File", f.Name(), err)
	}
	if !st.Mode().IsRegular() {
		return Body{}, errs.E("client.File", f.Name(), errs.Invalid, "is not a regular file: use Stream")
	}
	return ReaderAt(f, st.Size()), nil
}

// Stream is what r yields up to io.EOF; size is its length in bytes, -1 if unknown. Only the first MiB is kept, so a
// larger stream of which more was read cannot be sent again: prefer the other kinds. Readers
// that are really memory (bytes.Reader, strings.Reader, bytes.Buffer) become one of these.
func Stream(r io.Reader, size int64) Body {
	switch r := r.(type) {
	case *bytes.Buffer:
		return Bytes(r.Bytes())
	case *bytes.Reader:
		off := r.Size() - int64(r.Len())
		return ReaderAt(io.NewSectionReader(r, off, int64(r.Len())), int64(r.Len()))
	case *strings.Reader:
		off := r.Size() - int64(r.Len())
		return ReaderAt(io.NewSectionReader(r, off, int64(r.Len())), int64(r.Len()))
	}
	return Body{size: size, stream: &spool{r: r}}
}

// Size returns the length in bytes, -1 if unknown.
func (b Body) Size() int64 { return b.size }

// settle reads a short stream to its end, so that it becomes memory.
func (b Body) settle() (Body, error) {
	if b.stream == nil {
		return b, nil
	}
	done, err := b.stream.prefetch()
	if err != nil {
		return b, err
	}
	if done {
		if n := int64(len(b.stream.kept)); b.size >= 0 && b.size != n {
			return b, errs.F("client.Stream", "", errs.Invalid, "the reader ended after %d bytes of the %d announced", n, b.size)
		}
		return Bytes(b.stream.kept), nil
	}
	return b, nil
}

// open returns the content from its beginning; kind Unavailable if too much of a stream is gone.
func (b Body) open() (io.Reader, error) {
	switch {
	case b.stream != nil:
		return b.stream.open()
	case b.at != nil:
		return io.NewSectionReader(b.at, 0, b.size), nil
	}
	return bytes.NewReader(b.data), nil
}

// again reports whether open would succeed now.
func (b Body) again() bool { return b.stream == nil || b.stream.again() }

// spool keeps the first bytes of a stream.
type spool struct {
	r     io.Reader
	kept  []byte
	ended bool // kept is everything

	mu     sync.Mutex
	dry    bool // what is behind kept has been read from
	opened int  // counts open; only the last reader may go on behind kept
}

// prefetch fills the kept part; done means that the stream ended within it.
func (s *spool) prefetch() (done bool, err error) {
	if s.kept != nil || s.ended {
		return s.ended, nil
	}
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(s.r, spoolSize))
	if err != nil {
		return false, errs.E("client.Stream", "", err)
	}
	s.kept, s.ended = b.Bytes(), n < spoolSize
	return s.ended, nil
}

func (s *spool) again() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.dry
}

func (s *spool) open() (io.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dry {
		return nil, errs.E("client.Stream", "", errs.Unavailable, "the content cannot be sent again: its reader has gone on (use Bytes, ReaderAt or File)")
	}
	s.opened++
	return io.MultiReader(bytes.NewReader(s.kept), &spoolTail{s, s.opened}), nil
}

// spoolTail is the part behind what is kept; reading it makes the spool dry.
type spoolTail struct {
	s   *spool
	gen int
}

// Read refuses a reader that was replaced: net/http may still be sending for an attempt that is over, and would
// steal bytes from the next.
func (t *spoolTail) Read(p []byte) (int, error) {
	t.s.mu.Lock()
	ok := t.gen == t.s.opened
	t.s.dry = t.s.dry || ok
	t.s.mu.Unlock()
	if !ok {
		return 0, errs.E("client.Stream", "", errs.Canceled, "this attempt is over")
	}
	return t.s.r.Read(p)
}

// counted is a body on its way: it touches the watchdog, sums the checksum, and holds the stream to its announced length.
type counted struct {
	r     io.Reader
	sum   *cksum.Hash // nil = none
	left  int64       // of the announced length; -1 = unknown
	touch func()
	n     int64                 // read so far
	ended atomic.Bool           // all of it was read
	fault atomic.Pointer[error] // of r

	once   sync.Once
	closed chan struct{}
}

func (c *counted) Read(p []byte) (int, error) {
	c.touch()
	n, err := c.r.Read(p)
	_, _ = c.sum.Write(p[:n]) // a checksum takes anything
	c.n += int64(n)
	if c.left >= 0 {
		c.left -= int64(n)
	}
	switch {
	case errors.Is(err, io.EOF) && c.left > 0:
		return n, errs.F("client.Body", "", errs.Invalid, "the content ended %d bytes before its announced length", c.left)
	case errors.Is(err, io.EOF), c.left == 0:
		c.ended.Store(true)
	case err != nil:
		c.fault.Store(&err)
	}
	return n, err
}

// Close tells that net/http reads no more; the content itself belongs to the caller.
func (c *counted) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
