package sigv4

import "time"

// A Request is what a signature covers, as it was received.
type Request struct {
	Method   string
	RawPath  string                           // as on the request line, still escaped, without the query
	RawQuery string                           // as on the request line, without the question mark
	Host     string                           // the Host header
	Bucket   string                           // that Host names, "" = it is in the path
	Each     func(f func(name, value string)) // calls f for every header, Content-Length too; the strings must hold until Verify returns
	Now      time.Time
}

// Secrets returns the secret of an access key.
type Secrets func(access string) (secret string, ok bool)

// A Caller is what a signature proves. Its strings are its own.
type Caller struct {
	Access    string    // "" = anonymous: the request carries no signature at all
	Presigned bool      // the signature was in the query
	Signature string    // AWS4-HMAC-SHA256, or AWS for the second version, as s3:signatureversion has it
	Date      time.Time // when it was signed; zero for anonymous and presigned by the second version
	Body      Body
}

// Mode says how the body is encoded and what vouches for it.
type Mode uint8

// The modes; the comments are the values of x-amz-content-sha256.
const (
	Unsigned        Mode = iota // UNSIGNED-PAYLOAD, or none in a presigned or anonymous request: as it is
	Hashed                      // hex of the SHA-256: as it is
	Chunked                     // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
	ChunkedTrailer              // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
	UnsignedTrailer             // STREAMING-UNSIGNED-PAYLOAD-TRAILER
)

// Encoded reports whether the body is aws-chunked, so that its length is not the object's.
func (m Mode) Encoded() bool { return m >= Chunked }

// A Body says how to read and verify a request's body. It travels between nodes as text (Append, ParseBody).
type Body struct {
	Mode    Mode
	SHA256  string   // Hashed: lower-case hex
	Seed    string   // Chunked, ChunkedTrailer: the request's signature
	Scope   string   // the same: date/region/s3/aws4_request
	Date    string   // the same, and of a presigned URL: 20060102T150405Z
	Trailer []string // names announced by x-amz-trailer, lower-case
	Decoded int64    // length of the content: x-amz-decoded-content-length, or Content-Length if not Encoded; -1 = not said
}
