// Package cksum computes and compares the checksums of the project: one whole-object checksum of a
// type chosen per bucket, and CRC32C for blocks, records and messages.
//
// It is the only importer of the libraries that compute them. Start at New and Block.
package cksum

import (
	"crypto/md5"  //nolint:gosec // offered for compatibility, not for security
	"crypto/sha1" //nolint:gosec // offered for compatibility, not for security
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"strings"

	"github.com/OneOfOne/xxhash"
	"github.com/minio/crc64nvme"
)

// Type names a whole-object checksum algorithm. The numbers are stored on disk; never renumber.
type Type uint8

// The types. XXHash is 64-bit xxHash with seed 0; it and the CRCs are printed as hex digits, big-endian.
const (
	None      Type = 0
	XXHash    Type = 1
	CRC32C    Type = 2
	MD5       Type = 3
	SHA256    Type = 4
	CRC32     Type = 5 // IEEE 802.3
	CRC64NVME Type = 6 // of the NVM Express NVM Command Set Specification, as S3 uses it
	SHA1      Type = 7
)

var typeNames = []string{"none", "xxhash", "crc32c", "md5", "sha256", "crc32", "crc64nvme", "sha1"}

// String returns the name used in bucket properties and headers.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type-%d", uint8(t))
}

// Valid reports whether t is a known type.
func (t Type) Valid() bool { return int(t) < len(typeNames) }

// ParseType is the inverse of String; "" is None.
func ParseType(s string) (Type, error) {
	if s == "" {
		return None, nil
	}
	for i, n := range typeNames {
		if strings.EqualFold(n, s) {
			return Type(i), nil
		}
	}
	return None, fmt.Errorf("checksum type %q is unknown: use one of %s", s, strings.Join(typeNames, ", "))
}

// MarshalText and UnmarshalText put the name, not the number, into JSON.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText parses a name.
func (t *Type) UnmarshalText(b []byte) (err error) {
	*t, err = ParseType(string(b))
	return err
}

// Size is the digest length in bytes.
func (t Type) Size() int { return [...]int{0, 8, 4, 16, 32, 4, 8, 20}[t] }

// Value is a checksum: a type and its lower-case hex digest ("" for None).
type Value struct {
	Type  Type   `json:"type"`
	Value string `json:"value,omitempty"`
}

// String returns "xxhash:0011..", or "none".
func (v Value) String() string {
	if v.Type == None {
		return "none"
	}
	return v.Type.String() + ":" + v.Value
}

// Parse checks that value is a digest of the named type.
func Parse(typ, value string) (Value, error) {
	t, err := ParseType(typ)
	if err != nil {
		return Value{}, err
	}
	value = strings.ToLower(value)
	if raw, err := hex.DecodeString(value); err != nil || len(raw) != t.Size() {
		return Value{}, fmt.Errorf("checksum value %q is not %d hex digits of %s", value, 2*t.Size(), t)
	}
	return Value{t, value}, nil
}

// Raw returns the digest bytes; nil for None or a value that is not hex.
func (v Value) Raw() []byte {
	raw, err := hex.DecodeString(v.Value)
	if err != nil || len(raw) == 0 {
		return nil
	}
	return raw
}

// FromRaw is the inverse of Raw.
func FromRaw(t Type, raw []byte) Value { return Value{t, hex.EncodeToString(raw)} }

// Hash is a running whole-object checksum. The zero value and nil compute None.
type Hash struct {
	t Type
	h hash.Hash
}

// New returns a running checksum of type t.
func New(t Type) *Hash {
	h := &Hash{t: t}
	switch t {
	case XXHash:
		h.h = xxhash.New64()
	case CRC32C:
		h.h = crc32.New(castagnoli)
	case MD5:
		h.h = md5.New() //nolint:gosec // see import
	case SHA256:
		h.h = sha256.New()
	case CRC32:
		h.h = crc32.NewIEEE()
	case CRC64NVME:
		h.h = crc64nvme.New()
	case SHA1:
		h.h = sha1.New() //nolint:gosec // see import
	}
	return h
}

// Write adds p; it never fails.
func (h *Hash) Write(p []byte) (int, error) {
	if h != nil && h.h != nil {
		_, _ = h.h.Write(p) // hash.Hash never returns an error
	}
	return len(p), nil
}

// Type returns the algorithm.
func (h *Hash) Type() Type {
	if h == nil {
		return None
	}
	return h.t
}

// Sum returns the checksum of all that was written.
func (h *Hash) Sum() Value {
	if h == nil || h.h == nil {
		return Value{}
	}
	return FromRaw(h.t, h.h.Sum(nil))
}

// Of returns the checksum of p in one call, without the allocation of a running hash for the common types.
func Of(t Type, p []byte) Value {
	switch t {
	case XXHash:
		var raw [8]byte
		binary.BigEndian.PutUint64(raw[:], xxhash.Checksum64(p))
		return FromRaw(t, raw[:])
	case CRC32C:
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], Block(p))
		return FromRaw(t, raw[:])
	case MD5:
		raw := md5.Sum(p) //nolint:gosec // see import
		return FromRaw(t, raw[:])
	case SHA256:
		raw := sha256.Sum256(p)
		return FromRaw(t, raw[:])
	case CRC32:
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], crc32.ChecksumIEEE(p))
		return FromRaw(t, raw[:])
	case CRC64NVME:
		var raw [8]byte
		binary.BigEndian.PutUint64(raw[:], crc64nvme.Checksum(p))
		return FromRaw(t, raw[:])
	case SHA1:
		raw := sha1.Sum(p) //nolint:gosec // see import
		return FromRaw(t, raw[:])
	}
	return Value{}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Block is the CRC32C of p (RFC 3720 polynomial; hardware instructions where there are any).
func Block(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// BlockUpdate continues a CRC32C with p.
func BlockUpdate(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, p) }

// Digest64 is xxHash64 of p with a seed: the placement digest (see cluster.Place).
func Digest64(p []byte, seed uint64) uint64 { return xxhash.Checksum64S(p, seed) }

// DigestString64 is Digest64 of a string without a copy.
func DigestString64(s string, seed uint64) uint64 { return xxhash.ChecksumString64S(s, seed) }
