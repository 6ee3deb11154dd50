package s3

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"io"

	"aistore/cksum"
)

// ReadDocument reads the body of a request that is a document of at most limit bytes.
func ReadDocument(src io.Reader, limit int64) ([]byte, error) {
	doc, err := io.ReadAll(io.LimitReader(src, limit+1))
	if err == nil && int64(len(doc)) > limit {
		err = DocumentTooLong(limit)
	}
	if err != nil {
		return nil, err
	}
	return doc, nil
}

// DocumentTooLong is the error of a document of more than limit bytes.
func DocumentTooLong(limit int64) error {
	return E("s3.ReadDocument", "request body", "MaxMessageLengthExceeded", "", Field{Name: "MaxMessageLengthBytes", Value: itoa(int(limit))})
}

// MissingDocument is the error of a body that is empty and should be a document.
func MissingDocument() error {
	return E("s3.ReadDocument", "request body", "MissingRequestBodyError", "")
}

// CheckDocument compares a document with the checksums that its request declares, in headers or trailers.
func (h *Headers) CheckDocument(doc []byte, trailer func(name string) (string, bool)) error {
	const op = "s3.CheckDocument"
	want, err := h.MD5()
	if err != nil {
		return err
	}
	if sum := md5.Sum(doc); want != nil && !bytes.Equal(want, sum[:]) { //nolint:gosec // Content-MD5
		return E(op, "Content-MD5", "BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	for _, a := range Algorithms() {
		v := h.Sums.Get(a)
		if v == "" {
			v, _ = trailer(a.Header())
		}
		if v != "" && base64.StdEncoding.EncodeToString(cksum.Of(a.Type(), doc).Raw()) != v {
			return E(op, a.Header(), "BadDigest", "The "+a.Name()+" you specified did not match the calculated checksum.")
		}
	}
	return nil
}
