package store

import (
	"fmt"
	"slices"
	"testing"

	"aistore/object"
)

// TestMarks lists marks over several mountpaths: of objects, and of keys that were deleted.
func TestMarks(t *testing.T) {
	s := testStore(t, Config{Mountpaths: []string{t.TempDir(), t.TempDir(), t.TempDir()}})
	var want []string
	for i := range 300 {
		n := object.Name{Bucket: 7, Key: fmt.Sprintf("k%03d", i)}
		mark := i%3 > 0
		if _, err := s.Put(t.Context(), n, []byte("x"), PutOptions{Epoch: 4, Mark: mark}); err != nil {
			t.Fatal(err)
		}
		if mark {
			want = append(want, n.Key)
		}
		if i%3 == 2 {
			if _, err := s.Delete(t.Context(), n, DeleteOptions{Epoch: 5, Mark: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(prefix, after string, from bool, limit int) (got []string) {
		t.Helper()
		err := s.Marks(t.Context(), 7, prefix, after, from, func(key string, epoch uint64) bool {
			i := 0
			if _, err := fmt.Sscanf(key, "k%d", &i); err != nil || epoch != uint64(3+i%3) {
				t.Errorf("%s has mark %d", key, epoch)
			}
			got = append(got, key)
			return len(got) < limit
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := list("", "", false, 1000); !slices.Equal(got, want) {
		t.Errorf("all: %d marks, want %d", len(got), len(want))
	}
	at := slices.Index(want, "k100")
	if got := list("k1", "k100", true, 3); !slices.Equal(got, want[at:at+3]) {
		t.Errorf("from k100: %v", got)
	}
	if got := list("k1", "k100", false, 3); !slices.Equal(got, want[at+1:at+4]) {
		t.Errorf("behind k100: %v", got)
	}
	if got := list("k2", "k1", false, 1); !slices.Equal(got, []string{"k200"}) {
		t.Errorf("prefix k2: %v", got)
	}
	if got := list("q", "", false, 1); got != nil {
		t.Errorf("prefix q: %v", got)
	}
}
