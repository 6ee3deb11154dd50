package content

import (
	"bytes"
	"fmt"
	"testing"
)

func sizes() []int64 {
	return []int64{0, 1, 15, 16, 17, 4096, chunkSize - 1, chunkSize, chunkSize + 1, chunkSize + 16, 3*chunkSize + 777}
}

func whole(o Object) []byte { return bytes.Join(o.Append(nil), nil) }

// TestRoundTrip checks both writers against the checker, at every split of the stream that matters.
func TestRoundTrip(t *testing.T) {
	p := NewPool(7)
	for _, size := range sizes() {
		o := p.Object("some/key", size)
		b := whole(o)
		if int64(len(b)) != size || !bytes.Equal(b, o.AppendBytes(nil)) {
			t.Fatalf("size %d: made %d bytes, equal in both forms: %v", size, len(b), bytes.Equal(b, o.AppendBytes(nil)))
		}
		for _, step := range []int{1, 13, 4096, len(b) + 1} {
			if step == 1 && len(b) > 8192 {
				continue
			}
			var c Checker
			c.Reset(NewPool(7).Object("some/key", size))
			for rest := b; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				if _, err := c.Write(rest[:min(step, len(rest))]); err != nil {
					t.Fatalf("size %d step %d: %v", size, step, err)
				}
			}
			if err := c.Done(); err != nil {
				t.Fatalf("size %d step %d: %v", size, step, err)
			}
		}
	}
}

// TestRefuses flips, cuts, lengthens, moves and exchanges.
func TestRefuses(t *testing.T) {
	p := NewPool(7)
	const size = 2*chunkSize + 5000
	o := p.Object("k", size)
	good := whole(o)
	swapped := append(bytes.Clone(good[chunkSize:2*chunkSize]), good[:chunkSize]...)
	swapped = append(swapped, good[2*chunkSize:]...)
	cases := map[string][]byte{
		"cut":              good[:size-1],
		"empty":            {},
		"longer":           append(bytes.Clone(good), 0),
		"chunks exchanged": swapped,
		"another key":      whole(p.Object("l", size)),
		"another seed":     whole(NewPool(8).Object("k", size)),
		"another size":     whole(p.Object("k", size+1))[:size],
	}
	for _, at := range []int{0, 15, 16, 4096, chunkSize, chunkSize + 20, size - 1} {
		b := bytes.Clone(good)
		b[at] ^= 1
		cases[fmt.Sprintf("bit at %d", at)] = b
	}
	for name, b := range cases {
		var c Checker
		c.Reset(o)
		_, err := c.Write(b)
		if err == nil {
			err = c.Done()
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
