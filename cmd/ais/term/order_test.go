package term

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestNaturally(t *testing.T) {
	want := []string{"", "01", "1", "2", "10", "g1", "node", "node-2-a", "node-2-b", "node-10-a", "t1", "t02", "t2", "t002b", "t10", "t99999999999999999999999", "t100000000000000000000000", "é1", "é2"}
	for range 100 {
		got := slices.Clone(want)
		rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		slices.SortFunc(got, Naturally[string])
		if !slices.Equal(got, want) {
			t.Fatalf("%q", got)
		}
	}
}
