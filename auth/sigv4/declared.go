package sigv4

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// emptySHA256 is the hash of no bytes: what nearly every GET declares.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// trailers are the trailing headers that S3 knows.
func knownTrailer(name string) bool {
	switch name {
	case "x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1", "x-amz-checksum-sha256":
		return true
	}
	return false
}

// declared reads what the headers say about the body. payload is the value of x-amz-content-sha256, c nil for
// an anonymous request.
func (s *scratch) declared(payload string, c *claim) (Body, error) {
	const op = "sigv4.Verify"
	b := Body{Decoded: -1}
	switch payload {
	case "", "UNSIGNED-PAYLOAD":
		if s.chunkedAnyway() {
			b.Mode = UnsignedTrailer
		}
	case emptySHA256:
		b.Mode, b.SHA256 = Hashed, emptySHA256
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
		b.Mode = Chunked
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		b.Mode = ChunkedTrailer
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		b.Mode = UnsignedTrailer
	default:
		var sum [32]byte
		if !decodeHex(sum[:], payload) {
			return b, fault(op, codeArgument, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "+
				"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid sha256 value.",
				Detail{"ArgumentName", "x-amz-content-sha256"}, Detail{"ArgumentValue", strings.Clone(payload)})
		}
		b.Mode, b.SHA256 = Hashed, hex.EncodeToString(sum[:])
	}
	if b.Mode == Chunked || b.Mode == ChunkedTrailer {
		if c == nil {
			return b, fault(op, codeAccessDenied, "A body with signed chunks needs a signed request")
		}
		b.Seed, b.Scope, b.Date = strings.Clone(c.signature), strings.Clone(c.scopeText), strings.Clone(c.stamp)
	} else if c != nil && c.presigned {
		b.Date = strings.Clone(c.stamp)
	}
	if err := s.declaredLength(&b); err != nil {
		return b, err
	}
	return b, s.declaredTrailer(&b)
}

// chunkedAnyway recognises the body of a client that signs nothing, and so says nothing about its payload, yet sends a
// checksum behind it.
func (s *scratch) chunkedAnyway() bool {
	trailer, _ := s.header("x-amz-trailer")
	encoding, _ := s.header("content-encoding")
	return trailer != "" && strings.Contains(encoding, "aws-chunked")
}

func (s *scratch) declaredLength(b *Body) error {
	const op = "sigv4.Verify"
	name := "content-length"
	if b.Mode.Encoded() {
		name = "x-amz-decoded-content-length"
	}
	text, ok := s.header(name)
	switch {
	case !ok && b.Mode.Encoded():
		return fault(op, codeMissingLength, "You must provide the "+name+" HTTP header.")
	case !ok:
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || text[0] == '+' {
		return fault(op, codeArgument, "The length must be a number that is not negative",
			Detail{"ArgumentName", name}, Detail{"ArgumentValue", strings.Clone(text)})
	}
	b.Decoded = n
	return nil
}

func (s *scratch) declaredTrailer(b *Body) error {
	if b.Mode != ChunkedTrailer && b.Mode != UnsignedTrailer {
		return nil
	}
	for i := range s.headers {
		if equalLower(s.headers[i].name, "x-amz-trailer") {
			if err := b.announce(s.headers[i].value); err != nil {
				return err
			}
		}
	}
	return nil
}

// announce adds the names of one x-amz-trailer header.
func (b *Body) announce(names string) error {
	for rest := names; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ",")
		name = strings.ToLower(trim(name))
		if name == "" {
			continue
		}
		if !knownTrailer(name) || b.announces(name) {
			return fault("sigv4.Verify", codeInvalidRequest, "The value specified in the x-amz-trailer header is not supported")
		}
		b.Trailer = append(b.Trailer, strings.Clone(name))
	}
	return nil
}

func (b *Body) announces(name string) bool {
	for _, t := range b.Trailer {
		if t == name {
			return true
		}
	}
	return false
}
