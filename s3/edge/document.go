package edge

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"io"
	"strconv"
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
		return nil, tooLong(limit)
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
	doc, err := io.ReadAll(io.LimitReader(br, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(doc)) > limit:
		return nil, tooLong(limit)
	case len(doc) == 0 && may == mustBeThere:
		return nil, s3.E(op, "request body", "MissingRequestBodyError", "")
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
		if v != "" && base64.StdEncoding.EncodeToString(cksum.Of(typeOf(a), doc).Raw()) != v {
			return nil, s3.E(op, a.Header(), "BadDigest", "The "+a.Name()+" you specified did not match the calculated checksum.")
		}
	}
	return doc, nil
}

func tooLong(limit int64) error {
	return s3.E("edge.document", "request body", "MaxMessageLengthExceeded", "", s3.Field{Name: "MaxMessageLengthBytes", Value: strconv.FormatInt(limit, 10)})
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
	case s3.NoAlgorithm:
	}
	return cksum.None
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
