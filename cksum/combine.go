package cksum

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Combinable reports whether the checksum of a whole follows from those of its parts and their lengths.
func (t Type) Combinable() bool { return t == CRC32 || t == CRC32C || t == CRC64NVME }

// Combine returns the checksum of a followed by b, which is lenB bytes long. Both must be of one combinable type.
//
// A CRC is the remainder of the bits as a polynomial over GF(2), so appending lenB bytes multiplies a's by x^(8*lenB) modulo
// the CRC's polynomial; what all-ones at both ends add cancels out.
func Combine(a, b Value, lenB int64) (Value, error) {
	ra, rb := a.Raw(), b.Raw()
	if a.Type != b.Type || !a.Type.Combinable() || len(ra) != a.Type.Size() || len(rb) != len(ra) || lenB < 0 {
		return Value{}, fmt.Errorf("checksums %v and %v cannot be combined", a, b)
	}
	if a.Type == CRC64NVME {
		f := field{poly: nvmePoly, top: 1 << 63}
		v := f.mul(f.power(lenB), binary.BigEndian.Uint64(ra)) ^ binary.BigEndian.Uint64(rb)
		return FromRaw(a.Type, binary.BigEndian.AppendUint64(nil, v)), nil
	}
	f := field{poly: crc32.IEEE, top: 1 << 31}
	if a.Type == CRC32C {
		f.poly = crc32.Castagnoli
	}
	v := f.mul(f.power(lenB), uint64(binary.BigEndian.Uint32(ra))) ^ uint64(binary.BigEndian.Uint32(rb))
	return FromRaw(a.Type, binary.BigEndian.AppendUint32(nil, uint32(v))), nil
}

// nvmePoly is the reflected form of the polynomial 0xad93d23594c93659.
const nvmePoly = 0x9a6c9329ac4bc9b5

// field multiplies polynomials modulo poly. Bits are reflected: the top one is the coefficient of 1.
type field struct{ poly, top uint64 }

func (f field) mul(a, b uint64) (p uint64) {
	for ; a != 0; a = a << 1 & (f.top<<1 - 1) {
		if a&f.top != 0 {
			p ^= b
		}
		odd := b & 1
		b >>= 1
		if odd != 0 {
			b ^= f.poly
		}
	}
	return p
}

// power is x^(8*n).
func (f field) power(n int64) uint64 {
	p, square := f.top, f.top>>8 // x^0, x^8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = f.mul(square, p)
		}
		square = f.mul(square, square)
	}
	return p
}
