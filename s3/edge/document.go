package edge

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"sync/atomic"

	"aistore/cksum"
	"aistore/errs"
	"aistore/s3"
)

type emptiness bool

const (
	mustBeThere emptiness = false
	mayBeEmpty  emptiness = true
)

// document reads the body of the request, verified: by the signature, and by the checksums that the client sent.
func (r *request) document(may emptiness) ([]byte, error) {
	const op = "edge.document"
	limit := r.op.MaxBody
	if n := r.c.BodyLen(); n > limit+limit/8+4096 { // more than chunk signatures can add
		return nil, s3.DocumentTooLong(limit)
	}
	cost := 2 * limit // reading grows its buffer by doubling
	if n := r.c.BodyLen(); n >= 0 {
		cost = 2 * n
	}
	if err := r.e.documents.take(cost); err != nil {
		return nil, err
	}
	defer r.e.documents.give(cost)
	br, err := r.e.verifier.Reader(r.c.Body(), r.caller.Access, &r.caller.Body, r.secrets)
	if err != nil {
		return nil, err
	}
	defer br.Close()
	doc, err := s3.ReadDocument(br, limit)
	if err == nil && len(doc) == 0 && may == mustBeThere {
		err = s3.MissingDocument()
	}
	if err != nil {
		return nil, err
	}
	want, err := r.h.MD5()
	if err != nil {
		return nil, err
	}
	if sum := md5.Sum(doc); want != nil && !bytes.Equal(want, sum[:]) { //nolint:gosec // as above
		return nil, s3.E(op, "Content-MD5", "BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	for _, a := range s3.Algorithms() {
		v := r.h.Sums.Get(a)
		if v == "" {
			v, _ = br.Trailer(a.Header())
		}
		if v != "" && base64.StdEncoding.EncodeToString(cksum.Of(a.Type(), doc).Raw()) != v {
			return nil, s3.E(op, a.Header(), "BadDigest", "The "+a.Name()+" you specified did not match the calculated checksum.")
		}
	}
	return doc, nil
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
