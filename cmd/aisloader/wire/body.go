package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Body passes every piece of the reply's body to f, whose argument is valid during the call, and returns
// its length. It reads the body to its end also when f fails, so that the connection can be used
// again; f's first error is returned. Any other error, which is in a *BrokenError, ends the connection.
func (c *Conn) Body(resp *Response, f func([]byte) error) (int64, error) {
	b := body{c: c, f: f}
	var err error
	switch {
	case resp.Length >= 0:
		err = b.counted(resp.Length)
	case resp.Length == -1:
		err = b.chunked()
	default:
		err = b.untilEnd()
	}
	if err != nil {
		return b.n, &BrokenError{err}
	}
	return b.n, b.failed
}

// BrokenError says that the connection cannot be used any more.
type BrokenError struct{ Err error }

// Error returns the cause's text.
func (e *BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

type body struct {
	c      *Conn
	f      func([]byte) error
	n      int64
	failed error
}

// pass hands p to the caller.
func (b *body) pass(p []byte) {
	b.n += int64(len(p))
	if b.failed == nil && b.f != nil {
		b.failed = b.f(p)
	}
}

// fill reads more into an empty buffer.
func (c *Conn) fill() error {
	c.r, c.w = 0, 0
	n, err := c.nc.Read(c.buf)
	if c.w = n; n > 0 {
		return nil
	}
	return err
}

func (b *body) counted(left int64) error {
	c := b.c
	for left > 0 {
		if c.r == c.w {
			if err := c.fill(); err != nil {
				return fmt.Errorf("the body ends %d bytes early: %w", left, unexpected(err))
			}
		}
		k := min(left, int64(c.w-c.r))
		b.pass(c.buf[c.r : c.r+int(k)])
		c.r += int(k)
		left -= k
	}
	return nil
}

func (b *body) untilEnd() error {
	c := b.c
	for {
		b.pass(c.buf[c.r:c.w])
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// chunked reads RFC 9112 section 7.1; trailers are read and dropped.
func (b *body) chunked() error {
	for {
		size, err := b.c.chunkSize()
		if err != nil {
			return err
		}
		if size > 0 {
			err = b.counted(size)
		}
		for err == nil {
			var line []byte
			if line, err = b.c.line(); err == nil && len(line) == 0 {
				break
			}
			if err == nil && size > 0 {
				err = errors.New("a chunk is longer than it says")
			}
		}
		if err != nil || size == 0 {
			return err
		}
	}
}

func (c *Conn) chunkSize() (int64, error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	hex, _, _ := bytes.Cut(line, []byte(";"))
	hex = bytes.TrimSpace(hex)
	var n int64
	for _, d := range hex {
		v := bytes.IndexByte([]byte("0123456789abcdef"), d|0x20)
		if v < 0 || n > 1<<58 {
			return 0, fmt.Errorf("%.20q is not a chunk size", line)
		}
		n = n<<4 | int64(v)
	}
	if len(hex) == 0 {
		return 0, errors.New("a chunk size is missing")
	}
	return n, nil
}

// line returns the next line without its end.
func (c *Conn) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(c.buf[c.r:c.w], '\n'); i >= 0 {
			line := bytes.TrimSuffix(c.buf[c.r:c.r+i], []byte("\r"))
			c.r += i + 1
			return line, nil
		}
		if c.w-c.r > 4096 {
			return nil, errors.New("a line of the chunked body is too long")
		}
		copy(c.buf, c.buf[c.r:c.w])
		c.r, c.w = 0, c.w-c.r
		n, err := c.nc.Read(c.buf[c.w:])
		if c.w += n; n == 0 && err != nil {
			return nil, unexpected(err)
		}
	}
}
