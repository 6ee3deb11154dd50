package owner

import (
	"io"
	"sync"

	"aistore/auth/sigv4"
	"aistore/s3"
)

const unsigned = sigv4.Unsigned

// reader returns the content of the request's body, decoded and verified. Reading it asks the client for it.
func (r *request) reader() (*sigv4.BodyReader, error) {
	return r.w.verifier.Reader(r.c.Body(), r.caller.Access, &r.caller.Body, r.secrets())
}

// readDocument reads a body of at most limit bytes, but at least one.
func readDocument(src io.Reader, limit int64) ([]byte, error) {
	doc, err := s3.ReadDocument(src, limit)
	if err == nil && len(doc) == 0 {
		err = s3.MissingDocument()
	}
	return doc, err
}

// bufferPool lends the memory in which short bodies are decoded.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get(n int) []byte {
	if b, _ := p.pool.Get().(*[]byte); b != nil && cap(*b) >= n {
		return (*b)[:n]
	}
	return make([]byte, n, max(n, 4<<10))
}

func (p *bufferPool) put(b []byte) {
	if cap(b) <= maxBuffer {
		p.pool.Put(&b)
	}
}

// maxBuffer is what is worth keeping between requests.
const maxBuffer = 256 << 10
