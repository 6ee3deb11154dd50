package edge

import (
	"io"
	"sync/atomic"

	"aistore/errs"
	"aistore/httpx"
	"aistore/s3"
)

type emptiness bool

const (
	mustBeThere emptiness = false
	mayBeEmpty  emptiness = true
)

// document reads the body of the request, verified: by the signature, and by the checksums that the client sent.
func (r *request) document(may emptiness) ([]byte, error) {
	limit := r.op.MaxBody
	if n := r.c.BodyLen(); n > limit+limit/8+4096 { // more than chunk signatures can add
		return nil, s3.DocumentTooLong(limit)
	}
	br, err := r.e.verifier.Reader(r.c.Body(), r.caller.Access, &r.caller.Body, r.secrets)
	if err != nil {
		return nil, err
	}
	defer br.Close()
	defer httpx.BoundDocument(r.c, limit)()
	src := &paid{src: br, from: &r.e.documents}
	defer func() { r.e.documents.give(src.taken) }()
	doc, err := s3.ReadDocument(src, limit)
	if err == nil && len(doc) == 0 && may == mustBeThere {
		err = s3.MissingDocument()
	}
	if err != nil {
		return nil, err
	}
	return doc, r.h.CheckDocument(doc, br.Trailer)
}

// paid is a document whose memory is taken as it arrives: who sends nothing holds nothing that others need.
type paid struct {
	src         io.Reader
	from        *budget
	read, taken int64
}

// Read implements io.Reader.
func (p *paid) Read(b []byte) (int, error) {
	n, err := p.src.Read(b)
	p.read += int64(n)
	if more := 2*p.read - p.taken; more > 0 { // reading grows its buffer by doubling
		more = max(more, 16<<10)
		if terr := p.from.take(more); terr != nil {
			return 0, terr
		}
		p.taken += more
	}
	return n, err
}

// budget bounds the memory of the documents that are being read. What does not fit is refused at once: waiting would hold a
// connection as well.
type budget struct{ used atomic.Int64 }

// maxDocuments is some thirty of the longest documents at a time.
const maxDocuments = 64 << 20

func (b *budget) take(n int64) error {
	if b.used.Add(n) > maxDocuments {
		b.used.Add(-n)
		return errs.E("edge.take", "memory", errs.Busy, "too many documents at the same time: retry after a second")
	}
	return nil
}

func (b *budget) give(n int64) { b.used.Add(-n) }
