package near

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "ab", 2}, {"put", "put", 0}, {"pu", "put", 1}, {"puts", "put", 1}, {"pat", "put", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 2},
	} {
		if d, back := Distance(c.a, c.b), Distance(c.b, c.a); d != c.want || back != c.want {
			t.Errorf("%q, %q: %d and %d, want %d", c.a, c.b, d, back, c.want)
		}
	}
}
