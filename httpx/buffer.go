package httpx

import (
	"bufio"
	"io"
	"sync"
)

// Buffers are pooled in two sizes; larger ones are left to the garbage collector.
const (
	smallBuffer = 64 << 10
	largeBuffer = 256 << 10
)

var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
)

// getBuffer returns a buffer of exactly n bytes.
func getBuffer(n int) *[]byte {
	var b *[]byte
	switch {
	case n <= smallBuffer:
		b, _ = smallBuffers.Get().(*[]byte)
	case n <= largeBuffer:
		b, _ = largeBuffers.Get().(*[]byte)
	default:
		s := make([]byte, n)
		return &s
	}
	*b = (*b)[:n]
	return b
}

func putBuffer(b *[]byte) {
	switch cap(*b) {
	case smallBuffer:
		smallBuffers.Put(b)
	case largeBuffer:
		largeBuffers.Put(b)
	}
}

// readerPool keeps bufio.Readers of one size: a server's or a client's header limit.
type readerPool struct {
	pool sync.Pool
	size int
}

func (p *readerPool) get(r io.Reader) *bufio.Reader {
	if br, ok := p.pool.Get().(*bufio.Reader); ok {
		br.Reset(r)
		return br
	}
	return bufio.NewReaderSize(r, p.size)
}

func (p *readerPool) put(br *bufio.Reader) {
	br.Reset(nil)
	p.pool.Put(br)
}
