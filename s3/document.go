package s3

import "io"

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
