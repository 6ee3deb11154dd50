package cksum

import "testing"

// Digests of "abc": published test vectors (xxHash64 seed 0, RFC 1321, FIPS 180-2, CRC-32C).
func TestKnownDigests(t *testing.T) {
	for typ, want := range map[Type]string{
		None: "", XXHash: "44bc2cf5ad770999", CRC32C: "364b3fb7",
		MD5:    "900150983cd24fb0d6963f7d28e17f72",
		SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
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
