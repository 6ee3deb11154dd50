package owner

import (
	"io"
	"sync"

	"aistore/auth/sigv4"
	"aistore/cksum"
	"aistore/s3"
)

const unsigned = sigv4.Unsigned

// reader returns the content of the request's body, decoded and verified. Reading it asks the client for it.
func (r *request) reader() (*sigv4.BodyReader, error) {
	return r.w.verifier.Reader(r.c.Body(), r.caller.Access, &r.caller.Body, r.secrets())
}

// readDocument reads a body of at most limit bytes.
func readDocument(src io.Reader, limit int64) ([]byte, error) {
	doc, err := io.ReadAll(io.LimitReader(src, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(doc)) > limit:
		return nil, s3.E("owner.readDocument", "request body", "MaxMessageLengthExceeded", "", s3.Field{Name: "MaxMessageLengthBytes", Value: itoa(limit)})
	case len(doc) == 0:
		return nil, s3.E("owner.readDocument", "request body", "MissingRequestBodyError", "")
	}
	return doc, nil
}

// typeOf is the type by which package cksum knows an algorithm.
func typeOf(a s3.Algorithm) cksum.Type {
	switch a {
	case s3.CRC32:
		return cksum.CRC32
	case s3.CRC32C:
		return cksum.CRC32C
	case s3.CRC64NVME:
		return cksum.CRC64NVME
	case s3.SHA1:
		return cksum.SHA1
	case s3.SHA256:
		return cksum.SHA256
	}
	return cksum.None
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
