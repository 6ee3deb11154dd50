package cksum

import (
	"encoding/binary"
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// Digests of "abc": published test vectors (xxHash64 seed 0, RFC 1321, FIPS 180-2, CRC-32C, IEEE 802.3).
func TestKnownDigests(t *testing.T) {
	for typ, want := range map[Type]string{
		None: "", XXHash: "44bc2cf5ad770999", CRC32C: "364b3fb7",
		MD5:    "900150983cd24fb0d6963f7d28e17f72",
		SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		CRC32:  "352441c2", SHA1: "a9993e364706816aba3e25717850c26c9cd0d89d",
	} {
		h := New(typ)
		_, _ = h.Write([]byte("a"))
		_, _ = h.Write([]byte("bc"))
		if got := h.Sum(); got.Value != want || got != Of(typ, []byte("abc")) {
			t.Errorf("%v: running %v, at once %v, want %q", typ, got, Of(typ, []byte("abc")), want)
		}
		back, err := Parse(typ.String(), want)
		if err != nil || back.Value != want || back.Type != typ {
			t.Errorf("%v: does not parse back: %v %v", typ, back, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range [][2]string{{"sha1", "00"}, {"md5", "zz"}, {"xxhash", "00"}, {"none", "00"}} {
		if v, err := Parse(c[0], c[1]); err == nil {
			t.Errorf("Parse(%q, %q) = %v, want an error", c[0], c[1], v)
		}
	}
}

// Check values of "123456789" from the catalogue of parametrised CRC algorithms.
func TestCheckValues(t *testing.T) {
	for typ, want := range map[Type]string{CRC32: "cbf43926", CRC32C: "e3069283", CRC64NVME: "ae8b14860a799888"} {
		if got := Of(typ, []byte("123456789")); got.Value != want {
			t.Errorf("%v: %v, want %s", typ, got, want)
		}
	}
}

// TestNVME: the library's instructions for long, short and badly aligned input give what the polynomial's table gives.
func TestNVME(t *testing.T) {
	table := crc64.MakeTable(nvmePoly)
	data := make([]byte, 5000)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	for n := range 2000 {
		p := data[rand.IntN(64):][:n]
		at := rand.IntN(n + 1)
		h := New(CRC64NVME)
		_, _ = h.Write(p[:at])
		_, _ = h.Write(p[at:])
		want := FromRaw(CRC64NVME, binary.BigEndian.AppendUint64(nil, crc64.Checksum(p, table)))
		if h.Sum() != want || Of(CRC64NVME, p) != want {
			t.Fatalf("%d bytes, cut at %d: running %v, at once %v, want %v", n, at, h.Sum(), Of(CRC64NVME, p), want)
		}
	}
}

func TestMany(t *testing.T) {
	data := make([]byte, 3*manyChunk+17)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	all := []Type{None, XXHash, CRC32C, MD5, SHA256, CRC32, CRC64NVME, SHA1, MD5}
	m := NewMany(all...)
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 1+rand.IntN(2*manyChunk))
		_, _ = m.Write(rest[:n])
		rest = rest[n:]
	}
	for _, typ := range all {
		if m.Sum(typ) != Of(typ, data) {
			t.Errorf("%v: %v, want %v", typ, m.Sum(typ), Of(typ, data))
		}
	}
	if n := len(m.Sums()); n != 7 {
		t.Errorf("%d checksums of 7 types", n)
	}
}

func TestCombine(t *testing.T) {
	for _, typ := range []Type{CRC32, CRC32C, CRC64NVME} {
		for range 200 {
			data := make([]byte, rand.IntN(5000))
			for i := range data {
				data[i] = byte(rand.Uint32())
			}
			cut := rand.IntN(len(data) + 1)
			got, err := Combine(Of(typ, data[:cut]), Of(typ, data[cut:]), int64(len(data)-cut))
			if err != nil || got != Of(typ, data) {
				t.Fatalf("%v of %d+%d bytes: %v %v, want %v", typ, cut, len(data)-cut, got, err, Of(typ, data))
			}
		}
	}
	for _, bad := range [][2]Value{{Of(MD5, nil), Of(MD5, nil)}, {Of(CRC32, nil), Of(CRC32C, nil)}, {{CRC32, "00"}, Of(CRC32, nil)}} {
		if v, err := Combine(bad[0], bad[1], 1); err == nil {
			t.Errorf("%v and %v: %v", bad[0], bad[1], v)
		}
	}
}
