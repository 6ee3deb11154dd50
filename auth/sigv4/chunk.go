package sigv4

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"io"
	"strings"
)

// readChunk returns content of one chunk.
func (b *BodyReader) readChunk(p []byte) (int, error) {
	for b.left == 0 {
		size, err := b.readHeader()
		if err != nil {
			return 0, err
		}
		if size == 0 {
			if err := b.endBody(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		b.left = size
	}
	n, err := b.take(p)
	if b.key != nil {
		b.hash.Write(p[:n])
	}
	b.left -= int64(n)
	b.total += int64(n)
	if b.left > 0 || err != nil {
		return n, err
	}
	if err := b.endChunk(); err != nil {
		return 0, err
	}
	if b.decoded < 0 || b.total < b.decoded {
		return n, nil
	}
	// The last bytes wait until the end of the body has been seen and verified.
	if _, err := b.readHeader(); err != nil {
		return 0, err
	}
	if err := b.endBody(); err != nil {
		return 0, err
	}
	return n, io.EOF
}

// take copies bytes of the chunk to p: from what was read ahead, else straight from the source.
func (b *BodyReader) take(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	if b.from < b.to {
		n := copy(p, b.line[b.from:b.to])
		b.from += n
		return n, nil
	}
	n, err := b.readSource(p)
	if ended(err) && int64(n) == b.left {
		return n, nil
	}
	if ended(err) {
		return n, incomplete()
	}
	return n, err
}

// readSource reads at least a byte or returns an error.
func (b *BodyReader) readSource(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	for range 100 {
		n, err := b.source.Read(p)
		if ended(err) {
			b.ended = true
		}
		if n > 0 && ended(err) {
			return n, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// readLine returns the next line without its end. It is valid until the next read. At the end of the
// source, with nothing read, the error is io.EOF.
func (b *BodyReader) readLine() ([]byte, error) {
	for seen := 0; ; {
		ahead := b.line[b.from:b.to]
		if i := bytes.IndexByte(ahead[seen:], '\n'); i >= 0 {
			line := ahead[:seen+i]
			b.from += seen + i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		seen = len(ahead)
		if seen == len(b.line) {
			return nil, badChunk("a line is too long")
		}
		if b.from > 0 {
			copy(b.line[:], ahead)
			b.from, b.to = 0, seen
		}
		n, err := b.readSource(b.line[b.to:])
		b.to += n
		if ended(err) && seen > 0 {
			return nil, incomplete()
		}
		if err != nil {
			return nil, err
		}
	}
}

func badChunk(what string) error {
	return fault("sigv4.Read", codeInvalidRequest, "The aws-chunked body is malformed: "+what)
}

// readHeader reads the line before a chunk and returns the chunk's size.
func (b *BodyReader) readHeader() (int64, error) {
	line, err := b.readLine()
	if ended(err) {
		return 0, incomplete()
	}
	if err != nil {
		return 0, err
	}
	digits, extension, _ := bytes.Cut(line, []byte(";"))
	size, ok := parseSize(digits)
	if !ok {
		return 0, badChunk("the size of a chunk is not a number")
	}
	if b.decoded >= 0 && size > b.decoded-b.total {
		return 0, incomplete()
	}
	if b.key == nil {
		return size, nil
	}
	signature, ok := bytes.CutPrefix(extension, []byte("chunk-signature="))
	if !ok || len(signature) != len(b.prev) {
		return 0, badChunk("a chunk has no signature")
	}
	if _, err := hex.Decode(b.claimed[:], signature); err != nil {
		return 0, badChunk("a chunk's signature is not hexadecimal")
	}
	return size, nil
}

// parseSize reads up to 15 hexadecimal digits.
func parseSize(digits []byte) (int64, bool) {
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		d := unhex(c)
		if d > 15 {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, true
}

// endChunk reads the end of the line behind a chunk's bytes and verifies its signature.
func (b *BodyReader) endChunk() error {
	line, err := b.readLine()
	if ended(err) {
		return incomplete()
	}
	if err != nil {
		return err
	}
	if len(line) != 0 {
		return badChunk("a chunk is longer than it says")
	}
	return b.verifyChunk()
}

// verifyChunk compares the signature of what was hashed since the last one.
func (b *BodyReader) verifyChunk() error {
	if b.key == nil {
		return nil
	}
	t := b.beginText("AWS4-HMAC-SHA256-PAYLOAD\n")
	t = append(append(t, emptySHA256...), '\n')
	return b.verifyText(hex.AppendEncode(t, b.hashSum()))
}

// beginText begins a string to sign, up to the signature before.
func (b *BodyReader) beginText(algorithm string) []byte {
	t := append(b.text[:0], algorithm...)
	t = append(append(t, b.date...), '\n')
	t = append(append(t, b.scope...), '\n')
	return append(append(t, b.prev[:]...), '\n')
}

// verifyText compares the signature of t with the claimed one, and readies the hash for the next chunk.
func (b *BodyReader) verifyText(t []byte) error {
	b.text = t
	made := b.key.sum(b.hash, b.sum[:], t)
	b.hash.Reset()
	if subtle.ConstantTimeCompare(made, b.claimed[:]) != 1 {
		return fault("sigv4.Read", codeMismatch, mismatchText, Detail{"StringToSign", string(t)})
	}
	hex.Encode(b.prev[:], made)
	return nil
}

// endBody verifies all that follows the header of the last, empty chunk.
func (b *BodyReader) endBody() error {
	if err := b.verifyChunk(); err != nil {
		return err
	}
	if b.mode != Chunked {
		if err := b.readTrailers(); err != nil {
			return err
		}
	}
	if b.decoded >= 0 && b.total != b.decoded {
		return incomplete()
	}
	if b.learn != nil {
		b.learn()
	}
	return b.drain()
}

// drain reads to the end of the source, where only ends of lines may be left.
func (b *BodyReader) drain() error {
	for range 16 {
		if len(bytes.Trim(b.line[b.from:b.to], "\r\n")) > 0 {
			return badChunk("there is something behind its end")
		}
		b.from, b.to = 0, 0
		n, err := b.readSource(b.line[:])
		b.to = n
		if ended(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return badChunk("there is something behind its end")
}

// readTrailers reads the trailing headers: all that were announced, each once, and no others. An empty line ends them once they
// are complete; some clients also send one behind each trailer.
func (b *BodyReader) readTrailers() error {
	canonical := sha256.New()
	signed := b.key == nil || len(b.announced) == 0
	for {
		line, err := b.readLine()
		complete := signed && len(b.trailer) == len(b.announced)
		if ended(err) && !complete {
			return badTrailer("x-amz-trailer announced more than has come, or its signature is missing")
		}
		if ended(err) || err == nil && len(line) == 0 && complete {
			return nil
		}
		if err != nil {
			return err
		}
		if len(line) == 0 {
			continue
		}
		if err := b.takeTrailer(string(line), canonical, &signed); err != nil {
			return err
		}
	}
}

// takeTrailer takes one line, name:value.
func (b *BodyReader) takeTrailer(line string, canonical hash.Hash, signed *bool) error {
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.ToLower(trim(name)), trim(value)
	switch {
	case !ok:
		return badTrailer("a line has no colon")
	case name == "x-amz-trailer-signature" && b.key != nil && !*signed:
		*signed = true
		return b.verifyTrailer(value, canonical.Sum(nil))
	case *signed && b.key != nil:
		return badTrailer("something follows the signature")
	case !b.expects(name):
		return badTrailer("unexpected " + name)
	}
	canonical.Write([]byte(name + ":" + value + "\n"))
	b.trailer = append(b.trailer, Detail{name, value})
	return nil
}

// expects reports whether a trailer was announced and has not come yet.
func (b *BodyReader) expects(name string) bool {
	for _, t := range b.trailer {
		if t.Name == name {
			return false
		}
	}
	for _, a := range b.announced {
		if a == name {
			return true
		}
	}
	return false
}

func (b *BodyReader) verifyTrailer(signature string, sum []byte) error {
	if !decodeHex(b.claimed[:], signature) {
		return badTrailer("its signature is not hexadecimal")
	}
	return b.verifyText(hex.AppendEncode(b.beginText("AWS4-HMAC-SHA256-TRAILER\n"), sum))
}

func badTrailer(what string) error {
	return fault("sigv4.Read", codeTrailer, "The request contained trailing data that was not well-formed or did not conform to our published schema: "+what)
}
