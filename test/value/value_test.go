package value

import (
	"bytes"
	"io"
	"testing"
)

func TestParseTellsValuesApart(t *testing.T) {
	for _, size := range []int64{8, 9, 15, 16, 17, 4096, 100_003} {
		v := Value{ID: 0x0123456789abcdef, Size: size}
		b := v.Bytes()
		if got, err := Parse(b); err != nil || got != v {
			t.Fatalf("Parse(%v.Bytes()) = %v, %v", v, got, err)
		}
		streamed, err := io.ReadAll(v.Reader())
		if err != nil || !bytes.Equal(streamed, b) {
			t.Fatalf("%v: Reader and Bytes differ (%v)", v, err)
		}
		if size == 8 {
			continue
		}
		if _, err := Parse(b[:size-1]); err == nil && size > 9 {
			t.Errorf("%v: a cut value passed", v)
		}
		flipped := bytes.Clone(b)
		flipped[size-1] ^= 4
		if _, err := Parse(flipped); err == nil {
			t.Errorf("%v: a flipped bit passed", v)
		}
		if size >= 17 {
			mixed := append(bytes.Clone(b[:size/2]), Value{ID: 7, Size: size}.Bytes()[size/2:]...)
			if _, err := Parse(mixed); err == nil {
				t.Errorf("%v: a mix of two values passed", v)
			}
			if err := v.Check(b[3:11], 3); err != nil {
				t.Error(err)
			}
			if err := v.Check(b[4:11], 3); err == nil {
				t.Errorf("%v: a shifted range passed", v)
			}
		}
	}
}
