package store

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"aistore/errs"
	"aistore/object"
)

type breaks struct{ err error }

func (b breaks) Read([]byte) (int, error) { return 0, b.err }

// TestBrokenSource: content whose source broke off is refused, whatever the source calls it, and leaves nothing.
func TestBrokenSource(t *testing.T) {
	s := testStore(t, Config{})
	for i, broke := range []error{
		io.ErrUnexpectedEOF, fmt.Errorf("connection lost: %w", io.EOF), fmt.Errorf("gone: %w", io.ErrUnexpectedEOF),
		errs.E("test", "body", errs.Timeout, io.ErrUnexpectedEOF),
	} {
		for _, have := range []int{0, 10, 300_000, 2 << 20} {
			n := object.Name{Bucket: 1, Key: fmt.Sprintf("%d-%d", i, have)}
			src := func() io.Reader { return io.MultiReader(bytes.NewReader(make([]byte, have)), breaks{broke}) }
			if _, err := s.PutStream(t.Context(), n, src(), PutOptions{Size: -1}); err == nil {
				t.Errorf("%v after %d bytes: PutStream accepted it", broke, have)
			}
			if _, err := s.Stat(n); !errs.Is(err, errs.NotFound) {
				t.Errorf("%v after %d bytes: Stat: %v", broke, have, err)
			}
			handle, err := s.BeginAppend(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Append(t.Context(), n, handle, src()); err == nil {
				t.Errorf("%v after %d bytes: Append accepted it", broke, have)
			}
		}
	}
}
