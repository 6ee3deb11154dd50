// Package value makes object contents that tell which write they come from.
//
// A value is named by its id and its size; every byte of it follows from the two, so a reader can tell a
// whole value from one that is cut, mixed of two writes or damaged, and can check any range of it without
// keeping the bytes. It is not random enough for anything but tests.
//
// Start at Value.
package value

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Min is the smallest size of a value that carries its id.
const Min = 8

// Value is one content: the id in its first eight bytes, then a stream that depends on id and size.
type Value struct {
	ID   uint64
	Size int64
}

// Bytes returns the whole content.
func (v Value) Bytes() []byte { return v.Range(0, v.Size) }

// Range returns n bytes from off, cut at the end of the value.
func (v Value) Range(off, n int64) []byte {
	b := make([]byte, min(n, v.Size-off))
	v.Fill(b, off)
	return b
}

// Fill puts the bytes from off on into b, which must lie inside the value.
func (v Value) Fill(b []byte, off int64) {
	var word [8]byte
	for len(b) > 0 {
		binary.BigEndian.PutUint64(word[:], v.word(uint64(off)/8))
		n := copy(b, word[off%8:])
		b, off = b[n:], off+int64(n)
	}
}

// word returns bytes 8*i to 8*i+7 of the content.
func (v Value) word(i uint64) uint64 {
	if i == 0 {
		return v.ID
	}
	z := (v.ID ^ uint64(v.Size)<<40 ^ uint64(v.Size)) + i*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Reader streams the content.
func (v Value) Reader() io.Reader { return &reader{v: v} }

type reader struct {
	v   Value
	off int64
}

func (r *reader) Read(p []byte) (int, error) {
	if r.off >= r.v.Size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.v.Size-r.off)]
	r.v.Fill(p, r.off)
	r.off += int64(len(p))
	return len(p), nil
}

// Parse returns the value that b is, or says where b stops being one whole value.
func Parse(b []byte) (Value, error) {
	if len(b) < Min {
		return Value{}, fmt.Errorf("%d bytes are too short for a value", len(b))
	}
	v := Value{binary.BigEndian.Uint64(b), int64(len(b))}
	return v, v.Check(b, 0)
}

// Check compares b with the value's bytes from off on and names the first that differs.
func (v Value) Check(b []byte, off int64) error {
	if off+int64(len(b)) > v.Size {
		return fmt.Errorf("%d bytes from %d reach beyond value %x of %d bytes", len(b), off, v.ID, v.Size)
	}
	const chunk = 64 << 10
	want := make([]byte, min(chunk, len(b)))
	for len(b) > 0 {
		n := min(len(want), len(b))
		v.Fill(want[:n], off)
		if !bytes.Equal(want[:n], b[:n]) {
			for i := range n {
				if want[i] != b[i] {
					return fmt.Errorf("value %x of %d bytes: byte %d is %#02x, not %#02x", v.ID, v.Size, off+int64(i), b[i], want[i])
				}
			}
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}
