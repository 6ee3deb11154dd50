package store

import (
	"sync"

	"aistore/store/format"
)

// byteBuf is a growing buffer in a pool.
type byteBuf struct{ b []byte }

type bytePool struct{ p sync.Pool }

func (p *bytePool) get() *byteBuf {
	if b, ok := p.p.Get().(*byteBuf); ok {
		return b
	}
	return &byteBuf{b: make([]byte, 0, 1024)}
}

// put keeps b for the next, unless it grew so large that keeping it would pin memory.
func (p *bytePool) put(b *byteBuf) {
	if cap(b.b) <= 64<<10 {
		p.p.Put(b)
	}
}

// recordPool holds buffers in which records are encoded.
//
//nolint:gochecknoglobals // a pool has no state that anyone can see
var recordPool bytePool

// contentPool holds buffers of content that is exported.
//
//nolint:gochecknoglobals // as above
var contentPool bytePool

// chunkSize is how many bytes of a blob are read or written at once: a multiple of every block size
// up to it, and small enough that copying, checksumming and sending find it in the processor's cache.
const chunkSize = 256 << 10

// pageChunk is how many bytes are sent at once where they are not copied: they pass through a pipe.
const pageChunk = 128 << 10

// chunkPool holds buffers of a header's page and chunkSize bytes.
//
//nolint:gochecknoglobals // a pool has no state that anyone can see
var chunkPool = sync.Pool{New: func() any { b := make([]byte, format.BlobHeaderSize+format.MaxBlockSize); return &b }}
