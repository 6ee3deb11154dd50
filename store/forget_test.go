package store

import (
	"fmt"
	"testing"

	"aistore/errs"
	"aistore/object"
)

// TestForgetKeys: keys go at once, what they had in blobs when it is asked for, and that of other keys stays.
func TestForgetKeys(t *testing.T) {
	s := memStore(t, "n1", 2)
	var names []object.Name
	for i := range 20 {
		n := b1(fmt.Sprint(i))
		must(t, second(s.Put(t.Context(), n, random(100+i%2*5000), PutOptions{})))
		names = append(names, n)
	}
	all := new(Remains)
	for _, some := range [][]object.Name{names[:8], names[8:12]} {
		remains, results := s.ForgetKeys(t.Context(), some, nil)
		for i, err := range results {
			if err != nil {
				t.Error(some[i], err)
			}
		}
		all.Add(remains)
	}
	if _, err := s.Stat(names[1]); !errs.Is(err, errs.NotFound) {
		t.Errorf("a forgotten key: %v", err)
	}
	if n := leftFiles(t, s); n != 10 || all.Len() != 6 {
		t.Errorf("%d files and remains of %d keys, want 10 and 6", n, all.Len())
	}
	must(t, second(s.Put(t.Context(), names[1], random(6000), PutOptions{}))) // it has come again meanwhile
	for left := 4; left >= 0; left -= 2 {
		all.Remove(2)
		if n := leftFiles(t, s); n != 5+left || all.Len() != left {
			t.Errorf("%d files and remains of %d keys, want %d and %d", n, all.Len(), 5+left, left)
		}
	}
	for _, n := range []object.Name{names[1], names[13]} {
		if o, err := s.Open(n); err != nil {
			t.Error(n, err)
		} else {
			o.Close()
		}
	}
	checkWhole(t, s)
}

// TestForgottenBlobsAreSwept: what a process has not removed the next start sweeps.
func TestForgottenBlobsAreSwept(t *testing.T) {
	s := memStore(t, "n1", 1)
	n := b1("k")
	must(t, second(s.Put(t.Context(), n, random(5000), PutOptions{})))
	if remains, results := s.ForgetKeys(t.Context(), []object.Name{n}, nil); results[0] != nil || remains.Len() != 1 {
		t.Fatal(remains.Len(), results)
	}
	if n := leftFiles(t, s); n != 1 {
		t.Fatalf("%d files", n)
	}
	s.tidy(t.Context())
	if n := leftFiles(t, s); n != 0 {
		t.Errorf("%d files are left", n)
	}
}
