package httpx

import (
	"bufio"
	"errors"
	"io"

	"aistore/errs"
)

// bodyReader reads one message body: of a declared length, chunked, or up to the end of the connection.
// After its end it returns io.EOF for ever and has read nothing that belongs to the next message.
type bodyReader struct {
	br      *bufio.Reader
	left    int64 // bytes still to come; while chunked, of the current chunk
	chunked bool
	toEOF   bool // a reply without length
	started bool // chunked: the first chunk header was read
	done    bool
	err     error // sticky
	read    int64 // bytes handed out
	max     int64 // NoLimit or the most that may be handed out
	ask     func() error
}

func (b *bodyReader) reset(br *bufio.Reader, length int64) {
	*b = bodyReader{br: br, left: length, max: NoLimit, done: length == 0}
	if length < 0 {
		b.left, b.chunked = 0, true
	}
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.done:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if b.ask != nil { // 100-continue: the client holds the body back until it is wanted
		ask := b.ask
		b.ask = nil
		if b.err = ask(); b.err != nil {
			return 0, b.err
		}
	}
	n, err := b.next(p)
	b.read += int64(n)
	if b.max >= 0 && b.read > b.max {
		n, err = 0, errs.F("httpx.Body", "request body", errs.TooLarge, "is longer than the limit of %d bytes", b.max)
	}
	switch {
	case err == io.EOF && b.done:
		return n, io.EOF
	case err != nil:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		b.err = readError("httpx.Body", "body", err)
		return n, b.err
	}
	return n, nil
}

func (b *bodyReader) next(p []byte) (int, error) {
	if b.toEOF {
		n, err := b.br.Read(p)
		b.done = err == io.EOF
		return n, err
	}
	if b.chunked && b.left == 0 {
		if err := b.chunk(); err != nil || b.done {
			return 0, orEOF(err)
		}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.br.Read(p)
	b.left -= int64(n)
	if b.left == 0 && !b.chunked {
		b.done = true
		return n, nil
	}
	return n, err
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

var errChunk = errors.New("malformed chunked encoding")

// maxChunkLine bounds chunk extensions and the trailer section, which are read and dropped.
const maxChunkLine = 4096

// chunk reads the end of the last chunk and the header of the next; at the last one also the trailers.
func (b *bodyReader) chunk() error {
	if b.started {
		if err := b.crlf(); err != nil {
			return err
		}
	}
	b.started = true
	size, err := b.chunkSize()
	if err != nil {
		return err
	}
	if b.left = size; size > 0 {
		return nil
	}
	for total := 0; ; {
		line, err := b.line()
		if err != nil {
			return err
		}
		if line == 0 {
			b.done = true
			return nil
		}
		if total += line; total > maxChunkLine {
			return errs.E("httpx.Body", "trailers", errs.Invalid, errChunk)
		}
	}
}

func (b *bodyReader) crlf() error {
	var two [2]byte
	for i := range two {
		c, err := b.br.ReadByte()
		if err != nil {
			return err
		}
		two[i] = c
	}
	if two != [2]byte{'\r', '\n'} {
		return errs.E("httpx.Body", "chunk", errs.Invalid, errChunk)
	}
	return nil
}

// chunkSize parses hex digits, drops extensions, and stops after CRLF. A bare LF is refused: proxies
// disagree about it, which is how requests are smuggled.
func (b *bodyReader) chunkSize() (int64, error) {
	bad := func() (int64, error) { return 0, errs.E("httpx.Body", "chunk size", errs.Invalid, errChunk) }
	var size int64
	digits, ext := 0, 0
	for {
		c, err := b.br.ReadByte()
		if err != nil {
			return 0, err
		}
		switch {
		case ext == 0 && hexDigit(c) >= 0:
			if digits++; digits > 15 {
				return bad()
			}
			size = size<<4 | int64(hexDigit(c))
		case digits == 0:
			return bad()
		case c == '\r':
			if c, err = b.br.ReadByte(); err != nil {
				return 0, err
			}
			if c != '\n' {
				return bad()
			}
			return size, nil
		case ext == 0 && c != ';' && c != ' ' && c != '\t', c == '\n':
			return bad()
		default:
			if ext++; ext > maxChunkLine {
				return bad()
			}
		}
	}
}

// line drops one line and returns its length without CRLF.
func (b *bodyReader) line() (int, error) {
	for n := 0; n <= maxChunkLine; n++ {
		c, err := b.br.ReadByte()
		if err != nil {
			return 0, err
		}
		if c == '\n' {
			return 0, errs.E("httpx.Body", "trailers", errs.Invalid, errChunk)
		}
		if c == '\r' {
			if c, err = b.br.ReadByte(); err == nil && c != '\n' {
				err = errs.E("httpx.Body", "trailers", errs.Invalid, errChunk)
			}
			return n, err
		}
	}
	return 0, errs.E("httpx.Body", "trailers", errs.Invalid, errChunk)
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// discard reads and drops at most limit bytes; true if the body ended.
func (b *bodyReader) discard(limit int64) bool {
	if b.done {
		return true
	}
	b.max = NoLimit
	if b.ask != nil || b.err != nil {
		return false
	}
	if !b.chunked && !b.toEOF {
		if b.left > limit {
			return false
		}
		if n := min(int64(b.br.Buffered()), b.left); n > 0 { // most often the whole body has arrived already
			m, _ := b.br.Discard(int(n))
			b.left -= int64(m)
		}
		if b.left == 0 {
			b.done = true
			return true
		}
	}
	buf := getBuffer(64 << 10)
	defer putBuffer(buf)
	for limit > 0 {
		n, err := b.Read(*buf)
		limit -= int64(n)
		if err != nil {
			return err == io.EOF
		}
	}
	return b.done
}
