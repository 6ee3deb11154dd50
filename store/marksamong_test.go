package store

import (
	"testing"

	"aistore/object"
)

// TestMarksAmongMany: keys that are read together have each its own mark, wherever among them it stands.
func TestMarksAmongMany(t *testing.T) {
	all := []object.Name{b1("a"), b1("b"), b1("c"), b1("d"), {Bucket: 2, Key: "a"}}
	for marked := -1; marked < len(all); marked++ {
		s := memStore(t, "n1", 2)
		for _, n := range all {
			must(t, second(s.Put(t.Context(), n, random(50), PutOptions{})))
		}
		if marked >= 0 {
			must(t, s.MarkKeys(t.Context(), all[marked:marked+1], ImportOptions{Mark: 7})[0].Err)
		}
		for i, x := range s.ExportKeys(all) {
			must(t, x.Err)
			if got := x.State().Authority; got != 7 && i == marked || got != 0 && i != marked {
				t.Errorf("%v of which %d is marked has the mark %d", all[i], marked, got)
			}
			x.Close()
		}
	}
}
