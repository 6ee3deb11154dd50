package s3

import (
	"encoding/base64"
	"strconv"
	"strings"

	"aistore/cksum"
)

// Algorithm is one of the checksums that clients send and ask for.
type Algorithm uint8

// The algorithms, in the order in which one is chosen when several would do.
const (
	NoAlgorithm Algorithm = iota
	CRC32
	CRC32C
	CRC64NVME
	SHA1
	SHA256
	algorithmCount
)

var algorithmTable = [algorithmCount]struct {
	name, header string
	size         int
}{
	{}, {"CRC32", "x-amz-checksum-crc32", 4}, {"CRC32C", "x-amz-checksum-crc32c", 4}, {"CRC64NVME", "x-amz-checksum-crc64nvme", 8},
	{"SHA1", "x-amz-checksum-sha1", 20}, {"SHA256", "x-amz-checksum-sha256", 32},
}

// Algorithms lists all but NoAlgorithm.
func Algorithms() [algorithmCount - 1]Algorithm {
	return [...]Algorithm{CRC32, CRC32C, CRC64NVME, SHA1, SHA256}
}

// Name returns the name in documents, such as "CRC32C".
func (a Algorithm) Name() string { return algorithmTable[a%algorithmCount].name }

// Header returns the name of the header or trailer, in lower case.
func (a Algorithm) Header() string { return algorithmTable[a%algorithmCount].header }

// Size returns the length of a digest in bytes.
func (a Algorithm) Size() int { return algorithmTable[a%algorithmCount].size }

// CanCombine reports whether the sum of a whole follows from the sums of its parts.
func (a Algorithm) CanCombine() bool { return a == CRC32 || a == CRC32C || a == CRC64NVME }

// ParseAlgorithm is the inverse of Name, in any case; "" is NoAlgorithm.
func ParseAlgorithm(s string) (Algorithm, error) {
	if s == "" {
		return NoAlgorithm, nil
	}
	for _, a := range Algorithms() {
		if strings.EqualFold(a.Name(), s) {
			return a, nil
		}
	}
	return NoAlgorithm, E("s3.ParseAlgorithm", "checksum algorithm", "InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
}

// AlgorithmOfHeader is the inverse of Header (lower case); NoAlgorithm for another name.
func AlgorithmOfHeader(name string) Algorithm {
	for _, a := range Algorithms() {
		if a.Header() == name {
			return a
		}
	}
	return NoAlgorithm
}

// Type is the type by which package cksum knows the algorithm.
func (a Algorithm) Type() cksum.Type {
	switch a {
	case CRC32:
		return cksum.CRC32
	case CRC32C:
		return cksum.CRC32C
	case CRC64NVME:
		return cksum.CRC64NVME
	case SHA1:
		return cksum.SHA1
	case SHA256:
		return cksum.SHA256
	case NoAlgorithm:
	}
	return cksum.None
}

// ChecksumType says of what bytes a checksum is.
type ChecksumType string

// The types: of the parts' checksums, or of the object's bytes. "" = of one that was not uploaded in parts: the object's bytes.
const (
	Composite  ChecksumType = "COMPOSITE"
	FullObject ChecksumType = "FULL_OBJECT"
)

// ChooseType returns the type of the checksum of an upload that asks for the algorithm and, perhaps, a type.
func ChooseType(a Algorithm, asked string) (ChecksumType, error) {
	const op = "s3.ChooseType"
	t := ChecksumType(strings.ToUpper(asked))
	switch {
	case a == NoAlgorithm && t != "":
		return "", E(op, "x-amz-checksum-type", "InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
	case t == "" && a == CRC64NVME:
		return FullObject, nil
	case t == "" && a != NoAlgorithm:
		return Composite, nil
	case t != "" && t != Composite && t != FullObject:
		return "", E(op, "x-amz-checksum-type", "InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
	case t == FullObject && !a.CanCombine(), t == Composite && a == CRC64NVME:
		return "", E(op, "x-amz-checksum-type", "InvalidRequest", "The "+string(t)+" checksum type cannot be used with the "+strings.ToLower(a.Name())+" checksum algorithm.")
	}
	return t, nil
}

// Checksum is one checksum of an object or part.
type Checksum struct {
	Algorithm Algorithm
	Type      ChecksumType
	Value     string // base64; a composite ends in "-N", N parts
}

// NewChecksum returns the checksum of raw digest bytes.
func NewChecksum(a Algorithm, t ChecksumType, raw []byte) Checksum {
	return Checksum{a, t, base64.StdEncoding.EncodeToString(raw)}
}

// IsZero reports whether there is no checksum.
func (c *Checksum) IsZero() bool { return c.Algorithm == NoAlgorithm }

// Raw returns the digest's bytes and, of a composite, the number of parts. False for a value that is not one of the algorithm.
func (c *Checksum) Raw() (raw []byte, parts int, ok bool) {
	v := c.Value
	if i := strings.IndexByte(v, '-'); i >= 0 {
		n, err := strconv.Atoi(v[i+1:])
		if err != nil || n < 1 || n > MaxParts {
			return nil, 0, false
		}
		v, parts = v[:i], n
	}
	raw, err := base64.StdEncoding.DecodeString(v)
	return raw, parts, err == nil && len(raw) == c.Algorithm.Size()
}

// Equal reports whether c has the value that a client declares, who may leave out the "-N" of a composite.
func (c *Checksum) Equal(declared *Checksum) bool {
	value, _, composite := strings.Cut(c.Value, "-")
	return c.Algorithm == declared.Algorithm && (c.Value == declared.Value || composite && value == declared.Value)
}

// Encode returns the text that is kept in object.Info.System: "CRC32C FULL_OBJECT value".
func (c *Checksum) Encode() string {
	if c.IsZero() {
		return ""
	}
	return c.Algorithm.Name() + " " + string(c.Type) + " " + c.Value
}

// DecodeChecksum is the inverse of Encode; what is not one is the zero value.
func DecodeChecksum(s string) Checksum {
	name, rest, _ := strings.Cut(s, " ")
	typ, value, ok := strings.Cut(rest, " ")
	if !ok {
		return Checksum{}
	}
	for _, a := range Algorithms() {
		if a.Name() == name {
			return Checksum{a, ChecksumType(typ), value}
		}
	}
	return Checksum{}
}

// AppendHeaders appends the header lines of a reply that shows c.
func (c *Checksum) AppendHeaders(b []byte) []byte {
	if c.IsZero() {
		return b
	}
	b = append(append(append(b, c.Algorithm.Header()...), ": "...), c.Value...)
	b = append(b, "\r\n"...)
	return append(append(append(b, "x-amz-checksum-type: "...), c.Type.or()...), "\r\n"...)
}

// or is the type as it is shown.
func (t ChecksumType) or() ChecksumType {
	if t == "" {
		return FullObject
	}
	return t
}

func (c *Checksum) appendValue(b []byte) []byte {
	if c.IsZero() {
		return b
	}
	b = append(append(append(b, "<Checksum"...), c.Algorithm.Name()...), '>')
	b = AppendXMLText(b, c.Value)
	return append(append(append(b, "</Checksum"...), c.Algorithm.Name()...), '>')
}

func (c *Checksum) appendXML(b []byte) []byte {
	if c.IsZero() {
		return b
	}
	return appendText(c.appendValue(b), "ChecksumType", string(c.Type.or()))
}

// Checksums are the declared values by algorithm.
type Checksums [algorithmCount]string

// Set sets the value of a.
func (c *Checksums) Set(a Algorithm, value string) { c[a%algorithmCount] = value }

// Get returns the value of a, "" if there is none.
func (c *Checksums) Get(a Algorithm) string { return c[a%algorithmCount] }

// Declared returns the checksum that the headers declare, the zero value when they declare none. One of an algorithm that is not served is
// refused: it would go uncompared.
func (h *Headers) Declared() (Checksum, error) {
	if h.unknownSum != "" {
		return Checksum{}, E("s3.Headers", h.unknownSum, "InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.")
	}
	return h.Sums.One()
}

// CheckNamed compares the algorithm that x-amz-sdk-checksum-algorithm names with that of the checksum that is sent or announced.
func (h *Headers) CheckNamed(sent Algorithm) error {
	const op, header = "s3.Headers", "x-amz-sdk-checksum-algorithm"
	named, err := ParseAlgorithm(h.SDKAlgorithm)
	switch {
	case err != nil || named == NoAlgorithm || named == sent:
		return err
	case sent == NoAlgorithm:
		return E(op, header, "InvalidRequest", header+" specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
	}
	return E(op, header, "InvalidRequest", "Value for "+header+" header is invalid.")
}

// One returns the only declared value. Two are refused.
func (c *Checksums) One() (Checksum, error) {
	var one Checksum
	for _, a := range Algorithms() {
		if c[a] == "" {
			continue
		}
		if !one.IsZero() {
			return Checksum{}, E("s3.Checksums", "x-amz-checksum", "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		one = Checksum{Algorithm: a, Value: c[a]}
	}
	return one, nil
}
