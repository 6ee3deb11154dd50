package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"hash"
	"io"
	"sync"
)

// A BodyReader yields the content of a request's body. The last byte is handed out only after
// everything that vouches for the body has been verified; an error is never io.EOF.
//
// An encoded body reads (aws-chunked; lines may also end in a bare LF):
//
//	10000;chunk-signature=<64 hex> CRLF <65,536 bytes> CRLF      any number; without signature if UnsignedTrailer
//	0;chunk-signature=<64 hex> CRLF
//	x-amz-checksum-crc32c:<base64> CRLF                          trailers, as announced
//	x-amz-trailer-signature:<64 hex> CRLF                        ChunkedTrailer
//	CRLF
type BodyReader struct {
	pool    *sync.Pool // where Close puts it; nil once closed
	source  io.Reader
	mode    Mode
	decoded int64 // length of the content, -1 = not said
	total   int64 // content seen so far
	err     error // what every later Read returns

	hash hash.Hash         // of the body, or of the chunk
	sum  [sha256.Size]byte // room for its sum
	want [sha256.Size]byte // Hashed

	line     [lineSize]byte // what was read ahead: line[from:to]
	from, to int
	ended    bool  // source has returned io.EOF
	left     int64 // of the chunk

	key     *signingKey
	learn   func() // keeps the key once the body has proved it right; nil if it is kept
	text    []byte // the string to sign
	scope   string
	date    string
	prev    [2 * sha256.Size]byte // the signature before, in hex
	claimed [sha256.Size]byte     // the chunk's signature

	announced []string
	trailer   []Detail
}

// lineSize bounds a line of the encoding: a chunk's header has about 100 bytes, a trailer less.
const lineSize = 4096

// Reader returns the content of the body r of a request that access signed. Close it after use.
func (v *Verifier) Reader(r io.Reader, access string, b *Body, secrets Secrets) (*BodyReader, error) {
	d, ok := v.bodies.Get().(*BodyReader)
	if !ok {
		d = &BodyReader{hash: sha256.New()}
	}
	text, h, trailer := d.text, d.hash, d.trailer[:0]
	h.Reset()
	*d = BodyReader{pool: &v.bodies, source: r, mode: b.Mode, decoded: b.Decoded, hash: h, text: text, trailer: trailer, announced: b.Trailer}
	switch b.Mode {
	case Hashed:
		if !decodeHex(d.want[:], b.SHA256) {
			return nil, fault("sigv4.Reader", codeArgument, "not a SHA-256: "+b.SHA256)
		}
	case Chunked, ChunkedTrailer:
		if err := v.seed(d, access, b, secrets); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// seed readies d for a chain of signatures that begins with the request's.
func (v *Verifier) seed(d *BodyReader, access string, b *Body, secrets Secrets) error {
	const op = "sigv4.Reader"
	secret, ok := secrets(access)
	if !ok {
		return unknownAccess(op, access)
	}
	var c claim
	if wrong := c.parseCredential(access + "/" + b.Scope); wrong != "" {
		return fault(op, codeHeader, wrong)
	}
	if len(b.Seed) != len(d.prev) {
		return fault(op, codeMismatch, mismatchText)
	}
	key, fresh := v.key(c.scope, secret)
	d.key = key
	if fresh {
		d.learn = func() { v.keys.put(c.scope, key) }
	}
	d.scope, d.date = b.Scope, b.Date
	copy(d.prev[:], b.Seed)
	return nil
}

// Close gives the buffers back. It does not close the underlying reader.
func (b *BodyReader) Close() {
	if b.pool == nil {
		return
	}
	pool := b.pool
	b.pool, b.source, b.key, b.learn, b.announced = nil, nil, nil, nil, nil
	b.err = errClosed
	clear(b.trailer)
	pool.Put(b)
}

var errClosed = errors.New("sigv4: read of a closed body")

// Trailer returns the value of a trailing header (lower-case name), after io.EOF.
func (b *BodyReader) Trailer(name string) (string, bool) {
	if !ended(b.err) {
		return "", false
	}
	for _, t := range b.trailer {
		if t.Name == name {
			return t.Value, true
		}
	}
	return "", false
}

// Read implements io.Reader.
func (b *BodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var err error
	switch b.mode {
	case Unsigned:
		n, err = b.readPlain(p)
	case Hashed:
		n, err = b.readHashed(p)
	default:
		n, err = b.readChunk(p)
	}
	b.err = err
	if n > 0 && ended(err) {
		return n, nil
	}
	return n, err
}

// readPlain vouches for nothing but the length.
func (b *BodyReader) readPlain(p []byte) (int, error) {
	n, err := b.source.Read(p)
	b.total += int64(n)
	if ended(err) && b.decoded >= 0 && b.total != b.decoded {
		return 0, incomplete()
	}
	return n, err
}

// readHashed keeps the last bytes back until the hash is right, if the length is known, and else the end.
func (b *BodyReader) readHashed(p []byte) (int, error) {
	n, err := b.source.Read(p)
	b.hash.Write(p[:n])
	b.total += int64(n)
	last := b.decoded >= 0 && b.total >= b.decoded
	if err != nil && !ended(err) {
		return n, err
	}
	if !last && err == nil {
		return n, nil
	}
	if b.decoded >= 0 && b.total != b.decoded {
		return 0, incomplete()
	}
	if subtle.ConstantTimeCompare(b.hashSum(), b.want[:]) != 1 {
		return 0, fault("sigv4.Read", codeSHA256, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return n, io.EOF
}

// hashSum returns the sum of what was hashed; it is valid until the next one.
func (b *BodyReader) hashSum() []byte { return b.hash.Sum(b.sum[:0]) }

func incomplete() error {
	return fault("sigv4.Read", codeIncomplete, "You did not provide the number of bytes specified by the Content-Length HTTP header")
}

// ended reports whether err is the end of a reader, which is never wrapped.
func ended(err error) bool {
	return err == io.EOF //nolint:errorlint // an error of the source that wraps io.EOF is a broken connection and no end
}
